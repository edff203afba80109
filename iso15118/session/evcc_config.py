"""What an EVCC wants of a session, how it paces itself and how strict it is; and the hooks for trust and
planning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..messages import common
from ..messages.app_protocol import AppProtocol
from ..messages.common_types import MessageHeader
from .evcc_schedule import Plan, PlanRequest
from .services import (
    BPTChannel,
    ControlMode,
    Dialect,
    EnergyMode,
    GeneratorMode,
    MobilityNeedsMode,
    Pricing,
    ServiceID,
)
from .timers import STRICT, Profile

Contract: TypeAlias = Callable[[MessageHeader, bytes, tuple[str, ...]], common.AuthorizationReq | None]
"""A contract: (header, GenChallenge, provider ids the SECC named) to a signed PnC AuthorizationReq; None: not
with this SECC.
"""

MeteringSigner: TypeAlias = Callable[
    [common.MeteringConfirmationReq, common.ContractCertificateChain | None],
    common.MeteringConfirmationReq | None,
]
"""Returns the request with the signature over SignedMeteringData in its header, made with the key of the
contract that was authorized (None with EIM); None: no confirmation is sent.
"""

PriceVerifier: TypeAlias = Callable[
    [common.ScheduleExchangeRes, common.ContractCertificateChain | None], Sequence[str]
]
"""Checks the signature over the prices of a response that has one; gives remarks, ValueError says what is
wrong.
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """A contract that can be used, and what was tolerated to get it."""

    contract: Contract
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateInstallation:
    """Fetches contracts: `request` builds the signed request for a header; `install` takes a Finished
    response and the time (Unix s) and gives the contract, ValueError if it cannot be trusted or used."""

    request: Callable[[MessageHeader], common.CertificateInstallationReq]
    install: Callable[[common.CertificateInstallationRes, float], Installed]


@dataclass(frozen=True, slots=True)
class ServiceWish:
    """One energy service the EV could use. Each field lists usable values, the best first; empty: any, in the
    SECC's order.
    """

    service: ServiceID
    control: tuple[ControlMode, ...] = (ControlMode.DYNAMIC, ControlMode.SCHEDULED)
    mobility: tuple[MobilityNeedsMode, ...] = (MobilityNeedsMode.EVCC, MobilityNeedsMode.SECC)
    pricing: tuple[Pricing, ...] = ()
    connector: tuple[int, ...] = ()
    channel: tuple[BPTChannel, ...] = ()
    generator: tuple[GeneratorMode, ...] = ()

    def rank(self, mode: EnergyMode) -> tuple[int, ...] | None:
        """Sort key of a parameter set, None if the EV cannot use it."""
        key = []
        for name in ("control", "mobility", "pricing", "connector", "channel", "generator"):
            values: Sequence[int] = getattr(self, name)
            if not values:
                key.append(0)
            elif getattr(mode, name) in values:
                key.append(values.index(getattr(mode, name)))
            else:
                return None
        return tuple(key)


