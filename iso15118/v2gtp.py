"""V2GTP: the 8-byte header before every payload, on TCP/TLS (EXI messages) and on UDP (SDP).

Version 0x01, its complement 0xFE, payload type (16 bits), payload length (32 bits), big-endian. Only framing
lives here: what a payload means is for `sdp` and `exi` to say; `schema_set_name` tells which schema set an
EXI payload is written in.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

VERSION: Final = 0x01
INVERSE_VERSION: Final = 0xFE
HEADER_SIZE: Final = 8
DEFAULT_MAX_PAYLOAD: Final = 256 * 1024
"""Bytes. Far above a CertificateInstallationRes (some 6 kB), near a signed ScheduleExchangeRes with
full-length schedules.
"""

_HEADER: Final = struct.Struct(">BBHI")


class PayloadType(IntEnum):
    """Payload types of edition 1, and the two that Amendment 1 adds to the main stream."""

    SAP = 0x8001
    """supportedAppProtocol; after it, the messages of DIN SPEC 70121 and ISO 15118-2."""
    COMMON = 0x8002
    AC = 0x8003
    DC = 0x8004
    ACDP = 0x8005
    WPT = 0x8006
    AC_DER_IEC = 0x8010
    AC_DER_SAE = 0x8011
    SCHEDULE_RENEGOTIATION = 0x8101
    METERING_CONFIRMATION = 0x8102
    ACDP_SYSTEM_STATUS = 0x8103
    PARKING_STATUS = 0x8104
    SDP_REQUEST = 0x9000
    SDP_RESPONSE = 0x9001
    SDP_WIRELESS_REQUEST = 0x9002
    SDP_WIRELESS_RESPONSE = 0x9003

    @property
    def is_side_stream(self) -> bool:
        return 0x8101 <= self <= 0x8104


MANUFACTURER_SPECIFIC: Final = range(0xA000, 0x10000)

_SCHEMA_SETS: Final[dict[int, str]] = {
    PayloadType.SAP: "sap",
    PayloadType.COMMON: "iso20_common",
    PayloadType.AC: "iso20_ac",
    PayloadType.DC: "iso20_dc",
    PayloadType.ACDP: "iso20_acdp",
    PayloadType.WPT: "iso20_wpt",
    PayloadType.METERING_CONFIRMATION: "iso20_common",
    PayloadType.ACDP_SYSTEM_STATUS: "iso20_acdp",
    PayloadType.PARKING_STATUS: "iso20_common",
}

# Side stream 0x8101 mixes messages of several sets; within its closed list the 6-bit root code tells them
# apart.
_RENEGOTIATION_SETS: Final[dict[int, str]] = {
    0x0F: "iso20_dc",  # DC_ChargeParameterDiscoveryReq, Res
    0x10: "iso20_dc",
    0x04: "iso20_ac",  # AC_ChargeParameterDiscoveryReq, Res
    0x05: "iso20_ac",
    0x1D: "iso20_wpt",  # WPT_ChargeParameterDiscoveryReq, Res
    0x1E: "iso20_wpt",
    0x1B: "iso20_common",  # ScheduleExchangeReq, Res
    0x1C: "iso20_common",
    0x15: "iso20_common",  # PowerDeliveryReq, Res
    0x16: "iso20_common",
}


class V2GTPError(ValueError):
    """A frame breaks the V2GTP rules; `offset` is the position of the offending byte in the stream of bytes
    fed so far.
    """

    def __init__(self, problem: str, offset: int) -> None:
        super().__init__(f"{problem} (byte {offset} of the stream)")
        self.problem = problem
        self.offset = offset


class Frame(NamedTuple):
    """One V2GTP frame; `payload_type` is a plain integer because a peer may send any."""

    payload_type: int
    payload: bytes


def pack(payload_type: int, payload: bytes) -> bytes:
    """The frame of `payload`, to be sent in one write: some peers read a message with a single `read`."""
    return _HEADER.pack(VERSION, INVERSE_VERSION, payload_type, len(payload)) + payload


def unpack(datagram: bytes) -> Frame:
    """The one frame a datagram holds. V2GTPError if it is broken, too short, or followed by more bytes."""
    parser = FrameParser(max_payload=0xFFFF)
    parser.feed(datagram)
    frame = parser.next_frame()
    if frame is None:
        parser.end()
        raise V2GTPError("the datagram is empty", 0)
    if parser.buffered:
        used = len(datagram) - parser.buffered
        raise V2GTPError(f"{parser.buffered} bytes follow the frame in its datagram", used)
    return frame


class FrameParser:
    """Cuts a stream of bytes into frames; bytes may arrive in any portions.

    `max_payload` bounds what one frame may claim, and so the memory a peer can take: a longer claim is
    refused on its header.
    """

    __slots__ = ("_buffer", "_consumed", "max_payload")

    def __init__(self, *, max_payload: int = DEFAULT_MAX_PAYLOAD) -> None:
        self.max_payload = max_payload
        self._buffer = bytearray()
        self._consumed = 0

    @property
    def buffered(self) -> int:
        """Bytes fed and not yet given out in a frame."""
        return len(self._buffer)

    def feed(self, data: bytes | bytearray) -> None:
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """The next whole frame, None while it is incomplete. V2GTPError for a header that no further byte can
        mend.
        """
        buffer = self._buffer
        if len(buffer) < HEADER_SIZE:
            self._check_version()
            return None
        version, inverse, payload_type, length = _HEADER.unpack_from(buffer)
        if version != VERSION or inverse != INVERSE_VERSION:
            self._check_version()
        if length > self.max_payload:
            raise V2GTPError(
                f"payload length {length} in the V2GTP header exceeds the limit of {self.max_payload} bytes",
                self._consumed + 4,
            )
        end = HEADER_SIZE + length
        if len(buffer) < end:
            return None
        payload = bytes(buffer[HEADER_SIZE:end])
        del buffer[:end]
        self._consumed += end
        return Frame(payload_type, payload)

    def end(self) -> None:
        """Says that the stream has ended. V2GTPError if it ended inside a frame."""
        have = len(self._buffer)
        if have == 0:
            return
        position = self._consumed + have
        if have < HEADER_SIZE:
            self._check_version()
            raise V2GTPError(f"the stream ends after {have} of 8 bytes of a V2GTP header", position)
        _, _, payload_type, length = _HEADER.unpack_from(self._buffer)
        got = have - HEADER_SIZE
        raise V2GTPError(
            f"the stream ends after {got} of {length} payload bytes (type {describe(payload_type)})", position
        )

    def _check_version(self) -> None:
        for index, (name, expected) in enumerate(
            (("version", VERSION), ("inverse version", INVERSE_VERSION))
        ):
            if len(self._buffer) > index and self._buffer[index] != expected:
                raise V2GTPError(
                    f"V2GTP {name} is 0x{self._buffer[index]:02X}, expected 0x{expected:02X}",
                    self._consumed + index,
                )


def schema_set_name(payload_type: int, payload: bytes, *, after_sap: bool = False) -> str | None:
    """The schema set that an EXI payload is written in, by the value of `iso15118.exi.SchemaSet`; None if
    unknown.

    `after_sap`: the connection has agreed on an ISO 15118-20 protocol. Some EVCCs then still frame common
    messages as 0x8001; they are read as such, and the caller reports it.
    """
    if payload_type == PayloadType.SCHEDULE_RENEGOTIATION:
        return _RENEGOTIATION_SETS.get(payload[1] >> 2) if len(payload) > 1 else None
    if payload_type == PayloadType.SAP and after_sap:
        return "iso20_common"
    return _SCHEMA_SETS.get(payload_type)


def describe(payload_type: int) -> str:
    """The payload type in words, for logs: "0x8004 DC"."""
    try:
        name = PayloadType(payload_type).name
    except ValueError:
        name = "manufacturer specific" if payload_type in MANUFACTURER_SPECIFIC else "reserved"
    return f"0x{payload_type:04X} {name}"
