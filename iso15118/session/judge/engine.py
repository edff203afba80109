"""The judge of one connection: frames in, findings out. Needs neither side to be ours."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from ...messages.app_protocol import AppProtocolResponseCode, SupportedAppProtocolReq, SupportedAppProtocolRes
from ...messages.common_types import Processing, ResponseCode, V2GRequest, V2GResponse
from ...messages.declare import Node
from ...v2gtp import PayloadType
from ...v2gtp import describe as describe_type
from .. import sequence, streams
from ..events import Role, Severity
from ..sequence import Permit, State, Violation
from ..services import FAMILY_OF_NAMESPACE, Family
from ..timers import STRICT, Profile
from . import rules_energy, rules_setup
from .context import Context
from .model import (
    REQUEST_CHECKS,
    RESPONSE_CHECKS,
    Finding,
    LinkFacts,
    Observed,
    Rule,
    declare,
    refusal_of,
)
from .timing import Clock

assert rules_setup  # its import enters its rules

_ERROR, _NOTE = Severity.ERROR, Severity.NOTE
FRAME = declare(Rule("v2gtp.frame", _ERROR, None, "The bytes on the connection are whole V2GTP frames."))
PAYLOAD_TYPE = declare(
    Rule("v2gtp.payload-type", _ERROR, None, "A message travels with the payload type of its message set.")
)
UNKNOWN_TYPE = declare(
    Rule("v2gtp.unknown-type", _NOTE, None, "Payload types that carry no known message are noted.")
)
DECODE = declare(Rule("exi.decode", _ERROR, None, "A payload is an EXI document of its message set."))
SCHEMA = declare(
    Rule("schema.value", _ERROR, None, "Values keep the lengths, ranges and occurrences of the schema.")
)
TIMESTAMP = declare(
    Rule("header.timestamp", _NOTE, None, "TimeStamp is in Unix seconds; other units are noted.")
)
FOREIGN_ID = declare(
    Rule(
        "session.id-request",
        _ERROR,
        Role.EVCC,
        "Every request but SessionSetupReq has the SessionID that the SECC gave.",
        ("V2G20-460",),
        refusal="FAILED_UnknownSession V2G20-460",
    )
)
RESPONSE_ID = declare(
    Rule("session.id-response", _ERROR, Role.SECC, "Every response has the SessionID that the SECC gave.")
)
ORDER = declare(
    Rule(
        "sequence.order",
        _ERROR,
        Role.EVCC,
        "A request comes where the sequence table allows it.",
        ("V2G20-459",),
        refusal="FAILED_SequenceError V2G20-459",
    )
)
TOLERATED = declare(
    Rule(
        "sequence.tolerated",
        _NOTE,
        Role.EVCC,
        "Requests where only some public stacks send or accept them are noted.",
    )
)
RESPONSE = declare(
    Rule(
        "sequence.response",
        _ERROR,
        Role.SECC,
        "A response answers the outstanding request, with its own message.",
    )
)
AFTER_FAILED = declare(
    Rule(
        "sequence.after-failed",
        _ERROR,
        Role.EVCC,
        "After a FAILED response the session is over.",
        ("V2G20-735",),
    )
)
UNFOUNDED_ORDER = declare(
    Rule(
        "refusal.sequence",
        _ERROR,
        Role.SECC,
        "FAILED_SequenceError answers only a request out of its order.",
        ("V2G20-459",),
    )
)
UNFOUNDED_ID = declare(
    Rule(
        "refusal.session",
        _ERROR,
        Role.SECC,
        "FAILED_UnknownSession answers only a request with another SessionID.",
        ("V2G20-460",),
    )
)

Tell = Callable[[Finding], None]
_REQUESTS = (V2GRequest, SupportedAppProtocolReq)
_RESPONSES = (V2GResponse, SupportedAppProtocolRes)
_FAMILY_OF_MESSAGE = {"AC_": Family.AC, "DC_": Family.DC, "WPT": Family.WPT, "ACD": Family.ACDP}


@dataclass(slots=True)
class _Asked:
    """An outstanding request and what is to be said of its response."""

    message: Any
    observed: Observed
    out_of_order: bool = False
    tolerated: bool = False
    """Only some stacks accept it here: an SECC may refuse it."""
    foreign_id: bool = False
    to_refuse: tuple[Rule, ...] = ()


@dataclass(slots=True)
class Outcome:
    """How a session went, in words and counts."""

    frames: int = 0
    protocol: str = ""
    """Namespace agreed on; the judge knows those of ISO 15118-20."""
    phase: str = ""
    failed: str = ""
    """The first FAILED response, with its frame."""
    stopped: str = ""
    """ChargingSession of an answered SessionStopReq."""
    closed_by: str = ""


class Judge:
    """Judges one connection. `tell` gets each finding as it is made; the judge keeps none, so a recording
    may be of any length. Call `frame` in order, `end` once. `whole`: the first frame is the first of the
    connection; without it the recording may start within a session.
    """

    def __init__(
        self,
        tell: Tell,
        *,
        connection: int = 1,
        profile: Profile = STRICT,
        link: LinkFacts | None = None,
        whole: bool = False,
    ) -> None:
        self._tell = tell
        self._connection = connection
        self.context = Context(link=link or LinkFacts())
        self.outcome = Outcome()
        self._state = sequence.INITIAL
        self._asked: dict[PayloadType | None, _Asked] = {}
        self._observed = Observed(0, None, Role.EVCC, 0, None)
        self._clock = Clock(profile, self._late)
        self._failed = False
        self._begun = whole
        self._timestamps_noted: set[Role] = set()

    @property
    def phase(self) -> str:
        return self._state.phase.value

    # -- what is shown ---------------------------------------------------------------------------------------

    def link(self, facts: LinkFacts) -> None:
        """What became known of the link; before supportedAppProtocol, if it is to count."""
        self.context.link = dataclasses.replace(
            facts, lab_plain_tcp=facts.lab_plain_tcp or self.context.link.lab_plain_tcp
        )

    def link_up(self, time: float) -> None:
        """When the data link came up, or the earliest sign that it was."""
        if self._clock.link_up is None:
            self._clock.link_up = time

    def sdp_request(self, time: float, *, tls: bool) -> None:
        self.context.sdp_tls_asked = tls
        self._clock.sdp_request(time)

    def sdp_response(self) -> None:
        self._clock.sdp_response()

    def damage(self, sender: Role | None, text: str, time: float) -> None:
        """Bytes that are no V2GTP frame."""
        self._observed = Observed(self.outcome.frames + 1, time, sender or Role.EVCC, 0, None)
        self._find(FRAME, sender, text, "V2GTP frames")

    def closed(self, by: Role | None, time: float) -> None:
        self.outcome.closed_by = by.value if by else ""
        self._clock.closed(by, time)

    def end(self) -> Outcome:
        """The recording is over; how the session went."""
        self.outcome.phase = self.phase
        return self.outcome

    def frame(self, observed: Observed) -> None:
        """The next frame."""
        self._observed = observed
        self.outcome.frames += 1
        self.context.now = observed.time
        protocol = self.outcome.protocol
        if protocol and protocol not in FAMILY_OF_NAMESPACE:
            return  # another protocol: not for this judge
        message = observed.message
        if message is None:
            unknown = (
                sequence.stream_of(observed.payload_type) is None and "carries no known" in observed.error
            )
            rule = UNKNOWN_TYPE if unknown else DECODE
            self._find(rule, observed.sender, observed.error, "a message of ISO 15118-20")
            return
        for problem in observed.problems:
            self._find(SCHEMA, observed.sender, problem, "what the schema allows")
        if isinstance(message, (*_REQUESTS, *_RESPONSES)):
            self._common(message)
        if isinstance(message, _REQUESTS if observed.sender is Role.SECC else _RESPONSES):
            # Of no meaning for the state of the session, and no fault of the other side.
            rule, expected = RESPONSE, "a response"
            if observed.sender is Role.EVCC:
                rule, expected = ORDER, "a request"
            self._find(rule, observed.sender, sequence.name_of(message), expected)
        elif isinstance(message, _REQUESTS):
            self._request(message)
        elif isinstance(message, _RESPONSES):
            self._response(message)
        else:
            self._find(
                RESPONSE,
                observed.sender,
                f"{sequence.name_of(message)} is no message",
                "a request or response",
            )

    # -- frames ----------------------------------------------------------------------------------------------

    def _common(self, message: Any) -> None:
        observed = self._observed
        sender = observed.sender
        renegotiating = observed.payload_type == PayloadType.SCHEDULE_RENEGOTIATION
        expected = streams.payload_type_of(message)
        if not renegotiating and observed.payload_type != expected:
            self._find(
                PAYLOAD_TYPE,
                sender,
                f"payload type {describe_type(observed.payload_type)}",
                describe_type(expected),
            )
        if hasattr(message, "header") and sender not in self._timestamps_noted:
            problem = rules_energy.timestamp_problem(message)
            if problem is not None:
                self._timestamps_noted.add(sender)
                self._find(TIMESTAMP, sender, *problem)

    def _request(self, message: Any) -> None:
        name = sequence.name_of(message)
        stream = sequence.stream_of(self._observed.payload_type)
        asked = _Asked(message, self._observed)
        if not self._begun:
            self._begin(name)
        self._check_order(asked, stream)
        known = self.context.session_id
        if name != "SessionSetupReq" and hasattr(message, "header") and known is not None:
            given = message.header.session_id
            if given != known:
                asked.foreign_id = True
                self._find(FOREIGN_ID, Role.EVCC, f"SessionID {given.hex().upper()}", known.hex().upper())
        if not (asked.out_of_order or asked.foreign_id):
            for rule, check in REQUEST_CHECKS.get(name, ()):
                faults = list(check(self.context, message))
                for fault in faults:
                    self._find(rule, Role.EVCC, *fault)
                if faults and rule.refusal:
                    asked.to_refuse += (rule,)
        if stream is None and self._observed.time is not None:
            self._clock.request(sequence.stem(name), self._observed.time)
        self._asked[stream] = asked

    def _begin(self, name: str) -> None:
        """The first message: a recording that starts within a session is taken up where it is."""
        self._begun = True
        if name == "supportedAppProtocolReq":
            return
        family = _FAMILY_OF_MESSAGE.get(name[:3])
        self._state = State(row=dataclasses.replace(self._state.row, next=(name,)), family=family)
        if name.endswith("ChargeLoopReq") or name.startswith(("PowerDelivery", "DC_Welding")):
            self._state = replace(self._state, running=True, prepared=True)

    def _check_order(self, asked: _Asked, stream: PayloadType | None) -> None:
        message = asked.message
        outstanding = stream in self._asked
        state = replace(self._state, pending=None, pending_sides=())
        verdict: Permit | Violation = sequence.permit(state, message, stream)
        if self._failed:
            asked.out_of_order = True
            self._find(
                AFTER_FAILED,
                Role.EVCC,
                f"{sequence.kind_of(message)} after {self.outcome.failed}",
                "the close",
            )
        elif outstanding:
            asked.out_of_order = True
            last = sequence.name_of(self._asked[stream].message)
            self._find(
                ORDER, Role.EVCC, f"{sequence.kind_of(message)} before the response to {last}", "its response"
            )
        elif isinstance(verdict, Violation):
            asked.out_of_order = True
            expected = " or ".join(verdict.expected) or "nothing more"
            self._find(ORDER, Role.EVCC, verdict.text, expected, verdict.requirements[:2][-1])
        elif verdict.note:
            asked.tolerated = True
            row = self._state.row if stream is None else self._state.side(stream)
            self._find(TOLERATED, Role.EVCC, verdict.note, " or ".join(row.next))

    def _response(self, message: Any) -> None:
        name = sequence.name_of(message)
        stream = sequence.stream_of(self._observed.payload_type)
        asked = self._asked.pop(stream, None)
        code = message.response_code
        failed = isinstance(code, ResponseCode) and code.is_failed
        self._time_response(name, message, stream, failed)
        if asked is None or sequence.stem(sequence.name_of(asked.message)) != sequence.stem(name):
            if asked is None and not self._begun:
                self._begun = True  # the recording starts between a request and its response
                return
            answered = "no request" if asked is None else sequence.name_of(asked.message)
            self._find(RESPONSE, Role.SECC, f"{name} answers {answered}", "the response to the request")
            return
        known = self.context.session_id
        if name != "SessionSetupRes" and hasattr(message, "header") and known is not None:
            given = message.header.session_id
            if given != known and not (asked.foreign_id and failed):
                self._find(RESPONSE_ID, Role.SECC, f"SessionID {given.hex().upper()}", known.hex().upper())
        self._refusal(asked, code)
        if failed:
            self._failed = True
            self.outcome.failed = self.outcome.failed or f"{name} {code} (frame {self._observed.number})"
        else:
            self._answered(asked, message, name, stream)

    def _time_response(self, name: str, message: Any, stream: PayloadType | None, failed: bool) -> None:
        if stream is not None or self._observed.time is None:
            return
        processing = getattr(message, "evse_processing", None)
        self._clock.response(
            sequence.stem(name),
            self._observed.time,
            failed=failed,
            ongoing=processing not in (None, Processing.Finished),
            waiting=processing == Processing.Ongoing_WaitingForCustomerInteraction,
        )

    def _refusal(self, asked: _Asked, code: Any) -> None:
        """Whether what had to be refused was, and only that."""
        given = str(getattr(code, "value", code))
        due = [FOREIGN_ID] if asked.foreign_id else []
        due += [ORDER] if asked.out_of_order and not self._failed else []
        due = due or list(asked.to_refuse)
        codes = [rule.refusal.partition(" ")[0] for rule in due]
        if isinstance(code, AppProtocolResponseCode):
            codes = [AppProtocolResponseCode.Failed_NoNegotiation.value]  # it has no other to refuse with
        if due and given not in codes:
            rule = refusal_of(due[0])
            self._find(rule, Role.SECC, f"{given} to a request that breaks {due[0].id}", codes[0])
        if given == "FAILED_SequenceError" and not (asked.out_of_order or asked.tolerated):
            request = sequence.kind_of(asked.message)
            self._find(
                UNFOUNDED_ORDER,
                Role.SECC,
                f"FAILED_SequenceError to {request}, which may come here",
                "an answer",
            )
        if given == "FAILED_UnknownSession" and not asked.foreign_id:
            self._find(
                UNFOUNDED_ID, Role.SECC, "FAILED_UnknownSession to the session's own SessionID", "an answer"
            )

    def _answered(self, asked: _Asked, message: Any, name: str, stream: PayloadType | None) -> None:
        if not (asked.out_of_order or asked.foreign_id):
            for rule, check in RESPONSE_CHECKS.get(name, ()):
                for fault in check(self.context, asked.message, message):
                    self._find(rule, Role.SECC, *fault)
        state = replace(self._state, pending=None)
        if asked.out_of_order and name == "PowerDeliveryRes":
            state = replace(
                state, prepared=True
            )  # the SECC takes it for that: one finding, not one per message
        reached = sequence.after(state, asked.message, message, stream)
        if isinstance(reached, State):
            self._state = reached
        else:
            self._find(RESPONSE, Role.SECC, reached.text, "a response of the service")
        self.context.learn(asked.message, message, self._observed.time)
        if name == "supportedAppProtocolRes":
            offer = self.context.offers.get(message.schema_id) if message.schema_id is not None else None
            self.outcome.protocol = offer.protocol_namespace if offer else self.outcome.protocol
        elif name == "SessionStopRes":
            self.outcome.stopped = asked.message.charging_session.value

    # -- findings --------------------------------------------------------------------------------------------

    def _late(self, rule: Rule, offender: Role, text: str, expected: str) -> None:
        self._find(rule, offender, text, expected)

    def _find(
        self, rule: Rule, offender: Role | None, text: str, expected: str, requirement: str | None = None
    ) -> None:
        observed = self._observed
        message = observed.message
        self._tell(
            Finding(
                rule,
                offender,
                text,
                expected,
                sequence.name_of(message) if isinstance(message, Node) else "",
                observed.number,
                observed.time or 0.0,
                self._connection,
                requirement or rule.requirement,
            )
        )
