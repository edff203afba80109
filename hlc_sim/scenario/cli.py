"""`hlc scenario`: list, show and run scenarios."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..cli.errors import EPILOG
from ..cli.options import Side, grouped
from .device import Credentials, Device, OurSettings, PlugIn
from .settings import Layer

if TYPE_CHECKING:
    from .model import Scenario, Verdict
    from .presence import Presence

app = typer.Typer(
    name="scenario",
    help="Misbehave on purpose at one place and judge how a device bears it.",
    no_args_is_help=True,
)

Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--file", metavar="FILE.toml", help="Scenarios of your own beside the library (repeatable)."
    ),
]
Pattern = Annotated[str, typer.Argument(metavar="[NAME]", help="A name or pattern, as 'foreign-*'.")]


@app.command(name="list", epilog=EPILOG)
def list_(pattern: Pattern = "*", file: Files = None) -> None:
    """Name, layer, side under test and title of each scenario."""
    from ..cli.errors import readable

    with readable():
        chosen = _chosen([pattern], file)
        width = max(len(item.name) for item in chosen)
        for item in chosen:
            typer.echo(f"{item.name:<{width}}  {item.layer.value:<4}  {item.tests.value}  {item.title}")
        typer.echo(f"{len(chosen)} scenarios", err=True)


@app.command(epilog=EPILOG)
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name or pattern.")], file: Files = None
) -> None:
    """What a scenario does, where it was seen, and what a sound device does."""
    from ..cli.errors import readable

    with readable():
        for item in _chosen([name], file):
            _show(item)


@app.command(epilog=EPILOG)
@grouped
def run(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names or patterns, as 'foreign-*'.")],
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="HOST:PORT",
            help="The SECC under test; 'simulator': the built-in SECC or EVCC.",
        ),
    ] = None,
    iface: Annotated[
        str | None,
        typer.Option("--iface", help="Find the SECC there by SDP, or wait there for the EVCC to connect."),
    ] = None,
    side: Annotated[
        Side | None,
        typer.Option(
            "--side",
            help="Only scenarios for this side under test [default: at an address an SECC, else both].",
        ),
    ] = None,
    trigger: PlugIn = None,
    file: Files = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, send nothing.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Show what went over the wire, for failures.")] = False,
    *,
    settings: OurSettings,
    credentials: Credentials,
) -> None:
    """Run scenarios against one device; exit code 1 if one fails.

    Nothing is sent to any address but the one named. Each scenario is a session, most are followed by an
    undisturbed one.
    """
    from ..cli.errors import Exit, complain, readable, stop
    from .presence import Presence

    with readable():
        chosen = _chosen(names, file)
        if (against is None) == (iface is None):
            stop("say what to run against: --against HOST:PORT, --against simulator, or --iface")
        if trigger is not None and iface is None:
            stop("--trigger makes a car connect to us: use it with --iface")
        if trigger is not None:
            if side is Side.secc:
                stop("--trigger makes a car connect to us: an EVCC is under test")
            side = Side.evcc
        ours = settings.load()
        if against not in (None, "simulator"):
            if side is Side.evcc:
                stop("an EVCC connects to us: use --iface instead of an address")
            side = Side.secc
        if side is not None:
            chosen = _for(side, chosen)
        if dry_run:
            for item in chosen:
                _say(ours.fit(item), against, iface)
            return
        device = Device(against, iface, trigger)
        if not device.simulated:
            messages = any(item.layer is Layer.V2G for item in chosen)
            device.secure(credentials, needed=messages)
            ours = device.named(ours)
        presence = Presence(complain)
        verdicts = [_run(ours.fit(item), device, presence, log) for item in chosen]
        counts = {r: sum(v.result == r for v in verdicts) for r in ("pass", "fail", "inconclusive")}
        typer.echo(", ".join(f"{count} {result}" for result, count in counts.items()))
        if counts["fail"]:
            raise typer.Exit(Exit.FAILED)


def _chosen(patterns: list[str], files: list[Path] | None) -> list[Scenario]:
    from ..cli.patterns import matching
    from .files import library, load_file

    known = dict(library())
    for path in files or ():
        known.update(load_file(path))
    return matching(patterns, known, "scenario")


def _for(side: Side, chosen: list[Scenario]) -> list[Scenario]:
    """Those with this side under test: a pattern names others, too."""
    from ..cli.errors import complain, stop

    able = [item for item in chosen if item.tests is side.role]
    other = side.role.other.value
    if not able:
        how = "; it connects to us: use --iface" if side is Side.secc else ""
        stop(f"an {other} is under test there{how}")
    if len(able) < len(chosen):
        complain(f"left out: {len(chosen) - len(able)} of {len(chosen)}, where an {other} is under test")
    return able


def _show(item: Scenario) -> None:
    typer.echo(
        f"{item.name}\n  {item.title}\n"
        f"  layer {item.layer.value}: we are the {item.plays.value}, under test is the {item.tests.value}"
    )
    for line in item.deeds():
        typer.echo(f"  {line}")
    typer.echo(
        f"  sound: {item.sound}\n  expected: {item.expect.outcome.value} {' or '.join(item.expect.codes)}"
    )
    if item.given:
        typer.echo(f"  given: {item.given}")
    if item.requirements:
        typer.echo(f"  requirements: {', '.join(item.requirements)}")
    if item.origin:
        typer.echo(f"  seen as: {', '.join(item.origin)}")


def _run(item: Scenario, device: Device, presence: Presence, log: bool) -> Verdict:
    import trio

    from .runner import run as run_scenario

    clock = None
    if device.simulated:
        from trio.testing import MockClock

        clock = MockClock(autojump_threshold=0)
    verdict = presence.play(lambda: trio.run(run_scenario, item, device.target(item.tests), clock=clock))
    typer.echo(f"{verdict.result.value:<13} {item.name} ({verdict.seconds:.1f} s)")
    for reason in verdict.reasons:
        typer.echo(f"              {reason}")
    if log and verdict.result != "pass":
        for line in verdict.log:
            typer.echo(f"              {line}")
    return verdict


def _say(item: Scenario, against: str | None, iface: str | None) -> None:
    where = against or f"the device on {iface}"
    typer.echo(f"would run {item.name} against {where} as {item.plays.value}: {item.title}")
    for line in item.deeds():
        typer.echo(f"  {line}")
