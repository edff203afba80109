"""`hlc check`, `hlc report` and `hlc trace`; mounted by the command line, and quick to import."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..cli.errors import EPILOG, Exit, complain, readable, stop
from ..cli.options import ReadKeyLog, Side

if TYPE_CHECKING:
    from ..transport.tls import TLSConfig
    from . import events as ev
    from .check import Verdict
    from .load import Input

trace = typer.Typer(
    name="trace", help="Traces and captures: show, compare, replay, convert.", no_args_is_help=True
)

_FORMS = "trace (JSON lines), pcap, pcapng, or - for standard input"
Recording = Annotated[str, typer.Argument(metavar="FILE", help=f"A {_FORMS}.")]
Recordings = Annotated[list[str], typer.Argument(metavar="FILE...", help=f"Each a {_FORMS}.")]
NoTLS = Annotated[bool, typer.Option("--lab-plain-tcp", help="Do not judge that there is no TLS 1.3.")]


class Format(StrEnum):
    text = "text"
    json = "json"
    junit = "junit"


class Timers(StrEnum):
    strict = "strict"
    relaxed = "relaxed"


class Threshold(StrEnum):
    error = "error"
    performance = "performance"
    note = "note"


def mount(app: typer.Typer, panel: str) -> None:
    """Add the commands of this module to an application, in this panel of its help."""
    for command in (check, report):
        app.command(rich_help_panel=panel, epilog=EPILOG)(command)
    app.add_typer(trace, rich_help_panel=panel)


@contextmanager
def opened(file: str, keylog: Path | None) -> Iterator[Input]:
    """The input; what makes it unreadable ends the command with one line and exit code 2."""
    from .load import UnreadableInput, open_input

    with readable():
        try:
            with open_input(None if file == "-" else Path(file), sys.stdin.buffer, keylog=keylog) as source:
                yield source
        except UnreadableInput as error:
            stop(f"{file}: {error}")


def each(files: list[str], work: Callable[[str], Exit]) -> None:
    """The same for every file, also after one that cannot be read; the exit code is the worst."""
    worst = Exit.OK
    for file in files:
        try:
            worst = max(worst, work(file))
        except typer.Exit as end:
            if end.exit_code == Exit.INTERRUPTED:
                raise
            worst = max(worst, Exit(end.exit_code))
    if worst:
        raise typer.Exit(worst)


def named(file: str) -> str:
    return "standard input" if file == "-" else file


def watched(source: Input, what: str) -> Iterator[ev.Event]:
    """The events of an input; on a terminal, with a progress bar once it takes long."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal or not source.size or source.size < 5_000_000:
        yield from source
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=source.size)
        for count, event in enumerate(source):
            if count % 500 == 0:
                progress.update(task, completed=source.position())
            yield event


def check(
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE...", help=f"Each a {_FORMS}.")] = None,
    format: Annotated[Format, typer.Option("--format", help="Form of the answer.")] = Format.text,
    timers: Annotated[
        Timers, typer.Option("--timers", help="Times to judge by; relaxed: as public stacks keep them.")
    ] = Timers.strict,
    scale: Annotated[bool, typer.Option("--scale", help="Judge by the SCALE requirements, too.")] = False,
    keylog: ReadKeyLog = None,
    lab_plain_tcp: NoTLS = False,
    fail_on: Annotated[
        Threshold, typer.Option("--fail-on", help="The mildest finding that makes the exit code 1.")
    ] = Threshold.error,
    list_rules: Annotated[bool, typer.Option("--list", help="List the rules and end.")] = False,
) -> None:
    """Judge recorded sessions by the rules of ISO 15118-20.

    Of several files, the findings of those that fail are shown, and a line for each at the end; the exit code
    is the worst.
    """
    from rich.console import Console

    from iso15118.session.timers import RELAXED, STRICT

    from . import verdict_formats as formats
    from .check import Checker

    if list_rules:
        _list_rules()
        return
    if not files:
        stop("which FILE?")
    console = Console()
    verdicts: dict[str, Verdict] = {}

    names = {file: named(file) if len(files) > 1 else Path(named(file)).name for file in files}

    def judge(file: str) -> Exit:
        name = names[file]
        checker = Checker(
            profile=RELAXED if timers is Timers.relaxed else STRICT, lab_plain_tcp=lab_plain_tcp, scale=scale
        )
        with opened(file, keylog) as source:
            for event in watched(source, f"checking {name}"):
                checker.see(event)
            verdict = checker.verdict()
            verdict.notes += source.problems
        verdicts[name] = verdict
        failed = _fails(verdict, fail_on)
        if format is Format.text and (len(files) == 1 or failed):
            formats.as_text(console, verdict, name)
        if not any(outcome.frames for outcome in verdict.outcomes.values()):
            unread = (
                ", that can be read (--keylog: TLS secrets)"
                if any("key log" in n for n in verdict.notes)
                else ""
            )
            complain(f"{name}: no V2GTP session in it{unread}")
            return Exit.USAGE
        return Exit.FAILED if failed else Exit.OK

    try:
        each(files, judge)
    finally:
        if format is Format.json and verdicts:
            typer.echo(formats.as_json(verdicts))
        elif format is Format.junit and verdicts:
            typer.echo(formats.as_junit(verdicts))
        elif format is Format.text and len(files) > 1:
            for name in names.values():
                told = formats.summary(verdicts[name]) if name in verdicts else "not readable"
                console.print(f"{name}: {told}", soft_wrap=True, highlight=False)


