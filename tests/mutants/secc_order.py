"""Defects of an SECC in what it lets pass: session ids, order, ends, codes, framing, times."""

from __future__ import annotations

import random
from typing import Any
from unittest import mock

from msgspec.structs import replace

import hlc_sim.secc
from hlc_sim.secc import Conversation
from iso15118.messages import ac, common, dc
from iso15118.messages.app_protocol import SupportedAppProtocolReq
from iso15118.messages.common_types import Processing, ResponseCode, V2GRequest
from iso15118.session import secc_setup, sequence
from iso15118.session.secc import SECC
from iso15118.session.secc_config import SessionStore
from iso15118.session.secc_context import Context, Refusal
from iso15118.session.sequence import Phase
from iso15118.session.timers import BY_NAME, STRICT
from iso15118.v2gtp import PayloadType

from .model import Kind, Plant, secc_defect

_REFUSED = "answers OK to what must be refused"

# -- SessionID -----------------------------------------------------------------------------------------------


@secc_defect("secc-session-id-unchecked", Kind.CHECK, "any SessionID is served", seen=_REFUSED)
def _(plant: Plant) -> None:
    plant.attribute(SECC, "_check_session", lambda self, request: None)


@secc_defect(
    "secc-session-id-zero", Kind.CHECK, "a SessionID of zeros passes for the right one", seen=_REFUSED
)
def _(plant: Plant) -> None:
    def check(sound: Any, self: SECC, request: V2GRequest) -> None:
        if request.header.session_id != bytes(8):
            sound(self, request)

    plant.around(SECC, "_check_session", check)


@secc_defect(
    "secc-session-id-prefix", Kind.CHECK, "only 4 bytes of the SessionID are compared", seen=_REFUSED
)
def _(plant: Plant) -> None:
    def check(sound: Any, self: SECC, request: V2GRequest) -> None:
        if request.header.session_id[:4] != self.session_id[:4]:
            sound(self, request)

    plant.around(SECC, "_check_session", check)


@secc_defect(
    "secc-session-id-counter",
    Kind.RANDOMNESS,
    "SessionIDs are counted up",
    unseen="each value alone is in order",
)
def _(plant: Plant) -> None:
    issued = [0x0100]

    def fresh(ctx: Context) -> bytes:
        issued[0] += 1
        return issued[0].to_bytes(8, "big")

    plant.attribute(secc_setup, "_fresh_id", fresh)


@secc_defect(
    "secc-session-id-time-seed",
    Kind.RANDOMNESS,
    "the generator of SessionIDs is seeded with the second of the connection",
    unseen="each value alone is in order",
)
def _(plant: Plant) -> None:
    def session_setup(sound: Any, ctx: Context, request: Any, now: float) -> Any:
        generator = random.Random(int(ctx.unix(now)))
        with mock.patch.object(ctx, "entropy", generator.randbytes):
            return sound(ctx, request, now)

    plant.handler(common.SessionSetupReq, session_setup)


@secc_defect(
    "secc-session-id-digits",
    Kind.RANDOMNESS,
    "SessionIDs are eight ASCII digits",
    unseen="each value alone is in order",
)
def _(plant: Plant) -> None:
    def fresh(ctx: Context) -> bytes:
        return b"%08d" % (int.from_bytes(ctx.entropy(8), "big") % 10**8)

    plant.attribute(secc_setup, "_fresh_id", fresh)


@secc_defect(
    "secc-session-id-shared",
    Kind.STATE,
    "one variable holds the SessionID of all connections",
    unseen="takes two connections at once",
)
def _(plant: Plant) -> None:
    current: dict[int, bytes] = {}

    def get(self: Context) -> bytes:
        return current.get(id(self.store), bytes(8)) if "own" in self.__dict__ else bytes(8)

    def put(self: Context, value: bytes) -> None:
        if value != bytes(8):
            self.__dict__["own"] = value
            current[id(self.store)] = value

    plant.attribute(Context, "session_id", property(get, put))


