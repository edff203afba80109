"""SECC: protocol, session, authorization, contract installation, services."""

from __future__ import annotations

from ..messages import common
from ..messages.app_protocol import (
    AppProtocolResponseCode,
    SupportedAppProtocolReq,
    SupportedAppProtocolRes,
)
from ..messages.common_types import Processing, ResponseCode
from .charger import Verdict
from .fillers import failed
from .secc_config import PausedSession, bind
from .secc_context import NEW_SESSION, Context, Refusal
from .services import ServiceID, choose_protocol, family_of

_SELECTION_INVALID = ResponseCode.FAILED_ServiceSelectionInvalid


def supported_app_protocol(
    ctx: Context, request: SupportedAppProtocolReq, now: float
) -> SupportedAppProtocolRes:
    """-20 is never selected on a link without TLS 1.3 [V2G20-2356], unless the laboratory says so."""
    secure = ctx.link.tls or ctx.link.lab_plain_tcp
    offers = request.app_protocol
    for what, values in (
        ("SchemaID", [offer.schema_id for offer in offers]),
        ("Priority", [offer.priority for offer in offers]),
    ):
        if len(set(values)) != len(values):
            ctx.note(f"two offers with the same {what}", f"a {what} of its own for each", "V2G20-167")
    chosen = choose_protocol(offers, ctx.config.served()) if secure else None
    if not secure:
        ctx.error("ISO 15118-20 on a link that is not TLS 1.3", "TLS 1.3", "V2G20-1805")
    if chosen is None:
        return SupportedAppProtocolRes(response_code=AppProtocolResponseCode.Failed_NoNegotiation)
    code = (
        AppProtocolResponseCode.OK_SuccessfulNegotiationWithMinorDeviation
        if chosen.minor_deviation
        else AppProtocolResponseCode.OK_SuccessfulNegotiation
    )
    return SupportedAppProtocolRes(response_code=code, schema_id=chosen.offer.schema_id)


def session_setup(ctx: Context, request: common.SessionSetupReq, now: float) -> common.SessionSetupRes:
    """Zero SessionID opens a session, any other asks to resume one that was paused."""
    wanted = request.header.session_id
    ctx.evcc_id = request.evcc_id
    if ctx.link.evcc_id is not None and request.evcc_id != ctx.link.evcc_id:
        ctx.tolerate(
            f"EVCCID {request.evcc_id!r}",
            f"the common name of the vehicle certificate, {ctx.link.evcc_id!r}",
            "V2G20-2598",
        )
    code = ResponseCode.OK_NewSessionEstablished
    paused = ctx.store.find(wanted) if wanted != NEW_SESSION else None
    if paused is not None and _same_vehicle(ctx, paused) and paused.mode.family is ctx.state.family:
        ctx.store.take(wanted)
        ctx.session_id, ctx.mode, ctx.vas, ctx.resumed = paused.session_id, paused.mode, paused.vas, True
        ctx.contract = paused.contract
        ctx.charger.select(now, paused.mode)
        code = ResponseCode.OK_OldSessionJoined
    else:
        ctx.session_id = _fresh_id(ctx)
    return common.SessionSetupRes(header=ctx.header(now), response_code=code, evse_id=ctx.charger.evse_id)


def _same_vehicle(ctx: Context, paused: PausedSession) -> bool:
    """The EV must prove that it is the one that paused [V2G20-2545], by its vehicle certificate
    [V2G20-2677].
    """
    certificate = ctx.link.vehicle_certificate
    if certificate is not None and paused.binding is not None:
        return bind(paused.session_id, certificate) == paused.binding
    lab = ctx.config.resume_without_certificate and certificate is None and paused.binding is None
    return lab and ctx.evcc_id == paused.evcc_id


def _fresh_id(ctx: Context) -> bytes:
    """Never zero, never one that is still in use [V2G20-2106], [V2G20-2621]."""
    while True:
        session_id = ctx.entropy(8)
        if session_id != NEW_SESSION and session_id not in ctx.store:
            return session_id


def authorization_setup(
    ctx: Context, request: common.AuthorizationSetupReq, now: float
) -> common.AuthorizationSetupRes:
    config = ctx.config
    offered = [
        service
        for service, on in ((common.Authorization.EIM, config.eim), (common.Authorization.PnC, config.pnc))
        if on
    ]
    if config.pnc_first:
        offered.reverse()
    ctx.offered_authorization = tuple(offered)
    mode: common.EIM_ASResAuthorizationMode | common.PnC_ASResAuthorizationMode
    if config.pnc:
        ctx.challenge = ctx.entropy(16)
        providers = (
            common.SupportedProvidersList(provider_id=list(config.providers)) if config.providers else None
        )
        mode = common.PnC_ASResAuthorizationMode(gen_challenge=ctx.challenge, supported_providers=providers)
    else:
        mode = common.EIM_ASResAuthorizationMode()
    return common.AuthorizationSetupRes(
        header=ctx.header(now),
        response_code=ResponseCode.OK,
        authorization_services=offered,
        certificate_installation_service=config.certificate_installation
        and ctx.trust.install_certificate is not None,
        authorization_mode=mode,
    )


