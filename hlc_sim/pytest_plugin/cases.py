"""Conformance cases as tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from iso15118.session.events import Role

from ..cli.patterns import matching
from ..conformance import Case, Result, Shelf, run_case, suite
from .verdict import Inconclusive, Unexpected

if TYPE_CHECKING:
    from ..scenario.targets import Target
    from .evidence import Evidence
    from .options import Chosen


def conformance_cases(*patterns: str, thorough: bool = False) -> list[Any]:
    """The cases whose ids match one of `patterns`, as parameters of a test with their ids and requirements;
    with `thorough` also those that repeat a class of stimulus. ValueError names a pattern
    that matches none.

        @pytest.mark.parametrize("case", conformance_cases("SECC.silence.*"))
        def test_silence(case, conformance):
            conformance(case)
    """
    if not patterns:
        raise ValueError("conformance_cases needs ids or patterns, as 'SECC.silence.*'")
    known = {case.id: case for case in suite().values() if thorough or not case.thorough}
    return [
        pytest.param(case, id=case.id, marks=pytest.mark.requirement(*case.requirements))
        for case in matching(patterns, known, "conformance case")
    ]


def play(
    case: Case, chosen: Chosen, target: Callable[[Role], Target], evidence: Evidence, shelf: Shelf
) -> None:
    """Judge the device by a case. A known failure is xfail; not applicable is skipped, as is Inconclusive."""
    import trio
    from trio.testing import MockClock

    device = chosen.devices[case.tests]
    clock = MockClock(autojump_threshold=0) if device.simulated else None
    assert chosen.capabilities is not None
    ours = chosen.ours.in_any_service()
    result = trio.run(run_case, case, chosen.capabilities, target, shelf, ours, clock=clock)
    evidence.sources.append(lambda: result.log)
    reasons = "; ".join(result.reasons)
    match result.result:
        case Result.FAIL:
            raise Unexpected("\n".join(result.reasons))
        case Result.KNOWN:
            pytest.xfail(reasons)
        case Result.NOT_APPLICABLE:
            pytest.skip(f"not applicable: {reasons}")
        case Result.INCONCLUSIVE:
            raise Inconclusive(reasons)
