"""Between the messages of the state machines and frames on the wire, through the scapy layers.

Field names are the same on both sides, so there is nothing to say per message but which class is which.
"""

from __future__ import annotations

import struct
from dataclasses import fields
from typing import Any

from scapy.layers.l2 import Ether
from scapy.packet import NoPayload, Raw

from iso15118.slac import messages as m
from iso15118.slac.messages import Mac, SlacMessage, mac_text

from . import layers_mme as lm
from . import layers_vendor as lv  # noqa: F401  (binds the vendors' bodies)
from .layers_mme import ETHERTYPE, MMTYPES, HomePlug

_LAYERS: dict[type[Any], type[Any]] = {
    m.SlacParmReq: lm.CM_SLAC_PARM_REQ,
    m.SlacParmCnf: lm.CM_SLAC_PARM_CNF,
    m.StartAttenCharInd: lm.CM_START_ATTEN_CHAR_IND,
    m.MnbcSoundInd: lm.CM_MNBC_SOUND_IND,
    m.AttenProfileInd: lm.CM_ATTEN_PROFILE_IND,
    m.AttenCharInd: lm.CM_ATTEN_CHAR_IND,
    m.AttenCharRsp: lm.CM_ATTEN_CHAR_RSP,
    m.ValidateReq: lm.CM_VALIDATE_REQ,
    m.ValidateCnf: lm.CM_VALIDATE_CNF,
    m.SlacMatchReq: lm.CM_SLAC_MATCH_REQ,
    m.SlacMatchCnf: lm.CM_SLAC_MATCH_CNF,
    m.AmpMapReq: lm.CM_AMP_MAP_REQ,
    m.AmpMapCnf: lm.CM_AMP_MAP_CNF,
}
_MESSAGES = {layer: message for message, layer in _LAYERS.items()}
_MACS = frozenset({"sound_target", "forwarding_sta", "pev_mac", "evse_mac", "source_address"})
_ETHERTYPE = ETHERTYPE.to_bytes(2, "big")
_GROUPS = frozenset({"attenuation"})

#: message types that are the state machines' business
SLAC_MMTYPES = frozenset(
    number for number, name in MMTYPES.items() if name in {layer.__name__ for layer in _LAYERS.values()}
)


class MalformedMme(ValueError):
    """A frame that claims to be a management message and is not; says which field is at fault."""


def mmtype_of(frame: bytes) -> int | None:
    """The message type of a frame, without dissecting it; None if it is no management message."""
    if len(frame) < 17 or frame[12:14] != _ETHERTYPE:
        return None
    return frame[15] | frame[16] << 8


def packet(destination: Mac, source: Mac, body: Any, **header: Any) -> Any:
    """A whole frame as a scapy packet, around one message body."""
    return stack(HomePlug(**header), body, destination, source)


def stack(header: Any, body: Any, destination: Mac, source: Mac) -> Any:
    """The same with a header made elsewhere. Without ``/``, which copies both sides every time."""
    frame = Ether(dst=mac_text(destination), src=mac_text(source), type=ETHERTYPE)
    header.add_payload(body)
    frame.add_payload(header)
    return frame


def build(destination: Mac, source: Mac, message: SlacMessage, mmv: int | None = None) -> bytes:
    """The frame of one message. ``mmv``: management message version, 1 (HPAV 1.1) by default."""
    values: dict[str, Any] = {f.name: getattr(message, f.name) for f in fields(message)}
    for name in values.keys() & _MACS:
        values[name] = mac_text(values[name])
    if isinstance(message, m.AmpMapReq):
        values["num_carriers"] = len(message.carriers)
    header, body = HomePlug(mmv=mmv), _LAYERS[type(message)](**values)
    header.add_payload(body)
    header.explicit = body.explicit = True  # nothing volatile in it: scapy need not clone it first
    return destination + source + _ETHERTYPE + bytes(header)


def parse(frame: bytes) -> tuple[Mac, SlacMessage] | None:
    """Sender and message of a frame; None if it is not a message of the matching.

    MalformedMme for one that is cut short or contradicts itself. Longer than needed is fine: padding, and
    arrays sent at full size, are common.
    """
    if mmtype_of(frame) not in SLAC_MMTYPES:
        return None
    name = MMTYPES[mmtype_of(frame) or 0]
    try:
        header = HomePlug(frame[14:])
    except struct.error:
        raise MalformedMme(f"{name}: no header in {len(frame)} bytes") from None
    body = header.payload
    kind = _MESSAGES.get(type(body))
    if kind is None or isinstance(body, (NoPayload, Raw)):
        raise MalformedMme(f"{name}: no body in {len(frame)} bytes")
    _check(name, header, body)
    values: dict[str, Any] = {}
    for f in fields(kind):
        value = body.getfieldval(f.name)
        if f.name in _MACS:
            value = bytes.fromhex(value.replace(":", ""))
        elif f.name in _GROUPS:
            value = tuple(value)
        elif f.name == "carriers":
            value = tuple(nibble for byte in value for nibble in (byte & 15, byte >> 4))[: body.num_carriers]
        values[f.name] = value
    return frame[6:12], kind(**values)


def _check(name: str, header: Any, body: Any) -> None:
    if header.fmi:
        raise MalformedMme(f"{name}: FMI {header.fmi:#04x}, fragments are not expected here")
    for field in body.fields_desc:
        value = body.getfieldval(field.name)
        wanted = field.length_from(body) if isinstance(value, bytes) else 0
        if len(value if isinstance(value, bytes) else b"") < wanted:
            raise MalformedMme(f"{name}: {field.name} has {len(value)} of {wanted} bytes")
    if "mvf_length" in body.fields:
        expected = 0x56 if isinstance(body, lm.CM_SLAC_MATCH_CNF) else 0x3E
        if body.mvf_length != expected:
            raise MalformedMme(f"{name}: MVFLength {body.mvf_length:#06x}, {expected:#06x} expected")
