"""SECC: charge parameters, schedules, and their renegotiation."""

from __future__ import annotations

import pytest

from iso15118.messages import ac, common, xmldsig
from iso15118.messages.common_types import ResponseCode
from iso15118.session import schedules
from iso15118.session.charger import ControlPilot, ScheduleRequest
from iso15118.session.events import Role
from iso15118.session.fillers import fillers
from iso15118.session.secc_config import Trust
from iso15118.session.services import (
    Dialect,
    Family,
    ServiceID,
)
from iso15118.session.values import ACGrid, ACLimits, MobilityNeeds

from .client import Finished, Ongoing, code_of, of, offering, rules, start
from .pair import EPOCH, BenchCharger

OK = ResponseCode.OK
WRONG = ResponseCode.FAILED_WrongChargeParameter


# -- charge parameters ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", [ServiceID.AC, ServiceID.AC_BPT, ServiceID.DC, ServiceID.DC_BPT])
def test_parameters_of_the_other_direction_are_wrong(service):
    made = offering(service).to_selected()
    request = made.build(f"{made.family.value}_ChargeParameterDiscoveryReq")
    other = offering(ServiceID(service + 4 if not service.bidirectional else service - 4)).to_selected()
    request.energy_transfer_mode = other.build(type(request).__name__).energy_transfer_mode
    assert code_of(made.send(request)) is WRONG
    assert rules(made) == ["V2G20-1619" if made.family is Family.AC else "V2G20-2272"]


@pytest.mark.parametrize("service", [ServiceID.AC_BPT, ServiceID.DC_BPT, ServiceID.MCS_BPT])
@pytest.mark.parametrize("negative", [False, True])
def test_discharge_limits_are_magnitudes_unless_the_dialect_says_otherwise(service, negative):
    made = offering(service, dialect=Dialect(negative_discharge_limits=negative)).to_selected()
    mode = made.send(f"{made.family.value}_ChargeParameterDiscoveryReq").energy_transfer_mode
    assert float(mode.evse_maximum_discharge_power) == (-1 if negative else 1) * (
        11_000 if made.family is Family.AC else 60_000
    )


def test_negative_discharge_limits_of_the_ev_are_understood_and_noted():
    made = offering(ServiceID.DC_BPT).to_selected()
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
    made = offering().to_selected()
    request = made.build("DC_ChargeParameterDiscoveryReq")
    for name, value in changes.items():
        setattr(request.energy_transfer_mode, name, value)
    assert code_of(made.send(request)) is WRONG


def test_ac_limits_and_grid_are_told_per_phase():
    charger = BenchCharger(ac=ACLimits((7_000.0, 6_000.0, 5_000.0), (100.0, 100.0, 100.0)))
    charger.ac_grid = lambda now: ACGrid(60.0, 4_000.0, 25.0)  # type: ignore[method-assign]
    made = offering(ServiceID.AC, charger=charger).to_selected()
    mode = made.send("AC_ChargeParameterDiscoveryReq").energy_transfer_mode
    assert float(mode.evse_maximum_charge_power) == 7_000
    assert float(mode.evse_maximum_charge_power_l2) == 6_000
    assert float(mode.evse_maximum_charge_power_l3) == 5_000
    assert float(mode.evse_nominal_frequency) == 60
    assert (float(mode.maximum_power_asymmetry), float(mode.evse_power_ramp_limitation)) == (4_000, 25)


@pytest.mark.parametrize("phase", ["l2", "l3"])
def test_limits_of_a_phase_that_contradict_each_other_are_wrong(phase):
    made = offering(ServiceID.AC).to_selected()
    limits = {f"ev_maximum_charge_power_{phase}": of(1_000), f"ev_minimum_charge_power_{phase}": of(2_000)}
    mode = ac.AC_CPDReqEnergyTransferMode(
        ev_maximum_charge_power=of(5_000), ev_minimum_charge_power=of(0), **limits
    )
    assert code_of(made.send("AC_ChargeParameterDiscoveryReq", energy_transfer_mode=mode)) is WRONG


def test_ac_limits_that_cannot_work_are_wrong():
    made = offering(ServiceID.AC).to_selected()
    mode = ac.AC_CPDReqEnergyTransferMode(
        ev_maximum_charge_power=of(5_000), ev_minimum_charge_power=of(6_000)
    )
    assert code_of(made.send("AC_ChargeParameterDiscoveryReq", energy_transfer_mode=mode)) is WRONG


# -- schedules -----------------------------------------------------------------------------------------------


def test_a_control_mode_that_was_not_selected_fails():
    for index, element in ((0, 1), (1, 0)):
        made = offering(index=index).to_selected()
        made.send_all(["DC_ChargeParameterDiscoveryReq"])
        wrong = offering(index=element).to_selected().build("ScheduleExchangeReq").control_mode
        assert code_of(made.send("ScheduleExchangeReq", control_mode=wrong)) is ResponseCode.FAILED
        assert rules(made) == ["V2G20-1600"]