@dataclass(frozen=True, slots=True)
class VASWish:
    """A value added service to select if offered: the first parameter set with these values (all the named
    ones).
    """

    service_id: int
    values: Mapping[str, bool | int | float | str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class EVCCConfig:
    """Times in s, V, A. What the standard leaves open, or stacks disagree on, is a field here."""

    evcc_id: str = "WMISIM0000000000001"
    """CN of the vehicle certificate [V2G20-2598]."""
    services: tuple[ServiceWish, ...] = (ServiceWish(ServiceID.DC),)
    """A ranking: the first that is offered with a usable parameter set is taken [V2G20-1216]."""
    vas: tuple[VASWish, ...] = ()
    service_filter: bool = True
    """Name the services of interest in ServiceDiscoveryReq; else ask for everything [V2G20-1248]."""
    protocols: tuple[AppProtocol, ...] = ()
    """Offer in supportedAppProtocolReq; empty: the namespaces of `services`, in their order."""

    eim: bool = True
    """Use external identification if offered; contracts are tried before it."""
    eim_attempts: int = 1
    contracts: Sequence[Contract] = ()
    certificate_installation: CertificateInstallation | None = None
    """Used when no contract is there, or none was accepted, and the SECC offers the service."""
    sign_metering: MeteringSigner | None = None
    """None: requests for metering confirmation are not followed."""
    verify_prices: PriceVerifier | None = None
    """None: signatures over prices are not looked at."""

    timers: Profile = STRICT
    strict: bool = False
    """True: end the session at a deviation of the SECC that breaks a rule; False: report it and go on where
    possible.
    """
    dialect: Dialect = field(default_factory=Dialect)
    """Which form is sent where public stacks disagree; both are read."""
    poll_interval: float = 0.1
    """Between a response that says Ongoing and the repeated request."""
    loop_interval: float = 0.2
    """From a charge-loop response to the next request; more than 0.25 is a performance deviation of ours
    [V2G20-1499, 1501].
    """
    standby_interval: float = 5.0
    """Between repeated PowerDeliveryReq(Standby); at most 40 [V2G20-2113]."""
    reaction_time: float = 0.0
    """From a notification to the reaction, if its NotificationMaxDelay allows that."""
    customer_timeout: float = 300.0
    """How long Ongoing_WaitingForCustomerInteraction is borne; a strict EVCC has only the Ongoing timeout."""

    pre_charge_tolerance: float = 20.0
    """Greatest difference of battery and inlet voltage at which the contactors may close."""
    pre_charge_patience: float | None = None
    """None: the contactors never close on another voltage than the battery's, the session ends at
    V2G_EVCC_PreCharge_Timeout. Seconds: for simulated SECCs whose voltage never rises; a tolerant EVCC
    reports it after this time and goes on. Not where contactors or a battery are real.
    """
    ramp_down_current: float = 5.0
    """DC: the current at which the contactors may open; before PowerDeliveryReq(Stop) the EV asks for 0 A."""
    ramp_down_time: float = 10.0
    """Longest wait for it; 0: do not ramp down first."""
    welding_detection: bool = True
    welding_voltage: float = 60.0
    """Below it the charger's contactors count as open."""
    welding_time: float = 5.0
    """Longest wait for it."""
    charge_loops: int | None = None
    """End the session after so many charge loops; the ramp-down may add some. None: as the vehicle wishes."""
    meter_interval: int = 10
    """Every how many charge loops to ask for MeterInfo, from the first; 0: never."""
    maximum_supporting_points: int = 1024
    confirm_power_tolerance: bool = True
    plan: Callable[[PlanRequest], Plan] | None = None
    """Chooses the schedule tuple and the power profile in place of `evcc_schedule.plan`."""
    energy_offer: Callable[[float], common.EVEnergyOffer | None] | None = None
    """BPT, scheduled: the offer to discharge for a time in Unix s."""
    renegotiation_stream: Literal["main", "side"] = "main"
    """Where schedule renegotiation runs: after PowerDeliveryReq(ScheduleRenegotiation), or on 0x8101 beside
    the loop.
    """
    renegotiate_limits: bool = False
    """Begin schedule renegotiation with ChargeParameterDiscovery; public stacks begin with ScheduleExchange.
    """
    termination_code: str | None = None
    termination_explanation: str | None = None
    """Stated in an ordinary SessionStopReq(Terminate)."""
    parking_method: common.ParkingMethod = common.ParkingMethod.Manual

    def __post_init__(self) -> None:
        if not self.services:
            raise ValueError("EVCCConfig.services: at least one energy service is needed")
        if not 12 <= self.maximum_supporting_points <= 1024:
            raise ValueError(
                f"EVCCConfig.maximum_supporting_points: {self.maximum_supporting_points} is not in 12..1024"
            )
        if not 0 < self.standby_interval <= 40:
            raise ValueError(f"EVCCConfig.standby_interval: {self.standby_interval} is not in (0, 40] s")
        if self.charge_loops is not None and self.charge_loops < 1:
            raise ValueError(f"EVCCConfig.charge_loops: {self.charge_loops} is not at least 1")

    def offer(self) -> tuple[AppProtocol, ...]:
        """Entries of supportedAppProtocolReq."""
        families = list(dict.fromkeys(wish.service.family for wish in self.services))
        return self.protocols or tuple(
            AppProtocol(
                protocol_namespace=family.namespace,
                version_number_major=1,
                version_number_minor=0,
                schema_id=index,
                priority=index,
            )
            for index, family in enumerate((family for family in families if family is not None), start=1)
        )
