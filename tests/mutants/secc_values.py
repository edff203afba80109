"""Defects of an SECC in what messages carry: field checks, responses, crashes, growth, leaks."""

from __future__ import annotations

import struct
from typing import Any

import trio
from msgspec.structs import replace

from hlc_sim.secc import Station
from iso15118.messages import ac, common, dc
from iso15118.messages.common_types import Processing, RationalNumber, ResponseCode
from iso15118.session import schedules, secc_energy, secc_loop, secc_setup, secc_values
from iso15118.session.charger import Progress
from iso15118.session.secc import SECC
from iso15118.session.secc_context import Context, Refusal

from .model import Kind, Plant, secc_defect

_REFUSED = "answers OK to what must be refused"

# -- field checks --------------------------------------------------------------------------------------------


@secc_defect(
    "secc-charge-parameters-unchecked",
    Kind.FIELD,
    "minima above maxima and negative maxima pass",
    seen=_REFUSED,
)
def _(plant: Plant) -> None:
    plant.attribute(secc_energy, "_require_consistent", lambda problems, requirement: None)


@secc_defect(
    "secc-direction-unchecked", Kind.FIELD, "BPT parameters pass in a service without BPT", seen=_REFUSED
)
def _(plant: Plant) -> None:
    plant.attribute(secc_energy, "_require_direction", lambda ctx, bidirectional, requirement: None)


@secc_defect(
    "secc-service-unknown", Kind.FIELD, "details are given of a service that is not offered", seen=_REFUSED
)
def _(plant: Plant) -> None:
    def detail(sound: Any, ctx: Context, request: common.ServiceDetailReq, now: float) -> Any:
        try:
            return sound(ctx, request, now)
        except Refusal:
            known = sound(ctx, replace(request, service_id=int(ctx.config.energy[0].service)), now)
            return replace(known, service_id=request.service_id & 0xFFFF)

    plant.handler(common.ServiceDetailReq, detail)


@secc_defect(
    "secc-parameter-set-unknown", Kind.FIELD, "any parameter set of the service is taken", seen=_REFUSED
)
def _(plant: Plant) -> None:
    def selection(sound: Any, ctx: Context, request: common.ServiceSelectionReq, now: float) -> Any:
        chosen = request.selected_energy_transfer_service
        try:
            return sound(ctx, request, now)
        except Refusal:
            same = [mode for mode in ctx.config.energy if mode.service == chosen.service_id]
            if not same:
                raise
            first = replace(chosen, parameter_set_id=same[0].parameter_set_id)
            return sound(
                ctx, replace(request, selected_energy_transfer_service=first, selected_vas_list=None), now
            )

    plant.handler(common.ServiceSelectionReq, selection)


@secc_defect(
    "secc-authorization-unoffered",
    Kind.FIELD,
    "an authorization that is not offered counts as EIM",
    seen=_REFUSED,
)
def _(plant: Plant) -> None:
    def judge(sound: Any, ctx: Context, request: common.AuthorizationReq, now: float) -> Any:
        if request.selected_authorization_service not in ctx.offered_authorization:
            request = replace(
                request,
                selected_authorization_service=common.Authorization.EIM,
                authorization_mode=common.EIM_AReqAuthorizationMode(),
            )
        return sound(ctx, request, now)

    plant.around(secc_setup, "_judge", judge)


@secc_defect(
    "secc-schedule-tuple-unknown", Kind.FIELD, "a schedule tuple that was not offered is taken", seen=_REFUSED
)
def _(plant: Plant) -> None:
    def accept(sound: Any, ctx: Context, request: common.PowerDeliveryReq, now: float, *, side: bool) -> Any:
        try:
            return sound(ctx, request, now, side=side)
        except Refusal as refusal:
            if refusal.code is not ResponseCode.FAILED_ScheduleSelectionInvalid:
                raise
            return ResponseCode.OK

    plant.around(secc_energy, "_accept_profile", accept)


@secc_defect(
    "secc-profile-above-schedule", Kind.FIELD, "a power profile above the schedule passes", seen=_REFUSED
)
def _(plant: Plant) -> None:
    plant.attribute(schedules, "check_profile", lambda profile, offer, **how: [])


@secc_defect(
    "secc-control-mode-loop", Kind.FIELD, "either control mode passes in the charge loop", seen=_REFUSED
)
def _(plant: Plant) -> None:
    def variant(sound: Any, ctx: Context, element: Any) -> Any:
        try:
            return sound(ctx, element)
        except Refusal:
            return ctx.selected.scheduled, ctx.selected.bidirectional

    plant.around(secc_loop, "_variant", variant)


# -- responses -----------------------------------------------------------------------------------------------


