"""Names and patterns by which cases are chosen."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


def matching(patterns: Sequence[str], known: Mapping[str, T], what: str) -> list[T]:
    """Those of `known` whose name fits one of `patterns`, in their order. ValueError names the pattern that
    fits none, and names like it.
    """
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in known):
            close = difflib.get_close_matches(pattern, known, n=3)
            hint = f", did you mean {' or '.join(close)}?" if close else ""
            raise ValueError(f"no {what} is called {pattern!r}{hint}")
    return [
        item
        for name, item in known.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    ]
