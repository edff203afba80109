"""`hlc fuzz`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..cli.options import Side, grouped
from ..scenario.device import Credentials, OurSettings, PlugIn

if TYPE_CHECKING:
    from iso15118.session.events import Role

    from .campaign import Campaign
    from .subject import Subject

_SHOWN = 10
"""Cases that --dry-run lists."""


class Layer(StrEnum):
    v2g = "v2g"
    sdp = "sdp"
    slac = "slac"
    tls = "tls"


@grouped
def fuzz(
    side: Annotated[Side, typer.Argument(help="The side under test.")],
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="HOST:PORT", help="'simulator' (ours, in-process), or an SECC."),
    ] = None,
    iface: Annotated[
        str | None,
        typer.Option(
            "--iface",
            metavar="NAME",
            help="The device there: an SECC found by SDP, or an EVCC that connects.",
        ),
    ] = None,
    layer: Annotated[
        Layer, typer.Option("--layer", help="What is sent: messages, or what is below.")
    ] = Layer.v2g,
    trigger: PlugIn = None,
    seeds: Annotated[
        list[Path] | None,
        typer.Option(
            "--seeds", metavar="PATH", help="Traces, captures, vectors whose payloads are changed too."
        ),
    ] = None,
    campaign: Annotated[
        Path, typer.Option("--campaign", metavar="FILE", help="SQLite file; goes on if it is there.")
    ] = Path("fuzz.sqlite"),
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Decides every case.")] = 1,
    cases: Annotated[
        int | None, typer.Option("--cases", metavar="N", min=1, help="End at so many cases in all.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", metavar="SECONDS", min=1, help="End after this time.")
    ] = None,
    rate: Annotated[
        float,
        typer.Option("--rate", metavar="PER_SECOND", min=0.01, help="Sessions per s at most, on a device."),
    ] = 1.0,
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", min=1, help="Processes, in-process only.")] = 1,
    recovery: Annotated[
        float,
        typer.Option(
            "--recovery", metavar="SECONDS", min=0, help="Seconds a device may take until it serves again."
        ),
    ] = 60.0,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Write each finding there as a file to play."),
    ] = None,
    play: Annotated[
        Path | None,
        typer.Option(
            "--play", metavar="FILE.json", help="Play one saved finding of a lower layer, no campaign."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, send nothing.")] = False,
    *,
    settings: OurSettings,
    credentials: Credentials,
) -> None:
    """Throw generated octets at one device; exit code 1 if something is found.

    Nothing is sent to any address or interface but the one named. A campaign that was stopped goes on with
    the same command. What is found is kept once for each defect, made small where that costs nothing, and
    with --output written as a file: a scenario for `hlc scenario run --file`, or one for --play.

    hlc fuzz secc --against simulator --cases 10000 --jobs 2

    hlc fuzz secc --iface eth1 --lab-plain-tcp --seconds 3600 --output findings

    hlc fuzz evcc --iface eth1 --trigger './plug-in.sh' --cases 200

    hlc fuzz secc --iface eth1 --layer sdp --cases 500
    """
    from ..cli.errors import readable, stop

    with readable():
        if (against is None) == (iface is None):
            stop("say whom: --against simulator, --against HOST:PORT, or --iface")
        if cases is None and seconds is None and play is None:
            stop("say how much: --cases or --seconds")
        where = Where(against, iface, trigger, rate, recovery, settings)
        if jobs > 1 and where.device:
            stop("--jobs is for the simulator: a device gets one session at a time")
        if layer is not Layer.v2g and seeds:
            stop("--seeds are payloads of messages: they belong to --layer v2g")
        tests = side.role
        subject = _subject(tests, layer, where, seeds or [], None if dry_run else credentials)
        if play is not None:
            _play(subject, play)
            return
        typer.echo(_plan(subject, where, cases, seconds, campaign, seed), err=True)
        if dry_run:
            for number in range(min(cases or _SHOWN, _SHOWN)):
                typer.echo(f"case {number}: {subject.line(subject.case(seed, number))} to {where}")
            return
        from .campaign import Campaign

        batch = 1 if where.device else {Layer.tls: 20, Layer.slac: 20}.get(layer, 100)
        _run(Campaign(campaign, subject, seed, batch, jobs), cases, seconds, output)


@dataclass(frozen=True)
class Where:
    """The device under test."""

    against: str | None
    iface: str | None
    trigger: str | None = None
    rate: float = 1.0
    recovery: float = 60.0
    ours: OurSettings = field(default_factory=OurSettings)

    @property
    def device(self) -> bool:
        return self.against != "simulator"

    def __str__(self) -> str:
        return self.against or f"the device on {self.iface}"


def _plan(
    subject: Subject[Any], where: Where, cases: int | None, seconds: float | None, file: Path, seed: int
) -> str:
    """What is going to happen."""
    much = f"until {cases} cases are run" if cases is not None else "without end of cases"
    if seconds is not None:
        much += f", for {seconds:g} s at most"
    pace = f", at most {where.rate:g} sessions/s" if where.device else ""
    if where.device and cases is not None:
        pace += f" ({cases / where.rate / 60:.0f} min or more)"
    return f"{subject.name} at {where}: cases of seed {seed} {much}{pace}; kept in {file}"


def _run(work: Campaign, cases: int | None, seconds: float | None, output: Path | None) -> None:
    from ..cli.errors import Exit, stop
    from ..scenario.targets import NoTarget
    from .subject import write_findings

    before = work.cases
    if before:
        typer.echo(f"{work.path}: goes on after {before} cases", err=True)
    shown, gone, growth = 0.0, "", 0
    try:
        for now in work.go(cases=cases, seconds=seconds):
            growth = max(growth, now.growth)
            if time.monotonic() - shown > 2:
                shown = time.monotonic()
                left = "" if now.left is None else f", {max(0.0, now.left):.0f} s left"
                typer.echo(
                    f"{now.cases} cases, {now.findings} findings, {now.rate:.3g}/s{left}, +{growth} KiB",
                    err=True,
                )
    except NoTarget as error:
        gone = str(error)
        work.write_new()
    findings = work.findings()
    typer.echo(f"{work.cases} cases, {len(findings)} findings, {growth} KiB more memory")
    device = getattr(work.subject, "device", None)
    for profile, why in getattr(device, "unusable", {}).items():
        typer.echo(f"passed over, as the device does not serve it: {profile} ({why})", err=True)
    for found, kind, text, number, seen in findings:
        typer.echo(f"{kind}: case {number}, {seen} times: {text}  [{found}]")
    if output is not None:
        write_findings(work.scenarios(), work.subject.suffix, output)
    work.close()
    if gone:
        stop(gone, Exit.NO_CONNECTION)
    if findings:
        raise typer.Exit(Exit.FAILED)


def _play(subject: Subject[Any], file: Path) -> None:
    """One saved case of a lower layer."""
    import json

    from ..cli.errors import Exit, stop

    text = file.read_text(encoding="utf-8")
    try:
        said = json.loads(text)
        name = f"{said['tests']}/{said['layer']}"
        case = subject.load(text) if name == subject.name else None
    except (ValueError, KeyError, TypeError) as error:
        stop(f"{file}: no saved case: {error!r}")
    if case is None:
        stop(f"{file}: a case for {name}, not for {subject.name}")
    problems = subject.run(case)
    for problem in problems:
        typer.echo(f"{problem.kind}: {problem.text}  [{problem.key}]")
    typer.echo(f"{len(problems)} findings")
    if problems:
        raise typer.Exit(Exit.FAILED)


def _subject(
    tests: Role,
    layer: Layer,
    where: Where,
    seeds: list[Path],
    credentials: Credentials | None,
) -> Subject[Any]:
    """What is fuzzed. `credentials` None: only to be described."""
    from iso15118.session.events import Role

    from ..cli.errors import stop

    needed = {  # (layer, side): how a device is named
        (Layer.v2g, Role.SECC): "either",
        (Layer.v2g, Role.EVCC): "--iface",
        (Layer.sdp, Role.SECC): "--iface",
        (Layer.tls, Role.SECC): "--against",
    }.get((layer, tests))
    if where.device:
        if needed is None:
            stop(f"{tests.value} at layer {layer.value}: only the simulated one can be fuzzed")
        if needed == "--iface" and where.iface is None:
            stop(f"{tests.value} at layer {layer.value}: name it by --iface")
        if needed == "--against" and where.against is None:
            stop(f"{tests.value} at layer {layer.value}: name it by --against HOST:PORT")
    live = where.device and credentials is not None
    match layer:
        case Layer.v2g:
            return _messages(tests, where, seeds, credentials if live else None)
        case Layer.sdp:
            from .layer_sdp import Discovery, Server

            assert not live or where.iface is not None
            return Discovery(tests, Server(where.iface or "", where.rate) if live else None)
        case Layer.slac:
            from .layer_slac import Matching

            return Matching(tests)
        case Layer.tls:
            from ..cli.common import host_and_port
            from .layer_tls import Records
            from .layer_tls import Server as TLSServer

            if not live:
                return Records(tests)
            assert where.against is not None
            return Records(tests, TLSServer(host_and_port(where.against), where.rate, where.recovery))


def _messages(
    tests: Role,
    where: Where,
    paths: list[Path],
    credentials: Credentials | None,
) -> Subject[Any]:
    from iso15118.session.events import Role

    from .seeds import load, none
    from .subject import Messages

    seeds = load(paths) if paths else none
    if credentials is None:
        return Messages(tests, seeds)
    from ..scenario.device import Device as Named
    from .device import Device

    named = Named(where.against, where.iface, where.trigger)
    named.secure(credentials)
    ours = named.named(where.ours.load())
    car = named.target(tests) if tests is Role.EVCC else None  # it keeps what its trigger said
    return Messages(
        tests, seeds, Device(lambda: car or named.target(tests), where.rate, where.recovery, ours.fit)
    )
