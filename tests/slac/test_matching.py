"""The matching of both machines with each other: what happens, in which order, when."""

from __future__ import annotations

import itertools

import pytest

from iso15118.slac import (
    CpChanged,
    CpSignal,
    CpState,
    EvseSlac,
    EvseSlacConfig,
    EvseState,
    EvSlac,
    EvSlacConfig,
    EvState,
    SimulatedLine,
    Timing,
    Validation,
    nid_from_nmk,
)
from iso15118.slac.messages import (
    AttenCharInd,
    AttenCharRsp,
    MnbcSoundInd,
    SlacMatchCnf,
    SlacMatchReq,
    SlacParmCnf,
    SlacParmReq,
    StartAttenCharInd,
    ValidateCnf,
    ValidateReq,
    ValidateResult,
)

from .bench import EV, EVSE, LATENCY, Bench, linked, mac, pair, silence, three_stations


def test_a_matching_succeeds_and_both_sides_say_the_same():
    bench, car, station, _ = pair(attenuation=21)
    linked(bench, car, station)
    assert car.match.nmk == station.match.nmk == station.key.nmk == car.key.nmk
    assert car.match.nid == station.match.nid == nid_from_nmk(car.match.nmk) == car.key.nid
    assert car.match.run_id == station.match.run_id
    assert car.match.attenuation == station.match.attenuation == {EVSE: 21.0}
    assert car.machine.state is EvState.MATCHED
    assert station.machine.state is EvseState.MATCHED
    assert car.deviations == station.deviations == []
    assert car.states == [
        "SEARCHING", "SOUNDING", "COLLECTING", "MATCHING", "SETTING_KEY", "JOINING", "MATCHED"
    ]  # fmt: skip
    assert station.states == ["IDLE", "WAITING", "MATCHING", "JOINING", "MATCHED"]


def test_the_sounding_keeps_counts_order_and_intervals():
    bench, car, station, _ = pair()
    linked(bench, car, station)
    (parm,) = car.messages(SlacParmReq)
    starts = car.messages(StartAttenCharInd)
    sounds = car.messages(MnbcSoundInd)
    assert len(starts) == 3
    assert [sound.count for _, sound in sounds] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert len({sound.random for _, sound in sounds}) == 10
    times = [when for when, _ in starts + sounds]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert gaps == pytest.approx([0.03] * 12)
    assert starts[0][0] - parm[0] == pytest.approx(0.2)  # TT_match_response: others may still answer
    assert all(message.run_id == parm[1].run_id for _, message in starts + sounds)


def test_a_station_answers_a_request_at_once():
    bench, car, station, _ = pair()
    linked(bench, car, station)
    (asked, _), (answered, _) = car.messages(SlacParmReq)[0], station.messages(SlacParmCnf)[0]
    assert answered == pytest.approx(asked + LATENCY)


def test_the_run_id_is_new_every_time():
    bench, car, station, line = pair()
    linked(bench, car, station)
    first = car.match
    line.unplug()
    bench.run(5)
    line.plug()
    linked(bench, car, station)
    assert car.match.run_id != first.run_id
    assert car.match.nmk != first.nmk


# --- requests unanswered --------------------------------------------------------------------------


def test_three_requests_in_one_window_start_no_later_than_one():
    bench, car, station, _ = pair(ev={"survey_requests": 3})
    linked(bench, car, station)
    times = [when for when, _ in car.messages(SlacParmReq)]
    assert times == pytest.approx([1, 1 + 0.2 / 3, 1 + 0.4 / 3])
    assert car.messages(StartAttenCharInd)[0][0] == pytest.approx(1.2)
    assert len({m.run_id for _, m in car.messages(SlacParmReq)}) == 1


def test_no_station_three_requests_then_repetition_until_the_window_closes():
    bench = Bench()
    line = SimulatedLine()
    car = bench.add(EvSlac(EvSlacConfig(EV, survey_requests=1), bench.entropy), line)
    line.evse.drive(5)
    line.plug()
    bench.run(60)
    times = [when for when, _ in car.messages(SlacParmReq)]
    assert times[:4] == pytest.approx([0, 0.2, 0.4, 1.0])  # 3 sends, 0.2 s to give up, TT_matching_rate
    assert times[-1] < 10
    assert len({m.run_id for _, m in car.messages(SlacParmReq)}) == len(times) / 3 == 10
    assert car.machine.state is EvState.FAILED
    assert [ready.established for ready in car.ready] == [False]
    assert "CM_SLAC_PARM.REQ" in car.ready[0].reason


