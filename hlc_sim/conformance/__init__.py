"""Conformance: named cases with verdicts, each a stimulus or an observation and the requirements it judges.

    for case in suite().values():
        result = await run_case(case, capabilities, lambda role: SimulatedSECC())

Cases are generated from the sequence table, the timer table, the judge's rules and the message classes, or
written by hand; a capability file says what the device supports. ISO's own test suites are not part of this:
the cases are ours, and passing them is not conformity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iso15118.lazy import exports

if TYPE_CHECKING:
    from .bench import Bench, Shelf
    from .capabilities import Capabilities, of_simulator
    from .catalogue import suite
    from .model import Case, CaseResult, Failed, Group, Inconclusive, Observation, Result
    from .runner import run_case

__all__ = [
    "Bench",
    "Capabilities",
    "Case",
    "CaseResult",
    "Failed",
    "Group",
    "Inconclusive",
    "Observation",
    "Result",
    "Shelf",
    "of_simulator",
    "run_case",
    "suite",
]

_HOMES = {
    ".bench": ("Bench", "Shelf"),
    ".capabilities": ("Capabilities", "of_simulator"),
    ".catalogue": ("suite",),
    ".model": ("Case", "CaseResult", "Failed", "Group", "Inconclusive", "Observation", "Result"),
    ".runner": ("run_case",),
}
"""The names by their modules, which are imported when a name is first used."""

__getattr__, __dir__ = exports(__name__, _HOMES)
