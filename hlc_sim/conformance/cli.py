"""`hlc conformance`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..cli.options import Side, grouped
from ..scenario.device import Credentials, Device, OurSettings, PlugIn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iso15118.session.events import Role

    from ..scenario.fit import OurSide
    from .bench import MakeTarget
    from .capabilities import Capabilities
    from .model import Case, CaseResult

_NAMELESS = "a device without a name"


@grouped
def conformance(
    patterns: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CASE]...", help="Ids or patterns, as 'SECC.silence.*' [default: all]."),
    ] = None,
    against: Annotated[
        Side, typer.Option("--against", help="The side under test; --address or --iface says where it is.")
    ] = Side.secc,
    address: Annotated[
        str | None, typer.Option("--address", metavar="HOST:PORT", help="Where the SECC under test listens.")
    ] = None,
    iface: Annotated[
        str | None,
        typer.Option("--iface", help="Find the SECC there by SDP, or wait there for the EVCC to connect."),
    ] = None,
    capabilities: Annotated[
        Path | None,
        typer.Option("--capabilities", metavar="FILE.toml", help="What the device supports; see --template."),
    ] = None,
    trigger: PlugIn = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Also the cases that repeat a class of stimulus.")
    ] = False,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the verdicts there as JUnit XML.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            metavar="FILE",
            help="Append each result there (JSON lines); go on from it if it is there.",
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the cases, run nothing.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Describe the cases, run nothing.")] = False,
    template: Annotated[bool, typer.Option("--template", help="Print a capability file to fill in.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, send nothing.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Show what went over the wire, for failures.")] = False,
    *,
    settings: OurSettings,
    credentials: Credentials,
) -> None:
    """Judge a device by named cases; exit code 1 if one fails.

    Without --address and --iface the built-in device is judged, in virtual time. Nothing is sent to any
    address but the one named. What the device does not support, by its capability file, is "not applicable".
    """
    from iso15118.session.events import Role

    from ..cli.errors import Exit, can_be_written, complain, readable, stop
    from .capabilities import Capabilities, of_simulator
    from .model import Result
    from .template import text

    with readable():
        if template:
            typer.echo(text())
            return
        tests = against.role
        chosen = _chosen(tests, patterns or ["*"], thorough or bool(patterns))
        if list_ or show:
            for case in chosen:
                typer.echo(_described(case) if show else f"{case.id}  {case.title}")
            typer.echo(_count(chosen), err=True)
            return
        simulated = address is None and iface is None
        if address is not None and (iface is not None or tests is Role.EVCC):
            stop("--address is for an SECC, and not together with --iface; an EVCC connects to us: --iface")
        if trigger is not None and (iface is None or tests is Role.SECC):
            stop("--trigger makes a car connect to us: use it with --against evcc --iface")
        ours = settings.load().in_any_service()
        stated = Capabilities.load(capabilities) if capabilities is not None else None
        if stated is None:
            if not simulated:
                stop("say with --capabilities what the device supports (hlc conformance --template)")
            stated = of_simulator()
        where = f"the built-in {tests.value}"
        if not simulated:
            place = f"at {address}" if address else f"on {iface}"
            where = f"the {tests.value} {place}: {stated.device or _NAMELESS}"
        typer.echo(f"{_count(chosen)} against {where}", err=True)
        if dry_run:
            for case in chosen:
                missing = stated.missing(case.needs)
                typer.echo(f"{'would skip' if missing else 'would run'} {case.id}: {case.title}")
            return
        for path in (junit, results):
            can_be_written(path)
        device = Device("simulator" if simulated else address, iface, trigger)
        if not simulated:
            device.secure(credentials)
            ours = device.named(ours)
            stated.tls = stated.tls and not credentials.lab_plain_tcp
        done, ended = _run(chosen, stated, device.target, ours, simulated=simulated, results=results, log=log)
        _report(done, stated, junit)
        if ended is not None:
            hint = "the same command goes on from there" if results else "with --results it could go on"
            complain(f"stopped after {len(done)} of {_count(chosen)}; {hint}")
            raise ended if isinstance(ended, OSError) else KeyboardInterrupt
        if any(item.result is Result.FAIL for item in done):
            raise typer.Exit(Exit.FAILED)


def _count(cases: Sequence[Case]) -> str:
    return f"{len(cases)} case{'s' if len(cases) != 1 else ''}"


def _chosen(tests: Role, patterns: list[str], thorough: bool) -> list[Case]:
    from ..cli.patterns import matching
    from .catalogue import suite

    known = {
        case.id: case for case in suite().values() if case.tests is tests and (thorough or not case.thorough)
    }
    return matching(patterns, known, f"case for an {tests.value}")


def _described(case: Case) -> str:
    lines = [case.id, f"  {case.title}", f"  a sound device: {case.sound}"]
    if case.requirements:
        lines.append(f"  requirements: {', '.join(case.requirements)}")
    if case.needs:
        lines.append(f"  needs: {', '.join(case.needs)}")
    return "\n".join(lines)


def _run(
    cases: Sequence[Case],
    capabilities: Capabilities,
    target: MakeTarget,
    ours: OurSide,
    *,
    simulated: bool,
    results: Path | None,
    log: bool,
) -> tuple[list[CaseResult], BaseException | None]:
    """The results, and what ended them before the last: Ctrl-C, or a device that is gone."""
    from ..scenario.presence import Gone
    from . import output
    from .model import Result
    from .runner import judge_known

    earlier = (
        output.earlier(results, {case.id: case for case in cases}, capabilities.device)
        if results is not None
        else {}
    )
    known: dict[str, CaseResult] = {}
    for name, item in earlier.items():  # as the capability file is now
        judge_known(item, capabilities)
        if (item.result is Result.NOT_APPLICABLE) == bool(capabilities.missing(item.case.needs)):
            known[name] = item
    if known:
        typer.echo(f"{results}: goes on after {len(known)} cases", err=True)
    done: list[CaseResult] = []
    ended: BaseException | None = None
    try:
        for item in _results(cases, capabilities, target, ours, known, simulated=simulated):
            done.append(item)
            if results is not None and item.case.id not in known:
                output.append(results, item, capabilities.device)
            _tell(item, log, quiet=simulated)
    except (KeyboardInterrupt, Gone) as end:
        ended = end
    except BaseExceptionGroup as group:
        ended, others = group.split(KeyboardInterrupt)
        if others is not None:
            raise
    return done, ended


def _tell(item: CaseResult, log: bool, *, quiet: bool) -> None:
    from . import output
    from .model import Result

    if item.result in (Result.PASS, Result.NOT_APPLICABLE) and quiet:
        return
    typer.echo(output.line(item))
    for reason in item.reasons:
        typer.echo(f"{'':<{output.WIDTH}}  {reason}")
    if log and item.result is not Result.PASS:
        for entry in item.log:
            typer.echo(f"{'':<{output.WIDTH}}  {entry}")


def _results(
    cases: Sequence[Case],
    capabilities: Capabilities,
    target: MakeTarget,
    ours: OurSide,
    known: dict[str, CaseResult],
    *,
    simulated: bool,
) -> Iterator[CaseResult]:
    import time
    from functools import partial

    import trio

    from ..cli.errors import complain
    from ..scenario.presence import Presence
    from .bench import Shelf
    from .runner import run_case

    shelf = Shelf()
    presence = Presence(complain)
    began = time.monotonic()
    told = began
    played = 0
    open_cases = sum(case.id not in known for case in cases)
    for number, case in enumerate(cases, start=1):
        if case.id in known:
            yield known[case.id]
            continue
        clock = None
        if simulated:
            from trio.testing import MockClock

            clock = MockClock(autojump_threshold=0)
        play = partial(trio.run, run_case, case, capabilities, target, shelf, ours, clock=clock)
        # what does not need the device does not tell whether it is there
        yield play() if capabilities.missing(case.needs) else presence.play(play)
        played += 1
        now = time.monotonic()
        if now - told > 10:
            told = now
            left = (now - began) / played * (open_cases - played)
            typer.echo(f"{number} of {len(cases)} cases, about {left / 60:.0f} min left", err=True)


def _report(done: list[CaseResult], capabilities: Capabilities, junit: Path | None) -> None:
    from . import output

    for entry in output.summary(done):
        typer.echo(entry)
    if junit is not None:
        name = f"conformance of {capabilities.device or _NAMELESS}"
        junit.write_text(output.as_junit(done, name), encoding="utf-8")
