"""Devices under test: the simulator in memory, or exactly one named peer on a network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import trio

from iso15118 import sdp as sdp_messages
from iso15118.session.evcc_steps import PausedSession
from iso15118.session.events import Role
from iso15118.slac import Mac

from ..clock import unix_offset
from ..config.station import StationConfig
from ..config.vehicle import VehicleConfig
from ..evcc import charge
from ..groups import sole
from ..secc import ConnectionReport, Station
from ..transport import interface as interfaces
from ..transport import sdp, tcp
from ..transport.link import Link
from .discovery import (
    Answering,
    Asking,
    InterfaceAnswering,
    InterfaceAsking,
    MemoryAnswering,
    MemoryAsking,
)
from .no_target import Crashed, NoTarget, Unreached
from .trigger import Trigger

__all__ = ["NetworkEVCC", "NetworkSECC", "NoTarget", "SimulatedEVCC", "SimulatedSECC", "Target"]

if TYPE_CHECKING:
    from iso15118.session.secc_config import LinkSecurity
    from pki.hierarchy import Hierarchy

    from ..transport.tls import TLSConfig
    from .matching import Bench, PlugIn
    from .model import Scenario


class _Both:
    """What a device of one role does not do in the other's place."""

    patience: float = 120.0
    """s to wait for a car."""
    handshakes: int = 0
    """TLS handshakes that a simulated device took for whole ones."""
    well: bool = False
    """It has just borne a correct handshake or matching."""
    host: Mac | None = None
    """Its address on the powerline, where it has matched."""

    async def asking(self, nursery: trio.Nursery, scenario: Scenario) -> Asking:
        raise NoTarget("an EVCC answers no SDP requests")

    async def answering(self, nursery: trio.Nursery, scenario: Scenario) -> Answering:
        raise NoTarget("an SECC sends no SDP requests")

    def bench(self, scenario: Scenario) -> AbstractAsyncContextManager[Bench]:
        raise NoTarget("SLAC scenarios need --iface, the interface of a powerline modem")


class Target(Protocol):
    """A device. `connect` gives one connection to it: opened by us to an SECC, by the device if it is an
    EVCC.
    """

    @property
    def role(self) -> Role: ...

    @property
    def plain(self) -> bool:
        """No TLS: a laboratory link."""

    @property
    def name(self) -> str: ...

    async def connect(
        self, nursery: trio.Nursery, vehicle: VehicleConfig, station: StationConfig
    ) -> trio.abc.Stream:
        """A connection, secured if it is to be. NoTarget if there is none. A simulated device takes its
        configuration from `station` or `vehicle`.
        """

    def hierarchy(self, editions: tuple[str, ...] = ()) -> Hierarchy:
        """The certificates the device trusts and holds, for scenarios below TLS; of one of the `editions`
        where the device can be had with several. NoTarget if they are not known.
        """

    async def reach(self, nursery: trio.Nursery, scenario: Scenario, hierarchy: Hierarchy) -> trio.abc.Stream:
        """A connection on which the device expects TLS, before the handshake. NoTarget if there is none."""

    async def asking(self, nursery: trio.Nursery, scenario: Scenario) -> Asking:
        """Where an SECC can be asked for by SDP."""

    async def answering(self, nursery: trio.Nursery, scenario: Scenario) -> Answering:
        """Where an EVCC asks by SDP."""

    def bench(self, scenario: Scenario) -> AbstractAsyncContextManager[Bench]:
        """A powerline with the device on it. NoTarget if there is none."""

    @property
    def patience(self) -> float:
        """s to wait for an EVCC to come."""

    @property
    def handshakes(self) -> int:
        """TLS handshakes that a simulated device took for whole ones."""

    well: bool
    """It has just borne a correct handshake or matching: the next scenario need not begin with one."""


def minted(editions: tuple[str, ...] = ()) -> Hierarchy:
    """The hierarchy of the simulator, made once."""
    return _minted(editions[0] if editions else "2022")


@cache
def _minted(edition: str) -> Hierarchy:
    from pki.hierarchy import Hierarchy
    from pki.profiles import Edition

    return Hierarchy.mint(Edition(edition), seed="scenarios")


Retls = Callable[["TLSConfig"], "TLSConfig"]
"""Changes how a simulated device speaks TLS."""