def _fails(verdict: Verdict, threshold: Threshold) -> bool:
    from iso15118.session.events import Severity
    from iso15118.session.judge.scale import Result

    levels = list(Severity)[: list(Threshold).index(threshold) + 1]
    failed = any(item.result is Result.FAIL for items in verdict.scale.values() for item in items)
    return failed or verdict.of(*levels) > 0


def _list_rules() -> None:
    from iso15118.session.judge import RULES
    from iso15118.session.judge.scale import requirements
    from iso15118.session.judge.timing import NOT_VISIBLE

    for rule in sorted(RULES.values(), key=lambda rule: rule.id):
        binds = rule.binds.value if rule.binds else "both"
        cited = ", ".join(rule.requirements) or "-"
        typer.echo(f"{rule.id}\t{rule.severity.value}\t{binds}\t{cited}\t{rule.text}")
    for item in requirements():
        typer.echo(f"scale {item.id}\t{item.title}\t{item.module}\t{item.text}")
    for name, why in NOT_VISIBLE.items():
        typer.echo(f"not judged: timer {name}: {why}")


def report(
    files: Recordings,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="HTML", help="Where to write the page [default: beside FILE]."
        ),
    ] = None,
    keylog: ReadKeyLog = None,
    lab_plain_tcp: NoTLS = False,
    charts: Annotated[
        bool | None,
        typer.Option(
            "--charts/--no-charts",
            help="With or without the charts, and their 2 MB [default: with, if there is plotly].",
        ),
    ] = None,
) -> None:
    """Write a page about a session: verdict, messages, charts, times.

    One file, that opens offline; for each FILE one.
    """
    from ..report import ChartsMissing, build

    if output is not None and len(files) > 1:
        stop("--output is for one FILE; the pages of several stand beside them")
    if charts is None:
        charts = find_spec("plotly") is not None
        if not charts:
            complain("without charts, which need plotly: pip install 'hlc-sim[report]'")

    def write(file: str) -> Exit:
        target = output or (Path(file).with_suffix(".html") if file != "-" else Path("report.html"))
        name = Path(named(file)).name
        if not target.parent.is_dir():  # to read a long trace takes minutes
            stop(f"{target.parent}: no such directory")
        with opened(file, keylog) as source:
            try:
                page = build(
                    watched(source, f"reading {name}"), name=name, lab_plain_tcp=lab_plain_tcp, charts=charts
                )
            except ChartsMissing as error:
                stop(str(error))
            target.write_text(page, encoding="utf-8")
        typer.echo(f"{target}: {len(page.encode()) / 1e6:.1f} MB")
        return Exit.OK

    each(files, write)


@trace.command(epilog=EPILOG)
def show(
    files: Recordings,
    keylog: ReadKeyLog = None,
    full: Annotated[bool, typer.Option("--full", help="Every message with all its elements.")] = False,
    every: Annotated[bool, typer.Option("--all", help="List every repetition.")] = False,
) -> None:
    """The messages of recordings, as a table each.

    With --full, exit code 1 says that a message could not be decoded.
    """
    from ..cli.console import console as made
    from .show import show_messages, show_table

    console = made()

    def one(file: str) -> Exit:
        if len(files) > 1:
            console.print(named(file), style="bold", soft_wrap=True, highlight=False)
        good = True
        with opened(file, keylog) as source:
            if full:
                good = show_messages(console, source)
            else:
                show_table(console, source, collapse=not every)
            for problem in source.problems:
                typer.secho(problem, err=True, fg=typer.colors.YELLOW)
        return Exit.OK if good else Exit.FAILED

    each(files, one)