def test_slow_matchings_get_their_three_chances_beyond_the_window():
    bench, car, station, _ = pair()
    car.link_up = station.link_up = None
    bench.run(120, until=lambda: bool(car.ready))
    assert len(car.messages(SlacMatchReq)) == 3
    assert car.machine.state is EvState.FAILED
    assert bench.nodes[EV].ready[-1].reason == "no link within 12 s"


@pytest.mark.parametrize("lost", [1, 2])
def test_a_lost_parm_confirmation_is_made_good(lost):
    bench, car, station, _ = pair()
    left = [lost]
    bench.lose = lambda s, r, m: (
        isinstance(m, SlacParmCnf) and bool(left[0]) and not left.__setitem__(0, left[0] - 1)
    )
    linked(bench, car, station)
    assert len(car.messages(SlacParmReq)) == 1 + lost
    assert car.match.attempts == 1
    assert len({m.run_id for _, m in car.messages(SlacParmReq)}) == 1


@pytest.mark.parametrize(
    ("kind", "sender"),
    [(SlacMatchReq, "car"), (SlacMatchCnf, "station"), (AttenCharInd, "station"), (AttenCharRsp, "car")],
)
@pytest.mark.parametrize("lost", [1, 2])
def test_requests_are_repeated_after_200_ms(kind, sender, lost):
    bench, car, station, _ = pair()
    left = [lost]

    def lose(_sender, _receiver, message):
        if isinstance(message, kind) and left[0]:
            left[0] -= 1
            return True
        return False

    bench.lose = lose
    linked(bench, car, station)
    asked = {SlacMatchCnf: SlacMatchReq, AttenCharRsp: AttenCharInd}.get(kind, kind)
    asker = station if asked is AttenCharInd else car
    times = [when for when, _ in asker.messages(asked)]
    if kind is AttenCharRsp:
        # the EV goes on to CM_SLAC_MATCH.REQ, which tells the station as much
        assert len(times) == 1
    else:
        assert [b - a for a, b in itertools.pairwise(times)] == pytest.approx([0.2] * lost)
    assert car.match.attempts == 1
    assert car.match.nmk == station.match.nmk


def test_a_repeated_match_request_gets_the_same_confirmation():
    bench, car, station, _ = pair()
    car.link_up = station.link_up = None
    bench.run(30, until=lambda: bool(station.messages(SlacMatchCnf)))
    (_, request), (_, first) = car.messages(SlacMatchReq)[0], station.messages(SlacMatchCnf)[0]
    bench.inject(station, EV, request)
    bench.run(0.1)
    assert station.messages(SlacMatchCnf)[-1][1] == first
    assert len(station.messages(SlacMatchCnf)) == 2


def test_no_match_confirmation_three_requests_then_a_new_run():
    bench, car, _, _ = pair(ev={"attempts": 2})
    bench.lose = lambda s, r, m: isinstance(m, SlacMatchCnf)
    bench.run(40)
    assert (
        len(car.messages(SlacMatchReq)) == 3
    )  # the station is in JOINING then and does not answer the second run
    assert car.ready[-1].established is False
    assert len({m.run_id for _, m in car.messages(SlacParmReq)}) == 2


def test_no_atten_char_response_three_reports_then_the_session_is_dropped():
    bench, car, station, _ = pair(ev={"attempts": 1})
    bench.lose = lambda s, r, m: isinstance(m, (AttenCharRsp, SlacMatchReq))
    bench.run(6)
    times = [when for when, _ in station.messages(AttenCharInd)]
    assert [b - a for a, b in itertools.pairwise(times)] == pytest.approx([0.2, 0.2])
    assert station.machine.sessions == {}
    assert station.machine.state is EvseState.WAITING
    assert len(car.messages(AttenCharRsp)) == 3  # each repetition is answered


# --- the sounding's two exits ---------------------------------------------------------------------


def test_a_lost_sound_ends_the_sounding_at_the_deadline_with_what_was_heard():
    bench, car, station, _ = pair()
    bench.lose = lambda s, r, m: isinstance(m, MnbcSoundInd) and m.count in (3, 5)
    linked(bench, car, station)
    first = car.messages(StartAttenCharInd)[0][0]
    reported, report = station.messages(AttenCharInd)[0]
    assert reported - first == pytest.approx(0.6 + LATENCY)
    assert report.num_sounds == 8


