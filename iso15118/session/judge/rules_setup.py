"""Rules from supportedAppProtocol to ServiceSelection, and of SessionStop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain

from ...messages import common
from ...messages.app_protocol import SupportedAppProtocolReq, SupportedAppProtocolRes
from ...messages.common_types import Processing, ResponseCode
from ..events import Severity
from ..services import FAMILY_OF_NAMESPACE, ControlMode, read_parameter_set
from .context import Context, is_known
from .model import Fault, on_request, on_response

_NEW = bytes(8)
SUITES = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
GROUPS = ("secp521r1", "x448")


def _insecure(context: Context) -> str:
    """Why this link must not carry -20; empty if it may or nobody knows."""
    link = context.link
    if link.lab_plain_tcp:
        return ""
    if link.tls is False:
        return "plain TCP"
    return link.version if link.tls and link.version and link.version != "TLSv1.3" else ""


@on_request("sap.priority", "supportedAppProtocolReq", requirements=("V2G20-167",))
def priorities(context: Context, request: SupportedAppProtocolReq) -> Iterator[Fault]:
    """Each offered protocol has a priority of its own, and a SchemaID of its own."""
    for field in ("priority", "schema_id"):
        counted = Counter(getattr(offer, field) for offer in request.app_protocol)
        for value in sorted(value for value, count in counted.items() if count > 1):
            yield Fault(f"{counted[value]} protocols have {field} {value}", f"every {field} once")


@on_request("sap.offer-insecure", "supportedAppProtocolReq", requirements=("V2G20-1237", "V2G20-1805"))
def offered_insecurely(context: Context, request: SupportedAppProtocolReq) -> Iterator[Fault]:
    """ISO 15118-20 is offered over TLS 1.3 only."""
    offers = [
        item.protocol_namespace
        for item in request.app_protocol
        if item.protocol_namespace in FAMILY_OF_NAMESPACE
    ]
    if offers and (link := _insecure(context)):
        yield Fault(f"{offers[0]} offered over {link}", "TLS 1.3")


@on_response("sap.choice-insecure", "supportedAppProtocolRes", requirements=("V2G20-2356", "V2G20-1805"))
def chosen_insecurely(
    context: Context, request: SupportedAppProtocolReq, response: SupportedAppProtocolRes
) -> Iterator[Fault]:
    """ISO 15118-20 is selected over TLS 1.3 only."""
    offers = {item.schema_id: item.protocol_namespace for item in request.app_protocol}
    chosen = offers.get(response.schema_id or 0, "")
    if chosen in FAMILY_OF_NAMESPACE and (link := _insecure(context)):
        yield Fault(f"{chosen} selected over {link}", "TLS 1.3")


@on_response("sap.choice", "supportedAppProtocolRes", requirements=("V2G20-169",))
def choice(
    context: Context, request: SupportedAppProtocolReq, response: SupportedAppProtocolRes
) -> Iterator[Fault]:
    """A successful answer names the SchemaID of one of the offers."""
    offered = [item.schema_id for item in request.app_protocol]
    if response.response_code.value.startswith("OK") and response.schema_id not in offered:
        yield Fault(f"SchemaID {response.schema_id}", f"one of {_listed(offered)}")


@on_response("sap.tls-asked", "supportedAppProtocolRes", requirements=("V2G20-1238",))
def tls_asked(
    context: Context, request: SupportedAppProtocolReq, response: SupportedAppProtocolRes
) -> Iterator[Fault]:
    """A SECC that serves ISO 15118-20 answers an SDP request for TLS with TLS."""
    offers = {item.schema_id: item.protocol_namespace for item in request.app_protocol}
    chosen = offers.get(response.schema_id or 0, "")
    if (
        chosen in FAMILY_OF_NAMESPACE
        and context.sdp_tls_asked
        and context.link.tls is False
        and not context.link.lab_plain_tcp
    ):
        yield Fault("the EVCC asked for TLS and was given plain TCP", "TLS")


@on_response("tls.suite", "supportedAppProtocolRes", requirements=("V2G20-2458", "V2G20-2459"))
def suite(
    context: Context, request: SupportedAppProtocolReq, response: SupportedAppProtocolRes
) -> Iterator[Fault]:
    """With ISO 15118-20 the cipher suite is one of its two."""
    link = context.link
    if link.version == "TLSv1.3" and link.suite and link.suite not in SUITES and _is_20(request, response):
        yield Fault(f"cipher suite {link.suite}", " or ".join(SUITES))


@on_response("tls.group", "supportedAppProtocolRes", requirements=("V2G20-1634", "V2G20-1637"))
def group(
    context: Context, request: SupportedAppProtocolReq, response: SupportedAppProtocolRes
) -> Iterator[Fault]:
    """With ISO 15118-20 the key exchange uses secp521r1 or x448."""
    link = context.link
    if (
        link.version == "TLSv1.3"
        and link.group
        and link.group.lower() not in GROUPS
        and _is_20(request, response)
    ):
        yield Fault(f"group {link.group}", " or ".join(GROUPS))


@on_response("tls.mutual", "supportedAppProtocolRes", requirements=("V2G20-1264", "V2G20-2400"))
def mutual(
    context: Context, request: SupportedAppProtocolReq, response: SupportedAppProtocolRes
) -> Iterator[Fault]:
    """With ISO 15118-20 both sides authenticate with a certificate: the SECC asks for the vehicle's."""
    if context.link.version == "TLSv1.3" and context.link.mutual is False and _is_20(request, response):
        yield Fault("the TLS session has no vehicle certificate", "mutual authentication")