# -- order ---------------------------------------------------------------------------------------------------


def _let_pass(plant: Plant, request_class: Any, *phases: Phase, progress: str = "") -> None:
    def check(sound: Any, self: SECC, request: Any, stream: PayloadType | None) -> None:
        if not (
            isinstance(request, request_class)
            and self.state.phase in phases
            and progress in ("", getattr(request, "charge_progress", ""))
        ):
            sound(self, request, stream)

    plant.around(SECC, "_check_order", check)


@secc_defect("secc-order-unchecked", Kind.STATE, "messages may come in any order", seen=_REFUSED)
def _(plant: Plant) -> None:
    plant.attribute(SECC, "_check_order", lambda self, request, stream: None)


@secc_defect(
    "secc-order-no-authorization", Kind.STATE, "ServiceDiscovery without authorization", seen=_REFUSED
)
def _(plant: Plant) -> None:
    _let_pass(
        plant, common.ServiceDiscoveryReq, Phase.NEW_SESSION, Phase.AUTHORIZATION_OFFERED, Phase.AUTHORIZING
    )


@secc_defect("secc-order-no-precharge", Kind.STATE, "PowerDelivery(Start) before pre-charge", seen=_REFUSED)
def _(plant: Plant) -> None:
    _let_pass(plant, common.PowerDeliveryReq, Phase.CABLE_CHECKED, Phase.PRECHARGE, progress="Start")


@secc_defect("secc-order-no-start", Kind.STATE, "charge loop without PowerDelivery(Start)", seen=_REFUSED)
def _(plant: Plant) -> None:
    loops = (ac.AC_ChargeLoopReq, dc.DC_ChargeLoopReq)
    _let_pass(plant, loops, Phase.PRECHARGED, Phase.SCHEDULED, Phase.PARAMETERS)


@secc_defect("secc-order-second-setup", Kind.STATE, "SessionSetup again in a session", seen=_REFUSED)
def _(plant: Plant) -> None:
    _let_pass(plant, common.SessionSetupReq, *(set(Phase) - {Phase.CONNECTED, Phase.CLOSED}))


# -- ends ----------------------------------------------------------------------------------------------------


@secc_defect(
    "secc-failed-goes-on", Kind.STATE, "after a FAILED response the session goes on", seen="answers on"
)
def _(plant: Plant) -> None:
    def refuse(sound: Any, self: SECC, *arguments: Any) -> Any:
        before = self.context.state
        with mock.patch.object(self, "_finish"):
            response = sound(self, *arguments)
        self.context.state = before
        return response

    plant.around(SECC, "_refuse", refuse)


@secc_defect(
    "secc-failed-stays-open",
    Kind.TIMER,
    "after a FAILED response the connection is never closed",
    unseen="the connection is above what runs in-process",
)
def _(plant: Plant) -> None:
    async def close(sound: Any, self: Conversation) -> None:
        with mock.patch.object(hlc_sim.secc, "_CLOSE_GRACE", 3600.0):
            await sound(self)

    plant.around(Conversation, "_close", close)


@secc_defect(
    "secc-unknown-session-silent",
    Kind.RESPONSE,
    "a foreign SessionID is not answered, the connection closes",
    seen="an answer is missing",
)
def _(plant: Plant) -> None:
    def refuse(sound: Any, self: SECC, request: Any, refusal: Refusal, now: float, stream: Any) -> Any:
        if refusal.code is not ResponseCode.FAILED_UnknownSession:
            return sound(self, request, refusal, now, stream)
        self._end(now, refusal.text, refusal.expected)
        return None

    plant.around(SECC, "_refuse", refuse)


@secc_defect(
    "secc-answers-after-stop", Kind.STATE, "requests are answered after SessionStop", seen="answers on"
)
def _(plant: Plant) -> None:
    def answer(sound: Any, self: SECC, request: Any, now: float, stream: Any) -> Any:
        before = self.context.state
        response = sound(self, request, now, stream)
        if isinstance(response, common.SessionStopRes) and response.response_code.is_ok:
            self.closing, self.context.state = None, before
        return response

    plant.around(SECC, "_answer", answer)