def test_all_sounds_heard_ends_the_sounding_at_once():
    bench, car, station, _ = pair()
    linked(bench, car, station)
    last = car.messages(MnbcSoundInd)[-1][0]
    assert station.messages(AttenCharInd)[0][0] - last == pytest.approx(LATENCY + 0.0005)
    assert station.messages(AttenCharInd)[0][1].num_sounds == 10


def test_start_lost_three_times_the_first_sound_starts_the_sounding():
    bench, car, station, _ = pair()
    bench.lose = lambda s, r, m: isinstance(m, StartAttenCharInd)
    linked(bench, car, station)
    assert car.match.attempts == 1


def test_no_sound_at_all_drops_the_session_and_the_ev_tries_again():
    bench, car, station, _ = pair(ev={"attempts": 1})
    bench.lose = lambda s, r, m: isinstance(m, MnbcSoundInd)
    bench.run(3)
    assert station.messages(AttenCharInd) == []
    assert station.machine.state is EvseState.WAITING
    first = car.messages(StartAttenCharInd)[0][0]
    failed = next(when for when, action in car.actions if action in car.ready)
    assert failed - first == pytest.approx(1.2)  # TT_EV_atten_results
    assert car.ready[-1].reason == "no station reported attenuation"


def test_no_start_within_400_ms_drops_the_session():
    bench, car, station, _ = pair(plug=False)
    silence(bench, car)
    station.line.ev.load(CpState.B)
    bench.inject(station, EV, SlacParmReq(b"12345678"))
    bench.run(0.399)
    assert EV in station.machine.sessions
    bench.run(0.002)
    assert station.machine.sessions == {}
    assert station.machine.state is EvseState.WAITING


def test_neither_validate_nor_match_within_10_s_drops_the_session():
    bench, _, station, _ = pair(ev={"attempts": 1})
    bench.lose = lambda s, r, m: isinstance(m, SlacMatchReq)
    bench.run(5)
    assert EV in station.machine.sessions
    bench.run(8)
    assert station.machine.sessions == {}


def test_attenuation_is_the_mean_per_group_plus_offset():
    bench, car, station, _ = pair(evse={"attenuation_offset": 4.0})
    values = iter([(10, 20, 30)] * 5 + [(14, 22, 31)] * 5)
    station.profile = lambda _ev: next(values)
    linked(bench, car, station)
    assert station.messages(AttenCharInd)[0][1].attenuation == (16, 25, 34)
    assert car.match.attenuation[EVSE] == 25.0


@pytest.mark.parametrize(("synthetic", "matched"), [(None, False), (35, True)])
def test_a_modem_without_groups_needs_synthetic_attenuation(synthetic, matched):
    bench, car, station, _ = pair(ev={"attempts": 1}, evse={"synth_attenuation": synthetic})
    station.profile = lambda _ev: ()
    bench.run(5)
    assert car.ready[-1].established is matched
    if matched:
        assert car.match.attenuation == {EVSE: 35.0}
    else:
        assert any("synth_attenuation" in text for text in station.deviations)


# --- several stations -----------------------------------------------------------------------------


def test_three_stations_with_5_per_cent_loss_the_nearest_is_chosen_200_of_200():
    chosen = [
        three_stations(seed, {0x81: 25, 0x82: 12, 0x83: 31}, plugged=0x82)[1].match for seed in range(200)
    ]
    assert [match and match.evse_mac for match in chosen] == [mac(0x82)] * 200


def test_far_stations_prove_themselves_by_toggles_200_of_200():
    chosen = [
        three_stations(seed, {0x81: 55, 0x82: 45, 0x83: 60}, plugged=0x83)[1].match for seed in range(200)
    ]
    assert [match and (match.evse_mac, match.validation) for match in chosen] == [
        (mac(0x83), "toggles")
    ] * 200


def test_the_losers_are_answered_too():
    _bench, car = three_stations(5, {0x81: 25, 0x82: 12, 0x83: 31}, plugged=0x82)
    assert car.match.evse_mac == mac(0x82)
    answered = {to for _, to, message in car.sent if isinstance(message, AttenCharRsp)}
    assert answered == {mac(0x81), mac(0x82), mac(0x83)}
    assert {to for _, to, message in car.sent if isinstance(message, SlacMatchReq)} == {mac(0x82)}


