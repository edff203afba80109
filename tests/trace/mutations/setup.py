"""Frames, TLS, the session and its order, authorization, services."""

from __future__ import annotations

import copy
from typing import Any

from hlc_sim.trace import events as ev
from iso15118 import sdp
from iso15118.messages import common
from iso15118.messages.common_types import ResponseCode

from .. import recordings as rec
from ..recordings import BEGIN, FINISHED, SESSION, Recording
from .table import case, dc_base, parameter, pnc_base, refused

FOREIGN = bytes.fromhex("FFFFFFFFFFFFFFFF")


def tls(**facts: Any) -> ev.TLS:
    good = {
        "version": "TLSv1.3",
        "suite": "TLS_AES_256_GCM_SHA384",
        "group": "secp521r1",
        "mutual": True,
    }
    return ev.TLS(time=BEGIN, connection=1, **{**good, **facts})


# -- frames --------------------------------------------------------------------------------------------------


@case("v2gtp.frame", dc_base)
def _(r: Recording) -> None:
    r.extra.append(
        ev.Damage(time=r.entries[5].time + 0.01, connection=1, sender="SECC", offset=7, text="garbage")
    )


@case("v2gtp.payload-type", dc_base)
def _(r: Recording) -> None:
    r.entries[r.index("SessionStopReq")].payload_type = 0x8001


@case("v2gtp.unknown-type", dc_base)
def _(r: Recording) -> None:
    odd = copy.deepcopy(r.entries[9])
    odd.payload_type, odd.payload = 0xA001, b"\x01\x02"
    r.entries.insert(10, odd)


@case("exi.decode", dc_base)
def _(r: Recording) -> None:
    # In the last message, so that no response lacks its request.
    r.entries[-1].payload = bytes.fromhex("80ffffff")


@case("schema.value", dc_base)
def _(r: Recording) -> None:
    r.message("SessionSetupReq").evcc_id = "X" * 256


@case("header.timestamp", dc_base)
def _(r: Recording) -> None:
    for entry in r.entries[2:]:
        if entry.name.endswith("Req"):
            entry.message.header.timestamp *= 1_000_000


# -- supportedAppProtocol and TLS ----------------------------------------------------------------------------


@case("sap.priority", dc_base)
def _(r: Recording) -> None:
    r.message("supportedAppProtocolReq").app_protocol[1].priority = 1


@case("sap.offer-insecure", dc_base)
def _(r: Recording) -> None:
    r.extra.append(tls(version="TLSv1.2", suite="TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"))
    del r.entries[2:]
    r.message("supportedAppProtocolRes").schema_id = 2  # the SECC rightly takes the other offer


@case("sap.choice-insecure", dc_base, "sap.offer-insecure")
def _(r: Recording) -> None:
    r.extra.append(tls(version="TLSv1.2"))


@case("sap.tls-asked", dc_base, "sap.offer-insecure", "sap.choice-insecure")
def _(r: Recording) -> None:
    r.extra += rec.sdp_exchange(asked=sdp.Security.TLS, given=sdp.Security.NONE)


@case("sap.choice", dc_base)
def _(r: Recording) -> None:
    r.message("supportedAppProtocolRes").schema_id = 9
    del r.entries[2:]


@case("tls.suite", dc_base)
def _(r: Recording) -> None:
    r.extra.append(tls(suite="TLS_AES_128_GCM_SHA256"))


@case("tls.group", dc_base)
def _(r: Recording) -> None:
    r.extra.append(tls(group="x25519"))


@case("tls.mutual", dc_base)
def _(r: Recording) -> None:
    r.extra.append(tls(mutual=False))


# -- session -------------------------------------------------------------------------------------------------


def _session_id(r: Recording, session_id: bytes, begin: int = 3) -> None:
    for entry in r.entries[begin:]:
        entry.message.header.session_id = session_id


@case("session.id-zero", dc_base)
def _(r: Recording) -> None:
    _session_id(r, bytes(8))


@case("session.id-fresh", dc_base)
def _(r: Recording) -> None:
    r.message("SessionSetupReq").header.session_id = SESSION


@case("session.id-joined", dc_base)
def _(r: Recording) -> None:
    r.message("SessionSetupReq").header.session_id = FOREIGN
    r.message("SessionSetupRes").response_code = ResponseCode.OK_OldSessionJoined
    del r.entries[4 : r.index("DC_ChargeParameterDiscoveryReq")]


@case("session.code", dc_base)
def _(r: Recording) -> None:
    r.message("SessionSetupRes").response_code = ResponseCode.OK


@refused("session.id-request", dc_base, "DC_CableCheckRes", "FAILED_UnknownSession")
def _(r: Recording) -> None:
    r.message("DC_CableCheckReq").header.session_id = FOREIGN


@case("session.id-response", dc_base)
def _(r: Recording) -> None:
    r.message("DC_CableCheckRes").header.session_id = FOREIGN


@case("refusal.session", dc_base)
def _(r: Recording) -> None:
    r.fail("DC_CableCheckRes", "FAILED_UnknownSession")


@case("refusal.sequence", dc_base)
def _(r: Recording) -> None:
    r.fail("DC_CableCheckRes", "FAILED_SequenceError")


# -- order ---------------------------------------------------------------------------------------------------


@refused("sequence.order", dc_base, "PowerDeliveryRes", "FAILED_SequenceError")
def _(r: Recording) -> None:
    first = r.index("DC_PreChargeReq")
    del r.entries[first : r.index("PowerDeliveryReq")]


