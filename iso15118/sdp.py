"""SDP: how the EVCC finds address, port and security of the SECC; the payloads of V2GTP types 0x9000 to
0x9003.

The standard exchange (0x9000/0x9001) serves cable connections; the wireless one (0x9002/0x9003) adds coupler
and pairing data. A request on 0x9000 of another length than 2 belongs to another protocol that shares the
type (ESDP) and is to be ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv6Address
from typing import Final

from .v2gtp import PayloadType, pack

PORT: Final = 15118
"""UDP port of the SDP server."""
MULTICAST_GROUP: Final = "ff02::1"
REQUEST_TIMEOUT: Final = 0.25
"""Seconds until the EVCC repeats its request [V2G2-159]."""
MAX_REQUESTS: Final = 50
"""Consecutive requests before discovery has failed [V2G2-161]."""
DYNAMIC_PORTS: Final = range(49152, 65536)
"""Where the EVCC's UDP port and the SECC's TCP port lie."""
UNKNOWN_EVID: Final = "ZZ00000"
"""EVID of a vehicle that has none [V2G20-2281]."""


class Security(IntEnum):
    TLS = 0x00
    NONE = 0x10


class Transport(IntEnum):
    TCP = 0x00
    UDP = 0x10
    """Reserved."""


class DiagnosticStatus(IntEnum):
    """How far the SECC is with finding the right EVSE, in the wireless exchange."""

    ONGOING = 0x00
    FINISHED_WITH_EVSEID = 0x01
    FINISHED_WITHOUT_EVSEID = 0x02
    ERROR = 0x10


class SDPError(ValueError):
    """A payload is not the SDP message its type promises; `offset` is the offending byte of the payload."""

    def __init__(self, problem: str, offset: int) -> None:
        super().__init__(f"{problem} (byte {offset} of the payload)")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Request:
    """SDP request, 2 bytes."""

    security: Security = Security.TLS
    transport: Transport = Transport.TCP

    def to_bytes(self) -> bytes:
        return bytes((self.security, self.transport))

    @classmethod
    def from_bytes(cls, payload: bytes) -> Request:
        _length("SDP request", payload, (2,))
        return cls(_security(payload, 0), _transport(payload, 1))


@dataclass(frozen=True, slots=True)
class Response:
    """SDP response, 20 bytes: where the SECC listens."""

    address: IPv6Address
    port: int
    security: Security = Security.TLS
    transport: Transport = Transport.TCP

    def to_bytes(self) -> bytes:
        return self.address.packed + self.port.to_bytes(2, "big") + bytes((self.security, self.transport))

    @classmethod
    def from_bytes(cls, payload: bytes) -> Response:
        _length("SDP response", payload, (20,))
        return cls(
            IPv6Address(payload[:16]),
            int.from_bytes(payload[16:18], "big"),
            _security(payload, 18),
            _transport(payload, 19),
        )


@dataclass(frozen=True, slots=True)
class WirelessRequest:
    """SDP request with pairing data. Public sources disagree on the length of EVSEID (36 or 37 bytes) and on
    which of the two bytes of `positioning` holds the flags; both lengths are read, the flags are passed on as
    they came.
    """

    positioning: int
    """Bits of the supported pairing and fine-positioning methods, 16 bits."""
    coupling_type: int
    evid: str = UNKNOWN_EVID
    evseid: str = ""
    security: Security = Security.TLS
    transport: Transport = Transport.TCP
    evseid_length: int = field(default=36, kw_only=True)

    def to_bytes(self) -> bytes:
        return (
            bytes((self.security, self.transport))
            + self.positioning.to_bytes(2, "big")
            + bytes((self.coupling_type,))
            + _pad(self.evid, 20, "EVID")
            + _pad(self.evseid, self.evseid_length, "EVSEID")
        )

    @classmethod
    def from_bytes(cls, payload: bytes) -> WirelessRequest:
        _length("wireless SDP request", payload, (61, 62))
        return cls(
            security=_security(payload, 0),
            transport=_transport(payload, 1),
            positioning=int.from_bytes(payload[2:4], "big"),
            coupling_type=payload[4],
            evid=_text(payload, 5, 25),
            evseid=_text(payload, 25, len(payload)),
            evseid_length=len(payload) - 25,
        )


@dataclass(frozen=True, slots=True)
class WirelessResponse:
    """SDP response with the state of the search and the EVSEID found."""

    address: IPv6Address
    port: int
    diagnostic_status: DiagnosticStatus
    coupling_type: int
    evseid: str = ""
    security: Security = Security.TLS
    transport: Transport = Transport.TCP
    evseid_length: int = field(default=36, kw_only=True)

    def to_bytes(self) -> bytes:
        return (
            Response(self.address, self.port, self.security, self.transport).to_bytes()
            + bytes((self.diagnostic_status, self.coupling_type))
            + _pad(self.evseid, self.evseid_length, "EVSEID")
        )

    @classmethod
    def from_bytes(cls, payload: bytes) -> WirelessResponse:
        _length("wireless SDP response", payload, (58, 59))
        plain = Response.from_bytes(payload[:20])
        try:
            status = DiagnosticStatus(payload[20])
        except ValueError:
            raise SDPError(f"diagnostic status 0x{payload[20]:02X} is not known", 20) from None
        return cls(
            address=plain.address,
            port=plain.port,
            security=plain.security,
            transport=plain.transport,
            diagnostic_status=status,
            coupling_type=payload[21],
            evseid=_text(payload, 22, len(payload)),
            evseid_length=len(payload) - 22,
        )


Message = Request | Response | WirelessRequest | WirelessResponse

_TYPES: Final[dict[int, type[Message]]] = {
    PayloadType.SDP_REQUEST: Request,
    PayloadType.SDP_RESPONSE: Response,
    PayloadType.SDP_WIRELESS_REQUEST: WirelessRequest,
    PayloadType.SDP_WIRELESS_RESPONSE: WirelessResponse,
}
_PAYLOAD_TYPES: Final[dict[type[Message], int]] = {cls: number for number, cls in _TYPES.items()}


def parse(payload_type: int, payload: bytes) -> Message:
    """The SDP message of a frame. SDPError if the type is not SDP's or the payload does not fit it."""
    cls = _TYPES.get(payload_type)
    if cls is None:
        raise SDPError(f"payload type 0x{payload_type:04X} is not an SDP message", 0)
    return cls.from_bytes(payload)


