"""A simulated Green PHY modem: its key and network, and its answers to management messages."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from scapy.contrib.homeplugav import (
    ReadModuleDataConfirmation,
    ReadModuleDataRequest,
    ResetDeviceConfirmation,
    ResetDeviceRequest,
)

from iso15118.slac import dak_from_password, nid_from_nmk
from iso15118.slac.messages import Mac, mac_text

from . import layers_mme as lm
from . import layers_vendor as lv
from .families import Family, Vendor

Role = Literal["EV", "EVSE"]

_PIB_SIZE = 0x1D00
_REFUSED = 1  # status of a vendor's confirmation


@dataclass(slots=True, eq=False)
class SimulatedModem:
    """State of one modem. refuse_keys: so many CM_SET_KEY.REQ are confirmed but not obeyed; zero_groups:
    profiles show 0 dB everywhere. Both are faults for tests to set."""

    name: str
    mac: Mac
    family: Family
    role: Role
    nmk: bytes
    nid: bytes = b""
    powered: bool = True
    deaf_until: float = float("-inf")
    joins_at: float = float("-inf")
    hosts: set[Mac] = field(default_factory=set)
    last_match: float = float("-inf")  # a CM_SLAC_MATCH.CNF passed
    refuse_keys: int = 0
    zero_groups: bool = False
    hfid: str = ""

    def __post_init__(self) -> None:
        self.nid = self.nid or nid_from_nmk(self.nmk)

    def deaf(self, now: float) -> bool:
        return not self.powered or now < self.deaf_until

    def joined(self, now: float) -> bool:
        """Has taken part in beacons long enough to belong to its network."""
        return self.powered and now >= self.joins_at

    def take_key(self, nid: bytes, nmk: bytes, now: float) -> None:
        self.nid, self.nmk = nid, nmk
        self.deaf_until = now + self.family.deaf_after_key
        self.joins_at = now + max(self.family.join_time, self.family.deaf_after_key)

    def restart(self, now: float) -> None:
        """Reset: away for a while, the key kept (it is in the parameter block)."""
        self.deaf_until = now + self.family.reset_time
        self.joins_at = self.deaf_until + self.family.join_time

    def pib(self) -> bytes:
        """The parameter information block, as far as its fields are known."""
        pib = bytearray(_PIB_SIZE)
        struct.pack_into("<H", pib, 0x04, _PIB_SIZE)
        pib[0x0C:0x12] = self.mac
        pib[0x12:0x22] = dak_from_password("HomePlugAV")
        pib[0x24:0x2B] = b"hlc-sim"
        pib[0x64:0x74] = self.nmk
        hfid = (self.hfid or {"EV": "PEV", "EVSE": "EVSE"}[self.role]).encode()
        pib[0x74 : 0x74 + len(hfid)] = hfid
        pib[0xF4] = 1 if self.role == "EV" else 2
        pib[0xF8:0xFF] = self.nid
        pib[0x1653] = 1 if self.role == "EV" else 2
        words = struct.unpack(f"<{_PIB_SIZE // 4}I", pib)
        checksum = 0
        for word in words:
            checksum ^= word
        struct.pack_into("<I", pib, 0x08, ~checksum & 0xFFFFFFFF)
        return bytes(pib)


@dataclass(frozen=True, slots=True)
class Question:
    """One management message for a modem. over_line: it came from the powerline, not from the own host.
    peers: the other members of its network, as far as the link is up."""

    header: Any
    body: Any
    over_line: bool
    now: float
    peers: list[SimulatedModem]
    entropy: Callable[[int], bytes]

    def obeyed_by(self, family: Family) -> bool:
        """Keys, resets and parameter blocks are the own host's business."""
        return not self.over_line or family.manageable_over_line


Answer = Any | None
_HANDLERS: dict[type[Any], tuple[Vendor | None, Callable[[SimulatedModem, Question], Answer]]] = {}


def _on(layer: type[Any], vendor: Vendor | None = None) -> Callable[[Any], Any]:
    def register(handler: Callable[[SimulatedModem, Question], Answer]) -> Any:
        _HANDLERS[layer] = (vendor, handler)
        return handler

    return register


