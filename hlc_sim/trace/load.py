"""Whatever a user has, as trace events: our traces, others' JSON lines, pcap, pcapng, hex; from files or a
stream.
"""

from __future__ import annotations

import io
import itertools
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from iso15118 import v2gtp
from iso15118.v2gtp import FrameParser, PayloadType

from . import events as ev
from .capture import events_of, frame_event
from .frames import Decoder, Follower, describe
from .jsonl import Reader, lines_of
from .keylog import KeyLog
from .packets import Segment, parse
from .pcap import CaptureError, Secrets, is_capture
from .pcap import read as read_packets

_HEX = re.compile(rb"[0-9A-Fa-f\s:,x]+")
_DIRECTION = {"evcc->secc": "EVCC", "secc->evcc": "SECC", "EVCC": "EVCC", "SECC": "SECC"}
_TYPE_OF_SET = {
    "sap": PayloadType.SAP,
    "iso20_common": PayloadType.COMMON,
    "iso20_ac": PayloadType.AC,
    "iso20_dc": PayloadType.DC,
    "iso20_acdp": PayloadType.ACDP,
    "iso20_wpt": PayloadType.WPT,
}


class UnreadableInput(ValueError):
    """The input is in no form that is known here."""


class Input:
    """An opened input: iterate over its events. `kind` says what it is, `position` how many bytes were
    read, of `size` (None if unknown); `problems` what could not be read.
    """

    def __init__(self, kind: str, events: Callable[[Input], Iterator[ev.Event]], size: int | None) -> None:
        self.kind = kind
        self.size = size
        self.problems: list[str] = []
        self.position: Callable[[], int] = lambda: 0
        self._events = events

    def __iter__(self) -> Iterator[ev.Event]:
        return self._events(self)


@contextmanager
def open_input(
    path: Path | None, stream: IO[bytes] | None = None, *, keylog: Path | None = None
) -> Iterator[Input]:
    """Open a file, or `stream` (standard input) if `path` is None, whatever it holds.

    UnreadableInput if it is nothing known; OSError if it cannot be opened. Secrets of the key log and
    inside the capture are used.
    """
    keys = KeyLog()
    if keylog is not None:
        with keylog.open(encoding="ascii", errors="replace") as lines:
            keys.add(lines)
    if path is None:
        assert stream is not None
        buffered = io.BufferedReader(_Raw(stream), 65536)
        if keylog is None and is_capture(buffered.peek(4)[:4]):
            # The secrets may stand anywhere in it; with a key log it is read as it comes.
            with tempfile.NamedTemporaryFile() as spooled:
                shutil.copyfileobj(buffered, spooled)
                spooled.flush()
                with open_input(Path(spooled.name)) as opened:
                    yield opened
            return
        yield _recognise(buffered, keys, None)
        return
    with path.open("rb") as file:
        if is_capture(file.peek(4)[:4]):
            _early_secrets(path, keys)
        yield _recognise(file, keys, path.stat().st_size)


class _Raw(io.RawIOBase):
    """A readable for BufferedReader, so that any stream can be peeked into."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        reader = getattr(self._stream, "read1", self._stream.read)
        data = reader(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)

    def tell(self) -> int:
        return self.count


def _early_secrets(path: Path, keys: KeyLog) -> None:
    """Secrets may stand behind the packets that need them, so a file is searched for them first."""
    with path.open("rb") as file:
        try:
            for item in read_packets(file):
                if isinstance(item, Secrets):
                    keys.add(item.text.splitlines())
                elif b"CLIENT_" in item.data or b"SERVER_" in item.data:
                    try:
                        found = parse(item.link_type, item.data)
                    except ValueError:
                        continue
                    if isinstance(found, Segment) and not found.tcp:
                        keys.add(found.payload.decode("ascii", "replace").splitlines())
        except CaptureError:
            return  # told when the packets are read


def _recognise(file: io.BufferedReader[Any], keys: KeyLog, size: int | None) -> Input:
    head = file.peek(512)[:4096]
    found: Input
    if is_capture(head):
        found = Input("capture", lambda _: events_of(file, keys), size)
    elif not head:
        raise UnreadableInput("the input is empty")
    elif head.lstrip()[:1] == b"{":
        found = Input("JSON lines", lambda opened: _json_lines(file, opened), size)
    elif _HEX.fullmatch(head):
        found = Input("hex", lambda _: _hex_lines(lines_of(file)), size)
    elif head[:2] == b"\x01\xfe":
        found = Input("V2GTP", lambda _: _v2gtp(file), size)
    else:
        raise UnreadableInput(
            f"neither a capture, nor JSON lines, nor hex, nor V2GTP; it begins with {head[:8].hex(' ')}"
        )
    found.position = file.tell
    return found


def _json_lines(file: IO[bytes], opened: Input) -> Iterator[ev.Event]:
    lines = lines_of(file)
    first = next(lines, b"")
    lines = itertools.chain((first,), lines)
    try:
        ours = "event" in msgspec.json.decode(first)
    except msgspec.MsgspecError:
        ours = b'"event"' in first
    if ours:
        reader = Reader(lines)
        yield from _completed(reader)
        opened.problems += reader.problems
    else:
        yield from _foreign(lines, opened)


def _completed(events: Iterable[ev.Event]) -> Iterator[ev.Event]:
    """Frames that were written without their decoded message get it."""
    decoders: dict[int, Decoder] = {}
    for event in events:
        if isinstance(event, ev.Frame):
            bare = event.message is None and not event.error
            if bare or event.payload_type == PayloadType.SAP:
                decoder = decoders.setdefault(event.connection, Decoder())
                message, error = decoder.decode(event.payload_type, bytes.fromhex(event.payload))
                if bare:
                    event.error = error
                    event.name, event.message = describe(message)
        yield event


class _Foreign(msgspec.Struct):
    """A line of someone else's recording; what it lacks follows from the payload."""

    exi_hex: str = ""
    exi: str = ""
    t: float | None = None
    time: float | None = None
    dir: str = ""
    payload_type: int | None = None
    protocol: str = ""
    schema_set: str = ""
    msg: str | None = ""
    message: Any = None
    root: str | None = ""