def datagram(message: Message) -> bytes:
    """The V2GTP frame of `message`, one UDP datagram."""
    return pack(_PAYLOAD_TYPES[type(message)], message.to_bytes())


def _length(what: str, payload: bytes, allowed: tuple[int, ...]) -> None:
    if len(payload) not in allowed:
        expected = " or ".join(map(str, allowed))
        raise SDPError(
            f"{what} has {len(payload)} bytes, expected {expected}", min(len(payload), allowed[-1])
        )


def _security(payload: bytes, offset: int) -> Security:
    try:
        return Security(payload[offset])
    except ValueError:
        raise SDPError(
            f"security 0x{payload[offset]:02X} is neither 0x00 (TLS) nor 0x10 (none)", offset
        ) from None


def _transport(payload: bytes, offset: int) -> Transport:
    try:
        return Transport(payload[offset])
    except ValueError:
        raise SDPError(
            f"transport 0x{payload[offset]:02X} is neither 0x00 (TCP) nor 0x10 (UDP)", offset
        ) from None


def _pad(text: str, size: int, name: str) -> bytes:
    data = text.encode("ascii")
    if len(data) > size:
        raise ValueError(f"{name} has {len(data)} characters, at most {size} fit")
    return data.ljust(size, b"\0")


def _text(payload: bytes, start: int, stop: int) -> str:
    raw = payload[start:stop].rstrip(b"\0")
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise SDPError(f"0x{raw[error.start]:02X} is not an ASCII character", start + error.start) from None
