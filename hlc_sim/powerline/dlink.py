"""The data link of a session over the powerline: SLAC below, TCP above, and what one means for the other.

    async with vehicle_link("eth1") as line:
        await line.up()                                  # matched, or woken after a pause
        stream = line.carry(await tcp.connect(...))      # ends when the link is lost
        ...                                              # the session
        await line.down(paused=False)                    # D-LINK_TERMINATE: a new random key; or D-LINK_PAUSE

However it ends, the network is left with a new random key, unless the session is paused.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TypeVar

import trio

from iso15118.session.timers import STRICT
from iso15118.slac import (
    DLink,
    EvControlPilot,
    EvseControlPilot,
    EvseSlacConfig,
    EvSlacConfig,
    SlacMatch,
)
from iso15118.slac.keys import Entropy

from .host import FrameTap, single_exceptions
from .link import EthernetLink
from .matching import Observer, Slac, ev_slac, evse_slac

log = logging.getLogger(__name__)

L = TypeVar("L", bound="DataLink")

_LEAVE_TIMEOUT = 15.0
"""Seconds given to the modem to take the new key at the end; slow ones are deaf for up to 10 s."""
_NO_MAC = bytes(6)  # the link's own takes its place


class DataLink:
    """What both sides share: the matching that runs, and the connections that stand on its link."""

    def __init__(self, slac: Slac) -> None:
        self.slac = slac
        self.paused = False
        self._streams: list[trio.SocketStream] = []

    def carry(self, stream: trio.SocketStream) -> trio.SocketStream:
        """End this connection when the link is lost."""
        self._streams.append(stream)
        return stream

    async def watch(self) -> None:
        """For ever: say when the link comes and goes, end the connections when it goes."""
        while True:
            match = await self.slac.established()
            log.info("powerline: link up, %s", match)
            self._established()
            log.info("powerline: link ended, %s", await self.slac.lost())
            for stream in self._streams:
                # Shut down rather than closed: whoever reads or writes sees the end, and closes in order.
                with suppress(OSError):
                    stream.socket.shutdown(socket.SHUT_RDWR)
            self._streams.clear()
            self._ended()

    def _established(self) -> None:
        pass

    def _ended(self) -> None:
        pass

    async def close(self) -> None:
        """Leave the network with a new random key, unless paused: then key and network are kept."""
        if not self.paused:
            if self.slac.machine.match is not None:
                await self.slac.leave()
            await self.slac.settled()


class VehicleLink(DataLink):
    """The EV's side."""

    _left = False

    async def up(self) -> SlacMatch:
        """A link: by matching, or after a pause by waking it. SlacFailed with the reason otherwise."""
        if self.paused:
            self.paused = False
            return await self.slac.wake()
        if self._left:
            self._left = False
            self.slac.plug()
        return await self.slac.matched()

    async def down(self, *, paused: bool) -> None:
        """The session is over, or paused."""
        self._streams.clear()
        if paused:
            self.paused = True
            self.slac.give(DLink.PAUSE)
        else:
            await self.slac.leave()
            self._left = True


class StationLink(DataLink):
    """The EVSE's side. Without a control pilot a connection is what wakes a paused link, and a link on which
    none comes within the EVCC's V2G_EVCC_CommunicationSetup_Timeout is given up for the next vehicle.
    """

    def __init__(self, slac: Slac, nursery: trio.Nursery) -> None:
        super().__init__(slac)
        self._nursery = nursery
        self._connected = trio.Event()
        self._open = 0
        """Connections that are not over."""

    def accepting(self, listener: trio.SocketListener) -> trio.abc.Listener[trio.SocketStream]:
        """The listener to accept from in place of this one."""
        return _Listener(listener, self)

    def carry(self, stream: trio.SocketStream) -> trio.SocketStream:
        self._connected.set()
        self._open += 1
        if self.paused:
            self.paused = False
            self.slac.give(DLink.RESUME)
        return super().carry(stream)

    def over(self, *, paused: bool) -> None:
        """A connection has ended; paused: with a session that may be resumed. The last one ends the match: a
        vehicle may try a second one before it gives up the first.
        """
        self._open -= 1
        if paused:
            self.paused = True
            self.slac.give(DLink.PAUSE)
        elif not self._open and self.slac.machine.match is not None:
            self._nursery.start_soon(self._next_vehicle)

    def _established(self) -> None:
        # The EV may see the link before us, connect, and be done with it.
        if self.paused:
            self.slac.give(DLink.PAUSE)
        else:
            self._nursery.start_soon(self._await_connection, self._connected)

    def _ended(self) -> None:
        self._connected = trio.Event()

    async def _await_connection(self, connected: trio.Event) -> None:
        with trio.move_on_after(STRICT.seconds("V2G_EVCC_CommunicationSetup_Timeout")):
            await connected.wait()
            return
        if self.slac.linked and connected is self._connected:
            log.warning("powerline: the vehicle made no connection")
            await self._next_vehicle()

    async def _next_vehicle(self) -> None:
        self._ended()
        await self.slac.leave()
        self.slac.plug()


