"""Order of messages, timers, services and schedules, and the behaviour of SECC and EVCC; sans-I/O.

`sequence` and `timers` are tables that both roles and the trace checker read; `charger` and `vehicle` are
what a physical side implements; `SECC` answers requests, `EVCC` is a generator of them. Names that are not
here are in the modules: `evcc` has the steps and ways out of an EVCC, `secc_config` and `evcc_config` the
hooks for trust and planning, `values` the physical quantities, `judge` the judge of recorded sessions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .charger import Charger
    from .evcc import EVCC
    from .evcc_config import EVCCConfig, ServiceWish, VASWish
    from .evcc_steps import Outcome, SessionResult
    from .events import Deviation, Role, Severity
    from .secc import SECC
    from .secc_config import Closing, Link, SECCConfig, SessionStore, Trust, energy_modes
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
    "Link",
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
    "Charger": "charger",
    "EVCC": "evcc",
    "EVCCConfig": "evcc_config",
    "ServiceWish": "evcc_config",
    "VASWish": "evcc_config",
    "Outcome": "evcc_steps",
    "SessionResult": "evcc_steps",
    "Deviation": "events",
    "Role": "events",
    "Severity": "events",
    "SECC": "secc",
    "Closing": "secc_config",
    "Link": "secc_config",
    "SECCConfig": "secc_config",
    "SessionStore": "secc_config",
    "Trust": "secc_config",
    "energy_modes": "secc_config",
    "ControlMode": "services",
    "Dialect": "services",
    "EnergyMode": "services",
    "MobilityNeedsMode": "services",
    "Pricing": "services",
    "ServiceID": "services",
    "VAS": "services",
    "RELAXED": "timers",
    "STRICT": "timers",
    "TIMERS": "timers",
    "Vehicle": "vehicle",
}
"""The module of each name, imported when the name is first used."""


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
