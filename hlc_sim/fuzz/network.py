"""Runs cases on one named device: each is a scenario, and a session that must succeed follows a finding."""

from __future__ import annotations

import time
from collections.abc import Callable

import trio

from ..scenario.model import Result
from ..scenario.runner import run
from ..scenario.targets import Target
from .cases import Case
from .inprocess import Problem
from .saved import as_scenario, place


def on_device(target: Callable[[], Target], rate: float) -> Callable[[Case], list[Problem]]:
    """What runs a case on a device, at most `rate` cases per s."""
    last = 0.0

    def execute(case: Case) -> list[Problem]:
        nonlocal last
        time.sleep(max(0.0, last + 1 / rate - time.monotonic()))
        last = time.monotonic()
        name, _ = place(case)
        verdict = trio.run(run, as_scenario("fuzz-case", case), target())
        if verdict.result is not Result.FAIL:
            return []
        return [Problem("device", f"device/{name}/{_general(reason)}", reason) for reason in verdict.reasons]

    return execute


def _general(reason: str) -> str:
    """Without numbers, which differ from case to case."""
    return "".join("#" if character.isdigit() else character for character in reason)[:120]
