"""`hlc fuzz`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from .cases import Case
    from .inprocess import Problem


class Side(StrEnum):
    secc = "secc"
    evcc = "evcc"


def fuzz(
    side: Annotated[Side, typer.Argument(help="The side under test.")],
    against: Annotated[
        str, typer.Option("--against", metavar="HOST:PORT", help="'simulator' (in-process), or an SECC.")
    ],
    campaign: Annotated[
        Path, typer.Option("--campaign", metavar="FILE", help="SQLite file; goes on if it is there.")
    ] = Path("fuzz.sqlite"),
    seed: Annotated[int, typer.Option("--seed", help="Decides every case.")] = 1,
    cases: Annotated[int | None, typer.Option("--cases", min=1, help="End at so many cases in all.")] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", min=1, help="End after this time.")] = None,
    rate: Annotated[float, typer.Option("--rate", min=0.01, help="Cases per s at most, on a device.")] = 1.0,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="Write each finding there as a scenario.")
    ] = None,
    lab_plain_tcp: Annotated[bool, typer.Option("--lab-plain-tcp", help="Without TLS.")] = False,
    cert: Annotated[Path | None, typer.Option("--cert", metavar="PEM", help="TLS chain, leaf first.")] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="PEM", help="Private key of it.")] = None,
    root: Annotated[list[Path] | None, typer.Option("--root", metavar="PEM", help="Trusted roots.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, send nothing.")] = False,
) -> None:
    """Throw generated messages at one device; exit code 1 if something is found.

    Nothing is sent to any address but the one named. A campaign that was stopped goes on with the same
    command.
    """
    from iso15118.session.events import Role

    from ..cli.errors import readable, stop

    with readable():
        tests = Role.SECC if side is Side.secc else Role.EVCC
        if cases is None and seconds is None:
            stop("say how much: --cases or --seconds")
        if dry_run:
            _dry(tests, seed, against, cases)
            return
        from .campaign import Campaign
        from .inprocess import execute

        run: Callable[[Case], list[Problem]] = execute
        if against != "simulator":
            if tests is Role.EVCC:
                stop("an EVCC connects to us; only the simulated one can be fuzzed so far")
            run = _device(against, rate, (lab_plain_tcp, cert, key, root))
        work = Campaign(campaign, tests, seed, run, batch=100 if against == "simulator" else 1)
        before = work.cases
        if before:
            typer.echo(f"{campaign}: goes on after {before} cases", err=True)
        shown = 0.0
        for now in work.go(cases=cases, seconds=seconds):
            import time

            if time.monotonic() - shown > 2:
                shown = time.monotonic()
                left = "" if now.left is None else f", {now.left:.0f} s left"
                typer.echo(f"{now.cases} cases, {now.findings} findings, {now.rate:.0f}/s{left}", err=True)
        findings = work.findings()
        typer.echo(f"{work.cases} cases, {len(findings)} findings")
        for found, kind, text, number, seen in findings:
            typer.echo(f"{kind}: case {number}, {seen} times: {text}  [{found}]")
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            for index, text in enumerate(work.scenarios()):
                (output / f"finding-{index:03d}.toml").write_text(text, encoding="utf-8")
        work.close()
        if findings:
            raise typer.Exit(1)


def _dry(tests: object, seed: int, against: str, cases: int | None) -> None:
    from iso15118.session.events import Role

    from .cases import case
    from .saved import place

    assert isinstance(tests, Role)
    for number in range(min(cases or 10, 10)):
        this = case(tests, seed, number)
        name, occurrence = place(this)
        kinds = ", ".join(this.kinds)
        typer.echo(f"case {number}: {this.profile}, in place of {name} {occurrence}: {kinds} to {against}")


def _device(
    against: str, rate: float, secured: tuple[bool, Path | None, Path | None, list[Path] | None]
) -> Callable[[Case], list[Problem]]:
    from ..cli.common import host_and_port
    from ..scenario.device import load_tls
    from ..scenario.targets import NetworkSECC
    from .network import on_device

    tls = load_tls(*secured)
    address = host_and_port(against)
    return on_device(lambda: NetworkSECC(address, tls=tls), rate)