def answer(modem: SimulatedModem, question: Question) -> Answer:
    """The modem's answer as a scapy packet from HomePlug on, or None."""
    vendor, handler = _HANDLERS.get(type(question.body), (None, None))
    if handler is None or (vendor is not None and vendor is not modem.family.vendor):
        return None
    return handler(modem, question)


@_on(lm.CM_SET_KEY_REQ)
def _set_key(modem: SimulatedModem, q: Question) -> Answer:
    obey = q.obeyed_by(modem.family)
    body = lm.CM_SET_KEY_CNF(
        result=modem.family.set_key_result if obey else 1 - modem.family.set_key_result,
        my_nonce=q.entropy(4),
        your_nonce=q.body.my_nonce,
    )
    forgets = modem.family.loses_first_key and q.now - modem.last_match < 1.0
    if forgets:
        modem.last_match = float("-inf")  # the next one takes
    elif obey and modem.refuse_keys:
        modem.refuse_keys -= 1
    elif obey and len(q.body.nmk) == 16:
        modem.take_key(q.body.nid, q.body.nmk, q.now)
    return lm.HomePlug() / body


@_on(lm.CM_GET_KEY_REQ)
def _get_key(modem: SimulatedModem, q: Question) -> Answer:
    if not modem.family.key_readable:
        return None
    known = q.body.nid == modem.nid and not q.over_line
    return lm.HomePlug() / lm.CM_GET_KEY_CNF(
        result=0 if known else 1,
        my_nonce=q.entropy(4),
        your_nonce=q.body.my_nonce,
        nid=modem.nid,
        key=modem.nmk if known else bytes(16),
    )


@_on(lm.CM_NW_INFO_REQ)
def _nw_info(modem: SimulatedModem, q: Question) -> Answer:
    networks = [
        lm.Network(
            nid=modem.nid,
            snid=1,
            tei=_tei(modem),
            role=_line_role(modem),
            cco_mac=mac_text(_coordinator(modem, q.peers).mac),
        )
    ]
    return lm.HomePlug() / lm.CM_NW_INFO_CNF(networks=networks if q.peers or modem.role == "EVSE" else [])


@_on(lm.CM_NW_STATS_REQ)
def _nw_stats(_modem: SimulatedModem, q: Question) -> Answer:
    stations = [lm.StationRate(mac=mac_text(peer.mac), tx=10, rx=10) for peer in q.peers]
    return lm.HomePlug() / lm.CM_NW_STATS_CNF(stations=stations)


@_on(lv.VS_SW_VER_REQ, Vendor.QUALCOMM)
def _sw_ver(modem: SimulatedModem, _q: Question) -> Answer:
    family = modem.family
    return lm.HomePlug() / lv.VS_SW_VER_CNF(
        device_class=family.device_class, version=family.firmware.encode()
    )


@_on(ResetDeviceRequest, Vendor.QUALCOMM)
def _reset(modem: SimulatedModem, q: Question) -> Answer:
    obey = q.obeyed_by(modem.family)
    if obey:
        modem.restart(q.now)
    return lm.HomePlug() / ResetDeviceConfirmation(Status=0 if obey else _REFUSED)


@_on(lv.VS_NW_INFO_REQ, Vendor.QUALCOMM)
def _vs_nw_info(modem: SimulatedModem, q: Question) -> Answer:
    """In the version of the request."""
    coordinator = mac_text(_coordinator(modem, q.peers).mac)
    if q.header.mmv:
        stations = [
            lv.NetworkStation(
                mac=mac_text(peer.mac),
                tei=_tei(peer),
                tx=10,
                rx=10,
                bridged=mac_text(min(peer.hosts, default=bytes(6))),
            )
            for peer in q.peers
        ]
        network = lv.NetworkDetail(
            nid=modem.nid,
            snid=1,
            tei=_tei(modem),
            role=_line_role(modem),
            cco_mac=coordinator,
            stations=stations,
        )
        return lm.HomePlug(mmv=1) / lv.VS_NW_INFO_CNF(networks=[network])
    old = [
        lv.StationInfoV10(
            StationMAC=mac_text(peer.mac),
            StationTerminalEID=_tei(peer),
            firstnodeMAC=mac_text(min(peer.hosts, default=bytes(6))),
            TXaverage=10,
            RXaverage=10,
        )
        for peer in q.peers
    ]
    net = lv.NetworkInfoV10(
        NetworkID=modem.nid,
        ShortNetworkID=1,
        TerminalEID=_tei(modem),
        StationRole=_line_role(modem),
        CCoMACAdress=coordinator,
    )
    return lm.HomePlug() / lv.NetworkInfoConfirmationV10(
        LogicalNetworksNumber=1, NetworksInfos=[net], StationsNumber=len(old), StationsInfos=old
    )


