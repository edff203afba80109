"""The little Markdown that generated pages need."""

from __future__ import annotations

import inspect
from collections.abc import Iterable


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
