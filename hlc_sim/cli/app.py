"""The commands and their options; what they do is in the other modules of this package."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..conformance.cli import conformance
from ..fuzz.cli import fuzz
from ..powerline import cli as powerline_commands
from ..scenario import cli as scenario_commands
from ..trace import cli as trace_commands
from .errors import EPILOG

app = typer.Typer(
    name="hlc",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


class Mode(StrEnum):
    ac = "ac"
    dc = "dc"
    ac_bpt = "ac_bpt"
    dc_bpt = "dc_bpt"
    mcs = "mcs"
    mcs_bpt = "mcs_bpt"


class Profile(StrEnum):
    iso20 = "iso20"
    lenient = "lenient"


class Control(StrEnum):
    scheduled = "scheduled"
    dynamic = "dynamic"


Config = Annotated[Path | None, typer.Option("--config", metavar="FILE.toml", help="Configuration file.")]
Interface = Annotated[str, typer.Option("--iface", help="Network interface; SDP and TCP use no other.")]
Powerline = Annotated[
    bool, typer.Option("--powerline", help="Match over the modem on --iface first (SLAC), leave at the end.")
]
LabPlainTCP = Annotated[
    bool,
    typer.Option(
        "--lab-plain-tcp",
        help="Run ISO 15118-20 without TLS, against [V2G20-1237] and [V2G20-2356]: for the laboratory only.",
    ),
]
Speed = Annotated[
    float | None, typer.Option("--speed", help="Simulated seconds per second of the physical models.")
]
Sessions = Annotated[int, typer.Option("--sessions", min=0, help="End after this many sessions; 0: never.")]
Report = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the results there as JSON ('-': stdout).")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log every message.")]
PKI = Annotated[
    Path | None,
    typer.Option("--pki", metavar="DIR", help="Certificates and keys, made by v2g-pki mint --out DIR."),
]
Chain = Annotated[
    Path | None, typer.Option("--cert", metavar="PEM", help="TLS certificate chain, leaf first.")
]
Key = Annotated[Path | None, typer.Option("--key", metavar="PEM", help="Private key of the TLS certificate.")]
Roots = Annotated[
    list[Path] | None, typer.Option("--root", metavar="PEM", help="Trusted roots of the peer (repeatable).")
]
KeyLog = Annotated[
    Path | None, typer.Option("--keylog", metavar="FILE", help="Write TLS secrets there (NSS format).")
]
TLSProfile = Annotated[
    Profile | None,
    typer.Option("--profile", help="TLS and chain rules \\[default: as the PKI was minted, else iso20]."),
]
EIM = Annotated[bool, typer.Option("--eim", help="No Plug & Charge: authorize by external means.")]
Trace = Annotated[
    Path | None,
    typer.Option(
        "--trace", metavar="DIR", help="Record everything there: JSON lines, and pcapng for Wireshark."
    ),
]
TraceMax = Annotated[
    int | None,
    typer.Option(
        "--trace-max-mb",
        metavar="MB",
        min=1,
        help="Keep only the latest part of the JSON lines of --trace, of at most this size (10^6 bytes).",
    ),
]
Disclose = Annotated[
    bool,
    typer.Option(
        "--disclose-secrets",
        help="Send TLS secrets over UDP on the interface, for live decryption with dsV2Gshark.",
    ),
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


@app.command(epilog=EPILOG)
def secc(
    iface: Interface = "lo",
    powerline: Powerline = False,
    mode: Annotated[
        list[Mode] | None,
        typer.Option("--mode", help="Energy service on offer (repeatable) \\[default: dc]."),
    ] = None,
    control: Annotated[
        Control | None, typer.Option("--control", help="Offer only this control mode.")
    ] = None,
    config: Config = None,
    lab_plain_tcp: LabPlainTCP = False,
    port: Annotated[
        int | None, typer.Option("--port", help="TCP port \\[default: a free one from 49152 up].")
    ] = None,
    sdp_port: Annotated[int, typer.Option("--sdp-port", help="UDP port of SDP.")] = 15118,
    no_sdp: Annotated[bool, typer.Option("--no-sdp", help="Answer no SDP requests.")] = False,
    sessions: Sessions = 0,
    speed: Speed = None,
    pki: PKI = None,
    cert: Chain = None,
    key: Key = None,
    root: Roots = None,
    profile: TLSProfile = None,
    eim: EIM = False,
    keylog: KeyLog = None,
    disclose_secrets: Disclose = False,
    trace: Trace = None,
    trace_max_mb: TraceMax = None,
    json: Report = None,
    verbose: Verbose = False,
) -> None:
    """Be a charger: answer SDP, serve any number of EVs at once."""
    from .common import Secured, trace_max
    from .errors import readable
    from .secc import run_secc

    with readable():
        run_secc(
            iface=iface,
            powerline=powerline,
            modes=tuple(item.value for item in mode or ()),
            control=control.value if control else None,
            config=config,
            secured=Secured(
                lab_plain_tcp,
                pki,
                cert,
                key,
                tuple(root or ()),
                profile.value if profile else None,
                keylog,
                eim,
                disclose_secrets,
            ),
            port=port,
            sdp_port=None if no_sdp else sdp_port,
            sessions=sessions,
            speed=speed,
            trace=trace,
            trace_max=trace_max(trace, trace_max_mb),
            report=json,
            verbose=verbose,
        )


@app.command(epilog=EPILOG)
def evcc(
    iface: Interface = "lo",
    powerline: Powerline = False,
    mode: Annotated[
        Mode | None, typer.Option("--mode", help="Energy service wanted \\[default: dc].")
    ] = None,
    control: Annotated[Control | None, typer.Option("--control", help="Use only this control mode.")] = None,
    config: Config = None,
    lab_plain_tcp: LabPlainTCP = False,
    connect: Annotated[
        str | None, typer.Option("--connect", metavar="HOST:PORT", help="Connect there, without SDP.")
    ] = None,
    sdp_port: Annotated[int, typer.Option("--sdp-port", help="UDP port of SDP.")] = 15118,
    sessions: Annotated[int, typer.Option("--sessions", min=1, help="Sessions one after another.")] = 1,
    loops: Annotated[
        int | None,
        typer.Option("--loops", min=1, help="Charge loops of a session \\[default: until charged]."),
    ] = None,
    speed: Speed = None,
    pki: PKI = None,
    cert: Chain = None,
    key: Key = None,
    root: Roots = None,
    profile: TLSProfile = None,
    eim: EIM = False,
    keylog: KeyLog = None,
    disclose_secrets: Disclose = False,
    trace: Trace = None,
    trace_max_mb: TraceMax = None,
    json: Report = None,
    verbose: Verbose = False,
) -> None:
    """Be a car: find a charger by SDP and charge at it."""
    from .common import Secured, trace_max
    from .errors import readable
    from .evcc import run_evcc

    with readable():
        run_evcc(
            iface=iface,
            powerline=powerline,
            mode=mode.value if mode else None,
            control=control.value if control else None,
            config=config,
            secured=Secured(
                lab_plain_tcp,
                pki,
                cert,
                key,
                tuple(root or ()),
                profile.value if profile else None,
                keylog,
                eim,
                disclose_secrets,
            ),
            connect=connect,
            sdp_port=sdp_port,
            sessions=sessions,
            loops=loops,
            speed=speed,
            trace=trace,
            trace_max=trace_max(trace, trace_max_mb),
            report=json,
            verbose=verbose,
        )


@app.command(epilog=EPILOG)
def demo(
    mode: Annotated[Mode, typer.Option("--mode", help="Energy service.")] = Mode.dc,
    control: Annotated[Control, typer.Option("--control", help="Control mode.")] = Control.dynamic,
    speed: Annotated[float, typer.Option("--speed", help="Simulated seconds per second.")] = 240.0,
    powerline: Annotated[
        bool, typer.Option("--powerline", help="Over a simulated powerline, SLAC first (needs namespaces).")
    ] = False,
    lab_plain_tcp: LabPlainTCP = False,
    eim: EIM = False,
    keylog: KeyLog = None,
    trace: Trace = None,
    trace_max_mb: TraceMax = None,
    json: Report = None,
) -> None:
    """Car and charger on this machine: a whole session in seconds.

    It runs on loopback, without root, over TLS 1.3 with Plug & Charge, on certificates minted for it.
    """
    from .common import trace_max
    from .demo import run_demo
    from .errors import readable

    with readable():
        run_demo(
            powerline=powerline,
            mode=mode.value,
            control=control.value,
            speed=speed,
            lab_plain_tcp=lab_plain_tcp,
            eim=eim,
            keylog=keylog,
            trace=trace,
            trace_max=trace_max(trace, trace_max_mb),
            report=json,
        )


@app.command(epilog=EPILOG)
def decode(
    source: Annotated[
        list[str] | None,
        typer.Argument(metavar="[HEX | FILE | -]...", help="Hex digits, a file, or - for standard input."),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(
            "--schema", help="Schema set of a bare EXI stream: sap, iso20_common, iso20_ac, iso20_dc, ..."
        ),
    ] = None,
    compact: Annotated[bool, typer.Option("--compact", help="One line of JSON per message.")] = False,
    keylog: Annotated[
        Path | None, typer.Option("--keylog", metavar="FILE", help="TLS secrets for captures (NSS key log).")
    ] = None,
) -> None:
    """Say in words what EXI or V2GTP bytes mean, as JSON.

    Understands hex (V2GTP frames, or bare EXI), binary files, JSON lines with a field [bold]exi[/bold] or
    [bold]exi_hex[/bold], traces, and captures (pcap, pcapng), TLS with a key log. For what is broken it
    prints what was decoded, the bit where it went wrong and what was expected, and ends with exit code 1.
    """
    from .decode import run_decode
    from .errors import readable

    with readable():
        run_decode(source or ["-"], schema=schema, compact=compact, keylog=keylog)


trace_commands.mount(app)
app.add_typer(scenario_commands.app)
app.command(epilog=EPILOG)(conformance)
app.command(epilog=EPILOG)(fuzz)
powerline_commands.mount(app)


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
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    alone.registered_commands = named
    alone(arguments, prog_name=f"hlc {name}")
