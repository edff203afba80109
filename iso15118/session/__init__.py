"""Order of messages, timers, services and schedules, and the behaviour of SECC and EVCC; sans-I/O.

`sequence` and `timers` are tables that both roles and the trace checker read; `charger` and `vehicle` are
what a physical side implements; `SECC` answers requests, `EVCC` is a generator of them. Names that are not
here are in the modules: `evcc` has the steps and ways out of an EVCC, `secc_config` and `evcc_config` the
hooks for trust and planning, `values` the physical quantities, `judge` the judge of recorded sessions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import exports

if TYPE_CHECKING:
    from .charger import Charger
    from .evcc import EVCC
    from .evcc_config import EVCCConfig, ServiceWish, VASWish
    from .evcc_steps import Outcome, SessionResult
    from .events import Deviation, Role, Severity
    from .secc import SECC
    from .secc_config import Closing, LinkSecurity, SECCConfig, SessionStore, Trust, energy_modes
    from .services import VAS, ControlMode, Dialect, EnergyMode, MobilityNeedsMode, Pricing, ServiceID
    from .timers import RELAXED, STRICT, TIMERS
    from .vehicle import Vehicle

__all__ = [
    "EVCC",
    "RELAXED",
    "SECC",
    "STRICT",
    "TIMERS",
    "VAS",
    "Charger",
    "Closing",
    "ControlMode",
    "Deviation",
    "Dialect",
    "EVCCConfig",
    "EnergyMode",
    "LinkSecurity",
    "MobilityNeedsMode",
    "Outcome",
    "Pricing",
    "Role",
    "SECCConfig",
    "ServiceID",
    "ServiceWish",
    "SessionResult",
    "SessionStore",
    "Severity",
    "Trust",
    "VASWish",
    "Vehicle",
    "energy_modes",
]

_HOMES = {
    ".charger": ("Charger",),
    ".evcc": ("EVCC",),
    ".evcc_config": ("EVCCConfig", "ServiceWish", "VASWish"),
    ".evcc_steps": ("Outcome", "SessionResult"),
    ".events": ("Deviation", "Role", "Severity"),
    ".secc": ("SECC",),
    ".secc_config": ("Closing", "LinkSecurity", "SECCConfig", "SessionStore", "Trust", "energy_modes"),
    ".services": ("VAS", "ControlMode", "Dialect", "EnergyMode", "MobilityNeedsMode", "Pricing", "ServiceID"),
    ".timers": ("RELAXED", "STRICT", "TIMERS"),
    ".vehicle": ("Vehicle",),
}
"""The names by their modules, which are imported when a name is first used."""

__getattr__, __dir__ = exports(__name__, _HOMES)
