"""`hlc secc` and `hlc evcc`: one side over real sockets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import trio
import typer
from rich.console import Console

from iso15118 import sdp as sdp_messages
from iso15118.session.events import Role
from iso15118.session.secc_config import Link as LinkFacts

from ..clock import unix_offset
from ..config import StationConfig, VehicleConfig, load
from ..evcc import ChargeReport, charge
from ..secc import ConnectionReport, Station, peer_name, serve
from ..trace.run import RunTrace, tracing
from ..transport import interface as interfaces
from ..transport import sdp, tcp
from ..transport.link import FrameRecord, FrameSink, Link
from . import summary
from .errors import Exit, stop

if TYPE_CHECKING:
    from ..transport.tls import TLSConfig, TLSStream

log = logging.getLogger("hlc")


@dataclass(frozen=True, slots=True)
class Secured:
    """How the connection is secured: TLS with these files, or plain TCP in the laboratory."""

    lab_plain_tcp: bool
    chain: Path | None = None
    key: Path | None = None
    roots: tuple[Path, ...] = ()
    keylog: Path | None = None
    disclose: bool = False

    @property
    def security(self) -> sdp_messages.Security:
        return sdp_messages.Security.NONE if self.lab_plain_tcp else sdp_messages.Security.TLS

    def tls(self) -> TLSConfig | None:
        """None in the laboratory. Refuses what is neither."""
        if self.lab_plain_tcp:
            if self.chain or self.key or self.roots:
                stop("--lab-plain-tcp and TLS files (--cert, --key, --root) exclude each other")
            return None
        if self.chain is None or self.key is None or not self.roots:
            stop(
                "ISO 15118-20 runs over TLS: give --cert, --key and --root, "
                "or --lab-plain-tcp to run it over plain TCP in the laboratory"
            )
        from ..transport.tls import TLSConfig

        return TLSConfig.load(self.chain, self.key, roots=self.roots, keylog=self.keylog)


def run_secc(
    *,
    iface: str,
    modes: tuple[str, ...],
    control: str | None,
    config: Path | None,
    secured: Secured,
    port: int | None,
    sdp_port: int | None,
    sessions: int,
    speed: float | None,
    trace: Path | None,
    report: Path | None,
    verbose: bool,
) -> None:
    plain_tls = secured.tls()
    settings = load(StationConfig, config) if config is not None else StationConfig()
    _override(settings, modes=modes or None, control=control, speed=speed)
    interface = interfaces.find(iface)
    _log_to_stderr(verbose)
    results: list[ConnectionReport] = []

    async def run(record: RunTrace) -> None:
        tls = record.tls_config(plain_tls)
        listener = await tcp.listen(interface, port)
        number = listener.socket.getsockname()[1]
        enough = trio.Event()

        def finished(connection: ConnectionReport) -> None:
            by = "EVCC" if "peer closed" in connection.ended or connection.clean else "SECC"
            record.closed(connection.peer, by, connection.ended, connection.deviations)
            if sessions or report is not None:
                results.append(connection)
            if verbose or connection.deviations:
                for deviation in connection.deviations:
                    log.info("%s: %s", connection.peer, deviation)
            if sessions and len(results) >= sessions:
                enough.set()

        station = Station(
            settings.session(),
            lambda: settings.charger(unix_offset()),
            secure=_secure_secc(tls, record) if tls is not None else None,
            sink=lambda peer: record.sink(peer, *([_logging_sink(peer)] if verbose else [])),
            finished=finished,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, station, [listener])
            if sdp_port is not None:
                endpoints = {secured.security: number}
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

    with tracing(
        trace,
        Role.SECC,
        config=msgspec.to_builtins(settings, enc_hook=str),
        disclose=interface if secured.disclose else None,
        lab_plain_tcp=secured.lab_plain_tcp,
    ) as record:
        interrupted = _run(run, record)
    if report is not None:
        summary.write(report, [summary.of_connection(item) for item in results])
    if interrupted:
        log.info("stopped")  # Ctrl-C is how a station is switched off
    if any(not item.clean for item in results[:sessions]):
        raise typer.Exit(Exit.FAILED)


def run_evcc(
    *,
    iface: str,
    mode: str | None,
    control: str | None,
    config: Path | None,
    secured: Secured,
    connect: str | None,
    sdp_port: int,
    sessions: int,
    loops: int | None,
    speed: float | None,
    trace: Path | None,
    report: Path | None,
    verbose: bool,
) -> None:
    plain_tls = secured.tls()
    settings = load(VehicleConfig, config) if config is not None else VehicleConfig()
    _override(settings, mode=mode, control=control, speed=speed)
    if loops is not None:
        settings.evcc["charge_loops"] = loops
    session_config = settings.session()
    target = _host_and_port(connect) if connect else None
    interface = None if target is not None else interfaces.find(iface)
    _log_to_stderr(verbose)
    console = Console(stderr=str(report) == "-")
    results: list[ChargeReport] = []

    async def run(record: RunTrace) -> None:
        tls = record.tls_config(plain_tls)
        vehicle = settings.vehicle()
        resume = None
        for number in range(1, sessions + 1):
            address = target or await _discover(interface, secured, sdp_port, record)
            peer = f"[{address[0]}]:{address[1]}"
            stream: trio.abc.Stream = await tcp.connect(address)
            stream = record.connect(stream, peer, tls=tls is not None)
            facts = ""
            identity = None
            if tls is not None:
                stream, facts, identity = await _secure_evcc(stream, tls, record, peer)
            sinks = [_logging_sink("SECC")] if verbose else []
            link = Link(stream, Role.EVCC, sink=record.sink(peer, *sinks, battery=vehicle.battery))
            result = await charge(
                link, session_config, vehicle, resume=resume, secc_identity=identity, tls=facts
            )
            record.closed(peer, "EVCC", result.session.reason, result.session.deviations)
            results.append(result)
            resume = result.session.paused
            summary.show_charge(console, result, "session" if sessions == 1 else f"session {number}")
            if not result.session.ok:
                break
            if resume is None:
                vehicle = settings.vehicle()

    with tracing(
        trace,
        Role.EVCC,
        config=msgspec.to_builtins(settings, enc_hook=str),
        disclose=interface if secured.disclose else None,
        lab_plain_tcp=secured.lab_plain_tcp,
    ) as record:
        interrupted = _run(run, record)
    if report is not None:
        listed = [summary.of_charge(item) for item in results]
        summary.write(report, listed if sessions > 1 or not listed else listed[0])
    if interrupted:
        raise typer.Exit(Exit.INTERRUPTED)
    if len(results) < sessions or not all(item.session.ok for item in results):
        raise typer.Exit(Exit.FAILED)


async def _discover(
    interface: interfaces.Interface | None, secured: Secured, sdp_port: int, record: RunTrace
) -> tuple[str, int, int, int]:
    assert interface is not None
    found = await sdp.discover(interface, security=secured.security, udp_port=sdp_port, sink=record.sdp)
    if found.response.security is not secured.security:
        offered = "TLS" if found.response.security is sdp_messages.Security.TLS else "no TLS"
        raise sdp.DiscoveryError(
            f"the SECC at [{found.response.address}]:{found.response.port} offers {offered}"
        )
    log.info("SECC found at [%s]:%d", found.response.address, found.response.port)
    return found.socket_address


def _secure_secc(config: TLSConfig, record: RunTrace) -> Callable[[trio.abc.Stream], Any]:
    from ..transport.tls import TLSError, secure

    async def shake_hands(stream: trio.abc.Stream) -> tuple[trio.abc.Stream, LinkFacts]:
        peer = peer_name(stream)
        try:
            secured = await secure(record.connect(stream, peer, tls=True), config, server_side=True)
        except TLSError as error:
            record.tls(peer, error.facts)
            raise
        record.tls(peer, secured.facts)
        return secured, LinkFacts(tls=_is_tls_1_3(secured), vehicle_certificate=secured.facts.peer_leaf)

    return shake_hands


async def _secure_evcc(
    stream: trio.abc.Stream, config: TLSConfig, record: RunTrace, peer: str
) -> tuple[trio.abc.Stream, str, bytes | None]:
    import hashlib

    from ..transport.tls import TLSError, secure

    try:
        secured = await secure(stream, config, server_side=False)
    except TLSError as error:
        record.tls(peer, error.facts)
        record.closed(peer, "", str(error))
        raise
    record.tls(peer, secured.facts)
    leaf = secured.facts.peer_leaf
    version = secured.facts.version
    facts = f"{version.name if version else 'TLS'} {secured.facts.suite}"
    return secured, facts, hashlib.sha512(leaf).digest() if leaf else None


def _is_tls_1_3(stream: TLSStream) -> bool:
    from iso15118.security.tls_profile import TLSVersion

    return stream.facts.version is TLSVersion.TLS_1_3


def _override(settings: object, **values: object) -> None:
    """Options of the command line go before the file."""
    for name, value in values.items():
        if value is not None:
            setattr(settings, name, value)
    post_init: Callable[[], None] = settings.__post_init__  # type: ignore[attr-defined]
    post_init()


def _host_and_port(text: str) -> tuple[str, int] | tuple[str, int, int, int]:
    """ "host:port" or "[ipv6%iface]:port"."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        stop(f"--connect {text!r} is not HOST:PORT (IPv6 addresses in brackets: [fe80::1%eth0]:50000)")
    host = host.removeprefix("[").removesuffix("]")
    address, _, scope = host.partition("%")
    if scope:
        return interfaces.find(scope).socket_address(IPv6Address(address), int(port))
    return host, int(port)


def _run(main: Callable[[RunTrace], Any], record: RunTrace) -> bool:
    """Run to the end; True if Ctrl-C ended it. Everything is closed properly either way."""
    try:
        trio.run(main, record)
    except KeyboardInterrupt:
        return True
    except BaseExceptionGroup as group:
        interrupts, others = group.split(KeyboardInterrupt)
        if others is not None:
            raise others from None
        return interrupts is not None
    return False


def _log_to_stderr(verbose: bool) -> None:
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s"
    )


def _logging_sink(peer: str) -> FrameSink:
    def record(frame: FrameRecord) -> None:
        name = type(frame.message).__name__ if frame.message is not None else str(frame.error)
        log.debug(
            "%s %4d %s %-34s %d bytes", peer, frame.number, frame.sender.value, name, len(frame.payload)
        )

    return record
