"""All cases of the suite."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import chain

from . import adopted, faults_secc, observed, procedures_evcc, procedures_secc, stimuli_evcc, stimuli_secc
from .model import Case


@cache
def suite() -> Mapping[str, Case]:
    """By id, in the order in which they are run: first what is undisturbed."""
    found: dict[str, Case] = {}
    for case in chain(
        observed.cases(),
        stimuli_secc.cases(),
        procedures_secc.procedure.cases,
        faults_secc.procedure.cases,
        stimuli_evcc.cases(),
        procedures_evcc.procedure.cases,
        adopted.cases(),
    ):
        if case.id in found:
            raise ValueError(f"there are two cases {case.id}")
        found[case.id] = case
    return found
