"""The EVCC: a generator of requests that reads like the sequence diagram.

`EVCC(config, vehicle).run()` yields `Send`, `Post`, `Receive` and `Wait` steps and returns a `SessionResult`;
`evcc_steps` says how a driver answers them. Every part of the sequence is a method that is a generator
itself: a scripted session subclasses EVCC and overrides one, calls some of them in another order, or yields
steps of its own.

    class Impatient(EVCC):
        def cable_check(self):
            yield from ()                        # skip it

    class Wanderer(EVCC):
        def session(self):
            yield from self.negotiate()
            yield from self.authorize()          # before SessionSetup
"""

from __future__ import annotations

from ..messages import common
from ..v2gtp import PayloadType
from .evcc_config import CertificateInstallation, EVCCConfig, Installed, ServiceWish, VASWish
from .evcc_dialogue import Leave
from .evcc_loop import Transfer
from .evcc_schedule import Interval, Plan, PlanRequest
from .evcc_side import CHECK_IN, CHECK_OUT
from .evcc_steps import (
    Abort,
    ConnectionLost,
    Exchange,
    Incoming,
    MalformedMessage,
    MessageTimeout,
    Outcome,
    PausedSession,
    PeerFault,
    Post,
    Receive,
    Reply,
    Send,
    SessionEnded,
    SessionResult,
    Step,
    Wait,
)
from .services import Family
from .vehicle import Wish

__all__ = [
    "EVCC",
    "Abort",
    "CertificateInstallation",
    "ConnectionLost",
    "EVCCConfig",
    "Exchange",
    "Incoming",
    "Installed",
    "Interval",
    "MalformedMessage",
    "MessageTimeout",
    "Outcome",
    "PausedSession",
    "PeerFault",
    "Plan",
    "PlanRequest",
    "Post",
    "Receive",
    "Reply",
    "Send",
    "ServiceWish",
    "SessionResult",
    "Step",
    "VASWish",
    "Wait",
]

Terminate, Pause = common.ChargingSession.Terminate, common.ChargingSession.Pause


class EVCC(Transfer):
    """One EV over one connection. Give `resume` to join a paused session."""

    def run(self) -> Exchange[SessionResult]:
        """The whole session; never raises for what the SECC or the connection does."""
        return (yield from self.interleave(self._to_the_end()))

    def session(self) -> Exchange[None]:
        """The sequence diagram."""
        yield from self.negotiate()
        if not (yield from self.set_up_session()):
            yield from self.authorize()
            yield from self.choose_services()
        while True:
            self.begin_parking()
            charging_session = yield from self.charge()
            yield from self.leave(charging_session)
            if charging_session is not common.ChargingSession.ServiceRenegotiation:
                return
            yield from self.choose_services()

    def charge(self) -> Exchange[common.ChargingSession]:
        """From parameter discovery to power off; how the session goes on."""
        direct_current = self.mode.family is not Family.AC
        self.prepared = not direct_current
        self.notice = None
        yield from self.charge_parameters()
        go_to_pause = yield from self.exchange_schedule()
        wish = Wish.PAUSE if go_to_pause else self.vehicle.wish(self.now)
        if wish is Wish.STANDBY:
            wish = (yield from self.hold_standby()) or Wish.CHARGE
        if wish is Wish.PAUSE or wish is Wish.STOP:
            yield from self.stop_power()
            return Pause if wish is Wish.PAUSE else Terminate
        if direct_current:
            yield from self.cable_check()
            yield from self.pre_charge()
        yield from self.start()
        charging_session = yield from self.transfer()
        yield from self.power_off()
        return charging_session

    def power_off(self) -> Exchange[None]:
        """Down to no power, PowerDelivery(Stop), welding detection."""
        if self.config.ramp_down_time > 0:
            yield from self.ramp_down()
        while self.side_running(PayloadType.SCHEDULE_RENEGOTIATION):
            # The SECC waits for charge loops, and knows this stream only while they go on.
            yield from self.charge_loop()
            yield from self.pause(self.config.loop_interval)
        yield from self.stop_power()
        if self.prepared and self.mode.family is not Family.AC and self.config.welding_detection:
            yield from self.welding_detection()
        self.prepared = False

    def leave(self, charging_session: common.ChargingSession) -> Exchange[None]:
        """Check out of the parking space if the EV goes, then SessionStop."""
        code = explanation = None
        if charging_session is Terminate:
            if self.parking(CHECK_OUT):
                self.start_side(PayloadType.PARKING_STATUS, self.check_out())
            code, explanation = self.config.termination_code, self.config.termination_explanation
        yield from self.settle()
        yield from self.stop_session(charging_session, code, explanation)

    def begin_parking(self) -> None:
        """Check in beside the main stream, once, if the parking status service is selected."""
        if self.parking(CHECK_IN) and not self.checked_in:
            self.checked_in = self.start_side(PayloadType.PARKING_STATUS, self.check_in())

    # -- how it ends -------------------------------------------------------------------------------------

    def _to_the_end(self) -> Exchange[SessionResult]:
        """The session, and what turns each way out of it into a result."""
        result = self.result
        try:
            try:
                yield from self.session()
            except Leave as early:
                yield from self.leave(early.charging_session)
            except Abort as abort:
                result.outcome, result.reason = Outcome.ABORTED, abort.explanation
                yield from self.give_up(abort)
                result.outcome = Outcome.ABORTED
        except SessionEnded as ended:
            result.outcome = ended.outcome
            result.reason = result.reason or ended.reason
        except Abort as abort:
            result.outcome, result.reason = Outcome.ABORTED, abort.explanation
        except MessageTimeout as fault:
            result.outcome, result.reason = Outcome.TIMEOUT, result.reason or str(fault)
        except PeerFault as fault:
            lost = isinstance(fault, ConnectionLost)
            result.outcome = Outcome.CONNECTION_LOST if lost else Outcome.PROTOCOL_ERROR
            result.reason = result.reason or str(fault)
        self.shut_down()
        result.ended = self.now
        return result

    def give_up(self, abort: Abort) -> Exchange[None]:
        """The EV ends a session on a healthy link: power off if it is on, then SessionStop(Terminate) with
        the reason.
        """
        if self.session_id == bytes(8):
            return
        if self.delivering:
            yield from self.stop_power()
        yield from self.stop_session(Terminate, abort.code, abort.explanation)

    def shut_down(self) -> None:
        """Whatever happened: contactors open, control pilot B."""
        if self.ready or self.delivering:
            self.disconnect()
        self.delivering = self.prepared = False
