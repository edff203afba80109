"""Scenarios and conformance cases judge a stack that is not ours: verdicts on Josev that are right.

`python -m tools.against_josev` runs all of them; docs/interop-josev.md says what it found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.against_josev.bench import Bench

from .conftest import skip_if_unavailable
from .lab import cable, check_machine, josev_python

pytestmark = pytest.mark.interop


def bench(side: str, number: int, folder: Path) -> Iterator[Bench]:
    with skip_if_unavailable():
        check_machine()
        python = josev_python()
        with cable(number) as made:
            opened = Bench(made, python, folder / side, side)
            try:
                yield opened
            finally:
                opened.close()


@pytest.fixture(scope="module")
def josev_secc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    yield from bench("secc", 1, tmp_path_factory.mktemp("against"))


@pytest.fixture(scope="module")
def josev_evcc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    yield from bench("evcc", 2, tmp_path_factory.mktemp("against"))


def check(bench: Bench, case: str, reason: str) -> None:
    """The case passes, or fails for this reason among others."""
    done = bench.play(case)
    story = json.dumps(done, indent=1)
    assert done["result"] == ("fail" if reason else "pass"), story
    assert not reason or any(reason in given for given in done["reasons"]), story


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("SECC.fields.dc-dynamic.whole", ""),
        ("SECC.fields.dc-dynamic.DC_ChargeLoopRes.form", ""),
        ("SECC.sequence.ServiceDiscoveryReq.SessionSetupReq", ""),
        ("SECC.session-id.AuthorizationReq.foreign", ""),
        ("foreign-session-id-ServiceSelectionReq", ""),
        ("v2gtp-version-02", ""),
        # It refuses with a response that lacks a mandatory element
        ("foreign-session-id-ServiceDetailReq", "expected ParameterSet"),
        # V2G20-467
        (
            "parameter-set-never-offered",
            "answered ServiceSelectionRes FAILED_NoEnergyTransferServiceSelected",
        ),
        # V2G20-1502: it waits 60 s in the loop as elsewhere
        ("silent-in-the-loop-dc", "the connection was still open 1 s later"),
        # It reads a frame to the end of the segment, not of its length
        ("slow-drip", "the session did not come to its proper end"),
    ],
)
def test_josevs_secc(josev_secc: Bench, case: str, reason: str) -> None:
    check(josev_secc, case, reason)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("EVCC.fields.dc-dynamic.whole", ""),
        ("EVCC.fields.dc-dynamic.DC_ChargeLoopReq.form", ""),
        ("EVCC.sequence.ServiceDetailRes.ServiceDiscoveryRes", ""),
        ("EVCC.codes.ServiceDiscoveryRes.FAILED", ""),
        ("failed-in-ac-AC_ChargeLoopRes", ""),
        ("secc-silent-at-SessionSetupRes", ""),
        ("secc-exi-garbage", ""),
        # V2G20-735: it sends the request it had prepared before once more
        ("code-FAILED_ContactorError-in-the-loop", "it went on with DC_ChargeLoopReq"),
        # ValueError at a service it does not know
        ("vas-list-full-of-unknown", "the session did not come to its proper end"),
        ("secc-unknown-frames-between", "the session did not come to its proper end"),
    ],
)
def test_josevs_evcc(josev_evcc: Bench, case: str, reason: str) -> None:
    check(josev_evcc, case, reason)
