"""The in-process fuzzer against a planted defect."""

from __future__ import annotations

import importlib
import pkgutil
import time
from typing import NamedTuple

import hlc_sim.fuzz
from hlc_sim.fuzz import inprocess
from hlc_sim.fuzz.cases import case
from hlc_sim.fuzz.walks import PROFILES, walk

from .model import Mutant

SEED = 1
CASES = 10_000
"""Cases in which a defect that a fuzzer can see must be found."""


class Found(NamedTuple):
    """How a suite found a defect."""

    by: str
    """Key of the finding, or id of the case."""
    cases: int
    """Run until then, this one included."""
    seconds: float


def fuzz(mutant: Mutant, cases: int = CASES, seed: int = SEED) -> Found | None:
    """The first finding that our own code does not give, if there is one within so many cases."""
    started = time.perf_counter()
    for profile in PROFILES:
        walk(profile)  # the cases follow from sound sessions, whatever is planted
    number = 0
    while number < cases:
        keys: set[str] = set()
        with mutant.patch():
            _forget()
            while number < cases and not keys:
                keys = {problem.key for problem in inprocess.execute(case(mutant.role, seed, number))}
                number += 1
        _forget()
        if keys:
            keys -= {problem.key for problem in inprocess.execute(case(mutant.role, seed, number - 1))}
        if keys:
            return Found(min(keys), number, time.perf_counter() - started)
    return None


def _forget() -> None:
    """Sessions that the fuzzer keeps to fork from: they were played by other code."""
    for module in pkgutil.iter_modules(hlc_sim.fuzz.__path__):
        if module.name != "walks":
            for value in vars(importlib.import_module(f"hlc_sim.fuzz.{module.name}")).values():
                if hasattr(value, "cache_clear") and value is not walk:
                    value.cache_clear()
