"""Whatever arrives in whatever order, the machines neither raise nor run away."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from iso15118.slac import (
    CpChanged,
    CpSignal,
    CpState,
    DLink,
    EvseSlac,
    EvseSlacConfig,
    EvSlac,
    EvSlacConfig,
    KeyResult,
    LinkStatus,
    NominalDuty,
    Received,
)
from iso15118.slac import messages as m

EV, EVSE, OTHER = bytes([2] * 5 + [1]), bytes([2] * 5 + [0x81]), bytes([2] * 5 + [9])
MACS = st.sampled_from([EV, EVSE, OTHER, m.BROADCAST])
RUNS = st.sampled_from([bytes(8), b"\x05" * 8, b"\x11" * 8])
BYTE = st.integers(0, 255)
GROUPS = st.lists(BYTE, max_size=5).map(tuple)
MESSAGES = st.one_of(
    st.builds(m.SlacParmReq, RUNS, st.integers(0, 1)),
    st.builds(m.SlacParmCnf, RUNS, MACS, BYTE, BYTE, st.integers(0, 1)),
    st.builds(m.StartAttenCharInd, RUNS, MACS, BYTE, BYTE),
    st.builds(m.MnbcSoundInd, RUNS, BYTE, st.just(bytes(16))),
    st.builds(m.AttenProfileInd, MACS, GROUPS),
    st.builds(m.AttenCharInd, RUNS, MACS, GROUPS, BYTE),
    st.builds(m.AttenCharRsp, RUNS, MACS, st.integers(0, 2)),
    st.builds(m.ValidateReq, BYTE, BYTE),
    st.builds(m.ValidateCnf, BYTE, BYTE),
    st.builds(m.SlacMatchReq, RUNS, MACS, MACS),
    st.builds(m.SlacMatchCnf, RUNS, MACS, MACS, st.just(bytes(7)), st.just(bytes(16))),
    st.builds(m.AmpMapReq, GROUPS),
    st.builds(m.AmpMapCnf, BYTE),
)
EVENTS = st.one_of(
    st.builds(Received, MACS, MESSAGES),
    st.builds(CpChanged, st.builds(CpSignal, st.sampled_from(CpState), st.sampled_from([5.0, 26.0, 100.0]))),
    st.builds(KeyResult, st.sampled_from([True, False, None])),
    st.builds(LinkStatus, st.sampled_from([True, False, None])),
    st.sampled_from(DLink),
)
STEPS = st.lists(st.tuples(st.floats(0, 5), EVENTS), max_size=60)


def entropy(size: int) -> bytes:
    return b"\x05" * size


@settings(max_examples=80, deadline=None)
@given(STEPS)
def test_ev(steps):
    machine, now = EvSlac(EvSlacConfig(EV), entropy), 0.0
    for wait, event in steps:
        now += wait
        assert len(machine.handle(event, now)) < 400
        assert machine.deadline is None or machine.deadline > now


@settings(max_examples=80, deadline=None)
@given(STEPS, st.booleans())
def test_evse(steps, basic):
    machine, now = EvseSlac(EvseSlacConfig(EVSE), entropy), 0.0
    machine.start(now)
    for wait, event in steps:
        now += wait
        assert len(machine.handle(NominalDuty(26.0) if basic and wait > 4.9 else event, now)) < 400
        assert machine.deadline is None or machine.deadline > now
        assert len(machine.sessions) <= machine.timing.C_EVSE_match_parallel
