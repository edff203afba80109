"""Scenario files: a TOML table per scenario, its key is the name.

    ["session-id-zero"]
    title = "PowerDelivery under SessionID 0"
    plays = "EVCC"
    sound = "answers FAILED_UnknownSession and ends the session"
    steps = [{ at = "PowerDeliveryReq", do = "replace", set = { "header.session_id" = "0000000000000000" } }]
    expect = { outcome = "refuses", codes = ["FAILED_UnknownSession"] }

A table with `each = [...]` is a family: one scenario for each entry, "{each}" standing for it in every text.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from iso15118.session.events import Role

from ..config.reader import ConfigError, build
from ..config.station import StationConfig
from ..config.vehicle import VehicleConfig
from .model import Expect, Scenario, Step
from .physics import PhysicsSettings
from .settings import Layer, SDPSettings, SLACSettings, TLSSettings


@dataclass(slots=True)
class _Entry:
    """A scenario as it stands in a file."""

    title: str
    plays: Role
    sound: str
    expect: Expect
    steps: tuple[Step, ...] = ()
    origin: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    given: str = ""
    vehicle: VehicleConfig = field(default_factory=VehicleConfig)
    station: StationConfig = field(default_factory=StationConfig)
    sessions: int = 1
    layer: Layer = Layer.V2G
    physics: PhysicsSettings | None = None
    tls: TLSSettings | None = None
    sdp: SDPSettings | None = None
    slac: SLACSettings | None = None


def load_file(path: Path) -> dict[str, Scenario]:
    """The scenarios of a file by name. ConfigError names file and key."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(path), "", error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), "", f"not UTF-8: {error.reason} at byte {error.start}") from None
    return parse(text, str(path))


def parse(text: str, where: str) -> dict[str, Scenario]:
    """The scenarios in the text of a file called `where`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(where, "", f"not TOML: {error}") from None
    found: dict[str, Scenario] = {}
    for key, table in data.items():
        if not isinstance(table, dict):
            raise ConfigError(where, key, f"a scenario is a table, not {table!r}")
        for name, single in _members(key, table, where):
            if name in found:
                raise ConfigError(where, name, "there are two scenarios of this name")
            found[name] = _scenario(name, single, where)
    return found


def _members(key: str, table: dict[str, Any], where: str) -> list[tuple[str, dict[str, Any]]]:
    if "each" not in table:
        return [(key, table)]
    entries = table["each"]
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries) or not entries:
        raise ConfigError(where, f"{key}.each", "a list of texts is needed")
    if "{each}" not in key:
        raise ConfigError(where, key, "the name of a family must contain {each}")
    rest = {name: value for name, value in table.items() if name != "each"}
    return [(_spelt(key, entry), _put(rest, entry)) for entry in entries]


def _spelt(key: str, entry: str) -> str:
    return key.replace("{each}", entry.replace("(", "-").replace(")", ""))


def _put(value: Any, entry: str) -> Any:
    if isinstance(value, str):
        return value.replace("{each}", entry)
    if isinstance(value, list):
        return [_put(item, entry) for item in value]
    if isinstance(value, dict):
        return {_put(key, entry): _put(item, entry) for key, item in value.items()}
    return value


def _scenario(name: str, table: dict[str, Any], where: str) -> Scenario:
    for key in ("title", "plays", "sound", "expect"):
        if key not in table:
            raise ConfigError(where, f"{name}.{key}", "is missing")
    entry = build(_Entry, table, where=where, key=name)
    try:
        values = {item.name: getattr(entry, item.name) for item in dataclasses.fields(entry)}
        return Scenario(name=name, **values)
    except ValueError as error:
        raise ConfigError(where, name, str(error)) from None


@cache
def library_files() -> Mapping[str, Mapping[str, Scenario]]:
    """The scenarios that come with the package, by file (without its ending) and name."""
    return {
        entry.name.removesuffix(".toml"): parse(entry.read_text(encoding="utf-8"), entry.name)
        for entry in sorted(resources.files(__package__).joinpath("data").iterdir(), key=lambda e: e.name)
        if entry.name.endswith(".toml")
    }


@cache
def library() -> Mapping[str, Scenario]:
    """All of them by name."""
    found: dict[str, Scenario] = {}
    for file, scenarios in library_files().items():
        for name, scenario in scenarios.items():
            if name in found:
                raise ConfigError(f"{file}.toml", name, "there are two scenarios of this name")
            found[name] = scenario
    return found
