"""The commands of `hlc` and their options; what they do is in the other modules of this package.

A command is a function with `@app.command(rich_help_panel=...)`, one of the four groups of `hlc --help`. It
imports what it needs when it runs, inside `readable()`. A room with commands of its own (trace, scenario,
fuzz, powerline) has them in its `cli` module; they are mounted at the end of this one.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..conformance.cli import conformance
from ..fuzz.cli import fuzz
from ..powerline import cli as powerline_commands
from ..scenario import cli as scenario_commands
from ..trace import cli as trace_commands
from .errors import EPILOG
from .options import (
    EIM,
    MODES,
    Control,
    KeyLog,
    LabPlainTCP,
    Mode,
    Place,
    ReadKeyLog,
    Recording,
    SDPPort,
    Secured,
    grouped,
)
from .overview import Overview

SESSIONS = "Sessions"
RECORDINGS = "Recordings"
TESTS = "Tests of a device"
POWERLINE = "Powerline (HomePlug Green PHY)"

app = typer.Typer(
    name="hlc",
    cls=Overview,
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log every message.")]
Template = Annotated[
    bool, typer.Option("--template", help="Print a configuration file with every key, and end.")
]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"hlc-sim {version('hlc-sim')}")
        raise typer.Exit


@app.callback()
def hlc(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and end.")
    ] = False,
) -> None:
    """ISO 15118-20 test bench: be a charger, be a car, see what was said."""


@app.command(rich_help_panel=SESSIONS, epilog=EPILOG)
@grouped
def secc(
    place: Place,
    security: Secured,
    recording: Recording,
    mode: Annotated[
        list[Mode] | None,
        typer.Option(
            "--mode", metavar="MODE", help=f"Energy service on offer (repeatable): {MODES} [default: dc]."
        ),
    ] = None,
    control: Annotated[
        Control | None, typer.Option("--control", help="Offer only this control mode.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", metavar="PORT", min=1, max=65535, help="TCP port [default: a free one from 49152 up]."
        ),
    ] = None,
    sdp_port: SDPPort = 15118,
    no_sdp: Annotated[bool, typer.Option("--no-sdp", help="Answer no SDP requests.")] = False,
    sessions: Annotated[
        int, typer.Option("--sessions", metavar="N", min=0, help="End after this many sessions; 0: never.")
    ] = 0,
    template: Template = False,
    verbose: Verbose = False,
) -> None:
    """Be a charger: answer SDP, serve any number of EVs at once.

    Ctrl-C switches it off. What it offers, how its power stage behaves and what goes wrong with it can be
    said in a file (--config); an option goes before the file.
    """
    from .errors import readable

    if template:
        from ..config import StationConfig
        from ..config.template import text

        typer.echo(text(StationConfig, "hlc secc"), nl=False)
        return
    from .secc import run_secc

    with readable():
        run_secc(
            place,
            security,
            recording,
            modes=tuple(item.value for item in mode or ()),
            control=control.value if control else None,
            port=port,
            sdp_port=None if no_sdp else sdp_port,
            sessions=sessions,
            verbose=verbose,
        )


@app.command(rich_help_panel=SESSIONS, epilog=EPILOG)
@grouped
def evcc(
    place: Place,
    security: Secured,
    recording: Recording,
    mode: Annotated[
        Mode | None,
        typer.Option("--mode", metavar="MODE", help=f"Energy service wanted: {MODES} [default: dc]."),
    ] = None,
    control: Annotated[Control | None, typer.Option("--control", help="Use only this control mode.")] = None,
    connect: Annotated[
        str | None, typer.Option("--connect", metavar="HOST:PORT", help="Connect there, without SDP.")
    ] = None,
    sdp_port: SDPPort = 15118,
    sessions: Annotated[
        int, typer.Option("--sessions", metavar="N", min=1, help="Sessions one after another.")
    ] = 1,
    loops: Annotated[
        int | None,
        typer.Option(
            "--charge-loops",
            "--loops",
            metavar="N",
            min=1,
            help="Charge loops of a session; the ramp-down may add some [default: until charged].",
        ),
    ] = None,
    template: Template = False,
    verbose: Verbose = False,
) -> None:
    """Be a car: find a charger by SDP and charge at it.

    Its battery, its driver and its habits can be described in a file (--config); an option goes before the
    file. A session that was paused is resumed by the next of --sessions.
    """
    from .errors import readable

    if template:
        from ..config import VehicleConfig
        from ..config.template import text

        typer.echo(text(VehicleConfig, "hlc evcc"), nl=False)
        return
    from .evcc import run_evcc

    with readable():
        run_evcc(
            place,
            security,
            recording,
            mode=mode.value if mode else None,
            control=control.value if control else None,
            connect=connect,
            sdp_port=sdp_port,
            sessions=sessions,
            loops=loops,
            verbose=verbose,
        )


@app.command(rich_help_panel=SESSIONS, epilog=EPILOG)
@grouped
def demo(
    recording: Recording,
    mode: Annotated[Mode, typer.Option("--mode", metavar="MODE", help=f"Energy service: {MODES}.")] = Mode.dc,
    control: Annotated[Control, typer.Option("--control", help="Control mode.")] = Control.dynamic,
    speed: Annotated[
        float, typer.Option("--speed", metavar="N", help="Simulated seconds per second.")
    ] = 240.0,
    powerline: Annotated[
        bool, typer.Option("--powerline", help="Over a simulated powerline, SLAC first (needs namespaces).")
    ] = False,
    eim: EIM = False,
    lab_plain_tcp: LabPlainTCP = False,
    keylog: KeyLog = None,
) -> None:
    """Car and charger on this machine: a whole session in seconds.

    It runs on loopback, without root, over TLS 1.3 with Plug & Charge, on certificates minted for it.
    """
    from .demo import run_demo
    from .errors import readable

    with readable():
        run_demo(
            recording,
            powerline=powerline,
            mode=mode.value,
            control=control.value,
            speed=speed,
            lab_plain_tcp=lab_plain_tcp,
            eim=eim,
            keylog=keylog,
        )


@app.command(rich_help_panel=RECORDINGS, epilog=EPILOG)
def decode(
    source: Annotated[
        list[str] | None,
        typer.Argument(metavar="[HEX | FILE | -]...", help="Hex digits, a file, or - for standard input."),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(
            "--schema",
            metavar="SET",
            help="Schema set of a bare EXI stream: sap, iso20_common, iso20_ac, iso20_dc, ...",
        ),
    ] = None,
    compact: Annotated[bool, typer.Option("--compact", help="One line of JSON per message.")] = False,
    keylog: ReadKeyLog = None,
) -> None:
    """Say in words what EXI or V2GTP bytes mean, as JSON.

    Understands hex (V2GTP frames, or bare EXI), binary files, JSON lines with a field **exi** or
    **exi_hex**, traces, and captures (pcap, pcapng), TLS with a key log. For what is broken it
    prints what was decoded, the bit where it went wrong and what was expected, and ends with exit code 1.
    """
    from .decode import run_decode
    from .errors import readable

    with readable():
        run_decode(source or ["-"], schema=schema, compact=compact, keylog=keylog)


@app.command(rich_help_panel=RECORDINGS, epilog=EPILOG)
def encode(
    source: Annotated[str, typer.Argument(metavar="[FILE | -]", help="JSON, or - for standard input.")] = "-",
    schema: Annotated[
        str | None,
        typer.Option("--schema", metavar="SET", help="Schema set [default: the one that has the element]."),
    ] = None,
) -> None:
    """Turn messages in JSON back into EXI or V2GTP, as hex.

    The form is that which **hlc decode** prints. With a **payload_type** beside it a message becomes a V2GTP
    frame, else bare EXI. What the schema forbids but EXI can say, as a text that is too long, is encoded and
    noted.
    """
    from .encode import run_encode
    from .errors import readable

    with readable():
        run_encode(source, schema=schema)


trace_commands.mount(app, RECORDINGS)
app.add_typer(scenario_commands.app, rich_help_panel=TESTS)
app.command(rich_help_panel=TESTS, epilog=EPILOG)(conformance)
app.command(
    rich_help_panel=TESTS, epilog=EPILOG, short_help="Throw generated messages, keep what breaks it."
)(fuzz)
powerline_commands.mount(app, POWERLINE)


def main() -> None:
    """Entry point of the `hlc` script.

    To inspect the options of every command takes longer than a station takes to start, so a command that is
    named first is built alone.
    """
    name, *arguments = sys.argv[1:] or [""]
    named = [item for item in app.registered_commands if item.callback and item.callback.__name__ == name]
    if not named:
        app()
        return
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
    alone.registered_commands = named
    alone(arguments, prog_name=f"hlc {name}")
