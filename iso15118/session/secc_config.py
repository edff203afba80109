"""What an SECC offers, how strict it is, what it knows of the link, and what it remembers of paused
sessions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct

from ..messages.common_types import ResponseCode
from .services import (
    FAMILY_OF_NAMESPACE,
    PARAMETER_SET_LIMIT,
    SERVICE_LIST_LIMIT,
    VAS,
    ControlMode,
    Dialect,
    EnergyMode,
    Family,
    MobilityNeedsMode,
    Protocol,
    ServiceID,
)
from .timers import STRICT, Profile

if TYPE_CHECKING:
    from ..messages import common, xmldsig

Entropy = Callable[[int], bytes]
"""Gives that many bytes from a cryptographically secure source [V2G20-835]."""


class LinkSecurity(Struct, frozen=True):
    """The connection that carries the session."""

    tls: bool = True
    """TLS 1.3 with both sides authenticated; anything less is a laboratory link."""
    vehicle_certificate: bytes | None = None
    """DER leaf that the EV proved in the handshake."""
    evcc_id: str | None = None
    """Common name of that leaf."""
    lab_plain_tcp: bool = False
    """Serve -20 on a link that is not TLS 1.3, against [V2G20-2356]."""


class ContractVerdict(Struct, frozen=True):
    """What became of a contract: a code of AuthorizationRes; `pending` while the backend is asked."""

    code: ResponseCode = ResponseCode.OK
    pending: bool = False
    reason: str = ""
    """Why a contract is refused, in words."""
    remarks: tuple[str, ...] = ()
    """What was tolerated."""


class Installation(Struct, frozen=True):
    """What the provisioning service delivered; None for `data` means: refused with `code`, or still
    working.
    """

    code: ResponseCode = ResponseCode.OK
    chain: common.CertificateChain | None = None
    data: common.SignedInstallationData | None = None
    remaining: int = 0
    signature: xmldsig.Signature | None = None
    """Header signature over the signed installation data."""
    pending: bool = False
    reason: str = ""
    """Why nothing is installed, in words."""
    remarks: tuple[str, ...] = ()
    """What was tolerated in the request."""


class Trust(Struct, frozen=True):
    """Where certificates and signatures are judged; the session itself knows neither.

    `authorize_contract` gets the request, its challenge already compared, and `install_certificate` the
    request, both with the time in Unix s. `verify_metering` gets the request and the contract it should be
    signed with (None with EIM); where the signature is wrong it says False or raises ValueError with the
    reason. `sign_prices` may put Ids into the price schedules of a response and returns the signature for its
    header, for the contract that is authorized.
    """

    authorize_contract: Callable[[common.AuthorizationReq, float], ContractVerdict] | None = None
    install_certificate: Callable[[common.CertificateInstallationReq, float], Installation] | None = None
    verify_metering: (
        Callable[[common.MeteringConfirmationReq, common.ContractCertificateChain | None], bool] | None
    ) = None
    sign_prices: (
        Callable[
            [common.ScheduleExchangeRes, common.ContractCertificateChain | None], xmldsig.Signature | None
        ]
        | None
    ) = None


def energy_modes(*services: ServiceID, **values: object) -> tuple[EnergyMode, ...]:
    """Scheduled, dynamic, and dynamic with SECC mobility needs, for each service; `values` are fields of
    EnergyMode.
    """
    return tuple(
        EnergyMode(service=service, control=control, mobility=mobility, parameter_set_id=index, **values)  # type: ignore[arg-type]
        for service in services
        for index, (control, mobility) in enumerate(
            (
                (ControlMode.SCHEDULED, MobilityNeedsMode.EVCC),
                (ControlMode.DYNAMIC, MobilityNeedsMode.EVCC),
                (ControlMode.DYNAMIC, MobilityNeedsMode.SECC),
            ),
            start=1,
        )
    )


@dataclass(frozen=True, slots=True)
class SECCConfig:
    """What the station offers; immutable, shared by all its sessions."""

    energy: tuple[EnergyMode, ...] = field(default_factory=lambda: energy_modes(ServiceID.DC))
    """Parameter sets, by service; ids within one service must differ and are not 0."""
    free_energy: bool = False
    vas: tuple[VAS, ...] = ()
    eim: bool = True
    pnc: bool = False
    pnc_first: bool = False
    """Order of the two in AuthorizationSetupRes; it is no ranking, but some EVs take it for one."""
    certificate_installation: bool = False
    providers: tuple[str, ...] = ()
    """eMSP ids stated with PnC; none: no statement."""
    service_renegotiation: bool = True
    pause: bool = True
    resume_without_certificate: bool = False
    """Laboratory rule: on a link without vehicle certificate, resume by SessionID and EVCCID alone."""
    timers: Profile = STRICT
    strict: bool = False
    """True: requests that only some public stacks accept are refused instead of reported."""
    contactor_time: float = 1.4
    """s that the charger may take to switch power on or off before PowerDeliveryRes says FAILED."""
    communication_setup_time: float = 18.0
    """s that a connection may stay without a supportedAppProtocolReq."""
    notification_time: float = 60.0
    """s that the EV gets to react to wishes other than Pause and Terminate."""
    terminate_grace: float = 60.0
    """s after which an EV that ignores Terminate loses power and connection."""
    profile_violation_time: float | None = 60.0
    """s of leaving its power profile after which warnings turn into FAILED; None: never."""
    pause_delay_always: bool = False
    """NotificationMaxDelay of Pause: False: 60 s in dynamic mode, else 0 [V2G20-1850]; True: always 60 s
    [V2G20-3308].
    """
    dialect: Dialect = field(default_factory=Dialect)
    protocols: tuple[Protocol, ...] = ()
    """Protocols served in place of those that follow from `energy`."""

    def __post_init__(self) -> None:
        if not (self.eim or self.pnc):
            raise ValueError("SECCConfig: at least one of eim and pnc must be offered")
        if not self.energy:
            raise ValueError("SECCConfig.energy: at least one parameter set must be offered")
        seen: set[tuple[int, int]] = set()
        for mode in self.energy:
            where = f"SECCConfig.energy: {mode.service.name} set {mode.parameter_set_id}"
            if mode.parameter_set_id == 0:
                raise ValueError(f"{where}: parameter_set_id must not be 0")
            if (mode.service, mode.parameter_set_id) in seen:
                raise ValueError(f"{where} is there twice")
            seen.add((mode.service, mode.parameter_set_id))
            if mode.family not in (Family.AC, Family.DC):
                raise ValueError(f"{where}: {mode.family.value} services are not served")
            for problem in mode.problems():
                raise ValueError(f"{where}: {problem}")
        for modes in (len([mode for mode in self.energy if mode.service == s]) for s in ServiceID):
            if modes > PARAMETER_SET_LIMIT:
                raise ValueError(
                    f"SECCConfig.energy: {modes} parameter sets of one service, at most {PARAMETER_SET_LIMIT}"
                )
        if len(self.vas) > SERVICE_LIST_LIMIT:
            raise ValueError(f"SECCConfig.vas: {len(self.vas)} services, at most {SERVICE_LIST_LIMIT}")

    def served(self) -> tuple[Protocol, ...]:
        """The protocols of the energy services on offer."""
        families = {mode.family for mode in self.energy}
        return self.protocols or tuple(
            Protocol(namespace) for namespace, family in FAMILY_OF_NAMESPACE.items() if family in families
        )


class Closing(Enum):
    """What to do with the connection once the response is sent."""

    NOW = "close at once"
    AFTER_PEER = "wait 5 s for the EV to close, then close"


class PausedSession(Struct, frozen=True):
    """What is kept of a paused session: authorization stays valid [V2G20-1844], services are not negotiated
    again.
    """

    session_id: bytes
    binding: bytes | None
    """Of the vehicle certificate, see `bind`; None if the EV had none."""
    evcc_id: str
    mode: EnergyMode
    vas: tuple[tuple[int, int], ...]
    contract: common.ContractCertificateChain | None = None
    """Of the authorized contract, which goes on signing meter readings."""


def bind(session_id: bytes, vehicle_certificate: bytes) -> bytes:
    """SHA-512 over the SessionID and the SHA-512 of the DER leaf [V2G20-2550], [V2G20-2630]."""
    return hashlib.sha512(session_id + hashlib.sha512(vehicle_certificate).digest()).digest()


class SessionStore:
    """Paused sessions of a station, by SessionID; shared by all its SECC objects. The oldest gives way at
    `limit`.
    """

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._paused: dict[bytes, PausedSession] = {}

    def keep(self, session: PausedSession) -> None:
        self._paused.pop(session.session_id, None)
        while len(self._paused) >= self._limit:
            del self._paused[next(iter(self._paused))]
        self._paused[session.session_id] = session

    def find(self, session_id: bytes) -> PausedSession | None:
        return self._paused.get(session_id)

    def take(self, session_id: bytes) -> None:
        """The session goes on (or is over); it cannot be resumed twice."""
        self._paused.pop(session_id, None)

    def __contains__(self, session_id: bytes) -> bool:
        return session_id in self._paused

    def __len__(self) -> int:
        return len(self._paused)
