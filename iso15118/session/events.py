"""Deviations: what a peer (or this side) did that the standard does not foresee, as data.

A deviation is an event, not log text: it is collected in the session's result and can be asserted in a
test. Requirement ids are the number only, as in "V2G20-460"; None where no public source gives one.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct


class Severity(StrEnum):
    """ERROR breaks a rule that may end the session, PERFORMANCE a time that nobody may abort on, NOTE is a
    form that the public stacks disagree on, or one that was tolerated.
    """

    ERROR = "error"
    PERFORMANCE = "performance"
    NOTE = "note"


class Role(StrEnum):
    """A side of the session."""

    EVCC = "EVCC"
    SECC = "SECC"

    @property
    def other(self) -> Role:
        return Role.SECC if self is Role.EVCC else Role.EVCC


class Deviation(Struct, frozen=True):
    """`offender` deviated; `frame` counts the session's V2GTP frames both ways from 1, 0 before any."""

    severity: Severity
    text: str
    expected: str
    offender: Role
    message: str | None = None
    frame: int = 0
    requirement: str | None = None
    time: float = 0.0

    def __str__(self) -> str:
        where = f"frame {self.frame}" + (f" {self.message}" if self.message else "")
        rule = f" [{self.requirement}]" if self.requirement else ""
        return f"{self.severity}: {where}: {self.text}; expected {self.expected}{rule}"


class Deviations:
    """Collects deviations; counts repeats of the same one instead of keeping them all, so memory stays
    bounded.
    """

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._kept: list[Deviation] = []
        self._counts: dict[tuple[object, ...], int] = {}

    def add(self, deviation: Deviation) -> None:
        key = _sort(deviation)
        seen = self._counts.get(key, 0)
        if not seen and len(self._counts) >= self._limit:
            return
        self._counts[key] = seen + 1
        if not seen:
            self._kept.append(deviation)

    def count(self, deviation: Deviation) -> int:
        """How often this deviation (same rule, message and expectation) was seen."""
        return self._counts.get(_sort(deviation), 0)

    def of(self, severity: Severity) -> list[Deviation]:
        return [deviation for deviation in self._kept if deviation.severity is severity]

    def __iter__(self) -> Iterator[Deviation]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __bool__(self) -> bool:
        return bool(self._kept)

    def __getitem__(self, index: int) -> Deviation:
        return self._kept[index]


def _sort(deviation: Deviation) -> tuple[object, ...]:
    """What makes two deviations the same to a reader."""
    return (
        deviation.requirement,
        deviation.severity,
        deviation.message,
        deviation.expected,
        deviation.offender,
    )