@secc_defect(
    "secc-power-stays-on",
    Kind.STATE,
    "a lost connection leaves the outlet under power",
    unseen="no message shows it",
)
def _(plant: Plant) -> None:
    def disconnected(sound: Any, self: SECC, now: float) -> None:
        if self.closing is not None:
            sound(self, now)
        self._over = True

    plant.around(SECC, "disconnected", disconnected)


@secc_defect(
    "secc-abort-poisons-next",
    Kind.STATE,
    "after a session that broke off in power the cable check of the next one fails",
    seen="the session that must succeed afterwards does not",
)
def _(plant: Plant) -> None:
    broken: list[bool] = []

    def disconnected(sound: Any, self: SECC, now: float) -> None:
        if self.state.running and not self.state.closed:
            broken.append(True)
        sound(self, now)

    def cable_check(sound: Any, ctx: Context, request: Any, now: float) -> Any:
        if broken:
            broken.clear()
            raise Refusal(ResponseCode.FAILED, "inoperative", "operative", own=True)
        return sound(ctx, request, now)

    plant.around(SECC, "disconnected", disconnected)
    plant.handler(dc.DC_CableCheckReq, cable_check)


# -- codes ---------------------------------------------------------------------------------------------------


def _miscode(plant: Plant, right: ResponseCode, wrong: ResponseCode) -> None:
    def refuse(sound: Any, self: SECC, request: Any, refusal: Refusal, now: float, stream: Any) -> Any:
        if refusal.code is right:
            refusal.code = wrong
        return sound(self, request, refusal, now, stream)

    plant.around(SECC, "_refuse", refuse)


@secc_defect(
    "secc-code-unknown-session",
    Kind.CODE,
    "a foreign SessionID is FAILED_SequenceError",
    seen="it knows that it changed the SessionID",
)
def _(plant: Plant) -> None:
    _miscode(plant, ResponseCode.FAILED_UnknownSession, ResponseCode.FAILED_SequenceError)


@secc_defect(
    "secc-code-sequence",
    Kind.CODE,
    "a wrong order is plain FAILED",
    seen="the sequence table tells that the request was out of order",
)
def _(plant: Plant) -> None:
    _miscode(plant, ResponseCode.FAILED_SequenceError, ResponseCode.FAILED)


@secc_defect(
    "secc-code-service-id",
    Kind.CODE,
    "an unknown service is plain FAILED",
    unseen="which FAILED is due takes a case that knows the cause",
)
def _(plant: Plant) -> None:
    _miscode(plant, ResponseCode.FAILED_ServiceIDInvalid, ResponseCode.FAILED)


@secc_defect(
    "secc-eim-rejected-ongoing",
    Kind.CODE,
    "a rejected customer is Ongoing until the time is over",
    unseen="takes a customer who is rejected",
)
def _(plant: Plant) -> None:
    def judge(sound: Any, *arguments: Any) -> Any:
        code, processing = sound(*arguments)
        if code is ResponseCode.WARNING_EIMAuthorizationFailure:
            return ResponseCode.OK, Processing.Ongoing
        return code, processing

    plant.around(secc_setup, "_judge", judge)


# -- framing and protocol ------------------------------------------------------------------------------------


@secc_defect(
    "secc-payload-type",
    Kind.FRAMING,
    "AC and DC responses travel as common messages",
    seen="the response does not decode",
)
def _(plant: Plant) -> None:
    def reply_type(sound: Any, self: SECC, response: Any) -> PayloadType:
        right = sound(self, response)
        return PayloadType.COMMON if right in (PayloadType.AC, PayloadType.DC) else right

    plant.around(SECC, "reply_type", reply_type)