def test_the_ev_waits_while_the_schedule_is_made_and_ongoing_is_complete():
    for index in (0, 1):
        made = offering(index=index, charger=BenchCharger(schedule_delays=2)).to_selected()
        made.send_all(["DC_ChargeParameterDiscoveryReq"])
        answers = [made.send("ScheduleExchangeReq").evse_processing for _ in range(3)]
        assert answers == [Ongoing, Ongoing, Finished]


def many(now: float, request: ScheduleRequest) -> tuple[common.ScheduleTuple, ...]:
    entries = [(60.0, (float(1000 + 10 * (index % 7)),)) for index in range(500)]
    prices = schedules.price_levels(int(EPOCH), [(60, index % 3) for index in range(500)])
    return (schedules.schedule_tuple(1, schedules.power_schedule(int(EPOCH + now), entries), prices=prices),)


@pytest.mark.parametrize("points", [12, 100, 1024])
def test_no_schedule_has_more_points_than_the_ev_can_take(points):
    made = offering(charger=BenchCharger(tuples=many)).to_selected()
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
        made = offering(index=index, charger=BenchCharger(site_needs=needs)).to_selected()
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
            made = offering(ServiceID.DC_BPT, 1, strict=strict).to_selected()
            made.send_all(["DC_ChargeParameterDiscoveryReq"])
            request = made.build("ScheduleExchangeReq")
            for name, value in values.items():
                setattr(request.control_mode, name, value)
            assert code_of(made.send(request)) is (ResponseCode.FAILED if strict else OK), field
            assert rules(made) == [rule]


def test_a_station_without_schedule_fails_and_says_so():
    made = offering(charger=BenchCharger(tuples=lambda now, request: ())).to_selected()
    made.send_all(["DC_ChargeParameterDiscoveryReq"])
    assert code_of(made.send("ScheduleExchangeReq")) is ResponseCode.FAILED
    assert made.secc.events[0].offender is Role.SECC


def test_supporting_points_outside_the_schema_are_reported_and_read_as_the_nearest():
    made = offering().to_selected()
    made.send_all(["DC_ChargeParameterDiscoveryReq"])
    assert code_of(made.send("ScheduleExchangeReq", maximum_supporting_points=3)) is OK
    assert made.charger.schedule_requests[0].max_points == 12
    assert len(made.secc.events) == 1


def test_price_schedules_are_signed_where_somebody_signs_them():
    made = offering().to_selected()
    made.send_all(["DC_ChargeParameterDiscoveryReq"])
    signature = xmldsig.Signature(**fillers(xmldsig.Signature))
    made.secc.context.trust = Trust(sign_prices=lambda response, contract: signature)
    assert made.send("ScheduleExchangeReq").header.signature is signature


def test_an_ac_ev_that_shows_state_c_before_start_is_noted():
    made = offering(ServiceID.AC)
    made.charger.pilot = lambda: ControlPilot.C
    made.to_prepared()
    assert start(made) is OK
    assert rules(made) == ["V2G20-1617"]


def test_a_power_tolerance_that_was_not_offered_cannot_be_confirmed():
    made = offering().to_prepared()
    confirmed = common.PowerToleranceAcceptance.PowerToleranceConfirmed
    profile = made.profile([(60, 1000.0)], power_tolerance_acceptance=confirmed)
    assert start(made, ev_power_profile=profile) is OK
    assert len(made.secc.events) == 1


def test_go_to_pause_is_said_and_an_early_stop_accepted():
    made = offering(charger=BenchCharger(go_to_pause=True)).to_selected()
    made.send_all(["DC_ChargeParameterDiscoveryReq"])
    assert made.send("ScheduleExchangeReq").go_to_pause is True
    made.send_all(["PowerDeliveryReq(Stop)"])
    assert code_of(made.send("SessionStopReq", charging_session=common.ChargingSession.Pause)) is OK
    assert not made.secc.events


def test_an_energy_offer_reaches_the_charger():
    made = offering(ServiceID.DC_BPT).to_selected()
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


# -- schedule renegotiation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("service", [ServiceID.AC, ServiceID.DC_BPT])
@pytest.mark.parametrize("index", [0, 1])
def test_a_schedule_is_renegotiated_without_leaving_the_loop_for_long(service, index):
    made = offering(service, index).to_loop()
    made.send_all(["PowerDeliveryReq(ScheduleRenegotiation)", "ScheduleExchangeReq"])
    assert made.charger.on
    made.send_all(["PowerDeliveryReq(Start)", made.loop])
    assert len(made.charger.profiles) == 2
    assert not made.secc.events


def test_new_limits_in_a_renegotiation_are_tolerated():
    made = offering().to_loop()
    made.send_all(["PowerDeliveryReq(ScheduleRenegotiation)", "DC_ChargeParameterDiscoveryReq"])
    made.send_all(["ScheduleExchangeReq", "PowerDeliveryReq(Start)", "DC_ChargeLoopReq"])
    assert len(made.secc.events) == 1


def test_a_refused_renegotiation_keeps_the_old_schedule():
    made = offering(charger=BenchCharger(renegotiation_ok=False)).to_loop()
    response = made.send("PowerDeliveryReq(ScheduleRenegotiation)")
    assert code_of(response) is ResponseCode.WARNING_ScheduleRenegotiationFailed
    made.send_all([made.loop])
    assert len(made.charger.profiles) == 1
