"""`hlc fuzz`."""

from __future__ import annotations

import time
from collections.abc import Iterator
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
    from .lower import Named
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
        typer.Option("--output", metavar="DIR", help="Write each finding there as a scenario file."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, send nothing.")] = False,
    *,
    settings: OurSettings,
    credentials: Credentials,
) -> None:
    """Throw generated octets at one device; exit code 1 if something is found.

    Nothing is sent to any address or interface but the one named. A campaign that was stopped goes on with
    the same command. What is found is kept once for each defect, made small where that costs nothing, and
    with --output written as a scenario for `hlc scenario run --file`.

    Below the messages a case is followed by a correct exchange, which the device must bear: at layer tls a
    handshake, with --pki, else a hello. At layer slac a station begins a matching only with its control pilot
    in state B, anew for each matching; one without a control pilot always does.

    hlc fuzz secc --against simulator --cases 10000 --jobs 2

    hlc fuzz secc --iface eth1 --lab-plain-tcp --seconds 3600 --output findings

    hlc fuzz evcc --iface eth1 --trigger './plug-in.sh' --cases 200

    hlc fuzz secc --iface eth1 --layer sdp --cases 500

    hlc fuzz evcc --iface eth1 --trigger './plug-in.sh' --layer tls --cases 200
    """
    from ..cli.errors import readable, stop

    with readable():
        if (against is None) == (iface is None):
            stop("say whom: --against simulator, --against HOST:PORT, or --iface")
        if cases is None and seconds is None:
            stop("say how much: --cases or --seconds")
        where = Where(against, iface, trigger, rate, recovery, settings)
        if jobs > 1 and where.device:
            stop("--jobs is for the simulator: a device gets one session at a time")
        if layer is not Layer.v2g and seeds:
            stop("--seeds are payloads of messages: they belong to --layer v2g")
        tests = side.role
        subject = _subject(tests, layer, where, seeds or [], None if dry_run else credentials)
        typer.echo(_plan(subject, where, cases, seconds, campaign, seed), err=True)
        for line in _needs(tests, layer, trigger, credentials) if where.device else ():
            typer.echo(line, err=True)
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


def _needs(tests: Role, layer: Layer, trigger: str | None, credentials: Credentials) -> Iterator[str]:
    """What a device must have for each case that we cannot see to, and what we cannot do."""
    if layer is Layer.slac:
        yield "the station needs its control pilot in state B for each matching, unless it has none"
    if layer is Layer.tls and credentials.pki is None:
        yield "without --pki a hello is all that must be answered; cases within a connection are passed over"
    if tests is tests.EVCC and trigger is None:
        yield "the car must connect again for each session: --trigger COMMAND plugs it in"


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
    typer.echo(f"{work.cases} cases, {len(findings)} findings, {growth} KiB more memory in this process")
    device = getattr(work.subject, "device", None)
    if skipped := getattr(device, "passed", 0):
        typer.echo(f"{skipped} cases did not come about", err=True)
    for profile, why in getattr(device, "unusable", {}).items():
        typer.echo(f"passed over, as the device does not serve it: {profile} ({why})", err=True)
    for found, kind, text, number, seen in findings:
        typer.echo(f"{kind}: case {number}, {seen} times: {text}  [{found}]")
    if output is not None:
        write_findings(work.scenarios(), output)
    work.close()
    if gone:
        stop(gone, Exit.NO_CONNECTION)
    if findings:
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

    secc = tests is Role.SECC
    if where.device:
        if layer is Layer.slac and not secc:
            stop("EVCC at layer slac: only the simulated one can be fuzzed, a car begins a matching at will")
        if where.iface is None and (layer in (Layer.sdp, Layer.slac) or not secc):
            stop(f"{tests.value} at layer {layer.value}: name it by --iface")
    live = credentials if where.device else None
    match layer:
        case Layer.v2g:
            return _messages(tests, where, seeds, live)
        case Layer.sdp:
            from .layer_sdp import Discovery

            return Discovery(tests, _named(tests, where, live, 1))
        case Layer.slac:
            from .layer_slac import Matching

            return Matching(tests, _named(tests, where, live, 2))
        case Layer.tls:
            from .layer_tls import Records

            return Records(tests, _named(tests, where, live, 2))


def _named(tests: Role, where: Where, credentials: Credentials | None, sessions: int) -> Named | None:
    """The device below the messages; a case takes so many sessions."""
    if credentials is None:
        return None
    from ..scenario.device import Device
    from .lower import Named

    device = Device(where.against, where.iface, where.trigger)
    device.secure(credentials, needed=False)
    return Named(device.target(tests), where.rate, where.recovery, sessions)


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
