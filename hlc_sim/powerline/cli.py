"""The commands of the powerline: slac, powerline, sniff, doctor, attack.

``mount`` adds them to the command line; ``app`` has only them. Quick to import: scapy, trio and rich come
when a command runs.
"""

from __future__ import annotations

import json
import signal
import time
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ..cli.errors import EPILOG, Exit, readable, stop

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(no_args_is_help=True, help="HomePlug Green PHY: real modems and a simulated powerline.")


class Side(StrEnum):
    ev = "ev"
    evse = "evse"


class Attachment(StrEnum):
    tap = "tap"
    veth = "veth"


Report = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the result there as JSON ('-': standard output)."),
]


def mount(app: typer.Typer, panel: str) -> None:
    """Add the commands of this module to an application, in this panel of its help."""
    for command in (slac, sniff, doctor, powerline, attack):
        app.command(rich_help_panel=panel, epilog=EPILOG)(command)


class _Output:
    """Standard output through rich, which is imported with the first line printed."""

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console

        return Console(highlight=False, emoji=False)  # addresses are full of what looks like emoji names

    def print(self, what: Any, **how: Any) -> None:
        self._console.print(what, **how)


out = _Output()


def escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def need_scapy() -> None:
    """End the command with exit code 2 and what to install, if scapy is not there."""
    try:
        import scapy  # noqa: F401
    except ImportError:
        stop("the powerline needs scapy: pip install 'hlc-sim[hpgp]'")


def _write_json(target: Path, data: object) -> None:
    if str(target) == "-":
        print(json.dumps(data))
    else:
        target.write_text(json.dumps(data) + "\n", encoding="utf-8")


# --- slac ---------------------------------------------------------------------------------------------


@app.command()
def slac(
    role: Annotated[Side, typer.Argument(help="The side to be.")],
    iface: Annotated[str, typer.Option("--iface", metavar="NAME", help="Interface of the modem.")],
    signalattn_direct: Annotated[
        float, typer.Option(metavar="DB", help="EV: up to this attenuation a station is taken as found.")
    ] = 40.0,
    signalattn_indirect: Annotated[
        float, typer.Option(metavar="DB", help="EV: up to this one it may prove itself by validation.")
    ] = 80.0,
    survey_requests: Annotated[
        int, typer.Option(metavar="N", min=1, help="EV: CM_SLAC_PARM.REQ per survey.")
    ] = 3,
    synth_attenuation: Annotated[
        int | None, typer.Option(metavar="DB", help="EVSE: what is reported if the modem measures none.")
    ] = None,
    attenuation_offset: Annotated[
        float, typer.Option(metavar="DB", help="EVSE: added to what the modem measures.")
    ] = 0.0,
    stay: Annotated[
        bool, typer.Option("--stay", help="Watch the link until Ctrl-C, then leave the network.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for the match.")
    ] = 120.0,
    json: Report = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every message.")] = False,
) -> None:
    """Match as an EV or an EVSE over a modem; print the attenuation.

    It has no control pilot: the vehicle counts as plugged.
    """
    need_scapy()
    import trio

    from iso15118.slac import EvseSlacConfig, EvSlacConfig

    from .matching import SlacFailed, ev_slac, evse_slac

    started = time.monotonic()
    silent = str(json) == "-"

    def observe(_when: float, action: Any) -> None:
        line = action_text(action, verbose)
        if line and not silent:
            out.print(f"[dim]{time.monotonic() - started:7.3f}[/] {line}")

    async def run() -> None:
        if role is Side.ev:
            ev = EvSlacConfig(
                bytes(6),
                signalattn_direct=signalattn_direct,
                signalattn_indirect=signalattn_indirect,
                survey_requests=survey_requests,
            )
            context: Any = ev_slac(iface, config=ev, observer=observe)
        else:
            evse = EvseSlacConfig(
                bytes(6), synth_attenuation=synth_attenuation, attenuation_offset=attenuation_offset
            )
            context = evse_slac(iface, config=evse, observer=observe)
        async with context as running:
            if not silent:
                out.print(f"modem: {escape(str(running.modem.info))}")
            with trio.fail_after(timeout):
                match = await running.matched()
            if json is not None:
                _write_json(json, match_facts(match))
            if not silent:
                out.print(match_table(match))
            if stay:
                try:
                    reason = await running.lost()
                    out.print(f"link lost: {escape(reason)}")
                finally:
                    with trio.move_on_after(10) as scope:
                        scope.shield = True
                        await running.leave()

    with readable():
        try:
            trio.run(run)
        except trio.TooSlowError:
            stop(f"no match within {timeout:g} s", Exit.NO_CONNECTION)
        except SlacFailed as error:
            stop(str(error), Exit.NO_CONNECTION)
        except OSError as error:
            _no_interface(iface, error)


def _no_interface(iface: str | None, error: OSError) -> NoReturn:
    """A socket's error that says which interface it is about."""
    text = str(error.strerror or error)
    stop(text if iface is None or iface in text else f"{iface}: {text}", Exit.NO_CONNECTION)


