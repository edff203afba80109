"""From the open connection to the selected services: protocol, session, authorization, services."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..messages import common
from ..messages.app_protocol import (
    AppProtocol,
    AppProtocolResponseCode,
    SupportedAppProtocolReq,
    SupportedAppProtocolRes,
)
from ..messages.common_types import MessageHeader, ResponseCode
from ..v2gtp import PayloadType
from .evcc_config import Contract, ServiceWish
from .evcc_dialogue import Dialogue
from .evcc_steps import Abort, Exchange, Outcome, SessionEnded
from .events import Severity
from .services import EnergyMode, ServiceID, family_of, parameter_value, read_parameter_set

_DIGITS = b"0123456789abcdefABCDEF"
Credential = Callable[[MessageHeader], common.AuthorizationReq]


class Setup(Dialogue):
    """Opens a session. Each method is one part of the sequence diagram and may be run or overridden alone."""

    protocol: AppProtocol | None = None
    """The agreed protocol."""
    service_renegotiation = False
    """What ServiceDiscoveryRes said."""
    vas: tuple[tuple[int, int], ...] = ()
    """Selected value added services: service and parameter set ids."""

    # -- supportedAppProtocol ----------------------------------------------------------------------------

    def negotiate(self) -> Exchange[AppProtocol]:
        """Agree on a protocol."""
        offer = list(self.config.offer())
        request = SupportedAppProtocolReq(app_protocol=offer)
        response = yield from self.exchange(request, PayloadType.SAP)
        self._check_setup_time()
        if not isinstance(response, SupportedAppProtocolRes):
            raise self.wrong_answer(response, "supportedAppProtocolRes")
        if response.response_code is AppProtocolResponseCode.Failed_NoNegotiation:
            raise SessionEnded(Outcome.NO_PROTOCOL, "the SECC serves none of the offered protocols")
        chosen = next((entry for entry in offer if entry.schema_id == response.schema_id), None)
        if chosen is None and response.schema_id is None and len(offer) == 1:
            self.deviation(
                "no SchemaID in a successful answer",
                "the SchemaID of the chosen entry",
                requirement="V2G20-169",
                message=SupportedAppProtocolRes,
            )
            chosen = offer[0]
        if chosen is None:
            raise self.fatal(
                f"SchemaID {response.schema_id}",
                f"one of {[entry.schema_id for entry in offer]}",
                SupportedAppProtocolRes,
            )
        self.protocol = chosen
        return chosen

    def _check_setup_time(self) -> None:
        """From link up, when this object was made, to SessionSetupRes."""
        limit = self.config.timers.seconds("V2G_EVCC_CommunicationSetup_Timeout")
        if self.now - self.result.started > limit:
            raise SessionEnded(Outcome.TIMEOUT, f"no session after {limit} s (CommunicationSetup_Timeout)")

    # -- SessionSetup ------------------------------------------------------------------------------------

    def set_up_session(self) -> Exchange[bool]:
        """Open a session or join the paused one; True if joined, which leads straight to
        ChargeParameterDiscovery.
        """
        paused = self.resume
        self.session_id = paused.session_id if paused else bytes(8)
        request = common.SessionSetupReq(header=self.header(), evcc_id=self.config.evcc_id)
        response = yield from self.ask(request, common.SessionSetupRes)
        self._check_setup_time()
        session_id, code = response.header.session_id, response.response_code
        joined = code is ResponseCode.OK_OldSessionJoined
        if code not in (ResponseCode.OK_NewSessionEstablished, ResponseCode.OK_OldSessionJoined):
            joined = paused is not None and session_id == paused.session_id
            self.deviation(
                code.value,
                "OK_NewSessionEstablished or OK_OldSessionJoined",
                message=common.SessionSetupRes,
                severity=Severity.NOTE,
            )
        self._check_session_id(session_id, joined)
        self.session_id = self.result.session_id = session_id
        self.result.evse_id = response.evse_id
        if not joined or paused is None:
            # A new session: nothing of the paused one is of use, its authorization included
            # [V2G20-2615 to 2617].
            self.resume = None
            return False
        if self.secc_identity != paused.secc_identity or (
            self.secc_identity is None and response.evse_id != paused.evse_id
        ):
            self.resume = None
            self.deviation(
                f"session joined by another SECC ({response.evse_id})",
                f"the one it was paused with ({paused.evse_id})",
                requirement="V2G20-2539",
                message=common.SessionSetupRes,
            )
            raise SessionEnded(Outcome.ABORTED, "another SECC joined the paused session [V2G20-2614]")
        self.result.mode = paused.mode
        self.result.resumed = True
        self.vas = paused.vas
        self.contract = paused.contract
        self.service_renegotiation = paused.service_renegotiation
        return True

    def _check_session_id(self, session_id: bytes, joined: bool) -> None:
        asked = self.session_id
        if not joined and all(byte in _DIGITS for byte in session_id):
            self.deviation(
                f"SessionID {session_id!r} is text",
                "at least 58 bits of entropy, 8 digits hold 32 at most",
                requirement="V2G20-2621",
                message=common.SessionSetupRes,
            )
        if session_id == bytes(8):
            self.deviation(
                "SessionID is zero",
                "a new SessionID",
                requirement="V2G20-2106",
                message=common.SessionSetupRes,
            )
        elif joined and session_id != asked:
            self.deviation(
                f"joined, but SessionID is {session_id.hex()}",
                asked.hex(),
                requirement="V2G20-2622",
                message=common.SessionSetupRes,
            )
        elif not joined and session_id == asked:
            self.deviation(
                "a new session with the SessionID of the paused one",
                "a fresh SessionID",
                requirement="V2G20-2626",
                message=common.SessionSetupRes,
            )

    # -- authorization -----------------------------------------------------------------------------------

    def authorize(self) -> Exchange[None]:
        """Present credentials until one is accepted: contracts first, then external identification."""
        request = common.AuthorizationSetupReq(header=self.header())
        setup = yield from self.ask(request, common.AuthorizationSetupRes)
        self.check_authorization_setup(setup)
        installation = self.config.certificate_installation
        can_install = installation is not None and setup.certificate_installation_service
        contracts = list(self.config.contracts)
        if not contracts and can_install:
            contracts = yield from self.install_certificates()
            can_install = False
        verdict: ResponseCode | None = None
        for credential in self.credentials(setup, contracts):
            verdict = yield from self.present(credential)
            if verdict.is_ok:
                return
        if can_install:
            contracts = yield from self.install_certificates()
            for credential in self.credentials(setup, contracts, eim=False):
                verdict = yield from self.present(credential)
                if verdict.is_ok:
                    return
        if verdict is None:
            offered = ", ".join(service.value for service in setup.authorization_services)
            raise Abort("NoAuthorization", f"no credential for the authorization on offer: {offered}")
        raise Abort("NotAuthorized", f"authorization ended with {verdict.value}")

    def credentials(
        self, setup: common.AuthorizationSetupRes, contracts: Sequence[Contract], *, eim: bool = True
    ) -> list[Credential]:
        """What to present, in order; each makes an AuthorizationReq for a header."""
        found: list[Credential] = []
        mode = setup.authorization_mode
        if common.Authorization.PnC in setup.authorization_services and isinstance(
            mode, common.PnC_ASResAuthorizationMode
        ):
            providers = tuple(mode.supported_providers.provider_id) if mode.supported_providers else ()
            for contract in contracts:
                signed = contract(self.header(), mode.gen_challenge, providers)
                if signed is not None:
                    found.append(lambda header, signed=signed: _with_time(signed, header))  # type: ignore[misc]
        if eim and self.config.eim and common.Authorization.EIM in setup.authorization_services:
            found += [_eim] * self.config.eim_attempts
        return found

    def present(self, credential: Credential) -> Exchange[ResponseCode]:
        """Send one AuthorizationReq, unaltered but for its time while the SECC is busy [V2G20-1582]; its
        verdict.
        """
        presented: list[common.AuthorizationReq] = []

        def request() -> common.AuthorizationReq:
            presented.append(credential(self.header()))
            return presented[-1]

        response = yield from self.until_finished(
            request, common.AuthorizationRes, lambda res: res.evse_processing
        )
        code, mode = response.response_code, presented[-1].authorization_mode
        if code.is_ok:
            self.result.authorization = presented[-1].selected_authorization_service
            self.result.authorization_code = code
            if isinstance(mode, common.PnC_AReqAuthorizationMode):
                self.contract = mode.contract_certificate_chain
        return code

    def check_authorization_setup(self, setup: common.AuthorizationSetupRes) -> None:
        offered = setup.authorization_services
        pnc = common.Authorization.PnC in offered
        if pnc != isinstance(setup.authorization_mode, common.PnC_ASResAuthorizationMode):
            self.deviation(
                f"{type(setup.authorization_mode).__name__} with {', '.join(offered)}",
                "the PnC mode whenever PnC is offered" if pnc else "the EIM mode when only EIM is offered",
                requirement="V2G20-1219" if pnc else "V2G20-1220",
                message=common.AuthorizationSetupRes,
            )
        if len(set(offered)) != len(offered):
            self.deviation(
                f"authorization services {', '.join(offered)}",
                "each service once",
                message=common.AuthorizationSetupRes,
            )

    def install_certificates(self) -> Exchange[list[Contract]]:
        """Fetch contracts, one per response, until none remains; those that could be used."""
        installation = self.config.certificate_installation
        found: list[Contract] = []
        left: int | None = None
        if installation is None:
            return found
        while True:
            response = yield from self.until_finished(
                lambda: installation.request(self.header()),
                common.CertificateInstallationRes,
                lambda res: res.evse_processing,
            )
            if not response.response_code.is_ok:
                return found
            try:
                installed = installation.install(response, self.unix_time())
            except ValueError as error:
                self.deviation(
                    f"a contract that cannot be trusted or unwrapped: {error}",
                    "a contract signed by a provisioning service and wrapped for this EV",
                    message=common.CertificateInstallationRes,
                )
            else:
                found.append(installed.contract)
                for remark in installed.remarks:
                    self.deviation(
                        remark,
                        "what the standard has",
                        severity=Severity.NOTE,
                        message=common.CertificateInstallationRes,
                    )
            before, left = left, response.remaining_contract_certificate_chains
            if before is not None and left >= before:
                self.deviation(
                    f"RemainingContractCertificateChains {left} after {before}",
                    "fewer with each contract",
                    message=common.CertificateInstallationRes,
                )
                return found
            if left == 0:
                return found

    # -- services ----------------------------------------------------------------------------------------

    def choose_services(self) -> Exchange[EnergyMode]:
        """Discover, look into and select services: the best energy service, then the value added ones."""
        discovery = yield from self.discover_services()
        offered = [service.service_id for service in discovery.energy_transfer_service_list.service]
        mode: EnergyMode | None = None
        for wish in self.config.services:
            if int(wish.service) in offered and self._in_protocol(wish.service):
                mode = yield from self.look_into(wish)
                if mode is not None:
                    break
        if mode is None:
            raise Abort("1", f"none of the energy services on offer can be used: {offered}")
        vas_offered = (
            [service.service_id for service in discovery.vas_list.service] if discovery.vas_list else []
        )
        vas = yield from self.choose_vas(vas_offered)
        yield from self.select_services(mode, vas)
        return mode

    def discover_services(self) -> Exchange[common.ServiceDiscoveryRes]:
        wanted = [int(wish.service) for wish in self.config.services]
        wanted += [wish.service_id for wish in self.config.vas]
        wanted = list(dict.fromkeys(wanted))[:16]
        request = common.ServiceDiscoveryReq(
            header=self.header(),
            supported_service_ids=common.ServiceIDList(service_id=wanted)
            if self.config.service_filter
            else None,
        )
        response = yield from self.ask(request, common.ServiceDiscoveryRes)
        self.service_renegotiation = response.service_renegotiation_supported
        unasked = [s.service_id for s in response.vas_list.service] if response.vas_list else []
        unasked = [service_id for service_id in unasked if service_id not in wanted]
        if self.config.service_filter and unasked:
            self.deviation(
                f"VASList names {unasked}",
                "only services that the EV listed",
                requirement="V2G20-1249",
                message=common.ServiceDiscoveryRes,
            )
        return response

    def _in_protocol(self, service: ServiceID) -> bool:
        """Whether the agreed protocol carries the messages of this service."""
        family = family_of(service)
        return self.protocol is None or family is None or self.protocol.protocol_namespace == family.namespace

    def service_detail(self, service_id: int) -> Exchange[list[common.ParameterSet]]:
        request = common.ServiceDetailReq(header=self.header(), service_id=service_id)
        response = yield from self.ask(request, common.ServiceDetailRes)
        if response.service_id != service_id:
            self.deviation(
                f"details of service {response.service_id}",
                f"those of service {service_id}",
                message=common.ServiceDetailRes,
            )
        sets = response.service_parameter_list.parameter_set
        ids = [item.parameter_set_id for item in sets]
        if len(set(ids)) != len(ids):
            self.deviation(f"parameter set ids {ids}", "each id once", message=common.ServiceDetailRes)
        # Of an id that is there twice nobody could tell which set was selected: the first counts.
        return [item for number, item in enumerate(sets) if item.parameter_set_id not in ids[:number]]

    def look_into(self, wish: ServiceWish) -> Exchange[EnergyMode | None]:
        """The best parameter set of a service, None if none can be used."""
        best: tuple[tuple[int, ...], EnergyMode] | None = None
        for parameter_set in (yield from self.service_detail(wish.service)):
            reading = read_parameter_set(wish.service, parameter_set)
            if reading.notes:
                self.deviation(
                    "; ".join(reading.notes),
                    "one of the forms that public stacks use",
                    severity=Severity.NOTE,
                    message=common.ServiceDetailRes,
                )
            for problem in reading.problems:
                self.deviation(
                    f"parameter set {parameter_set.parameter_set_id}: {problem}",
                    f"a parameter set of service {int(wish.service)}",
                    message=common.ServiceDetailRes,
                )
            rank = wish.rank(reading.mode) if reading.mode else None
            if reading.mode is not None and rank is not None and (best is None or rank < best[0]):
                best = rank, reading.mode
        return best[1] if best else None

    def choose_vas(self, offered: Sequence[int]) -> Exchange[tuple[tuple[int, int], ...]]:
        """Service and parameter set ids of the value added services to select."""
        chosen: list[tuple[int, int]] = []
        details: dict[int, list[common.ParameterSet]] = {}
        self.vas_values = {}
        for wish in self.config.vas:
            if wish.service_id not in offered:
                continue
            if wish.service_id not in details:
                details[wish.service_id] = yield from self.service_detail(wish.service_id)
            for parameter_set in details[wish.service_id]:
                values = {item.name: parameter_value(item) for item in parameter_set.parameter}
                key = (wish.service_id, parameter_set.parameter_set_id)
                if key not in chosen and all(values.get(name) == v for name, v in wish.values.items()):
                    chosen.append(key)
                    self.vas_values[key] = values
                    break
        return tuple(chosen[:16])

    def select_services(self, mode: EnergyMode, vas: Sequence[tuple[int, int]]) -> Exchange[None]:
        selected = [
            common.SelectedService(service_id=service_id, parameter_set_id=set_id)
            for service_id, set_id in vas
        ]
        request = common.ServiceSelectionReq(
            header=self.header(),
            selected_energy_transfer_service=common.SelectedService(
                service_id=int(mode.service), parameter_set_id=mode.parameter_set_id
            ),
            selected_vas_list=common.SelectedServiceList(selected_service=selected) if selected else None,
        )
        yield from self.ask(request, common.ServiceSelectionRes)
        self.result.mode = mode
        self.vas = tuple(vas)


def _eim(header: MessageHeader) -> common.AuthorizationReq:
    return common.AuthorizationReq(
        header=header,
        selected_authorization_service=common.Authorization.EIM,
        authorization_mode=common.EIM_AReqAuthorizationMode(),
    )


def _with_time(signed: common.AuthorizationReq, header: MessageHeader) -> common.AuthorizationReq:
    """The same request at another time; its signature covers the authorization mode, not the header."""
    return common.AuthorizationReq(
        header=MessageHeader(
            session_id=header.session_id, timestamp=header.timestamp, signature=signed.header.signature
        ),
        selected_authorization_service=signed.selected_authorization_service,
        authorization_mode=signed.authorization_mode,
    )
