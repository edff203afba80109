"""Cases for an SECC that follow from the sequence table, the timer table and the messages."""

from __future__ import annotations

from collections.abc import Iterator

from iso15118.messages.common import ChargeProgress
from iso15118.session.events import Role
from iso15118.session.sequence import LOOP_MESSAGES, Phase, stem
from iso15118.session.services import Family
from iso15118.session.timers import STRICT

from ..scenario.model import Do, Expect, Outcome, Step
from .elements import numbers, omissible
from .making import ANSWERS, CONTINUES, FOREIGN, ends, make, places, refuses, replace, request, values_of
from .model import Case, Group
from .way import FAMILIES, Stop, way

_SECC = Role.SECC
_IN_SESSION_ID = 79
"""A bit of the SessionID in every EXI document of -20: what is before it takes less than 4 bytes."""
_LOOP = {Family.DC: "DC_ChargeLoopReq", Family.AC: "AC_ChargeLoopReq"}
_UNDER_VOLTAGE = Expect(Outcome.ANSWERS, allow=("loop.ev-limits",))
"""The battery's voltage is at the outlet, whatever the EV says that it bears."""
_SESSION_UNKNOWN = ("V2G20-460",)
_ORDER = ("V2G20-459",)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from sequence()
    yield from session_ids()
    yield from silence()
    yield from frames()
    yield from omissions()
    yield from bounds()


# -- order ---------------------------------------------------------------------------------------------------


def sequence() -> Iterator[Case]:
    """At each place on the way, requests that the table does not let follow there."""
    for family, stop in places():
        if stop.row.to is Phase.CONNECTED:
            continue
        for kind, typical in _wrong(family or Family.DC, stop):
            codes = ["FAILED_SequenceError"]
            if stop.row.to is Phase.PROTOCOL_CHOSEN:
                codes.append("FAILED_UnknownSession")  # there is no session yet that it could belong to
            yield make(
                _SECC,
                Group.SEQUENCE,
                f"{stop.name}.{kind.replace('(', '-').replace(')', '')}",
                f"{kind} where {stop.at} is due ({stop.row.to.value})",
                "Answers FAILED_SequenceError in the response that belongs to the request; ends the session.",
                (replace(stop.at, stop.occurrence, **request(kind)),),
                refuses(*codes),
                message=kind.partition("(")[0],
                family=family,
                requirements=tuple(dict.fromkeys((*_ORDER, *stop.row.requirements))),
                thorough=not typical,
            )


def _wrong(family: Family, stop: Stop) -> list[tuple[str, bool]]:
    """Kinds of requests that are out of order at a place; True for the ones that stand for their class: a
    step skipped, a step repeated, the session begun anew, services chosen anew, power without preparation,
    a message of another service.
    """
    stops = way(family)
    index = next((i for i, s in enumerate(stops) if s == stop), 0)
    neighbours = {s.at for s in (stops[index - 1], *stops[index + 1 : index + 3])}
    other = Family.AC if family is Family.DC else Family.DC
    typical = {
        "SessionSetupReq",
        "ServiceSelectionReq",
        f"PowerDeliveryReq({ChargeProgress.Start.value})",
        _LOOP[family],
        _LOOP[other],
        *neighbours,
    }
    kinds = dict.fromkeys(
        [s.at for s in stops if s.row.to is not Phase.CONNECTED]
        + [f"PowerDeliveryReq({progress.value})" for progress in ChargeProgress]
        + ["CertificateInstallationReq", "AuthorizationReq", "ServiceDiscoveryReq", _LOOP[other]]
    )
    found = []
    for kind in kinds:
        name = kind.partition("(")[0]
        if not (stop.row.expects(name, kind) or stop.row.tolerates(name, kind)):
            found.append((kind, kind in typical))
    return found


# -- session id ----------------------------------------------------------------------------------------------


def session_ids() -> Iterator[Case]:
    """Each request under an id that is not the session's."""
    for family, stop in places():
        if stop.at in ("supportedAppProtocolReq", "SessionSetupReq") or stop.occurrence > 1:
            continue
        for name, title, step in (
            ("foreign", "another SessionID", replace(stop.at, set={"header.session_id": FOREIGN})),
            (
                "zero",
                "the SessionID of eight zero bytes",
                replace(stop.at, set={"header.session_id": "00" * 8}),
            ),
            ("one-bit", "the SessionID with one bit inverted", replace(stop.at, flip=(_IN_SESSION_ID,))),
        ):
            yield make(
                _SECC,
                Group.SESSION_ID,
                f"{stop.name}.{name}",
                f"{stop.at} under {title}",
                "Answers FAILED_UnknownSession in the response that belongs to it; ends the session.",
                (step,),
                refuses("FAILED_UnknownSession"),
                message=stop.message,
                family=family,
                requirements=_SESSION_UNKNOWN,
            )


# -- time ----------------------------------------------------------------------------------------------------