@trace.command(epilog=EPILOG)
def diff(
    left: Recording,
    right: Annotated[str, typer.Argument(metavar="OTHER", help="The one to compare it with.")],
    keylog: ReadKeyLog = None,
    everything: Annotated[
        bool,
        typer.Option("--everything", help="Also what differs between any two runs: ids, times, challenges."),
    ] = False,
) -> None:
    """Compare two recordings message by message. Exit code 1 if they differ."""
    from rich.console import Console
    from rich.text import Text

    from .diff import compare, frames_of

    sides = []
    for file in (left, right):
        with opened(file, keylog) as source:
            sides.append(frames_of(source))
    console = Console()
    count = 0
    for change in compare(*sides, everything=everything):
        count += 1
        frame = change.left or change.right
        assert frame is not None
        numbers = (
            f"#{change.left.number if change.left else '-'} / #{change.right.number if change.right else '-'}"
        )
        console.print(
            Text(
                f"{numbers:14} {frame.sender} {frame.name or hex(frame.payload_type)}  {change.kind}",
                style="bold",
            )
        )
        for path, one, other in change.paths:
            console.print(Text(f"    {path}: {one} / {other}"), soft_wrap=True)
    console.print(f"{len(sides[0])} and {len(sides[1])} messages, {count} differences")
    if count:
        raise typer.Exit(Exit.FAILED)


@trace.command(epilog=EPILOG)
def pcap(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Each a trace (JSON lines).")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PCAPNG", help="Where to write it [default: beside FILE]."),
    ] = None,
) -> None:
    """Make a capture for Wireshark of a trace, as --trace does at a session's end, but not after kill -9.

    Octets and times are as recorded, the TLS secrets are inside; Ethernet, IP and TCP headers are made up.
    """
    from .export import export
    from .load import UnreadableInput

    if output is not None and len(files) > 1:
        stop("--output is for one FILE; the captures of several stand beside them")

    def write(file: str) -> Exit:
        source = Path(file)
        target = output or source.with_suffix(".pcapng")
        with readable():
            try:
                packets = export(source, target)
            except UnreadableInput as error:
                stop(f"{file}: {error}")
        if not packets:
            target.unlink()
            stop(f"{file}: nothing in it went over a wire")
        typer.echo(f"{target}: {packets} packets")
        return Exit.OK

    each(files, write)


@trace.command(epilog=EPILOG)
def replay(
    file: Recording,
    role: Annotated[Side, typer.Option("--role", help="The side to say again.")] = Side.evcc,
    connect: Annotated[
        str | None, typer.Option("--connect", metavar="HOST:PORT", help="A live SECC, for --role evcc.")
    ] = None,
    listen: Annotated[
        int | None,
        typer.Option(
            "--listen", metavar="PORT", min=1, max=65535, help="Await a live EVCC, for --role secc."
        ),
    ] = None,
    iface: Annotated[
        str, typer.Option("--iface", metavar="NAME", help="Network interface to listen on.")
    ] = "lo",
    pki: Annotated[
        Path | None,
        typer.Option("--pki", metavar="DIR", help="Certificates made by v2g-pki mint; without any, no TLS."),
    ] = None,
    cert: Annotated[Path | None, typer.Option("--cert", metavar="PEM", help="TLS certificate chain.")] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="PEM", help="Its private key.")] = None,
    root: Annotated[list[Path] | None, typer.Option("--root", metavar="PEM", help="Trusted roots.")] = None,
    pace: Annotated[bool, typer.Option("--pace", help="Keep the recorded pauses between requests.")] = False,
    keylog: ReadKeyLog = None,
) -> None:
    """Say one side of a recording again: to a live peer, or else to our own other side in this process.

    Prints each exchange with what the live peer said differently. Exit code 1 if it did not go to the end.
    """
    import trio

    from ..cli.common import host_and_port
    from .replay import EVCCReplay, SECCReplay, against_ourselves, exchanges_of, live_peer, steps_text

    with opened(file, keylog) as source:
        exchanges = exchanges_of(source)
    if not exchanges:
        stop(f"{file}: no exchange in it")
    player = EVCCReplay(exchanges, pace=pace) if role is Side.evcc else SECCReplay(exchanges)
    with readable():
        if connect is None and listen is None:
            trio.run(against_ourselves, player)
        else:
            address = host_and_port(connect) if connect else None
            trio.run(live_peer, player, address, listen, iface, _tls(role, pki, cert, key, root or []))
    for line in steps_text(player.steps):
        typer.echo(line)
    typer.echo(f"{len(player.steps)} of {len(exchanges)} exchanges; {player.ended}")
    if not player.complete:
        raise typer.Exit(Exit.FAILED)


def _tls(
    side: Side, pki: Path | None, cert: Path | None, key: Path | None, roots: list[Path]
) -> TLSConfig | None:
    """How a replay of this side secures its connection; None: it does not."""
    if pki is not None:
        from pki.hierarchy import Hierarchy

        from ..trust import station_of, vehicle_of

        hierarchy = Hierarchy.load(pki)
        return vehicle_of(hierarchy).tls if side is Side.evcc else station_of(hierarchy).tls
    if cert is None:
        return None
    from ..transport.tls import TLSConfig

    return TLSConfig.load(cert, key, roots=roots)
