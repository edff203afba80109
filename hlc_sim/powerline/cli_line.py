"""`hlc powerline`: a simulated powerline of modems, for any program to use."""

from __future__ import annotations

import signal
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..cli.errors import Exit, complain, readable, stop
from .cli_common import need_scapy, out, pcap_writer

if TYPE_CHECKING:
    from .simulated import Powerline


class Attachment(StrEnum):
    tap = "tap"
    veth = "veth"


def powerline(
    modem: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:KIND:ROLE", help="A modem, as evse:qca7000:EVSE (repeatable)."),
    ] = None,
    attenuation: Annotated[
        list[str] | None,
        typer.Option(metavar="A,B=DB", help="Attenuation between two modems, as ev,evse=20 (repeatable)."),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT:TYPE[:N]",
            help="Drop, duplicate or corrupt N messages of a type on the line, as drop:CM_SLAC_PARM_CNF:2 "
            "or drop:0x6065:2 "
            "(repeatable).",
        ),
    ] = None,
    loss: Annotated[
        float, typer.Option(metavar="P", min=0, max=1, help="Probability per frame and receiver.")
    ] = 0.0,
    latency: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="Of every frame.")] = 0.0015,
    rate: Annotated[
        float | None,
        typer.Option(metavar="BPS", help="Bit/s of the shared line [default: no limit; really about 9.8e6]."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides loss, keys and noise.")] = 0,
    prefix: Annotated[str, typer.Option(metavar="TEXT", help="Begins the namespaces' names.")] = "hlc",
    attachment: Annotated[
        Attachment | None, typer.Option(help="How the hosts hang on it [default: tap if it works].")
    ] = None,
    pcap: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what hosts and modems say, each frame once.")
    ] = None,
    user_namespace: Annotated[
        bool, typer.Option("--user-namespace", help="No root needed: all of it in a user namespace.")
    ] = False,
    run: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="End when this shell command ends, with its code.")
    ] = None,
) -> None:
    """Simulate a powerline and its modems, for any program to use.

    One network namespace per modem, with an interface plc0 to it.
    """
    need_scapy()
    import os

    import trio

    from . import netns
    from .host import single_exceptions
    from .lab import enter_user_namespace, powerline_lab
    from .simulated import Fault, Powerline

    if user_namespace and "HLC_USER_NAMESPACE" not in os.environ:
        try:
            enter_user_namespace()
        except OSError as error:
            stop(f"user namespace: {error.strerror}", Exit.NO_CONNECTION)
    line = Powerline(seed=seed, loss=loss, latency=latency, rate=rate)
    try:
        for text in modem or ["ev:qca7000:EV", "evse:qca7000:EVSE"]:
            name, family, role = _parts(text, 3, "modem", "NAME:KIND:ROLE")
            if role.upper() not in ("EV", "EVSE"):
                raise ValueError(f"modem {text!r}: role EV or EVSE expected, got {role!r}")
            line.add(name, family, "EV" if role.upper() == "EV" else "EVSE")
        for text in attenuation or []:
            names, value = _parts(text, 2, "attenuation", "NAME,NAME=DB", "=")
            a, b = _parts(names, 2, "attenuation", "NAME,NAME=DB", ",")
            line.set_attenuation(a, b, _number("attenuation", text, value))
        for text in fault or []:
            what, mmtype, times = _parts(
                f"{text}:1" if text.count(":") == 1 else text, 3, "fault", "WHAT:TYPE[:N]"
            )
            if what not in ("drop", "duplicate", "corrupt"):
                raise ValueError(f"fault {text!r}: drop, duplicate or corrupt expected")
            number = _mmtype(text, mmtype), int(_number("fault", text, times))
            line.faults.append(Fault(what, number[0], times=number[1]))  # type: ignore[arg-type]
        planned = [each.times for each in line.faults]
    except ValueError as error:
        stop(str(error))

    kind: Any = None if attachment is None else attachment.value

    async def serve() -> int:
        code = 0
        with pcap_writer(pcap) as write, trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            if write:
                line.observer = lambda _when, where, frame: _keep(write, line, where, frame)
            async with trio.open_nursery() as nursery:

                async def until_signalled() -> None:
                    async for _ in signals:
                        nursery.cancel_scope.cancel()

                nursery.start_soon(until_signalled)
                async with powerline_lab(line, prefix=prefix, attachment=kind) as lab:
                    for host in lab.hosts.values():
                        family = line.modems[host.name].family.name
                        out.print(
                            f"{host.name}: {family}, plc0 in namespace {host.namespace}, {host.address}"
                        )
                        out.print(f"    [dim]{' '.join(lab.command(host.name))} ...[/]")
                    if run is None:
                        out.print("running; Ctrl-C ends it")
                        await trio.sleep_forever()
                    else:
                        code = (await trio.run_process(["sh", "-c", run], check=False)).returncode
                nursery.cancel_scope.cancel()
        return code

    with readable():
        try:
            with single_exceptions():
                code = trio.run(serve)
        except netns.NameTaken as error:
            stop(f"{error}, or another --prefix", Exit.NO_CONNECTION)
        except netns.NoNamespaces as error:
            how = "or let it make its own: hlc powerline --user-namespace --run 'command'"
            stop(f"{error}\n{how}", Exit.NO_CONNECTION)
    for text, fault_, times_ in zip(fault or [], line.faults, planned, strict=True):
        if fault_.times == times_:
            complain(f"fault {text!r}: no such message came over the line")
    raise typer.Exit(code)


def _keep(write: Any, line: Powerline, where: str, frame: bytes) -> None:
    """Each frame once: what arrives from another host was written as it was sent."""
    heard = where.endswith("> host") and any(frame[6:12] in modem.hosts for modem in line.modems.values())
    if not heard:
        write(time.time(), frame)


def _mmtype(text: str, name: str) -> int:
    """By name, as `hlc sniff` prints it or with the standard's dot, or by number."""
    from . import layers  # noqa: F401  (fills the table)
    from .layers_mme import MMTYPES

    wanted = name.upper().replace(".", "_")
    for number, known in MMTYPES.items():
        if known == wanted:
            return number
    try:
        return int(name, 0)
    except ValueError:
        raise ValueError(
            f"fault {text!r}: {name!r} is neither a message, as CM_SLAC_PARM_CNF, nor its number, as 0x6065"
        ) from None


def _number(what: str, text: str, number: str) -> float:
    """Decimal, or hexadecimal after 0x."""
    try:
        return int(number, 0) if number[:2].lower() == "0x" else float(number)
    except ValueError:
        raise ValueError(f"{what} {text!r}: {number!r} is no number") from None


def _parts(text: str, count: int, what: str, form: str, separator: str = ":") -> list[str]:
    parts = text.split(separator)
    if len(parts) != count or not all(parts):
        raise ValueError(f"{what} {text!r}: {form} expected")
    return parts
