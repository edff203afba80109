"""Defects of an SECC around the session: Plug and Charge, TLS, SDP, SLAC."""

from __future__ import annotations

import dataclasses
from typing import Any

from msgspec.structs import replace

from hlc_sim import trust
from hlc_sim.transport import sdp, tls
from iso15118.messages import common
from iso15118.security import secc_trust
from iso15118.security.chain import Rule
from iso15118.security.signature_primitives import ALGORITHMS
from iso15118.security.tls_profile import LENIENT, TLSVersion
from iso15118.security.xmlsig import Grammar, Outcome, Target
from iso15118.session import secc_setup
from iso15118.session.secc_context import Context
from iso15118.slac.evse import EvseSlac
from iso15118.slac.machine import Machine

from .model import Kind, Plant, secc_defect

# -- Plug and Charge -----------------------------------------------------------------------------------------

_NO_CONTRACT = "takes a contract and its key"


@secc_defect("secc-challenge-unchecked", Kind.CHECK, "GenChallenge is not compared", unseen=_NO_CONTRACT)
def _(plant: Plant) -> None:
    def judge(sound: Any, ctx: Context, request: common.AuthorizationReq, now: float) -> Any:
        mode = request.authorization_mode
        if isinstance(mode, common.PnC_AReqAuthorizationMode):
            ctx.challenge = mode.gen_challenge
        return sound(ctx, request, now)

    plant.around(secc_setup, "_judge", judge)


@secc_defect(
    "secc-challenge-repeated",
    Kind.RANDOMNESS,
    "GenChallenge is the same in every session",
    unseen="each value alone is in order",
)
def _(plant: Plant) -> None:
    def setup(sound: Any, ctx: Context, request: Any, now: float) -> Any:
        response = sound(ctx, request, now)
        if ctx.challenge is not None:
            ctx.challenge = response.authorization_mode.gen_challenge = bytes(range(16))
        return response

    plant.handler(common.AuthorizationSetupReq, setup)


def _unverified(plant: Plant, message_class: type) -> None:
    def verify(sound: Any, message: Any, key: Any, **how: Any) -> Outcome:
        if isinstance(message, message_class):
            return Outcome(Grammar.MESSAGES, Target.ELEMENT, ALGORITHMS[0])
        found: Outcome = sound(message, key, **how)
        return found

    plant.around(secc_trust, "verify_message", verify)


@secc_defect(
    "secc-contract-signature-unverified",
    Kind.TRUST,
    "the signature of AuthorizationReq is not verified",
    unseen=_NO_CONTRACT,
)
def _(plant: Plant) -> None:
    _unverified(plant, common.AuthorizationReq)


@secc_defect(
    "secc-contract-expired", Kind.TRUST, "a contract that has expired is accepted", unseen=_NO_CONTRACT
)
def _(plant: Plant) -> None:
    def check(sound: Any, *arguments: Any, **named: Any) -> Any:
        verdict = sound(*arguments, **named)
        kept = tuple(fault for fault in verdict.faults if fault.rule is not Rule.EXPIRED)
        return dataclasses.replace(verdict, faults=kept)

    plant.around(secc_trust, "check_chain", check)


# -- TLS -----------------------------------------------------------------------------------------------------

_NO_TLS = "a fuzzer of messages sends none over TLS"


def _serving(plant: Plant, change: Any) -> None:
    """`change(config)` is what the serving side takes for its TLS configuration."""

    def plan(sound: Any, config: tls.TLSConfig, facts: Any, server_side: bool) -> Any:
        return sound(change(config) if server_side else config, facts, server_side)

    plant.around(tls, "_plan", plan)


@secc_defect(
    "secc-tls-1.2",
    Kind.TRUST,
    "-20 is served over TLS 1.2, without client certificate",
    unseen=_NO_TLS,
)
def _(plant: Plant) -> None:
    def older(config: tls.TLSConfig) -> tls.TLSConfig:
        old = dataclasses.replace(LENIENT, versions=(TLSVersion.TLS_1_2,), request_client_certificate=False)
        return dataclasses.replace(config, fallback=old)

    _serving(plant, older)
    plant.around(trust, "link_facts", lambda sound, facts: replace(sound(facts), tls=True))


@secc_defect(
    "secc-tls-anonymous-client", Kind.TRUST, "the client is not asked for its certificate", unseen=_NO_TLS
)
def _(plant: Plant) -> None:
    def anonymous(config: tls.TLSConfig) -> tls.TLSConfig:
        profile = dataclasses.replace(config.profile, request_client_certificate=False)
        return dataclasses.replace(config, profile=profile)

    _serving(plant, anonymous)


@secc_defect("secc-tls-chain-unverified", Kind.TRUST, "any client certificate is taken", unseen=_NO_TLS)
def _(plant: Plant) -> None:
    _serving(plant, lambda config: dataclasses.replace(config, check_peer=False))


# -- SDP and SLAC --------------------------------------------------------------------------------------------


@secc_defect(
    "secc-sdp-deaf",
    Kind.DISCOVERY,
    "after one malformed request the SDP server answers none",
    unseen="SDP is beside the messages of a session",
)
def _(plant: Plant) -> None:
    deaf: list[bool] = []

    def request(sound: Any, data: bytes, sender: str) -> Any:
        found = sound(data, sender)
        if found is None:
            deaf.append(True)
        return None if deaf else found

    plant.around(sdp, "_request", request)


_NO_SLAC = "SLAC is below the messages of a session"


@secc_defect(
    "secc-slac-run-id", Kind.MATCHING, "the run id of SLAC messages is not compared", unseen=_NO_SLAC
)
def _(plant: Plant) -> None:
    def session_of(self: EvseSlac, source: Any, run_id: bytes, *steps: Any) -> Any:
        session = self.sessions.get(source)
        return session if session is not None and session.step in steps else None

    plant.attribute(EvseSlac, "_session_of", session_of)


@secc_defect(
    "secc-slac-same-key", Kind.RANDOMNESS, "every vehicle gets the same network key", unseen=_NO_SLAC
)
def _(plant: Plant) -> None:
    def random_key(sound: Any, self: Machine) -> bytes:
        return bytes(range(16)) if isinstance(self, EvseSlac) else sound(self)

    plant.around(Machine, "_random_key", random_key)
