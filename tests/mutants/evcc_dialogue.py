"""Defects of an EVCC in how it takes responses: codes, session ids, waiting, times, trust."""

from __future__ import annotations

import dataclasses
from typing import Any

from msgspec.structs import replace

from hlc_sim.transport import tls
from iso15118.messages import ac, common, dc
from iso15118.messages.app_protocol import AppProtocolResponseCode, SupportedAppProtocolRes
from iso15118.messages.common_types import MessageHeader, ResponseCode, V2GResponse
from iso15118.security import evcc_trust
from iso15118.security.signature_primitives import ALGORITHMS
from iso15118.security.tls_profile import LENIENT
from iso15118.security.xmlsig import Grammar, Outcome, Target
from iso15118.session import evcc_dialogue
from iso15118.session.evcc_dialogue import Dialogue
from iso15118.session.evcc_loop import Transfer
from iso15118.session.evcc_power import Power
from iso15118.session.evcc_setup import Setup
from iso15118.session.evcc_steps import MessageTimeout
from iso15118.session.timers import BY_NAME, STRICT
from iso15118.v2gtp import PayloadType

from .model import Kind, Plant, evcc_defect

_LOOPS = (ac.AC_ChargeLoopRes, dc.DC_ChargeLoopRes)
_GOES_ON = "it goes on after what must end the session"

# -- codes and session ids -----------------------------------------------------------------------------------


def _before_check(plant: Plant, change: Any) -> None:
    """`change(evcc, response, expected class)` is what is checked in place of the response."""

    def checked(sound: Any, self: Dialogue, response: Any, response_type: Any, started: float) -> Any:
        return sound(self, change(self, response, response_type), response_type, started)

    plant.around(Dialogue, "_checked", checked)


def _as_ok(plant: Plant, *response_types: type[V2GResponse]) -> None:
    def change(self: Dialogue, response: Any, expected: Any) -> Any:
        if isinstance(response, response_types) and response.response_code.is_failed:
            return replace(response, response_code=ResponseCode.OK)
        return response

    _before_check(plant, change)


@evcc_defect(
    "evcc-failed-power-delivery", Kind.CODE, "FAILED in PowerDeliveryRes is not looked at", seen=_GOES_ON
)
def _(plant: Plant) -> None:
    _as_ok(plant, common.PowerDeliveryRes)


@evcc_defect("evcc-failed-loop", Kind.CODE, "FAILED in the charge loop is not looked at", seen=_GOES_ON)
def _(plant: Plant) -> None:
    _as_ok(plant, *_LOOPS)


@evcc_defect(
    "evcc-failed-sap",
    Kind.CODE,
    "after Failed_NoNegotiation the EV goes on with its first offer",
    seen=_GOES_ON,
)
def _(plant: Plant) -> None:
    def incoming(self: Dialogue, response: Any) -> Any:
        failed = AppProtocolResponseCode.Failed_NoNegotiation
        if isinstance(response, SupportedAppProtocolRes) and response.response_code is failed:
            code = AppProtocolResponseCode.OK_SuccessfulNegotiation
            return SupportedAppProtocolRes(response_code=code, schema_id=self.config.offer()[0].schema_id)
        return response

    plant.attribute(Dialogue, "incoming", incoming)


@evcc_defect(
    "evcc-sap-schema-id", Kind.FIELD, "any SchemaID counts as that of the first offer", seen=_GOES_ON
)
def _(plant: Plant) -> None:
    def incoming(self: Dialogue, response: Any) -> Any:
        if isinstance(response, SupportedAppProtocolRes):
            offered = [entry.schema_id for entry in self.config.offer()]
            if response.schema_id not in offered:
                return replace(response, schema_id=offered[0])
        return response

    plant.attribute(Dialogue, "incoming", incoming)


@evcc_defect(
    "evcc-session-id-not-adopted",
    Kind.STATE,
    "requests carry zeros in place of the SECC's SessionID",
    seen="the SessionID of a request",
)
def _(plant: Plant) -> None:
    def header(sound: Any, self: Dialogue) -> MessageHeader:
        return MessageHeader(session_id=bytes(8), timestamp=sound(self).timestamp)

    plant.around(Dialogue, "header", header)


