"""Devices under test: the simulator in memory, or exactly one named peer on a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import trio

from iso15118 import sdp as sdp_messages
from iso15118.session.events import Role

from ..clock import unix_offset
from ..config.station import StationConfig
from ..config.vehicle import VehicleConfig
from ..evcc import charge
from ..secc import Station
from ..transport import interface as interfaces
from ..transport import sdp, tcp
from ..transport.link import Link
from .trigger import Trigger

if TYPE_CHECKING:
    from ..transport.tls import TLSConfig


class NoTarget(Exception):
    """The device could not be reached; the text says why."""


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


@dataclass
class SimulatedSECC:
    """Our own SECC, in memory. `station` (a function of the scenario's configuration) may replace it."""

    role: Role = Role.SECC
    plain: bool = True
    name: str = "simulated SECC"
    make: Callable[[StationConfig], Station] | None = None
    _station: Station | None = None

    async def connect(
        self, nursery: trio.Nursery, vehicle: VehicleConfig, station: StationConfig
    ) -> trio.abc.Stream:
        from trio.testing import memory_stream_pair

        here, there = memory_stream_pair()
        if self._station is None:
            self._station = self.make(station) if self.make is not None else _station(station)
        nursery.start_soon(self._station.handle, there)
        return here


@dataclass
class SimulatedEVCC:
    """Our own EVCC, in memory."""

    role: Role = Role.EVCC
    plain: bool = True
    name: str = "simulated EVCC"

    async def connect(
        self, nursery: trio.Nursery, vehicle: VehicleConfig, station: StationConfig
    ) -> trio.abc.Stream:
        from trio.testing import memory_stream_pair

        here, there = memory_stream_pair()

        async def drive() -> None:
            await charge(Link(there, Role.EVCC), vehicle.session(), vehicle.vehicle())

        nursery.start_soon(drive)
        return here


@dataclass
class NetworkSECC:
    """A charger: at an address, or found by SDP on an interface. Nothing is sent anywhere else."""

    address: tuple[str, int] | tuple[str, int, int, int] | None = None
    interface: str | None = None
    tls: TLSConfig | None = None
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
        try:
            address = self.address or await self._discover()
            stream: trio.abc.Stream = await tcp.connect(address)
            return stream if self.tls is None else await _secure(stream, self.tls, server_side=False)
        except (OSError, sdp.DiscoveryError) as error:
            raise NoTarget(f"{self.name}: {error}") from error

    async def _discover(self) -> tuple[str, int, int, int]:
        assert self.interface is not None
        security = sdp_messages.Security.NONE if self.tls is None else sdp_messages.Security.TLS
        found = await sdp.discover(interfaces.find(self.interface), security=security)
        return found.socket_address


@dataclass
class NetworkEVCC:
    """A car that finds us by SDP on an interface, and connects; others are not served."""

    interface: str
    tls: TLSConfig | None = None
    port: int | None = None
    sdp_port: int = 15118
    patience: float = 120.0
    """s to wait for the car."""
    trigger: Trigger | None = None
    """Makes the car connect."""
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
        interface = interfaces.find(self.interface)
        listener = await tcp.listen(interface, self.port)
        security = sdp_messages.Security.NONE if self.tls is None else sdp_messages.Security.TLS
        endpoints = {security: listener.socket.getsockname()[1]}
        accepted: trio.SocketStream | None = None
        with trio.move_on_after(self.patience):
            async with trio.open_nursery() as waiting:
                await waiting.start(
                    lambda task_status: sdp.serve(
                        interface, endpoints, udp_port=self.sdp_port, task_status=task_status
                    )
                )
                if self.trigger is not None:
                    await nursery.start(self.trigger.run)
                    waiting.start_soon(self._give_up, waiting.cancel_scope)
                accepted = await listener.accept()
                waiting.cancel_scope.cancel()
        await listener.aclose()
        if accepted is None and self.trigger is not None and self.trigger.code:
            raise NoTarget(f"{self.name}: the trigger ended with exit code {self.trigger.code}")
        if accepted is None:
            raise NoTarget(f"{self.name}: no car connected within {self.patience:g} s")
        try:
            return accepted if self.tls is None else await _secure(accepted, self.tls, server_side=True)
        except OSError as error:
            raise NoTarget(f"{self.name}: {error}") from error

    async def _give_up(self, waiting: trio.CancelScope) -> None:
        assert self.trigger is not None
        await self.trigger.failed.wait()
        waiting.cancel()


def _station(config: StationConfig) -> Station:
    return Station(config.session(), lambda: config.charger(unix_offset()))


async def _secure(stream: trio.abc.Stream, tls: TLSConfig, *, server_side: bool) -> trio.abc.Stream:
    from ..transport.tls import secure

    return await secure(stream, tls, server_side=server_side)
