"""Configuration files: TOML into the dataclasses that describe vehicles, stations and sessions.

The dataclasses are the only definition of keys, types and defaults. Vehicle and station are imported when
they are used: a process is mostly one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .reader import ConfigError, build, load

if TYPE_CHECKING:
    from .common import MODES
    from .station import StationConfig
    from .vehicle import VehicleConfig

__all__ = ["MODES", "ConfigError", "StationConfig", "VehicleConfig", "build", "load"]

_HOMES = {"MODES": "common", "StationConfig": "station", "VehicleConfig": "vehicle"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
