"""Our EVCC against our SECC: every conductive service, control mode, pricing and mobility mode, and in each
of them every way a session can turn: to its proper end, and neither side finds anything to report.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from iso15118.messages import ac, common, dc
from iso15118.messages.common_types import EVSENotification
from iso15118.session import schedules
from iso15118.session.charger import ScheduleRequest, SiteWish
from iso15118.session.evcc import EVCCConfig, Outcome, ServiceWish, SessionResult, VASWish
from iso15118.session.secc_config import LinkSecurity, SECCConfig, SessionStore, Trust
from iso15118.session.services import (
    INTERNET,
    PARKING_STATUS,
    BPTChannel,
    ControlMode,
    EnergyMode,
    Family,
    MobilityNeedsMode,
    Pricing,
    ServiceID,
)
from iso15118.session.values import MobilityNeeds
from iso15118.session.vehicle import DCTarget, Supply, Wish
from iso15118.v2gtp import PayloadType

from .pair import EPOCH, BenchCharger, BenchVehicle, Pair

SERVICES = (
    ServiceID.AC,
    ServiceID.DC,
    ServiceID.AC_BPT,
    ServiceID.DC_BPT,
    ServiceID.MCS,
    ServiceID.MCS_BPT,
)
CONTROLS = (
    (ControlMode.SCHEDULED, MobilityNeedsMode.EVCC),
    (ControlMode.DYNAMIC, MobilityNeedsMode.EVCC),
    (ControlMode.DYNAMIC, MobilityNeedsMode.SECC),
)
MODES = [
    EnergyMode(service, control, parameter_set_id=11, mobility=mobility, pricing=pricing)
    for service, (control, mobility), pricing in itertools.product(SERVICES, CONTROLS, Pricing)
]
DIALECT_NOTES = ("islanding detection is called", "means three phases here")
"""What stacks disagree on is reported even where it is right."""
CERTIFICATE = b"a vehicle certificate"
Prices = common.AbsolutePriceSchedule | common.PriceLevelSchedule


def name(mode: EnergyMode) -> str:
    return f"{mode.service.name}-{mode.control.name}-{mode.mobility.name}-{mode.pricing.name}"


def prices(mode: EnergyMode, *, dear: bool = False) -> Prices | None:
    if mode.pricing is Pricing.ABSOLUTE:
        rules = [schedules.price_rule(0.6 if dear else 0.3), schedules.price_rule(-0.2, from_power=-1.0)]
        return schedules.absolute_prices(int(EPOCH), [(90_000, rules)])
    if mode.pricing is Pricing.LEVELS:
        return schedules.price_levels(int(EPOCH), [(3600, 3 if dear else 2), (86_400, 1)])
    return None


class Run:
    """One session in one mode; `begin` runs it, `resume` another one on the same station."""

    def __init__(self, mode: EnergyMode) -> None:
        self.mode = mode
        self.charger = BenchCharger()
        self.vehicle = BenchVehicle(energy=12_000.0, bidirectional=mode.bidirectional, loop_time=2.0)
        self.charger.prices = prices(mode)
        self.charger.tuples = self.tuples
        if mode.mobility is MobilityNeedsMode.SECC:
            self.charger.site_needs = MobilityNeeds(departure=1800, min_soc=40, target_soc=70)
        self.secc = SECCConfig(energy=(mode,))
        self.evcc = EVCCConfig(
            services=(ServiceWish(mode.service, control=(mode.control,), mobility=(mode.mobility,)),)
        )
        self.store = SessionStore()
        self.trust = Trust(verify_metering=lambda request, contract: True)
        self.wire = False
        self.pair: Pair

    def tuples(self, now: float, request: ScheduleRequest) -> tuple[common.ScheduleTuple, ...]:
        """A dear tuple with more power, and a cheap one in two steps that is enough; both ways in BPT."""
        start = int(EPOCH + now)
        entries = ([(86_400.0, (11_000.0,))], [(900.0, (10_000.0,)), (85_500.0, (9_000.0,))])
        return tuple(
            schedules.schedule_tuple(
                tuple_id,
                schedules.power_schedule(start, powers, tolerance=500.0),
                prices=prices(self.mode, dear=tuple_id == 1),
                discharging=schedules.power_schedule(start, [(86_400.0, (5_000.0,))])
                if self.mode.bidirectional
                else None,
                discharging_prices=prices(self.mode),
            )
            for tuple_id, powers in enumerate(entries, start=1)
        )

    def begin(self, *, resume: object = None, now: float = 0.0) -> SessionResult:
        self.pair = Pair(
            self.secc,
            self.evcc,
            charger=self.charger,
            vehicle=self.vehicle,
            link=LinkSecurity(vehicle_certificate=CERTIFICATE),
            store=self.store,
            trust=self.trust,
            resume=resume,
            now=now,
            wire=self.wire,
        )
        return self.pair.run()

    def clean(self) -> None:
        """Neither side has found anything, save which dialect the other speaks."""
        found = [text for text in self.pair.deviations() if not any(note in text for note in DIALECT_NOTES)]
        assert found == []

    def requests(self) -> list[str]:
        """Names of the requests, repeats once; PowerDeliveryReq with its progress."""
        names = []
        for item in self.pair.spoken:
            message = item.message
            if not type(message).__name__.endswith("Req"):
                continue
            text = type(message).__name__.removesuffix("Req").removeprefix("AC_").removeprefix("DC_")
            if isinstance(message, common.PowerDeliveryReq):
                text = message.charge_progress.value
            if item.payload_type >= PayloadType.SCHEDULE_RENEGOTIATION:
                text = f"side:{text}"
            names.append(text)
        return [text for text, _ in itertools.groupby(names)]

    @property
    def direct_current(self) -> bool:
        return self.mode.family is Family.DC

    def opening(self) -> list[str]:
        return [
            "SupportedAppProtocol",
            "SessionSetup",
            "AuthorizationSetup",
            "Authorization",
            "ServiceDiscovery",
            "ServiceDetail",
            "ServiceSelection",
        ]

    def to_power(self) -> list[str]:
        check = ["CableCheck", "PreCharge"] if self.direct_current else []
        return ["ChargeParameterDiscovery", "ScheduleExchange", *check, "Start"]

    def to_end(self) -> list[str]:
        welding = ["WeldingDetection"] if self.direct_current else []
        return ["Stop", *welding, "SessionStop"]


def plain(run: Run) -> None:
    result = run.begin()
    assert result.outcome is Outcome.TERMINATED, result.reason
    assert result.mode == run.mode
    assert run.requests() == [*run.opening(), *run.to_power(), "ChargeLoop", *run.to_end()]
    assert result.charged_energy > 1
    if run.mode.scheduled and run.mode.pricing is not Pricing.NONE:
        assert [tuple_id for tuple_id, _ in run.charger.profiles] == [2], "not the cheap one that is enough"
    assert run.charger.charged == pytest.approx(result.charged_energy, rel=0.15)


def pause_and_resume(run: Run) -> None:
    run.vehicle.wish_at = lambda elapsed: Wish.PAUSE if elapsed >= 1 else Wish.CHARGE
    first = run.begin()
    assert first.outcome is Outcome.PAUSED, first.reason
    run.clean()
    run.vehicle.wish_at = None
    run.vehicle.started = None
    second = run.begin(resume=first.paused, now=run.pair.now + 600)
    assert second.outcome is Outcome.TERMINATED, second.reason
    assert second.resumed
    assert second.session_id == first.session_id
    assert run.requests() == [
        "SupportedAppProtocol",
        "SessionSetup",
        *run.to_power(),
        "ChargeLoop",
        *run.to_end(),
    ]


def pause_by_the_site(run: Run) -> None:
    run.charger.wish_at = lambda now: SiteWish(EVSENotification.Pause) if now > 2 else None
    result = run.begin()
    assert result.outcome is Outcome.PAUSED, result.reason
    assert run.requests()[-len(run.to_end()) :] == run.to_end()
    assert run.charger.ended == [True]


def go_to_pause(run: Run) -> None:
    run.charger.go_to_pause = True
    result = run.begin()
    assert result.outcome is Outcome.PAUSED, result.reason
    assert run.requests() == [
        *run.opening(),
        "ChargeParameterDiscovery",
        "ScheduleExchange",
        "Stop",
        "SessionStop",
    ]


def schedule_renegotiation(run: Run) -> None:
    run.vehicle.wish_at = _once(Wish.RENEGOTIATE_SCHEDULE, run.vehicle)
    result = run.begin()
    assert result.outcome is Outcome.TERMINATED, result.reason
    again = ["ScheduleRenegotiation", "ScheduleExchange", "Start", "ChargeLoop"]
    assert run.requests() == [*run.opening(), *run.to_power(), "ChargeLoop", *again, *run.to_end()]


def schedule_renegotiation_on_the_side(run: Run) -> None:
    run.evcc.renegotiation_stream = "side"
    run.evcc.renegotiate_limits = True
    run.vehicle.wish_at = _once(Wish.RENEGOTIATE_SCHEDULE, run.vehicle)
    result = run.begin()
    assert result.outcome is Outcome.TERMINATED, result.reason
    requests = run.requests()
    assert [text for text in requests if text.startswith("side:")] == [
        "side:ChargeParameterDiscovery",
        "side:ScheduleExchange",
        "side:ScheduleRenegotiation",
    ]
    main = [text for text, _ in itertools.groupby(t for t in requests if not t.startswith("side:"))]
    assert main == [*run.opening(), *run.to_power(), "ChargeLoop", *run.to_end()]


def schedule_renegotiation_by_the_site(run: Run) -> None:
    def wish(now: float) -> SiteWish | None:
        asked = len(run.charger.schedule_requests)
        return SiteWish(EVSENotification.ScheduleRenegotiation) if now > 2 and asked == 1 else None

    run.charger.wish_at = wish
    result = run.begin()
    assert result.outcome is Outcome.TERMINATED, result.reason
    assert run.requests().count("ScheduleRenegotiation") == 1
    assert len(run.charger.schedule_requests) == 2


def schedule_renegotiation_refused(run: Run) -> None:
    run.charger.renegotiation_ok = False
    run.vehicle.wish_at = _once(Wish.RENEGOTIATE_SCHEDULE, run.vehicle)
    result = run.begin()
    assert result.outcome is Outcome.TERMINATED, result.reason
    assert run.requests() == [
        *run.opening(), *run.to_power(), "ChargeLoop", "ScheduleRenegotiation", "ChargeLoop", *run.to_end(),
    ]  # fmt: skip


def service_renegotiation(run: Run) -> None:
    run.vehicle.wish_at = _once(Wish.RENEGOTIATE_SERVICE, run.vehicle)
    result = run.begin()
    assert result.outcome is Outcome.TERMINATED, result.reason
    services = ["ServiceDiscovery", "ServiceDetail", "ServiceSelection"]
    assert run.requests() == [
        *run.opening(), *run.to_power(), "ChargeLoop", *run.to_end(),
        *services, *run.to_power(), "ChargeLoop", *run.to_end(),
    ]  # fmt: skip


def service_renegotiation_by_the_site(run: Run) -> None:
    def wish(now: float) -> SiteWish | None:
        asked = len(run.charger.schedule_requests)
        return SiteWish(EVSENotification.ServiceRenegotiation) if now > 2 and asked == 1 else None

    run.charger.wish_at = wish
    result = run.begin()
    assert result.outcome is Outcome.TERMINATED, result.reason
    assert run.requests().count("ServiceSelection") == 2


def standby(run: Run) -> None:
    run.vehicle.wish_at = lambda elapsed: (
        Wish.STANDBY if 1 <= elapsed < 12 else Wish.STOP if elapsed >= 14 else Wish.CHARGE
    )
    result = run.begin()
    assert result.outcome is Outcome.TERMINATED, result.reason
    assert run.requests() == [
        *run.opening(), *run.to_power(), "ChargeLoop", "Standby", "Start", "ChargeLoop", *run.to_end(),
    ]  # fmt: skip


def standby_ended_by_the_site(run: Run) -> None:
    run.vehicle.wish_at = lambda elapsed: (
        Wish.STANDBY if 1 <= elapsed < 20 else Wish.STOP if elapsed >= 20 else Wish.CHARGE
    )
    run.charger.wish_at = lambda now: SiteWish(EVSENotification.ExitStandby) if 8 < now < 9 else None
    run.evcc.standby_interval = 0.8
    result = run.begin()
    assert result.outcome is Outcome.TERMINATED, result.reason
    assert run.requests() == [
        *run.opening(), *run.to_power(), "ChargeLoop", "Standby", "Start", "ChargeLoop", *run.to_end(),
    ]  # fmt: skip


def standby_refused(run: Run) -> None:
    run.charger.standby_allowed = False
    run.vehicle.wish_at = lambda elapsed: (
        Wish.STANDBY if 1 <= elapsed < 2 else Wish.STOP if elapsed >= 3 else Wish.CHARGE
    )
    result = run.begin()
    assert result.outcome is Outcome.TERMINATED, result.reason
    assert run.requests() == [
        *run.opening(), *run.to_power(), "ChargeLoop", "Standby", "ChargeLoop", *run.to_end(),
    ]  # fmt: skip


def standby_before_the_start(run: Run) -> None:
    waiting = iter([Wish.STANDBY] * 8)

    def wish(elapsed: float) -> Wish:
        if run.charger.schedule_requests and elapsed == 0:
            return next(waiting, Wish.CHARGE)
        return Wish.STOP if elapsed >= 2 else Wish.CHARGE

    run.vehicle.wish_at = wish
    result = run.begin()
    assert result.outcome is Outcome.TERMINATED, result.reason
    parameters, schedule, *rest = run.to_power()
    assert run.requests() == [
        *run.opening(), parameters, schedule, "Standby", *rest, "ChargeLoop", *run.to_end(),
    ]  # fmt: skip


def metering_confirmation(run: Run) -> None:
    def wish(now: float) -> SiteWish | None:
        wanted = now > 2 and not run.charger.confirmations
        return SiteWish(EVSENotification.MeteringConfirmation) if wanted else None

    run.charger.wish_at = wish
    run.evcc.sign_metering = lambda request, contract: request
    result = run.begin()
    assert result.outcome is Outcome.TERMINATED, result.reason
    assert run.charger.confirmations == 1
    assert "side:MeteringConfirmation" in run.requests()


def terminated_by_the_site(run: Run) -> None:
    run.charger.wish_at = lambda now: SiteWish(EVSENotification.Terminate) if now > 2 else None
    result = run.begin()
    assert result.outcome is Outcome.TERMINATED, result.reason
    assert run.vehicle.started is not None
    assert run.pair.now < 5


def parking_and_internet(run: Run) -> None:
    run.secc = replace(run.secc, vas=(PARKING_STATUS, INTERNET))
    run.evcc.vas = (
        VASWish(66, {"IntendedService": 1}),
        VASWish(66, {"IntendedService": 2}),
        VASWish(65, {"Protocol": "https"}),
    )
    run.charger.check_outs = 2
    result = run.begin()
    assert result.outcome is Outcome.TERMINATED, result.reason
    spoken = [item.message for item in run.pair.spoken if item.payload_type == PayloadType.PARKING_STATUS]
    assert [m.ev_check_in_status for m in spoken if isinstance(m, common.VehicleCheckInReq)] == [
        "CheckIn", "Completed",
    ]  # fmt: skip
    assert [m.ev_check_out_status for m in spoken if isinstance(m, common.VehicleCheckOutReq)] == [
        "CheckOut", "Processing", "Processing",
    ]  # fmt: skip
    selection: Any = next(
        i.message for i in run.pair.spoken if isinstance(i.message, common.ServiceSelectionReq)
    )
    assert [(s.service_id, s.parameter_set_id) for s in selection.selected_vas_list.selected_service] == [
        (66, 1), (66, 2), (65, 4),
    ]  # fmt: skip


def slow_station(run: Run) -> None:
    run.charger.schedule_delays = run.charger.cable_checks = 5
    run.charger.start_delays = run.charger.stop_delays = 3
    result = run.begin()
    assert result.outcome is Outcome.TERMINATED, result.reason
    assert len(run.charger.schedule_requests) == 6


def separate_channels(run: Run) -> None:
    run.mode = replace(run.mode, channel=BPTChannel.SEPARATED)
    run.secc = replace(run.secc, energy=(run.mode,))
    result = run.begin()
    assert result.outcome is Outcome.TERMINATED, result.reason
    starts = [
        i.message.bpt_channel_selection
        for i in run.pair.spoken
        if isinstance(i.message, common.PowerDeliveryReq) and i.message.charge_progress == "Start"
    ]
    assert starts == [common.ChannelSelection.Charge]


def discharge(run: Run) -> None:
    run.charger.discharge = True
    run.vehicle = Seller(bidirectional=True, loop_time=2.0)
    result = run.begin()
    assert result.outcome is Outcome.TERMINATED, result.reason
    assert result.discharged_energy > 1
    assert result.charged_energy == 0
    assert run.charger.discharged == pytest.approx(result.discharged_energy, rel=0.15)
    meter = result.meter_info
    assert meter is not None
    assert meter.charged_energy_reading_wh == 0
    assert meter.bpt_discharged_energy_reading_wh is not None
    loop = [
        i.message for i in run.pair.spoken if isinstance(i.message, ac.AC_ChargeLoopRes | dc.DC_ChargeLoopRes)
    ]
    assert len(loop) == result.charge_loops


class Seller(BenchVehicle):
    """Gives whatever it may."""

    def selling(self, now: float) -> bool:
        return True

    def dc_target(self, now: float) -> DCTarget:
        return DCTarget(voltage=self.battery_voltage, current=-50.0)

    def supply(self, now: float, supply: Supply) -> None:
        if supply.active_power is None and supply.current is None:
            supply = replace(supply, active_power=(-supply.discharge_power,))
        super().supply(now, supply)


VARIANTS = (
    plain,
    pause_and_resume,
    pause_by_the_site,
    go_to_pause,
    schedule_renegotiation,
    schedule_renegotiation_on_the_side,
    schedule_renegotiation_by_the_site,
    schedule_renegotiation_refused,
    service_renegotiation,
    service_renegotiation_by_the_site,
    standby,
    standby_ended_by_the_site,
    standby_refused,
    standby_before_the_start,
    metering_confirmation,
    terminated_by_the_site,
    parking_and_internet,
    slow_station,
)
BIDIRECTIONAL_VARIANTS = (separate_channels, discharge)


def _once(wish: Wish, vehicle: BenchVehicle) -> Callable[[float], Wish]:
    """The wish once, after one second of transfer; then charge for another, and stop."""
    said: list[float] = []

    def script(elapsed: float) -> Wish:
        if elapsed >= 1 and not said:
            said.append(elapsed)
            return wish
        return Wish.STOP if said and elapsed >= said[0] + 2 else Wish.CHARGE

    return script


CASES = [
    pytest.param(mode, variant, id=f"{name(mode)}-{variant.__name__}")
    for mode in MODES
    for variant in (*VARIANTS, *(BIDIRECTIONAL_VARIANTS if mode.bidirectional else ()))
]


@pytest.mark.parametrize(("mode", "variant"), CASES)
def test_to_the_proper_end(mode: EnergyMode, variant: Callable[[Run], None]) -> None:
    run = Run(mode)
    variant(run)
    run.clean()


@pytest.mark.parametrize("mode", MODES, ids=name)
def test_the_same_over_the_wire(mode: EnergyMode) -> None:
    """Every message goes through EXI, and none of it is lost on the way."""
    run = Run(mode)
    run.wire = True
    plain(run)
    run.clean()
