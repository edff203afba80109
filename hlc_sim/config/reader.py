"""Reads TOML into dataclasses; every error names file and key."""

from __future__ import annotations

import dataclasses
import difflib
import enum
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class ConfigError(ValueError):
    """A configuration that cannot be used: `where` is the file, `key` the dotted key, "" for all of it."""

    def __init__(self, where: str, key: str, problem: str) -> None:
        super().__init__(f"{where}: {key}: {problem}" if key else f"{where}: {problem}")
        self.where = where
        self.key = key
        self.problem = problem


def load(kind: type[T], path: Path) -> T:
    """A configuration of `kind` from a TOML file. ConfigError names file and key."""
    try:
        with path.open("rb") as file:
            data = tomllib.load(file)
    except OSError as error:
        raise ConfigError(str(path), "", error.strerror or str(error)) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), "", f"not TOML: {error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), "", f"not TOML: byte {error.start} is no UTF-8") from None
    return build(kind, data, where=str(path))


def build(kind: type[T], data: object, *, where: str, key: str = "") -> T:
    """An instance of the dataclass `kind` from plain data, every unknown key and wrong type refused."""
    if not isinstance(data, dict):
        raise ConfigError(where, key, f"a table is needed, not {_shown(data)}")
    hints = typing.get_type_hints(kind)
    known = {item.name: hints[item.name] for item in dataclasses.fields(kind) if item.init}  # type: ignore[arg-type]
    settings = {item.name: item.metadata["settings"] for item in dataclasses.fields(kind) if item.metadata}  # type: ignore[arg-type]
    values = {}
    for name, value in data.items():
        path = f"{key}.{name}" if key else name
        if name not in known:
            raise ConfigError(where, path, _unknown(name, known))
        if name in settings:
            values[name] = _settings(settings[name], value, where, path)
        else:
            values[name] = _convert(known[name], value, where, path)
    for item in dataclasses.fields(kind):  # type: ignore[arg-type]
        if item.name in known and item.name not in values and _required(item):
            raise ConfigError(where, key, f"{item.name} is missing")
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        raise ConfigError(where, key, str(error)) from None


@contextmanager
def blaming(path: Path | None) -> Iterator[None]:
    """What a configuration turns out to be unfit for names its file, if it is from one."""
    try:
        yield
    except ValueError as error:
        if path is None or isinstance(error, ConfigError):
            raise
        raise ConfigError(str(path), "", str(error)) from None


def _required(item: dataclasses.Field[Any]) -> bool:
    return item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING


def _settings(kind: type, data: object, where: str, key: str) -> dict[str, Any]:
    """Those fields of `kind` that are given. Fields that hold code or objects cannot be."""
    from iso15118.messages import common  # what the sessions' modules import for type checkers only

    if not isinstance(data, dict):
        raise ConfigError(where, key, f"a table is needed, not {_shown(data)}")
    hints = typing.get_type_hints(kind, localns={"common": common})
    known = {item.name: hints[item.name] for item in dataclasses.fields(kind) if plain(hints[item.name])}
    values = {}
    for name, value in data.items():
        if name not in known:
            raise ConfigError(where, f"{key}.{name}", _unknown(name, known))
        values[name] = _convert(known[name], value, where, f"{key}.{name}")
    return values


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


def plain(hint: Any) -> bool:
    """Whether a value of this type can stand in a file."""
    if typing.get_origin(hint) in (tuple, typing.Union, types.UnionType, typing.Literal):
        return all(kind is Ellipsis or kind is type(None) or plain(kind) for kind in typing.get_args(hint))
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


def overlay(base: T, over: T) -> T:
    """`over`, with the values of `base` where it has the default of its class."""
    default = type(over)()
    values: dict[str, Any] = {}
    for item in dataclasses.fields(over):  # type: ignore[arg-type]
        below, above = getattr(base, item.name), getattr(over, item.name)
        if isinstance(above, dict):
            values[item.name] = {**below, **above}
        elif item.init:
            values[item.name] = below if above == getattr(default, item.name) else above
    return type(over)(**values)
