"""Cases for an EVCC that take several sessions, or in which the station acts in earnest."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from iso15118.messages.common_types import EVSENotification
from iso15118.messages.dc import Scheduled_DC_CLReqControlMode
from iso15118.session.charger import SiteWish, Verdict
from iso15118.session.events import Role
from iso15118.session.secc_config import energy_modes
from iso15118.session.services import VAS

from ..charger import Outlet, Site
from ..config.common import MODES
from ..config.station import StationConfig
from ..scenario.model import Step
from ..scenario.runner import Attempt
from .bench import Bench, codes, expect, messages, names
from .making import replace
from .model import Group, Inconclusive
from .procedure import Register

procedure = Register(Role.EVCC)
_WISH = 1.5
"""s of the session at which the site wants something."""
_LOOPS = 20
"""Charge loops that a simulated EV would make if nothing were asked of it."""
_POWER_OFF = "PowerDeliveryReq(Stop)"


def _station(bench: Bench, *, mode: str = "", **parts: Any) -> StationConfig:
    """Ours: patient, and without the rule that a plain link resumes nothing."""
    secc = {"resume_without_certificate": True, **parts.pop("secc", {})}
    return StationConfig(modes=(mode or bench.capabilities.service,), timers="relaxed", secc=secc, **parts)


async def _notified(bench: Bench, notification: EVSENotification, control: str | None = None) -> Attempt:
    site = Site(wishes=((_WISH, SiteWish(notification, 5.0)),))
    return await bench.session(
        station=_station(bench, site=site), evcc={"charge_loops": _LOOPS}, control=control
    )


# -- what the SECC asks for ----------------------------------------------------------------------------------


@procedure(Group.RENEGOTIATION, "DC_ChargeLoopRes", needs=("notifications",))
async def termination_is_followed(bench: Bench) -> None:
    """The SECC asks for the end of the session in the charge loop (EVSENotification Terminate, 5 s).

    Stops the energy transfer in that time, then ends the session with SessionStopReq(Terminate).
    """
    made = await _notified(bench, EVSENotification.Terminate)
    loops = _loops_after(made, "Terminate")
    _stopped(made, "Terminate")
    expect(not loops or loops[-1] <= 6.0, f"still in the charge loop {loops[-1] if loops else 0:.1f} s later")


@procedure(
    Group.PAUSE,
    "DC_ChargeLoopRes",
    requirements=("V2G20-2115", "V2G20-1850"),
    needs=("notifications", "pause"),
)
async def a_pause_is_followed(bench: Bench) -> None:
    """The SECC asks for a pause in the charge loop (EVSENotification Pause).

    Stops the energy transfer, and pauses with SessionStopReq(Pause).
    """
    made = await _notified(bench, EVSENotification.Pause, "dynamic" if _dynamic(bench) else None)
    _stopped(made, "Pause")


@procedure(
    Group.RENEGOTIATION,
    "SessionStopRes",
    requirements=("V2G20-1477",),
    needs=("notifications", "service_renegotiation"),
)
async def the_service_is_renegotiated(bench: Bench) -> None:
    """The SECC asks for a renegotiation of the service in the charge loop.

    Stops with SessionStopReq(ServiceRenegotiation), and goes on with ServiceDiscoveryReq on this connection.
    """
    made = await _notified(bench, EVSENotification.ServiceRenegotiation)
    _stopped(made, "ServiceRenegotiation")
    said = names(made, Role.EVCC)
    after = said[said.index("SessionStopReq") + 1 :]
    expect(after and after[0] == "ServiceDiscoveryReq", f"{after[0] if after else 'nothing'} came next")
    expect(made.ok, f"the session did not come to its proper end: {made.ended}")


@procedure(
    Group.RENEGOTIATION,
    "PowerDeliveryReq",
    needs=("notifications", "schedule_renegotiation", "control:scheduled"),
)
async def the_schedule_is_renegotiated(bench: Bench) -> None:
    """The SECC asks for a renegotiation of the schedule in the charge loop.

    Exchanges the schedule anew, on either stream, and goes on.
    """
    made = await _notified(bench, EVSENotification.ScheduleRenegotiation, "scheduled")
    first = next((f.time for f in made.record.seen if f.name.endswith("ChargeLoopReq")), None)
    late = [f for f in made.record.seen if f.name == "ScheduleExchangeReq" and first and f.time > first]
    expect(late, "no ScheduleExchangeReq in the charge loop")
    expect(made.ok, f"the session did not come to its proper end: {made.ended}")


def _dynamic(bench: Bench) -> bool:
    return "dynamic" in bench.capabilities.control


def _loops_after(made: Attempt, wish: str) -> list[float]:
    """When charge-loop requests came after the SECC had said what it wants, s."""
    asked = next(
        (
            frame.time
            for frame in made.record.seen
            if (status := getattr(frame.message, "evse_status", None)) is not None
            and status.evse_notification == wish
        ),
        None,
    )
    if asked is None:
        raise Inconclusive(f"the session ended before the SECC asked for it: {made.ended}")
    return [
        frame.time - asked
        for frame in made.record.seen
        if frame.name.endswith("ChargeLoopReq") and frame.time > asked
    ]


def _stopped(made: Attempt, how: str) -> None:
    _loops_after(made, how)
    stops = messages(made, "SessionStopReq")
    expect(stops, f"no SessionStopReq: {made.ended}")
    said = stops[0].charging_session.value
    expect(said == how, f"SessionStopReq said {said}; expected {how}")
    expect(_POWER_OFF in names(made, Role.EVCC), f"no {_POWER_OFF} before SessionStopReq")


# -- pause and resume ----------------------------------------------------------------------------------------


async def _pause(bench: Bench) -> bytes:
    made = await _notified(bench, EVSENotification.Pause, "dynamic" if _dynamic(bench) else None)
    if not any(stop.charging_session == "Pause" for stop in messages(made, "SessionStopReq")):
        raise Inconclusive(f"the EV did not pause: {made.ended}")
    found: bytes = messages(made, "SessionSetupRes")[0].header.session_id
    return found


async def _back(bench: Bench, steps: Sequence[Step] = ()) -> Attempt:
    return await bench.session(steps, station=_station(bench), control="dynamic" if _dynamic(bench) else None)


@procedure(
    Group.PAUSE,
    "SessionSetupReq",
    requirements=("V2G20-1843", "V2G20-2097", "V2G20-2098"),
    needs=("notifications", "pause"),
)
async def a_paused_session_is_resumed(bench: Bench) -> None:
    """The EV pauses, connects again and is joined with its session.

    Names the SessionID of the paused session, and goes on at ChargeParameterDiscovery.
    """
    paused = await _pause(bench)
    made = await _back(bench)
    _asks_for(made, paused)
    if codes(made, "SessionSetupRes")[:1] != ["OK_OldSessionJoined"]:
        raise Inconclusive(f"our station did not join it: {made.ended}")
    said = [*names(made, Role.EVCC), "nothing"]
    following = said[said.index("SessionSetupReq") + 1]
    expect(following.endswith("ChargeParameterDiscoveryReq"), f"{following} came after the resume")
    expect(made.ok, f"the resumed session did not come to its proper end: {made.ended}")


@procedure(
    Group.PAUSE,
    "SessionSetupRes",
    requirements=("V2G20-2615", "V2G20-2616", "V2G20-2617"),
    needs=("notifications", "pause"),
)
async def a_resume_that_is_answered_with_a_new_session(bench: Bench) -> None:
    """The EV pauses, connects again, and the SECC has forgotten the session.

    Forgets it, too: starts over with the authorization under the new SessionID.
    """
    paused = await _pause(bench)
    bench.store.take(paused)
    made = await _back(bench)
    _asks_for(made, paused)
    said = names(made, Role.EVCC)
    following = said[said.index("SessionSetupReq") + 1 :]
    expect(
        not following or following[0] in ("AuthorizationSetupReq", "SessionStopReq"),
        f"{following[0] if following else ''} came after a new session was established",
    )
    expect("AuthorizationReq" in following or not made.ok, "the EV was not authorized anew")


def _asks_for(made: Attempt, paused: bytes) -> None:
    asked = messages(made, "SessionSetupReq")
    expect(asked, "no SessionSetupReq")
    given = asked[0].header.session_id
    expect(given == paused, f"SessionSetupReq named {given.hex()}, the paused session was {paused.hex()}")


# -- services and authorization ------------------------------------------------------------------------------


@procedure(Group.SERVICES, "ServiceDetailRes", requirements=("V2G20-467",))
async def parameter_sets_under_other_ids(bench: Bench) -> None:
    """The parameter sets of the energy service have ids that no other stack uses.

    Selects one of those that are offered.
    """
    mode = bench.capabilities.service
    station = _station(bench)
    station.energy = tuple(
        dataclasses.replace(item, parameter_set_id=700 + index)
        for index, item in enumerate(energy_modes(MODES[mode]))
    )
    made = await bench.session(station=station)
    chosen = messages(made, "ServiceSelectionReq")
    expect(chosen, f"no ServiceSelectionReq: {made.ended}")
    number = chosen[0].selected_energy_transfer_service.parameter_set_id
    offered = [item.parameter_set_id for item in station.energy]
    expect(number in offered, f"ParameterSetID {number} was selected, offered are {offered}")
    expect(made.ok, f"the session did not come to its proper end: {made.ended}")


@procedure(Group.SERVICES, "ServiceDiscoveryRes")
async def value_added_services_are_not_for_everyone(bench: Bench) -> None:
    """The SECC offers value added services of its own.

    Selects none that it does not know, and goes on.
    """
    unknown = tuple(VAS(number, {1: {"Meaning": "none"}}) for number in (60_001, 60_002))
    made = await bench.session(station=_station(bench, secc={"vas": unknown}))
    expect(made.ok, f"the session did not come to its proper end: {made.ended}")
    for request in messages(made, "ServiceSelectionReq"):
        held = request.selected_vas_list
        chosen = [] if held is None else [item.service_id for item in held.selected_service]
        expect(not {60_001, 60_002} & set(chosen), f"value added services {chosen} were selected")


@procedure(Group.SERVICES, "AuthorizationRes", requirements=("V2G20-2230",), needs=("eim",))
async def a_rejected_identification(bench: Bench) -> None:
    """The external identification is rejected (WARNING_EIMAuthorizationFailure, Finished).

    Asks again or ends the session; it does not go on to the services.
    """
    made = await bench.session(station=_station(bench, outlet=Outlet(authorization=Verdict.REJECTED)))
    expect(codes(made, "AuthorizationRes"), f"no AuthorizationReq: {made.ended}")
    expect("ServiceDiscoveryReq" not in names(made, Role.EVCC), "ServiceDiscoveryReq after the rejection")


# -- power ---------------------------------------------------------------------------------------------------


@procedure(
    Group.VALUES,
    "DC_ChargeLoopRes",
    requirements=("V2G20-2654",),
    needs=("service:dc", "control:scheduled"),
)
async def a_lower_current_is_kept(bench: Bench) -> None:
    """The EVSE's current limit is 20 A from the first charge loop on (DC, scheduled).

    Asks for no more from the second request after that on.
    """
    limit = 20.0
    step = replace("DC_ChargeLoopRes", 0, set={"control_mode.evse_maximum_charge_current": limit})
    made = await bench.session(
        (step,), mode="dc", control="scheduled", station=_station(bench, mode="dc"), evcc={"charge_loops": 6}
    )
    modes = [request.control_mode for request in messages(made, "DC_ChargeLoopReq")]
    wanted = [float(m.ev_target_current) for m in modes if isinstance(m, Scheduled_DC_CLReqControlMode)]
    if len(wanted) < 4:
        raise Inconclusive(f"only {len(wanted)} charge loops under scheduled control: {made.ended}")
    expect(max(wanted[2:]) <= limit + 0.5, f"asked for {max(wanted[2:]):g} A of {limit:g} A")


@procedure(Group.VALUES, "DC_PreChargeRes", needs=("service:dc",))
async def no_power_before_the_voltages_match(bench: Bench) -> None:
    """The pre-charge voltage stays at 10 V.

    Does not send PowerDeliveryReq(Start) while its own pre-charge is Ongoing.
    """
    step = replace("DC_PreChargeRes", 0, set={"evse_present_voltage": 10})
    made = await bench.session((step,), mode="dc", station=_station(bench, mode="dc"))
    said = [(frame.name, frame.message) for frame in made.record.seen if frame.sender is Role.EVCC]
    for (last_name, last), (name, _) in pairwise(said):
        if name == "PowerDeliveryReq(Start)" and last_name == "DC_PreChargeReq":
            expect(last.ev_processing == "Finished", "PowerDeliveryReq(Start) while pre-charge was Ongoing")  # type: ignore[union-attr]


@procedure(Group.VALUES, "DC_PreChargeRes", needs=("service:dc",))
async def pre_charge_takes_a_look_at_the_voltage(bench: Bench) -> None:
    """The pre-charge voltage stays at 10 V: what the EV says at once.

    Stays Ongoing; it does not say Finished in the first second.
    """
    step = replace("DC_PreChargeRes", 0, set={"evse_present_voltage": 10})
    made = await bench.session((step,), mode="dc", station=_station(bench, mode="dc"))
    asked = [frame for frame in made.record.seen if frame.name == "DC_PreChargeReq"]
    for frame in asked:
        early = frame.time - asked[0].time <= 1.0
        said = frame.message.ev_processing  # type: ignore[union-attr]
        expect(not early or said == "Ongoing", "pre-charge was Finished at 10 V")


@procedure(Group.SERVICES, "ScheduleExchangeRes", needs=("service:dc", "control:scheduled"))
async def the_tuple_that_is_offered(bench: Bench) -> None:
    """The only schedule tuple has the id 4077.

    Selects that one.
    """
    step = replace("ScheduleExchangeRes", 0, set={"control_mode.schedule_tuple[0].schedule_tuple_id": 4077})
    station = _station(bench, mode="dc")
    made = await bench.session((step,), mode="dc", control="scheduled", station=station)
    profiles = [m.ev_power_profile for m in messages(made, "PowerDeliveryReq") if m.ev_power_profile]
    expect(profiles, f"no power profile: {made.ended}")
    chosen = profiles[0].control_mode.selected_schedule_tuple_id
    expect(chosen == 4077, f"tuple {chosen} was selected, 4077 was offered")


@procedure(Group.FIELDS, "supportedAppProtocolReq")
async def sessions_one_after_another(bench: Bench) -> None:
    """Three sessions one after another.

    Each succeeds, under the SessionID that its own SessionSetupRes gave.
    """
    for number in range(3):
        made = await bench.session(station=_station(bench))
        expect(made.ok, f"session {number + 1} did not come to its proper end: {made.ended}")
        given = messages(made, "SessionSetupRes")[0].header.session_id
        used = {
            frame.message.header.session_id  # type: ignore[attr-defined]
            for frame in made.record.seen
            if frame.sender is Role.EVCC
            and frame.message is not None
            and frame.name not in ("supportedAppProtocolReq", "SessionSetupReq")
        }
        expect(used == {given}, f"session {number + 1} was under another SessionID")
