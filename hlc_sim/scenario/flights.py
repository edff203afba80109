"""The transport under a handshake: flights are lost, cut or spoilt, and what the device does is seen."""

from __future__ import annotations

import trio

from .settings import HELLO_ID, TLSSettings

_ALERT = 0x15
_ALERT_SIZE = 7
"""Bytes of the record of an unencrypted alert: header, level, description."""
_ID_AT, _LONGEST_ID = 43, 32
"""Where in the record of a ClientHello the length of its session id stands, and how long that is at most."""
_LISTENS = 0.5
"""s to listen before we hang up."""


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
        send = self.inner.send_all
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
                await self._send_raw()
                self.silent = True
            case "abandon":
                await self._send_raw()
                await self.until_closed(_LISTENS)
                await self.inner.aclose()
                raise trio.BrokenResourceError("hung up on purpose")
            case "insert":
                await self._send_raw()
                await send(data)
            case "repeat":
                await send(data + data)
            case "flip":
                await send(data[:-1] + bytes([data[-1] ^ 1]))
            case "drip":
                for octet in data:
                    await send(bytes([octet]))
                    await trio.sleep(self._settings.seconds)

    async def _send_raw(self) -> None:
        for number, part in enumerate(self._settings.raw.split(",")):
            if number:
                await trio.sleep(self._settings.seconds)
            data = bytes.fromhex(part)
            await self.inner.send_all(data.replace(HELLO_ID, self._hello_id) if self._hello_id else data)

    @property
    def _hello_id(self) -> bytes:
        """The session id of the device's ClientHello, as far as it came in one go."""
        at = _ID_AT + 1
        return self.first[at : at + self.first[_ID_AT]] if len(self.first) > at else b""

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
        if len(self.first) <= _ID_AT + _LONGEST_ID:
            self.first += data
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
