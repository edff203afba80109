"""PowerDelivery in all its forms, welding detection and SessionStop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..messages import common, dc
from ..messages.common_types import EVSENotification, EVSEStatus, Processing, ResponseCode, V2GResponse
from ..v2gtp import PayloadType
from .charger import ControlPilot
from .evcc_prepare import DEFAULT_DEPARTURE, Preparation
from .evcc_schedule import dynamic_profile
from .evcc_steps import Exchange, Outcome, PausedSession
from .events import Severity
from .services import BPTChannel, Family
from .vehicle import Supply

Progress = common.ChargeProgress
Channel = common.ChannelSelection


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification of the SECC, and when the EV acts on it."""

    notification: EVSENotification
    act_at: float


class Power(Preparation):
    """Turns power on and off, and ends the session."""

    notice: Notice | None = None
    channel: Channel | None = None
    """The direction that was named, where channels are separated."""
    started = False
    """PowerDeliveryReq(Start) was sent before in this session: later ones do not change the control pilot."""

    # -- PowerDelivery -----------------------------------------------------------------------------------

    def power_delivery(
        self,
        progress: Progress,
        *,
        stream: PayloadType | None = None,
        sent: Callable[[], None] | None = None,
    ) -> Exchange[ResponseCode]:
        """One PowerDelivery; the code of its response. A profile goes with what needs one."""
        profile = None
        if progress in (Progress.Start, Progress.Standby) or stream is not None:
            profile = self.power_profile()
        channel = self.wanted_channel() if progress is Progress.Start else None
        request = common.PowerDeliveryReq(
            header=self.header(),
            ev_processing=Processing.Finished,
            charge_progress=progress,
            ev_power_profile=profile,
            bpt_channel_selection=channel,
        )
        response = yield from self.ask(request, common.PowerDeliveryRes, stream=stream, sent=sent)
        code = response.response_code
        if profile is not None and self.proposed is not None and code.is_ok:
            self.plan, self.proposed = self.proposed, None
        if progress is Progress.Start:
            self.channel = channel
        if code is ResponseCode.WARNING_PowerToleranceNotConfirmed:
            # The profile keeps below the schedule even with a tolerance, so it holds; only the
            # acceptance was refused.
            self.plan, self.proposed = self.proposed or self.plan, None
        self._check_tolerance(code)
        self.take_status(response.evse_status, common.PowerDeliveryRes)
        return code

    def _check_tolerance(self, code: ResponseCode) -> None:
        asked = self.plan is not None and self.plan.tolerance_accepted
        if code is ResponseCode.OK_PowerToleranceConfirmed and not asked:
            self.deviation(
                "OK_PowerToleranceConfirmed",
                "OK, as no power tolerance was accepted",
                severity=Severity.NOTE,
                message=common.PowerDeliveryRes,
            )

    def power_profile(self) -> common.EVPowerProfile:
        """The profile that goes with PowerDeliveryReq(Start) and (Standby)."""
        plan = self.proposed or self.plan
        if plan is not None:
            return plan.message()
        departure = self.vehicle.needs(self.now).departure
        seconds = DEFAULT_DEPARTURE if departure is None else int(departure)
        return dynamic_profile(self.secc_time(), self._greatest_power()[0], seconds)

    def wanted_channel(self) -> Channel | None:
        """The direction to name: where channels are separated, that of the power planned now [V2G20-2123]."""
        if not self.mode.bidirectional or self.mode.channel is not BPTChannel.SEPARATED:
            return None
        plan = self.proposed or self.plan
        if plan is None:
            wanted = self.vehicle.needs(self.now).target_energy or 0.0
        else:
            wanted = plan.power_at(self.secc_time())
            if wanted == 0.0 and self.channel is not None:
                return self.channel
        return Channel.Discharge if wanted < 0 else Channel.Charge

    def start(self) -> Exchange[None]:
        """PowerDelivery(Start); in AC the first takes the control pilot to C at once [V2G20-847, 1617]."""
        sent = None
        if not self.started and self.mode.family is Family.AC:
            sent = partial(self.show_pilot, ControlPilot.C)
        self.started = True
        yield from self.power_delivery(Progress.Start, sent=sent)
        self.delivering = True

    def stop_power(self) -> Exchange[None]:
        """PowerDelivery(Stop), contactors open, control pilot back to B."""
        yield from self.power_delivery(Progress.Stop)
        self.delivering = False
        self.started = False
        self.disconnect()

    def disconnect(self) -> None:
        """On our side: no power, contactors open, control pilot B."""
        nothing = Supply(charge_power=0.0, discharge_power=0.0, charge_current=0.0, discharge_current=0.0)
        self.vehicle.supply(self.now, nothing)
        self.vehicle.contactors(self.now, False)
        self.show_pilot(ControlPilot.B)

    # -- notifications -----------------------------------------------------------------------------------

    def take_status(self, status: EVSEStatus | None, message: type[V2GResponse]) -> None:
        """Note what the SECC wants, and when to act on it."""
        if status is None:
            return
        wanted = status.evse_notification
        if wanted is EVSENotification.MeteringConfirmation:
            return
        if wanted is EVSENotification.ServiceRenegotiation and not self.service_renegotiation:
            self.deviation(
                "EVSENotification ServiceRenegotiation",
                "none, as ServiceDiscoveryRes said that it is not supported",
                message=message,
            )
            return
        act_at = self.now + min(float(status.notification_max_delay), self.config.reaction_time)
        if self.notice is None or self.notice.notification is not wanted or act_at < self.notice.act_at:
            self.notice = Notice(wanted, act_at)

    def acted_on(self, notification: EVSENotification) -> None:
        """The SECC may have repeated a notification while the EV was acting on it: that is done now."""
        if self.notice is not None and self.notice.notification is notification:
            self.notice = None

    # -- the end -----------------------------------------------------------------------------------------

    def welding_detection(self) -> Exchange[None]:
        """DC: watch the voltage fall until the charger's contactors are seen open."""
        config = self.config
        started = self.now
        while True:
            voltage = yield from self.ask_welding_detection(Processing.Ongoing)
            if voltage < config.welding_voltage:
                break
            if self.now - started >= config.welding_time:
                self.deviation(
                    f"{voltage:.0f} V {self.now - started:.1f} s after PowerDeliveryReq(Stop)",
                    f"less than {config.welding_voltage:.0f} V with open contactors",
                    message=dc.DC_WeldingDetectionRes,
                )
                break
            yield from self.pause(config.poll_interval)
        yield from self.ask_welding_detection(Processing.Finished)

    def ask_welding_detection(self, processing: Processing) -> Exchange[float]:
        """One request; the voltage the SECC reports, V."""
        request = dc.DC_WeldingDetectionReq(header=self.header(), ev_processing=processing)
        response = yield from self.ask(request, dc.DC_WeldingDetectionRes)
        voltage = float(response.evse_present_voltage)
        self.vehicle.supply(
            self.now, Supply(voltage=voltage, current=0.0, charge_power=0.0, discharge_power=0.0)
        )
        return voltage

    def stop_session(
        self,
        charging_session: common.ChargingSession,
        code: str | None = None,
        explanation: str | None = None,
    ) -> Exchange[None]:
        """SessionStop, in control pilot B [V2G20-921]; then the session is over, paused, or open for other
        services.
        """
        if self.ready:
            self.disconnect()
        request = common.SessionStopReq(
            header=self.header(),
            charging_session=charging_session,
            ev_termination_code=None if code is None else code[:80],
            ev_termination_explanation=None if explanation is None else explanation[:160],
        )
        yield from self.ask(request, common.SessionStopRes)
        if charging_session is common.ChargingSession.Pause:
            self.result.outcome = Outcome.PAUSED
            self.result.paused = PausedSession(
                session_id=self.session_id,
                mode=self.mode,
                evse_id=self.result.evse_id,
                vas=self.vas,
                secc_identity=self.secc_identity,
                service_renegotiation=self.service_renegotiation,
                contract=self.contract,
            )
        elif charging_session is common.ChargingSession.Terminate:
            self.result.outcome = Outcome.TERMINATED
