"""Any capture as trace events: TCP put together, TLS opened, V2GTP cut into frames, SDP and SLAC read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from iso15118 import sdp, v2gtp
from iso15118.v2gtp import FrameParser, V2GTPError

from . import events as ev
from .frames import Decoder, Follower, describe
from .keylog import KeyLog
from .packets import FIN, RST, SYN, Endpoint, Management, Segment, UnknownLink, parse
from .pcap import CaptureError, Packet, Secrets
from .pcap import read as read_packets
from .tcp import Reassembly
from .tls_reader import TLSReader

_MAX_PAYLOAD = 1024 * 1024
_SDP_TYPES = range(0x9000, 0x9006)


class _Side:
    """What one side of a connection said, in V2GTP."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reassembly = Reassembly()
        self.parser = FrameParser(max_payload=_MAX_PAYLOAD)
        self.broken = False


class _Stream:
    """One TCP connection between an EVCC (who opened it) and an SECC. Nothing is told of it until its first
    bytes show that it is V2GTP or TLS.
    """

    def __init__(self, number: int, evcc: Endpoint, secc: Endpoint, keylog: KeyLog) -> None:
        self.number = number
        self.evcc, self.secc = evcc, secc
        self.opened = 0.0
        self.closed_by = ""
        self._keylog = keylog
        self._sides = {True: _Side("EVCC"), False: _Side("SECC")}
        self._announced = False
        self.ignored = False
        self._tls: TLSReader | None = None
        self._told = ""
        self._frames = 0
        self._decoder = Decoder()
        self._follower = Follower()

    def segment(self, time: float, segment: Segment) -> Iterator[ev.Event]:
        from_client = segment.source == self.evcc
        side = self._sides[from_client]
        if not self.opened:
            self.opened = time
        yield from self._bytes(
            time, from_client, side.reassembly.feed(segment.sequence, segment.flags, segment.payload)
        )
        if segment.flags & (FIN | RST) and not self.closed_by:
            self.closed_by = side.name
            if self._announced:
                reason = "reset" if segment.flags & RST else ""
                yield ev.Closed(time=time, connection=self.number, by=side.name, reason=reason)

    def end(self, time: float) -> Iterator[ev.Event]:
        """The capture is over."""
        for from_client, side in self._sides.items():
            yield from self._bytes(time, from_client, side.reassembly.end())
            if self._announced and side.reassembly.lost:
                lost = f"{side.reassembly.lost} bytes of the {side.name}"
                text = f"connection {self.number}: the capture lacks {lost}"
                yield ev.Note(time=time, level="warning", text=text)
            if self._announced and side.parser.buffered and not side.broken:
                try:
                    side.parser.end()
                except V2GTPError as error:
                    yield ev.Damage(
                        time=time,
                        connection=self.number,
                        sender=side.name,
                        offset=error.offset,
                        text=error.problem,
                    )

    def _bytes(self, time: float, from_client: bool, data: bytes) -> Iterator[ev.Event]:
        if not data or self.ignored:
            return
        if not self._announced:
            if data[:1] == b"\x16" and data[1:2] in (b"\x03", b""):
                self._tls = TLSReader(self._keylog)
            elif data[:2] != b"\x01\xfe"[: len(data)]:
                self.ignored = True
                return
            self._announced = True
            yield ev.Connection(
                time=self.opened, connection=self.number, evcc=str(self.evcc), secc=str(self.secc)
            )
        if self._tls is not None:
            data = self._tls.feed(from_client, data)
            yield from self._tell_tls(time, done=bool(data))
        yield from self._frames_of(time, self._sides[from_client], data)

    def _tell_tls(self, time: float, *, done: bool) -> Iterator[ev.Event]:
        """The handshake's outcome: once the first data shows it complete, and when something goes wrong."""
        assert self._tls is not None
        facts = self._tls.facts
        trouble = facts.problem or facts.alert
        if self._told == (trouble or "done") or not (done or trouble):
            return
        self._told = trouble or "done"
        yield ev.TLS(
            time=time,
            connection=self.number,
            version=facts.version,
            suite=facts.suite,
            group=facts.group,
            client_certificates=[der.hex() for der in facts.client_certificates],
            server_certificates=[der.hex() for der in facts.server_certificates],
            mutual=bool(facts.client_certificates) if facts.server_certificates else None,
            alert=facts.alert,
        )
        if facts.problem:
            yield ev.Note(time=time, level="warning", text=f"connection {self.number}, TLS: {facts.problem}")

    def _frames_of(self, time: float, side: _Side, data: bytes) -> Iterator[ev.Event]:
        if not data or side.broken:
            return
        side.parser.feed(data)
        while True:
            try:
                frame = side.parser.next_frame()
            except V2GTPError as error:
                side.broken = True
                yield ev.Damage(
                    time=time,
                    connection=self.number,
                    sender=side.name,
                    offset=error.offset,
                    text=error.problem,
                )
                return
            if frame is None:
                return
            self._frames += 1
            yield frame_event(
                time, self.number, self._frames, side.name, frame, self._decoder, self._follower
            )


