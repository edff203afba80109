"""The simulator: sockets, modems, vehicles and chargers around the `iso15118` package, on trio.

`serve` runs a `Station`, `charge` a whole session of a vehicle over a `Link`; an `Intervention` stands
between the two and the wire. `SimulatedVehicle` and `SimulatedCharger` are the physical sides,
`VehicleConfig` and `StationConfig` what a TOML file says of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .charger import Outlet, SimulatedCharger, Site
    from .config import ConfigError, StationConfig, VehicleConfig, load
    from .evcc import ChargeReport, charge, drive
    from .secc import ConnectionReport, Station, serve
    from .transport.link import FrameRecord, Intervention, Link
    from .vehicle import Battery, Driver, OnBoardCharger, SimulatedVehicle

__all__ = [
    "Battery",
    "ChargeReport",
    "ConfigError",
    "ConnectionReport",
    "Driver",
    "FrameRecord",
    "Intervention",
    "Link",
    "OnBoardCharger",
    "Outlet",
    "SimulatedCharger",
    "SimulatedVehicle",
    "Site",
    "Station",
    "StationConfig",
    "VehicleConfig",
    "charge",
    "drive",
    "load",
    "serve",
]

_HOMES = {
    "Outlet": "charger",
    "SimulatedCharger": "charger",
    "Site": "charger",
    "ConfigError": "config",
    "StationConfig": "config",
    "VehicleConfig": "config",
    "load": "config",
    "ChargeReport": "evcc",
    "charge": "evcc",
    "drive": "evcc",
    "ConnectionReport": "secc",
    "Station": "secc",
    "serve": "secc",
    "FrameRecord": "transport.link",
    "Intervention": "transport.link",
    "Link": "transport.link",
    "Battery": "vehicle",
    "Driver": "vehicle",
    "OnBoardCharger": "vehicle",
    "SimulatedVehicle": "vehicle",
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
