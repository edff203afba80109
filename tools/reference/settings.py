"""The page about configuration files, from the dataclasses that read them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

from hlc_sim.config import StationConfig, VehicleConfig
from hlc_sim.config.keys import REQUIRED, in_words, keys_of

from .markdown import prose, table

_HEAD = ("Key", "Type", "Default", "")

INTRODUCTION = """# Configuration files

Generated from the classes that read them. A file has the keys below as TOML; every key may be left out but
those of a table that are required. Keys of a section stand in a table of its name: `[outlet.stage]`,
`[secc.dialect]`. A mistake is answered with the file and the key. `hlc secc --template` prints a file with
all keys of a station, `hlc evcc --template` one of a vehicle.
"""


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
    """The table of a class, then those of the classes its fields hold."""
    rows, inner = [], []
    for key in keys_of(cls, of_session=of_session):
        path = f"{prefix}{key.name}"
        default, note = _default(key.default), key.note
        if key.table is None:
            shown = in_words(key.hint, "`")
        else:
            shown, default = f"list of tables [[{path}]]" if key.many else f"table [{path}]", ""
            inner.append((path, key.table, key.of_session))
            if key.of_session and not of_session:
                note = "Settings of the session, below."
        rows.append((f"`{key.name}`", shown, default, note))
    title = f"### [{prefix.rstrip('.')}]\n\n" if prefix else ""
    note = prose(cls.__doc__) if prefix and not (cls.__doc__ or "").startswith(cls.__name__ + "(") else ""
    yield f"{title}{note}\n\n{table(_HEAD, rows)}"
    for path, found, session in inner:
        yield from _sections(found, f"{path}.", of_session=session)


def _default(value: object) -> str:
    if value is REQUIRED:
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