class _Listener(trio.abc.Listener[trio.SocketStream]):
    def __init__(self, listener: trio.SocketListener, line: StationLink) -> None:
        self._listener = listener
        self._line = line

    async def accept(self) -> trio.SocketStream:
        return self._line.carry(await self._listener.accept())

    async def aclose(self) -> None:
        await self._listener.aclose()


# --- entry points -----------------------------------------------------------------------------------


@asynccontextmanager
async def vehicle_link(
    link: EthernetLink | str,
    *,
    config: EvSlacConfig | None = None,
    control_pilot: EvControlPilot | None = None,
    observer: Observer | None = None,
    entropy: Entropy = os.urandom,
    taps: list[FrameTap] | None = None,
) -> AsyncIterator[VehicleLink]:
    """Be an EV on this interface; arguments as for ``ev_slac``."""
    context = ev_slac(
        link, config=config, control_pilot=control_pilot, observer=observer, entropy=entropy, taps=taps
    )
    async with context as slac, _watched(lambda _: VehicleLink(slac)) as line:
        yield line


@asynccontextmanager
async def station_link(
    link: EthernetLink | str,
    *,
    config: EvseSlacConfig | None = None,
    control_pilot: EvseControlPilot | None = None,
    observer: Observer | None = None,
    entropy: Entropy = os.urandom,
    taps: list[FrameTap] | None = None,
) -> AsyncIterator[StationLink]:
    """Be an EVSE on this interface; arguments as for ``evse_slac``. Without a control pilot nobody knows when
    a vehicle is plugged: TT_EVSE_SLAC_init then has no end."""
    config = config or EvseSlacConfig(_NO_MAC)
    if control_pilot is None:
        config = replace(config, timing=replace(config.timing, TT_EVSE_SLAC_init=math.inf))
    context = evse_slac(
        link, config=config, control_pilot=control_pilot, observer=observer, entropy=entropy, taps=taps
    )
    async with context as slac, _watched(lambda nursery: StationLink(slac, nursery)) as line:
        yield line


@asynccontextmanager
async def _watched(make: Callable[[trio.Nursery], L]) -> AsyncIterator[L]:
    """The data link that is made, watched meanwhile and closed in order at the end."""
    async with single_exceptions(), trio.open_nursery() as nursery:
        line = make(nursery)
        nursery.start_soon(line.watch)
        try:
            yield line
        finally:
            with trio.move_on_after(_LEAVE_TIMEOUT) as limit:
                limit.shield = True
                await line.close()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def until_signalled() -> AsyncIterator[None]:
    """SIGINT and SIGTERM cancel the body, which can put things in order undisturbed by more of them; then
    KeyboardInterrupt. Around ``vehicle_link`` and ``station_link``, whose way out takes seconds."""
    interrupted = False
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with single_exceptions(), trio.open_nursery() as listening:
            body = trio.CancelScope()

            async def wait() -> None:
                nonlocal interrupted
                async for _ in signals:  # to the last: one that is left over would be delivered at the end
                    interrupted = True
                    body.cancel()

            listening.start_soon(wait)
            with body:
                yield
            listening.cancel_scope.cancel()
    if interrupted:
        raise KeyboardInterrupt


__all__ = ["DataLink", "StationLink", "VehicleLink", "station_link", "until_signalled", "vehicle_link"]