def test_nobody_within_reach():
    bench, car, _, _ = pair(attenuation=90, ev={"attempts": 1})
    bench.run(10)
    assert car.ready[-1].reason == "EVSE_NOT_FOUND: nearest station at 90.0 dB"


def test_two_cars_at_two_stations_each_finds_its_own():
    bench = Bench(3)
    lines = [SimulatedLine(), SimulatedLine()]
    near = {(1, 0x81): 15, (2, 0x82): 18, (1, 0x82): 33, (2, 0x81): 36}
    for number, line in zip((0x81, 0x82), lines, strict=True):
        node = bench.add(EvseSlac(EvseSlacConfig(mac(number)), bench.entropy), line)
        node.profile = lambda ev, number=number: (near[ev[-1], number],) * 58
    cars = [
        bench.add(EvSlac(EvSlacConfig(mac(number)), bench.entropy), line)
        for number, line in zip((1, 2), lines, strict=True)
    ]
    bench.run(2)
    for line in lines:
        line.plug()
    bench.run(30, until=lambda: all(car.ready for car in cars))
    assert [car.match.evse_mac for car in cars] == [mac(0x81), mac(0x82)]


# --- validation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("toggles", [1, 2, 3])
def test_validation_by_toggles(toggles):
    bench, car, station, line = pair(attenuation=50, ev={"timing": Timing(C_EV_vald_nb_toggles=toggles)})
    linked(bench, car, station)
    assert car.match.validation == station.match.validation == "toggles"
    assert [m.timer > 0 for _, m in car.messages(ValidateReq)] == [False, True]
    assert [(m.result, m.toggle_num) for _, m in station.messages(ValidateCnf)] == [
        (ValidateResult.READY, 0),
        (ValidateResult.SUCCESS, toggles),
    ]
    assert [s.state.value for s in line.history].count("C") == toggles
    window = (car.messages(ValidateReq)[1][1].timer + 1) / 10
    assert 0.6 <= window <= 3.5


def test_validation_not_required():
    bench, car, station, _ = pair(attenuation=50, evse={"validation": Validation.NOT_REQUIRED})
    linked(bench, car, station)
    assert car.match.validation == station.match.validation == "not required"


def test_validation_failure_is_the_end_of_that_candidate():
    bench, car, _station, _ = pair(
        attenuation=50, ev={"attempts": 1}, evse={"validation": Validation.FAILURE}
    )
    bench.run(10)
    assert "no candidate left" in car.ready[-1].reason
    assert car.messages(SlacMatchReq) == []


def test_a_station_that_sees_other_toggles_is_refused():
    bench, car, station, _ = pair(attenuation=50, ev={"attempts": 1})
    station.line.evse.listen(None)  # the station does not see what happens on this wire
    bench.give(station, CpChanged(CpSignal(CpState.B, 5.0)))
    bench.run(10)
    assert [m.result for _, m in station.messages(ValidateCnf)][-1] == ValidateResult.FAILURE
    assert car.ready[-1].established is False


def test_not_ready_is_asked_again_after_half_a_second():
    bench, car, station, _ = pair(attenuation=50)
    station.machine._validating = mac(0x55)
    bench.run(3)
    station.machine._validating = None
    linked(bench, car, station)
    times = [when for when, m in car.messages(ValidateReq) if m.timer == 0]
    assert len(times) > 2
    assert times[1] - times[0] == pytest.approx(0.5 + 2 * LATENCY)


def test_not_ready_for_ever_ends():
    bench, car, station, _ = pair(attenuation=50, ev={"attempts": 1})
    station.machine._validating = mac(0x55)
    bench.run(15)
    assert len(car.messages(ValidateReq)) == 1 + Timing().C_vald_ready_retry
    assert car.ready[-1].established is False


@pytest.mark.parametrize("step", [0, 1])
def test_an_unanswered_validate_request(step):
    bench, car, _station, _ = pair(attenuation=50, ev={"attempts": 1})
    seen = []
    bench.lose = lambda s, r, m: isinstance(m, ValidateCnf) and (seen.append(m) or len(seen) > step)
    bench.run(20)
    assert car.ready[-1].established is False
    requests = [m.timer for _, m in car.messages(ValidateReq)]
    # step 1 unanswered: three requests; step 2 unanswered: from step 1 again, whose answers are lost as well
    assert requests == ([0, 0, 0] if step == 0 else [0, 14, 0, 0, 0])
