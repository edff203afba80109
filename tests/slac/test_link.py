"""After the confirmation: the key, the link, its loss and return, and the retries on the control pilot."""

from __future__ import annotations

import itertools

import pytest

from iso15118.slac import (
    AmpMapLimits,
    CpChanged,
    CpSignal,
    CpState,
    DLink,
    EvseSlac,
    EvseSlacConfig,
    EvseState,
    EvState,
    KeyResult,
    NominalDuty,
    SimulatedLine,
    Timing,
    nid_from_nmk,
)
from iso15118.slac.messages import (
    AmpMapCnf,
    AmpMapReq,
    SlacMatchCnf,
    SlacParmReq,
)

from .bench import EV, EVSE, Bench, linked, pair, silence

# --- key and link ---------------------------------------------------------------------------------


def test_a_key_that_did_not_take_is_set_again():
    bench, car, station, _ = pair()
    car.key_results = [False, False, True]
    linked(bench, car, station)
    assert len([a for _, a in car.actions if a == car.key]) == 3


def test_a_modem_that_never_takes_the_key():
    bench, car, station, _ = pair(ev={"attempts": 1})
    car.key_results = [False] * 3
    bench.run(30, until=lambda: bool(car.ready))
    assert car.ready[-1].reason == "the modem did not take the key"
    assert car.key.nmk != station.machine.nmk  # left with a random one


def test_a_silent_driver_is_asked_again_after_its_timeout():
    bench, car, _station, _ = pair(ev={"timing": Timing(TT_set_key_response=1.0)})
    car.answers_key = False
    bench.run(10, until=lambda: bool(car.key))
    first = bench.now
    bench.run(1.5)
    times = [when for when, action in car.actions if action == car.key]
    assert times == pytest.approx([first, first + 1.0])


def test_the_answer_to_a_replaced_key_is_dropped():
    bench, car, station, _ = pair()
    linked(bench, car, station)
    old = station.key
    station.answers_key = False
    bench.give(station, DLink.TERMINATE)
    bench.give(station, KeyResult(True, old.nmk))
    assert station.machine.state is EvseState.RESETTING
    bench.give(station, KeyResult(True, station.key.nmk))
    assert station.machine.state is EvseState.FAILED


def test_a_key_that_cannot_be_read_back_is_good_enough():
    bench, car, station, _ = pair()
    car.key_results = [None]
    linked(bench, car, station)


def test_a_modem_deaf_while_joining_is_asked_until_it_answers():
    bench, car, station, _ = pair()
    car.link_up = lambda: bench.now > 6 or None
    linked(bench, car, station)
    assert 6 < car.match.linked < 6.5
    assert car.match.linked - car.match.matched < 12


def test_no_link_within_12_s_both_leave_with_new_keys():
    bench, car, station, _ = pair(ev={"attempts": 1})
    car.link_up = station.link_up = False
    bench.run(40, until=lambda: bool(car.ready))
    nmk = station.messages(SlacMatchCnf)[0][1].nmk
    assert car.ready[-1].reason == "no link within 12 s"
    bench.run(2)
    assert nmk not in (car.key.nmk, station.key.nmk)
    assert station.machine.state is EvseState.WAITING


def test_link_lost_the_station_goes_through_ef_and_they_match_again():
    bench, car, station, line = pair()
    linked(bench, car, station)
    first = car.match
    station.link_up = False
    lost = bench.now
    bench.run(3, until=lambda: station.machine.state is EvseState.STEP_EF)
    station.link_up = "by key"
    assert line.signal.state is CpState.F
    linked(bench, car, station, seconds=30)
    assert car.match.nmk != first.nmk
    assert car.match.started - lost > 4.0  # T_step_EF
    assert [ready.established for ready in station.ready] == [True, False, True]
    assert [ready.established for ready in car.ready] == [True, False, True]


def test_link_lost_option_b_both_start_again_alone():
    bench, car, station, line = pair(ev={"restart_after_loss": True}, evse={"stay_after_loss": True})
    linked(bench, car, station)
    first, lost = car.match, bench.now
    car.link_up = station.link_up = False
    bench.run(5)
    car.link_up = station.link_up = "by key"
    assert line.signal.duty == 5.0  # X2 kept
    linked(bench, car, station, seconds=30)
    assert car.match.nmk != first.nmk
    assert car.match.started - lost > 15.0  # T_conn_resetup
    assert "F" not in [s.state.value for s in line.history]