@_on(lv.VS_PL_LNK_STATUS_REQ, Vendor.QUALCOMM)
def _link_status(_modem: SimulatedModem, q: Question) -> Answer:
    return lm.HomePlug() / lv.VS_PL_LNK_STATUS_CNF(link=1 if q.peers else 0)


@_on(lv.VS_OP_ATTRIBUTES_REQ, Vendor.QUALCOMM)
def _op_attributes(modem: SimulatedModem, q: Question) -> Answer:
    return lm.HomePlug() / lv.VS_OP_ATTRIBUTES_CNF(
        cookie=q.body.cookie,
        report_type=q.body.report_type,
        hardware=modem.family.name.upper().encode(),
        software=modem.family.firmware.encode()[:16],
    )


@_on(ReadModuleDataRequest, Vendor.QUALCOMM)
def _read_module(modem: SimulatedModem, q: Question) -> Answer:
    data = b""
    if q.body.ModuleID == 2 and q.obeyed_by(modem.family):
        data = modem.pib()[q.body.Offset : q.body.Offset + min(q.body.Length, 1024)]
    return lm.HomePlug() / ReadModuleDataConfirmation(
        Status=0 if data else _REFUSED, ModuleID=q.body.ModuleID, Offset=q.body.Offset, ModuleData=data
    )


@_on(lv.VS_MODULE_OPERATION_REQ, Vendor.QUALCOMM)
def _module_operation(modem: SimulatedModem, q: Question) -> Answer:
    data = b""
    if q.body.operation == 0 and q.body.module == 0x7002 and q.obeyed_by(modem.family):
        data = modem.pib()[q.body.offset : q.body.offset + min(q.body.data_length, 1400)]
    return lm.HomePlug() / lv.VS_MODULE_OPERATION_CNF(
        status=0 if data else _REFUSED, operation=q.body.operation, offset=q.body.offset, data=data
    )


@_on(lv.NSCM_GET_VERSION_REQ, Vendor.LUMISSIL)
def _lumissil_version(modem: SimulatedModem, q: Question) -> Answer:
    major, minor, patch, build = map(int, modem.family.firmware.split("."))
    return lm.HomePlug() / lv.NSCM_GET_VERSION_CNF(
        request_id=q.body.request_id, major=major, minor=minor, patch=patch, build_number=build
    )


@_on(lv.NSCM_GET_D_LINK_STATUS_REQ, Vendor.LUMISSIL)
def _lumissil_link(_modem: SimulatedModem, q: Question) -> Answer:
    return lm.HomePlug() / lv.NSCM_GET_D_LINK_STATUS_CNF(
        request_id=q.body.request_id, link=1 if q.peers else 0
    )


@_on(lv.NSCM_RESET_DEVICE_REQ, Vendor.LUMISSIL)
def _lumissil_reset(modem: SimulatedModem, q: Question) -> None:
    if q.obeyed_by(modem.family):
        modem.restart(q.now)


def _tei(modem: SimulatedModem) -> int:
    return 1 if modem.role == "EVSE" else 2


def _line_role(modem: SimulatedModem) -> int:
    return 2 if modem.role == "EVSE" else 0


def _coordinator(modem: SimulatedModem, peers: list[SimulatedModem]) -> SimulatedModem:
    return next((each for each in (modem, *peers) if each.role == "EVSE"), modem)
