"""What an SECC asks of the charger it speaks for: limits, isolation, contactor, power, meter, schedule,
wishes.

`Charger` is one outlet. It is polled: every call carries `now` (s, the session's clock, the same as
SECC.handle's) and returns at once; what takes time answers ONGOING and is asked again. Values are those of
`values`. Subclass `Charger` to inherit the answers of a simple station; only the abstract methods must be
written. (In a protocol, mypy takes an empty body for abstract, hence the `return` in those that are not.)
"""

from __future__ import annotations

from abc import abstractmethod
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from ..messages.common_types import DisplayParameters, EVSENotification, Receipt
from .values import ACGrid, ACLimits, DCLimits, MeterReading, MobilityNeeds, PerPhase

if TYPE_CHECKING:
    from ..messages import common
    from .services import EnergyMode


class Progress(Enum):
    """How far a step of the hardware is."""

    ONGOING = "ongoing"
    DONE = "done"
    FAILED = "failed"


class Verdict(Enum):
    """What external identification (card, app, backend) says of the customer."""

    PENDING = "pending"
    WAITING_FOR_CUSTOMER = "waiting for customer"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Direction(Enum):
    """Channel that the EV chose where charge and discharge have separate ones (BPTChannel 2)."""

    CHARGE = "charge"
    DISCHARGE = "discharge"


class ControlPilot(Enum):
    """State of the control pilot (IEC 61851-1)."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"
    E = "E"
    F = "F"


class VehicleReport(Struct, frozen=True):
    """The newest the EV said of itself; limits of a charge loop are merged into those of parameter
    discovery.
    """

    ac: ACLimits | None = None
    dc: DCLimits | None = None
    needs: MobilityNeeds = MobilityNeeds()
    display: DisplayParameters | None = None
    present_voltage: float | None = None
    """At the EV inlet, V (DC)."""
    present_active_power: PerPhase | None = None
    """W (AC)."""
    present_reactive_power: PerPhase | None = None
    """var (AC)."""


class DCOutput(Struct, frozen=True):
    """Measured at the EVSE output, V and A, and which limit holds the output below what was asked."""

    voltage: float
    current: float
    power_limited: bool = False
    current_limited: bool = False
    voltage_limited: bool = False


class ACOutput(Struct, frozen=True):
    """What the station wants the EV to draw, and what it measures; None is not stated."""

    target_active_power: PerPhase | None = None
    target_reactive_power: PerPhase | None = None
    target_frequency: float | None = None
    present_active_power: PerPhase | None = None


class ScheduleRequest(Struct, frozen=True):
    """What the EV asks of the schedule. `max_points` caps the entries of each schedule [V2G20-1056]."""

    needs: MobilityNeeds
    max_points: int
    energy_offer: common.EVEnergyOffer | None = None
    """BPT, scheduled mode: what the EV would feed back, and at what price."""


class ScheduleOffer(Struct, frozen=True):
    """The station's answer: tuples in scheduled mode; needs and one price schedule in dynamic mode."""

    tuples: tuple[common.ScheduleTuple, ...] = ()
    needs: MobilityNeeds | None = None
    """Dynamic mode with MobilityNeedsMode 2 only: departure, min_soc, target_soc."""
    prices: common.AbsolutePriceSchedule | common.PriceLevelSchedule | None = None
    go_to_pause: bool = False


class SiteWish(Struct, frozen=True):
    """What the site wants of the EV. `within` is the time to react in s; None takes the standard's value."""

    notification: EVSENotification
    within: float | None = None


