# mypy: disallow-subclassing-any=False
"""Scapy layers: vendors' management messages (Qualcomm Atheros, Lumissil).

Where ``scapy.contrib.homeplugav`` has the layout right its classes are used, bound below our header; where it
has not (VS_SW_VER, VS_ATTENUATION_CHARACTERISTICS, VS_NW_INFO in version 1.1, VS_MODULE_OPERATION) or has
nothing, ours.
"""

from __future__ import annotations

from typing import Any

from scapy.contrib.homeplugav import (
    HostActionRequired,
    NetworkInfoConfirmationV10,
    NetworkInfoV10,
    QUAResetFactoryConfirm,
    ReadModuleDataConfirmation,
    ReadModuleDataRequest,
    ResetDeviceConfirmation,
    ResetDeviceRequest,
    SetEncryptionKeyConfirmation,
    SetEncryptionKeyRequest,
    SnifferConfirmation,
    SnifferIndicate,
    SnifferRequest,
    StationInfoV10,
    WriteModuleData2NVMConfirmation,
    WriteModuleData2NVMRequest,
    WriteModuleDataRequest,
)
from scapy.fields import (
    ByteEnumField,
    ByteField,
    FieldLenField,
    LEIntField,
    LEShortField,
    MACField,
    PacketListField,
    StrFixedLenField,
    StrLenField,
    XByteField,
    XLEIntField,
    XLEShortField,
    XStrFixedLenField,
)
from scapy.packet import bind_layers

from .layers_mme import MMTYPES, Element, GroupsField, HomePlug, Mme, mme

QUALCOMM = 0x00B052
LUMISSIL = 0x0016E8

# --- Qualcomm Atheros: scapy's own --------------------------------------------------------------------

for _type, _name, _layer in (
    (0xA01C, "VS_RS_DEV_REQ", ResetDeviceRequest),
    (0xA01D, "VS_RS_DEV_CNF", ResetDeviceConfirmation),
    (0xA020, "VS_WR_MOD_REQ", WriteModuleDataRequest),
    (0xA024, "VS_RD_MOD_REQ", ReadModuleDataRequest),
    (0xA025, "VS_RD_MOD_CNF", ReadModuleDataConfirmation),
    (0xA028, "VS_MOD_NVM_REQ", WriteModuleData2NVMRequest),
    (0xA029, "VS_MOD_NVM_CNF", WriteModuleData2NVMConfirmation),
    (0xA034, "VS_SNIFFER_REQ", SnifferRequest),
    (0xA035, "VS_SNIFFER_CNF", SnifferConfirmation),
    (0xA036, "VS_SNIFFER_IND", SnifferIndicate),
    (0xA050, "VS_SET_KEY_REQ", SetEncryptionKeyRequest),
    (0xA051, "VS_SET_KEY_CNF", SetEncryptionKeyConfirmation),
    (0xA062, "VS_HOST_ACTION_IND", HostActionRequired),
    (0xA07D, "VS_FAC_DEFAULTS_CNF", QUAResetFactoryConfirm),
):
    MMTYPES[_type] = _name
    bind_layers(HomePlug, _layer, mmtype=_type, oui=QUALCOMM)
MMTYPES[0xA039] = "VS_NW_INFO_CNF"
bind_layers(HomePlug, NetworkInfoConfirmationV10, mmtype=0xA039, oui=QUALCOMM, mmv=0)

# --- Qualcomm Atheros: ours ---------------------------------------------------------------------------


@mme(0xA000, oui=QUALCOMM)
class VS_SW_VER_REQ(Mme):
    fields_desc: list[Any] = []


_DEVICES = {
    0x01: "INT6000",
    0x03: "INT6400",
    0x05: "AR7420",
    0x06: "AR7420",
    0x20: "QCA7420",
    0x21: "QCA6410/QCA7006",
    0x22: "QCA7000/QCA7005",
    0x30: "QCA7500",
}


@mme(0xA001, oui=QUALCOMM)
class VS_SW_VER_CNF(Mme):
    """scapy's GetDeviceVersion reads it, but builds a length of 1."""

    fields_desc = [
        XByteField("status", 0),
        ByteEnumField("device_class", 0x22, _DEVICES),
        FieldLenField("length", None, length_of="version", fmt="B"),
        StrLenField("version", b"", length_from=lambda pkt: pkt.length),
    ]