def _is_20(request: SupportedAppProtocolReq, response: SupportedAppProtocolRes) -> bool:
    return any(
        item.schema_id == response.schema_id and item.protocol_namespace in FAMILY_OF_NAMESPACE
        for item in request.app_protocol
    )


# -- session set-up ------------------------------------------------------------------------------------------


@on_response("session.id-zero", "SessionSetupRes", requirements=("V2G20-2106",))
def zero_id(
    context: Context, request: common.SessionSetupReq, response: common.SessionSetupRes
) -> Iterator[Fault]:
    """The SECC's SessionID is not zero."""
    if response.header.session_id == _NEW:
        yield Fault("SessionID is 0000000000000000", "a random SessionID")


@on_response("session.id-fresh", "SessionSetupRes", requirements=("V2G20-2627", "V2G20-2626"))
def fresh_id(
    context: Context, request: common.SessionSetupReq, response: common.SessionSetupRes
) -> Iterator[Fault]:
    """A new session gets a SessionID of its own, not the one the EVCC wanted to resume."""
    asked, given = request.header.session_id, response.header.session_id
    if asked != _NEW and given == asked and response.response_code == ResponseCode.OK_NewSessionEstablished:
        yield Fault(
            f"OK_NewSessionEstablished with the old SessionID {given.hex().upper()}", "a fresh SessionID"
        )


@on_response("session.id-joined", "SessionSetupRes", requirements=("V2G20-2623", "V2G20-2622"))
def joined_id(
    context: Context, request: common.SessionSetupReq, response: common.SessionSetupRes
) -> Iterator[Fault]:
    """A joined session is the one the EVCC named, and it named one."""
    if response.response_code != ResponseCode.OK_OldSessionJoined:
        return
    asked, given = request.header.session_id, response.header.session_id
    if asked == _NEW or given != asked:
        yield Fault(
            f"OK_OldSessionJoined with {given.hex().upper()}, asked for {asked.hex().upper()}",
            "the SessionID asked for",
        )