def test_terminate_leaves_with_a_random_key_within_a_second():
    bench, car, station, line = pair()
    linked(bench, car, station)
    nmk = car.match.nmk
    bench.give(car, DLink.TERMINATE)
    bench.give(station, DLink.TERMINATE)
    bench.run(1)
    assert nmk not in (car.key.nmk, station.key.nmk)
    assert car.key.nmk != station.key.nmk
    assert car.key.nid == nid_from_nmk(car.key.nmk)
    assert car.match is None
    assert line.signal.duty == 100.0
    assert station.machine.state is EvseState.FAILED  # until unplugged
    bench.run(30)
    assert len({m.run_id for _, m in car.messages(SlacParmReq)}) == 1  # no matching without a new offer
    line.unplug()
    bench.run(2)
    line.plug()
    linked(bench, car, station)


def test_unplugging_ends_everything():
    bench, car, station, line = pair()
    linked(bench, car, station)
    line.unplug()
    bench.run(2)
    assert car.machine.state is EvState.UNPLUGGED
    assert station.machine.state is EvseState.IDLE
    assert [ready.established for ready in car.ready] == [True, False]


@pytest.mark.parametrize("who", ["car", "station"])
def test_pause_keeps_the_key_and_either_side_wakes(who):
    bench, car, station, line = pair()
    linked(bench, car, station)
    key = car.key
    bench.give(car, DLink.PAUSE)
    bench.give(station, DLink.PAUSE)
    bench.run(60)
    assert line.signal.duty == 100.0
    assert (car.machine.state, station.machine.state) == (EvState.PAUSED, EvseState.PAUSED)
    bench.give(car if who == "car" else station, DLink.RESUME)
    bench.run(3)
    assert (car.machine.state, station.machine.state) == (EvState.MATCHED, EvseState.MATCHED)
    assert car.key == key
    assert line.signal.duty == 5.0


def test_a_wake_up_without_link_becomes_a_new_matching():
    bench, car, station, _line = pair()
    linked(bench, car, station)
    nmk = car.match.nmk
    bench.give(car, DLink.PAUSE)
    bench.give(station, DLink.PAUSE)
    bench.run(1)
    car.link_up = station.link_up = False
    bench.give(station, DLink.RESUME)
    bench.run(9)  # T_conn_max_comm
    assert station.machine.state is EvseState.STEP_EF
    car.link_up = station.link_up = "by key"
    linked(bench, car, station, seconds=30)
    assert car.match.nmk != nmk


def test_d_link_error_is_a_new_matching():
    bench, car, station, _ = pair()
    linked(bench, car, station)
    nmk = car.match.nmk
    bench.give(station, DLink.ERROR)
    linked_again = lambda: car.match is not None and car.match.nmk != nmk and bool(car.match.linked)  # noqa: E731
    bench.run(30, until=linked_again)
    assert linked_again()


# --- the station's retries on the control pilot ---------------------------------------------------


def test_no_request_within_40_s_two_cycles_through_ef_then_x1():
    bench = Bench()
    line = SimulatedLine()
    station = bench.add(EvseSlac(EvseSlacConfig(EVSE), bench.entropy), line, 20)
    bench.run(1)
    line.plug()
    bench.run(200)
    drives = [
        (round(when, 1), a.duty, a.fault) for when, a in station.actions if type(a).__name__ == "DriveCp"
    ]
    assert drives == [
        (0.0, 100.0, None),
        (1.0, 5.0, None),
        (41.0, 100.0, CpState.F),
        (45.0, 5.0, None),
        (85.0, 100.0, CpState.F),
        (89.0, 5.0, None),
        (129.0, 100.0, None),
    ]
    assert station.machine.state is EvseState.FAILED
    assert station.ready[-1].established is False


def test_no_request_ac_falls_back_to_nominal_through_ef():
    bench = Bench()
    line = SimulatedLine()
    station = bench.add(EvseSlac(EvseSlacConfig(EVSE, fallback_duty=26.0), bench.entropy), line, 20)
    bench.run(1)
    line.plug()
    bench.run(200)
    assert station.machine.state is EvseState.BASIC
    assert line.signal.duty == 26.0
    assert line.history[-2].state is CpState.F  # never straight from 5 % (V2G3-M06-05)


