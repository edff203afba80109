"""A run against a device that is not there says nothing about the device, so it stops.

A device that is reached once and then no longer may be starting again: it is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

PATIENCE = 60.0
"""s that a device may take to come back."""
PAUSE = 3.0
"""s between two attempts to reach it."""


class Gone(ConnectionError):
    """The device cannot be reached; the text says why."""


class Played(Protocol):
    """The result of a case or a scenario."""

    reasons: list[str]
    unreached: bool


T = TypeVar("T", bound=Played)


class Presence:
    """Plays one case after the other at a device as long as it is there."""

    def __init__(self, tell: Callable[[str], None], sleep: Callable[[float], None] = time.sleep) -> None:
        self._tell = tell
        self._sleep = sleep
        self._met = False

    def play(self, once: Callable[[], T]) -> T:
        """What `once` returns, played again while the device comes back. Gone: it was never there, or it
        stayed away for PATIENCE.
        """
        made = once()
        waited = 0.0
        while made.unreached:
            why = "; ".join(made.reasons)
            if not self._met:
                raise Gone(f"nothing was played: {why}")
            if waited >= PATIENCE:
                raise Gone(f"it did not come back within {waited:.0f} s: {why}")
            if not waited:
                self._tell(f"{why}; waiting up to {PATIENCE:.0f} s for it to come back")
            self._sleep(PAUSE)
            waited += PAUSE
            made = once()
        self._met = True
        return made