@on_response("session.code", "SessionSetupRes")
def setup_code(
    context: Context, request: common.SessionSetupReq, response: common.SessionSetupRes
) -> Iterator[Fault]:
    """SessionSetupRes says whether the session is new or joined."""
    allowed = (ResponseCode.OK_NewSessionEstablished, ResponseCode.OK_OldSessionJoined)
    if response.response_code not in allowed:
        yield Fault(f"ResponseCode {response.response_code}", " or ".join(allowed))


# -- authorization -------------------------------------------------------------------------------------------


@on_response("authorization.mode", "AuthorizationSetupRes", requirements=("V2G20-1219", "V2G20-1220"))
def authorization_mode(
    context: Context, request: common.AuthorizationSetupReq, response: common.AuthorizationSetupRes
) -> Iterator[Fault]:
    """PnC_ASResAuthorizationMode comes exactly when PnC is among the services."""
    pnc = common.Authorization.PnC in response.authorization_services
    if pnc is not isinstance(response.authorization_mode, common.PnC_ASResAuthorizationMode):
        expected = "PnC_ASResAuthorizationMode" if pnc else "EIM_ASResAuthorizationMode"
        yield Fault(
            f"{type(response.authorization_mode).__name__} with {_listed(response.authorization_services)}",
            expected,
        )


@on_request(
    "authorization.selection",
    "AuthorizationReq",
    requirements=("V2G20-2209", "V2G20-2226"),
    refusal="WARNING_AuthorizationSelectionInvalid V2G20-2209",
)
def authorization_selection(context: Context, request: common.AuthorizationReq) -> Iterator[Fault]:
    """The EVCC selects an authorization service that was offered."""
    offered = context.authorization.authorization_services if context.authorization else None
    if offered is not None and request.selected_authorization_service not in offered:
        yield Fault(
            f"SelectedAuthorizationService {request.selected_authorization_service}", _listed(offered)
        )


@on_request(
    "authorization.challenge",
    "AuthorizationReq",
    requirements=("V2G20-2565",),
    refusal="WARNING_ChallengeInvalid V2G20-2216",
)
def challenge(context: Context, request: common.AuthorizationReq) -> Iterator[Fault]:
    """A PnC request echoes the GenChallenge of AuthorizationSetupRes."""
    mode = request.authorization_mode
    given = context.authorization.authorization_mode if context.authorization else None
    if not isinstance(mode, common.PnC_AReqAuthorizationMode):
        return
    if isinstance(given, common.PnC_ASResAuthorizationMode) and mode.gen_challenge != given.gen_challenge:
        yield Fault(f"GenChallenge {mode.gen_challenge.hex().upper()}", given.gen_challenge.hex().upper())


@on_request("authorization.repeat", "AuthorizationReq", requirements=("V2G20-1582",))
def authorization_repeat(context: Context, request: common.AuthorizationReq) -> Iterator[Fault]:
    """While the SECC says Ongoing, AuthorizationReq is repeated unaltered but for its header."""
    first = context.ongoing_authorization
    if first is None:
        return
    same = (
        first.selected_authorization_service == request.selected_authorization_service
        and first.authorization_mode == request.authorization_mode
    )
    if not same:
        yield Fault("AuthorizationReq differs from the one before", "the same request")


_AUTHORIZATION_CODES = frozenset(
    {
        ResponseCode.OK,
        ResponseCode.OK_CertificateExpiresSoon,
        ResponseCode.WARNING_CertificateExpired,
        ResponseCode.WARNING_CertificateNotYetValid,
        ResponseCode.WARNING_CertificateRevoked,
        ResponseCode.WARNING_CertificateValidationError,
        ResponseCode.WARNING_eMSPUnknown,
        ResponseCode.WARNING_GeneralPnCAuthorizationError,
        ResponseCode.WARNING_ChallengeInvalid,
        ResponseCode.WARNING_AuthorizationSelectionInvalid,
        ResponseCode.WARNING_EIMAuthorizationFailure,
    }
)


