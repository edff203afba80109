"""The simulated vehicle: energy is conserved, currents taper, limits and wishes are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlc_sim.vehicle import Battery, Driver, OnBoardCharger, SimulatedVehicle
from iso15118.session.charger import ControlPilot
from iso15118.session.values import MobilityNeeds, total
from iso15118.session.vehicle import Supply, Wish


def test_voltage_rises_with_state_of_charge_up_to_the_maximum() -> None:
    voltages = [Battery(soc=soc).open_circuit_voltage for soc in range(0, 101, 5)]
    assert voltages == sorted(voltages)
    assert voltages[0] == pytest.approx(330)
    assert voltages[-1] == pytest.approx(420, abs=0.1)


def test_charging_tapers_and_never_exceeds_the_maximum_voltage() -> None:
    battery = Battery(soc=20)
    currents = []
    for _ in range(4 * 3600):
        current = battery.charge_current_limit()
        currents.append(current)
        battery.flow(current, 1.0)
        assert battery.voltage <= battery.max_voltage + 0.05, "but for the rise within one step"
        assert battery.voltage * battery.current <= battery.max_charge_power * 1.001
    assert currents[0] > 200
    assert currents[-1] == 0.0
    assert currents == sorted(currents, reverse=True)
    assert battery.soc > 98


@given(st.floats(5, 95), st.floats(-200, 200), st.floats(0.1, 600))
def test_stored_energy_is_what_flowed_less_the_losses(soc: float, current: float, seconds: float) -> None:
    battery = Battery(soc=soc)
    before = battery.energy
    source = battery.open_circuit_voltage
    battery.flow(current, seconds)
    lost = battery.current**2 * battery.resistance * seconds / 3600
    assert battery.energy - before == pytest.approx(battery.charged - battery.discharged - lost, abs=1e-6)
    assert battery.energy - before == pytest.approx(source * battery.current * seconds / 3600, abs=1e-6)


def test_neither_more_than_full_nor_less_than_empty() -> None:
    battery = Battery(soc=99.9)
    battery.flow(200.0, 3600.0)
    assert battery.soc == pytest.approx(100)
    battery.flow(-200.0, 36000.0)
    assert battery.soc == pytest.approx(0)


def test_the_inlet_shows_no_voltage_that_cannot_be() -> None:
    vehicle = SimulatedVehicle(Battery())
    vehicle.supply(0.0, Supply(voltage=9.2e145, current=0.0))
    assert 0 < vehicle.measure(0.0).inlet_voltage < 10_000


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"soc": 101.0}, "soc is 101"),
        ({"min_voltage": 500.0}, "min_voltage 500.0 V must be between 0 and max_voltage 420"),
        ({"capacity": 0.0}, "capacity is 0.0"),
    ],
)
def test_impossible_batteries_are_refused(values: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Battery(**values)


def dc_vehicle(soc: float = 40, **driver: object) -> SimulatedVehicle:
    vehicle = SimulatedVehicle(Battery(soc=soc), driver=Driver(**driver), bidirectional=True, speed=60)  # type: ignore[arg-type]
    vehicle.dc_limits(0.0)
    vehicle.measure(0.0)
    vehicle.control_pilot(0.0, ControlPilot.C)
    vehicle.contactors(0.0, closed=True)
    return vehicle


def test_simulated_time_runs_faster() -> None:
    vehicle = dc_vehicle()
    vehicle.supply(0.0, Supply(voltage=380, current=100))
    vehicle.measure(6.0)
    six_minutes = vehicle.battery.charged
    assert six_minutes == pytest.approx(100 * vehicle.battery.voltage / 10, rel=0.03), "10 Ah"


def test_energy_needs_fall_as_energy_flows_and_turn_negative() -> None:
    vehicle = dc_vehicle(soc=79)
    before = vehicle.needs(0.0)
    assert before.target_energy == pytest.approx(600)
    assert before.min_energy is not None
    assert before.min_energy < 0
    vehicle.supply(0.0, Supply(voltage=400, current=100))
    after = vehicle.needs(2.0)
    assert after.target_energy is not None
    assert after.target_energy < 0
    assert after.departure == pytest.approx(4 * 3600 - 120)


def test_it_stops_when_charged_and_asks_for_no_more_current() -> None:
    vehicle = dc_vehicle(soc=79.9)
    assert vehicle.wish(0.0) is Wish.CHARGE
    assert vehicle.dc_target(0.0).current > 100
    vehicle.supply(0.0, Supply(voltage=400, current=100))
    assert vehicle.wish(1.0) is Wish.STOP
    assert vehicle.dc_target(1.0).current == 0


def test_it_sells_first_and_then_charges() -> None:
    vehicle = dc_vehicle(soc=50, discharge_first_to=49.5)
    assert vehicle.dc_target(0.0).current < -100
    vehicle.supply(0.0, Supply(voltage=380, current=-100))
    assert vehicle.dc_target(1.0).current > 100
    assert vehicle.battery.discharged > 0


def test_wishes_come_at_their_time_and_renegotiations_once() -> None:
    vehicle = dc_vehicle(wishes=[(60.0, Wish.RENEGOTIATE_SCHEDULE), (120.0, Wish.PAUSE)])
    assert vehicle.wish(0.5) is Wish.CHARGE
    assert [vehicle.wish(1.0), vehicle.wish(1.0)] == [Wish.RENEGOTIATE_SCHEDULE, Wish.CHARGE]
    assert [vehicle.wish(2.0), vehicle.wish(2.1)] == [Wish.PAUSE, Wish.PAUSE]


def test_a_pause_is_wished_until_it_is_over() -> None:
    vehicle = dc_vehicle(wishes=[(60.0, Wish.PAUSE), (600.0, Wish.PAUSE)])
    vehicle.wish(0.0)
    assert vehicle.wish(2.0) is Wish.PAUSE
    vehicle.pause_over()
    assert vehicle.wish(3.0) is Wish.CHARGE
    assert vehicle.wish(12.0) is Wish.PAUSE


def test_needs_of_the_site_are_adopted() -> None:
    vehicle = dc_vehicle()
    vehicle.adopt_needs(0.0, MobilityNeeds(target_soc=60, departure=600), 30)
    needs = vehicle.needs(1.0)
    assert needs.target_soc == 60
    assert needs.departure == pytest.approx(540)
    assert needs.target_energy == pytest.approx(12_000)


def ac_vehicle(**values: float) -> SimulatedVehicle:
    vehicle = SimulatedVehicle(on_board_charger=OnBoardCharger(**values), bidirectional=True)  # type: ignore[arg-type]
    vehicle.ac_limits(0.0)
    vehicle.measure(0.0)
    vehicle.control_pilot(0.0, ControlPilot.C)
    return vehicle


def test_ac_follows_the_set_point_at_its_ramp_within_its_limits() -> None:
    vehicle = ac_vehicle()
    vehicle.supply(0.0, Supply(active_power=(50_000.0,)))
    assert total(vehicle.measure(1.0).active_power) == pytest.approx(4_000)
    assert total(vehicle.measure(10.0).active_power) == pytest.approx(11_000)
    vehicle.supply(10.0, Supply(active_power=(-5_000.0,)))
    assert total(vehicle.measure(30.0).active_power) == pytest.approx(-5_000)
    assert vehicle.battery.discharged > 0


def test_ac_stays_below_the_ceiling_and_off_below_its_minimum() -> None:
    vehicle = ac_vehicle()
    vehicle.supply(0.0, Supply(charge_power=6_000))
    assert total(vehicle.measure(30.0).active_power) == pytest.approx(6_000)
    vehicle.supply(30.0, Supply(charge_power=1_000))
    assert total(vehicle.measure(60.0).active_power) == 0


def test_ac_needs_control_pilot_c() -> None:
    vehicle = ac_vehicle()
    vehicle.control_pilot(0.0, ControlPilot.B)
    assert total(vehicle.measure(60.0).active_power) == 0
    assert vehicle.battery.charged == 0


def test_losses_of_the_on_board_charger() -> None:
    vehicle = ac_vehicle(ramp=1e9, efficiency=0.9)
    vehicle.supply(0.0, Supply(active_power=(10_000.0,)))
    vehicle.measure(360.0)
    assert vehicle.battery.charged == pytest.approx(900, rel=0.01)