def authorization(ctx: Context, request: common.AuthorizationReq, now: float) -> common.AuthorizationRes:
    said = (request.selected_authorization_service, request.authorization_mode)
    if ctx.asked is not None and ctx.asked != said:
        ctx.note("AuthorizationReq changed while Ongoing", "the same again", "V2G20-1582")
    code, processing = _judge(ctx, request, now)
    if processing is Processing.Finished:
        ctx.finished("authorization")
    elif ctx.ongoing_too_long("authorization", now):
        pnc = request.selected_authorization_service is common.Authorization.PnC
        code = (
            ResponseCode.WARNING_GeneralPnCAuthorizationError
            if pnc
            else ResponseCode.WARNING_EIMAuthorizationFailure
        )
        processing = Processing.Finished
        ctx.finished("authorization")
    ctx.asked = None if processing is Processing.Finished else said
    return common.AuthorizationRes(header=ctx.header(now), response_code=code, evse_processing=processing)


def _judge(ctx: Context, request: common.AuthorizationReq, now: float) -> tuple[ResponseCode, Processing]:
    """A refused credential is Finished with a WARNING; the EV may try again [V2G20-2230]."""
    finished = Processing.Finished
    service, mode = request.selected_authorization_service, request.authorization_mode
    pnc = isinstance(mode, common.PnC_AReqAuthorizationMode)
    if service not in ctx.offered_authorization or pnc is not (service == common.Authorization.PnC):
        what = f"{service} with {type(mode).__name__}"
        offered = " or ".join(ctx.offered_authorization)
        ctx.error(f"authorization by {what}", f"one that was offered ({offered})", "V2G20-2209")
        return ResponseCode.WARNING_AuthorizationSelectionInvalid, finished
    if not pnc:
        match ctx.charger.authorize(now):
            case Verdict.ACCEPTED:
                return ResponseCode.OK, finished
            case Verdict.REJECTED:
                return ResponseCode.WARNING_EIMAuthorizationFailure, finished
            case Verdict.WAITING_FOR_CUSTOMER:
                return ResponseCode.OK, Processing.Ongoing_WaitingForCustomerInteraction
            case Verdict.PENDING:
                return ResponseCode.OK, Processing.Ongoing
    assert isinstance(mode, common.PnC_AReqAuthorizationMode)
    if mode.gen_challenge != ctx.challenge:
        ctx.error("GenChallenge differs from the one sent", "its echo", "V2G20-2565")
        return ResponseCode.WARNING_ChallengeInvalid, finished
    if ctx.trust.authorize_contract is None:
        return ResponseCode.WARNING_GeneralPnCAuthorizationError, finished
    verdict = ctx.trust.authorize_contract(request, ctx.unix(now))
    if verdict.pending:
        return ResponseCode.OK, Processing.Ongoing
    for remark in verdict.remarks:
        ctx.note(remark, "what the standard has")
    problem = verdict.reason or "the contract is not authorized"
    if verdict.code.is_failed:
        raise Refusal(verdict.code, problem, "a valid signature and contract")
    if verdict.code.is_ok:
        ctx.contract = mode.contract_certificate_chain
    elif verdict.reason:
        ctx.error(problem, "a contract that can be authorized")
    return verdict.code, finished


def certificate_installation(
    ctx: Context, request: common.CertificateInstallationReq, now: float
) -> common.CertificateInstallationRes:
    install = ctx.trust.install_certificate
    if install is None:
        raise Refusal(ResponseCode.FAILED, "certificate installation", "it was not offered")
    answer = install(request, ctx.unix(now))
    header = ctx.header(now)
    processing = Processing.Ongoing if answer.pending else Processing.Finished
    if answer.pending and ctx.ongoing_too_long("certificate installation", now):
        raise Refusal(
            ResponseCode.FAILED, "the contract was not delivered in time", "an answer", "V2G20-2225", own=True
        )
    if not answer.pending:
        ctx.finished("certificate installation")
    for remark in answer.remarks:
        ctx.note(remark, "what the standard has")
    if answer.code.is_failed:
        problem = answer.reason or "certificate installation is refused"
        raise Refusal(answer.code, problem, "a valid request")
    if answer.reason:
        ctx.error(answer.reason, "a request that can be granted")
    if answer.data is None or answer.chain is None:
        filler = failed(request, header, answer.code, evse_processing=processing)
        assert isinstance(filler, common.CertificateInstallationRes)
        return filler
    header.signature = answer.signature
    return common.CertificateInstallationRes(
        header=header,
        response_code=answer.code,
        evse_processing=processing,
        cps_certificate_chain=answer.chain,
        signed_installation_data=answer.data,
        remaining_contract_certificate_chains=answer.remaining,
    )