@on_response("authorization.code", "AuthorizationRes")
def authorization_code(
    context: Context, request: common.AuthorizationReq, response: common.AuthorizationRes
) -> Iterator[Fault]:
    """AuthorizationRes uses the codes that exist for it."""
    if response.response_code not in _AUTHORIZATION_CODES:
        yield Fault(
            f"ResponseCode {response.response_code}", "OK or a WARNING about certificates or authorization"
        )


@on_response("authorization.refused-ongoing", "AuthorizationRes", requirements=("V2G20-2230", "V2G20-2219"))
def refused_ongoing(
    context: Context, request: common.AuthorizationReq, response: common.AuthorizationRes
) -> Iterator[Fault]:
    """A refusal is final: EVSEProcessing is Finished with the WARNING."""
    if response.response_code.is_warning and response.evse_processing != Processing.Finished:
        yield Fault(f"{response.response_code} with EVSEProcessing {response.evse_processing}", "Finished")


# -- services ------------------------------------------------------------------------------------------------


@on_response("service.unwanted", "ServiceDiscoveryRes", requirements=("V2G20-1249",))
def unwanted_services(
    context: Context, request: common.ServiceDiscoveryReq, response: common.ServiceDiscoveryRes
) -> Iterator[Fault]:
    """The VASList is limited to the services that the EVCC supports, where it says which."""
    if request.supported_service_ids is None or response.vas_list is None:
        return
    for item in response.vas_list.service:
        if item.service_id not in request.supported_service_ids.service_id:
            yield Fault(f"VAS {item.service_id}", f"only {_listed(request.supported_service_ids.service_id)}")


@on_response("service.unknown-energy", "ServiceDiscoveryRes")
def unknown_energy(
    context: Context, request: common.ServiceDiscoveryReq, response: common.ServiceDiscoveryRes
) -> Iterator[Fault]:
    """Energy transfer services have ids of the standard, each once."""
    ids = [item.service_id for item in response.energy_transfer_service_list.service]
    for service_id, count in Counter(ids).items():
        if count > 1 or not is_known(service_id):
            yield Fault(
                f"energy service {service_id}" + (f", {count} times" if count > 1 else ""), "a known id, once"
            )


@on_request(
    "service.detail",
    "ServiceDetailReq",
    requirements=("V2G20-1216",),
    refusal="FAILED_ServiceIDInvalid V2G20-464",
)
def service_detail(context: Context, request: common.ServiceDetailReq) -> Iterator[Fault]:
    """Details are asked of services that the SECC has listed."""
    if context.services is not None and request.service_id not in context.services:
        yield Fault(f"ServiceID {request.service_id}", f"one of {_listed(sorted(context.services))}")


@on_response("service.detail-other", "ServiceDetailRes")
def other_service(
    context: Context, request: common.ServiceDetailReq, response: common.ServiceDetailRes
) -> Iterator[Fault]:
    """ServiceDetailRes is about the service that was asked for."""
    if response.service_id != request.service_id:
        yield Fault(f"ServiceID {response.service_id}", f"{request.service_id}")


@on_response("service.mobility", "ServiceDetailRes", requirements=("V2G20-2663",))
def mobility(
    context: Context, request: common.ServiceDetailReq, response: common.ServiceDetailRes
) -> Iterator[Fault]:
    """MobilityNeedsMode 2 comes only with ControlMode 2."""
    for item in response.service_parameter_list.parameter_set:
        values = {parameter.name: parameter.int_value for parameter in item.parameter}
        if values.get("MobilityNeedsMode") == 2 and values.get("ControlMode") == ControlMode.SCHEDULED:
            yield Fault(
                f"parameter set {item.parameter_set_id}: MobilityNeedsMode 2 with ControlMode 1",
                "ControlMode 2",
            )


