"""Drivers of Green PHY modems: what they are, their key, their link, who is in the network.

Every family understands the standard messages; the vendors' own tell more. Nothing here writes to a modem's
parameter block or flash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import trio

from iso15118.slac.messages import BROADCAST, LOCAL_MODEM, Mac, mac_text

from . import layers_mme as lm
from . import layers_vendor as lv
from .host import Host


class Unsupported(RuntimeError):
    """This modem has no message for that."""


@dataclass(frozen=True, slots=True)
class ModemInfo:
    vendor: str
    mac: Mac | None
    device: str = ""
    firmware: str = ""

    def __str__(self) -> str:
        address = mac_text(self.mac) if self.mac else "address unknown"
        return " ".join(part for part in (self.vendor, self.device, self.firmware, f"({address})") if part)


@dataclass(frozen=True, slots=True)
class PibFacts:
    """What the parameter block says, read-only. cco: 0 auto, 1 never, 2 always coordinator. slac: 0 off, 1
    EV, 2 EVSE."""

    mac: Mac
    hfid: str
    manufacturer: str
    cco: int
    slac: int
    preferred_nid: bytes
    checksum_ok: bool

    @property
    def role(self) -> str:
        return {1: "EV", 2: "EVSE"}.get(self.slac, "none")


class Modem:
    """The generic driver: standard messages only."""

    vendor = "unknown vendor"
    verify_time = 8.0
    """Seconds a modem may be deaf after a new key until reading it back counts as failed."""

    def __init__(self, host: Host, info: ModemInfo | None = None) -> None:
        self.host = host
        self.info = info or ModemInfo(self.vendor, None)
        self._readable: bool | None = None

    async def read_key(self) -> tuple[bytes, bytes] | None:
        """NID and NMK of the local modem. With a wrong NID it refuses, but tells the right one: ask twice."""
        nid = bytes(7)
        for _ in range(2):
            cnf = await self._get_key(nid)
            if cnf is None:
                return None
            if cnf.result == 0:
                return bytes(cnf.nid), bytes(cnf.key)
            nid = bytes(cnf.nid)
        return None

    async def _get_key(self, nid: bytes) -> Any | None:
        request = lm.CM_GET_KEY_REQ(nid=nid, my_nonce=self.host.entropy(4))
        return await self.host.request(request, timeout=0.2, answer=lm.CM_GET_KEY_CNF)

    async def set_key(self, nid: bytes, nmk: bytes) -> bool | None:
        """Set the network key and read it back. True: it is there. False: no confirmation, or another key.
        None: confirmed, but this modem does not let it be read.

        The confirmation's result is not looked at: vendors disagree on what says success.
        """
        if self._readable is None:
            self._readable = await self.read_key() is not None
        request = lm.CM_SET_KEY_REQ(nid=nid, nmk=nmk, my_nonce=self.host.entropy(4))
        confirmed = await self.host.request(request, timeout=1.0, answer=lm.CM_SET_KEY_CNF)
        if confirmed is None:
            return False
        if not self._readable:
            return None
        with trio.move_on_after(self.verify_time):
            while True:
                found = await self.read_key()
                if found is not None:
                    return found == (nid, nmk)
                await trio.sleep(0.05)
        return False

    async def link_status(self) -> bool | None:
        """Whether there is another station in the network; None if the modem does not answer."""
        cnf = await self.host.request(lm.CM_NW_STATS_REQ(), timeout=0.2, answer=lm.CM_NW_STATS_CNF)
        return None if cnf is None else cnf.num_stations > 0

    async def members(self) -> list[Mac]:
        """Addresses of the other modems in the network."""
        cnf = await self.host.request(lm.CM_NW_STATS_REQ(), timeout=0.2, answer=lm.CM_NW_STATS_CNF)
        return [] if cnf is None else [_mac(station.mac) for station in cnf.stations]

    async def reset(self) -> None:
        raise Unsupported(f"{self.vendor}: no reset message known")

    async def pib(self) -> PibFacts:
        raise Unsupported(f"{self.vendor}: no parameter block to read")


class QualcommModem(Modem):
    vendor = "Qualcomm"

    async def link_status(self) -> bool | None:
        cnf = await self.host.request(lv.VS_PL_LNK_STATUS_REQ(), timeout=0.2, answer=lv.VS_PL_LNK_STATUS_CNF)
        return None if cnf is None else cnf.status == 0 and cnf.link == 1

    async def members(self) -> list[Mac]:
        cnf = await self.host.request(lv.VS_NW_INFO_REQ(), timeout=0.2, mmv=1, answer=lv.VS_NW_INFO_CNF)
        if cnf is None:
            return []
        return [_mac(station.mac) for network in cnf.networks for station in network.stations]

    async def reset(self) -> None:
        cnf = await self.host.request(
            lv.ResetDeviceRequest(), timeout=0.5, attempts=2, answer=lv.ResetDeviceConfirmation
        )
        if cnf is None or cnf.Status:
            raise Unsupported(f"{self.info}: reset {'not answered' if cnf is None else 'refused'}")

    async def pib(self) -> PibFacts:
        block = await self.read_pib(0, 0x1660)
        words = [int.from_bytes(block[i : i + 4], "little") for i in range(0, len(block) & ~3, 4)]
        checksum = 0xFFFFFFFF
        for word in words:
            checksum ^= word
        size = int.from_bytes(block[4:6], "little")
        if size > len(block):
            rest = await self.read_pib(len(block), size - len(block))
            for i in range(0, len(rest) & ~3, 4):
                checksum ^= int.from_bytes(rest[i : i + 4], "little")
        return PibFacts(
            mac=block[0x0C:0x12],
            manufacturer=_text(block[0x24:0x64]),
            hfid=_text(block[0x74:0xB4]),
            cco=block[0xF4],
            preferred_nid=block[0xF8:0xFF],
            slac=block[0x1653],
            checksum_ok=checksum == 0,
        )

    async def read_pib(self, offset: int, length: int) -> bytes:
        """A part of the parameter block, in pieces of 1024 bytes."""
        block = b""
        while len(block) < length:
            request = lv.ReadModuleDataRequest(
                ModuleID=2, Length=min(1024, length - len(block)), Offset=offset + len(block)
            )
            cnf = await self.host.request(
                request, timeout=0.5, attempts=3, answer=lv.ReadModuleDataConfirmation
            )
            if cnf is None or cnf.Status or not cnf.ModuleData:
                reason = "not answered" if cnf is None else f"refused with status {cnf.Status:#04x}"
                raise Unsupported(f"{self.info}: reading the PIB at {offset + len(block):#06x} {reason}")
            block += bytes(cnf.ModuleData)
        return block


class LumissilModem(Modem):
    vendor = "Lumissil"

    async def link_status(self) -> bool | None:
        request = lv.NSCM_GET_D_LINK_STATUS_REQ(request_id=self.host.entropy(1)[0])
        cnf = await self.host.request(request, timeout=0.2, answer=lv.NSCM_GET_D_LINK_STATUS_CNF)
        return None if cnf is None else cnf.link == 1

    async def reset(self) -> None:
        """There is no confirmation; the modem answers again after about 10 s."""
        await self.host.request(lv.NSCM_RESET_DEVICE_REQ(), timeout=0.05)


async def detect(host: Host) -> Modem | None:
    """Find out what modem is on this link. None if nothing answers at all."""
    probe = lv.VS_OP_ATTRIBUTES_REQ(cookie=int.from_bytes(host.entropy(4), "little"))
    answers = await host.survey(lv.VS_SW_VER_REQ(), to=LOCAL_MODEM, timeout=0.1)
    attributes = await host.request(probe, timeout=0.1, answer=lv.VS_OP_ATTRIBUTES_CNF)
    version = next((each for each in answers if lv.VS_SW_VER_CNF in each), None)
    if version is not None or attributes is not None:
        cnf = version[lv.VS_SW_VER_CNF] if version is not None else None
        hardware = _text(bytes(attributes.hardware)) if attributes is not None else ""
        device = str(cnf.sprintf("%device_class%")) if cnf is not None else hardware
        firmware = _text(bytes(cnf.version)) if cnf is not None else ""
        return QualcommModem(
            host, ModemInfo("Qualcomm", _mac(version.src) if version is not None else None, device, firmware)
        )
    request_id = host.entropy(1)[0]
    for each in await host.survey(
        lv.NSCM_GET_VERSION_REQ(request_id=request_id), to=LOCAL_MODEM, timeout=0.1
    ):
        if lv.NSCM_GET_VERSION_CNF not in each:
            continue  # the same number, another vendor's or cut short
        cnf = each[lv.NSCM_GET_VERSION_CNF]
        firmware = f"{cnf.major}.{cnf.minor}.{cnf.patch}.{cnf.build_number}"
        return LumissilModem(host, ModemInfo("Lumissil", _mac(each.src), "CG5317", firmware))
    for body in (lm.CM_NW_STATS_REQ(), lm.CM_GET_KEY_REQ(my_nonce=host.entropy(4))):
        for each in await host.survey(body, to=LOCAL_MODEM, timeout=0.1):
            return Modem(host, ModemInfo("unknown vendor", _mac(each.src)))
    return None


async def modems_in_reach(host: Host, timeout: float = 0.3) -> dict[Mac, str]:
    """Modems that answer a broadcast: the own one (or several, on a switch) and the members of its
    network."""
    found: dict[Mac, str] = {}
    for body in (lv.VS_SW_VER_REQ(), lm.CM_GET_KEY_REQ(my_nonce=host.entropy(4))):
        for each in await host.survey(body, to=BROADCAST, timeout=timeout):
            version = _text(bytes(each[lv.VS_SW_VER_CNF].version)) if lv.VS_SW_VER_CNF in each else ""
            found[_mac(each.src)] = found.get(_mac(each.src)) or version
    return found


def _mac(text: str) -> Mac:
    return bytes.fromhex(text.replace(":", ""))


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("ascii", "replace")