@dataclass
class SimulatedSECC(_Both):
    """Our own SECC, in memory. `station` (a function of the scenario's configuration) may replace it, `tls`
    its TLS.
    """

    role: Role = Role.SECC
    plain: bool = True
    name: str = "simulated SECC"
    make: Callable[[StationConfig], Station] | None = None
    tls: Retls | None = None
    endpoints: Mapping[sdp_messages.Security, int] = field(
        default_factory=lambda: {sdp_messages.Security.TLS: 50000}
    )
    """Its ports, as SDP tells them."""
    slac: dict[str, Any] = field(default_factory=dict)
    """Fields of `EvseSlacConfig`, and `exposed` for a modem that takes orders from the line."""
    _running: tuple[object, StationConfig, Station] | None = None
    """Sessions go to the same station as long as they want one of the same configuration."""

    async def connect(
        self, nursery: trio.Nursery, vehicle: VehicleConfig, station: StationConfig
    ) -> trio.abc.Stream:
        return _in_memory(nursery, self._one("plain", station, lambda: self._made(station)).handle)

    def hierarchy(self, editions: tuple[str, ...] = ()) -> Hierarchy:
        return minted(editions)

    async def reach(self, nursery: trio.Nursery, scenario: Scenario, hierarchy: Hierarchy) -> trio.abc.Stream:
        from ..trust import securing, station_of

        pnc = scenario.tls is not None and scenario.tls.pnc

        def make() -> Station:
            own, plain = station_of(hierarchy, plug_and_charge=pnc), self._made(scenario.station)
            secure = securing(self.tls(own.tls) if self.tls else own.tls)

            async def counted(stream: trio.abc.Stream) -> tuple[trio.abc.Stream, LinkSecurity]:
                secured = await secure(stream)
                self.handshakes += 1
                return secured

            return replace(plain, config=replace(plain.config, **own.offers), secure=counted, trust=own.trust)

        return _in_memory(nursery, _open(self._one((hierarchy.edition, pnc), scenario.station, make)))

    async def asking(self, nursery: trio.Nursery, scenario: Scenario) -> Asking:
        line = MemoryAsking()
        if (plain := self.endpoints.get(sdp_messages.Security.NONE)) is not None:
            station = self._one("plain", scenario.station, lambda: self._made(scenario.station))
            line.ports[plain] = lambda stream: nursery.start_soon(alive, station.handle, stream)
        nursery.start_soon(alive, sdp.answer, line.station, line.address, self.endpoints)
        return line

    def bench(self, scenario: Scenario) -> AbstractAsyncContextManager[Bench]:
        from .matching import simulated

        return simulated(scenario, self.slac)

    def _one(self, kind: object, config: StationConfig, make: Callable[[], Station]) -> Station:
        if self._running is None or self._running[:2] != (kind, config):
            self._running = kind, config, make()
        return self._running[2]

    def _made(self, config: StationConfig) -> Station:
        return self.make(config) if self.make is not None else _station(config)


@dataclass
class SimulatedEVCC(_Both):
    """Our own EVCC, in memory. After a session that it paused, the next one resumes that. `tls` may change
    its TLS.
    """

    role: Role = Role.EVCC
    plain: bool = True
    name: str = "simulated EVCC"
    tls: Retls | None = None
    check: Callable[[sdp_messages.Response, sdp_messages.Security], None] = sdp.check_security
    """What it makes of an SDP answer."""
    slac: dict[str, Any] = field(default_factory=dict)
    """Fields of `EvSlacConfig`."""
    _paused: PausedSession | None = None

    async def connect(
        self, nursery: trio.Nursery, vehicle: VehicleConfig, station: StationConfig
    ) -> trio.abc.Stream:
        async def drive(stream: trio.abc.Stream) -> None:
            link = Link(stream, Role.EVCC)
            report = await charge(link, vehicle.session(), vehicle.vehicle(), resume=self._paused)
            self._paused = report.session.paused

        return _in_memory(nursery, drive)

    def hierarchy(self, editions: tuple[str, ...] = ()) -> Hierarchy:
        return minted(editions)

    async def reach(self, nursery: trio.Nursery, scenario: Scenario, hierarchy: Hierarchy) -> trio.abc.Stream:
        from ..transport.tls import TLSError
        from ..trust import connecting, describe, secc_identity, vehicle_of

        wishes = scenario.tls
        own = vehicle_of(
            hierarchy,
            plug_and_charge=wishes is not None and wishes.pnc,
            contracts=None if wishes is None or wishes.contracts else (),
        )
        config = scenario.vehicle

        async def drive(stream: trio.abc.Stream) -> None:
            try:
                secured = await connecting(stream, self.tls(own.tls) if self.tls else own.tls)
            except TLSError:
                return  # `connecting` has closed the stream
            self.handshakes += 1
            session = replace(config.session(), **own.settings)
            known = {"secc_identity": secc_identity(secured), "tls": describe(secured.facts)}
            await charge(Link(secured, Role.EVCC), session, config.vehicle(), **known)  # type: ignore[arg-type]

        return _in_memory(nursery, drive)

    async def answering(self, nursery: trio.Nursery, scenario: Scenario) -> Answering:
        from ..trust import connecting, vehicle_of

        line = MemoryAnswering()
        own = vehicle_of(minted()).tls

        async def drive() -> None:
            with suppress(OSError, trio.BrokenResourceError):
                response, _ = await sdp.ask(line.vehicle, line.group)
                self.check(response, sdp_messages.Security.TLS)
                stream = line.knock(response.port)
                if response.security is sdp_messages.Security.TLS:
                    await connecting(stream, self.tls(own) if self.tls else own)
                else:
                    await charge(
                        Link(stream, Role.EVCC), scenario.vehicle.session(), scenario.vehicle.vehicle()
                    )

        nursery.start_soon(alive, drive)
        return line

    def bench(self, scenario: Scenario) -> AbstractAsyncContextManager[Bench]:
        from .matching import simulated

        return simulated(scenario, self.slac)


