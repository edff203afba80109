# mypy: disallow-subclassing-any=False
"""Scapy layers: HomePlug AV / Green PHY management messages between stations (CM_*, CC_*).

``Ether() / HomePlug() / CM_SLAC_PARM_REQ(run_id=...)`` builds the whole frame: message type, version,
fragment fields and the padding to 60 bytes come by themselves. Integers in bodies are little endian. Field
names are those of ``iso15118.slac.messages`` wherever the two meet.
"""

from __future__ import annotations

import struct
from typing import Any

from scapy.contrib.homeplugav import HomePlugAV
from scapy.fields import (
    ByteEnumField,
    ByteField,
    ConditionalField,
    FieldLenField,
    LEShortField,
    MACField,
    OUIField,
    PacketListField,
    StrField,
    StrLenField,
    XByteField,
    XStrFixedLenField,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Padding, bind_layers, split_bottom_up
from scapy.volatile import RandBin, RandNum

ETHERTYPE = 0x88E1
BROADCAST = "ff:ff:ff:ff:ff:ff"
LOCAL_MODEM = "00:b0:52:00:00:01"
_SHORTEST = 60 - 14  # an Ethernet frame without its header and check sequence

MMTYPES: dict[int, str] = {}
"""Names of the message types, filled as layers are bound."""


def _version(pkt: Any) -> int:
    if pkt.mmv is not None:
        return int(pkt.mmv)
    return 0 if pkt.mmtype >= 0x8000 else 1


class _VersionField(ByteEnumField):
    """None stands for what modems expect: HPAV 1.1 for CM messages, 1.0 for vendors' messages."""

    def i2m(self, pkt: Any, x: int | None) -> int:
        return _version(pkt) if x is None else int(x)


class _TypeField(LEShortField):
    """Takes and shows names; a plain enumeration would not see types bound after it."""

    def any2i(self, pkt: Any, x: Any) -> Any:
        if isinstance(x, str):
            return next(number for number, name in MMTYPES.items() if name == x)
        return super().any2i(pkt, x)

    def i2repr(self, pkt: Any, x: int) -> str:
        return f"{x:#06x} {MMTYPES.get(x, '')}".rstrip()


class HomePlug(Packet):
    """The management message header. Versions from 1.1 on have fragment fields, vendors' messages an OUI."""

    name = "HomePlug"
    fields_desc = [
        _VersionField("mmv", None, {0: "1.0", 1: "1.1", 2: "2.0"}),
        _TypeField("mmtype", 0x6064),
        ConditionalField(XByteField("fmi", 0), lambda pkt: _version(pkt) >= 1),
        ConditionalField(XByteField("fmsn", 0), lambda pkt: _version(pkt) >= 1),
        ConditionalField(OUIField("oui", 0x00B052), lambda pkt: pkt.mmtype >= 0x8000),
    ]

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        built = pkt + pay
        if isinstance(self.lastlayer(), Padding):
            return built  # a dissected frame brings its own
        return built.ljust(_SHORTEST, b"\0")

    def hashret(self) -> bytes:
        return struct.pack("<H", self.mmtype & ~3)

    def answers(self, other: Packet) -> bool:
        """A confirmation answers a request, a response an indication, of the same kind, vendor and run."""
        if not isinstance(other, HomePlug) or other.mmtype & ~3 != self.mmtype & ~3:
            return False
        if (other.mmtype & 3, self.mmtype & 3) not in ((0, 1), (2, 3)):
            return False
        if self.mmtype >= 0x8000 and self.oui != other.oui:
            return False
        return not isinstance(self.payload, Mme) or bool(self.payload.answers(other.payload))

    def mysummary(self) -> str:
        return MMTYPES.get(self.mmtype, f"MMTYPE {self.mmtype:#06x}")


class Mme(Packet):
    """A message body. ``same``: (own field, request's field) pairs that make it an answer to that request."""

    same: tuple[tuple[str, str], ...] = ()

    def answers(self, other: Packet) -> bool:
        for mine, theirs in self.same:
            wanted = other.getfieldval(theirs) if isinstance(other, Mme) else None
            if wanted is not None and self.getfieldval(mine) != wanted:
                return False
        return True

    def default_payload_class(self, payload: bytes) -> type[Packet]:
        return Padding  # type: ignore[no-any-return]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


class Element(Packet):
    """An entry of a list inside a body."""

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


class GroupsField(StrLenField):
    """Attenuation per carrier group, dB, one byte each: one field, not one packet per group."""

    def any2i(self, pkt: Any, x: Any) -> bytes:
        return bytes(x) if isinstance(x, (list, tuple)) else super().any2i(pkt, x)

    def randval(self) -> Any:
        return RandBin(RandNum(0, 64))

    def i2repr(self, pkt: Any, x: bytes) -> str:
        mean = f", mean {sum(x) / len(x):.1f} dB" if x else ""
        return f"{list(x)}{mean}"


class NibblesField(StrLenField):
    """4 bits per carrier, the first carrier in the low half of the first byte."""

    def any2i(self, pkt: Any, x: Any) -> bytes:
        if isinstance(x, (list, tuple)):
            padded = [*x, 0] if len(x) % 2 else list(x)
            return bytes(low | high << 4 for low, high in zip(padded[::2], padded[1::2], strict=True))
        return bytes(super().any2i(pkt, x))


def mme(mmtype: int, name: str | None = None, **fields: int) -> Any:
    """Class decorator: bind a body to its message type (and OUI or version, where given)."""

    def bind(cls: type[Packet]) -> type[Packet]:
        MMTYPES[mmtype] = name or cls.__name__
        cls.name = name or cls.__name__
        bind_layers(HomePlug, cls, mmtype=mmtype, **fields)
        return cls

    return bind


def _run_id() -> Any:
    return XStrFixedLenField("run_id", bytes(8), 8)


def _app_sec() -> list[Any]:
    return [ByteField("application_type", 0), ByteField("security_type", 0)]


_RUN = (("run_id", "run_id"),)

# --- SLAC --------------------------------------------------------------------------------------------


@mme(0x6064)
class CM_SLAC_PARM_REQ(Mme):
    fields_desc = [*_app_sec(), _run_id()]


@mme(0x6065)
class CM_SLAC_PARM_CNF(Mme):
    fields_desc = [
        MACField("sound_target", BROADCAST),
        ByteField("num_sounds", 10),
        ByteField("time_out", 6),
        ByteField("resp_type", 1),
        MACField("forwarding_sta", "00:00:00:00:00:00"),
        *_app_sec(),
        _run_id(),
    ]
    same = _RUN


@mme(0x606A)
class CM_START_ATTEN_CHAR_IND(Mme):
    fields_desc = [
        *_app_sec(),
        ByteField("num_sounds", 10),
        ByteField("time_out", 6),
        ByteField("resp_type", 1),
        MACField("forwarding_sta", "00:00:00:00:00:00"),
        _run_id(),
    ]


@mme(0x6076)
class CM_MNBC_SOUND_IND(Mme):
    fields_desc = [
        *_app_sec(),
        XStrFixedLenField("sender_id", bytes(17), 17),
        ByteField("count", 0),
        _run_id(),
        XStrFixedLenField("reserved", bytes(8), 8),
        XStrFixedLenField("random", bytes(16), 16),
    ]


@mme(0x6086)
class CM_ATTEN_PROFILE_IND(Mme):
    """From an EVSE's modem to its host, one per sound heard. scapy's own name for it is
    CM_ATTENUATION_CHARACTERISTICS_MME."""

    fields_desc = [
        MACField("pev_mac", "00:00:00:00:00:00"),
        FieldLenField("num_groups", None, length_of="attenuation", fmt="B"),
        ByteField("reserved", 0),
        GroupsField("attenuation", b"", length_from=lambda pkt: pkt.num_groups),
    ]


@mme(0x606E)
class CM_ATTEN_CHAR_IND(Mme):
    fields_desc = [
        *_app_sec(),
        MACField("source_address", "00:00:00:00:00:00"),
        _run_id(),
        XStrFixedLenField("source_id", bytes(17), 17),
        XStrFixedLenField("resp_id", bytes(17), 17),
        ByteField("num_sounds", 10),
        FieldLenField("num_groups", None, length_of="attenuation", fmt="B"),
        GroupsField("attenuation", b"", length_from=lambda pkt: pkt.num_groups),
    ]


@mme(0x606F)
class CM_ATTEN_CHAR_RSP(Mme):
    fields_desc = [
        *_app_sec(),
        MACField("source_address", "00:00:00:00:00:00"),
        _run_id(),
        XStrFixedLenField("source_id", bytes(17), 17),
        XStrFixedLenField("resp_id", bytes(17), 17),
        ByteField("result", 0),
    ]
    same = _RUN


_VALIDATE = {0: "not ready", 1: "ready", 2: "success", 3: "failure", 4: "not required"}


@mme(0x6078)
class CM_VALIDATE_REQ(Mme):
    fields_desc = [
        ByteEnumField("signal_type", 0, {0: "S2 toggles on control pilot"}),
        ByteField("timer", 0),
        ByteEnumField("result", 1, _VALIDATE),
    ]


@mme(0x6079)
class CM_VALIDATE_CNF(Mme):
    fields_desc = [
        ByteEnumField("signal_type", 0, {0: "S2 toggles on control pilot"}),
        ByteField("toggle_num", 0),
        ByteEnumField("result", 1, _VALIDATE),
    ]


def _match_fields(length: int) -> list[Any]:
    return [
        *_app_sec(),
        LEShortField("mvf_length", length),
        XStrFixedLenField("pev_id", bytes(17), 17),
        MACField("pev_mac", "00:00:00:00:00:00"),
        XStrFixedLenField("evse_id", bytes(17), 17),
        MACField("evse_mac", "00:00:00:00:00:00"),
        _run_id(),
        XStrFixedLenField("reserved", bytes(8), 8),
    ]


@mme(0x607C)
class CM_SLAC_MATCH_REQ(Mme):
    fields_desc = _match_fields(0x3E)


@mme(0x607D)
class CM_SLAC_MATCH_CNF(Mme):
    """Carries the network key in clear."""

    fields_desc = [
        *_match_fields(0x56),
        XStrFixedLenField("nid", bytes(7), 7),
        ByteField("reserved_2", 0),
        XStrFixedLenField("nmk", bytes(16), 16),
    ]
    same = _RUN


@mme(0x601C)
class CM_AMP_MAP_REQ(Mme):
    fields_desc = [
        LEShortField("num_carriers", None),
        NibblesField("carriers", b"", length_from=lambda pkt: (pkt.num_carriers + 1) // 2),
    ]

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        if self.num_carriers is None:
            pkt = struct.pack("<H", 2 * len(self.carriers)) + pkt[2:]
        return pkt + pay


@mme(0x601D)
class CM_AMP_MAP_CNF(Mme):
    fields_desc = [ByteEnumField("result", 0, {0: "ok", 1: "failure"})]


# --- keys, networks, stations ------------------------------------------------------------------------

_KEY_TYPES = {0: "DAK", 1: "NMK", 2: "NEK", 3: "TEK", 4: "hash", 5: "nonce", 6: "MME key"}
_PID = {0: "authentication", 1: "CCo", 2: "proxy", 3: "multicast", 4: "HLE"}


@mme(0x6008)
class CM_SET_KEY_REQ(Mme):
    fields_desc = [
        ByteEnumField("key_type", 1, _KEY_TYPES),
        XStrFixedLenField("my_nonce", bytes(4), 4),
        XStrFixedLenField("your_nonce", bytes(4), 4),
        ByteEnumField("pid", 4, _PID),
        LEShortField("prn", 0),
        ByteField("pmn", 0),
        ByteField("cco_capability", 0),
        XStrFixedLenField("nid", bytes(7), 7),
        ByteEnumField("new_eks", 1, _KEY_TYPES),
        XStrFixedLenField("nmk", bytes(16), 16),
    ]


@mme(0x6009)
class CM_SET_KEY_CNF(Mme):
    """result: Qualcomm modems say 1 for success, the HomePlug AV text says 0. Read the key back instead."""

    fields_desc = [
        XByteField("result", 1),
        XStrFixedLenField("my_nonce", bytes(4), 4),
        XStrFixedLenField("your_nonce", bytes(4), 4),
        ByteEnumField("pid", 4, _PID),
        LEShortField("prn", 0),
        XByteField("pmn", 0xFF),
        ByteField("cco_capability", 0),
    ]
    same = (("your_nonce", "my_nonce"),)


@mme(0x600C)
class CM_GET_KEY_REQ(Mme):
    fields_desc = [
        ByteEnumField("req_type", 0, {0: "direct", 1: "relayed"}),
        ByteEnumField("key_type", 1, _KEY_TYPES),
        XStrFixedLenField("nid", bytes(7), 7),
        XStrFixedLenField("my_nonce", bytes(4), 4),
        ByteEnumField("pid", 4, _PID),
        LEShortField("prn", 0),
        ByteField("pmn", 0),
    ]


@mme(0x600D)
class CM_GET_KEY_CNF(Mme):
    """With a wrong NID in the request the result is 1, but the right NID is told: ask twice."""

    fields_desc = [
        ByteEnumField("result", 0, {0: "ok", 1: "refused"}),
        ByteEnumField("key_type", 1, _KEY_TYPES),
        XStrFixedLenField("my_nonce", bytes(4), 4),
        XStrFixedLenField("your_nonce", bytes(4), 4),
        XStrFixedLenField("nid", bytes(7), 7),
        ByteEnumField("eks", 1, _KEY_TYPES),
        ByteEnumField("pid", 4, _PID),
        LEShortField("prn", 0),
        XByteField("pmn", 0xFF),
        XStrFixedLenField("key", bytes(16), 16),
    ]
    same = (("your_nonce", "my_nonce"),)


_ROLES = {0: "station", 1: "proxy coordinator", 2: "coordinator"}


class Network(Element):
    name = "network"
    fields_desc = [
        XStrFixedLenField("nid", bytes(7), 7),
        ByteField("snid", 0),
        ByteField("tei", 0),
        ByteEnumField("role", 0, _ROLES),
        MACField("cco_mac", "00:00:00:00:00:00"),
        ByteField("access", 0),
        ByteField("num_coordinating", 0),
    ]


@mme(0x6038)
class CM_NW_INFO_REQ(Mme):
    fields_desc: list[Any] = []


@mme(0x6039)
class CM_NW_INFO_CNF(Mme):
    fields_desc = [
        FieldLenField("num_networks", None, count_of="networks", fmt="B"),
        PacketListField("networks", [], Network, count_from=lambda pkt: pkt.num_networks),
    ]


class StationRate(Element):
    """PHY rates in Mbit/s, one byte each as in Green PHY."""

    name = "station"
    fields_desc = [MACField("mac", "00:00:00:00:00:00"), ByteField("tx", 0), ByteField("rx", 0)]


@mme(0x6048)
class CM_NW_STATS_REQ(Mme):
    fields_desc: list[Any] = []


@mme(0x6049)
class CM_NW_STATS_CNF(Mme):
    fields_desc = [
        FieldLenField("num_stations", None, count_of="stations", fmt="B"),
        PacketListField("stations", [], StationRate, count_from=lambda pkt: pkt.num_stations),
    ]


@mme(0x6046)
class CM_MME_ERROR_IND(Mme):
    fields_desc = [StrField("body", b"")]


@mme(0x6007)
class CM_ENCRYPTED_PAYLOAD_RSP(Mme):
    fields_desc = [StrField("body", b"")]


for _type, _name in {
    0x0014: "CC_DISCOVER_LIST_REQ",
    0x0015: "CC_DISCOVER_LIST_CNF",
    0x6002: "CM_UNASSOCIATED_STA_IND",
    0x6006: "CM_ENCRYPTED_PAYLOAD_IND",
    0x6020: "CM_BRG_INFO_REQ",
    0x6021: "CM_BRG_INFO_CNF",
    0x6034: "CM_STA_CAP_REQ",
    0x6035: "CM_STA_CAP_CNF",
    0x6040: "CM_HFID_REQ",
    0x6041: "CM_HFID_CNF",
    0x6060: "CM_STA_IDENTIFY_REQ",
    0x6061: "CM_STA_IDENTIFY_CNF",
}.items():
    MMTYPES.setdefault(_type, _name)  # known by name, their bodies left as they are

# scapy.contrib.homeplugav takes every 0x88E1 frame when it is loaded; from here on it is ours.
split_bottom_up(Ether, HomePlugAV, type=ETHERTYPE)
bind_layers(Ether, HomePlug, type=ETHERTYPE)

__all__ = [
    "ETHERTYPE",
    "MMTYPES",
    "Element",
    "GroupsField",
    "HomePlug",
    "Mme",
    "Network",
    "NibblesField",
    "StationRate",
    "mme",
]
__all__ += sorted(name for name in globals() if name.startswith(("CM_", "CC_")))
