"""Configuration files: TOML into the dataclasses that describe vehicles, stations and sessions.

The dataclasses are the only definition of keys, types and defaults. Every error is a ConfigError that names
file and key.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import math
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from iso15118.messages import common
from iso15118.session.evcc_config import EVCCConfig, ServiceWish
from iso15118.session.secc_config import SECCConfig, energy_modes
from iso15118.session.services import ControlMode, EnergyMode, ServiceID
from iso15118.session.timers import RELAXED, STRICT, Profile

from .charger import Outlet, SimulatedCharger, Site
from .vehicle import Battery, Driver, OnBoardCharger, SimulatedVehicle

T = TypeVar("T")

MODES: Mapping[str, ServiceID] = {
    "ac": ServiceID.AC,
    "dc": ServiceID.DC,
    "ac_bpt": ServiceID.AC_BPT,
    "dc_bpt": ServiceID.DC_BPT,
    "mcs": ServiceID.MCS,
    "mcs_bpt": ServiceID.MCS_BPT,
}
"""Energy services by the names used on the command line and in files."""


class ConfigError(ValueError):
    """A configuration that cannot be used: `where` is the file, `key` the dotted key, "" for the whole file."""

    def __init__(self, where: str, key: str, problem: str) -> None:
        super().__init__(f"{where}: {key}: {problem}" if key else f"{where}: {problem}")
        self.where = where
        self.key = key
        self.problem = problem


@dataclass(slots=True)
class VehicleConfig:
    """`hlc evcc --config`: the vehicle, its driver, and how its EVCC behaves."""

    mode: str = "dc"
    """One of MODES."""
    control: str | None = None
    """"scheduled" or "dynamic"; None: what the station prefers of what both can."""
    speed: float = 1.0
    """Simulated seconds per second."""
    timers: str = "strict"
    """"strict" or "relaxed"."""
    battery: Battery = field(default_factory=Battery)
    on_board_charger: OnBoardCharger = field(default_factory=OnBoardCharger)
    driver: Driver = field(default_factory=Driver)
    evcc: dict[str, Any] = field(default_factory=dict)
    """Fields of EVCCConfig."""

    def __post_init__(self) -> None:
        _one_of("mode", self.mode, MODES)
        if self.control is not None:
            _one_of("control", self.control, ("scheduled", "dynamic"))
        _one_of("timers", self.timers, ("strict", "relaxed"))
        _positive("speed", self.speed)

    @property
    def service(self) -> ServiceID:
        return MODES[self.mode]

    def session(self) -> EVCCConfig:
        """The EVCC's configuration that follows."""
        control: tuple[ControlMode, ...] = (ControlMode.DYNAMIC, ControlMode.SCHEDULED)
        if self.control is not None:
            control = (ControlMode[self.control.upper()],)
        values: dict[str, Any] = {
            "services": (ServiceWish(self.service, control=control),),
            "timers": _timers(self.timers),
            **self.evcc,
        }
        return EVCCConfig(**values)

    def vehicle(self) -> SimulatedVehicle:
        return SimulatedVehicle(
            dataclasses.replace(self.battery),
            self.on_board_charger,
            dataclasses.replace(self.driver, wishes=list(self.driver.wishes)),
            bidirectional=self.service.bidirectional,
            speed=self.speed,
        )


@dataclass(slots=True)
class StationConfig:
    """`hlc secc --config`: the outlet, the site behind it, and how its SECC behaves."""

    modes: tuple[str, ...] = ("dc",)
    """Energy services on offer, of MODES; ignored where `energy` lists parameter sets."""
    control: str | None = None
    """"scheduled" or "dynamic" to offer only that; None offers both [V2G20-2656]."""
    speed: float = 1.0
    """Simulated seconds per second."""
    timers: str = "strict"
    """"strict" or "relaxed"."""
    energy: tuple[EnergyMode, ...] = ()
    """Parameter sets one by one."""
    outlet: Outlet = field(default_factory=Outlet)
    site: Site = field(default_factory=Site)
    secc: dict[str, Any] = field(default_factory=dict)
    """Fields of SECCConfig."""

    def __post_init__(self) -> None:
        for mode in self.modes:
            _one_of("modes", mode, MODES)
        if self.control is not None:
            _one_of("control", self.control, ("scheduled", "dynamic"))
        _one_of("timers", self.timers, ("strict", "relaxed"))
        _positive("speed", self.speed)

    def session(self) -> SECCConfig:
        """The SECC's configuration that follows."""
        values: dict[str, Any] = {
            "energy": self.energy or self._energy(),
            "timers": _timers(self.timers),
            **self.secc,
        }
        return SECCConfig(**values)

    def charger(self, unix_offset: float = 0.0) -> SimulatedCharger:
        """A new outlet at the shared site; its hardware is a copy, so that sessions at the same time do not
        meet.
        """
        outlet = copy_tree(self.outlet)
        return SimulatedCharger(outlet, self.site, speed=self.speed, unix_offset=unix_offset)

    def _energy(self) -> tuple[EnergyMode, ...]:
        found: list[EnergyMode] = []
        for name in self.modes:
            service = MODES[name]
            phases = {"connector": self.outlet.ac_phases} if name.startswith("ac") else {}
            found += energy_modes(service, **phases)
        if self.control is None:
            return tuple(found)
        wanted = ControlMode[self.control.upper()]
        return tuple(mode for mode in found if mode.control is wanted)


