"""The page about configuration files, from the dataclasses that read them."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from hlc_sim.config import StationConfig, VehicleConfig
from hlc_sim.config.reader import plain
from iso15118.messages import common

from .markdown import field_notes, prose, table

_HEAD = ("Key", "Type", "Default", "")

INTRODUCTION = """# Configuration files

Generated from the classes that read them. A file has the keys below as TOML; every key may be left out but
those of a table that are required. Keys of a section stand in a table of its name: `[outlet.stage]`,
`[secc.dialect]`. A mistake is answered with the file and the key.
"""


class _Field(NamedTuple):
    """A key of a table."""

    name: str
    hint: Any
    default: str
    settings: type | None = None
    """The class whose fields the table may set, one by one."""


def pages() -> Iterator[tuple[str, str]]:
    parts = [INTRODUCTION]
    for title, cls in (
        ("Station: `hlc secc --config`", StationConfig),
        ("Vehicle: `hlc evcc --config`", VehicleConfig),
    ):
        parts.append(f"## {title}")
        parts += _sections(cls, "")
    yield "configuration.md", "\n".join(parts)


def _sections(cls: type, prefix: str, *, of_session: bool = False) -> Iterator[str]:
    """The table of a class, then those of the classes its fields hold. A session's settings hold code, too,
    which no file can give.
    """
    notes = field_notes(cls)
    rows, inner = [], []
    for item in _fields(cls):
        hint = item.settings or item.hint
        found = _holds(hint)
        if of_session and not (plain(hint) and (found is None or _is_settable(found))):
            continue
        path = f"{prefix}{item.name}"
        if found:
            many = typing.get_origin(hint) in (tuple, list)
            shown = f"list of tables [[{path}]]" if many else f"table [{path}]"
            inner.append((path, found, of_session or item.settings is not None))
        else:
            shown = _kind(hint)
        note = "Settings of the session, below." if item.settings else notes.get(item.name, "")
        rows.append((f"`{item.name}`", shown, "" if found else item.default, note))
    title = f"### [{prefix.rstrip('.')}]\n\n" if prefix else ""
    note = prose(cls.__doc__) if prefix and not (cls.__doc__ or "").startswith(cls.__name__ + "(") else ""
    yield f"{title}{note}\n\n{table(_HEAD, rows)}"
    for path, found, session in inner:
        yield from _sections(found, f"{path}.", of_session=session)


def _fields(cls: type) -> Iterator[_Field]:
    hints = typing.get_type_hints(cls, localns={"common": common})
    if issubclass(cls, msgspec.Struct):
        for item in msgspec.structs.fields(cls):
            yield _Field(item.name, hints[item.name], _default(item.default, item.default_factory))
        return
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if field.init:
            default = _default(field.default, field.default_factory)
            yield _Field(field.name, hints[field.name], default, field.metadata.get("settings"))


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and (dataclasses.is_dataclass(kind) or issubclass(kind, msgspec.Struct))


def _holds(hint: Any) -> type | None:
    """The class of a table that a field holds, alone or in a list."""
    return next((kind for kind in (hint, *typing.get_args(hint)) if _is_table(kind)), None)


def _is_settable(cls: type) -> bool:
    """Whether nothing that it needs is code."""
    return all(plain(item.hint) for item in _fields(cls) if item.default == "required")


def _kind(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_kind(kind) for kind in arguments if kind is not type(None))
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (tuple, list):
        if origin is list or arguments[-1:] == (Ellipsis,):
            return f"list of {_kind(arguments[0])}"
        return f"list of {len(arguments)}: {', '.join(map(_kind, arguments))}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return ", ".join(f"`{member.name}`" for member in hint)
    if _is_table(hint):
        return f"table of {', '.join(f'{item.name} ({_kind(item.hint)})' for item in _fields(hint))}"
    return {bool: "true, false", int: "integer", float: "number", str: "text"}.get(hint, str(hint))


def _default(value: object, factory: Any) -> str:
    missing = (dataclasses.MISSING, msgspec.NODEFAULT)
    if value in missing:
        if factory in missing:
            return "required"
        value = factory()
    return "" if value is None else f"`{_shown(value)}`"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_shown, value))}]"
    return f'"{value}"' if isinstance(value, str) else f"{value}"
