"""Where SDP scenarios meet a device: datagrams and ports, on an interface or in memory."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Any, Protocol

import trio

from iso15118 import sdp as sdp_messages

from ..transport import interface as interfaces
from ..transport import sdp, tcp

STATION = IPv6Address("fe80::5ecc")
VEHICLE = IPv6Address("fe80::e0cc")
_QUEUE = 1000


class Asking(Protocol):
    """Our EVCC's side: requests go to an SECC, and connections to the port it names."""

    @property
    def datagrams(self) -> sdp.Datagrams: ...

    @property
    def group(self) -> Any:
        """Where requests go."""

    async def connect(self, response: sdp_messages.Response) -> trio.abc.Stream: ...

    def close(self) -> None: ...


class Answering(Protocol):
    """Our SECC's side: requests come from an EVCC, and connections to the ports we open."""

    @property
    def datagrams(self) -> sdp.Datagrams: ...

    @property
    def address(self) -> IPv6Address: ...

    async def listen(self) -> tuple[int, Callable[[], Awaitable[trio.abc.Stream]]]:
        """A port, and what waits for a connection to it."""

    def close(self) -> None: ...


class MemoryDatagrams:
    """A UDP socket with one other one on its line."""

    def __init__(self, address: tuple[str, int, int, int]) -> None:
        self.address = address
        self.other: MemoryDatagrams
        self._in, self._out = trio.open_memory_channel[tuple[bytes, Any]](_QUEUE)

    async def sendto(self, data: bytes, address: Any, /) -> int:
        await trio.lowlevel.checkpoint()
        with contextlib.suppress(trio.WouldBlock):  # as with UDP, what nobody reads is lost
            self.other._in.send_nowait((data, self.address))
        return len(data)

    async def recvfrom(self, size: int, /) -> tuple[bytes, Any]:
        data, sender = await self._out.receive()
        return data[:size], sender


@dataclass
class MemoryLine:
    """A station and a vehicle on a line, and the TCP ports that are open on it."""

    vehicle: MemoryDatagrams = field(default_factory=lambda: MemoryDatagrams((str(VEHICLE), 50000, 0, 1)))
    station: MemoryDatagrams = field(
        default_factory=lambda: MemoryDatagrams((str(STATION), sdp_messages.PORT, 0, 1))
    )
    address: IPv6Address = STATION
    ports: dict[int, Callable[[trio.abc.Stream], None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.vehicle.other, self.station.other = self.station, self.vehicle

    @property
    def group(self) -> Any:
        return self.station.address

    def knock(self, port: int) -> trio.abc.Stream:
        """A connection to an open port. ConnectionRefusedError if there is none."""
        from trio.testing import memory_stream_pair

        if port not in self.ports:
            raise ConnectionRefusedError(f"nobody listens on port {port}")
        here, there = memory_stream_pair()
        self.ports[port](there)
        return here

    def close(self) -> None:
        """Nothing of the machine is held."""


class MemoryAsking(MemoryLine):
    """Our vehicle, and a simulated station."""

    @property
    def datagrams(self) -> sdp.Datagrams:
        return self.vehicle

    async def connect(self, response: sdp_messages.Response) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return self.knock(response.port)


class MemoryAnswering(MemoryLine):
    """Our station, and a simulated vehicle."""

    @property
    def datagrams(self) -> sdp.Datagrams:
        return self.station

    async def listen(self) -> tuple[int, Callable[[], Awaitable[trio.abc.Stream]]]:
        await trio.lowlevel.checkpoint()
        port = 60000 + len(self.ports)
        put, get = trio.open_memory_channel[trio.abc.Stream](math.inf)
        self.ports[port] = put.send_nowait
        return port, get.receive


@dataclass
class InterfaceAsking:
    """A station on an interface."""

    interface: interfaces.Interface
    datagrams: trio.socket.SocketType
    group: Any

    @classmethod
    async def open(cls, name: str, udp_port: int) -> InterfaceAsking:
        interface = interfaces.find(name)
        group = interface.socket_address(IPv6Address(interface.sdp_destination), udp_port)
        return cls(interface, await sdp.client_socket(interface), group)

    async def connect(self, response: sdp_messages.Response) -> trio.abc.Stream:
        return await tcp.connect(self.interface.socket_address(response.address, response.port))

    def close(self) -> None:
        self.datagrams.close()


@dataclass
class InterfaceAnswering:
    """A vehicle on an interface."""

    interface: interfaces.Interface
    datagrams: trio.socket.SocketType
    listeners: list[trio.SocketListener] = field(default_factory=list)

    @classmethod
    async def open(cls, name: str, udp_port: int) -> InterfaceAnswering:
        interface = interfaces.find(name)
        return cls(interface, await sdp.server_socket(interface, udp_port))

    @property
    def address(self) -> IPv6Address:
        return self.interface.address

    async def listen(self) -> tuple[int, Callable[[], Awaitable[trio.abc.Stream]]]:
        listener = await tcp.listen(self.interface)
        self.listeners.append(listener)
        return listener.socket.getsockname()[1], listener.accept

    def close(self) -> None:
        """The SDP port too, or the next server would share it."""
        self.datagrams.close()
        for listener in self.listeners:
            listener.socket.close()
