"""Cases for an EVCC that follow from the sequence table, the timer table and the messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from iso15118.messages.common_types import ResponseCode
from iso15118.session.events import Role
from iso15118.session.sequence import LOOP_MESSAGES, stem
from iso15118.session.services import Family
from iso15118.session.timers import STRICT

from ..charger import IsolationMonitor, Outlet, Site
from ..config.station import StationConfig
from ..scenario.model import Do, Step
from .elements import numbers, omissible
from .making import CONTINUES, FOREIGN, MODE, NEVER, SURVIVES, ends, make, places, replace, values_of
from .model import Case, Group
from .way import FAMILIES

_EVCC = Role.EVCC
_LOOP = {Family.DC: "DC_ChargeLoopRes", Family.AC: "AC_ChargeLoopRes"}
_FATAL = ("V2G20-735",)
_MARGIN = 2.0
"""s for an EVCC to close the connection."""


def cases() -> Iterator[Case]:
    """All of them."""
    yield from codes()
    yield from silence()
    yield from sequence()
    yield from session_ids()
    yield from frames()
    yield from omissions()
    yield from bounds()
    yield from schedules()


def _answered() -> Iterator[tuple[Family | None, str, int, str]]:
    """Family, response, occurrence and name of each place on the way."""
    for family, stop in places():
        again = "" if stop.occurrence == 1 else f"-{stop.occurrence}"
        if stop.message == "PowerDeliveryReq" and stop.at != "PowerDeliveryReq(Start)":
            yield family, stop.response, 2, f"{stop.response}-2"
        elif stop.occurrence == 1 or stem(stop.message) in LOOP_MESSAGES:
            yield family, stop.response, stop.occurrence, f"{stop.response}{again}"


# -- response codes ------------------------------------------------------------------------------------------


def codes() -> Iterator[Case]:
    """FAILED in each response; each code of the FAILED family; each WARNING."""
    for family, response, occurrence, name in _answered():
        if response == "supportedAppProtocolRes":
            continue
        yield make(
            _EVCC,
            Group.CODES,
            f"{name}.FAILED",
            f"FAILED in {response}",
            "Any FAILED response is fatal: sends nothing more and closes the connection.",
            (replace(response, occurrence, set={"response_code": "FAILED"}),),
            ends(within=3),
            message=response,
            family=family,
            requirements=_FATAL,
        )
    for code in ResponseCode:
        if code.is_failed and code is not ResponseCode.FAILED:
            for family in FAMILIES:
                yield make(
                    _EVCC,
                    Group.CODES,
                    f"loop.{code.value}",
                    f"{code.value} in {_LOOP[family]}",
                    "Any code of the FAILED family is fatal, expected there or not.",
                    (replace(_LOOP[family], 2, set={"response_code": code.value}),),
                    ends(within=3),
                    message=_LOOP[family],
                    family=family,
                    requirements=_FATAL,
                    thorough=family is Family.AC,
                )
    for family in FAMILIES:
        for warning in ("WARNING_EVPowerProfileViolation", "WARNING_ScheduleRenegotiationFailed"):
            yield make(
                _EVCC,
                Group.CODES,
                f"loop.{warning}",
                f"{warning} in {_LOOP[family]}",
                "A warning ends nothing: goes on.",
                (replace(_LOOP[family], 2, set={"response_code": warning}),),
                CONTINUES,
                message=_LOOP[family],
                family=family,
                requirements=("V2G20-734",),
            )
    yield make(
        _EVCC,
        Group.CODES,
        "supportedAppProtocolRes.Failed_NoNegotiation",
        "the SECC finds no common protocol",
        "Closes the connection without another message.",
        (
            replace(
                "supportedAppProtocolRes",
                set={"response_code": "Failed_NoNegotiation"},
                unset=("schema_id",),
            ),
        ),
        ends(within=3),
        message="supportedAppProtocolRes",
    )
    yield make(
        _EVCC,
        Group.CODES,
        "supportedAppProtocolRes.minor-deviation",
        "the SECC agrees with a minor deviation",
        "That is an agreement: goes on.",
        (
            replace(
                "supportedAppProtocolRes",
                set={"response_code": "OK_SuccessfulNegotiationWithMinorDeviation"},
            ),
        ),
        CONTINUES,
        message="supportedAppProtocolRes",
        requirements=("V2G20-149",),
    )


# -- time ----------------------------------------------------------------------------------------------------


def silence() -> Iterator[Case]:
    """Each response does not come; or it comes late, but in time; or after the timeout."""
    for family, response, occurrence, name in _answered():
        exchange = stem(response)
        timer = STRICT.timer("V2G_EVCC_Msg_Timeout", exchange)
        limit = timer.seconds
        yield make(
            _EVCC,
            Group.SILENCE,
            f"{name}.nothing",
            f"{response} never comes, the connection stays open",
            f"Its message timeout of {limit:g} s ends the session.",
            (Step(response, Do.SILENCE, occurrence),),
            ends(within=limit + _MARGIN, after=0.5 * limit),
            message=response,
            family=family,
            requirements=timer.requirements,
        )
        yield make(
            _EVCC,
            Group.SILENCE,
            f"{name}.late-in-time",
            f"{response} comes {0.7 * limit:g} s late, within the message timeout",
            "Takes it, and goes on.",
            (Step(response, Do.DELAY, occurrence, seconds=0.7 * limit),),
            CONTINUES,
            message=response,
            family=family,
            requirements=timer.requirements,
        )
        if occurrence == 1:
            yield make(
                _EVCC,
                Group.SILENCE,
                f"{name}.too-late",
                f"{response} comes {limit + 1:g} s late, after the message timeout",
                "The session is over by then.",
                (Step(response, Do.DELAY, occurrence, seconds=limit + 1),),
                ends(within=limit + 1 + _MARGIN),
                message=response,
                family=family,
                requirements=timer.requirements,
            )
    for response, timer_name, station in (
        ("AuthorizationRes", "V2G_EVCC_Ongoing_Timeout", _slow(outlet=Outlet(authorization_time=NEVER))),
        ("ScheduleExchangeRes", "V2G_EVCC_Ongoing_Timeout", _slow(site=Site(planning_time=NEVER))),
        (
            "DC_CableCheckRes",
            "V2G_EVCC_CableCheck_Timeout",
            _slow(outlet=Outlet(isolation=IsolationMonitor(duration=NEVER))),
        ),
    ):
        limit = STRICT.seconds(timer_name)
        yield make(
            _EVCC,
            Group.SILENCE,
            f"{response}.ongoing-for-ever",
            f"{response} says Ongoing for ever",
            f"Bounds its patience: ends the session at its timeout ({limit:g} s, at the latest 60 s).",
            (replace(response, 0, set={"evse_processing": "Ongoing"}),),
            ends(within=60 + 5, after=limit / 2),
            message=response,
            family=Family.DC if response.startswith("DC_") else None,
            station=station,
        )


def _slow(**parts: Any) -> StationConfig:
    """A station that is never ready, so that its state agrees with what it is made to say."""
    return StationConfig(timers="relaxed", **parts)


# -- order ---------------------------------------------------------------------------------------------------


def sequence() -> Iterator[Case]:
    """Responses that belong to another request, and requests in place of responses."""
    kinds = list(dict.fromkeys(response for _, response, _, _ in _answered()))
    for family, response, occurrence, name in _answered():
        if response == "supportedAppProtocolRes":
            continue
        index = kinds.index(response)
        other = kinds[index - 1] if index > 2 else "AuthorizationRes"
        for wrong, what in (
            (other, "the response of another exchange"),
            (response.removesuffix("Res") + "Req", "its own request sent back"),
        ):
            yield make(
                _EVCC,
                Group.SEQUENCE,
                f"{name}.{wrong}",
                f"{wrong} instead of {response}: {what}",
                "Ends the session: nothing answers its request.",
                (replace(response, occurrence, message=wrong),),
                ends(within=6, allow=("sequence.order",)),
                message=response,
                family=family,
            )


def session_ids() -> Iterator[Case]:
    """Responses under another SessionID: the EV must not adopt it."""
    for family, response, occurrence, name in _answered():
        if response in ("supportedAppProtocolRes", "SessionSetupRes") or occurrence > 1:
            continue
        yield make(
            _EVCC,
            Group.SESSION_ID,
            f"{name}.foreign",
            f"{response} under another SessionID",
            "Ends the session, or goes on under the SessionID of SessionSetupRes; never adopts the other.",
            (replace(response, occurrence, set={"header.session_id": FOREIGN}),),
            SURVIVES,
            message=response,
            family=family,
        )


# -- frames --------------------------------------------------------------------------------------------------


def frames() -> Iterator[Case]:
    """Each response as an EXI document that is cut, and in a frame that is not V2GTP."""
    for family, response, occurrence, name in _answered():
        if occurrence > 1:
            continue
        limit = STRICT.limit("V2G_EVCC_Msg_Timeout", stem(response))
        for suffix, what, step, sound, expect in (
            (
                "cut",
                "without its last three octets, the length says so",
                replace(response, truncate=3),
                "Ends the session.",
                ends(within=limit + _MARGIN),
            ),
            (
                "version",
                "with V2GTP version 2",
                replace(response, version=2),
                "Ends the session.",
                ends(within=limit + _MARGIN),
            ),
            (
                "in-pieces",
                "in pieces of three bytes",
                Step(response, Do.DRIP, chunk=3, seconds=0.001),
                "A response in pieces is a response: goes on.",
                CONTINUES,
            ),
        ):
            yield make(
                _EVCC,
                Group.FRAMES,
                f"{name}.{suffix}",
                f"{response} {what}",
                sound,
                (step,),
                expect,
                message=response,
                family=family,
            )


# -- values --------------------------------------------------------------------------------------------------


def omissions() -> Iterator[Case]:
    """Each optional element of each response left out, one at a time."""
    for omission in omissible(_EVCC):
        yield make(
            _EVCC,
            Group.VALUES,
            f"{omission.name}.absent",
            f"{omission.message} without {omission.wire}",
            "What is optional may be absent: goes on."
            if omission.harmless
            else f"Ends the session or goes on, and must not crash: {omission.reason}.",
            (replace(omission.message, 0, unset=(omission.path,)),),
            CONTINUES if omission.harmless else SURVIVES,
            message=omission.message,
            family=omission.family,
            control=omission.control,
        )


def bounds() -> Iterator[Case]:
    """Each number in each response at zero, below it, and beyond all use, one at a time."""
    for element in numbers(_EVCC):
        for name, value, typical in values_of(element):
            yield make(
                _EVCC,
                Group.VALUES,
                f"{element.name}.{name}",
                f"{element.message} with {element.wire} {name}",
                "Goes on, or ends the session in good order: refuses what breaks a rule, and must not crash.",
                (replace(element.message, set={element.path: value}),),
                SURVIVES,
                message=element.message,
                family=element.family,
                control=element.control,
                station=_at_once(element.family) if element.message == "ScheduleExchangeRes" else None,
                thorough=not typical,
            )


def _at_once(family: Family | None = None) -> StationConfig:
    """A station that has its schedule at once: what is spoilt is no answer Ongoing, which nobody reads."""
    return StationConfig(modes=(MODE[family or Family.DC],), timers="relaxed")


def schedules() -> Iterator[Case]:
    """One extreme value in the power schedule."""
    first = "power_schedule_entries.power_schedule_entry[0]"
    entry = f"control_mode.schedule_tuple[0].charging_schedule.power_schedule.{first}"
    for name, title, field, value in (
        ("duration-zero", "The only entry of the power schedule lasts 0 s", "duration", 0),
        ("power-zero", "The power schedule is of 0 W", "power", 0),
        ("power-negative", "The power schedule is of -11 kW", "power", -11_000),
        (
            "power-huge",
            "The power schedule is beyond all use",
            "power",
            {"exponent": 127, "value": 32767},
        ),
    ):
        yield make(
            _EVCC,
            Group.VALUES,
            f"schedule-{name}",
            title,
            "Goes on, or ends the session in good order; it must not crash or hang.",
            (replace("ScheduleExchangeRes", set={f"{entry}.{field}": value}),),
            SURVIVES,
            message="ScheduleExchangeRes",
            mode="dc",
            control="scheduled",
            station=_at_once(),
        )