@secc_defect(
    "secc-sap-priority",
    Kind.CHECK,
    "the first protocol of the list is taken, whatever its priority",
    unseen="a session to build on offers one protocol; two that are served take a case",
)
def _(plant: Plant) -> None:
    def choose(sound: Any, offers: Any, served: Any) -> Any:
        choices = (sound([offer], served) for offer in offers)
        return next((choice for choice in choices if choice is not None), None)

    plant.around(secc_setup, "choose_protocol", choose)


@secc_defect(
    "secc-sap-position",
    Kind.RESPONSE,
    "SchemaID is the place in the list",
    seen="a SchemaID that was not offered comes back",
)
def _(plant: Plant) -> None:
    def sap(sound: Any, ctx: Context, request: SupportedAppProtocolReq, now: float) -> Any:
        response = sound(ctx, request, now)
        for place, offer in enumerate(request.app_protocol, start=1):
            if offer.schema_id == response.schema_id:
                response.schema_id = place
                break
        return response

    plant.around(secc_setup, "supported_app_protocol", sap)


@secc_defect(
    "secc-sap-serves-anything",
    Kind.CHECK,
    "a protocol that the station does not serve is agreed on",
    seen=_REFUSED,
)
def _(plant: Plant) -> None:
    def choose(sound: Any, offers: Any, served: Any) -> Any:
        return sound(offers, served) or sound(
            [replace(offer, protocol_namespace=served[0].namespace) for offer in offers], served
        )

    plant.around(secc_setup, "choose_protocol", choose)


# -- times ---------------------------------------------------------------------------------------------------

_NOT_WAITED = "a fuzzer does not wait that long for nothing"


@secc_defect(
    "secc-loop-timeout-60", Kind.TIMER, "a silent EV in the loop is waited for 60 s", unseen=_NOT_WAITED
)
def _(plant: Plant) -> None:
    for name in BY_NAME:
        if name.startswith("V2G_SECC_Sequence_Timeout."):
            plant.entry(STRICT._seconds, name, 60.0)


@secc_defect(
    "secc-sequence-timeout-never", Kind.TIMER, "a silent EV is waited for for ever", unseen=_NOT_WAITED
)
def _(plant: Plant) -> None:
    plant.entry(STRICT._seconds, "V2G_SECC_Sequence_Timeout", 1e9)


@secc_defect("secc-ongoing-for-ever", Kind.TIMER, "Ongoing is answered without end", unseen=_NOT_WAITED)
def _(plant: Plant) -> None:
    plant.attribute(Context, "ongoing_too_long", lambda self, what, now: False)


# -- pause ---------------------------------------------------------------------------------------------------

_NO_PAUSE = "takes a paused session and a second connection"


@secc_defect("secc-resume-anyone", Kind.CHECK, "any EV resumes a paused session", unseen=_NO_PAUSE)
def _(plant: Plant) -> None:
    plant.attribute(secc_setup, "_same_vehicle", lambda ctx, paused: True)


@secc_defect("secc-resume-never", Kind.STATE, "a paused session is never joined", unseen=_NO_PAUSE)
def _(plant: Plant) -> None:
    plant.attribute(SessionStore, "find", lambda self, session_id: None)


@secc_defect(
    "secc-resume-authorization-lost", Kind.STATE, "a joined session asks for authorization", unseen=_NO_PAUSE
)
def _(plant: Plant) -> None:
    setup = next(row for row in sequence.MAIN_ROWS if row.to is Phase.NEW_SESSION)

    def answer(sound: Any, self: SECC, *arguments: Any) -> Any:
        response = sound(self, *arguments)
        if getattr(response, "response_code", None) is ResponseCode.OK_OldSessionJoined:
            self.context.state = replace(self.context.state, row=setup, authorized=False)
        return response

    plant.around(SECC, "_answer", answer)


@secc_defect(
    "secc-resume-twice", Kind.STATE, "a paused session may be joined again and again", unseen=_NO_PAUSE
)
def _(plant: Plant) -> None:
    plant.attribute(SessionStore, "take", lambda self, session_id: None)