@mme(0xA038, oui=QUALCOMM)
class VS_NW_INFO_REQ(Mme):
    """Ask with ``HomePlug(mmv=1)`` for the longer answer."""

    fields_desc: list[Any] = []


class NetworkStation(Element):
    """Rates in Mbit/s."""

    name = "station"
    fields_desc = [
        MACField("mac", "00:00:00:00:00:00"),
        ByteField("tei", 0),
        XStrFixedLenField("reserved", bytes(3), 3),
        MACField("bridged", "00:00:00:00:00:00"),
        LEShortField("tx", 0),
        XByteField("coupling", 0),
        XByteField("reserved_2", 0),
        LEShortField("rx", 0),
        XLEShortField("reserved_3", 0),
    ]


class NetworkDetail(Element):
    name = "network"
    fields_desc = [
        XStrFixedLenField("nid", bytes(7), 7),
        XLEShortField("reserved", 0),
        ByteField("snid", 0),
        ByteField("tei", 0),
        XLEIntField("reserved_2", 0),
        ByteEnumField("role", 0, {0: "station", 1: "proxy coordinator", 2: "coordinator"}),
        MACField("cco_mac", "00:00:00:00:00:00"),
        ByteField("cco_tei", 1),
        XStrFixedLenField("reserved_3", bytes(3), 3),
        FieldLenField("num_stations", None, count_of="stations", fmt="B"),
        XStrFixedLenField("reserved_4", bytes(5), 5),
        PacketListField("stations", [], NetworkStation, count_from=lambda pkt: pkt.num_stations),
    ]


@mme(0xA039, oui=QUALCOMM, mmv=1)
class VS_NW_INFO_CNF(Mme):
    """Version 1.1: the stations lie inside their network."""

    fields_desc = [
        ByteField("subversion", 0),
        ByteField("reserved", 0),
        FieldLenField("length", None, length_of="networks", fmt="<H", adjust=lambda _pkt, n: n + 1),
        ByteField("reserved_2", 0),
        FieldLenField("num_networks", None, count_of="networks", fmt="B"),
        PacketListField("networks", [], NetworkDetail, count_from=lambda pkt: pkt.num_networks),
    ]


@mme(0xA068, oui=QUALCOMM)
class VS_OP_ATTRIBUTES_REQ(Mme):
    fields_desc = [XLEIntField("cookie", 0), ByteField("report_type", 0)]


@mme(0xA069, oui=QUALCOMM)
class VS_OP_ATTRIBUTES_CNF(Mme):
    fields_desc = [
        XLEShortField("status", 0),
        XLEIntField("cookie", 0),
        ByteField("report_type", 0),
        FieldLenField("length", None, length_of="rest", fmt="<H", adjust=lambda _pkt, n: n + 32),
        StrFixedLenField("hardware", bytes(16), 16),
        StrFixedLenField("software", bytes(16), 16),
        StrLenField("rest", bytes(86), length_from=lambda pkt: max(0, pkt.length - 32)),
    ]
    same = (("cookie", "cookie"),)


@mme(0xA0B8, oui=QUALCOMM)
class VS_PL_LNK_STATUS_REQ(Mme):
    fields_desc: list[Any] = []


@mme(0xA0B9, oui=QUALCOMM)
class VS_PL_LNK_STATUS_CNF(Mme):
    fields_desc = [XByteField("status", 0), ByteEnumField("link", 0, {0: "down", 1: "up"})]


_MODULES = {0x7002: "PIB"}
_OPERATIONS = {0: "read memory", 1: "read flash", 0x10: "start session", 0x11: "write", 0x12: "close"}


@mme(0xA0B0, oui=QUALCOMM)
class VS_MODULE_OPERATION_REQ(Mme):
    """The reading form: one operation, module, part, length (1400 at the most) and offset."""

    fields_desc = [
        XLEIntField("reserved", 0),
        ByteField("num_operations", 1),
        XLEShortField("operation", 0),
        LEShortField("operation_length", 0x12),
        XLEIntField("reserved_2", 0),
        XLEShortField("module", 0x7002),
        XLEShortField("sub_id", 0),
        LEShortField("data_length", 0),
        LEIntField("offset", 0),
    ]


