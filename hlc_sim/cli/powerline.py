"""`--powerline` of `hlc secc` and `hlc evcc`: SLAC on the interface before SDP and TCP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from .errors import stop

if TYPE_CHECKING:
    from ..powerline.dlink import StationLink, VehicleLink
    from ..powerline.host import FrameTap


class NoLine:
    """In place of a data link where there is nothing to match: cable, loopback."""

    async def up(self) -> None:
        await trio.lowlevel.checkpoint()

    async def down(self, *, paused: bool) -> None:
        await trio.lowlevel.checkpoint()

    def carry(self, stream: trio.SocketStream) -> trio.SocketStream:
        return stream

    def accepting(self, listener: trio.SocketListener) -> trio.abc.Listener[trio.SocketStream]:
        return listener

    def over(self, *, paused: bool) -> None:
        pass


def check(wanted: bool, iface: str) -> None:
    """End the command with exit code 2 if `--powerline` cannot work like this."""
    if wanted:
        from ..powerline.cli_common import need_scapy

        if iface.startswith("lo"):
            stop("--powerline needs --iface: the interface of the modem")
        need_scapy()


@asynccontextmanager
async def vehicle(
    wanted: bool, iface: str, taps: Sequence[FrameTap] = ()
) -> AsyncIterator[VehicleLink | NoLine]:
    """The EV's data link on `iface`, or none. No match: ConnectionError with the reason."""
    if not wanted:
        yield NoLine()
        return
    from ..powerline.dlink import until_signalled, vehicle_link
    from ..powerline.matching import SlacFailed

    try:
        async with until_signalled(), vehicle_link(iface, taps=list(taps)) as line:
            yield line
    except SlacFailed as error:
        raise ConnectionError(f"powerline: {error}") from None


@asynccontextmanager
async def station(
    wanted: bool, iface: str, taps: Sequence[FrameTap] = ()
) -> AsyncIterator[StationLink | NoLine]:
    """The EVSE's data link on `iface`, or none. No modem: ConnectionError with the reason."""
    if not wanted:
        yield NoLine()
        return
    from ..powerline.dlink import station_link, until_signalled
    from ..powerline.matching import SlacFailed

    try:
        async with until_signalled(), station_link(iface, taps=list(taps)) as line:
            yield line
    except SlacFailed as error:
        raise ConnectionError(f"powerline: {error}") from None