def frame_event(
    time: float,
    connection: int,
    number: int,
    sender: str,
    frame: v2gtp.Frame,
    decoder: Decoder,
    follower: Follower,
) -> ev.Frame:
    """The event of a V2GTP frame; `decoder` and `follower` are those of its connection."""
    message, error = decoder.decode(frame.payload_type, frame.payload)
    before = after = follower.state.phase.value
    if message is not None:
        before, after = follower.follow(frame.payload_type, message)
    name, content = describe(message)
    return ev.Frame(
        time=time,
        connection=connection,
        number=number,
        sender=sender,
        payload_type=frame.payload_type,
        payload=frame.payload.hex(),
        name=name,
        message=content,
        error=error,
        before=before,
        after=after,
    )


def events_of(stream: IO[bytes], keylog: KeyLog) -> Iterator[ev.Event]:
    """The events of a capture file, in its order. What is damaged is said in Note events, and read on behind.

    Secrets inside the file are added to the key log.
    """
    streams: dict[tuple[Endpoint, Endpoint], _Stream] = {}
    number = 0
    secc_ports: set[int] = set()
    time = 0.0
    skipped: set[int] = set()
    try:
        for item in read_packets(stream):
            if isinstance(item, Secrets):
                keylog.add(item.text.splitlines())
                continue
            time = item.time
            try:
                found = parse(item.link_type, item.data)
            except UnknownLink as error:
                if item.link_type not in skipped:
                    skipped.add(item.link_type)
                    yield ev.Note(time=time, level="error", text=str(error))
                continue
            match found:
                case Management():
                    yield _slac(item, found)
                case Segment(tcp=False):
                    for event in _datagram(time, found):
                        if event.sender == "SECC" and event.payload_type == 0x9001 and not event.error:
                            secc_ports.add(int.from_bytes(bytes.fromhex(event.payload)[16:18], "big"))
                        yield event
                    _secrets(found, keylog)
                case Segment():
                    key = (found.source, found.destination)
                    known = streams.get(key)
                    if known is None or (found.flags & SYN and known.closed_by):
                        if known is not None:
                            yield from known.end(time)
                        number += 1
                        client_first = _from_client(found, secc_ports)
                        ends = key if client_first else (key[1], key[0])
                        known = _Stream(number, *ends, keylog)
                        streams[key] = streams[key[1], key[0]] = known
                    yield from known.segment(time, found)
    except CaptureError as error:
        yield ev.Note(time=time, level="error", text=str(error))
    for known in dict.fromkeys(streams.values()):
        yield from known.end(time)


def _from_client(segment: Segment, secc_ports: set[int]) -> bool:
    """Whether the first packet seen of a connection is of the side that opened it."""
    if segment.flags & SYN:
        return not segment.flags & 0x10
    return segment.source.port not in secc_ports


def _datagram(time: float, segment: Segment) -> Iterator[ev.SDP]:
    if segment.payload[:2] != b"\x01\xfe":
        return
    try:
        frame = v2gtp.unpack(segment.payload)
    except V2GTPError:
        return
    if frame.payload_type not in _SDP_TYPES:
        return
    error = ""
    try:
        sdp.parse(frame.payload_type, frame.payload)
    except sdp.SDPError as problem:
        error = str(problem)
    yield ev.SDP(
        time=time,
        sender="EVCC" if frame.payload_type % 2 == 0 else "SECC",
        payload_type=frame.payload_type,
        payload=frame.payload.hex(),
        source=str(segment.source),
        destination=str(segment.destination),
        error=error,
    )


def _secrets(segment: Segment, keylog: KeyLog) -> None:
    """Secrets told over UDP, as some stacks do for live decryption."""
    if 100 < len(segment.payload) < 2000 and segment.payload[:1].isupper():
        keylog.add(segment.payload.decode("ascii", "replace").splitlines())


def _slac(packet: Packet, found: Management) -> ev.SLAC:
    from .slac import describe_mme

    name, fields = describe_mme(found.frame)
    return ev.SLAC(time=packet.time, frame=found.frame.hex(), name=name, fields=fields)
