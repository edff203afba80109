"""Services and parameter sets: what is sent, and what public stacks send."""

from __future__ import annotations

import itertools

import pytest

from iso15118.messages import common
from iso15118.messages.common_types import RationalNumber
from iso15118.session.services import (
    BPTChannel,
    ControlMode,
    Dialect,
    EnergyMode,
    Family,
    GeneratorMode,
    IslandingDetection,
    MobilityNeedsMode,
    Pricing,
    ServiceID,
    family_of,
    parameter,
    parameter_value,
    read_parameter_set,
)

ENERGY = [service for service in ServiceID if service.family in (Family.AC, Family.DC)]


def test_service_ids_are_those_of_the_standard():
    assert {service.name: service.value for service in ServiceID} == {
        "AC": 1,
        "DC": 2,
        "WPT": 3,
        "DC_ACDP": 4,
        "AC_BPT": 5,
        "DC_BPT": 6,
        "DC_ACDP_BPT": 7,
        "MCS": 8,
        "MCS_BPT": 9,
        "INTERNET": 65,
        "PARKING_STATUS": 66,
    }
    assert [family_of(number) for number in (1, 2, 8, 9, 4, 3, 65, 10)] == [
        Family.AC,
        Family.DC,
        Family.DC,
        Family.DC,
        Family.ACDP,
        Family.WPT,
        None,
        None,
    ]


MODES = [
    EnergyMode(
        service,
        control,
        5,
        mobility,
        pricing,
        connector=3 if service.family is Family.AC else 2,
        channel=BPTChannel.SEPARATED if service.bidirectional else BPTChannel.UNIFIED,
        generator=GeneratorMode.GRID_FORMING if service.bidirectional else GeneratorMode.GRID_FOLLOWING,
        islanding=IslandingDetection.ACTIVE if service is ServiceID.AC_BPT else IslandingDetection.PASSIVE,
    )
    for service, control, mobility, pricing in itertools.product(
        ENERGY, ControlMode, MobilityNeedsMode, Pricing
    )
]


@pytest.mark.parametrize(
    "mode", MODES, ids=lambda mode: f"{mode.service.name}-{mode.control}{mode.mobility}{mode.pricing}"
)
def test_a_mode_is_read_as_it_was_sent_in_every_dialect(mode):
    for connector, name in itertools.product(
        (2, 3), ("DetectionMethodGridCodeIslanding", "GridCodeIslandingDetectionMethod")
    ):
        sent = mode.parameter_set(Dialect(three_phase_connector=connector, islanding_name=name))
        reading = read_parameter_set(mode.service, sent)
        if mode.mobility is MobilityNeedsMode.SECC and mode.control is ControlMode.SCHEDULED:
            assert reading.mode is None
            assert reading.problems == ("MobilityNeedsMode 2 needs ControlMode 2 [V2G20-2663]",)
        else:
            assert reading.mode == mode
            assert reading.problems == ()


def parameter_set(**values: int) -> common.ParameterSet:
    return common.ParameterSet(
        parameter_set_id=1, parameter=[parameter(name, value) for name, value in values.items()]
    )


def test_josevs_parameter_sets_are_understood_and_noted():
    """Connector 2, nominal voltage in DC too, no BPT parameters in BPT sets."""
    josev = {
        "Connector": 2,
        "EVSENominalVoltage": 400,
        "Pricing": 0,
        "ControlMode": 1,
        "MobilityNeedsMode": 1,
    }
    ac = read_parameter_set(5, parameter_set(**josev))
    assert ac.mode is not None
    assert (ac.mode.phases, ac.mode.nominal_voltage, ac.mode.channel) == (3, 400, BPTChannel.UNIFIED)
    assert "Connector 2 means three phases here" in ac.notes
    assert "BPTChannel is missing" in ac.notes
    direct = read_parameter_set(6, parameter_set(**josev))
    assert direct.mode is not None
    assert direct.mode.connector == 2
    assert "EVSENominalVoltage in a parameter set that is not AC" in direct.notes


@pytest.mark.parametrize(
    ("service", "values", "problem"),
    [
        (2, {"Connector": 1, "MobilityNeedsMode": 1, "Pricing": 0}, "ControlMode is missing"),
        (2, {"Connector": 9, "ControlMode": 1}, "connector 9 is not one of DC"),
        (8, {"Connector": 8, "ControlMode": 1}, "connector 8 is not one of MCS"),
        (1, {"Connector": 4, "ControlMode": 1}, "an AC connector has 1 or 3 phases, not 4"),
        (2, {"ControlMode": 3}, "3 is not a valid ControlMode"),
        (2, {"ControlMode": 1, "Pricing": 7}, "7 is not a valid Pricing"),
        (5, {"ControlMode": 1, "DetectionMethodGridCodeIslanding": 9}, "islanding detection is 9"),
        (65, {"Port": 80}, "service 65 is not an energy service"),
        (10, {"ControlMode": 1}, "service 10 is not known"),
    ],
)
def test_an_unusable_parameter_set_says_why(service, values, problem):
    reading = read_parameter_set(service, parameter_set(**values))
    assert reading.mode is None
    assert problem in reading.problems


def test_a_control_mode_of_the_wrong_kind_is_named():
    wrong = common.ParameterSet(
        parameter_set_id=1, parameter=[common.Parameter(name="ControlMode", finite_string="dynamic")]
    )
    assert read_parameter_set(2, wrong).problems[0] == "ControlMode is 'dynamic', not an integer"


@pytest.mark.parametrize("value", [True, False, 7, -3, 2.5, "https"])
def test_a_parameter_keeps_its_value(value):
    assert parameter_value(parameter("X", value)) == value


def test_parameters_of_the_narrow_kinds_are_read():
    assert parameter_value(common.Parameter(name="X", byte_value=-5)) == -5
    assert parameter_value(common.Parameter(name="X", short_value=300)) == 300
    assert (
        parameter_value(common.Parameter(name="X", rational_number=RationalNumber(exponent=-1, value=5)))
        == 0.5
    )
    assert parameter_value(common.Parameter(name="X")) is None


def test_only_energy_services_have_a_family():
    with pytest.raises(ValueError, match="service 65 is not an energy service"):
        _ = EnergyMode(ServiceID.INTERNET, ControlMode.DYNAMIC).family