@case("sequence.tolerated", dc_base)
def _(r: Recording) -> None:
    resumed = r.index("DC_ChargeParameterDiscoveryReq")
    r.message("SessionSetupReq").header.session_id = SESSION
    r.message("SessionSetupRes").response_code = ResponseCode.OK_OldSessionJoined
    del r.entries[4:resumed]
    del r.entries[4 : r.index("SessionStopReq")]


@case("sequence.response", dc_base)
def _(r: Recording) -> None:
    at = r.index("DC_WeldingDetectionRes")
    r.entries.insert(at + 1, copy.deepcopy(r.entries[at]))


@case("sequence.after-failed", dc_base)
def _(r: Recording) -> None:
    at = r.index("DC_CableCheckRes")
    r.entries[at].message.response_code = ResponseCode.FAILED
    del r.entries[at + 2 :]


# -- authorization -------------------------------------------------------------------------------------------


@case("authorization.mode", pnc_base)
def _(r: Recording) -> None:
    r.message("AuthorizationSetupRes").authorization_mode = common.EIM_ASResAuthorizationMode()


def _select_eim(r: Recording) -> None:
    for nth in (0, 1):
        request = r.message("AuthorizationReq", nth)
        request.selected_authorization_service = common.Authorization.EIM
        request.authorization_mode = common.EIM_AReqAuthorizationMode()


@case("authorization.selection", pnc_base)
def _(r: Recording) -> None:
    _select_eim(r)
    r.message("AuthorizationRes").evse_processing = FINISHED
    r.message("AuthorizationRes").response_code = ResponseCode.WARNING_AuthorizationSelectionInvalid
    del r.entries[r.index("AuthorizationRes") + 1 :]


@case("authorization.selection.refusal", pnc_base, "authorization.selection")
def _(r: Recording) -> None:
    _select_eim(r)


def _wrong_challenge(r: Recording) -> None:
    for nth in (0, 1):
        r.message("AuthorizationReq", nth).authorization_mode.gen_challenge = bytes(16)


@case("authorization.challenge", pnc_base)
def _(r: Recording) -> None:
    _wrong_challenge(r)
    r.message("AuthorizationRes").evse_processing = FINISHED
    r.message("AuthorizationRes").response_code = ResponseCode.WARNING_ChallengeInvalid
    del r.entries[r.index("AuthorizationRes") + 1 :]


@case("authorization.challenge.refusal", pnc_base, "authorization.challenge")
def _(r: Recording) -> None:
    _wrong_challenge(r)


@case("authorization.repeat", pnc_base)
def _(r: Recording) -> None:
    r.message("AuthorizationReq", 1).authorization_mode.id = "id2"


@case("authorization.code", dc_base)
def _(r: Recording) -> None:
    r.message("AuthorizationRes", 1).response_code = ResponseCode.OK_PowerToleranceConfirmed


@case("authorization.refused-ongoing", dc_base)
def _(r: Recording) -> None:
    r.message("AuthorizationRes").response_code = ResponseCode.WARNING_EIMAuthorizationFailure


# -- services ------------------------------------------------------------------------------------------------


@case("service.unwanted", dc_base)
def _(r: Recording) -> None:
    r.message("ServiceDiscoveryRes").vas_list.service[0].service_id = 66
    del r.entries[r.index("ServiceDetailReq") : r.index("ServiceDetailReq", 1)]


@case("service.unknown-energy", dc_base)
def _(r: Recording) -> None:
    r.message("ServiceDiscoveryRes").energy_transfer_service_list.service[1].service_id = 40


@refused("service.detail", dc_base, "ServiceDetailRes", "FAILED_ServiceIDInvalid")
def _(r: Recording) -> None:
    r.message("ServiceDetailReq").service_id = r.message("ServiceDetailRes").service_id = 70


@case("service.detail-other", dc_base)
def _(r: Recording) -> None:
    r.message("ServiceDetailRes").service_id = 66


@case("service.mobility", dc_base)
def _(r: Recording) -> None:
    parameter(r, 0, "MobilityNeedsMode").int_value = 2


@case("service.parameters", dc_base)
def _(r: Recording) -> None:
    parameter(r, 0, "Pricing").int_value = 7
    # One usable set is left, of one control mode; another keeps that from being noted.
    sets = r.message("ServiceDetailRes", 1).service_parameter_list.parameter_set
    good = copy.deepcopy(sets[0])
    good.parameter_set_id = 3
    next(item for item in good.parameter if item.name == "Pricing").int_value = 0
    sets.append(good)


@case("service.parameter-forms", dc_base)
def _(r: Recording) -> None:
    sets = r.message("ServiceDetailRes", 1).service_parameter_list.parameter_set
    sets[0].parameter.append(common.Parameter(name="EVSENominalVoltage", int_value=400))


@case("service.control-modes", dc_base)
def _(r: Recording) -> None:
    del r.message("ServiceDetailRes", 1).service_parameter_list.parameter_set[0]


@refused("service.selection", dc_base, "ServiceSelectionRes", "FAILED_ServiceSelectionInvalid")
def _(r: Recording) -> None:
    r.message("ServiceSelectionReq").selected_energy_transfer_service.parameter_set_id = 9


@refused("service.energy", dc_base, "ServiceSelectionRes", "FAILED_NoEnergyTransferServiceSelected")
def _(r: Recording) -> None:
    chosen = r.message("ServiceSelectionReq").selected_energy_transfer_service
    chosen.service_id, chosen.parameter_set_id = 65, 1


@refused("stop.renegotiation", dc_base, "SessionStopRes", "FAILED_NoServiceRenegotiationSupported")
def _(r: Recording) -> None:
    r.message("SessionStopReq").charging_session = common.ChargingSession.ServiceRenegotiation
