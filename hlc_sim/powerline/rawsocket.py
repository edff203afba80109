"""A raw Ethernet socket on trio: the link to a modem that is a network interface. Linux only; needs
CAP_NET_RAW."""

from __future__ import annotations

import errno
import socket
import struct
from contextlib import nullcontext

import trio

from iso15118.slac.messages import Mac

from . import netns
from .link import LinkDown

ETHERTYPE = 0x88E1
_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_PACKET_IGNORE_OUTGOING = 23
_GONE = (errno.ENETDOWN, errno.ENODEV, errno.ENXIO)


class RawLink:
    """Frames of one EtherType (None: all) on one interface; an ``EthernetLink``.

    Reads in bursts of at most ``burst`` frames and then lets timers have their turn: a loop that drains the
    socket without bound makes the 200 ms timers of the matching late under a flood.
    """

    def __init__(
        self,
        interface: str,
        ethertype: int | None = ETHERTYPE,
        *,
        namespace: str | None = None,
        burst: int = 64,
        receive_buffer: int = 1 << 20,
    ) -> None:
        self.interface = interface
        self.ethertype = ethertype
        self.namespace = namespace
        self.dropped = 0
        self._burst = burst
        self._buffer_size = receive_buffer
        self._read_in_burst = 0
        self._lost = False
        self._socket = self._open()

    def _open(self) -> socket.socket:
        # Protocol 0 first: with a protocol given here it would hear all interfaces until it is bound.
        try:
            with netns.inside(self.namespace) if self.namespace else nullcontext():
                raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError as error:
            raise PermissionError(
                f"{self.interface}: raw sockets need root, or CAP_NET_RAW (setcap cap_net_raw+ep on python)"
            ) from error
        try:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer_size)
            raw.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
            raw.setblocking(False)
            raw.bind((self.interface, _ALL if self.ethertype is None else self.ethertype))
        except OSError as error:
            raw.close()
            if error.errno in _GONE:
                raise LinkDown(error.errno, f"{self.interface}: {error.strerror}") from error
            raise
        self.mac: Mac = raw.getsockname()[4]
        return raw

    def send(self, frame: bytes) -> None:
        frame = frame.ljust(60, b"\0")  # veth and some drivers let shorter ones through
        try:
            self._socket.send(frame)
        except (BlockingIOError, InterruptedError):
            pass  # a full queue loses the frame, as the line may
        except OSError as error:
            if error.errno in _GONE:
                raise LinkDown(error.errno, f"{self.interface}: {error.strerror}") from error
            if error.errno != errno.ENOBUFS:
                raise

    async def receive(self) -> bytes:
        if self._lost:
            await self._wait_for_interface()
            self._lost = False
        while True:
            if self._read_in_burst >= self._burst:
                self._read_in_burst = 0
                await trio.lowlevel.checkpoint()
            try:
                frame = self._socket.recv(65536)
            except BlockingIOError:
                self._read_in_burst = 0
                await trio.lowlevel.wait_readable(self._socket)
            except OSError as error:
                if error.errno not in _GONE:
                    raise
                self._lost = True
                raise LinkDown(error.errno, f"{self.interface}: {error.strerror}") from error
            else:
                self._read_in_burst += 1
                return frame

    async def _wait_for_interface(self) -> None:
        """A plugged-out USB modem comes back as a new interface of the same name."""
        while True:
            await trio.sleep(0.1)
            try:
                fresh = self._open()
            except OSError:
                continue
            self._socket.close()
            self._socket = fresh
            return

    def statistics(self) -> tuple[int, int]:
        """(received, dropped by the kernel) since the last call; the drops add up in ``dropped``."""
        packed = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        received, dropped = struct.unpack("II", packed)
        self.dropped += dropped
        return received, dropped

    def close(self) -> None:
        self._socket.close()
