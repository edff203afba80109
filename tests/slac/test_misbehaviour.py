"""What either side does with messages that should not have come, or not like that."""

from __future__ import annotations

import pytest

from iso15118.slac import (
    CpState,
    EvseState,
    EvSlac,
    EvSlacConfig,
    EvState,
    SimulatedLine,
    Timing,
)
from iso15118.slac.messages import (
    AttenCharInd,
    SlacMatchCnf,
    SlacMatchReq,
    SlacParmCnf,
    SlacParmReq,
    StartAttenCharInd,
)

from .bench import EV, EVSE, Bench, linked, mac, pair, silence

# --- misbehaviour ---------------------------------------------------------------------------------


def test_requests_after_the_match_are_ignored():
    bench, car, station, _ = pair()
    linked(bench, car, station)
    sent = len(station.sent)
    bench.inject(station, EV, SlacParmReq(b"abcdefgh"))
    bench.inject(station, mac(9), SlacParmReq(b"ABCDEFGH"))
    bench.run(1)
    assert len(station.sent) == sent
    assert station.machine.state is EvseState.MATCHED


def test_a_repeated_request_of_a_known_ev_restarts_its_session():
    bench, car, station, _ = pair(plug=False)
    silence(bench, car)
    station.line.ev.load(CpState.B)
    for run_id in (b"11111111", b"22222222"):
        bench.inject(station, EV, SlacParmReq(run_id))
        bench.run(0.1)
    assert len(station.machine.sessions) == 1
    assert station.machine.sessions[EV].run_id == b"22222222"
    assert [m.run_id for _, m in station.messages(SlacParmCnf)] == [b"11111111", b"22222222"]
    bench.inject(station, EV, StartAttenCharInd(b"11111111", EV))
    bench.run(0.01)
    assert station.machine.sessions[EV].step.name == "PARAMETERS"


def test_a_flood_of_requests_is_bounded_and_the_real_car_is_served():
    bench, car, station, line = pair(plug=False)
    line.plug()

    def flood() -> None:
        bench.inject(station, bench.random.randbytes(6), SlacParmReq(bench.random.randbytes(8)))
        if bench.now < 20:
            bench.at(0.004, flood)  # 250 per second: 100 of them inside TT_match_sequence

    flood()
    worst = 0
    while bench.now < 20 and not car.ready:
        bench.run(0.05)
        worst = max(worst, len(station.machine.sessions))
    assert worst == Timing().C_EVSE_match_parallel
    assert car.ready[-1].established


@pytest.mark.parametrize(
    "change",
    [
        {"application_type": 1},
        {"security_type": 1},
        {"resp_type": 0},
        {"forwarding_sta": bytes(6)},
        {"run_id": b"????????"},
        {"num_sounds": 0},
        {"time_out": 0},
        {"sound_target": bytes(6)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_wrong_parm_confirmation_is_ignored_and_reported(change):
    bench = Bench()
    line = SimulatedLine()
    car = bench.add(EvSlac(EvSlacConfig(EV, attempts=1), bench.entropy), line)
    line.evse.drive(5)
    line.plug()
    bench.run(0.01)
    run_id = car.messages(SlacParmReq)[0][1].run_id
    bench.inject(car, EVSE, SlacParmCnf(**{"run_id": run_id, "forwarding_sta": EV, **change}))
    bench.run(5)
    assert car.messages(StartAttenCharInd) == []
    assert len(car.deviations) == 1
    assert car.deviations[0].startswith("CM_SLAC_PARM.CNF ignored")


def test_reports_of_strangers_and_early_reports_are_ignored():
    bench, car, station, _ = pair()
    bench.run(5, until=lambda: car.machine.state is EvState.SOUNDING)
    run_id = car.messages(SlacParmReq)[0][1].run_id
    rogue = AttenCharInd(run_id, EV, (1,) * 58, 10)
    bench.inject(car, mac(0x66), rogue)
    bench.inject(car, EVSE, rogue)
    linked(bench, car, station)
    assert car.match.evse_mac == EVSE
    assert car.match.attenuation == {EVSE: 20.0}
    assert len(car.deviations) == 2


def test_a_match_confirmation_from_elsewhere_is_ignored():
    bench, car, station, _ = pair()
    bench.run(5, until=lambda: car.machine.state is EvState.MATCHING)
    run_id = car.messages(SlacParmReq)[0][1].run_id
    bench.inject(car, mac(0x66), SlacMatchCnf(run_id, EV, mac(0x66), bytes(7), bytes(16)))
    bench.inject(car, mac(0x66), SlacMatchCnf(run_id, EV, EVSE, bytes(7), bytes(16)))
    linked(bench, car, station)
    assert car.key.nmk == station.machine.nmk
    assert len(car.deviations) == 2


def test_a_nid_that_is_not_derived_is_passed_on_unchanged_and_noted():
    bench, car, station, _ = pair()
    station.machine.nid = bytes(range(1, 8))
    bench.run(30, until=lambda: car.match is not None)
    assert car.key.nid == bytes(range(1, 8))
    assert car.deviations == ["NID is not the one derived from the NMK"]


def test_a_match_request_for_another_station_is_ignored():
    bench, car, station, _ = pair(ev={"attempts": 1})
    bench.lose = lambda s, r, m: isinstance(m, SlacMatchReq)
    bench.run(1.5, until=lambda: bool(car.messages(SlacMatchReq)))
    request = car.messages(SlacMatchReq)[0][1]
    bench.lose = lambda s, r, m: False
    bench.inject(station, EV, SlacMatchReq(request.run_id, EV, mac(0x99)))
    bench.run(0.05)
    assert station.messages(SlacMatchCnf) == []
    assert "CM_SLAC_MATCH.REQ ignored" in station.deviations[0]