@evcc_defect(
    "evcc-session-id-followed",
    Kind.STATE,
    "the SessionID of the last response is that of the session",
    seen="the SessionID of a request",
)
def _(plant: Plant) -> None:
    def change(self: Dialogue, response: Any, expected: Any) -> Any:
        if isinstance(response, V2GResponse):
            self.session_id = response.header.session_id
        return response

    _before_check(plant, change)


@evcc_defect(
    "evcc-wrong-message", Kind.CHECK, "any response is taken for the one that is due", seen="a crash"
)
def _(plant: Plant) -> None:
    def checked(sound: Any, self: Dialogue, response: Any, response_type: Any, started: float) -> Any:
        if isinstance(response, V2GResponse) and response.response_code.is_ok:
            return response
        return sound(self, response, response_type, started)

    plant.around(Dialogue, "_checked", checked)


@evcc_defect(
    "evcc-warning-granted",
    Kind.CODE,
    "a refused authorization (WARNING) counts as granted",
    seen="ServiceDiscovery after a refusal is out of order",
)
def _(plant: Plant) -> None:
    def change(self: Dialogue, response: Any, expected: Any) -> Any:
        if isinstance(response, common.AuthorizationRes) and response.response_code.is_warning:
            return replace(response, response_code=ResponseCode.OK)
        return response

    _before_check(plant, change)


# -- waiting -------------------------------------------------------------------------------------------------


def _once(plant: Plant, response_type: type[V2GResponse]) -> None:
    def until_finished(
        sound: Any, self: Dialogue, request: Any, expected: Any, *rest: Any, **how: Any
    ) -> Any:
        if expected is not response_type:
            return (yield from sound(self, request, expected, *rest, **how))
        return (yield from self.ask(request(), expected, stream=how.get("stream")))

    plant.around(Dialogue, "until_finished", until_finished)


@evcc_defect(
    "evcc-authorization-ongoing",
    Kind.STATE,
    "goes on to ServiceDiscovery while authorization is Ongoing",
    seen="a request out of order",
)
def _(plant: Plant) -> None:
    _once(plant, common.AuthorizationRes)


@evcc_defect(
    "evcc-cable-check-ongoing",
    Kind.STATE,
    "goes on to PreCharge while the cable check is Ongoing",
    seen="a request out of order",
)
def _(plant: Plant) -> None:
    _once(plant, dc.DC_CableCheckRes)


@evcc_defect(
    "evcc-schedule-ongoing",
    Kind.STATE,
    "goes on with the schedule of a response that says Ongoing",
    seen="a request out of order",
)
def _(plant: Plant) -> None:
    _once(plant, common.ScheduleExchangeRes)


_NOT_WAITED = "a fuzzer does not wait that long for nothing"


@evcc_defect("evcc-ongoing-for-ever", Kind.TIMER, "Ongoing is borne without end", unseen=_NOT_WAITED)
def _(plant: Plant) -> None:
    for name in ("V2G_EVCC_Ongoing_Timeout", "V2G_EVCC_CableCheck_Timeout"):
        plant.entry(STRICT._seconds, name, 1e9)


@evcc_defect("evcc-timeouts-10x", Kind.TIMER, "message timeouts are ten times as long", unseen=_NOT_WAITED)
def _(plant: Plant) -> None:
    for name, timer in BY_NAME.items():
        if name.startswith("V2G_EVCC_Msg_Timeout"):
            plant.entry(STRICT._seconds, name, 10 * timer.seconds)


@evcc_defect(
    "evcc-timeout-repeats",
    Kind.TIMER,
    "after a message timeout the request is sent again",
    unseen=_NOT_WAITED,
)
def _(plant: Plant) -> None:
    def exchange(sound: Any, self: Dialogue, *arguments: Any) -> Any:
        for _ in range(20):
            try:
                return (yield from sound(self, *arguments))
            except MessageTimeout:
                continue
        return (yield from sound(self, *arguments))

    plant.around(Dialogue, "exchange", exchange)


