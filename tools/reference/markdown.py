"""The little Markdown that generated pages need, and what stands beside a field in the source."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable
from functools import cache
from itertools import pairwise


def table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """A table; cells are escaped but for backticks and links."""
    lines = [_row(head), _row("---" for _ in head), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(_cell(str(cell)) for cell in cells) + " |"


def _cell(text: str) -> str:
    text = " ".join(text.split()).replace("|", "\\|")
    parts = text.split("`")  # what stands between backticks is shown as it is
    return "`".join(part if index % 2 else part.replace("<", "&lt;") for index, part in enumerate(parts))


def prose(docstring: str | None) -> str:
    return inspect.cleandoc(docstring or "")


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
                notes.update({item.id: prose(text.value) for item in targets if isinstance(item, ast.Name)})
    return notes
