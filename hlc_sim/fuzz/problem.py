"""What a device did wrong, and the guard that turns crashes and hangs into it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ..scenario.no_target import origin

SECONDS = 5
"""s of real time after which a case counts as hanging."""


class Problem(NamedTuple):
    """What a device did wrong. `key` is the same for the same defect; `text` says it."""

    kind: str
    key: str
    text: str


class Hang(Exception):
    """No end within the time given."""


def guarded(name: str, run: Callable[[], list[Problem]], seconds: float = SECONDS) -> list[Problem]:
    """What `run` finds; an exception or no end in `seconds` is a finding too. `name`: of the device."""
    try:
        with watchdog(seconds):
            return run()
    except Hang:
        return [Problem("hang", f"hang/{name}", f"no end within {seconds:g} s")]
    except Exception as error:
        return [crash(error)]


@contextmanager
def watchdog(seconds: float) -> Iterator[None]:
    """Raise Hang in the body after `seconds` of real time; outside of the main thread, never."""

    def ring(*_: object) -> None:
        raise Hang

    try:
        before = signal.signal(signal.SIGALRM, ring)
    except ValueError:  # not in the main thread
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def crash(error: BaseException) -> Problem:
    """An exception that should not have come out, by its type and the last line of ours."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    where = origin(error)
    text = f"{type(error).__name__}: {error}"[:300]
    return Problem("crash", f"crash/{type(error).__name__}/{where}", f"{text} at {where}")
