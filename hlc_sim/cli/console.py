"""Where tables are printed."""

from __future__ import annotations

import os

from rich.console import Console

_WIDTH_OF_A_FILE = 132
"""Columns of a table that goes into a file or a pipe: at a terminal's usual 80, names of messages break."""


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, or wide enough for a file."""
    made = Console(stderr=stderr)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = _WIDTH_OF_A_FILE
    return made
