"""Capture files: pcap and pcapng read, pcapng written.

Formats after the IETF drafts draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO, NamedTuple

_SECTION, _INTERFACE, _SIMPLE, _ENHANCED, _SECRETS = 0x0A0D0D0A, 1, 3, 6, 10
_ORDER_MAGIC = 0x1A2B3C4D
_TLS_KEY_LOG = 0x544C534B
_PCAP_MAGICS = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}
ETHERNET = 1
_MAX_BLOCK = 64 * 1024 * 1024


class CaptureError(ValueError):
    """The file is no capture, or breaks off; `offset` is the byte where."""

    def __init__(self, problem: str, offset: int) -> None:
        super().__init__(f"{problem} (byte {offset} of the file)")
        self.offset = offset


class Packet(NamedTuple):
    time: float
    link_type: int
    data: bytes


class Secrets(NamedTuple):
    """TLS secrets from within the file, as NSS key log text."""

    text: str


def is_capture(head: bytes) -> bool:
    """Whether the first four bytes are those of a capture file."""
    return head[:4] in _PCAP_MAGICS or head[:4] == b"\x0a\x0d\x0d\x0a"


class _Source:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.offset = 0

    def read(self, size: int, what: str) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise CaptureError(f"the file ends within {what}", self.offset + len(data))
        self.offset += size
        return data

    def at_end(self) -> bytes:
        """Four bytes, or nothing at the end of the file."""
        data = self._stream.read(4)
        self.offset += len(data)
        if data and len(data) < 4:
            raise CaptureError("the file ends within a block type", self.offset)
        return data


def read(stream: IO[bytes]) -> Iterator[Packet | Secrets]:
    """The packets of a capture in their order. CaptureError where it breaks off; what came before is
    valid.
    """
    source = _Source(stream)
    magic = source.read(4, "the first four bytes")
    if magic in _PCAP_MAGICS:
        yield from _read_pcap(source, *_PCAP_MAGICS[magic])
    elif magic == b"\x0a\x0d\x0d\x0a":
        yield from _read_pcapng(source)
    else:
        raise CaptureError(f"{magic.hex(' ')} begins neither pcap nor pcapng", 0)


def _read_pcap(source: _Source, order: str, resolution: float) -> Iterator[Packet]:
    header = struct.unpack(order + "HHiIII", source.read(20, "the file header"))
    link_type = header[5] & 0x0FFFFFFF
    while head := source.at_end():
        rest = source.read(12, "a packet header")
        seconds, fraction, captured, _ = struct.unpack(order + "IIII", head + rest)
        if captured > _MAX_BLOCK:
            raise CaptureError(f"a packet of {captured} bytes", source.offset - 8)
        yield Packet(seconds + fraction * resolution, link_type, source.read(captured, "a packet"))


def _read_pcapng(source: _Source) -> Iterator[Packet | Secrets]:
    order = "<"
    interfaces: list[tuple[int, float]] = []
    head = b"\x0a\x0d\x0d\x0a"
    while head:
        start = source.offset - 4
        raw_length = source.read(4, "a block length")
        if head == b"\x0a\x0d\x0d\x0a":
            magic = source.read(4, "a section header")
            order = "<" if struct.unpack("<I", magic)[0] == _ORDER_MAGIC else ">"
            if struct.unpack(order + "I", magic)[0] != _ORDER_MAGIC:
                raise CaptureError(f"byte-order magic is {magic.hex(' ')}", source.offset - 4)
            interfaces = []
        kind, length = struct.unpack(order + "II", head + raw_length)
        taken = source.offset - start
        if length < 12 or length % 4 or length > _MAX_BLOCK:
            raise CaptureError(f"block of {length} bytes", start + 4)
        body = source.read(length - taken, f"block {kind:#x}")[:-4]
        try:
            if kind == _INTERFACE:
                link_type = struct.unpack_from(order + "H", body)[0]
                interfaces.append((link_type, _resolution(body[8:], order)))
            elif kind == _ENHANCED:
                number, high, low, captured, _ = struct.unpack_from(order + "IIIII", body)
                link_type, resolution = interfaces[number]
                yield Packet((high << 32 | low) * resolution, link_type, body[20 : 20 + captured])
            elif kind == _SIMPLE:
                yield Packet(0.0, interfaces[0][0], body[4 : 4 + struct.unpack_from(order + "I", body)[0]])
            elif kind == _SECRETS:
                secrets, size = struct.unpack_from(order + "II", body)
                if secrets == _TLS_KEY_LOG:
                    yield Secrets(body[8 : 8 + size].decode("ascii", "replace"))
        except (struct.error, IndexError):
            raise CaptureError(f"block {kind:#x} is malformed", start) from None
        head = source.at_end()


def _resolution(options: bytes, order: str) -> float:
    """Seconds per tick from the options of an interface; microseconds unless if_tsresol says otherwise."""
    at = 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from(order + "HH", options, at)
        if code == 0:
            break
        if code == 9 and length == 1:
            value = options[at + 4]
            return float(2.0 ** -(value & 0x7F)) if value & 0x80 else float(10.0**-value)
        at += 4 + (length + 3) // 4 * 4
    return 1e-6


class PcapngWriter:
    """Writes one section with one Ethernet interface. Secrets must come before the packets that need them:
    readers that go through the file once cannot use them otherwise.
    """

    def __init__(
        self, stream: IO[bytes], *, application: str, comment: str = "", interface: str = ""
    ) -> None:
        self._stream = stream
        self.packets = 0
        head = struct.pack("<IHHq", _ORDER_MAGIC, 1, 0, -1)
        self._block(_SECTION, head, _option(1, comment) + _option(4, application))
        # if_name, and if_tsresol 6: microseconds
        names = _option(2, interface) + struct.pack("<HHB3x", 9, 1, 6)
        self._block(_INTERFACE, struct.pack("<HHI", ETHERNET, 0, 0), names)

    def secrets(self, text: str) -> None:
        """An NSS key log."""
        data = text.encode("ascii")
        self._block(_SECRETS, struct.pack("<II", _TLS_KEY_LOG, len(data)) + _pad(data), b"")

    def packet(self, time: float, data: bytes, comment: str = "") -> None:
        """`time` in Unix s."""
        self.packets += 1
        ticks = round(time * 1_000_000)
        head = struct.pack("<IIIII", 0, ticks >> 32 & 0xFFFFFFFF, ticks & 0xFFFFFFFF, len(data), len(data))
        self._block(_ENHANCED, head + _pad(data), _option(1, comment))

    def _block(self, kind: int, body: bytes, options: bytes) -> None:
        if options:
            options += bytes(4)
        length = struct.pack("<I", 12 + len(body) + len(options))
        self._stream.write(struct.pack("<I", kind) + length + body + options + length)


def _option(code: int, text: str) -> bytes:
    data = text.encode()[:0xFFFF]
    return struct.pack("<HH", code, len(data)) + _pad(data) if data else b""


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
