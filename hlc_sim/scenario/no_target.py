"""That there is no device to judge, and that the simulated one crashed."""

from __future__ import annotations

import traceback
from pathlib import Path

_OURS = {"iso15118", "hlc_sim", "pki"}


class NoTarget(Exception):
    """The device could not be reached; the text says why."""


class Unreached(NoTarget):
    """There was no connection to it at all: it is off or elsewhere. Nothing was learned of it."""


class Crashed(Exception):
    """A simulated device let an exception out; the text says which, and where it came from."""

    def __init__(self, error: BaseException) -> None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        super().__init__(f"it crashed with {type(error).__name__} in {origin(error)}: {error}")


def origin(error: BaseException) -> str:
    """The last line of ours that an exception came through: file, function, line."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _OURS & set(Path(frame.filename).parts)]
    last = (own or frames)[-1]
    file = Path(last.filename)
    return f"{file.parent.name}/{file.name} {last.name}, line {last.lineno}"