def service_discovery(
    ctx: Context, request: common.ServiceDiscoveryReq, now: float
) -> common.ServiceDiscoveryRes:
    """All energy services of the negotiated family; of the VAS only those the EV listed, if it did
    [V2G20-1249].
    """
    wanted = None if request.supported_service_ids is None else set(request.supported_service_ids.service_id)
    energy = _energy_services(ctx)
    if wanted is not None and not wanted & set(energy):
        ctx.note(
            f"SupportedServiceIDs {sorted(wanted)} has no energy service that is offered",
            f"one of {energy}",
            "V2G20-1248",
        )
    vas = [service for service in ctx.config.vas if wanted is None or service.service_id in wanted]
    return common.ServiceDiscoveryRes(
        header=ctx.header(now),
        response_code=ResponseCode.OK,
        service_renegotiation_supported=ctx.config.service_renegotiation,
        energy_transfer_service_list=common.ServiceList(
            service=[
                common.Service(service_id=service, free_service=ctx.config.free_energy) for service in energy
            ]
        ),
        vas_list=common.ServiceList(
            service=[common.Service(service_id=item.service_id, free_service=item.free) for item in vas]
        )
        if vas
        else None,
    )


def _energy_services(ctx: Context) -> list[int]:
    return list(
        dict.fromkeys(int(mode.service) for mode in ctx.config.energy if mode.family is ctx.state.family)
    )


def service_detail(ctx: Context, request: common.ServiceDetailReq, now: float) -> common.ServiceDetailRes:
    wanted = request.service_id
    sets = [
        mode.parameter_set(ctx.config.dialect)
        for mode in ctx.config.energy
        if mode.service == wanted and mode.family is ctx.state.family
    ]
    listed = common.ServiceParameterList(parameter_set=sets) if sets else None
    for service in ctx.config.vas:
        if service.service_id == wanted:
            listed = service.parameter_list()
    if listed is None:
        raise Refusal(
            ResponseCode.FAILED_ServiceIDInvalid,
            f"details of service {wanted}",
            "a service of ServiceDiscoveryRes",
            "V2G20-425",
        )
    return common.ServiceDetailRes(
        header=ctx.header(now),
        response_code=ResponseCode.OK,
        service_id=wanted,
        service_parameter_list=listed,
    )


def service_selection(
    ctx: Context, request: common.ServiceSelectionReq, now: float
) -> common.ServiceSelectionRes:
    chosen = request.selected_energy_transfer_service
    if family_of(chosen.service_id) is None and any(
        chosen.service_id == service.service_id for service in ctx.config.vas
    ):
        raise Refusal(
            ResponseCode.FAILED_NoEnergyTransferServiceSelected,
            f"service {chosen.service_id} selected for energy transfer",
            "an energy service",
            "V2G20-1618",
        )
    mode = next(
        (
            mode
            for mode in ctx.config.energy
            if (mode.service, mode.parameter_set_id) == (chosen.service_id, chosen.parameter_set_id)
            and mode.family is ctx.state.family
        ),
        None,
    )
    if mode is None:
        raise Refusal(
            _SELECTION_INVALID,
            f"service {chosen.service_id} with parameter set {chosen.parameter_set_id}",
            "a pair that was offered",
            "V2G20-433",
        )
    vas = []
    offered = {item.service_id: item.parameter_sets for item in ctx.config.vas}
    for item in request.selected_vas_list.selected_service if request.selected_vas_list is not None else ():
        if item.parameter_set_id not in offered.get(item.service_id, {}):
            raise Refusal(
                _SELECTION_INVALID,
                f"VAS {item.service_id} with parameter set {item.parameter_set_id}",
                "a pair that was offered",
                "V2G20-433",
            )
        vas.append((item.service_id, item.parameter_set_id))
    ctx.mode, ctx.vas = mode, tuple(vas)
    ctx.charger.select(now, mode)
    return common.ServiceSelectionRes(header=ctx.header(now), response_code=ResponseCode.OK)


def parking_selected(ctx: Context) -> bool:
    return any(service == ServiceID.PARKING_STATUS for service, _ in ctx.vas)


def vehicle_check_in(ctx: Context, request: common.VehicleCheckInReq, now: float) -> common.VehicleCheckInRes:
    _require_parking(ctx)
    space, location, distance = ctx.charger.check_in(now, request)
    return common.VehicleCheckInRes(
        header=ctx.header(now),
        response_code=ResponseCode.OK,
        parking_space=space,
        device_location=location,
        target_distance=distance,
    )


def vehicle_check_out(
    ctx: Context, request: common.VehicleCheckOutReq, now: float
) -> common.VehicleCheckOutRes:
    _require_parking(ctx)
    done = ctx.charger.check_out(now, request)
    status = common.EVSECheckOutStatus.Completed if done else common.EVSECheckOutStatus.Scheduled
    return common.VehicleCheckOutRes(
        header=ctx.header(now), response_code=ResponseCode.OK, evse_check_out_status=status
    )


def _require_parking(ctx: Context) -> None:
    if not parking_selected(ctx):
        raise Refusal(
            ResponseCode.FAILED_SequenceError,
            "parking status without the ParkingStatus service",
            "service 66 selected",
            "V2G20-459",
        )
