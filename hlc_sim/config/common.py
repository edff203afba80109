"""What vehicles and stations have in common in their configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping

from iso15118.session.services import ServiceID
from iso15118.session.timers import RELAXED, STRICT, Profile

MODES: Mapping[str, ServiceID] = {
    "ac": ServiceID.AC,
    "dc": ServiceID.DC,
    "ac_bpt": ServiceID.AC_BPT,
    "dc_bpt": ServiceID.DC_BPT,
    "mcs": ServiceID.MCS,
    "mcs_bpt": ServiceID.MCS_BPT,
}
"""Energy services by the names used on the command line and in files."""


def one_of(name: str, value: str, known: Mapping[str, object] | tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} is {value!r}, must be one of {', '.join(known)}")


def positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} is {value}, must be greater than 0")


def timers(name: str) -> Profile:
    return STRICT if name == "strict" else RELAXED
