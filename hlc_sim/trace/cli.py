"""`hlc check`, `hlc report` and `hlc trace`; mounted by the command line, and quick to import."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..cli.errors import EPILOG

if TYPE_CHECKING:
    from . import events as ev
    from .load import Input

trace = typer.Typer(name="trace", help="Traces and captures: show, compare, replay.", no_args_is_help=True)

Recording = Annotated[
    str,
    typer.Argument(metavar="FILE", help="Trace (JSON lines), pcap, pcapng, or - for standard input."),
]
Keys = Annotated[Path | None, typer.Option("--keylog", metavar="FILE", help="TLS secrets (NSS key log).")]


class Format(StrEnum):
    text = "text"
    json = "json"
    junit = "junit"


class Rules(StrEnum):
    standard = "standard"
    relaxed = "relaxed"
    scale = "scale"


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
    """The input, with errors as one line and exit code 2."""
    from .load import UnreadableInput, open_input

    try:
        with open_input(None if file == "-" else Path(file), sys.stdin.buffer, keylog=keylog) as source:
            yield source
    except UnreadableInput as error:
        _stop(f"{file}: {error}")
    except OSError as error:
        _stop(f"{error.filename or file}: {error.strerror or error}")


def _stop(text: str) -> None:
    typer.secho(f"hlc: {text}", err=True, fg=typer.colors.RED)
    raise typer.Exit(2)


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
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Trace, pcap, pcapng, or - for standard input.")
    ] = "",
    format: Annotated[Format, typer.Option("--format", help="Form of the answer.")] = Format.text,
    profile: Annotated[
        Rules,
        typer.Option(
            "--profile", help="relaxed: times as public stacks keep them; scale: SCALE requirements too."
        ),
    ] = Rules.standard,
    keylog: Keys = None,
    lab_plain_tcp: Annotated[
        bool, typer.Option("--lab-plain-tcp", help="Do not judge that there is no TLS 1.3.")
    ] = False,
    fail_on: Annotated[
        Threshold, typer.Option("--fail-on", help="The mildest finding that makes the exit code 1.")
    ] = Threshold.error,
    list_rules: Annotated[bool, typer.Option("--list", help="List the rules and end.")] = False,
) -> None:
    """Judge a recorded session by the rules of ISO 15118-20.

    Exit codes: 0 nothing found; 1 findings; 2 the file cannot be read.
    """
    from rich.console import Console

    from iso15118.session.timers import RELAXED, STRICT

    from . import verdict_formats as formats
    from .check import Checker

    if list_rules:
        _list_rules()
        return
    if not file:
        _stop("which FILE?")
    checker = Checker(
        profile=RELAXED if profile is Rules.relaxed else STRICT,
        lab_plain_tcp=lab_plain_tcp,
        scale=profile is Rules.scale,
    )
    with opened(file, keylog) as source:
        for event in watched(source, "checking"):
            checker.see(event)
        verdict = checker.verdict()
        verdict.notes += source.problems
    name = Path(file).name if file != "-" else "standard input"
    match format:
        case Format.text:
            formats.as_text(Console(), verdict, name)
        case Format.json:
            typer.echo(formats.as_json(verdict))
        case Format.junit:
            typer.echo(formats.as_junit(verdict, name))
    if not verdict.outcomes:
        _stop(f"{file}: no V2GTP session in it")
    if _fails(verdict, fail_on):
        raise typer.Exit(1)


def _fails(verdict: object, threshold: Threshold) -> bool:
    from iso15118.session.events import Severity
    from iso15118.session.judge.scale import Result

    from .check import Verdict

    assert isinstance(verdict, Verdict)
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
    file: Recording,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="HTML", help="Where to write the page.")
    ] = None,
    keylog: Keys = None,
    lab_plain_tcp: Annotated[
        bool, typer.Option("--lab-plain-tcp", help="Do not judge that there is no TLS 1.3.")
    ] = False,
    charts: Annotated[
        bool, typer.Option("--charts/--no-charts", help="Leave out the charts, and their 2 MB.")
    ] = True,
) -> None:
    """Write a page about a session: verdict, messages, charts, times.

    One file, that opens offline.
    """
    from ..report import ChartsMissing, build

    target = output or (Path(file).with_suffix(".html") if file != "-" else Path("report.html"))
    name = Path(file).name if file != "-" else "standard input"
    with opened(file, keylog) as source:
        try:
            page = build(watched(source, "reading"), name=name, lab_plain_tcp=lab_plain_tcp, charts=charts)
        except ChartsMissing as error:
            _stop(str(error))
    target.write_text(page, encoding="utf-8")
    typer.echo(f"{target}: {len(page.encode()) / 1e6:.1f} MB")


@trace.command()
def show(
    file: Recording,
    keylog: Keys = None,
    full: Annotated[bool, typer.Option("--full", help="Every message with all its elements.")] = False,
    every: Annotated[bool, typer.Option("--all", help="List every repetition.")] = False,
) -> None:
    """The messages of a recording, as a table."""
    from rich.console import Console

    from .show import show_messages, show_table

    with opened(file, keylog) as source:
        console = Console()
        if full:
            good = show_messages(console, source)
        else:
            show_table(console, source, collapse=not every)
            good = True
        for problem in source.problems:
            typer.secho(problem, err=True, fg=typer.colors.YELLOW)
    if not good:
        raise typer.Exit(1)


@trace.command()
def diff(
    left: Recording,
    right: Annotated[str, typer.Argument(metavar="FILE", help="The other one.")],
    keylog: Keys = None,
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
        raise typer.Exit(1)


class Side(StrEnum):
    evcc = "evcc"
    secc = "secc"


@trace.command()
def replay(
    file: Recording,
    role: Annotated[Side, typer.Option("--role", help="The side to say again.")] = Side.evcc,
    connect: Annotated[
        str | None, typer.Option("--connect", metavar="HOST:PORT", help="A live SECC, for --role evcc.")
    ] = None,
    listen: Annotated[
        int | None, typer.Option("--listen", metavar="PORT", help="Await a live EVCC, for --role secc.")
    ] = None,
    iface: Annotated[str, typer.Option("--iface", help="Network interface to listen on.")] = "lo",
    cert: Annotated[Path | None, typer.Option("--cert", metavar="PEM", help="TLS certificate chain.")] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="PEM", help="Its private key.")] = None,
    root: Annotated[list[Path] | None, typer.Option("--root", metavar="PEM", help="Trusted roots.")] = None,
    pace: Annotated[bool, typer.Option("--pace", help="Keep the recorded pauses between requests.")] = False,
    keylog: Keys = None,
) -> None:
    """Say one side of a recording again: to a live peer, or else to our own other side in this process.

    Prints each exchange with what the live peer said differently. Exit code 1 if it did not go to the end.
    """
    import trio

    from ..cli.errors import readable
    from .replay import EVCCReplay, SECCReplay, against_ourselves, exchanges_of, live_peer, steps_text

    with opened(file, keylog) as source:
        exchanges = exchanges_of(source)
    if not exchanges:
        _stop(f"{file}: no exchange in it")
    player = EVCCReplay(exchanges, pace=pace) if role is Side.evcc else SECCReplay(exchanges)
    with readable():
        if connect is None and listen is None:
            trio.run(against_ourselves, player)
        else:
            trio.run(live_peer, player, connect, listen, iface, cert, key, tuple(root or ()))
    for line in steps_text(player.steps):
        typer.echo(line)
    typer.echo(f"{len(player.steps)} of {len(exchanges)} exchanges; {player.ended}")
    if role is Side.evcc and len(player.steps) < len(exchanges) and "answered" not in player.ended:
        raise typer.Exit(1)
