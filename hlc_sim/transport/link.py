"""A message link: V2GTP frames on a byte stream turned into messages and back.

It sits below the behaviours and above the transport, so it is the one place where a session can be watched
(`sink`, told of every frame both ways) and tampered with (`intervention`, asked about every message both
ways).
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, Protocol

import trio

from iso15118 import exi, v2gtp
from iso15118.messages.declare import Node
from iso15118.session.events import Role
from iso15118.session.sequence import name_of
from iso15118.v2gtp import Frame, FrameParser, PayloadType

_READ_SIZE = 16 * 1024


class FrameRecord(NamedTuple):
    """One frame as it crossed the link, for traces and live views."""

    number: int
    """Counts the frames of the connection, both ways, from 1."""
    time: float
    """Unix s."""
    sender: Role
    payload_type: int
    payload: bytes
    message: Node | None
    """None where the payload is no message; then `error` says why."""
    error: Exception | None = None


FrameSink = Callable[[FrameRecord], None]


class Received(NamedTuple):
    """A message, the payload type it came with, and the number of its frame."""

    payload_type: int
    message: Node
    frame: int


class LinkClosed(Exception):
    """The peer ended the connection between two frames, or it broke; the text says which."""


class UnknownPayload(Exception):
    """A frame of a payload type that carries no message known here. It was skipped; receiving can go on."""

    def __init__(self, payload_type: int, frame: int) -> None:
        super().__init__(
            f"frame {frame}: payload type {v2gtp.describe(payload_type)} carries no known message"
        )
        self.payload_type = payload_type
        self.frame = frame


class Undecodable(Exception):
    """The payload of a frame is no message; `error` says where and why."""

    def __init__(self, payload_type: int, frame: int, error: exi.EXIDecodeError) -> None:
        super().__init__(f"frame {frame} ({v2gtp.describe(payload_type)}): {error}")
        self.payload_type = payload_type
        self.frame = frame
        self.error = error


class Intervention(Protocol):
    """Stands between a behaviour and the wire; without one, messages pass unchanged.

    An intervention may write anything, any number of times, at any time, in place of a message: `link.write`
    for a payload, `link.write_bytes` for broken frames, `link.aclose` to hang up. To change a field, change
    the message (or a copy) and encode it again with `exi.encode`.
    """

    async def outgoing(self, link: Link, payload_type: int, message: Node) -> None:
        """Called instead of sending `message`."""

    async def incoming(self, link: Link, received: Received) -> Received | None:
        """What the behaviour is to see instead of a message just received; None: nothing."""


class Link:
    """One connection. `role` is the side that we are.

    Counters: `bytes_sent` and `bytes_received` include V2GTP headers; `frames` and, by name, `messages`
    count both ways.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        role: Role,
        *,
        intervention: Intervention | None = None,
        sink: FrameSink | None = None,
        max_payload: int = v2gtp.DEFAULT_MAX_PAYLOAD,
    ) -> None:
        self.stream = stream
        self.role = role
        self.after_sap = False
        """An ISO 15118-20 protocol was agreed on; see `v2gtp.schema_set_name`."""
        self.frames = 0
        self.messages: Counter[str] = Counter()
        self.bytes_sent = 0
        self.bytes_received = 0
        self.peer_left = False
        """The peer ended the connection, or it broke, before we closed it."""
        self._intervention = intervention
        self._sink = sink
        self._parser = FrameParser(max_payload=max_payload)

    async def send(self, message: Node, payload_type: int) -> None:
        """Send a message in one write. Raises exi.EXIEncodeError if EXI cannot express it, LinkClosed if the
        peer is gone.
        """
        if self._intervention is None:
            await self.write(payload_type, exi.encode(message), message)
        else:
            await self._intervention.outgoing(self, payload_type, message)

    async def write(self, payload_type: int, payload: bytes, message: Node | None = None) -> None:
        """Write one frame, past any intervention."""
        if payload_type == PayloadType.SAP:
            self._note_sap(payload)
        self.frames += 1
        self._record(self.role, payload_type, payload, message, None)
        await self.write_bytes(v2gtp.pack(payload_type, payload))

    async def write_bytes(self, data: bytes) -> None:
        """Write raw bytes, a whole frame or not."""
        self.bytes_sent += len(data)
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self.peer_left = isinstance(error, trio.BrokenResourceError)
            raise LinkClosed(_reason("the connection broke while sending", error)) from error

    async def receive(self) -> Received:
        """The next message.

        Raises LinkClosed at the end of the stream, V2GTPError for a broken or unfinished frame, Undecodable
        and UnknownPayload for whole frames that hold no message.
        """
        while True:
            frame = await self._next_frame()
            self.frames += 1
            received = Received(frame.payload_type, self._decode(frame), self.frames)
            if self._intervention is not None:
                passed = await self._intervention.incoming(self, received)
                if passed is None:
                    continue
                received = passed
            return received

    async def aclose(self) -> None:
        """Close the stream; never raises."""
        limit = trio.CancelScope(shield=True, deadline=trio.current_time() + 1.0)
        with limit, contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self.stream.aclose()

    async def _next_frame(self) -> Frame:
        while (frame := self._parser.next_frame()) is None:
            try:
                data = await self.stream.receive_some(_READ_SIZE)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                self.peer_left = isinstance(error, trio.BrokenResourceError)
                raise LinkClosed(_reason("the connection broke", error)) from error
            if not data:
                self.peer_left = True
                self._parser.end()
                raise LinkClosed("the peer closed the connection")
            self.bytes_received += len(data)
            self._parser.feed(data)
        return frame

    def _decode(self, frame: Frame) -> Node:
        payload_type, payload = frame
        message: Node | None
        name = v2gtp.schema_set_name(payload_type, payload, after_sap=self.after_sap)
        if name is None:
            unknown = UnknownPayload(payload_type, self.frames)
            self._record(self.role.other, payload_type, payload, None, unknown)
            raise unknown
        try:
            message = exi.decode(payload, name)
        except exi.EXIDecodeError as error:
            message = self._second_sap(payload_type, payload)
            if message is None:
                self._record(self.role.other, payload_type, payload, None, error)
                raise Undecodable(payload_type, self.frames, error) from error
        if payload_type == PayloadType.SAP:
            self._note_sap(payload)
        self._record(self.role.other, payload_type, payload, message, None)
        return message

    def _second_sap(self, payload_type: int, payload: bytes) -> Node | None:
        """0x8001 within a session is a mis-framed common message, or else supportedAppProtocol once more."""
        if not (self.after_sap and payload_type == PayloadType.SAP):
            return None
        try:
            message: Node = exi.decode(payload, "sap")
        except exi.EXIDecodeError:
            return None
        return message

    def _note_sap(self, payload: bytes) -> None:
        # A response (root code 1) ends the SAP phase, whatever it says: a refusal is followed by the close.
        if len(payload) > 1 and payload[1] >> 6 == 1:
            self.after_sap = True

    def _record(
        self, sender: Role, payload_type: int, payload: bytes, message: Node | None, error: Exception | None
    ) -> None:
        if message is not None:
            self.messages[name_of(message)] += 1
        if self._sink is not None:
            self._sink(FrameRecord(self.frames, time.time(), sender, payload_type, payload, message, error))


def _reason(what: str, error: Exception) -> str:
    detail = str(error.__cause__ or error)  # of sockets the cause says more, of TLS the error itself
    return f"{what}: {detail}" if detail else what