@secc_defect(
    "secc-supporting-points",
    Kind.RESPONSE,
    "schedules have 96 entries, whatever MaximumSupportingPoints says",
    seen="more entries than the request allows",
)
def _(plant: Plant) -> None:
    def split(schedule: common.ChargingSchedule | None) -> common.ChargingSchedule | None:
        if schedule is None:
            return None
        power = schedule.power_schedule
        entries = power.power_schedule_entries.power_schedule_entry
        whole = sum(entry.duration for entry in entries)
        first = replace(entries[0], duration=max(1, whole // 96))
        fine = common.PowerScheduleEntryList(power_schedule_entry=[first] * 96)
        return replace(schedule, power_schedule=replace(power, power_schedule_entries=fine))

    def fit(sound: Any, item: common.ScheduleTuple, points: int) -> common.ScheduleTuple:
        return replace(
            item,
            charging_schedule=split(item.charging_schedule),
            discharging_schedule=split(item.discharging_schedule),
        )

    plant.around(schedules, "fit_tuple", fit)


def _loop_response(plant: Plant, change: Any) -> None:
    """`change(context, request, response)` for both kinds of charge loop."""

    def loop(sound: Any, ctx: Context, request: Any, now: float) -> Any:
        return change(ctx, request, sound(ctx, request, now))

    for request_class in (ac.AC_ChargeLoopReq, dc.DC_ChargeLoopReq):
        plant.handler(request_class, loop)


@secc_defect(
    "secc-meter-missing",
    Kind.RESPONSE,
    "MeterInfo never comes, though asked for",
    seen="an element is missing",
)
def _(plant: Plant) -> None:
    _loop_response(plant, lambda ctx, request, response: replace(response, meter_info=None))


@secc_defect(
    "secc-limits-above-discovery",
    Kind.RESPONSE,
    "limits in the DC loop exceed those of parameter discovery",
    seen="a limit above the one stated before",
)
def _(plant: Plant) -> None:
    def raised(ctx: Context, request: Any, response: Any) -> Any:
        mode = response.control_mode
        power = getattr(mode, "evse_maximum_charge_power", None)
        if power is not None:
            mode.evse_maximum_charge_power = RationalNumber.of(float(power) * 1.2)
        return response

    _loop_response(plant, raised)


@secc_defect(
    "secc-discharge-sign",
    Kind.RESPONSE,
    "discharge limits of parameter discovery are negative",
    unseen="only a note of the judge: some stacks have it so",
)
def _(plant: Plant) -> None:
    plant.attribute(secc_values, "signed", lambda value, dialect: tuple(-abs(v) for v in value or (0.0,)))


@secc_defect(
    "secc-sap-without-schema-id",
    Kind.RESPONSE,
    "a protocol is agreed on without its SchemaID",
    seen="an element is missing",
)
def _(plant: Plant) -> None:
    def sap(sound: Any, *arguments: Any) -> Any:
        return replace(sound(*arguments), schema_id=None)

    plant.around(secc_setup, "supported_app_protocol", sap)


@secc_defect(
    "secc-control-mode-answer",
    Kind.RESPONSE,
    "the charge loop is always answered in the scheduled mode's element",
    seen="the answer is of another kind than the request",
)
def _(plant: Plant) -> None:
    def loop(sound: Any, first: Any, scheduled: bool, bidirectional: bool, needs: Any, *rest: Any) -> Any:
        return sound(first, True, bidirectional, {}, *rest)

    plant.around(secc_values, "ac_loop", loop)
    plant.around(secc_values, "dc_loop", loop)


@secc_defect(
    "secc-lowered-limits-ignored",
    Kind.CHECK,
    "limits that the EV lowers in the loop are not taken",
    unseen="the power stage takes its time, so that no single answer is wrong",
)
def _(plant: Plant) -> None:
    plant.attribute(secc_values, "dc_limits_of_loop", lambda mode, known: known)
    plant.around(secc_values, "ac_limits_of", lambda sound, mode, known=None: known or sound(mode))


@secc_defect(
    "secc-isolation-failure-passes",
    Kind.CHECK,
    "a failed isolation test is Finished with OK",
    unseen="takes a fault of the hardware",
)
def _(plant: Plant) -> None:
    def cable_check(sound: Any, ctx: Context, request: Any, now: float) -> Any:
        try:
            return sound(ctx, request, now)
        except Refusal:
            return dc.DC_CableCheckRes(
                header=ctx.header(now),
                response_code=ResponseCode.OK,
                evse_processing=Processing.Finished,
            )

    plant.handler(dc.DC_CableCheckReq, cable_check)


@secc_defect(
    "secc-contactor-failure-passes",
    Kind.CHECK,
    "PowerDelivery(Start) is OK although the contactor does not close",
    unseen="takes a fault of the hardware",
)
def _(plant: Plant) -> None:
    def switch(sound: Any, self: Context, what: str, progress: Progress, now: float) -> bool:
        self.finished(what)
        return True

    plant.around(Context, "switch", switch)


# -- crashes -------------------------------------------------------------------------------------------------

_CRASH = "a crash"


@secc_defect("secc-crash-zero-power", Kind.CRASH, "divides by EVMaximumChargePower", seen=_CRASH)
def _(plant: Plant) -> None:
    def dc_parameters(sound: Any, ctx: Context, request: Any, now: float) -> Any:
        mode = request.energy_transfer_mode
        _ = float(mode.ev_maximum_charge_current) / float(mode.ev_maximum_charge_power)
        return sound(ctx, request, now)

    plant.handler(dc.DC_ChargeParameterDiscoveryReq, dc_parameters)


@secc_defect("secc-crash-exponent", Kind.CRASH, "RationalNumbers go into 32 bits", seen=_CRASH)
def _(plant: Plant) -> None:
    def precharge(sound: Any, ctx: Context, request: Any, now: float) -> Any:
        struct.pack(">i", int(float(request.ev_target_voltage) * 1000))
        return sound(ctx, request, now)

    plant.handler(dc.DC_PreChargeReq, precharge)


@secc_defect("secc-crash-no-service-filter", Kind.CRASH, "SupportedServiceIDs must be there", seen=_CRASH)
def _(plant: Plant) -> None:
    def discovery(sound: Any, ctx: Context, request: Any, now: float) -> Any:
        len(request.supported_service_ids.service_id)
        return sound(ctx, request, now)

    plant.handler(common.ServiceDiscoveryReq, discovery)


@secc_defect(
    "secc-empty-service-list", Kind.CRASH, "a filter without a common service leaves no service", seen=_CRASH
)
def _(plant: Plant) -> None:
    def discovery(sound: Any, ctx: Context, request: Any, now: float) -> Any:
        response = sound(ctx, request, now)
        if request.supported_service_ids is not None:
            wanted = set(request.supported_service_ids.service_id)
            offered = response.energy_transfer_service_list
            offered.service = [service for service in offered.service if service.service_id in wanted]
        return response

    plant.handler(common.ServiceDiscoveryReq, discovery)


@secc_defect("secc-crash-long-evccid", Kind.CRASH, "EVCCID goes into 17 + 3 characters", seen=_CRASH)
def _(plant: Plant) -> None:
    def session_setup(sound: Any, ctx: Context, request: Any, now: float) -> Any:
        buffer = bytearray(20)
        for place, octet in enumerate(request.evcc_id.encode("ascii")):
            buffer[place] = octet
        return sound(ctx, request, now)

    plant.handler(common.SessionSetupReq, session_setup)


@secc_defect(
    "secc-crash-garbage",
    Kind.CRASH,
    "a payload that does not decode ends the program of the station",
    seen=_CRASH,
)
def _(plant: Plant) -> None:
    dead: list[bool] = []

    def undecodable(self: SECC, now: float, payload_type: int, reason: str) -> None:
        dead.append(True)
        raise struct.error(reason)

    async def handle(sound: Any, self: Station, stream: trio.abc.Stream) -> None:
        if dead:
            await trio.aclose_forcefully(stream)
        else:
            await sound(self, stream)

    plant.attribute(SECC, "undecodable", undecodable)
    plant.around(Station, "handle", handle)


# -- growth and leaks ----------------------------------------------------------------------------------------


@secc_defect(
    "secc-growth-requests", Kind.GROWTH, "every request is kept for ever", seen="memory grows with each case"
)
def _(plant: Plant) -> None:
    kept: list[tuple[bytes, object]] = []

    def handle(sound: Any, self: SECC, request: Any, *arguments: Any) -> Any:
        kept.append((bytes(4096), request))
        return sound(self, request, *arguments)

    plant.around(SECC, "handle", handle)


@secc_defect(
    "secc-leak-last-evccid",
    Kind.LEAK,
    "SessionSetupRes carries the EVCCID of the session before in EVSEID",
    seen="a value that only another session sent",
)
def _(plant: Plant) -> None:
    last: list[str] = []

    def session_setup(sound: Any, ctx: Context, request: Any, now: float) -> Any:
        response = sound(ctx, request, now)
        if last:
            response.evse_id = last.pop()[:255]
        last.append(request.evcc_id)
        return response

    plant.handler(common.SessionSetupReq, session_setup)
