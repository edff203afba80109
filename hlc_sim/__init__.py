"""The simulator: sockets, modems, vehicles and chargers around the `iso15118` package, on trio.

`serve` runs a `Station`, `charge` a whole session of a vehicle over a `Link`; an `Intervention` stands
between the two and the wire. `SimulatedVehicle` and `SimulatedCharger` are the physical sides,
`VehicleConfig` and `StationConfig` what a TOML file says of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iso15118.lazy import exports

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
    ".charger": ("Outlet", "SimulatedCharger", "Site"),
    ".config": ("ConfigError", "StationConfig", "VehicleConfig", "load"),
    ".evcc": ("ChargeReport", "charge", "drive"),
    ".secc": ("ConnectionReport", "Station", "serve"),
    ".transport.link": ("FrameRecord", "Intervention", "Link"),
    ".vehicle": ("Battery", "Driver", "OnBoardCharger", "SimulatedVehicle"),
}
"""The names by their modules, which are imported when a name is first used."""

__getattr__, __dir__ = exports(__name__, _HOMES)