def test_basic_charging_after_communication_goes_through_x1():
    bench, car, station, line = pair()
    linked(bench, car, station)
    start = bench.now
    bench.give(station, NominalDuty(26.0))
    bench.run(10)
    assert [s.duty for s in line.history][-3:] == [5.0, 100.0, 26.0]
    assert station.machine.state is EvseState.BASIC
    when = next(t for t, a in station.actions if getattr(a, "duty", 0) == 26.0)
    assert when - start >= 3.0  # T_step_X1


def test_basic_charging_for_a_paused_vehicle_ends_its_match():
    bench, car, station, line = pair()
    linked(bench, car, station)
    for node in (car, station):
        bench.give(node, DLink.PAUSE)
    bench.give(station, NominalDuty(26.0))
    bench.run(10)
    assert [s.duty for s in line.history][-2:] == [100.0, 26.0]
    assert station.match is None
    assert station.ready[-1].established is False


def test_a_vehicle_that_leaves_before_basic_charging_leaves_the_station_free_for_the_next():
    bench, car, station, line = pair()
    linked(bench, car, station)
    bench.give(station, NominalDuty(26.0))
    line.unplug()  # while the new key is set
    bench.run(10)
    assert station.machine.state is EvseState.IDLE
    line.plug()
    linked(bench, car, station)


def test_an_offer_while_the_network_is_left_is_taken_once():
    bench, car, station, _ = pair()
    linked(bench, car, station)
    offered, other = CpSignal(CpState.B, 5.0), CpSignal(CpState.B, 100.0)
    bench.give(car, DLink.TERMINATE)
    for signal in (other, offered, offered):  # a control pilot may tell the same twice
        bench.give(car, CpChanged(signal))
    bench.run(1)
    assert "SEARCHING" in car.states[car.states.index("LEAVING") :]


def test_an_offer_that_a_repetition_has_taken_is_not_taken_again():
    bench, car, station, _ = pair(ev={"restart_after_loss": True}, evse={"stay_after_loss": True})
    linked(bench, car, station)
    bench.give(car, DLink.ERROR)
    for duty in (100.0, 5.0):
        bench.give(car, CpChanged(CpSignal(CpState.B, duty)))
    bench.run(20)
    assert car.machine.state not in (EvState.LEAVING, EvState.RESETUP)  # it asks anew, as the loss wants
    linked(bench, car, station)
    bench.give(car, DLink.TERMINATE)
    bench.run(0.5)
    assert car.machine.state is EvState.FAILED


def test_a_late_car_is_still_served_after_a_cycle():
    bench, car, station, _ = pair(ev={"hlc_only": True})
    silence(bench, car)
    bench.run(43)
    assert station.machine.state is EvseState.STEP_EF
    bench.nodes[EV] = car
    station.line.ev.listen(lambda signal: bench.at(0.0, lambda: bench.give(car, CpChanged(signal))))
    linked(bench, car, station)


# --- amplitude map --------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["ev", "evse"])
def test_either_side_may_send_an_amplitude_map(who):
    carriers = (15,) * 10 + (0,) * 907
    bench, car, station, _ = pair(**{who: {"amp_map": carriers}})
    linked(bench, car, station)
    bench.run(2)
    sender, receiver = (car, station) if who == "ev" else (station, car)
    assert len(sender.messages(AmpMapReq)) == 1
    assert len(receiver.messages(AmpMapCnf)) == 1
    assert receiver.of(AmpMapLimits) == [AmpMapLimits(carriers)]


def test_an_unanswered_amplitude_map_is_sent_three_times_and_the_link_stays():
    bench, car, station, _ = pair(ev={"amp_map": (1, 2, 3)})
    bench.lose = lambda s, r, m: isinstance(m, AmpMapCnf)
    linked(bench, car, station)
    bench.run(5)
    times = [when for when, _ in car.messages(AmpMapReq)]
    assert [b - a for a, b in itertools.pairwise(times)] == pytest.approx([0.2, 0.2])
    assert car.machine.state is EvState.MATCHED


def test_an_empty_amplitude_map_is_ignored():
    bench, car, station, _ = pair()
    linked(bench, car, station)
    bench.inject(station, EV, AmpMapReq(()))
    bench.run(1)
    assert station.messages(AmpMapCnf) == []
    assert station.deviations == ["CM_AMP_MAP.REQ without carriers ignored"]
