"""Turns what happens in a run into trace events.

    with recording(directory, role="SECC", config=...) as recorder:
        connection = recorder.connection(evcc="[::1]:50000", secc="[::1]:50001")
        stream = connection.tap(stream, Role.SECC)      # under TLS only: keeps the ciphertext
        link = Link(stream, Role.SECC, sink=connection.sink)
        ...
        connection.closed("EVCC", "session over")

A recorder never raises for what it is told; a disk that is full is logged once and ends the trace, not the
session.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import trio

from iso15118.session.events import Deviation as SessionDeviation
from iso15118.session.events import Role

from ..transport.link import FrameRecord
from . import events as ev
from .frames import Decoder, Follower, describe
from .jsonl import Writer
from .slac import describe_mme

log = logging.getLogger(__name__)


def distribution_version() -> str:
    try:
        return version("hlc-sim")
    except PackageNotFoundError:
        return "unknown"


class ConnectionRecorder:
    """The events of one connection."""

    def __init__(self, recorder: Recorder, number: int) -> None:
        self._recorder = recorder
        self.number = number
        self._follower = Follower()
        self._decoder = Decoder()

    def sink(self, record: FrameRecord) -> None:
        """A FrameSink for the Link of this connection."""
        message, error = record.message, "" if record.error is None else str(record.error)
        if message is None and not error:
            message, error = self._decoder.decode(record.payload_type, record.payload)
        elif message is not None:
            self._decoder.note(message)
        before = after = self._follower.state.phase.value
        if message is not None:
            before, after = self._follower.follow(record.payload_type, message)
        name, content = describe(message)
        self._recorder.write(
            ev.Frame(
                time=record.time,
                connection=self.number,
                number=record.number,
                sender=record.sender.value,
                payload_type=record.payload_type,
                payload=record.payload.hex(),
                name=name,
                message=content,
                error=error,
                before=before,
                after=after,
            )
        )

    def tap(self, stream: trio.abc.Stream, role: Role) -> Tap:
        """The same stream, its bytes recorded; `role` is the side that we are. Goes under TLS."""
        return Tap(stream, self, role)

    def segment(self, sender: Role, data: bytes) -> None:
        self._recorder.write(
            ev.Segment(
                time=self._recorder.now(), connection=self.number, sender=sender.value, data=data.hex()
            )
        )

    def tls(self, **facts: Any) -> None:
        """What the handshake settled; keywords as the fields of `events.TLS`."""
        self._recorder.write(ev.TLS(time=self._recorder.now(), connection=self.number, **facts))

    def deviation(self, deviation: SessionDeviation) -> None:
        self._recorder.write(
            ev.Deviation(
                time=self._recorder.now(),
                connection=self.number,
                severity=deviation.severity.value,
                text=deviation.text,
                expected=deviation.expected,
                offender=deviation.offender.value,
                message=deviation.message or "",
                frame=deviation.frame,
                requirement=deviation.requirement or "",
            )
        )

    def closed(self, by: str = "", reason: str = "") -> None:
        self._recorder.write(
            ev.Closed(time=self._recorder.now(), connection=self.number, by=by, reason=reason)
        )


class Tap(trio.abc.Stream):
    """Passes a stream through and records its bytes."""

    def __init__(self, stream: trio.abc.Stream, connection: ConnectionRecorder, role: Role) -> None:
        self.transport_stream = stream
        self._connection = connection
        self._role = role

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._connection.segment(self._role, bytes(data))
        await self.transport_stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.transport_stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self.transport_stream.receive_some(max_bytes)
        if data:
            self._connection.segment(self._role.other, bytes(data))
        return data

    async def aclose(self) -> None:
        await self.transport_stream.aclose()


class Recorder:
    """Writes one trace; shared by all connections of a run. `now` gives the time of events, Unix s."""

    def __init__(self, writer: Writer, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self._writer = writer
        self._numbers = itertools.count(1)
        self._failed = False

    @property
    def path(self) -> Path:
        """The file that is being written."""
        return self._writer.paths[-1]

    def write(self, event: ev.Event) -> None:
        if self._failed:
            return
        try:
            self._writer.write(event)
        except OSError as error:
            self._failed = True
            log.error("trace %s ends here: %s", self.path, error)

    def connection(self, *, evcc: str = "", secc: str = "", tapped: bool = False) -> ConnectionRecorder:
        """A connection that has just been opened; endpoints as "[address]:port"."""
        number = next(self._numbers)
        self.write(ev.Connection(time=self.now(), connection=number, evcc=evcc, secc=secc, tapped=tapped))
        return ConnectionRecorder(self, number)

    def secret(self, line: str) -> None:
        """A line of an NSS key log, as TLSConfig.keylog gets them."""
        self.write(ev.Secret(time=self.now(), line=line.strip()))

    def sdp(self, sender: Role, payload_type: int, payload: bytes, *, source: str = "", destination: str = "",
            error: str = "") -> None:  # fmt: skip
        self.write(
            ev.SDP(
                time=self.now(),
                sender=sender.value,
                payload_type=payload_type,
                payload=payload.hex(),
                source=source,
                destination=destination,
                error=error,
            )
        )

    def slac(self, frame: bytes) -> None:
        """A whole Ethernet frame of the powerline."""
        name, fields = describe_mme(frame)
        self.write(ev.SLAC(time=self.now(), frame=frame.hex(), name=name, fields=fields))

    def sample(self, source: str, values: Mapping[str, float], connection: int = 0) -> None:
        """Values of a physical model; see `events.Sample`."""
        self.write(ev.Sample(time=self.now(), source=source, connection=connection, values=dict(values)))

    def note(self, text: str, level: str = "info") -> None:
        self.write(ev.Note(time=self.now(), text=text, level=level))


@contextlib.contextmanager
def recording(
    directory: Path,
    *,
    role: str = "",
    name: str | None = None,
    config: Mapping[str, Any] | None = None,
    seed: int | None = None,
    lab_plain_tcp: bool = False,
    max_bytes: int | None = None,
    capture: bool = True,
    now: Callable[[], float] = time.time,
) -> Iterator[Recorder]:
    """A trace in `directory`, NAME.jsonl and, at the end, NAME.pcapng for Wireshark (unless `capture` is
    False).

    `config` is anything JSON can hold. Raises OSError if the directory cannot be written.
    """
    from .export import export

    started = time.time()
    stamp = datetime.fromtimestamp(started, UTC).strftime("%Y%m%dT%H%M%SZ")
    base = re.sub(r"[^\w.-]+", "_", name or "-".join(filter(None, (stamp, role.lower()))))
    header = ev.Header(
        time=started,
        version=distribution_version(),
        command=sys.argv[1:],
        role=role,
        config=dict(config or {}),
        seed=seed,
        lab_plain_tcp=lab_plain_tcp,
    )
    path = directory / f"{base}.jsonl"
    for attempt in itertools.count(2):
        if not path.exists():
            break
        path = directory / f"{base}-{attempt}.jsonl"
    with Writer(path, header, max_bytes=max_bytes) as writer:
        recorder = Recorder(writer, now)
        try:
            yield recorder
        finally:
            writer.close()
            if capture:
                for written in writer.paths:
                    export(written, written.with_suffix(".pcapng"))