@mme(0xA0B1, oui=QUALCOMM)
class VS_MODULE_OPERATION_CNF(Mme):
    fields_desc = [
        XLEShortField("status", 0),
        XLEShortField("error", 0),
        XLEIntField("reserved", 0),
        ByteField("num_operations", 1),
        XLEShortField("operation", 0),
        LEShortField("operation_length", 0x12),
        XLEIntField("reserved_2", 0),
        XLEShortField("module", 0x7002),
        XLEShortField("sub_id", 0),
        FieldLenField("data_length", None, length_of="data", fmt="<H"),
        LEIntField("offset", 0),
        StrLenField("data", b"", length_from=lambda pkt: pkt.data_length),
    ]


@mme(0xA14E, oui=QUALCOMM)
class VS_ATTENUATION_CHARACTERISTICS_IND(Mme):
    """Precedes every CM_ATTEN_PROFILE.IND of a QCA modem; some firmware sends it with OUI 00:00:00."""

    fields_desc = [
        MACField("pev_mac", "00:00:00:00:00:00"),
        FieldLenField("num_groups", None, length_of="attenuation", fmt="B"),
        ByteField("reserved", 0),
        ByteField("carriers_per_group", 0x10),
        XStrFixedLenField("reserved_2", bytes(7), 7),
        GroupsField("attenuation", b"", length_from=lambda pkt: pkt.num_groups),
    ]


bind_layers(HomePlug, VS_ATTENUATION_CHARACTERISTICS_IND, mmtype=0xA14E, oui=0)
bind_layers(HomePlug, VS_ATTENUATION_CHARACTERISTICS_IND, mmtype=0xA14E, oui=QUALCOMM)

# --- Lumissil -----------------------------------------------------------------------------------------


class _Lms(Mme):
    """Every Lumissil message begins with this 19-byte header."""

    same = (("request_id", "request_id"),)


def _lms() -> list[Any]:
    return [
        LEShortField("version", 1),
        XLEIntField("reserved", 0),
        ByteField("request_id", 0),
        XStrFixedLenField("reserved_2", bytes(12), 12),
    ]


@mme(0xAC6C, oui=LUMISSIL)
class NSCM_GET_VERSION_REQ(_Lms):
    fields_desc = _lms()


@mme(0xAC6D, oui=LUMISSIL)
class NSCM_GET_VERSION_CNF(_Lms):
    """The widths of the four numbers are not checked on a modem."""

    fields_desc = [
        *_lms(),
        LEShortField("major", 0),
        LEShortField("minor", 0),
        LEShortField("patch", 0),
        LEShortField("build_number", 0),
    ]


@mme(0xAC9C, oui=LUMISSIL)
class NSCM_GET_D_LINK_STATUS_REQ(_Lms):
    fields_desc = _lms()


@mme(0xAC9D, oui=LUMISSIL)
class NSCM_GET_D_LINK_STATUS_CNF(_Lms):
    fields_desc = [*_lms(), ByteEnumField("link", 0, {0: "down", 1: "up"})]


@mme(0xAC70, oui=LUMISSIL)
class NSCM_RESET_DEVICE_REQ(_Lms):
    """Has no confirmation; the modem is away for about 10 s."""

    fields_desc = [*_lms(), ByteField("mode", 0)]


__all__ = [
    "LUMISSIL",
    "QUALCOMM",
    "NetworkDetail",
    "NetworkInfoConfirmationV10",
    "NetworkInfoV10",
    "NetworkStation",
    "ReadModuleDataConfirmation",
    "ReadModuleDataRequest",
    "ResetDeviceConfirmation",
    "ResetDeviceRequest",
    "SetEncryptionKeyConfirmation",
    "SetEncryptionKeyRequest",
    "SnifferConfirmation",
    "SnifferIndicate",
    "SnifferRequest",
    "StationInfoV10",
    "WriteModuleDataRequest",
]
__all__ += sorted(name for name in globals() if name.startswith(("VS_", "NSCM_")))
