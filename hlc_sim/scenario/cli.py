"""`hlc scenario`: list, show and run scenarios."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..transport.tls import TLSConfig
    from .model import Scenario, Verdict
    from .targets import Target

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


@app.command(name="list")
def list_(pattern: Pattern = "*", file: Files = None) -> None:
    """Name, side under test and title of each scenario."""
    from ..cli.errors import readable

    with readable():
        chosen = _chosen([pattern], file)
        width = max(len(item.name) for item in chosen)
        for item in chosen:
            typer.echo(f"{item.name:<{width}}  {item.tests.value}  {item.title}")
        typer.echo(f"{len(chosen)} scenarios", err=True)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name or pattern.")], file: Files = None
) -> None:
    """What a scenario does, where it was seen, and what a sound device does."""
    from ..cli.errors import readable

    with readable():
        for item in _chosen([name], file):
            _show(item)


@app.command()
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
    file: Files = None,
    lab_plain_tcp: Annotated[
        bool, typer.Option("--lab-plain-tcp", help="Without TLS, for the laboratory only.")
    ] = False,
    cert: Annotated[Path | None, typer.Option("--cert", metavar="PEM", help="TLS chain, leaf first.")] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="PEM", help="Private key of it.")] = None,
    root: Annotated[list[Path] | None, typer.Option("--root", metavar="PEM", help="Trusted roots.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, send nothing.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Show what went over the wire, for failures.")] = False,
) -> None:
    """Run scenarios against one device; exit code 1 if one fails.

    Nothing is sent to any address but the one named. Each scenario is a session, most are followed by an
    undisturbed one.
    """
    from ..cli.errors import readable, stop

    with readable():
        chosen = _chosen(names, file)
        if (against is None) == (iface is None):
            stop("say what to run against: --against HOST:PORT, --against simulator, or --iface")
        tls = None if against == "simulator" or dry_run else load_tls(lab_plain_tcp, cert, key, root)
        if dry_run:
            where = against or f"the device on {iface}"
            for item in chosen:
                typer.echo(f"would run {item.name} against {where} as {item.plays.value}: {item.title}")
            return
        verdicts = [_run(item, against, iface, tls, log) for item in chosen]
        counts = {r: sum(v.result == r for v in verdicts) for r in ("pass", "fail", "inconclusive")}
        typer.echo(", ".join(f"{count} {result}" for result, count in counts.items()))
        if counts["fail"]:
            raise typer.Exit(1)


def load_tls(
    lab_plain_tcp: bool, cert: Path | None, key: Path | None, root: list[Path] | None
) -> TLSConfig | None:
    """TLS with these files, or None in the laboratory; refuses what is neither."""
    if lab_plain_tcp:
        return None
    if cert is None or key is None or not root:
        raise ValueError("ISO 15118-20 runs over TLS: give --cert, --key and --root, or --lab-plain-tcp")
    from ..transport.tls import TLSConfig

    return TLSConfig.load(cert, key, roots=tuple(root))


def _chosen(patterns: list[str], files: list[Path] | None) -> list[Scenario]:
    from .files import library, load_file

    known = dict(library())
    for path in files or ():
        known.update(load_file(path))
    found = [s for n, s in known.items() if any(fnmatch.fnmatchcase(n, p) for p in patterns)]
    if not found:
        import difflib

        close = difflib.get_close_matches(patterns[0], known, n=3)
        raise ValueError(
            f"no scenario is called {patterns[0]!r}"
            + (f", did you mean {' or '.join(close)}?" if close else "")
        )
    return found


def _show(item: Scenario) -> None:
    typer.echo(
        f"{item.name}\n  {item.title}\n  we are the {item.plays.value}, under test is the {item.tests.value}"
    )
    for step in item.steps:
        which = "each time" if step.occurrence == 0 else f"time {step.occurrence}"
        typer.echo(f"  at {step.at}, {which}: {step.do.value}")
    typer.echo(
        f"  sound: {item.sound}\n  expected: {item.expect.outcome.value} {' or '.join(item.expect.codes)}"
    )
    if item.requirements:
        typer.echo(f"  requirements: {', '.join(item.requirements)}")
    if item.origin:
        typer.echo(f"  seen as: {', '.join(item.origin)}")


def _run(item: Scenario, against: str | None, iface: str | None, tls: TLSConfig | None, log: bool) -> Verdict:
    import trio

    from .runner import run as run_scenario

    virtual = against == "simulator"
    clock = None
    if virtual:
        from trio.testing import MockClock

        clock = MockClock(autojump_threshold=0)
    target = _target(item, against, iface, tls)
    verdict = trio.run(run_scenario, item, target, clock=clock)
    typer.echo(f"{verdict.result.value:<13} {item.name} ({verdict.seconds:.1f} s)")
    for reason in verdict.reasons:
        typer.echo(f"              {reason}")
    if log and verdict.result != "pass":
        for line in verdict.log:
            typer.echo(f"              {line}")
    return verdict


def _target(item: Scenario, against: str | None, iface: str | None, tls: TLSConfig | None) -> Target:
    from iso15118.session.events import Role

    from .targets import NetworkEVCC, NetworkSECC, SimulatedEVCC, SimulatedSECC

    secc = item.tests is Role.SECC
    if against == "simulator":
        return SimulatedSECC() if secc else SimulatedEVCC()
    if not secc:
        if iface is None:
            raise ValueError(f"{item.name} tests an EVCC, which connects to us: use --iface")
        return NetworkEVCC(iface, tls)
    if against is None:
        return NetworkSECC(interface=iface, tls=tls)
    from ..cli.common import host_and_port

    return NetworkSECC(host_and_port(against), tls=tls)