def _in_memory(nursery: trio.Nursery, serve: Callable[[trio.abc.Stream], Awaitable[None]]) -> trio.abc.Stream:
    from trio.testing import memory_stream_pair

    here, there = memory_stream_pair()
    nursery.start_soon(alive, serve, there)
    return here


def _open(station: Station) -> Callable[[trio.abc.Stream], Awaitable[None]]:
    """Its handler, which lets out what the station itself survives."""

    async def handle(stream: trio.abc.Stream) -> None:
        reports: list[ConnectionReport] = []

        def finished(report: ConnectionReport) -> None:
            reports.append(report)
            if station.finished is not None:
                station.finished(report)

        await replace(station, finished=finished).handle(stream)
        if reports and reports[0].error is not None:
            raise reports[0].error

    return handle


async def alive(run: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    """A task of a simulated device: what it lets out is a crash of the device, not of the scenario."""
    try:
        await run(*arguments)
    except Exception as error:
        raise Crashed(error) from error


@dataclass
class NetworkSECC(_Both):
    """A charger: at an address, or found by SDP on an interface. Nothing is sent anywhere else."""

    address: tuple[str, int] | tuple[str, int, int, int] | None = None
    interface: str | None = None
    tls: TLSConfig | None = None
    pki: Hierarchy | None = None
    """What it trusts and holds, for scenarios below TLS."""
    sdp_port: int = sdp_messages.PORT
    role: Role = field(default=Role.SECC, init=False)

    @property
    def plain(self) -> bool:
        return self.tls is None

    @property
    def name(self) -> str:
        return (
            f"SECC at [{self.address[0]}]:{self.address[1]}" if self.address else f"SECC on {self.interface}"
        )

    async def connect(
        self, nursery: trio.Nursery, vehicle: VehicleConfig, station: StationConfig
    ) -> trio.abc.Stream:
        security = sdp_messages.Security.NONE if self.tls is None else sdp_messages.Security.TLS
        stream: trio.abc.Stream = await self._open(security)
        try:
            return stream if self.tls is None else await _secure(stream, self.tls, server_side=False)
        except (OSError, trio.BrokenResourceError) as error:
            raise NoTarget(f"{self.name}: {error}") from error

    def hierarchy(self, editions: tuple[str, ...] = ()) -> Hierarchy:
        return _known(self.pki)

    async def reach(self, nursery: trio.Nursery, scenario: Scenario, hierarchy: Hierarchy) -> trio.abc.Stream:
        return await self._open(sdp_messages.Security.TLS)

    async def _open(self, security: sdp_messages.Security) -> trio.SocketStream:
        try:
            return await tcp.connect(self.address or await self._discover(security))
        except OSError as error:
            raise Unreached(f"{self.name}: {error}") from error

    async def asking(self, nursery: trio.Nursery, scenario: Scenario) -> Asking:
        if self.interface is None:
            raise NoTarget(f"SDP scenarios need --iface, not the address of the {self.name}")
        return await InterfaceAsking.open(self.interface, self.sdp_port)

    def bench(self, scenario: Scenario) -> AbstractAsyncContextManager[Bench]:
        return _on_interface(self, self.interface, scenario)

    async def _discover(self, security: sdp_messages.Security) -> tuple[str, int, int, int]:
        assert self.interface is not None
        found = await sdp.discover(interfaces.find(self.interface), security=security, udp_port=self.sdp_port)
        sdp.check_security(found.response, security)  # else it would fail every case for our plain bytes
        return found.socket_address


@dataclass
class NetworkEVCC(_Both):
    """A car that finds us by SDP on an interface, and connects; others are not served."""

    interface: str
    tls: TLSConfig | None = None
    pki: Hierarchy | None = None
    """What it trusts and holds, for scenarios below TLS."""
    port: int | None = None
    sdp_port: int = sdp_messages.PORT
    patience: float = 120.0
    """s to wait for the car."""
    trigger: Trigger | None = None
    """Makes the car connect; in its environment are HLC_MODE ("dc") and HLC_CONTROL ("scheduled", "dynamic"
    or empty: either), what the scenario wants of the car.
    """
    role: Role = field(default=Role.EVCC, init=False)

    @property
    def plain(self) -> bool:
        return self.tls is None

    @property
    def name(self) -> str:
        return f"EVCC on {self.interface}"

    @property
    def said(self) -> list[str]:
        """What the trigger wrote in this session."""
        return list(self.trigger.said) if self.trigger is not None else []

    async def connect(
        self, nursery: trio.Nursery, vehicle: VehicleConfig, station: StationConfig
    ) -> trio.abc.Stream:
        security = sdp_messages.Security.NONE if self.tls is None else sdp_messages.Security.TLS
        accepted = await self._accept(nursery, security, vehicle)
        try:
            return accepted if self.tls is None else await _secure(accepted, self.tls, server_side=True)
        except (OSError, trio.BrokenResourceError) as error:
            raise NoTarget(f"{self.name}: {error}") from error

    def hierarchy(self, editions: tuple[str, ...] = ()) -> Hierarchy:
        return _known(self.pki)

    async def reach(self, nursery: trio.Nursery, scenario: Scenario, hierarchy: Hierarchy) -> trio.abc.Stream:
        return await self._accept(nursery, sdp_messages.Security.TLS, scenario.vehicle)

    async def answering(self, nursery: trio.Nursery, scenario: Scenario) -> Answering:
        opened = await InterfaceAnswering.open(self.interface, self.sdp_port)
        if self.trigger is not None:
            await nursery.start(self.trigger.run, _wish(scenario.vehicle))
        return opened

    def bench(self, scenario: Scenario) -> AbstractAsyncContextManager[Bench]:
        async def plug_in(nursery: trio.Nursery) -> None:
            if self.trigger is not None:
                await nursery.start(self.trigger.run, _wish(scenario.vehicle))

        return _on_interface(self, self.interface, scenario, plug_in)

    async def _accept(
        self, nursery: trio.Nursery, security: sdp_messages.Security, vehicle: VehicleConfig
    ) -> trio.SocketStream:
        try:
            accepted = await self._next(nursery, security, vehicle)
        except (OSError, BaseExceptionGroup) as error:
            # The interface went away, or its ports are taken: that is not the car's.
            if isinstance(cause := sole(error), OSError):
                raise Unreached(f"{self.name}: {cause}") from error
            raise
        if accepted is None and self.trigger is not None and self.trigger.code:
            raise NoTarget(f"{self.name}: the trigger ended with exit code {self.trigger.code}")
        if accepted is None:
            raise Unreached(f"{self.name}: no car connected within {self.patience:g} s")
        return accepted

    async def _next(
        self, nursery: trio.Nursery, security: sdp_messages.Security, vehicle: VehicleConfig
    ) -> trio.SocketStream | None:
        """The next connection; None if none comes."""
        interface = interfaces.find(self.interface)
        accepted: trio.SocketStream | None = None
        async with await tcp.listen(interface, self.port) as listener:
            endpoints = {security: listener.socket.getsockname()[1]}
            with trio.move_on_after(self.patience):
                async with trio.open_nursery() as waiting:
                    await waiting.start(
                        lambda task_status: sdp.serve(
                            interface, endpoints, udp_port=self.sdp_port, task_status=task_status
                        )
                    )
                    if self.trigger is not None:
                        await nursery.start(self.trigger.run, _wish(vehicle))
                        waiting.start_soon(self._give_up, waiting.cancel_scope)
                    accepted = await listener.accept()
                    waiting.cancel_scope.cancel()
        return accepted

    async def _give_up(self, waiting: trio.CancelScope) -> None:
        assert self.trigger is not None
        await self.trigger.failed.wait()
        waiting.cancel()


def _on_interface(
    device: _Both, interface: str | None, scenario: Scenario, plug_in: PlugIn | None = None
) -> AbstractAsyncContextManager[Bench]:
    if interface is None:
        raise NoTarget("SLAC scenarios need --iface, the interface of a powerline modem")
    from .matching import on_interface

    return on_interface(device, interface, scenario, plug_in)


def _known(pki: Hierarchy | None) -> Hierarchy:
    if pki is None:
        raise NoTarget(
            "a scenario below TLS needs the certificates that the device trusts and we present: "
            "--pki with a directory made by `v2g-pki mint --out DIR`"
        )
    return pki


def _wish(vehicle: VehicleConfig) -> dict[str, str]:
    return {"HLC_MODE": vehicle.mode, "HLC_CONTROL": vehicle.control or ""}


def _station(config: StationConfig) -> Station:
    return Station(config.session(), lambda: config.charger(unix_offset()))


async def _secure(stream: trio.abc.Stream, tls: TLSConfig, *, server_side: bool) -> trio.abc.Stream:
    from ..transport.tls import secure

    return await secure(stream, tls, server_side=server_side)
