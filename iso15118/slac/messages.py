"""The parameters of the SLAC messages as the state machines see them: typed values, no byte layout.

MAC addresses, RunIDs (8 bytes), NIDs (7) and NMKs (16) are opaque byte strings. Attenuation is in dB, one
whole number per carrier group (58 groups usually). The layout on the wire is the business of
``hlc_sim.powerline.layers``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

Mac = bytes

BROADCAST: Mac = b"\xff" * 6
#: "the modem on this wire": accepted by every Green PHY modem family in place of its own address
LOCAL_MODEM: Mac = bytes.fromhex("00b052000001")
GROUPS = 58


def mac_text(mac: Mac) -> str:
    """The address as hexadecimal bytes with colons."""
    return mac.hex(":")


class ValidateResult(IntEnum):
    """CM_VALIDATE Result."""

    NOT_READY = 0
    READY = 1
    SUCCESS = 2
    FAILURE = 3
    NOT_REQUIRED = 4


@dataclass(frozen=True, slots=True)
class SlacParmReq:
    run_id: bytes
    application_type: int = 0
    security_type: int = 0


@dataclass(frozen=True, slots=True)
class SlacParmCnf:
    run_id: bytes
    forwarding_sta: Mac  # the EV's host address
    num_sounds: int = 10
    time_out: int = 6  # x 100 ms
    resp_type: int = 1
    sound_target: Mac = BROADCAST
    application_type: int = 0
    security_type: int = 0


@dataclass(frozen=True, slots=True)
class StartAttenCharInd:
    run_id: bytes
    forwarding_sta: Mac
    num_sounds: int = 10
    time_out: int = 6
    resp_type: int = 1
    application_type: int = 0
    security_type: int = 0


@dataclass(frozen=True, slots=True)
class MnbcSoundInd:
    run_id: bytes
    count: int  # sounds still to come
    random: bytes  # 16 bytes
    sender_id: bytes = bytes(17)
    application_type: int = 0
    security_type: int = 0


@dataclass(frozen=True, slots=True)
class AttenProfileInd:
    """What an EVSE's modem tells its host of one sound. Some families send no groups at all."""

    pev_mac: Mac
    attenuation: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AttenCharInd:
    run_id: bytes
    source_address: Mac  # the EV's host address
    attenuation: tuple[int, ...]
    num_sounds: int
    source_id: bytes = bytes(17)
    resp_id: bytes = bytes(17)
    application_type: int = 0
    security_type: int = 0


@dataclass(frozen=True, slots=True)
class AttenCharRsp:
    run_id: bytes
    source_address: Mac
    result: int = 0
    source_id: bytes = bytes(17)
    resp_id: bytes = bytes(17)
    application_type: int = 0
    security_type: int = 0


@dataclass(frozen=True, slots=True)
class ValidateReq:
    timer: int  # step 1: 0. Step 2: duration of the toggling in 100 ms, minus one
    result: int = ValidateResult.READY
    signal_type: int = 0


@dataclass(frozen=True, slots=True)
class ValidateCnf:
    toggle_num: int
    result: int
    signal_type: int = 0


@dataclass(frozen=True, slots=True)
class SlacMatchReq:
    run_id: bytes
    pev_mac: Mac
    evse_mac: Mac
    pev_id: bytes = bytes(17)
    evse_id: bytes = bytes(17)
    application_type: int = 0
    security_type: int = 0


@dataclass(frozen=True, slots=True)
class SlacMatchCnf:
    run_id: bytes
    pev_mac: Mac
    evse_mac: Mac
    nid: bytes
    nmk: bytes
    pev_id: bytes = bytes(17)
    evse_id: bytes = bytes(17)
    application_type: int = 0
    security_type: int = 0


@dataclass(frozen=True, slots=True)
class AmpMapReq:
    """Amplitude map: per carrier (917 in Green PHY) a reduction code 0..15, 15 = carrier off."""

    carriers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AmpMapCnf:
    result: int = 0


SlacMessage = (
    SlacParmReq
    | SlacParmCnf
    | StartAttenCharInd
    | MnbcSoundInd
    | AttenProfileInd
    | AttenCharInd
    | AttenCharRsp
    | ValidateReq
    | ValidateCnf
    | SlacMatchReq
    | SlacMatchCnf
    | AmpMapReq
    | AmpMapCnf
)
