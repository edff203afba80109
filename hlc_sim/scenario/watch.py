"""What crossed a connection, as the verdict needs it: frames both ways with their times, and its end."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import NamedTuple

import trio

from iso15118.messages.declare import Node
from iso15118.messages.schema_sets import set_knowing
from iso15118.messages.validation import validate
from iso15118.session.events import Role, Severity
from iso15118.session.judge import Finding, Judge, LinkFacts, Observed
from iso15118.session.sequence import kind_of
from iso15118.v2gtp import FrameParser, V2GTPError

from ..trace.frames import Decoder


class Seen(NamedTuple):
    """One frame. `message` is None where the payload is none; `error` then says why."""

    time: float
    sender: Role
    payload_type: int
    size: int
    message: Node | None
    error: str

    @property
    def name(self) -> str:
        return kind_of(self.message) if self.message is not None else "(no message)"

    @property
    def code(self) -> str:
        return str(getattr(self.message, "response_code", "") or "")

    def line(self, since: float) -> str:
        what = f"{self.name} {self.code}".strip() if self.message is not None else f"? {self.error}"
        where = f"{self.time - since:9.3f} s  {self.sender.value}  0x{self.payload_type:04X}"
        return f"{where}  {self.size:5d}  {what}"


@dataclass
class Record:
    """Everything of one connection. Times are of trio's clock in s."""

    ours: Role
    opened: float
    seen: list[Seen] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    closed_by: Role | None = None
    closed: float | None = None
    broken: str = ""
    """What the device sent that is no V2GTP."""

    def errors_of(self, role: Role) -> list[Finding]:
        return [f for f in self.findings if f.offender is role and f.severity is Severity.ERROR]

    def unreadable(self, frame: int) -> bool:
        """Whether the last frame of ours before `frame` (the first is 1) holds no message."""
        before = [seen for seen in self.seen[: frame - 1] if seen.sender is self.ours]
        return bool(before) and before[-1].message is None

    def after(self, frames: int, sender: Role) -> list[Seen]:
        """What a side sent when `frames` frames had crossed the connection."""
        return [frame for frame in self.seen[frames:] if frame.sender is sender]


class Framed(trio.abc.HalfCloseableStream):
    """A stream whose frames are looked at on their way, and its end; what cannot be cut into frames is looked
    at no further.
    """

    def __init__(self, inner: trio.abc.Stream, ours: Role) -> None:
        self.inner = inner
        self.ended_by: Role | None = None
        self._parsers: dict[Role, FrameParser | None] = {role: FrameParser() for role in Role}
        self._ours = ours

    @abstractmethod
    def frame(self, sender: Role, payload_type: int, payload: bytes) -> None:
        """A frame crosses the connection."""

    @abstractmethod
    def damage(self, sender: Role, error: str) -> None:
        """A side sends what is no V2GTP."""

    @abstractmethod
    def end(self, by: Role) -> None:
        """The connection ends; told once."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._take(self._ours, bytes(data))
        try:
            await self.inner.send_all(data)
        except trio.BrokenResourceError:
            self._end(self._ours.other)
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        try:
            data = bytes(await self.inner.receive_some(max_bytes))
        except trio.BrokenResourceError:
            self._end(self._ours.other)
            raise
        if data:
            self._take(self._ours.other, data)
        else:
            self._end(self._ours.other)
        return data

    async def send_eof(self) -> None:
        if not isinstance(self.inner, trio.abc.HalfCloseableStream):
            raise trio.ClosedResourceError("this connection has no half to close")
        await self.inner.send_eof()

    async def aclose(self) -> None:
        self._end(self._ours)
        await self.inner.aclose()

    def _end(self, by: Role) -> None:
        if self.ended_by is None:
            self.ended_by = by
            self.end(by)

    def _take(self, sender: Role, data: bytes) -> None:
        parser = self._parsers[sender]
        if parser is None:
            return
        parser.feed(data)
        try:
            while (frame := parser.next_frame()) is not None:
                self.frame(sender, frame.payload_type, frame.payload)
        except V2GTPError as error:
            self._parsers[sender] = None
            self.damage(sender, str(error))


class Watched(Framed):
    """Tells a `Record` and a judge of every frame, whole or not, that goes through it."""

    def __init__(self, inner: trio.abc.Stream, ours: Role, *, lab: bool) -> None:
        super().__init__(inner, ours)
        self.record = Record(ours, trio.current_time())
        self._judge = Judge(self.record.findings.append, link=LinkFacts(lab_plain_tcp=lab), whole=True)
        self._decoder = Decoder()

    def frame(self, sender: Role, payload_type: int, payload: bytes) -> None:
        message, error = self._decoder.decode(payload_type, payload)
        problems = () if message is None else tuple(map(str, validate(message, set_knowing(message))))
        now = trio.current_time()
        self.record.seen.append(Seen(now, sender, payload_type, len(payload), message, error))
        number = len(self.record.seen)
        self._judge.frame(Observed(number, now, sender, payload_type, message, error, problems))

    def damage(self, sender: Role, error: str) -> None:
        self._judge.damage(sender, error, trio.current_time())
        if sender is not self._ours:
            self.record.broken = error

    def end(self, by: Role) -> None:
        self.record.closed_by, self.record.closed = by, trio.current_time()
        self._judge.closed(by, trio.current_time())