def _foreign(lines: Iterator[bytes], opened: Input) -> Iterator[ev.Event]:
    decoder, follower = Decoder(), Follower()
    line_decoder = msgspec.json.Decoder(_Foreign)
    number = 0
    for index, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            item = line_decoder.decode(line)
            payload = bytes.fromhex(item.exi_hex or item.exi)
        except (msgspec.MsgspecError, ValueError) as error:
            opened.problems.append(f"line {index}: {error}")
            continue
        name = str(item.msg or item.root or (item.message if isinstance(item.message, str) else ""))
        schema_set = item.schema_set or item.protocol
        kind = item.payload_type
        if kind is None:
            if schema_set not in _TYPE_OF_SET:
                opened.problems.append(
                    f"line {index}: {schema_set or 'the message set'!s} is not decoded here"
                )
                continue
            kind = _TYPE_OF_SET[schema_set]
            decoder = Decoder()  # lines without payload type stand each for itself
        time = item.t if item.t is not None else item.time or 0.0
        sender = _DIRECTION.get(item.dir) or ("SECC" if name.endswith(("Res", "Response")) else "EVCC")
        if PayloadType.SDP_REQUEST <= kind <= PayloadType.SDP_WIRELESS_RESPONSE:
            yield ev.SDP(time=time, sender=sender, payload_type=kind, payload=payload.hex())
            continue
        number += 1
        yield frame_event(time, 1, number, sender, v2gtp.Frame(kind, payload), decoder, follower)


def _hex_lines(lines: Iterator[bytes]) -> Iterator[ev.Event]:
    """Each line a V2GTP frame (or several), or an EXI document."""
    decoder, follower = Decoder(), Follower()
    number = 0
    for line in lines:
        text = re.sub(rb"[\s:,]|0x", b"", line).decode()
        if not text:
            continue
        number += 1
        try:
            data = bytes.fromhex(text)
        except ValueError:
            yield ev.Damage(
                time=0.0,
                connection=1,
                sender="",
                offset=0,
                text=f"line {number} has an odd number of hex digits",
            )
            continue
        for frame in _cut(data):
            if isinstance(frame, ev.Damage):
                yield frame
            else:
                yield _named(frame_event(0.0, 1, number, "EVCC", frame, decoder, follower))


def _cut(data: bytes) -> Iterator[v2gtp.Frame | ev.Damage]:
    """The frames in a piece of data that begins with V2GTP or is one EXI document."""
    if data[:2] != b"\x01\xfe":
        yield v2gtp.Frame(guess_payload_type(data), data)
        return
    parser = FrameParser(max_payload=1024 * 1024)
    parser.feed(data)
    try:
        while (frame := parser.next_frame()) is not None:
            yield frame
        parser.end()
    except v2gtp.V2GTPError as error:
        yield ev.Damage(time=0.0, connection=1, sender="", offset=error.offset, text=error.problem)


def guess_payload_type(payload: bytes) -> int:
    """The payload type under which an EXI document without header makes most sense: the one whose decoded
    message encodes back to the same octets. Several may: then the first of SAP, common, DC, AC, WPT, ACDP.
    """
    from iso15118 import exi

    candidates = []
    for name in ("sap", "iso20_common", "iso20_dc", "iso20_ac", "iso20_wpt", "iso20_acdp"):
        try:
            message = exi.decode(payload, name)
            exact = exi.encode(message, name) == payload
        except exi.EXIError:
            continue
        candidates.append(
            (not exact, not type(message).__name__.endswith(("Req", "Res")), _TYPE_OF_SET[name])
        )
    return min(candidates, key=lambda found: found[:2])[2] if candidates else PayloadType.COMMON


def _named(event: ev.Frame) -> ev.Frame:
    """Hex has no direction: the message tells its sender."""
    event.sender = "SECC" if event.name.endswith("Res") else "EVCC"
    return event


def _v2gtp(file: IO[bytes]) -> Iterator[ev.Event]:
    decoder, follower = Decoder(), Follower()
    parser = FrameParser(max_payload=1024 * 1024)
    number = 0
    try:
        while data := file.read(65536):
            parser.feed(data)
            while (frame := parser.next_frame()) is not None:
                number += 1
                yield _named(frame_event(0.0, 1, number, "EVCC", frame, decoder, follower))
        parser.end()
    except v2gtp.V2GTPError as error:
        yield ev.Damage(time=0.0, connection=1, sender="", offset=error.offset, text=error.problem)
