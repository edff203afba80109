"""`hlc secc`: a charger over real sockets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import trio
import typer

from iso15118.session.charger import Charger
from iso15118.session.events import Role
from iso15118.session.secc_config import LinkSecurity

from ..clock import unix_offset
from ..config import load
from ..config.reader import blaming
from ..config.station import StationConfig
from ..secc import ConnectionReport, Station, peer_name, serve
from ..trace.run import RunTrace
from ..transport import interface as interfaces
from ..transport import sdp, tcp
from . import powerline as dlink
from .common import log, log_to_stderr, logging_sink, override, run
from .errors import Exit
from .options import Place, Recording, Secured

if TYPE_CHECKING:
    from ..powerline.dlink import StationLink
    from ..transport.tls import TLSConfig


def run_secc(
    place: Place,
    security: Secured,
    recording: Recording,
    *,
    modes: tuple[str, ...],
    control: str | None,
    port: int | None,
    sdp_port: int | None,
    sessions: int,
    verbose: bool,
) -> None:
    recording.check()
    settings = load(StationConfig, place.config) if place.config is not None else StationConfig()
    override(settings, modes=modes or None, control=control, speed=place.speed)
    trust = security.station(settings.trust)
    with blaming(place.config):
        session = settings.session()
    if trust is not None:  # what the file says goes before what follows from certificates
        session = replace(session, **{k: v for k, v in trust.offers.items() if k not in settings.secc})
    interface = interfaces.find(place.iface)
    dlink.check(place.powerline, place.iface)
    log_to_stderr(verbose)
    results: list[ConnectionReport] = []

    async def main(record: RunTrace) -> None:
        async with dlink.station(place.powerline, place.iface, record.slac_taps()) as line:
            await serve_all(record, line)

    async def serve_all(record: RunTrace, line: StationLink | dlink.NoLine) -> None:
        tls = record.tls_config(trust.tls if trust is not None else None)
        listener = await tcp.listen(interface, port)
        number = listener.socket.getsockname()[1]
        enough = trio.Event()
        outlets: dict[str, Charger] = {}

        def finished(connection: ConnectionReport) -> None:
            line.over(paused=connection.session_id in station.store)
            by = connection.closed_by.value if connection.closed_by is not None else ""
            record.closed(connection.peer, by, connection.ended, connection.deviations)
            outlets.pop(connection.peer, None)
            if sessions or recording.json is not None:
                results.append(connection)
            if verbose or connection.deviations:
                for deviation in connection.deviations:
                    log.info("%s: %s", connection.peer, deviation)
            if sessions and len(results) >= sessions:
                enough.set()

        station = Station(
            session,
            lambda: settings.charger(unix_offset()),
            secure=_secure_secc(tls, record) if tls is not None else None,
            trust=trust.trust if trust is not None else None,
            sink=lambda peer: record.sink(
                peer, *([logging_sink(peer)] if verbose else []), charger=lambda: outlets.get(peer)
            ),
            assigned=outlets.__setitem__,
            finished=finished,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(record.watch)
            await nursery.start(serve, station, [line.accepting(listener)])
            if sdp_port is not None:
                endpoints = {security.security: number}
                await nursery.start(
                    lambda task_status: sdp.serve(
                        interface, endpoints, udp_port=sdp_port, sink=record.sdp, task_status=task_status
                    )
                )
            log.info(
                "ready: SECC on %s, [%s]:%d, %s%s",
                interface.name,
                interface.address,
                number,
                "plain TCP (laboratory)" if tls is None else "TLS",
                "" if sdp_port is None else f", SDP on UDP {sdp_port}",
            )
            await enough.wait()
            nursery.cancel_scope.cancel()

    interrupted = run(main, Role.SECC, settings, interface, security, recording)
    if recording.json is not None:
        from . import summary

        summary.write(recording.json, [summary.of_connection(item) for item in results])
    if interrupted:
        log.info("stopped")  # Ctrl-C is how a station is switched off
    if any(not item.clean for item in results[:sessions]):
        raise typer.Exit(Exit.FAILED)


def _secure_secc(config: TLSConfig, record: RunTrace) -> Callable[[trio.abc.Stream], Any]:
    from ..trust import securing

    async def shake_hands(stream: trio.abc.Stream) -> tuple[trio.abc.Stream, LinkSecurity]:
        peer = peer_name(stream)
        shake = securing(config, lambda facts: record.tls(peer, facts))
        return await shake(record.connect(stream, peer, tls=True))

    return shake_hands
