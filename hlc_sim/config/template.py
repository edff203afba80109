"""A configuration file with every key, made from the classes that read it."""

from __future__ import annotations

import dataclasses
import json
import math
import textwrap
from collections.abc import Iterator
from enum import Enum
from typing import Any, Literal, get_origin

import msgspec

from .keys import REQUIRED, Key, in_words, keys_of

_WIDTH = 100


def text(cls: type, command: str) -> str:
    """TOML that sets nothing: each key stands behind a # with its default, below what it means. It loads, and
    is what no file at all is.
    """
    head = f"What `{command} --config` reads, with the defaults: take away the # of what is to be another."
    return "\n".join([*_prose(head), *_section(cls, cls(), "", of_session=False)]) + "\n"


def _section(cls: type, holder: Any, prefix: str, *, of_session: bool) -> Iterator[str]:
    """The lines of a table: its keys, then the tables in it. `holder` has the defaults of this place."""
    inner = []
    for key in keys_of(cls, of_session=of_session):
        if key.table is not None:
            inner.append(key)
            continue
        default = getattr(holder, key.name, key.default)
        yield from _prose(key.note)
        line, remark = f"#{key.name} = {_value(default)}", _remark(key, default)
        if len(line + remark) > _WIDTH:
            yield from _prose(remark)
            remark = ""
        yield f"{line}  # {remark}" if remark else line
    for key in inner:
        assert key.table is not None
        path = f"{prefix}{key.name}"
        default = getattr(holder, key.name, key.default)
        yield ""
        yield from _prose(key.note)
        yield f"#[[{path}]]" if key.many else f"[{path}]" if _may_be_empty(key, default) else f"#[{path}]"
        within = default if isinstance(default, key.table) else None
        yield from _section(key.table, within, f"{path}.", of_session=key.of_session)


def _may_be_empty(key: Key, default: Any) -> bool:
    """Whether the table may stand there without a key and change nothing."""
    assert key.table is not None
    if key.of_session and isinstance(default, dict):
        return True
    needs = any(inner.default is REQUIRED for inner in keys_of(key.table))
    return isinstance(default, key.table) and not needs


def _prose(note: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(note.split()), _WIDTH)]


def _remark(key: Key, default: Any) -> str:
    """What can stand there, where the default does not show it."""
    hint = key.hint
    closed = get_origin(hint) is Literal or (isinstance(hint, type) and issubclass(hint, Enum))
    return in_words(hint) if closed or default in (REQUIRED, None, (), []) else ""


def _value(value: Any) -> str:
    """As TOML; empty where there is no value to show."""
    if value is None or value is REQUIRED:
        return ""
    if isinstance(value, Enum):
        return json.dumps(value.name)
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if dataclasses.is_dataclass(value) or isinstance(value, msgspec.Struct):
        raise TypeError(f"{value!r} needs a table")
    return json.dumps(value)
