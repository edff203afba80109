"""Configuration files: TOML into the dataclasses that describe vehicles, stations and sessions.

The dataclasses are the only definition of keys, types and defaults. Vehicle and station are imported when
they are used: a process is mostly one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iso15118.lazy import exports

from .reader import ConfigError, build, load

if TYPE_CHECKING:
    from .common import MODES
    from .station import StationConfig
    from .vehicle import VehicleConfig

__all__ = ["MODES", "ConfigError", "StationConfig", "VehicleConfig", "build", "load"]

_HOMES = {".common": ("MODES",), ".station": ("StationConfig",), ".vehicle": ("VehicleConfig",)}
"""The names by their modules, which are imported when a name is first used."""

__getattr__, __dir__ = exports(__name__, _HOMES)
