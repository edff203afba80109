"""The keys of configuration files, from the classes that read them: for template and reference."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import types
import typing
from collections.abc import Iterator
from enum import Enum
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from .reader import plain

REQUIRED = object()
"""The default of a key that has none."""


class Key(NamedTuple):
    """A key of a table."""

    name: str
    hint: Any
    default: Any
    note: str
    """What stands below the field in the source."""
    table: type | None
    """The class of the table, or of each of a list of tables, that the key holds."""
    many: bool
    """It holds a list of tables."""
    of_session: bool
    """The table has the settings of a session, given one by one: what it leaves out is not set."""


def keys_of(cls: type, *, of_session: bool = False) -> Iterator[Key]:
    """The keys of a table. A session's settings hold code, too, which no file can give: it is left out."""
    notes = field_notes(cls)
    for name, stated, default, settings in _fields(cls):
        hint = settings or stated
        table = next((kind for kind in (hint, *typing.get_args(hint)) if is_table(kind)), None)
        if of_session and not (plain(hint) and (table is None or _can_be_given(table))):
            continue
        many = table is not None and typing.get_origin(hint) in (tuple, list)
        yield Key(name, hint, default, notes.get(name, ""), table, many, of_session or settings is not None)


def _fields(cls: type) -> Iterator[tuple[str, Any, Any, type | None]]:
    from iso15118.messages import common  # what the sessions' modules import for type checkers only

    hints = typing.get_type_hints(cls, localns={"common": common})
    if issubclass(cls, msgspec.Struct):
        for item in msgspec.structs.fields(cls):
            yield item.name, hints[item.name], _default(item.default, item.default_factory), None
        return
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if field.init:
            default = _default(field.default, field.default_factory)
            yield field.name, hints[field.name], default, field.metadata.get("settings")


def _default(value: object, factory: Any) -> Any:
    missing = (dataclasses.MISSING, msgspec.NODEFAULT)
    if value not in missing:
        return value
    return REQUIRED if factory in missing else factory()


def _can_be_given(cls: type) -> bool:
    """Whether nothing that it needs is code."""
    return all(plain(hint) for _, hint, default, _ in _fields(cls) if default is REQUIRED)


def is_table(kind: Any) -> bool:
    """Whether a type is a class that stands as a table in a file."""
    return isinstance(kind, type) and (dataclasses.is_dataclass(kind) or issubclass(kind, msgspec.Struct))


def in_words(hint: Any, quote: str = "") -> str:
    """A type for people; `quote` stands around what is to be written as it is."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(in_words(kind, quote) for kind in arguments if kind is not type(None))
    if origin is typing.Literal:
        return ", ".join(f"{quote}{value}{quote}" for value in arguments)
    if origin in (tuple, list):
        if origin is list or arguments[-1:] == (Ellipsis,):
            return f"list of {in_words(arguments[0], quote)}"
        return f"list of {len(arguments)}: {', '.join(in_words(kind, quote) for kind in arguments)}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return ", ".join(f"{quote}{member.name}{quote}" for member in hint)
    if is_table(hint):
        keys = ", ".join(f"{key.name} ({in_words(key.hint, quote)})" for key in keys_of(hint))
        return f"table of {keys}"
    return {bool: "true, false", int: "integer", float: "number", str: "text"}.get(hint, str(hint))


@cache
def field_notes(cls: type) -> dict[str, str]:
    """The string after each field or member in the source of a class, its bases' included."""
    notes: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__ == "builtins" or not hasattr(base, "__annotations__"):
            continue
        try:
            tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(base)))
        except (OSError, TypeError, IndentationError):
            continue
        (definition,) = tree.body
        body = definition.body if isinstance(definition, ast.ClassDef) else []
        for field, after in pairwise(body):
            targets = field.targets if isinstance(field, ast.Assign) else [getattr(field, "target", None)]
            text = after.value if isinstance(after, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                note = inspect.cleandoc(text.value)
                notes.update({item.id: note for item in targets if isinstance(item, ast.Name)})
    return notes