def action_text(action: Any, verbose: bool) -> str:
    from iso15118.slac import Deviation, DriveCp, LinkReady, LoadCp, Send, StateChange, mac_text

    match action:
        case StateChange():
            return f"[bold]{action.after.name}[/] {escape(action.why)}"
        case Deviation():
            requirement = f" [{action.requirement}]" if action.requirement else ""
            return f"[yellow]{escape(action.text + requirement)}[/]"
        case LinkReady(established=False):
            return f"[red]no link: {escape(action.reason)}[/]"
        case Send() if verbose:
            return f"  {type(action.message).__name__} > {mac_text(action.destination)}"
        case LoadCp() | DriveCp() if verbose:
            return f"  control pilot: {action}"
    return ""


def match_facts(match: Any) -> dict[str, Any]:
    """A match as plain data: attenuation in dB, times in seconds after the start of its matching."""
    from iso15118.slac import mac_text

    return {
        "ev_mac": mac_text(match.ev_mac),
        "evse_mac": mac_text(match.evse_mac),
        "run_id": match.run_id.hex(),
        "nid": match.nid.hex(),
        "nmk": match.nmk.hex(),
        "attenuation_db": {mac_text(mac): round(value, 2) for mac, value in match.attenuation.items()},
        "groups_db": list(match.groups),
        "validation": match.validation,
        "attempts": match.attempts,
        "matched_after_s": round(match.matched - match.started, 3),
        "linked_after_s": round(match.linked - match.started, 3),
    }


def match_table(match: Any) -> Any:
    """A match as a rich table: addresses, key, attenuation, times."""
    from rich.table import Table

    from iso15118.slac import mac_text, nmk_weaknesses

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("EV", mac_text(match.ev_mac))
    table.add_row("EVSE", mac_text(match.evse_mac))
    table.add_row("NID", match.nid.hex())
    weak = nmk_weaknesses(match.nmk)
    table.add_row("NMK", match.nmk.hex() + (f"  [yellow]weak: {'; '.join(weak)}[/]" if weak else ""))
    for mac, value in sorted(match.attenuation.items(), key=lambda pair: pair[1]):
        chosen = "  (chosen)" if mac == match.evse_mac and len(match.attenuation) > 1 else ""
        table.add_row("attenuation", f"{mac_text(mac)}  {value:.1f} dB{chosen}")
    table.add_row("validation", match.validation)
    table.add_row("matched", f"after {match.matched - match.started:.3f} s, attempt {match.attempts}")
    table.add_row("link up", f"after {match.linked - match.started:.3f} s")
    return table


# --- powerline ----------------------------------------------------------------------------------------


@app.command()
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
            help="Drop, duplicate or corrupt N messages of a type, as drop:0x6065:2 (repeatable).",
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
        Path | None, typer.Option(metavar="FILE", help="Write what hosts and modems say to each other.")
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
            number = int(_number("fault", text, mmtype)), int(_number("fault", text, times))
            line.faults.append(Fault(what, number[0], times=number[1]))  # type: ignore[arg-type]
    except ValueError as error:
        stop(str(error))

    kind: Any = None if attachment is None else attachment.value

    async def serve() -> int:
        code = 0
        with _pcap_writer(pcap) as write, trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            if write:
                line.observer = lambda _when, _where, frame: write(time.time(), frame)
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
        except netns.NoNamespaces as error:
            how = "or let it make its own: hlc powerline --user-namespace --run 'command'"
            stop(f"{error}\n{how}", Exit.NO_CONNECTION)
    raise typer.Exit(code)


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


class _pcap_writer:
    """Context manager: a function (time, frame), or None without a path."""

    def __init__(self, path: Path | None) -> None:
        self._writer: Any = None
        if path is not None:
            from scapy.utils import RawPcapWriter

            self._writer = RawPcapWriter(str(path), linktype=1, sync=True)
            self._writer.write_header(None)

    def __enter__(self) -> Any:
        if self._writer is None:
            return None
        return lambda when, frame: self._writer.write_packet(frame, sec=int(when), usec=int(when % 1 * 1e6))

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


# --- sniff --------------------------------------------------------------------------------------------


