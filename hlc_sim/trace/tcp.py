"""TCP reassembly, one direction at a time: segments in any order in, the stream of bytes out."""

from __future__ import annotations

from .packets import SYN

_LIMIT = 4 * 1024 * 1024
"""Bytes kept while an earlier segment is missing; then it is given up."""


class Reassembly:
    """One direction of a connection. Retransmissions and overlaps are dropped, disorder is put right.

    A segment that the capture missed makes a gap: after `_LIMIT` bytes, or at the end, the stream goes on
    behind it and `lost` counts the bytes.
    """

    def __init__(self) -> None:
        self._next: int | None = None
        self._waiting: dict[int, bytes] = {}
        self._held = 0
        self.lost = 0

    def feed(self, sequence: int, flags: int, payload: bytes) -> bytes:
        """The bytes of the stream that this segment completes."""
        if flags & SYN:
            self._next = (sequence + 1) & 0xFFFFFFFF
            return b""
        if not payload:
            return b""
        if self._next is None:  # the capture begins within the connection
            self._next = sequence
        ahead = (sequence - self._next + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        if ahead < 0:
            payload, ahead = payload[-ahead:], 0
            if not payload:
                return b""
            sequence = self._next
        if ahead == 0:
            return self._take(payload)
        if len(payload) > len(self._waiting.get(sequence, b"")):
            self._held += len(payload) - len(self._waiting.get(sequence, b""))
            self._waiting[sequence] = payload
        return self._skip() if self._held > _LIMIT else b""

    def end(self) -> bytes:
        """What waits behind gaps, once no more segments come."""
        data = b""
        while self._waiting:
            data += self._skip()
        return data

    def _take(self, payload: bytes) -> bytes:
        assert self._next is not None
        data = bytearray(payload)
        self._next = (self._next + len(payload)) & 0xFFFFFFFF
        while self._waiting:
            for start in list(self._waiting):
                behind = (self._next - start + 0x80000000 & 0xFFFFFFFF) - 0x80000000
                if behind >= 0:
                    waiting = self._waiting.pop(start)
                    self._held -= len(waiting)
                    fresh = waiting[behind:]
                    data += fresh
                    self._next = (self._next + len(fresh)) & 0xFFFFFFFF
                    break
            else:
                break
        return bytes(data)

    def _skip(self) -> bytes:
        assert self._next is not None
        nearest = min(self._waiting, key=lambda start: start - self._next & 0xFFFFFFFF)  # type: ignore[operator]
        self.lost += nearest - self._next & 0xFFFFFFFF
        self._next = nearest
        return self._take(b"")
