"""What a session has settled so far, as its messages tell it; None or empty is not known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...messages import common
from ...messages.app_protocol import AppProtocol
from ...messages.common_types import EVSENotification, Processing
from ..sequence import name_of
from ..services import EnergyMode, ServiceID, read_parameter_set
from .model import LinkFacts

_TO_LEAVE = (EVSENotification.Pause, EVSENotification.Terminate)


@dataclass(slots=True)
class Context:
    """State of one connection's session. `learn` is told of every exchange that was not refused."""

    link: LinkFacts = field(default_factory=LinkFacts)
    now: float | None = None
    """Time of the frame being looked at."""
    sdp_tls_asked: bool = False
    offers: dict[int, AppProtocol] = field(default_factory=dict)
    session_id: bytes | None = None
    authorization: common.AuthorizationSetupRes | None = None
    ongoing_authorization: common.AuthorizationReq | None = None
    """The request that AuthorizationRes(Ongoing) answered last."""
    services: frozenset[int] | None = None
    """Offered, energy and VAS."""
    energy_services: frozenset[int] = frozenset()
    renegotiable: bool | None = None
    parameter_sets: dict[tuple[int, int], common.ParameterSet] = field(default_factory=dict)
    mode: EnergyMode | None = None
    """What was selected."""
    tuples: dict[int, common.ScheduleTuple] | None = None
    discovered: Any = None
    """EnergyTransferMode of the last ChargeParameterDiscoveryRes, and of its request."""
    requested: Any = None
    loops: int = 0
    """Charge-loop responses since the start."""
    metered: bool = False
    """A charge-loop response carried MeterInfo."""
    notified: tuple[str, float] | None = None
    """A wish that the EV leaves the loop, and until when it is to."""

    @property
    def bidirectional(self) -> bool | None:
        return None if self.mode is None else self.mode.bidirectional

    @property
    def scheduled(self) -> bool | None:
        return None if self.mode is None else self.mode.scheduled

    def learn(self, request: Any, response: Any, time: float | None) -> None:
        name = name_of(response)
        match name:
            case "supportedAppProtocolRes":
                self.offers = {offer.schema_id: offer for offer in request.app_protocol}
            case "SessionSetupRes":
                self.session_id = response.header.session_id
            case "AuthorizationSetupRes":
                self.authorization = response
            case "AuthorizationRes":
                ongoing = response.evse_processing != Processing.Finished
                self.ongoing_authorization = request if ongoing else None
            case "ServiceDiscoveryRes":
                self._services(response)
            case "ServiceDetailRes":
                for item in reversed(
                    response.service_parameter_list.parameter_set
                ):  # of an id twice, the first
                    self.parameter_sets[request.service_id, item.parameter_set_id] = item
            case "ServiceSelectionRes":
                chosen = request.selected_energy_transfer_service
                known = self.parameter_sets.get((chosen.service_id, chosen.parameter_set_id))
                self.mode = None if known is None else read_parameter_set(chosen.service_id, known).mode
                self.loops, self.metered = 0, False  # a loop that a renegotiation interrupts is the same one
            case "ScheduleExchangeRes":
                self._schedule(request, response)
            case "PowerDeliveryRes":
                if request.charge_progress in ("Stop", "Standby"):
                    self.notified = None
            case _ if name.endswith("ChargeParameterDiscoveryRes"):
                self.requested = getattr(request, "energy_transfer_mode", None)
                self.discovered = getattr(response, "energy_transfer_mode", None)
            case _ if name.endswith("ChargeLoopRes"):
                self.loops += 1
                self.metered = self.metered or response.meter_info is not None
        status = getattr(response, "evse_status", None)
        if (
            status is not None
            and status.evse_notification in _TO_LEAVE
            and time is not None
            and self.notified is None
        ):
            self.notified = (status.evse_notification, time + status.notification_max_delay)

    def _services(self, response: Any) -> None:
        self.energy_services = frozenset(
            item.service_id for item in response.energy_transfer_service_list.service
        )
        vas = response.vas_list.service if response.vas_list is not None else []
        self.services = self.energy_services | {item.service_id for item in vas}
        self.renegotiable = response.service_renegotiation_supported
        self.parameter_sets, self.mode = {}, None

    def _schedule(self, request: Any, response: Any) -> None:
        if response.evse_processing != Processing.Finished:
            return
        offered = getattr(response.control_mode, "schedule_tuple", None)
        self.tuples = None if offered is None else {item.schedule_tuple_id: item for item in offered}


def is_known(service_id: int) -> bool:
    """Whether a service id is one of edition 1 or Amendment 1."""
    return service_id in set(ServiceID)
