# mypy: disallow-subclassing-any=False
"""Scapy layers above the powerline: V2GTP, the SECC discovery protocol, and EXI payloads shown decoded.

UDP port 15118 is bound to V2GTP when this is loaded. The TCP port is the one SDP announces:
``bind_v2gtp(50000)`` binds it as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scapy.fields import (
    ByteEnumField,
    ByteField,
    IP6Field,
    LenField,
    ShortField,
    StrField,
    StrFixedLenField,
    XByteField,
    XShortEnumField,
    XShortField,
)
from scapy.layers.inet import TCP, UDP
from scapy.packet import Packet, bind_layers

from iso15118.sdp import PORT, DiagnosticStatus, Security, Transport
from iso15118.v2gtp import INVERSE_VERSION, VERSION, PayloadType, schema_set_name

_SECURITY = {int(value): value.name for value in Security}
_TRANSPORT = {int(value): value.name for value in Transport}


class V2GTP(Packet):
    """The 8-byte header. Several frames in one segment: the next one is the payload of this one's padding."""

    name = "V2GTP"
    fields_desc = [
        XByteField("version", VERSION),
        XByteField("inverse_version", INVERSE_VERSION),
        XShortEnumField("payload_type", 0x8001, {int(value): value.name for value in PayloadType}),
        LenField("length", None, fmt="I"),
    ]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return s[: self.length], s[self.length :]

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        found = super().guess_payload_class(payload)
        in_exi = self.payload_type in range(0x8001, 0x9000)
        return EXI if in_exi else found

    def answers(self, other: Packet) -> bool:
        if not isinstance(other, V2GTP):
            return False
        pair = (other.payload_type, self.payload_type)
        return pair in ((0x9000, 0x9001), (0x9002, 0x9003)) or (pair[0] == pair[1] < 0x9000)


class _Leaf(Packet):
    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


class SDPRequest(_Leaf):
    name = "SDP request"
    fields_desc = [
        ByteEnumField("security", 0x00, _SECURITY),
        ByteEnumField("transport", 0x00, _TRANSPORT),
    ]


class SDPResponse(_Leaf):
    name = "SDP response"
    fields_desc = [
        IP6Field("address", "::"),
        ShortField("port", 0),
        ByteEnumField("security", 0x00, _SECURITY),
        ByteEnumField("transport", 0x00, _TRANSPORT),
    ]


class SDPWirelessRequest(_Leaf):
    name = "SDP request (wireless)"
    fields_desc = [
        ByteEnumField("security", 0x00, _SECURITY),
        ByteEnumField("transport", 0x00, _TRANSPORT),
        XShortField("positioning", 0),
        ByteField("coupling_type", 0),
        StrFixedLenField("evid", b"ZZ00000", 20),
        StrField("evseid", bytes(36)),  # 36 or 37 bytes
    ]


class SDPWirelessResponse(_Leaf):
    name = "SDP response (wireless)"
    fields_desc = [
        IP6Field("address", "::"),
        ShortField("port", 0),
        ByteEnumField("security", 0x00, _SECURITY),
        ByteEnumField("transport", 0x00, _TRANSPORT),
        ByteEnumField("diagnostic_status", 0, {int(value): value.name for value in DiagnosticStatus}),
        ByteField("coupling_type", 0),
        StrField("evseid", bytes(36)),
    ]


def decode_exi(payload_type: int, payload: bytes) -> Any:
    """The message in an EXI payload.

    Payload type 0x8001 is read as supportedAppProtocol first and as a common message of ISO 15118-20 next.
    ValueError with the reason if it is neither.
    """
    from iso15118.exi import (
        SchemaSet,
        decode,  # the codec is a second of start-up that building frames does not need
    )

    errors = []
    for after_sap in (False, True) if payload_type == PayloadType.SAP else (False,):
        name = schema_set_name(payload_type, payload, after_sap=after_sap)
        if name is None:
            raise ValueError(f"no schema set for payload type {payload_type:#06x}")
        try:
            return decode(payload, SchemaSet(name))
        except ValueError as error:
            errors.append(str(error))
    raise ValueError("; ".join(errors))


class _ExiField(StrField):
    def i2repr(self, pkt: Any, x: bytes) -> str:
        try:
            message = decode_exi(pkt.underlayer.payload_type if pkt.underlayer else 0x8001, x)
        except ValueError as error:
            return f"{x.hex()} (not decoded: {error})"
        return f"{x.hex()} = {message!r}"


class EXI(_Leaf):
    """``.show()`` has the message decoded; ``.message`` is the decoded object."""

    name = "EXI"
    fields_desc = [_ExiField("exi", b"")]

    @property
    def message(self) -> Any:
        return decode_exi(self.underlayer.payload_type if self.underlayer else 0x8001, self.exi)

    def mysummary(self) -> str:
        try:
            return type(self.message).__name__
        except ValueError:
            return f"EXI, {len(self.exi)} bytes"


bind_layers(V2GTP, SDPRequest, payload_type=0x9000)
bind_layers(V2GTP, SDPResponse, payload_type=0x9001)
bind_layers(V2GTP, SDPWirelessRequest, payload_type=0x9002)
bind_layers(V2GTP, SDPWirelessResponse, payload_type=0x9003)
bind_layers(V2GTP, EXI, payload_type=0x8001)


def bind_v2gtp(port: int, transport: Callable[..., Packet] = TCP) -> None:
    """Read payloads to and from this port as V2GTP."""
    bind_layers(transport, V2GTP, dport=port)
    bind_layers(transport, V2GTP, sport=port)


bind_v2gtp(PORT, UDP)

__all__ = [
    "EXI",
    "V2GTP",
    "SDPRequest",
    "SDPResponse",
    "SDPWirelessRequest",
    "SDPWirelessResponse",
    "bind_v2gtp",
    "decode_exi",
]