@app.command()
def sniff(
    iface: Annotated[str | None, typer.Option(metavar="NAME", help="Listen here.")] = None,
    read: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Or read this pcap or pcapng file.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the frames to this pcap file.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Every field of every frame, EXI decoded.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Not only the powerline's own messages and SDP.")
    ] = False,
    tcp_port: Annotated[
        list[int] | None, typer.Option(metavar="PORT", help="Read this TCP port as V2GTP (repeatable).")
    ] = None,
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="Stop after so many frames.")] = None,
) -> None:
    """Show what goes over the powerline, in words."""
    if (iface is None) == (read is None):
        stop("one of --iface and --read is wanted")
    need_scapy()
    import trio

    from .layers_v2gtp import bind_v2gtp
    from .rawsocket import RawLink
    from .sniff import describe, dissect, frames, frames_of
    from .wire import mmtype_of

    for port in tcp_port or []:
        bind_v2gtp(port)
    first: float | None = None
    seen = 0

    def one(when: float, frame: bytes) -> bool:
        nonlocal first, seen
        line = describe(frame)
        if not (everything or tcp_port or mmtype_of(frame) is not None or "SDP " in line):
            return True
        first = when if first is None else first
        seen += 1
        out.print(f"{when - first:10.4f}  {escape(line)}", soft_wrap=True)
        if show:
            out.print(escape(dissect(frame)), soft_wrap=True)
        if save:
            save(when, frame)
        return count is None or seen < count

    async def listen() -> None:
        link = RawLink(str(iface), None)
        try:
            async for when, frame in frames(link):
                if not one(when, frame):
                    return
        finally:
            link.close()

    with readable(), _pcap_writer(write) as save:
        try:
            if read is not None:
                for when, frame in frames_of(read):
                    if not one(when, frame):
                        break
            else:
                trio.run(listen)
        except KeyboardInterrupt:
            pass  # the way to end it
        except OSError as error:
            if error.filename is not None:
                raise
            _no_interface(iface, error)


# --- doctor -------------------------------------------------------------------------------------------


@app.command()
def doctor(
    iface: Annotated[str, typer.Option(metavar="NAME", help="Interface of the modem.")],
    role: Annotated[Side, typer.Option(help="The side that the modem is for.")] = Side.ev,
    change_key: Annotated[
        bool, typer.Option("--change-key", help="Also set a random network key and read it back.")
    ] = False,
    json: Report = None,
) -> None:
    """Check interface, modem and machine; say what to do about faults.

    Exit code 1 if one would stop a session.
    """
    need_scapy()
    import trio

    from .doctor import examine, table

    with readable():
        report = trio.run(lambda: examine(iface, role.value, change_key=change_key))
        if json is not None:
            checks = [
                {"check": c.name, "status": c.status.name.lower(), "detail": c.detail, "fix": c.fix}
                for c in report.checks
            ]
            _write_json(json, checks)
        if str(json) != "-":
            out.print(table(report))
    if report.failed:
        raise typer.Exit(Exit.FAILED)


# --- attack -------------------------------------------------------------------------------------------


@app.command()
def attack(
    against: Annotated[Side, typer.Argument(help="The side that is attacked.")],
    iface: Annotated[
        str | None, typer.Option(metavar="NAME", help="Interface of the attacker's modem.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(metavar="MAC", help="Address of a target (repeatable).")
    ] = None,
    capture: Annotated[
        Path, typer.Option(metavar="FILE", help="Everything goes into this pcap file.")
    ] = Path("attack.pcap"),
    only: Annotated[
        list[str] | None, typer.Option(metavar="ATTACK", help="Name of an attack (repeatable).")
    ] = None,
    i_own_this: Annotated[
        bool, typer.Option("--i-own-this", help="The targets and the line are mine.")
    ] = False,
    show: Annotated[bool, typer.Option("--list", help="Only name the attacks.")] = False,
) -> None:
    """Attack the matching of one's own equipment.

    Exit code 1 if a target did not behave as a good one does.
    """
    need_scapy()
    import trio

    from .attacks import NotPermitted, Permit, attacker
    from .attacks_matched import ATTACKS

    chosen = [each for each in ATTACKS.values() if each.against == against.value.upper()]
    if show:
        for each in chosen:
            out.print(f"{each.name}: {each.good}")
        return
    unknown = set(only or []) - {each.name for each in chosen}
    if unknown:
        stop(f"no attack named {', '.join(sorted(unknown))}; --list names them")
    if iface is None:
        stop("--iface is wanted: attacks have no default interface")
    targets = frozenset(map(_mac, target or []))
    bad = 0

    async def run() -> None:
        nonlocal bad
        async with attacker(iface, Permit(targets, i_own_this), capture=capture) as bench:
            for each in chosen:
                if only and each.name not in only:
                    continue
                finding = await each.run(bench)
                word = {True: "[green]good[/]", False: "[bold red]BAD[/] ", None: "[dim]-[/]   "}[
                    finding.good
                ]
                bad += finding.good is False
                out.print(f"{word} {each.name}: {escape(finding.observed)}", soft_wrap=True)
                if finding.good is False:
                    out.print(f"     a good target: {escape(each.good)}", soft_wrap=True)

    with readable():
        try:
            trio.run(run)
        except NotPermitted as error:
            stop(str(error))
        except OSError as error:
            if error.filename is not None:
                raise
            _no_interface(iface, error)
    if bad:
        raise typer.Exit(Exit.FAILED)


def _mac(text: str) -> bytes:
    try:
        address = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        address = b""
    if len(address) != 6:
        stop(f"--target {text!r} is no MAC address (6 bytes in hexadecimal, as 02:00:00:00:00:01)")
    return address


if __name__ == "__main__":
    app()