@evcc_defect(
    "evcc-loop-pace",
    Kind.TIMER,
    "charge-loop requests come every 0.55 s",
    unseen="the next request comes in order, only late",
)
def _(plant: Plant) -> None:
    def charge_loop(sound: Any, self: Transfer) -> Any:
        yield from self.pause(0.35)
        return (yield from sound(self))

    plant.around(Transfer, "charge_loop", charge_loop)


@evcc_defect(
    "evcc-notification-ignored",
    Kind.STATE,
    "EVSENotification is not looked at",
    unseen="what ought to follow is a matter of time",
)
def _(plant: Plant) -> None:
    plant.attribute(Power, "take_status", lambda self, status, message: None)


# -- framing -------------------------------------------------------------------------------------------------


@evcc_defect(
    "evcc-payload-type",
    Kind.FRAMING,
    "AC and DC requests travel as common messages",
    seen="it does not decode",
)
def _(plant: Plant) -> None:
    def payload_type_of(sound: Any, message: Any) -> PayloadType:
        right = sound(message)
        return PayloadType.COMMON if right in (PayloadType.AC, PayloadType.DC) else right

    plant.around(evcc_dialogue, "payload_type_of", payload_type_of)


# -- pause and trust -----------------------------------------------------------------------------------------


@evcc_defect(
    "evcc-resume-any-secc",
    Kind.CHECK,
    "a paused session is joined at another SECC",
    unseen="takes a paused session and a second connection",
)
def _(plant: Plant) -> None:
    def set_up_session(sound: Any, self: Setup) -> Any:
        if self.resume is not None:
            self.resume = dataclasses.replace(self.resume, secc_identity=self.secc_identity)
            self.secc_identity = self.secc_identity or b"any"
            self.resume = dataclasses.replace(self.resume, secc_identity=self.secc_identity)
        return (yield from sound(self))

    plant.around(Setup, "set_up_session", set_up_session)


@evcc_defect(
    "evcc-resume-new-session",
    Kind.STATE,
    "a new session in place of the paused one is gone on with as if it were joined",
    unseen="takes a paused session and a second connection",
)
def _(plant: Plant) -> None:
    def set_up_session(sound: Any, self: Setup) -> Any:
        paused = self.resume
        joined = yield from sound(self)
        if paused is not None and not joined:
            self.result.mode, self.vas, self.contract = paused.mode, paused.vas, paused.contract
            return True
        return joined

    plant.around(Setup, "set_up_session", set_up_session)


_NO_TLS = "a fuzzer of messages sends none over TLS"


def _calling(plant: Plant, change: Any) -> None:
    def plan(sound: Any, config: tls.TLSConfig, facts: Any, server_side: bool) -> Any:
        return sound(config if server_side else change(config), facts, server_side)

    plant.around(tls, "_plan", plan)


@evcc_defect("evcc-tls-chain-unverified", Kind.TRUST, "any SECC certificate is taken", unseen=_NO_TLS)
def _(plant: Plant) -> None:
    _calling(plant, lambda config: dataclasses.replace(config, check_peer=False))


@evcc_defect("evcc-tls-1.2", Kind.TRUST, "a server with TLS 1.2 is accepted", unseen=_NO_TLS)
def _(plant: Plant) -> None:
    _calling(plant, lambda config: dataclasses.replace(config, profile=LENIENT))


@evcc_defect(
    "evcc-installation-unverified",
    Kind.TRUST,
    "the signature over an installed contract is not verified",
    unseen="takes a contract and its key",
)
def _(plant: Plant) -> None:
    def verify(sound: Any, message: Any, key: Any, **how: Any) -> Outcome:
        if isinstance(message, common.CertificateInstallationRes):
            return Outcome(Grammar.MESSAGES, Target.ELEMENT, ALGORITHMS[0])
        found: Outcome = sound(message, key, **how)
        return found

    plant.around(evcc_trust, "verify_message", verify)
