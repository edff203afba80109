"""The transport under a handshake: flights are lost, cut or spoilt, and what the device does is seen."""

from __future__ import annotations

import trio

from .settings import TLSSettings

_ALERT = 0x15
_ALERT_SIZE = 7
"""Bytes of the record of an unencrypted alert: header, level, description."""


class Flights(trio.abc.Stream):
    """A stream below TLS. A flight is what our side sends in one go; `settings` say which one is spoilt.

    `faulted` and `closed_at` are times of trio's clock: of the fault, and of the end of the device's stream.
    """

    def __init__(self, inner: trio.abc.Stream, settings: TLSSettings | None) -> None:
        self.inner = inner
        self.faulted: float | None = None
        self.closed_at: float | None = None
        self.silent = False
        """Nothing more is sent."""
        self.first = b""
        """The first bytes from the device."""
        self.alert: int | None = None
        """An alert the device sent before keys were agreed."""
        self._settings = settings or TLSSettings()
        self._sent = 0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.silent:
            await trio.lowlevel.checkpoint()
            return
        self._sent += 1
        try:
            if self._sent != self._settings.flight:
                await self.inner.send_all(data)
                return
            self.faulted = trio.current_time()
            await self._spoilt(bytes(data))
        except trio.BrokenResourceError:
            self._end()
            raise

    async def _spoilt(self, data: bytes) -> None:
        raw, send = bytes.fromhex(self._settings.raw), self.inner.send_all
        match self._settings.do:
            case "silence":
                self.silent = True
            case "half":
                await send(data[: len(data) // 2])
                self.silent = True
            case "close":
                await self.inner.aclose()
                raise trio.BrokenResourceError("closed on purpose")
            case "replace":
                await send(raw)
                self.silent = True
            case "insert":
                await send(raw + data)
            case "repeat":
                await send(data + data)
            case "flip":
                await send(data[:-1] + bytes([data[-1] ^ 1]))
            case "drip":
                for octet in data:
                    await send(bytes([octet]))
                    await trio.sleep(self._settings.seconds)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        try:
            data = bytes(await self.inner.receive_some(max_bytes))
        except trio.BrokenResourceError:
            self._end()
            raise
        if not data:
            self._end()
            return data
        if len(self.first) < 8:
            self.first += data[:8]
        if data[0] == _ALERT and len(data) >= _ALERT_SIZE:
            self.alert = data[_ALERT_SIZE - 1]
        return data

    async def until_closed(self, seconds: float) -> None:
        """Reads on until the device closes, at most `seconds`."""
        with trio.move_on_after(seconds):
            try:
                while await self.receive_some(65536):
                    pass
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

    async def aclose(self) -> None:
        await self.inner.aclose()

    def _end(self) -> None:
        if self.closed_at is None:
            self.closed_at = trio.current_time()