def silence() -> Iterator[Case]:
    """Nothing more comes where a request is due; or it comes late, but in time."""
    for family, stop in places():
        if stop.occurrence > 1 and stop.message.removesuffix("Req") not in LOOP_MESSAGES:
            continue
        waited_for = stem(stop.row.after) if stop.row.after else ""
        timer = STRICT.timer("V2G_SECC_Sequence_Timeout", waited_for)
        rules = timer.requirements
        limit = STRICT.limit("V2G_SECC_Sequence_Timeout", waited_for)
        if not stop.row.after:
            # No response has been sent yet; to have a session at all takes no longer than any other wait.
            rules = ()
        looping = waited_for in LOOP_MESSAGES
        yield make(
            _SECC,
            Group.SILENCE,
            f"{stop.name}.nothing",
            f"silence where {stop.at} is due, the connection stays open",
            f"Ends the session when its sequence timer of {limit:g} s runs out, not before.",
            (Step(stop.at, Do.SILENCE, stop.occurrence),),
            ends(
                after=0.0 if looping or not stop.row.after else limit - 5,
                within=limit + (0.5 if looping else 2),
            ),
            message=stop.message,
            family=family,
            requirements=rules,
        )
        if stop.row.after:
            late = 0.2 if looping else 10 if stop.row.to is Phase.PROTOCOL_CHOSEN else limit / 2
            yield make(
                _SECC,
                Group.SILENCE,
                f"{stop.name}.late-in-time",
                f"{stop.at} comes {late:g} s late, within the sequence timer",
                "Answers it, and the session goes on.",
                (Step(stop.at, Do.DELAY, stop.occurrence, seconds=late),),
                CONTINUES,
                message=stop.message,
                family=family,
                requirements=rules,
            )
    for family in FAMILIES:
        timer = STRICT.timer("V2G_SECC_Sequence_Timeout", stem(_LOOP[family]))
        yield make(
            _SECC,
            Group.SILENCE,
            "loop-too-late",
            f"{_LOOP[family]} comes 0.9 s after the last response",
            "The session is over by then: no answer.",
            (Step(_LOOP[family], Do.DELAY, 2, seconds=0.7),),
            ends(within=3),
            message=_LOOP[family],
            family=family,
            requirements=timer.requirements,
        )
    yield make(
        _SECC,
        Group.SILENCE,
        "too-late",
        "ServiceDiscoveryReq comes 70 s late",
        "The session is over by then: no answer.",
        (Step("ServiceDiscoveryReq", Do.DELAY, seconds=70),),
        ends(within=72),
        message="ServiceDiscoveryReq",
        requirements=("V2G20-443",),
    )


# -- frames --------------------------------------------------------------------------------------------------


def frames() -> Iterator[Case]:
    """Each request as an EXI document that is cut, and in a frame that is not V2GTP."""
    for family, stop in places():
        if stop.occurrence > 1:
            continue
        yield make(
            _SECC,
            Group.FRAMES,
            f"{stop.name}.cut",
            f"{stop.at} without its last three octets, the length says so",
            "Ends the session, with or without a FAILED response; the next session succeeds.",
            (replace(stop.at, truncate=3),),
            ends(),
            message=stop.message,
            family=family,
        )
        yield make(
            _SECC,
            Group.FRAMES,
            f"{stop.name}.version",
            f"{stop.at} with V2GTP version 2",
            "Closes the connection, with or without a FAILED response; the next session succeeds.",
            (replace(stop.at, version=2),),
            ends(),
            message=stop.message,
            family=family,
        )
        yield make(
            _SECC,
            Group.FRAMES,
            f"{stop.name}.in-pieces",
            f"{stop.at} in pieces of three bytes",
            "A request in pieces is a request: answers it.",
            (Step(stop.at, Do.DRIP, chunk=3, seconds=0.002),),
            CONTINUES,
            message=stop.message,
            family=family,
        )


# -- values --------------------------------------------------------------------------------------------------


def omissions() -> Iterator[Case]:
    """Each optional element of each request left out, one at a time."""
    for omission in omissible(_SECC):
        yield make(
            _SECC,
            Group.VALUES,
            f"{omission.name}.absent",
            f"{omission.message} without {omission.wire}",
            "What is optional may be absent: goes on."
            if omission.harmless
            else f"Answers it, with a FAILED response or another: {omission.reason}.",
            (replace(omission.message, 0, unset=(omission.path,)),),
            CONTINUES if omission.harmless else ANSWERS,
            message=omission.message,
            family=omission.family,
            control=omission.control,
        )


def bounds() -> Iterator[Case]:
    """Each number in each request at zero, below it, and beyond all use, one at a time."""
    for element in numbers(_SECC):
        for name, value, typical in values_of(element):
            yield make(
                _SECC,
                Group.VALUES,
                f"{element.name}.{name}",
                f"{element.message} with {element.wire} {name}",
                "Answers it: what breaks a rule with a FAILED response. It never just closes the connection.",
                (replace(element.message, set={element.path: value}),),
                _UNDER_VOLTAGE if element.path.endswith("ev_maximum_voltage") else ANSWERS,
                message=element.message,
                family=element.family,
                control=element.control,
                thorough=not typical,
            )
