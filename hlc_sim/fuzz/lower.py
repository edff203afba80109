"""What scenarios below the messages found on a device, and a named device on which they are played."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from ..scenario.model import Result, Scenario, Verdict
from ..scenario.no_target import NoTarget
from ..scenario.runner import run as play
from ..scenario.targets import Target
from .problem import Problem

_BETWEEN = 1.0
"""s between two attempts to reach a device that is gone."""
_KINDS = {
    "it crashed": "crash",
    "the next": "no recovery",
    "there was no next": "no recovery",
    "whether it takes": "no recovery",
    "the device had not come to rest": "hang",
    "no answer": "no answer",
}
"""What a reason of a verdict begins with."""


def problems_of(scenario: Scenario, verdict: Verdict) -> list[Problem]:
    """The reasons of a verdict; none if it is pass. Numbers and what follows a colon change from case to
    case, and are not in the key.
    """
    if verdict.result is Result.PASS:
        return []
    found = []
    for reason in verdict.reasons:
        kind = next((kind for words, kind in _KINDS.items() if reason.startswith(words)), "wrong answer")
        stem = re.sub(r"\d+(\.\d+)?", "N", reason.partition(": ")[0])
        found.append(Problem(kind, f"{scenario.layer.value}/{stem}", reason[:400]))
    return found


@dataclass
class Named:
    """Plays scenarios on a device, at most `rate` sessions per s. NoTarget: it is gone, or never was."""

    target: Target
    rate: float = 1.0
    recovery: float = 60.0
    """s that a device may take until it serves again."""
    sessions: int = 1
    """Sessions of a scenario."""
    clock: Callable[[], trio.abc.Clock | None] = lambda: None
    passed: int = field(default=0, init=False)
    """Cases that did not come about."""
    lost: str = field(default="", init=False)
    """Why the device is given up."""
    _reached: bool = field(default=False, init=False)
    _last: float = field(default=0.0, init=False)

    def __call__(self, scenario: Scenario, harmless: Scenario) -> list[Problem]:
        """What the scenario finds; the harmless one says whether the device is there, and came back."""
        if self.lost:
            raise NoTarget(self.lost)
        if not self._reached:
            verdict = self._play(harmless)
            if verdict.result is not Result.PASS:
                raise NoTarget("; ".join(verdict.reasons))
            self._reached = True
        verdict = self._play(scenario)
        if verdict.result is Result.PASS:
            return []
        found = problems_of(scenario, verdict) if verdict.result is Result.FAIL else []
        return [*found, *self._recovered(scenario, harmless, bool(found))]

    def _recovered(self, scenario: Scenario, harmless: Scenario, found: bool) -> list[Problem]:
        """Plays the harmless one until the device bears it, or had its time."""
        started, tries, layer = time.monotonic(), 1, scenario.layer.value
        while (verdict := self._play(harmless)).result is not Result.PASS:
            if time.monotonic() - started > self.recovery or self.clock() is not None:
                why = "; ".join(verdict.reasons)[:300]
                self.lost = f"the device does not come back after a case of {scenario.title}: {why}"
                return [Problem("no recovery", f"{layer}/no recovery", self.lost)]
            time.sleep(_BETWEEN)
            tries += 1
        if tries > 1:
            text = f"it was away for {time.monotonic() - started:.0f} s after a case of {scenario.title}"
            return [Problem("recovery", f"{layer}/recovery", text)]
        self.passed += not found
        return []

    def _play(self, scenario: Scenario) -> Verdict:
        time.sleep(max(0.0, self._last + self.sessions / self.rate - time.monotonic()))
        self._last = time.monotonic()
        return trio.run(play, scenario, self.target, clock=self.clock())
