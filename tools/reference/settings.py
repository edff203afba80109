"""The page about configuration files, from the dataclasses that read them."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Any

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


def pages() -> Iterator[tuple[str, str]]:
    parts = [INTRODUCTION]
    for title, cls in (
        ("Station: `hlc secc --config`", StationConfig),
        ("Vehicle: `hlc evcc --config`", VehicleConfig),
    ):
        parts.append(f"## {title}")
        parts += [text for _, text in _sections(cls, "", set())]
    yield "configuration.md", "\n".join(parts)


def _sections(cls: type, prefix: str, done: set[type]) -> Iterator[tuple[str, str]]:
    """The table of a class, then those of the classes its fields hold."""
    hints = typing.get_type_hints(cls, localns={"common": common})
    notes = field_notes(cls)
    rows, inner = [], []
    for item in dataclasses.fields(cls):
        settings = item.metadata.get("settings")
        hint = settings or hints[item.name]
        if not item.init or not (settings or plain(hint) or _holds(hint)):
            continue
        path = f"{prefix}{item.name}"
        found = _holds(hint)
        if found and not _is_settable(found):
            continue
        if found:
            many = typing.get_origin(hint) in (tuple, list)
            shown = f"list of tables [[{path}]]" if many else f"table [{path}]"
            inner.append((path, found))
        else:
            shown = _kind(hint)
        note = "Settings of the session, below." if settings else notes.get(item.name, "")
        rows.append((f"`{item.name}`", shown, "" if found else _default(item), note))
    title = f"### [{prefix.rstrip('.')}]\n\n" if prefix else ""
    note = prose(cls.__doc__) if prefix and not (cls.__doc__ or "").startswith(cls.__name__ + "(") else ""
    yield prefix, f"{title}{note}\n\n{table(_HEAD, rows)}"
    for path, found in inner:
        yield from _sections(found, f"{path}.", done)


def _holds(hint: Any) -> type | None:
    """The dataclass that a field holds, alone or in a list."""
    for kind in (hint, *typing.get_args(hint)):
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            return kind
    return None


def _is_settable(cls: type) -> bool:
    """Whether nothing that it needs is code."""
    hints = typing.get_type_hints(cls, localns={"common": common})
    needed = [item for item in dataclasses.fields(cls) if _default(item) == "required"]
    return all(plain(hints[item.name]) for item in needed)


def _kind(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_kind(kind) for kind in arguments if kind is not type(None))
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        if arguments[-1:] == (Ellipsis,):
            return f"list of {_kind(arguments[0])}"
        return f"list of {len(arguments)}: {', '.join(map(_kind, arguments))}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return ", ".join(f"`{member.name}`" for member in hint)
    if dataclasses.is_dataclass(hint):
        return f"table of {', '.join(item.name for item in dataclasses.fields(hint))}"
    return {bool: "true, false", int: "integer", float: "number", str: "text"}.get(hint, str(hint))


def _default(item: dataclasses.Field[Any]) -> str:
    if item.default is not dataclasses.MISSING:
        value = item.default
    elif item.default_factory is not dataclasses.MISSING:
        value = item.default_factory()
    else:
        return "required"
    return "" if value is None else f"`{_shown(value)}`"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_shown, value))}]"
    return f'"{value}"' if isinstance(value, str) else f"{value}"
