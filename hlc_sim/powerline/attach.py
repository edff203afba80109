"""The simulated powerline at work under trio, and hosts attached to it in memory."""

from __future__ import annotations

import math
from typing import Protocol

import trio

from iso15118.slac.messages import Mac

from .simulated import Powerline
from .simulated_modem import SimulatedModem


class Port(Protocol):
    """The host's side of a modem: where its frames go."""

    def deliver(self, frame: bytes) -> None: ...


class MemoryLink:
    """A host attached in this process; an ``EthernetLink``. Its queue is bounded as a socket's is: a host
    that does not read loses frames, counted in ``dropped``."""

    def __init__(self, running: RunningPowerline, modem: SimulatedModem, mac: Mac, queue: int = 1024) -> None:
        self.mac = mac
        self.dropped = 0
        self._running = running
        self._modem = modem
        self._in: trio.MemorySendChannel[bytes]
        self._in, self._frames = trio.open_memory_channel[bytes](queue)

    def send(self, frame: bytes) -> None:
        self._running.transmit(self._modem, frame)

    async def receive(self) -> bytes:
        return await self._frames.receive()

    def deliver(self, frame: bytes) -> None:
        try:
            self._in.send_nowait(frame)
        except trio.WouldBlock:
            self.dropped += 1

    def close(self) -> None:
        self._running.detach(self._modem)


class RunningPowerline:
    """Moves frames when they are due. ``nursery.start_soon(running.run)``."""

    def __init__(self, powerline: Powerline) -> None:
        self.powerline = powerline
        self._ports: dict[str, Port] = {}
        self._wake = trio.Event()

    def attach(self, modem: SimulatedModem, port: Port) -> None:
        self._ports[modem.name] = port

    def detach(self, modem: SimulatedModem) -> None:
        self._ports.pop(modem.name, None)

    def memory_link(self, modem: SimulatedModem, mac: Mac) -> MemoryLink:
        """A host of this process behind the modem."""
        link = MemoryLink(self, modem, mac)
        self.attach(modem, link)
        return link

    def transmit(self, modem: SimulatedModem, frame: bytes) -> None:
        self.powerline.transmit(modem, frame, trio.current_time())
        self._wake.set()

    async def run(self) -> None:
        while True:
            for modem, frame in self.powerline.advance(trio.current_time()):
                port = self._ports.get(modem.name)
                if port is not None:
                    port.deliver(frame)
            deadline = self.powerline.deadline
            self._wake = trio.Event()
            with trio.move_on_at(math.inf if deadline is None else deadline):
                await self._wake.wait()
