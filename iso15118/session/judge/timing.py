"""Times between messages against the timer table: every row of it is judged here or named as not visible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..events import Role, Severity
from ..timers import TIMERS, Kind, Profile, Timer
from .model import Rule, declare

NOT_VISIBLE = {
    "CP_C_after_Start": "the control pilot is on no capture",
}
"""Timers that a recording of messages does not show, and why."""

_EXTRA_REQUIREMENTS = {"SDP_Request_Timeout": ("V2G2-159",)}
_TEXTS = {
    "V2G_EVCC_Msg_Timeout": "The EVCC gives up when a response is late: it sends no further request.",
    "V2G_SECC_Msg_Performance_Time": "The SECC answers in time.",
    "V2G_EVCC_Sequence_Performance_Time": "The EVCC sends its next request in time.",
    "V2G_SECC_Sequence_Timeout": "The SECC ends a session whose next request is late: it does not answer it.",
    "V2G_EVCC_CommunicationSetup_Timeout": "The session is set up in time, or the EVCC gives up.",
    "V2G_SECC_CommunicationSetup_Performance_Time": "The SECC has the session set up in time.",
    "V2G_EVCC_Ongoing_Timeout": "The EVCC gives up when the SECC says Ongoing for too long.",
    "V2G_SECC_Ongoing_Performance_Time": "The SECC says Finished in time.",
    "V2G_EVCC_CableCheck_Timeout": "The EVCC gives up a cable check that takes too long.",
    "V2G_EVCC_PreCharge_Timeout": "The EVCC gives up a pre-charge that takes too long.",
    "V2G_SECC_TCP_Close": "After SessionStopRes the SECC leaves the close to the EVCC for its time.",
    "SDP_Request_Timeout": "The EVCC waits for an answer before it repeats its SDP request.",
}


def _severity(timer: Timer) -> Severity:
    if timer.kind is Kind.PERFORMANCE:
        return Severity.PERFORMANCE
    # Values that only some stacks have and no requirement supports: worth a note.
    unsettled = timer.relaxed is not None and not timer.requirements
    return Severity.NOTE if unsettled else Severity.ERROR


def _rule(timer: Timer) -> Rule:
    what = f" ({', '.join(timer.messages)})" if timer.messages else ""
    requirements = timer.requirements or _EXTRA_REQUIREMENTS.get(timer.name, ())
    text = f"{_TEXTS[timer.name.partition('.')[0]]} {timer.seconds:g} s{what}, {timer.what}."
    return declare(Rule(f"timer.{timer.name}", _severity(timer), timer.owner, text, requirements))


TIMER_RULES: dict[str, Rule] = {timer.name: _rule(timer) for timer in TIMERS if timer.name not in NOT_VISIBLE}
"""By name of the timer."""

Report = Callable[[Rule, Role, str, str], None]
"""Rule, offender, what was, what was expected."""


@dataclass(slots=True)
class Clock:
    """The running times of one connection. `report` is told of each that is exceeded; `tolerance` s are
    given to the clock of the recording.
    """

    profile: Profile
    report: Report
    tolerance: float = 0.02
    link_up: float | None = None
    _request: tuple[str, float] | None = None
    _response: tuple[str, float] | None = None
    _late_response: tuple[Timer, float] | None = None
    _silence: tuple[Timer, float] | None = None
    _phases: dict[str, float] = field(default_factory=dict)
    """When a repeated exchange began, by its name."""
    _overdue: set[str] = field(default_factory=set)
    """Exchanges whose Ongoing has been found too long."""
    _stopped: float | None = None
    _last_sdp: float | None = None

    def request(self, name: str, time: float) -> None:
        """A request on the main stream; `name` without Req."""
        if self._late_response is not None:
            timer, took = self._late_response
            self._exceeded(timer, Role.EVCC, took, f"went on after a response that took {took:.2f} s")
            self._late_response = None
        self._silence = None
        if self._response is not None:
            last, at = self._response
            gap = time - at
            loop_over = last.endswith("ChargeLoop") and name != last
            timer = self.profile.timer("V2G_EVCC_Sequence_Performance_Time", "" if loop_over else last)
            if self._over(timer, gap):
                self._exceeded(timer, Role.EVCC, gap, f"{name}Req came {gap:.2f} s after {last}Res")
            silence = self.profile.timer("V2G_SECC_Sequence_Timeout", last)
            if self._over(silence, gap):
                self._silence = (silence, gap)
        for key, limit in (
            ("DC_CableCheck", "V2G_EVCC_CableCheck_Timeout"),
            ("DC_PreCharge", "V2G_EVCC_PreCharge_Timeout"),
        ):
            if name == key:
                began = self._phases.setdefault(key, time)
                timer = self.profile.timer(limit)
                if self._over(timer, time - began):
                    self._exceeded(
                        timer, Role.EVCC, time - began, f"{name}Req {time - began:.1f} s after the first"
                    )
            else:
                self._phases.pop(key, None)
        self._request = (name, time)

    def response(self, name: str, time: float, *, failed: bool, ongoing: bool, waiting: bool) -> None:
        """A response on the main stream. `ongoing`: EVSEProcessing is not Finished; `waiting`: because of the
        customer.
        """
        if self._silence is not None and not failed:
            timer, gap = self._silence
            self._exceeded(timer, Role.SECC, gap, f"answered a request that came after {gap:.2f} s")
        self._silence = None
        if self._request is not None and self._request[0] == name:
            took = time - self._request[1]
            timer = self.profile.timer("V2G_SECC_Msg_Performance_Time", name)
            if self._over(timer, took):
                self._exceeded(timer, Role.SECC, took, f"{name}Res took {took:.2f} s")
            timeout = self.profile.timer("V2G_EVCC_Msg_Timeout", name)
            self._late_response = (timeout, took) if self._over(timeout, took) else None
        self._ongoing(name, time, ongoing, waiting)
        self._response = (name, time)
        if name == "SessionSetup":
            self._set_up(time)
        self._stopped = time if name == "SessionStop" and not failed else None

    def _ongoing(self, name: str, time: float, ongoing: bool, waiting: bool) -> None:
        began = self._phases.get(f"{name}.ongoing")
        if began is not None:
            took = time - began
            evcc = self.profile.timer("V2G_EVCC_Ongoing_Timeout")
            own_limit = name == "DC_CableCheck"  # judged by a timer of its own
            if self._over(evcc, took) and not waiting and not own_limit:
                self._exceeded(evcc, Role.EVCC, took, f"still asking {took:.1f} s after the first Ongoing")
            secc = self.profile.timer("V2G_SECC_Ongoing_Performance_Time")
            if self._over(secc, took) and name not in self._overdue:
                self._overdue.add(name)  # said once, of a station that never finishes too
                said = "still Ongoing" if ongoing else "Finished"
                self._exceeded(secc, Role.SECC, took, f"{said} {took:.1f} s after the first Ongoing")
        if not ongoing:
            self._phases.pop(f"{name}.ongoing", None)
            self._overdue.discard(name)
        elif began is None:
            self._phases[f"{name}.ongoing"] = time

    def _set_up(self, time: float) -> None:
        if self.link_up is None:
            return
        took = time - self.link_up
        for name, offender in (
            ("V2G_SECC_CommunicationSetup_Performance_Time", Role.SECC),
            ("V2G_EVCC_CommunicationSetup_Timeout", Role.EVCC),
        ):
            timer = self.profile.timer(name)
            if self._over(timer, took):
                self._exceeded(timer, offender, took, f"SessionSetupRes {took:.1f} s after link up")
        self.link_up = None

    def sdp_request(self, time: float) -> None:
        timer = self.profile.timer("SDP_Request_Timeout")
        if (
            self._last_sdp is not None
            and time - self._last_sdp < self.profile.seconds(timer.name) - self.tolerance
        ):
            gap = time - self._last_sdp
            self.report(
                TIMER_RULES[timer.name],
                Role.EVCC,
                f"SDP request repeated after {gap:.3f} s",
                f"{timer.seconds:g} s",
            )
        self._last_sdp = time

    def sdp_response(self) -> None:
        self._last_sdp = None

    def closed(self, by: Role | None, time: float) -> None:
        """The TCP connection ended."""
        if self._stopped is None or by is not Role.SECC:
            return
        timer = self.profile.timer("V2G_SECC_TCP_Close")
        gap = time - self._stopped
        if gap < self.profile.seconds(timer.name) - self.tolerance:
            rule = TIMER_RULES[timer.name]
            self.report(
                rule,
                Role.SECC,
                f"closed {gap:.2f} s after SessionStopRes",
                f"{timer.seconds:g} s for the EVCC to close",
            )

    def _over(self, timer: Timer, took: float) -> bool:
        limit = self.profile.seconds(timer.name)
        # A timer runs from when its owner has read the message, later than the recording saw it: 1 %
        return took > limit + max(self.tolerance, 0.01 * limit)

    def _exceeded(self, timer: Timer, offender: Role, took: float, text: str) -> None:
        self.report(
            TIMER_RULES[timer.name], offender, text, f"at most {self.profile.seconds(timer.name):g} s"
        )
