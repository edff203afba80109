"""`hlc evcc`: a car over real sockets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import trio
import typer

from iso15118.session.events import Role

from ..config import load
from ..config.reader import blaming
from ..config.vehicle import VehicleConfig
from ..evcc import ChargeReport, charge
from ..trace.run import RunTrace
from ..transport import interface as interfaces
from ..transport import sdp, tcp
from ..transport.link import Link
from ..vehicle import SimulatedVehicle
from . import powerline as dlink
from . import summary
from .common import host_and_port, log, log_to_stderr, logging_sink, override, run
from .console import console as made_console
from .errors import Exit, complain
from .options import Place, Recording, Secured

_TOLD_EVERY = 10.0
"""s"""

if TYPE_CHECKING:
    from ..powerline.dlink import VehicleLink
    from ..transport.tls import TLSConfig


def run_evcc(
    place: Place,
    security: Secured,
    recording: Recording,
    *,
    mode: str | None,
    control: str | None,
    connect: str | None,
    sdp_port: int,
    sessions: int,
    loops: int | None,
    verbose: bool,
) -> None:
    recording.check()
    settings = load(VehicleConfig, place.config) if place.config is not None else VehicleConfig()
    override(settings, mode=mode, control=control, speed=place.speed)
    if loops is not None:
        settings.evcc["charge_loops"] = loops
    trust = security.vehicle(settings.trust)
    with blaming(place.config):
        session_config = settings.session()
    if trust is not None:  # what the file says goes before what follows from certificates
        given = {name: value for name, value in trust.settings.items() if name not in settings.evcc}
        session_config = replace(session_config, **given)
    target = host_and_port(connect) if connect else None
    interface = None if target is not None else interfaces.find(place.iface)
    dlink.check(place.powerline, place.iface)
    log_to_stderr(verbose)
    console = made_console(stderr=str(recording.json) == "-")
    results: list[ChargeReport] = []

    async def main(record: RunTrace) -> None:
        async with dlink.vehicle(place.powerline, place.iface, record.slac_taps()) as line:
            await charge_all(record, line)

    async def charge_all(record: RunTrace, line: VehicleLink | dlink.NoLine) -> None:
        tls = record.tls_config(trust.tls if trust is not None else None)
        vehicle = settings.vehicle()
        resume = None
        for number in range(1, sessions + 1):
            await line.up()
            address = target or await _discover(interface, security, sdp_port, record)
            peer = f"[{address[0]}]:{address[1]}"
            stream: trio.abc.Stream = line.carry(await tcp.connect(address))
            stream = record.connect(stream, peer, tls=tls is not None)
            known: dict[str, Any] = {}
            if tls is not None:
                stream, known = await _secure_evcc(stream, tls, record, peer)
            sinks = [logging_sink("SECC")] if verbose else []
            link = Link(stream, Role.EVCC, sink=record.sink(peer, *sinks, battery=vehicle.battery))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_tell, vehicle, link)
                result = await charge(link, session_config, vehicle, resume=resume, **known)
                nursery.cancel_scope.cancel()
            record.closed(peer, result.closed_by.value, result.session.reason, result.session.deviations)
            results.append(result)
            resume = result.session.paused
            await line.down(paused=resume is not None)
            summary.show_charge(console, result, "session" if sessions == 1 else f"session {number}")
            if not result.session.ok:
                if tls is None and not link.bytes_received:
                    log.info("it closed a connection over plain TCP without an answer: does it want TLS?")
                break
            if resume is None:
                vehicle = settings.vehicle()
            else:
                vehicle.pause_over()

    try:
        interrupted = run(main, Role.EVCC, settings, interface, security, recording)
    finally:  # also if a later session did not come about
        if recording.json is not None:
            listed = [summary.of_charge(item) for item in results]
            summary.write(recording.json, listed if sessions > 1 or not listed else listed[0])
    if interrupted:
        complain("interrupted")
        raise typer.Exit(Exit.INTERRUPTED)
    if len(results) < sessions or not all(item.session.ok for item in results):
        raise typer.Exit(Exit.FAILED)


async def _tell(vehicle: SimulatedVehicle, link: Link) -> None:
    """How far the session is, from time to time: in real time, charging takes as long as charging does."""
    battery = vehicle.battery
    while True:
        await trio.sleep(_TOLD_EVERY)
        log.info(
            "%d messages, %.1f kW, state of charge %.1f %% of %.0f %% (--speed, --charge-loops: shorter)",
            sum(link.messages.values()),
            battery.voltage * battery.current / 1000,
            battery.soc,
            vehicle.driver.target_soc,
        )


async def _discover(
    interface: interfaces.Interface | None, security: Secured, sdp_port: int, record: RunTrace
) -> tuple[str, int, int, int]:
    assert interface is not None
    log.info("looking for an SECC on %s", interface.name)
    found = await sdp.discover(interface, security=security.security, udp_port=sdp_port, sink=record.sdp)
    sdp.check_security(found.response, security.security)
    log.info("SECC found at [%s]:%d", found.response.address, found.response.port)
    return found.socket_address


async def _secure_evcc(
    stream: trio.abc.Stream, config: TLSConfig, record: RunTrace, peer: str
) -> tuple[trio.abc.Stream, dict[str, Any]]:
    """The secured stream, and what `charge` should know of it."""
    from ..transport.tls import TLSError
    from ..trust import connecting, describe, remarks, secc_identity

    try:
        secured = await connecting(stream, config)
    except TLSError as error:
        record.tls(peer, error.facts)
        record.closed(peer, "", str(error))
        raise
    record.tls(peer, secured.facts)
    return secured, {
        "secc_identity": secc_identity(secured),
        "tls": describe(secured.facts),
        "tls_remarks": remarks(secured.facts),
    }
