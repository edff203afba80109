"""SECC: charge parameters, schedules, power delivery, DC preparation, the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from iso15118.messages import ac, common, xmldsig
from iso15118.messages.common_types import ResponseCode
from iso15118.session import schedules
from iso15118.session.charger import ControlPilot, Direction, Progress, ScheduleRequest
from iso15118.session.events import Role
from iso15118.session.fillers import fillers
from iso15118.session.secc_config import Closing, SECCConfig, Trust, energy_modes
from iso15118.session.services import (
    BPTChannel,
    ControlMode,
    Dialect,
    EnergyMode,
    Family,
    Pricing,
    ServiceID,
)
from iso15118.session.timers import RELAXED
from iso15118.session.values import ACGrid, ACLimits, MobilityNeeds

from .client import Client, Finished, Ongoing, code_of, of
from .pair import EPOCH, EVSE_DC, BenchCharger

OK = ResponseCode.OK
WRONG = ResponseCode.FAILED_WrongChargeParameter


def client(
    service: ServiceID = ServiceID.DC, index: int = 0, charger: BenchCharger | None = None, **config: Any
) -> Client:
    """One parameter set: scheduled (0), dynamic (1), dynamic with needs of the SECC (2)."""
    family = service.family
    assert family is not None
    mode = config.pop("mode", energy_modes(service)[index])
    return Client(SECCConfig(energy=(mode,), timers=RELAXED, **config), charger, family=family)


def rules(made: Client) -> list[str | None]:
    return [event.requirement for event in made.secc.events]


# -- charge parameters ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", [ServiceID.AC, ServiceID.AC_BPT, ServiceID.DC, ServiceID.DC_BPT])
def test_parameters_of_the_other_direction_are_wrong(service):
    made = client(service).to_selected()
    request = made.build(f"{made.family.value}_ChargeParameterDiscoveryReq")
    other = client(ServiceID(service + 4 if not service.bidirectional else service - 4)).to_selected()
    request.energy_transfer_mode = other.build(type(request).__name__).energy_transfer_mode
    assert code_of(made.send(request)) is WRONG
    assert rules(made) == ["V2G20-1619" if made.family is Family.AC else "V2G20-2272"]


@pytest.mark.parametrize("service", [ServiceID.AC_BPT, ServiceID.DC_BPT, ServiceID.MCS_BPT])
@pytest.mark.parametrize("negative", [False, True])
def test_discharge_limits_are_magnitudes_unless_the_dialect_says_otherwise(service, negative):
    made = client(service, dialect=Dialect(negative_discharge_limits=negative)).to_selected()
    mode = made.send(f"{made.family.value}_ChargeParameterDiscoveryReq").energy_transfer_mode
    assert float(mode.evse_maximum_discharge_power) == (-1 if negative else 1) * (
        11_000 if made.family is Family.AC else 60_000
    )


def test_negative_discharge_limits_of_the_ev_are_understood_and_noted():
    made = client(ServiceID.DC_BPT).to_selected()
    request = made.build("DC_ChargeParameterDiscoveryReq")
    request.energy_transfer_mode.ev_maximum_discharge_power = of(-30_000)
    request.energy_transfer_mode.ev_maximum_discharge_current = of(-60)
    assert code_of(made.send(request)) is OK
    assert made.charger.report.dc is not None
    assert (made.charger.report.dc.max_discharge_power, made.charger.report.dc.max_discharge_current) == (
        30_000,
        60,
    )
    assert "negative" in made.secc.events[0].text


@pytest.mark.parametrize(
    "changes",
    [
        {"ev_maximum_voltage": of(100), "ev_minimum_voltage": of(50)},
        {"ev_minimum_voltage": of(950), "ev_maximum_voltage": of(1000)},
        {"ev_minimum_charge_power": of(200_000)},
        {"ev_minimum_charge_current": of(500)},
        {"ev_maximum_voltage": of(0), "ev_minimum_voltage": of(0)},
        {"ev_maximum_charge_power": of(-1), "ev_minimum_charge_power": of(-2)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_dc_limits_that_cannot_work_are_wrong(changes):
    made = client().to_selected()
    request = made.build("DC_ChargeParameterDiscoveryReq")
    for name, value in changes.items():
        setattr(request.energy_transfer_mode, name, value)
    assert code_of(made.send(request)) is WRONG


def test_ac_limits_and_grid_are_told_per_phase():
    charger = BenchCharger(ac=ACLimits((7_000.0, 6_000.0, 5_000.0), (100.0, 100.0, 100.0)))
    charger.ac_grid = lambda now: ACGrid(60.0, 4_000.0, 25.0)  # type: ignore[method-assign]
    made = client(ServiceID.AC, charger=charger).to_selected()
    mode = made.send("AC_ChargeParameterDiscoveryReq").energy_transfer_mode
    assert float(mode.evse_maximum_charge_power) == 7_000
    assert float(mode.evse_maximum_charge_power_l2) == 6_000
    assert float(mode.evse_maximum_charge_power_l3) == 5_000
    assert float(mode.evse_nominal_frequency) == 60
    assert (float(mode.maximum_power_asymmetry), float(mode.evse_power_ramp_limitation)) == (4_000, 25)


def test_ac_limits_that_cannot_work_are_wrong():
    made = client(ServiceID.AC).to_selected()
    mode = ac.AC_CPDReqEnergyTransferMode(
        ev_maximum_charge_power=of(5_000), ev_minimum_charge_power=of(6_000)
    )
    assert code_of(made.send("AC_ChargeParameterDiscoveryReq", energy_transfer_mode=mode)) is WRONG


# -- schedules -----------------------------------------------------------------------------------------------


def test_a_control_mode_that_was_not_selected_fails():
    for index, element in ((0, 1), (1, 0)):
        made = client(index=index).to_selected()
        made.send_all(["DC_ChargeParameterDiscoveryReq"])
        wrong = client(index=element).to_selected().build("ScheduleExchangeReq").control_mode
        assert code_of(made.send("ScheduleExchangeReq", control_mode=wrong)) is ResponseCode.FAILED
        assert rules(made) == ["V2G20-1600"]


def test_the_ev_waits_while_the_schedule_is_made_and_ongoing_is_complete():
    for index in (0, 1):
        made = client(index=index, charger=BenchCharger(schedule_delays=2)).to_selected()
        made.send_all(["DC_ChargeParameterDiscoveryReq"])
        answers = [made.send("ScheduleExchangeReq").evse_processing for _ in range(3)]
        assert answers == [Ongoing, Ongoing, Finished]


def many(now: float, request: ScheduleRequest) -> tuple[common.ScheduleTuple, ...]:
    entries = [(60.0, (float(1000 + 10 * (index % 7)),)) for index in range(500)]
    prices = schedules.price_levels(int(EPOCH), [(60, index % 3) for index in range(500)])
    return (schedules.schedule_tuple(1, schedules.power_schedule(int(EPOCH + now), entries), prices=prices),)


@pytest.mark.parametrize("points", [12, 100, 1024])
def test_no_schedule_has_more_points_than_the_ev_can_take(points):
    made = client(charger=BenchCharger(tuples=many)).to_selected()
    made.send_all(["DC_ChargeParameterDiscoveryReq"])
    response = made.send("ScheduleExchangeReq", maximum_supporting_points=points)
    schedule = response.control_mode.schedule_tuple[0].charging_schedule
    powers = schedule.power_schedule.power_schedule_entries.power_schedule_entry
    levels = schedule.price_schedule.price_level_schedule_entries.price_level_schedule_entry
    assert len(powers) == len(levels) == min(points, 500)
    assert sum(item.duration for item in powers) == 500 * 60
    assert made.charger.schedule_requests[0].max_points == points


def test_dynamic_needs_reach_the_charger_and_its_own_come_back_in_mode_2_only():
    needs = MobilityNeeds(departure=1800.0, min_soc=20, target_soc=90)
    for index, told in ((1, False), (2, True)):
        made = client(index=index, charger=BenchCharger(site_needs=needs)).to_selected()
        made.send_all(["DC_ChargeParameterDiscoveryReq"])
        answer = made.send("ScheduleExchangeReq").control_mode
        assert made.charger.schedule_requests[0].needs.departure == 3600
        assert (answer.departure_time, answer.minimum_soc, answer.target_soc) == (
            (1800, 20, 90) if told else (None, None, None)
        )


def test_soc_and_v2x_rules_are_reported_and_strictly_refused():
    for field, values, rule in (
        ("soc", {"minimum_soc": 80, "target_soc": 40}, "V2G20-1640"),
        ("v2x", {"ev_maximum_v2x_energy_request": of(1000)}, "V2G20-2681"),
    ):
        for strict in (False, True):
            made = client(ServiceID.DC_BPT, 1, strict=strict).to_selected()
            made.send_all(["DC_ChargeParameterDiscoveryReq"])
            request = made.build("ScheduleExchangeReq")
            for name, value in values.items():
                setattr(request.control_mode, name, value)
            assert code_of(made.send(request)) is (ResponseCode.FAILED if strict else OK), field
            assert rules(made) == [rule]


def test_a_station_without_schedule_fails_and_says_so():
    made = client(charger=BenchCharger(tuples=lambda now, request: ())).to_selected()
    made.send_all(["DC_ChargeParameterDiscoveryReq"])
    assert code_of(made.send("ScheduleExchangeReq")) is ResponseCode.FAILED
    assert made.secc.events[0].offender is Role.SECC


def test_supporting_points_outside_the_schema_are_reported_and_read_as_the_nearest():
    made = client().to_selected()
    made.send_all(["DC_ChargeParameterDiscoveryReq"])
    assert code_of(made.send("ScheduleExchangeReq", maximum_supporting_points=3)) is OK
    assert made.charger.schedule_requests[0].max_points == 12
    assert len(made.secc.events) == 1


def test_price_schedules_are_signed_where_somebody_signs_them():
    made = client().to_selected()
    made.send_all(["DC_ChargeParameterDiscoveryReq"])
    signature = xmldsig.Signature(**fillers(xmldsig.Signature))
    made.secc.context.trust = Trust(sign_prices=lambda response, contract: signature)
    assert made.send("ScheduleExchangeReq").header.signature is signature


def test_an_ac_ev_that_shows_state_c_before_start_is_noted():
    made = client(ServiceID.AC)
    made.charger.pilot = lambda: ControlPilot.C
    made.to_prepared()
    assert start(made) is OK
    assert rules(made) == ["V2G20-1617"]


def test_a_power_tolerance_that_was_not_offered_cannot_be_confirmed():
    made = client().to_prepared()
    confirmed = common.PowerToleranceAcceptance.PowerToleranceConfirmed
    profile = made.profile([(60, 1000.0)], power_tolerance_acceptance=confirmed)
    assert start(made, ev_power_profile=profile) is OK
    assert len(made.secc.events) == 1


def test_go_to_pause_is_said_and_an_early_stop_accepted():
    made = client(charger=BenchCharger(go_to_pause=True)).to_selected()
    made.send_all(["DC_ChargeParameterDiscoveryReq"])
    assert made.send("ScheduleExchangeReq").go_to_pause is True
    made.send_all(["PowerDeliveryReq(Stop)"])
    assert code_of(made.send("SessionStopReq", charging_session=common.ChargingSession.Pause)) is OK
    assert not made.secc.events


def test_an_energy_offer_reaches_the_charger():
    made = client(ServiceID.DC_BPT).to_selected()
    made.send_all(["DC_ChargeParameterDiscoveryReq"])
    offer = common.EVEnergyOffer(
        ev_power_schedule=common.EVPowerSchedule(
            time_anchor=1,
            ev_power_schedule_entries=common.EVPowerScheduleEntryList(
                ev_power_schedule_entry=[common.EVPowerScheduleEntry(duration=60, power=of(-5000))]
            ),
        ),
        ev_absolute_price_schedule=common.EVAbsolutePriceSchedule(
            time_anchor=1,
            currency="EUR",
            price_algorithm="urn:iso:std:iso:15118:-20:PriceAlgorithm:1-Power",
            ev_price_rule_stacks=common.EVPriceRuleStackList(
                ev_price_rule_stack=[
                    common.EVPriceRuleStack(
                        duration=60,
                        ev_price_rule=[common.EVPriceRule(energy_fee=of(0.3), power_range_start=of(0))],
                    )
                ]
            ),
        ),
    )
    mode = common.Scheduled_SEReqControlMode(ev_energy_offer=offer)
    made.send("ScheduleExchangeReq", control_mode=mode)
    assert made.charger.schedule_requests[0].energy_offer == offer


# -- cable check and pre-charge ------------------------------------------------------------------------------


def test_a_failed_isolation_test_fails_and_powers_off():
    made = client(charger=BenchCharger(cable_check_result=Progress.FAILED)).to_scheduled()
    assert code_of(made.send("DC_CableCheckReq")) is ResponseCode.FAILED
    assert made.secc.closing is Closing.AFTER_PEER
    assert made.secc.events[-1].offender is Role.SECC


def test_cable_check_waits_for_the_control_pilot():
    made = client()
    made.charger.pilot = lambda: ControlPilot.B
    made.to_scheduled()
    assert made.send("DC_CableCheckReq").evse_processing == Ongoing
    made.charger.pilot = lambda: ControlPilot.C
    assert made.send("DC_CableCheckReq").evse_processing == Finished


def test_precharge_stays_within_the_limits_of_both_sides():
    made = client().to_scheduled()
    made.send_all(["DC_CableCheckReq"])
    response = made.send("DC_PreChargeReq", ev_target_voltage=of(2000), ev_processing=Ongoing)
    assert float(response.evse_present_voltage) == EVSE_DC.max_voltage
    assert "EVTargetVoltage 2000 V" in made.secc.events[-1].text


def test_power_delivery_after_an_unfinished_precharge_is_out_of_place():
    """A public station once let it pass [V2G20-2005]."""
    made = client().to_scheduled()
    made.send_all(["DC_CableCheckReq"])
    made.send("DC_PreChargeReq", ev_processing=Ongoing)
    assert code_of(made.send("PowerDeliveryReq(Start)")) is ResponseCode.FAILED_SequenceError
    assert rules(made) == ["V2G20-2005"]


def test_start_without_cable_check_is_out_of_place_in_dc():
    made = client().to_scheduled()
    assert code_of(made.send("PowerDeliveryReq(Start)")) is ResponseCode.FAILED_SequenceError


# -- power delivery ------------------------------------------------------------------------------------------


def start(made: Client, **fields: Any) -> ResponseCode:
    return code_of(made.send("PowerDeliveryReq(Start)", **fields))


@pytest.mark.parametrize(
    ("power", "code", "reported"),
    [
        (150_000.0, OK, 0),
        (150_500.0, OK, 1),  # a fielded EV asks 0.36 % more than is offered
        (152_000.0, ResponseCode.FAILED_EVPowerProfileInvalid, 1),
    ],
)
def test_a_profile_over_the_schedule_is_invalid_but_rounding_is_forgiven(power, code, reported):
    made = client().to_prepared()
    assert start(made, ev_power_profile=made.profile([(3600, power)])) is code
    assert len(made.secc.events) == reported


def test_a_profile_beyond_the_end_of_the_schedule_is_invalid():
    made = client().to_prepared()
    day = schedules.DAY
    assert start(made.fork(), ev_power_profile=made.profile([(day, 1000.0), (600, 0.0)])) is OK
    late = made.profile([(day, 1000.0), (600, 1000.0)])
    assert start(made, ev_power_profile=late) is ResponseCode.FAILED_EVPowerProfileInvalid


def test_a_tuple_that_was_not_offered_is_an_invalid_selection():
    made = client().to_prepared()
    profile = made.profile([(60, 1.0)], tuple_id=9)
    assert start(made, ev_power_profile=profile) is ResponseCode.FAILED_ScheduleSelectionInvalid


def test_a_profile_of_the_other_control_mode_is_invalid():
    for index in (0, 1):
        made = client(index=index).to_prepared()
        profile = client(index=1 - index).to_selected().profile([(60, 1.0)])
        assert start(made, ev_power_profile=profile) is ResponseCode.FAILED_EVPowerProfileInvalid


@pytest.mark.parametrize(("strict", "code"), [(False, OK), (True, ResponseCode.FAILED_EVPowerProfileInvalid)])
def test_a_start_without_profile_is_tolerated_unless_strict(strict, code):
    made = client(strict=strict).to_prepared()
    assert start(made, ev_power_profile=None) is code
    assert len(made.secc.events) == 1


def with_tolerance(now: float, request: ScheduleRequest) -> tuple[common.ScheduleTuple, ...]:
    schedule = schedules.power_schedule(int(EPOCH), [(86_400.0, (10_000.0,))], tolerance=500.0)
    return (schedules.schedule_tuple(1, schedule),)


@pytest.mark.parametrize(
    ("answer", "power", "code"),
    [
        ("PowerToleranceConfirmed", 10_400.0, ResponseCode.OK_PowerToleranceConfirmed),
        ("PowerToleranceConfirmed", 10_700.0, ResponseCode.FAILED_EVPowerProfileInvalid),
        ("PowerToleranceNotConfirmed", 10_000.0, ResponseCode.WARNING_PowerToleranceNotConfirmed),
        ("PowerToleranceNotConfirmed", 10_400.0, ResponseCode.FAILED_EVPowerProfileInvalid),
        (None, 10_000.0, OK),
    ],
)
def test_power_tolerance_is_agreed_and_then_widens_the_schedule(answer, power, code):
    made = client(charger=BenchCharger(tuples=with_tolerance)).to_prepared()
    acceptance = None if answer is None else common.PowerToleranceAcceptance(answer)
    profile = made.profile([(3600, power)], power_tolerance_acceptance=acceptance)
    assert start(made, ev_power_profile=profile) is code


def test_the_charger_learns_tuple_and_profile():
    made = client().to_prepared()
    profile = made.profile([(600, 5_000.0)])
    start(made, ev_power_profile=profile)
    assert made.charger.profiles == [(1, profile)]
    dynamic = client(index=1).to_prepared()
    start(dynamic)
    assert dynamic.charger.profiles[0][0] is None


SEPARATE = EnergyMode(ServiceID.DC_BPT, ControlMode.DYNAMIC, 1, channel=BPTChannel.SEPARATED)


@pytest.mark.parametrize("channel", list(common.ChannelSelection))
def test_separate_channels_are_switched_as_the_ev_says(channel):
    made = client(ServiceID.DC_BPT, mode=SEPARATE).to_prepared()
    assert start(made, bpt_channel_selection=channel) is OK
    assert made.charger.direction is Direction(channel.value.lower())
    assert not made.secc.events


@pytest.mark.parametrize(
    ("strict", "code"), [(False, OK), (True, ResponseCode.FAILED_PowerDeliveryNotApplied)]
)
def test_separate_channels_need_a_choice(strict, code):
    made = client(ServiceID.DC_BPT, mode=SEPARATE, strict=strict).to_prepared()
    assert start(made) is code
    assert len(made.secc.events) == 1


def test_a_channel_with_unified_channels_is_noted_and_ignored():
    made = client(ServiceID.DC_BPT, 1).to_prepared()
    assert start(made, bpt_channel_selection=common.ChannelSelection.Discharge) is OK
    assert made.charger.direction is None
    assert len(made.secc.events) == 1


@pytest.mark.parametrize("service", [ServiceID.AC, ServiceID.DC])
def test_the_response_to_start_waits_for_the_contactor(service):
    made = client(service, charger=BenchCharger(start_delays=20)).to_prepared()
    before = made.now
    assert start(made) is OK
    assert 0.3 < made.now - before < 0.6
    assert made.charger.on


@pytest.mark.parametrize(
    "charger",
    [BenchCharger(start_delays=1000), BenchCharger(start_result=Progress.FAILED)],
    ids=["slow", "broken"],
)
def test_a_contactor_that_does_not_close_fails_within_1_5_s(charger):
    made = client(ServiceID.AC, charger=charger).to_prepared()
    before = made.now
    assert start(made) is ResponseCode.FAILED_ContactorError
    assert made.now - before < 1.5
    assert not made.charger.on


def test_the_response_to_stop_waits_for_the_contactor():
    made = client().to_loop()
    made.charger.stop_delays = 10
    before = made.now
    assert code_of(made.send("PowerDeliveryReq(Stop)")) is OK
    assert made.now - before > 0.15
    assert not made.charger.on


def test_a_request_while_the_contactor_switches_is_out_of_place():
    made = client(charger=BenchCharger(start_delays=1000)).to_prepared()
    assert made.secc.handle(made.build("PowerDeliveryReq(Start)"), made.now + 0.01) is None
    assert made.secc.closing is None
    response = made.secc.handle(made.build("SessionStopReq"), made.now + 0.1)
    assert response is not None
    assert code_of(response) is ResponseCode.FAILED_SequenceError


def test_the_ev_may_think_about_power_delivery():
    made = client().to_prepared()
    response = made.send("PowerDeliveryReq(Start)", ev_processing=Ongoing, ev_power_profile=None)
    assert code_of(response) is OK
    assert not made.charger.on
    assert start(made) is OK


# -- standby -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", [ServiceID.AC, ServiceID.DC])
def test_standby_needs_consent_and_the_session_goes_on_either_way(service):
    for allowed, code in ((True, OK), (False, ResponseCode.WARNING_StandbyNotAllowed)):
        made = client(service, charger=BenchCharger(standby_allowed=allowed)).to_loop()
        assert code_of(made.send("PowerDeliveryReq(Standby)")) is code
        made.send_all([made.loop, "PowerDeliveryReq(Start)", made.loop, "PowerDeliveryReq(Stop)"])
        assert not made.secc.events


@pytest.mark.parametrize("progress", ["Standby", "ScheduleRenegotiation"])
def test_a_tuple_that_was_not_offered_is_invalid_whatever_the_progress(progress):
    made = client().to_loop()
    profile = made.profile([(60, 1.0)], tuple_id=9)
    response = made.send(f"PowerDeliveryReq({progress})", ev_power_profile=profile)
    assert code_of(response) is ResponseCode.FAILED_ScheduleSelectionInvalid


def test_standby_before_the_first_transfer_leads_to_cable_check_in_dc():
    made = client().to_scheduled()
    made.send_all(["PowerDeliveryReq(Standby)", "PowerDeliveryReq(Standby)", "DC_CableCheckReq"])
    made.send_all(["DC_PreChargeReq", "PowerDeliveryReq(Start)", "DC_ChargeLoopReq"])
    unprepared = client().to_scheduled()
    unprepared.send_all(["PowerDeliveryReq(Standby)"])
    assert start(unprepared) is ResponseCode.FAILED_SequenceError


# -- schedule renegotiation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("service", [ServiceID.AC, ServiceID.DC_BPT])
@pytest.mark.parametrize("index", [0, 1])
def test_a_schedule_is_renegotiated_without_leaving_the_loop_for_long(service, index):
    made = client(service, index).to_loop()
    made.send_all(["PowerDeliveryReq(ScheduleRenegotiation)", "ScheduleExchangeReq"])
    assert made.charger.on
    made.send_all(["PowerDeliveryReq(Start)", made.loop])
    assert len(made.charger.profiles) == 2
    assert not made.secc.events


def test_new_limits_in_a_renegotiation_are_tolerated():
    made = client().to_loop()
    made.send_all(["PowerDeliveryReq(ScheduleRenegotiation)", "DC_ChargeParameterDiscoveryReq"])
    made.send_all(["ScheduleExchangeReq", "PowerDeliveryReq(Start)", "DC_ChargeLoopReq"])
    assert len(made.secc.events) == 1


def test_a_refused_renegotiation_keeps_the_old_schedule():
    made = client(charger=BenchCharger(renegotiation_ok=False)).to_loop()
    response = made.send("PowerDeliveryReq(ScheduleRenegotiation)")
    assert code_of(response) is ResponseCode.WARNING_ScheduleRenegotiationFailed
    made.send_all([made.loop])
    assert len(made.charger.profiles) == 1


# -- the end -------------------------------------------------------------------------------------------------


def test_welding_detection_sees_the_voltage_go():
    made = client().to_loop()
    made.send_all(["PowerDeliveryReq(Stop)"])
    assert float(made.send("DC_WeldingDetectionReq", ev_processing=Ongoing).evse_present_voltage) == 0
    made.send_all(["DC_WeldingDetectionReq", "SessionStopReq"])
    assert made.secc.closing is Closing.AFTER_PEER
    assert made.charger.ended == [False]
    assert not made.secc.events


@pytest.mark.parametrize(("strict", "code"), [(False, OK), (True, ResponseCode.FAILED)])
def test_the_control_pilot_must_be_back_in_b_at_the_end(strict, code):
    made = client(strict=strict).to_loop()
    made.charger.pilot = lambda: ControlPilot.C
    made.send_all(["PowerDeliveryReq(Stop)"])
    assert code_of(made.send("SessionStopReq")) is code
    assert len(made.secc.events) == 1


def test_a_session_stop_straight_from_the_loop_powers_off_and_is_reported():
    """A fielded EV does so; a strict station says FAILED_SequenceError."""
    made = client().to_loop()
    assert code_of(made.send("SessionStopReq")) is OK
    assert not made.charger.on
    assert rules(made) == ["V2G20-459"]


def test_the_reason_an_ev_gives_for_stopping_is_kept():
    made = client().to_selected()
    made.send("SessionStopReq", ev_termination_code="1", ev_termination_explanation="wrong service")
    assert made.secc.context.termination == ("1", "wrong service")
    assert "1 - wrong service" in made.secc.events[0].text


def test_a_vanished_ev_leaves_no_power_behind():
    made = client().to_loop()
    made.secc.disconnected(made.now)
    assert not made.charger.on
    assert made.charger.ended == [False]
    assert "Charge loop" in made.secc.events[0].text
    made.secc.disconnected(made.now)
    assert made.charger.ended == [False]


def test_sessions_do_not_touch_each_other():
    first, second = client().to_loop(), client().to_loop()
    first.send("DC_CableCheckReq")
    assert first.secc.closing is Closing.AFTER_PEER
    assert second.secc.closing is None
    second.send_all([second.loop])
    assert not second.secc.events


def test_prices_come_with_the_tuples():
    prices = schedules.absolute_prices(int(EPOCH), [(86_400, [schedules.price_rule(0.4)])])
    mode = replace(energy_modes(ServiceID.DC)[0], pricing=Pricing.ABSOLUTE)
    made = client(mode=mode, charger=BenchCharger(prices=prices)).to_selected()
    made.send_all(["DC_ChargeParameterDiscoveryReq"])
    (item,) = made.send("ScheduleExchangeReq").control_mode.schedule_tuple
    assert item.charging_schedule.price_schedule == prices


def test_bpt_offers_have_a_discharging_schedule():
    made = client(ServiceID.DC_BPT).to_selected()
    made.send_all(["DC_ChargeParameterDiscoveryReq"])
    (item,) = made.send("ScheduleExchangeReq").control_mode.schedule_tuple
    assert item.discharging_schedule is not None


def test_a_discharging_profile_is_checked_against_the_discharging_schedule():
    made = client(ServiceID.DC_BPT).to_prepared()
    assert start(made.fork(), ev_power_profile=made.profile([(600, -75_000.0)])) is OK
    over = made.profile([(600, -80_000.0)])
    assert start(made, ev_power_profile=over) is ResponseCode.FAILED_EVPowerProfileInvalid
    plain = client().to_prepared()
    back = plain.profile([(600, -1_000.0)])
    assert start(plain, ev_power_profile=back) is ResponseCode.FAILED_EVPowerProfileInvalid
