"""Defects of an EVCC in services, preparation, power and values."""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from iso15118.messages import common, dc
from iso15118.messages.common_types import Processing, RationalNumber
from iso15118.session import evcc_loop, evcc_prepare, evcc_schedule
from iso15118.session.evcc import EVCC
from iso15118.session.evcc_dialogue import Dialogue
from iso15118.session.evcc_loop import Transfer
from iso15118.session.evcc_prepare import Preparation
from iso15118.session.evcc_setup import Setup
from iso15118.session.services import ServiceID
from iso15118.session.values import ACLimits, DCLimits
from iso15118.session.vehicle import Supply

from .model import Kind, Plant, evcc_defect

# -- services, order -----------------------------------------------------------------------------------------


@evcc_defect(
    "evcc-parameter-set-fixed",
    Kind.REQUEST,
    "ParameterSetID 1 is selected, whatever was offered",
    seen="a pair that was not offered",
)
def _(plant: Plant) -> None:
    def select(sound: Any, self: Setup, mode: Any, vas: Any) -> Any:
        yield from sound(self, dataclasses.replace(mode, parameter_set_id=1), vas)
        self.result.mode = mode

    plant.around(Setup, "select_services", select)


@evcc_defect(
    "evcc-precharge-ongoing",
    Kind.STATE,
    "PowerDelivery after the first PreChargeRes, whatever its voltage",
    seen="a request out of order",
)
def _(plant: Plant) -> None:
    def pre_charge(self: Preparation) -> Any:
        yield from self.ask_pre_charge(Processing.Ongoing)
        self.vehicle.contactors(self.now, True)
        self.prepared = True

    plant.attribute(Preparation, "pre_charge", pre_charge)


@evcc_defect(
    "evcc-contactors-unequal",
    Kind.CHECK,
    "pre-charge is Finished without a look at the voltage",
    unseen="the requests come in order",
)
def _(plant: Plant) -> None:
    def pre_charge(self: Preparation) -> Any:
        yield from self.ask_pre_charge(Processing.Ongoing)
        yield from self.ask_pre_charge(Processing.Finished)
        self.vehicle.contactors(self.now, True)
        self.prepared = True

    plant.attribute(Preparation, "pre_charge", pre_charge)


@evcc_defect(
    "evcc-stop-under-power",
    Kind.STATE,
    "SessionStop straight from the charge loop",
    seen="a request out of order",
)
def _(plant: Plant) -> None:
    def power_off(self: EVCC) -> Any:
        self.delivering = self.prepared = False
        yield from ()

    plant.attribute(EVCC, "power_off", power_off)


# -- limits --------------------------------------------------------------------------------------------------


@evcc_defect(
    "evcc-ac-overdraw",
    Kind.CHECK,
    "the on-board charger follows neither the EVSE's set-point nor its limits",
    unseen="what it draws takes its time, so that no single request is wrong",
)
def _(plant: Plant) -> None:
    def supply(sound: Any, self: Transfer, response: Any) -> Supply:
        found: Supply = sound(self, response)
        return dataclasses.replace(found, charge_power=math.inf, active_power=None)

    plant.around(Transfer, "_ac_supply", supply)


@evcc_defect(
    "evcc-limits-raised",
    Kind.REQUEST,
    "EV limits in the loop exceed those of parameter discovery",
    seen="a limit above the one stated before",
)
def _(plant: Plant) -> None:
    def within_dc(limits: DCLimits, stated: DCLimits) -> DCLimits:
        return replace(limits, max_charge_power=stated.max_charge_power * 1.2)

    def within_ac(limits: ACLimits, stated: ACLimits) -> ACLimits:
        return replace(limits, max_charge=tuple(power * 1.2 for power in stated.max_charge))

    plant.attribute(evcc_loop, "_within_dc", within_dc)
    plant.attribute(evcc_loop, "_within_ac", within_ac)


