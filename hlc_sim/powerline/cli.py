"""The commands of the powerline: slac, powerline, sniff, doctor, attack.

``mount`` adds them to the command line; ``app`` has only them. Quick to import: scapy, trio and rich come
when a command runs.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..cli.errors import EPILOG, Exit, complain, readable, stop
from .cli_common import (
    Report,
    Side,
    action_text,
    escape,
    match_facts,
    match_table,
    need_scapy,
    no_interface,
    out,
    pcap_writer,
    write_json,
)
from .cli_line import powerline

_ANSWERS_WITHIN = 35.0
"""s that a station may take to its next answer: a modem's reset, E/F, 5 % again."""

if TYPE_CHECKING:
    from .host import FrameTap

app = typer.Typer(no_args_is_help=True, help="HomePlug Green PHY: real modems and a simulated powerline.")


app.command()(powerline)


def mount(app: typer.Typer, panel: str) -> None:
    """Add the commands of this module to an application, in this panel of its help."""
    for command in (slac, sniff, doctor, powerline, attack):
        app.command(rich_help_panel=panel, epilog=EPILOG)(command)


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
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show every message, of both sides.")
    ] = False,
) -> None:
    """Match as an EV or an EVSE over a modem; print the attenuation.

    It has no control pilot: the vehicle counts as plugged.
    """
    need_scapy()
    import trio

    from iso15118.slac import EvseSlacConfig, EvSlacConfig

    from .matching import SlacFailed, ev_slac, evse_slac
    from .sniff import describe
    from .wire import SLAC_MMTYPES, mmtype_of

    started = time.monotonic()
    silent = str(json) == "-"

    def observe(_when: float, action: Any) -> None:
        show(action_text(action, verbose))

    def show(line: str) -> None:
        if line and not silent:
            out.print(f"[dim]{time.monotonic() - started:7.3f}[/] {line}", soft_wrap=True)

    def tap(frame: bytes, _sent: bool) -> None:
        """What both sides say, but for the talk with the own modem."""
        if mmtype_of(frame) in SLAC_MMTYPES:
            show(f"  {escape(describe(frame))}")

    taps: list[FrameTap] = [tap] if verbose else []

    async def run() -> None:
        if role is Side.ev:
            ev = EvSlacConfig(
                bytes(6),
                signalattn_direct=signalattn_direct,
                signalattn_indirect=signalattn_indirect,
                survey_requests=survey_requests,
            )
            context: Any = ev_slac(iface, config=ev, observer=observe, taps=taps)
        else:
            evse = EvseSlacConfig(
                bytes(6), synth_attenuation=synth_attenuation, attenuation_offset=attenuation_offset
            )
            context = evse_slac(iface, config=evse, observer=observe, taps=taps)
        async with context as running:
            if not silent:
                out.print(f"modem: {escape(str(running.modem.info))}")
            with trio.fail_after(timeout):
                match = await running.matched()
            if json is not None:
                write_json(json, match_facts(match))
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
            stop(f"{error}{_hint(str(error))}", Exit.NO_CONNECTION)
        except OSError as error:
            no_interface(iface, error)


def _hint(reason: str) -> str:
    """What to do about a matching that failed."""
    if "toggles" in reason:
        return "; this command has no control pilot to toggle: raise --signalattn-direct"
    if "no station answered" in reason:
        return "; -v shows every message, hlc doctor looks for stations"
    return ""


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

    with readable(), pcap_writer(write) as save:
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
            no_interface(iface, error)


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
            write_json(json, checks)
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

    A station must answer honest requests before each attack: let it serve one vehicle after another, as
    hlc secc --powerline does. A car must begin to match again and again. Exit code 1 if a target did not
    behave as a good one does, 3 if nothing was judged or a station fell silent.
    """
    need_scapy()
    import trio

    from .attacks import ON_MODEM, NotPermitted, Permit, attacker
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
    chosen = [each for each in chosen if not only or each.name in only]
    permit = Permit(targets, i_own_this)
    bad, judged, code = 0, 0, Exit.OK

    def silent(after: str, left: int) -> None:
        nonlocal code
        code = Exit.NO_CONNECTION
        what = f"after {after!r}: {left} attack(s) not tried" if after else "at all: nothing was judged"
        complain(
            f"{', '.join(target or [])} answers no CM_SLAC_PARM.REQ {what}. Is it the host's address and the "
            "line right, is it ready for a vehicle again by itself (hlc secc --powerline is)?"
        )

    async def run() -> None:
        nonlocal bad, judged, code
        permit.check()
        typer.echo(
            f"{len(chosen)} attack(s) on {', '.join(target or [])} through the modem on {iface}; all take "
            f"some minutes. Broadcasts reach everybody on the line. Capture: {capture}",
            err=True,
        )
        async with attacker(iface, permit, capture=capture) as bench:
            for done, each in enumerate(chosen):
                asks = against is Side.evse and each.name not in ON_MODEM
                if asks and not await bench.ready(_ANSWERS_WITHIN):
                    silent(chosen[done - 1].name if done else "", len(chosen) - done)
                    return
                finding = await each.run(bench)
                word = {True: "[green]good[/]", False: "[bold red]BAD[/] ", None: "[dim]-[/]   "}[
                    finding.good
                ]
                bad += finding.good is False
                judged += finding.good is not None
                out.print(f"{word} {each.name}: {escape(finding.observed)}", soft_wrap=True)
                if finding.good is False:
                    out.print(f"     a good target: {escape(each.good)}", soft_wrap=True)
            typer.echo(f"{judged - bad} good, {bad} bad, {len(chosen) - judged} not judged", err=True)
            code = Exit.OK if judged else Exit.NO_CONNECTION

    with readable():
        try:
            trio.run(run)
        except NotPermitted as error:
            stop(str(error))
        except OSError as error:
            if error.filename is not None:
                raise
            no_interface(iface, error)
    if bad or code:
        raise typer.Exit(Exit.FAILED if bad else code)


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