@on_response("service.parameters", "ServiceDetailRes")
def parameters(
    context: Context, request: common.ServiceDetailReq, response: common.ServiceDetailRes
) -> Iterator[Fault]:
    """The parameter sets of an energy service have its parameters, with values that exist."""
    for item in _energy_sets(request, response):
        for problem in read_parameter_set(request.service_id, item).problems:
            if "V2G20-2663" not in problem:
                yield Fault(
                    f"parameter set {item.parameter_set_id}: {problem}", "the parameters of the service"
                )


@on_response("service.parameter-forms", "ServiceDetailRes", severity=Severity.NOTE)
def parameter_forms(
    context: Context, request: common.ServiceDetailReq, response: common.ServiceDetailRes
) -> Iterator[Fault]:
    """Public stacks disagree on the names and values of some parameters; which form was used is noted."""
    forms = (
        note
        for item in _energy_sets(request, response)
        for note in read_parameter_set(request.service_id, item).notes
    )
    for note in dict.fromkeys(forms):
        yield Fault(note, "either form")


@on_response(
    "service.control-modes", "ServiceDetailRes", requirements=("V2G20-2656",), severity=Severity.NOTE
)
def control_modes(
    context: Context, request: common.ServiceDetailReq, response: common.ServiceDetailRes
) -> Iterator[Fault]:
    """A SECC supports Scheduled and Dynamic; an energy service with sets of one mode only is noted."""
    offered = {
        parameter.int_value
        for item in _energy_sets(request, response)
        for parameter in item.parameter
        if parameter.name == "ControlMode"
    }
    if len(offered) == 1:
        yield Fault(f"only ControlMode {next(iter(offered))}", "parameter sets for both")


def _energy_sets(
    request: common.ServiceDetailReq, response: common.ServiceDetailRes
) -> Iterator[common.ParameterSet]:
    if is_known(request.service_id) and request.service_id < 64:
        yield from response.service_parameter_list.parameter_set


@on_request(
    "service.selection",
    "ServiceSelectionReq",
    requirements=("V2G20-1216",),
    refusal="FAILED_ServiceSelectionInvalid V2G20-467",
)
def selection(context: Context, request: common.ServiceSelectionReq) -> Iterator[Fault]:
    """Services and parameter sets are selected in the pairs that the SECC gave."""
    vas = request.selected_vas_list.selected_service if request.selected_vas_list is not None else []
    for chosen in chain((request.selected_energy_transfer_service,), vas):
        pair = (chosen.service_id, chosen.parameter_set_id)
        if context.services is not None and pair not in context.parameter_sets:
            known = sorted(context.parameter_sets)
            yield Fault(f"service {pair[0]}, parameter set {pair[1]}", f"one of {_listed(known)}")


@on_request(
    "service.energy",
    "ServiceSelectionReq",
    requirements=("V2G20-1618",),
    refusal="FAILED_NoEnergyTransferServiceSelected V2G20-1618",
)
def energy_selected(context: Context, request: common.ServiceSelectionReq) -> Iterator[Fault]:
    """The selected energy transfer service is one of the energy services."""
    chosen = request.selected_energy_transfer_service.service_id
    vas = (context.services or frozenset()) - context.energy_services
    if chosen in vas:
        yield Fault(
            f"VAS {chosen} selected for energy transfer", f"one of {_listed(sorted(context.energy_services))}"
        )


@on_request(
    "stop.renegotiation",
    "SessionStopReq",
    refusal="FAILED_NoServiceRenegotiationSupported",
)
def renegotiation(context: Context, request: common.SessionStopReq) -> Iterator[Fault]:
    """Service renegotiation is asked for only of a SECC that supports it."""
    if request.charging_session == "ServiceRenegotiation" and context.renegotiable is False:
        yield Fault(
            "SessionStopReq(ServiceRenegotiation)", "Terminate or Pause: the SECC does not renegotiate"
        )


def _listed(values: object) -> str:
    return ", ".join(map(str, values)) if isinstance(values, list | tuple) and values else "none"
