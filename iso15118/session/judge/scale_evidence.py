"""What a session shows of smart charging, message by message, in bounded memory: the evidence for the SCALE
requirements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...messages.app_protocol import SupportedAppProtocolReq
from ...messages.common_types import Dynamic_CLReqControlMode, V2GRequest
from .. import sequence
from ..schedules import entries_of, power_at
from ..values import per_phase, total
from .context import Context
from .model import LinkFacts, Observed

TOLERANCE = 1.05
"""Of a limit, that a measured power may reach."""
REACH_WINDOW = 60.0
"""s within which a new limit of the site reaches the EV."""
_FLOOR = 50.0
"""W that count as no power, and as rounding beside a limit."""
_SETTLED = 1.0
"""s after a new limit from which a power above it counts: the EV reports before it has heard."""


@dataclass(slots=True)
class _Power:
    """One charge-loop exchange: W, positive charges; None where the messages do not tell."""

    frame: int
    time: float | None
    present: float | None
    limit: float | None
    changed: float | None = None
    """Time of the last change of the limit."""


@dataclass(slots=True)
class _Seen:
    """What the evidence is drawn from; bounded whatever the length of the session."""

    offers: list[tuple[str, int]] = field(default_factory=list)
    chosen: str = ""
    loops: int = 0
    dynamic: int = 0
    with_soc: int = 0
    capacity: float | None = None
    capacity_frame: int = 0
    dynamic_offered: bool = False
    selected: bool = False
    missing_meter: int = 0
    meters: int = 0
    receipts: int = 0
    prices: int = 0
    registers: tuple[int, int | None] | None = None
    falling_register: int = 0
    no_discharge_register: int = 0
    charged_frame: int = 0
    discharged_frame: int = 0
    undirected: int = 0
    above: tuple[int, float, float] | None = None
    changes: int = 0
    unfollowed: tuple[int, float, float] | None = None
    first_loop: float | None = None
    first_power: tuple[int, float] | None = None
    last_time: float | None = None
    full: bool = False
    full_and_asked: int = 0
    full_and_discharged: int = 0
    ev_discovery: Any = None
    ev_frame: int = 0
    evse_discovery: Any = None
    evse_frame: int = 0
    stopped: bool = False
    pauses: int = 0
    resumed: int = 0
    site_limit: tuple[float, float] | None = None
    site_changed: bool = False
    site_reached: float | None = None
    site_missed: bool = False
    grid_lost: float | None = None
    contactor_opened: bool = False


class Evidence:
    """Collects the evidence of one session. `context` is that of the Judge of the same connection, which must
    have seen each frame before.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.seen = _Seen()
        self._asked: Any = None
        self._last: _Power | None = None

    # -- what is shown ---------------------------------------------------------------------------------------

    def frame(self, observed: Observed) -> None:
        message: Any = observed.message
        if message is None or sequence.stream_of(observed.payload_type) is not None:
            return
        self.seen.last_time = observed.time
        if isinstance(message, V2GRequest | SupportedAppProtocolReq):
            self._asked = message
            self._request(observed, message)
            return
        code = getattr(message, "response_code", None)
        if self._asked is not None and not str(code).upper().startswith("FAILED"):
            self._response(observed, self._asked, message)

    def sample(self, values: Mapping[str, float], time: float) -> None:
        """Values of the charger's model, where the recording has them: `site_limit` in W, `grid` and
        `contactor` 0 or 1.
        """
        seen = self.seen
        if "site_limit" in values and (seen.site_limit is None or values["site_limit"] != seen.site_limit[0]):
            seen.site_changed = seen.site_limit is not None
            seen.site_limit = (values["site_limit"], time)
            seen.site_reached = None
        if values.get("grid") == 0.0 and seen.grid_lost is None:
            seen.grid_lost = time
        if seen.grid_lost is not None and values.get("contactor") == 0.0:
            seen.contactor_opened = True

    def _request(self, observed: Observed, request: Any) -> None:
        seen = self.seen
        name = sequence.name_of(request)
        if name == "supportedAppProtocolReq":
            seen.offers = [(item.protocol_namespace, item.priority) for item in request.app_protocol]
        elif name.endswith("ChargeLoopReq"):
            display = request.display_parameters
            if isinstance(request.control_mode, Dynamic_CLReqControlMode):
                seen.dynamic += 1
                seen.with_soc += display is not None and display.present_soc is not None
            if display is not None and display.battery_energy_capacity is not None and seen.capacity is None:
                seen.capacity, seen.capacity_frame = float(display.battery_energy_capacity), observed.number
            if display is not None and display.present_soc is not None:
                seen.full = display.present_soc == 100
        elif name.endswith("ChargeParameterDiscoveryReq"):
            seen.ev_discovery, seen.ev_frame = getattr(request, "energy_transfer_mode", None), observed.number

    def _response(self, observed: Observed, request: Any, response: Any) -> None:
        seen = self.seen
        name = sequence.name_of(response)
        match name:
            case "supportedAppProtocolRes":
                names = {item.schema_id: item.protocol_namespace for item in request.app_protocol}
                seen.chosen = names.get(response.schema_id, "")
            case "ServiceSelectionRes":
                seen.selected = True
                seen.dynamic_offered = any(
                    parameter.name == "ControlMode" and parameter.int_value == 2
                    for (service, _), item in self.context.parameter_sets.items()
                    if service in self.context.energy_services
                    for parameter in item.parameter
                )
            case "ScheduleExchangeRes":
                parts = [response.control_mode]
                for item in getattr(response.control_mode, "schedule_tuple", []):
                    parts += [item.charging_schedule, item.discharging_schedule]
                seen.prices += any(getattr(part, "price_schedule", None) is not None for part in parts)
            case "PowerDeliveryRes":
                self._progress(request.charge_progress)
            case "SessionStopRes":
                seen.stopped = True
            case _ if name.endswith("ChargeParameterDiscoveryRes"):
                seen.evse_discovery, seen.evse_frame = (
                    getattr(response, "energy_transfer_mode", None),
                    observed.number,
                )
            case _ if name.endswith("ChargeLoopRes"):
                self._loop(observed, request, response)

    def _progress(self, progress: str) -> None:
        seen = self.seen
        if progress == "Standby":
            seen.pauses += 1
        elif progress == "Start" and seen.pauses > seen.resumed:
            seen.resumed += 1

    # -- charge loop -----------------------------------------------------------------------------------------

    def _loop(self, observed: Observed, request: Any, response: Any) -> None:
        seen = self.seen
        seen.loops += 1
        if seen.first_loop is None:
            seen.first_loop = observed.time
        self._meter(request, response)
        power = self._power(observed, request, response)
        self._compare(power)
        self._site(power)
        if power.present is None:
            seen.undirected += 1
            return
        if power.present > _FLOOR:
            seen.charged_frame = seen.charged_frame or observed.number
        elif power.present < -_FLOOR:
            seen.discharged_frame = seen.discharged_frame or observed.number
        if abs(power.present) > _FLOOR and seen.first_power is None and observed.time is not None:
            seen.first_power = (observed.number, observed.time)
        if seen.full and power.limit is not None and power.limit < -_FLOOR:
            seen.full_and_asked = seen.full_and_asked or observed.number
        if seen.full_and_asked and power.present < -_FLOOR:
            seen.full_and_discharged = seen.full_and_discharged or observed.number

    def _meter(self, request: Any, response: Any) -> None:
        seen = self.seen
        seen.missing_meter += request.meter_info_requested and response.meter_info is None
        seen.receipts += response.receipt is not None
        info = response.meter_info
        if info is None:
            return
        seen.meters += 1
        now = (info.charged_energy_reading_wh, info.bpt_discharged_energy_reading_wh)
        seen.no_discharge_register += now[1] is None
        if seen.registers is not None and (
            now[0] < seen.registers[0] or (now[1] or 0) < (seen.registers[1] or 0)
        ):
            seen.falling_register += 1
        seen.registers = now

    def _power(self, observed: Observed, request: Any, response: Any) -> _Power:
        mode, given = request.control_mode, response.control_mode
        power = _Power(observed.number, observed.time, None, None)
        if hasattr(response, "evse_present_current"):
            power.present = float(response.evse_present_current) * float(response.evse_present_voltage)
            power.limit = watts(given, "evse_maximum_charge_power") or watts(
                self.seen.evse_discovery, "evse_maximum_charge_power"
            )
        else:
            power.present = watts(mode, "ev_present_active_power")
            power.limit = watts(given, "evse_target_active_power")
        if power.limit is None and observed.time is not None:
            power.limit = self._scheduled(observed.time)
        return power

    def _scheduled(self, time: float) -> float | None:
        """The schedule's ceiling now. Of several tuples the widest: which one was chosen is not needed for
        that.
        """
        ceilings = [
            power_at(entries_of(item.charging_schedule.power_schedule), time)
            for item in (self.context.tuples or {}).values()
        ]
        known = [total(ceiling) for ceiling in ceilings if ceiling is not None]
        return max(known, default=None)

    def _compare(self, power: _Power) -> None:
        """Present power against the limit, and whether it follows a new one."""
        seen, last = self.seen, self._last
        if power.limit is None:
            return
        power.changed = power.time
        if last is not None and last.limit is not None:
            same = abs(power.limit - last.limit) <= max(_FLOOR, 0.01 * abs(last.limit))
            power.changed = last.changed if same else power.time
            if not same:
                seen.changes += 1
                if last.present is not None and _exceeds(last.present, last.limit) and self._had_time(last):
                    seen.unfollowed = seen.unfollowed or (last.frame, last.present, last.limit)
            # What the EV reports now, it draws by the last limit that it has heard.
            heard = last.limit
            if power.present is not None and _exceeds(power.present, heard) and self._had_time(power, last):
                seen.above = seen.above or (power.frame, power.present, heard)
        self._last = power

    def _had_time(self, power: _Power, before: _Power | None = None) -> bool:
        changed = (before or power).changed
        return power.time is None or changed is None or power.time - changed > _SETTLED

    def _site(self, power: _Power) -> None:
        seen = self.seen
        if seen.site_limit is None or not seen.site_changed or power.time is None:
            return
        if seen.site_reached is not None:
            return
        limit, since = seen.site_limit
        if power.limit is not None and power.limit <= limit * TOLERANCE:
            seen.site_reached = power.time
        if (seen.site_reached or power.time) - since > REACH_WINDOW:
            seen.site_missed = True

    @property
    def link(self) -> LinkFacts:
        return self.context.link

    @property
    def had_limit(self) -> bool:
        """A charge-loop exchange had a limit."""
        return self._last is not None


def watts(node: Any, name: str) -> float | None:
    if node is None or getattr(node, name, None) is None:
        return None
    phases = per_phase(node, name) if hasattr(node, name + "_l2") else (float(getattr(node, name)),)
    return None if phases is None else total(phases)


def _exceeds(present: float, limit: float) -> bool:
    """A limit of charging bounds charging, a negative one asks for at least that much discharge but no
    more.
    """
    if limit >= 0:
        return present > limit * TOLERANCE + _FLOOR
    return present < limit * TOLERANCE - _FLOOR or present > _FLOOR