class Charger(Protocol):
    """One outlet and the site behind it."""

    evse_id: str

    # -- customer --------------------------------------------------------------------------------------------

    def authorize(self, now: float) -> Verdict:
        """External identification (EIM). A rejection stands until the EV asks again after it was told."""
        return Verdict.ACCEPTED

    # -- what is to be done ----------------------------------------------------------------------------------

    def select(self, now: float, mode: EnergyMode) -> None:
        """The EV selected (or resumed, or changed) this energy service and parameter set."""
        return

    def vehicle(self, now: float, report: VehicleReport) -> None:
        """Called with each request that tells something new, before the method that answers it."""
        return

    @abstractmethod
    def ac_limits(self, now: float) -> ACLimits:
        """May be lowered and raised at any time; SECC tells the EV."""

    @abstractmethod
    def dc_limits(self, now: float) -> DCLimits:
        """May be lowered and raised at any time; SECC tells the EV."""

    def ac_grid(self, now: float) -> ACGrid:
        return ACGrid()

    @abstractmethod
    def schedule(self, now: float, request: ScheduleRequest) -> ScheduleOffer | None:
        """None while it is being computed. See `schedules` for helpers that build tuples and prices."""

    def profile(self, now: float, tuple_id: int | None, profile: common.EVPowerProfile) -> None:
        """The EV will follow this; `tuple_id` is None in dynamic mode."""
        return

    # -- hardware --------------------------------------------------------------------------------------------

    def control_pilot(self, now: float) -> ControlPilot | None:
        """None where the pilot is not observed; the rules about it then do not apply."""
        return None

    @abstractmethod
    def cable_check(self, now: float) -> Progress:
        """DC: isolation test with the connector locked; started by the first call."""

    @abstractmethod
    def precharge(self, now: float, target_voltage: float) -> float:
        """DC: regulate towards `target_voltage` (V) with little current; returns the present output
        voltage.
        """

    @abstractmethod
    def output_voltage(self, now: float) -> float:
        """DC: present output voltage, V."""

    @abstractmethod
    def start_power(self, now: float, direction: Direction | None) -> Progress:
        """Connect the outlet for energy transfer; `direction` only with separate BPT channels."""

    @abstractmethod
    def stop_power(self, now: float) -> Progress:
        """No more power, contactor open. Must be harmless when nothing is on."""

    def standby(self, now: float) -> bool:
        """May the EV stay without energy transfer? True also brings the power to zero."""
        return False

    @abstractmethod
    def deliver_dc(self, now: float, current: float | None, voltage: float | None) -> DCOutput:
        """Regulate and report. Scheduled mode gives the EV's targets (A, V), already within both sides'
        limits; dynamic mode gives None: the charger decides within the limits and needs of the last
        `vehicle` report.
        """

    @abstractmethod
    def deliver_ac(self, now: float) -> ACOutput:
        """What the EV should draw now; dynamic mode needs `target_active_power`."""

    def meter(self, now: float) -> MeterReading | None:
        """None: the outlet has no meter."""
        return None

    # -- the site's wishes -----------------------------------------------------------------------------------

    def wish(self, now: float) -> SiteWish | None:
        """What the site wants of the EV at the moment; SECC repeats it until the EV acts or the wish is
        withdrawn.
        """
        return None

    def renegotiation_allowed(self, now: float) -> bool:
        """May the EV ask for another schedule now? False keeps the old one."""
        return True

    def mobility_needs(self, now: float) -> MobilityNeeds | None:
        """MobilityNeedsMode 2: needs that the site provides in the charge loop; None leaves the EV's own."""
        return None

    def acknowledge_within(self, now: float) -> int | None:
        """MobilityNeedsMode 2: AckMaxDelay in s for the needs just given."""
        return None

    def metering_confirmed(self, now: float, request: common.MeteringConfirmationReq) -> None:
        """The EV has signed the last meter reading; the wish for it is fulfilled."""
        return

    def receipt(self, now: float) -> Receipt | None:
        """Running costs, if the site tells them."""
        return None

    def pause_allowed(self, now: float) -> bool:
        return True

    # -- parking (VAS 66) ------------------------------------------------------------------------------------

    def check_in(
        self, now: float, request: common.VehicleCheckInReq
    ) -> tuple[int | None, int | None, int | None]:
        """ParkingSpace, DeviceLocation, TargetDistance."""
        return None, None, None

    def check_out(self, now: float, request: common.VehicleCheckOutReq) -> bool:
        """True: completed; False: scheduled."""
        return True

    # -- end -------------------------------------------------------------------------------------------------

    def session_ended(self, now: float, paused: bool) -> None:
        """The session is over (or paused), well or badly; SECC has called `stop_power` before if power was
        on.
        """
        return
