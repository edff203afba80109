"""The conformance suite, in-process, against a planted defect."""

from __future__ import annotations

import fnmatch
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import trio
from trio.testing import MockClock

from hlc_sim.conformance import Case, CaseResult, Group, Result, Shelf, of_simulator, run_case, suite
from hlc_sim.fuzz.problem import Hang, watchdog
from hlc_sim.scenario import SimulatedEVCC, SimulatedSECC, Target
from iso15118.session.events import Role

from .fuzzing import Found
from .model import Kind, Mutant

SECONDS = 30
"""s of real time after which a case counts as hanging; a sound one takes a tenth of one."""

_NEAR: dict[Kind, tuple[Group, ...]] = {
    Kind.CHECK: (Group.SESSION_ID, Group.PNC, Group.SERVICES, Group.PAUSE, Group.VALUES),
    Kind.CODE: (Group.CODES, Group.SERVICES, Group.SESSION_ID),
    Kind.TIMER: (Group.SILENCE, Group.SEQUENCE),
    Kind.STATE: (Group.PAUSE, Group.SEQUENCE, Group.RENEGOTIATION, Group.FIELDS),
    Kind.FIELD: (Group.VALUES, Group.SERVICES, Group.FIELDS),
    Kind.RESPONSE: (Group.FIELDS, Group.VALUES, Group.SERVICES),
    Kind.REQUEST: (Group.FIELDS, Group.VALUES, Group.SERVICES),
    Kind.CRASH: (Group.VALUES, Group.FRAMES, Group.SERVICES, Group.CODES),
    Kind.GROWTH: (Group.FRAMES,),
    Kind.LEAK: (Group.SESSION_ID, Group.FIELDS),
    Kind.RANDOMNESS: (Group.SESSION_ID, Group.PNC, Group.SLAC),
    Kind.FRAMING: (Group.FIELDS,),
    Kind.TRUST: (Group.PNC, Group.TLS),
    Kind.DISCOVERY: (Group.SDP,),
    Kind.MATCHING: (Group.SLAC,),
}
"""Where a defect of a kind is looked for first."""
_BESIDE = (Group.TLS, Group.SDP, Group.SLAC)
"""Not about messages: looked into only for what is near."""


def cases_for(mutant: Mutant, pattern: str = "*") -> list[Case]:
    """What `hlc conformance` runs against a side unless asked for more, of those with such an id: what is
    near the defect first, and without what cannot see it.
    """
    near = _NEAR[mutant.kind]
    chosen = [
        case
        for case in suite().values()
        if case.tests is mutant.role
        and not case.thorough
        and (case.group in near or case.group not in _BESIDE)
        and fnmatch.fnmatchcase(case.id, pattern)
    ]
    return sorted(chosen, key=lambda case: near.index(case.group) if case.group in near else len(near))


def conform(mutant: Mutant, cases: list[Case] | None = None) -> Found | None:
    """The first case that fails, and passes without the defect."""
    started = time.perf_counter()
    chosen = cases_for(mutant) if cases is None else cases
    number = 0
    while number < len(chosen):
        with mutant.patch(), _quiet():
            shelf = Shelf()
            while number < len(chosen):
                number += 1
                if verdict := _verdict(chosen[number - 1], shelf):
                    break
            else:
                return None
        if not _verdict(chosen[number - 1], Shelf()):
            return Found(f"{chosen[number - 1].id}{verdict}", number, time.perf_counter() - started)
    return None


def _verdict(case: Case, shelf: Shelf) -> str:
    """Empty if the case does not fail; else what is to be said beside its id."""
    try:
        with watchdog(SECONDS):
            result = play(case, shelf)
    except Hang:
        return " (hang)"
    except BaseExceptionGroup as group:
        if isinstance(group, ExceptionGroup):
            return " (crash)"
        raise
    except Exception:
        return " (crash)"
    return " " if result.result is Result.FAIL else ""


def play(case: Case, shelf: Shelf) -> CaseResult:
    """One case against our own side, in virtual time."""
    clock = MockClock(autojump_threshold=0)
    return trio.run(run_case, case, of_simulator(), device, shelf, clock=clock)


def device(role: Role) -> Target:
    return SimulatedSECC() if role is Role.SECC else SimulatedEVCC()


@contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