@evcc_defect(
    "evcc-profile-above-schedule",
    Kind.REQUEST,
    "EVPowerProfile exceeds the schedule by a tenth",
    seen="a profile above the schedule",
)
def _(plant: Plant) -> None:
    plant.attribute(evcc_schedule, "_floor", lambda number: RationalNumber.of(number * 1.1))


@evcc_defect(
    "evcc-tuple-fixed",
    Kind.REQUEST,
    "schedule tuple 1 is selected, whatever was offered",
    seen="a tuple that was not offered",
)
def _(plant: Plant) -> None:
    def message(sound: Any, self: evcc_schedule.Plan) -> common.EVPowerProfile:
        return sound(replace(self, tuple_id=1))  # type: ignore[no-any-return]

    plant.around(evcc_schedule.Plan, "message", message)


# -- crashes, hang, growth -----------------------------------------------------------------------------------

_CRASH = "a crash"


@evcc_defect("evcc-crash-no-meter", Kind.CRASH, "MeterInfo must be there when asked for", seen=_CRASH)
def _(plant: Plant) -> None:
    def check(sound: Any, self: Transfer, response: Any, ask_meter: bool) -> None:
        if ask_meter:
            len(response.meter_info.meter_id)
        sound(self, response, ask_meter)

    plant.around(Transfer, "_check_meter", check)


@evcc_defect("evcc-crash-zero-limit", Kind.CRASH, "divides by EVSEMaximumChargePower", seen=_CRASH)
def _(plant: Plant) -> None:
    def limits(sound: Any, parameters: Any) -> Any:
        _ = float(parameters.evse_minimum_charge_power) / float(parameters.evse_maximum_charge_power)
        return sound(parameters)

    plant.around(evcc_prepare, "evse_dc_limits", limits)
    plant.around(evcc_prepare, "evse_ac_limits", limits)


@evcc_defect(
    "evcc-crash-unknown-service", Kind.CRASH, "a ServiceID must be one of the standard's", seen=_CRASH
)
def _(plant: Plant) -> None:
    def discover(sound: Any, self: Setup) -> Any:
        response = yield from sound(self)
        for service in response.energy_transfer_service_list.service:
            ServiceID(service.service_id)
        return response

    plant.around(Setup, "discover_services", discover)


@evcc_defect("evcc-crash-exponent", Kind.CRASH, "voltages go into 16 bits of 0.1 V", seen=_CRASH)
def _(plant: Plant) -> None:
    def ask(sound: Any, self: Dialogue, request: Any, response_type: Any, **how: Any) -> Any:
        response = yield from sound(self, request, response_type, **how)
        if isinstance(response, dc.DC_PreChargeRes | dc.DC_ChargeLoopRes):
            struct.pack(">H", int(float(response.evse_present_voltage) * 10))
        return response

    plant.around(Dialogue, "ask", ask)


@evcc_defect(
    "evcc-hang-zero-duration",
    Kind.CRASH,
    "a schedule without duration is gone through for ever",
    seen="a hang",
)
def _(plant: Plant) -> None:
    def check(sound: Any, self: Preparation, tuples: Sequence[common.ScheduleTuple]) -> None:
        for item in tuples:
            entries = item.charging_schedule.power_schedule.power_schedule_entries.power_schedule_entry
            covered = 0
            while covered < 60:
                covered += sum(entry.duration for entry in entries)
        sound(self, tuples)

    plant.around(Preparation, "check_tuples", check)


@evcc_defect(
    "evcc-growth-responses",
    Kind.GROWTH,
    "every response is kept for ever",
    seen="memory grows with each case",
)
def _(plant: Plant) -> None:
    kept: list[tuple[bytes, object]] = []

    def exchange(sound: Any, self: Dialogue, *arguments: Any) -> Any:
        response = yield from sound(self, *arguments)
        kept.append((bytes(4096), response))
        return response

    plant.around(Dialogue, "exchange", exchange)