def load(kind: type[T], path: Path) -> T:
    """A configuration of `kind` from a TOML file. ConfigError names file and key."""
    try:
        with path.open("rb") as file:
            data = tomllib.load(file)
    except OSError as error:
        raise ConfigError(str(path), "", error.strerror or str(error)) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), "", f"not TOML: {error}") from None
    return build(kind, data, where=str(path))


def build(kind: type[T], data: object, *, where: str, key: str = "") -> T:
    """An instance of the dataclass `kind` from plain data, every unknown key and wrong type refused."""
    if not isinstance(data, dict):
        raise ConfigError(where, key, f"a table is needed, not {_shown(data)}")
    hints = typing.get_type_hints(kind)
    known = {item.name: hints[item.name] for item in dataclasses.fields(kind) if item.init}  # type: ignore[arg-type]
    values = {}
    for name, value in data.items():
        path = f"{key}.{name}" if key else name
        if name not in known:
            raise ConfigError(where, path, _unknown(name, known))
        options = _SETTINGS.get((kind, name))
        if options is not None:
            values[name] = _settings(options, value, where, path)
        else:
            values[name] = _convert(known[name], value, where, path)
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        raise ConfigError(where, key, str(error)) from None


_SETTINGS: dict[tuple[type, str], type] = {
    (VehicleConfig, "evcc"): EVCCConfig,
    (StationConfig, "secc"): SECCConfig,
}
"""Tables whose keys are the fields of another dataclass, kept as a dict because only some are given."""


def _settings(kind: type, data: object, where: str, key: str) -> dict[str, Any]:
    """Those fields of `kind` that are given. Fields that hold code or objects cannot be."""
    if not isinstance(data, dict):
        raise ConfigError(where, key, f"a table is needed, not {_shown(data)}")
    hints = typing.get_type_hints(kind, localns=_SESSION_NAMES)
    known = {item.name: hints[item.name] for item in dataclasses.fields(kind) if _plain(hints[item.name])}
    values = {}
    for name, value in data.items():
        if name not in known:
            raise ConfigError(where, f"{key}.{name}", _unknown(name, known))
        values[name] = _convert(known[name], value, where, f"{key}.{name}")
    return values


_SESSION_NAMES: dict[str, Any] = {"common": common}
"""What the session's modules import for type checkers only."""


def _convert(hint: Any, value: object, where: str, key: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [kind for kind in arguments if kind is not type(None)]
        if len(kinds) == 1:
            return None if value is None else _convert(kinds[0], value, where, key)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return build(hint, value, where=where, key=key)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _member(hint, value, where, key)
    if origin in (tuple, list) and isinstance(value, list):
        if origin is list or arguments[-1:] == (Ellipsis,):
            items = [
                _convert(arguments[0], item, where, f"{key}[{index}]") for index, item in enumerate(value)
            ]
            return items if origin is list else tuple(items)
        if len(value) != len(arguments):
            raise ConfigError(where, key, f"{len(arguments)} values are needed, not {len(value)}")
        return tuple(
            _convert(kind, item, where, f"{key}[{index}]")
            for index, (kind, item) in enumerate(zip(arguments, value, strict=True))
        )
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        raise ConfigError(where, key, str(error).replace(" - at `$`", "")) from None


def _member(kind: type[enum.Enum], value: object, where: str, key: str) -> enum.Enum:
    """An enumeration's member by name or by value."""
    for member in kind:
        if value == member.value or (isinstance(value, str) and value.upper() == member.name.upper()):
            return member
    names = ", ".join(member.name for member in kind)
    raise ConfigError(where, key, f"{_shown(value)} is not one of {names}")


def _plain(hint: Any) -> bool:
    """Whether a value of this type can stand in a file."""
    if typing.get_origin(hint) in (tuple, typing.Union, types.UnionType, typing.Literal):
        return all(kind is Ellipsis or kind is type(None) or _plain(kind) for kind in typing.get_args(hint))
    if isinstance(hint, str):  # a member of a Literal
        return True
    return isinstance(hint, type) and (
        hint in (bool, int, float, str) or issubclass(hint, enum.Enum) or dataclasses.is_dataclass(hint)
    )


def _unknown(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    meant = f", did you mean {close[0]!r}?" if close else f" (known: {', '.join(sorted(known))})"
    return f"unknown key{meant}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _one_of(name: str, value: str, known: Mapping[str, object] | tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} is {value!r}, must be one of {', '.join(known)}")


def _positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} is {value}, must be greater than 0")


def _timers(name: str) -> Profile:
    return STRICT if name == "strict" else RELAXED


def copy_tree(value: T) -> T:
    """A dataclass with copies of the dataclasses it holds; everything else is shared."""
    changes = {
        item.name: copy_tree(inner)
        for item in dataclasses.fields(value)  # type: ignore[arg-type]
        if item.init
        and dataclasses.is_dataclass(inner := getattr(value, item.name))
        and not isinstance(inner, type)
    }
    return dataclasses.replace(value, **changes)  # type: ignore[type-var]


__all__ = ["MODES", "ConfigError", "StationConfig", "VehicleConfig", "build", "load"]
