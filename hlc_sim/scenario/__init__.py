"""Scenarios: a correct peer that is told to misbehave at one place, and a verdict on how a device bore it.

    scenario = library()["foreign-session-id-AuthorizationReq"]
    verdict = await run(scenario, SimulatedSECC())

A scenario is data (`Scenario`), from TOML (`load_file`) or written in Python. `Script` carries out its steps
as an `Intervention` on a link; nothing else in the peer is changed. What runs scenarios is imported when it
is used, so that the command line stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iso15118.lazy import exports

if TYPE_CHECKING:
    from .edit import FieldError
    from .files import library, load_file
    from .model import Do, Expect, Outcome, Result, Scenario, Step, Verdict
    from .runner import run
    from .script import Script
    from .targets import NetworkEVCC, NetworkSECC, NoTarget, SimulatedEVCC, SimulatedSECC, Target

__all__ = [
    "Do",
    "Expect",
    "FieldError",
    "NetworkEVCC",
    "NetworkSECC",
    "NoTarget",
    "Outcome",
    "Result",
    "Scenario",
    "Script",
    "SimulatedEVCC",
    "SimulatedSECC",
    "Step",
    "Target",
    "Verdict",
    "library",
    "load_file",
    "run",
]

_HOMES = {
    ".edit": ("FieldError",),
    ".files": ("library", "load_file"),
    ".model": ("Do", "Expect", "Outcome", "Result", "Scenario", "Step", "Verdict"),
    ".runner": ("run",),
    ".script": ("Script",),
    ".targets": ("NetworkEVCC", "NetworkSECC", "NoTarget", "SimulatedEVCC", "SimulatedSECC", "Target"),
}
"""The names by their modules, which are imported when a name is first used."""

__getattr__, __dir__ = exports(__name__, _HOMES)
