"""Time: the session clock of the drivers, and simulated seconds for the physical models."""

from __future__ import annotations

import time

import trio


def unix_offset() -> float:
    """Unix time minus trio's clock, so that a session can put Unix time into headers while its clock never
    goes back.
    """
    return time.time() - trio.current_time()


class Ticker:
    """Turns the session's clock (s) into simulated seconds since the last call; `speed` 60 makes a minute of
    a second.
    """

    __slots__ = ("_last", "elapsed", "speed")

    def __init__(self, speed: float = 1.0) -> None:
        if not speed > 0:
            raise ValueError(f"speed is {speed}, must be greater than 0")
        self.speed = speed
        self.elapsed = 0.0
        """Simulated seconds since the first call."""
        self._last: float | None = None

    def step(self, now: float) -> float:
        """Simulated seconds since the previous call; 0 at the first."""
        passed = 0.0 if self._last is None else max(0.0, now - self._last) * self.speed
        self._last = now
        self.elapsed += passed
        return passed
