"""One pass over the events of a recording: everything that the page says, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from iso15118.messages import common
from iso15118.messages.common_types import RationalNumber
from iso15118.session import sequence
from iso15118.session.events import Role
from iso15118.session.judge import Finding
from iso15118.session.schedules import entries_of
from iso15118.session.timers import STRICT
from iso15118.session.values import per_phase, total

from ..trace import events as ev
from ..trace.check import Checker, Verdict
from ..trace.frames import Decoder
from ..trace.show import rows
from .series import Series

FIRST, LAST = 400, 200
"""Lines of the sequence chart kept from the beginning and the end of a long recording."""
OTHERS = 2000
"""Lines kept in between: what is no repetition, and what has findings."""


@dataclass(slots=True)
class Line:
    """A line of the sequence chart."""

    time: float
    sender: str
    name: str
    brief: str
    phase: str
    frame: ev.Frame | None = None
    findings: list[Finding] = field(default_factory=list)
    times: int = 1
    """How many exchanges like this one were left out with it."""


@dataclass(slots=True)
class Timing:
    """How long the answers to one message took, and how long its sender took to ask."""

    name: str
    limit: float
    timeout: float
    requirement: str
    count: int = 0
    greatest: float = 0.0
    sum: float = 0.0
    over: int = 0
    points: Series = field(default_factory=lambda: Series(1500))

    def add(self, at: float, took: float) -> None:
        self.count += 1
        self.sum += took
        self.greatest = max(self.greatest, took)
        self.over += took > self.limit
        self.points.add(at, took)


@dataclass(slots=True)
class Step:
    """A step curve: (s, value) with the value holding until the next point."""

    name: str
    points: list[tuple[float, float]]


@dataclass
class Collected:
    """What the page is made from."""

    header: ev.Header | None = None
    verdict: Verdict = field(default_factory=Verdict)
    start: float = 0.0
    end: float = 0.0
    lines: list[Line] = field(default_factory=list)
    series: dict[str, dict[str, Series]] = field(default_factory=dict)
    steps: dict[str, list[Step]] = field(default_factory=dict)
    timings: dict[str, Timing] = field(default_factory=dict)
    gaps: dict[str, Timing] = field(default_factory=dict)
    tls: list[ev.TLS] = field(default_factory=list)
    deviations: list[ev.Deviation] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    currency: str = ""
    frames: int = 0
    bytes: int = 0


class Collector:
    """`see` each event in order, then `result`."""

    def __init__(self, *, lab_plain_tcp: bool = False) -> None:
        self._found = Collected()
        self._new: list[Finding] = []
        self._checker = Checker(lab_plain_tcp=lab_plain_tcp, scale=True, observer=self._new.append)
        self._decoders: dict[int, Decoder] = {}
        self._asked: dict[tuple[int, int], tuple[ev.Frame, Any]] = {}
        self._answered: dict[int, tuple[str, float]] = {}
        self._last_lines: deque[Line] = deque(maxlen=LAST)
        self._others = 0
        self._started = False

    def see(self, event: ev.Event) -> None:
        found = self._found
        if not self._started and not isinstance(event, ev.Header):
            self._started, found.start = True, event.time
        found.end = max(found.end, event.time)
        self._new.clear()
        self._checker.see(event)
        match event:
            case ev.Header():
                found.header = found.header or event
            case ev.Frame():
                self._frame(event)
            case ev.TLS() if len(found.tls) < 20:
                found.tls.append(event)
            case ev.Sample():
                for name, value in event.values.items():
                    self._sample(event, name, value)
            case ev.Deviation() if len(found.deviations) < 500:
                found.deviations.append(event)
            case _:
                pass
        if not isinstance(event, ev.Sample | ev.Segment | ev.Secret | ev.Header):
            for time, _, sender, name, text, phase in rows([event]):
                frame = event if isinstance(event, ev.Frame) else None
                self._line(Line(time - found.start, sender, name, text, phase, frame, list(self._new)))

    def result(self) -> Collected:
        found = self._found
        found.verdict = self._checker.verdict()
        found.lines += self._last_lines
        for outcome in found.verdict.outcomes.values():
            if outcome.protocol:
                found.facts["protocol"] = outcome.protocol
        return found

    # -- lines -----------------------------------------------------------------------------------------------

    def _line(self, line: Line) -> None:
        lines = self._found.lines
        if len(lines) < FIRST:
            lines.append(line)
            return
        if len(self._last_lines) == LAST:
            leaving = self._last_lines[0]
            loop = leaving.name.startswith(("AC_ChargeLoop", "DC_ChargeLoop", "WPT_ChargeLoop"))
            if (leaving.findings or not loop) and self._others < OTHERS:
                self._others += 1
                lines.append(leaving)
            else:
                if lines[-1].sender:
                    lines.append(Line(leaving.time, "", "", "", "", times=0))
                lines[-1].times += 1
        self._last_lines.append(line)

    # -- frames ----------------------------------------------------------------------------------------------

    def _frame(self, event: ev.Frame) -> None:
        found = self._found
        found.frames += 1
        found.bytes += len(event.payload) // 2 + 8
        decoder = self._decoders.setdefault(event.connection, Decoder())
        message, _ = decoder.decode(event.payload_type, bytes.fromhex(event.payload))
        if message is None:
            return
        at = event.time - found.start
        stream = (event.connection, int(sequence.stream_of(event.payload_type) or 0))
        name = sequence.name_of(message)
        stem = sequence.stem(name)
        if event.sender == Role.EVCC.value:
            if event.time:
                self._gap(event, stem, at)
            self._asked[stream] = (event, message)
            self._request(message, name, at)
            return
        asked, request = self._asked.pop(stream, (None, None))
        if event.time:
            if asked is not None and request is not None and sequence.stem(sequence.name_of(request)) == stem:
                self._timing(stem).add(at, event.time - asked.time)
            self._answered[event.connection] = (stem, event.time)
        self._response(request, message, name, at, event.time)

    def _timing(self, stem: str) -> Timing:
        timing = self._found.timings.get(stem)
        if timing is None:
            limit = STRICT.timer("V2G_SECC_Msg_Performance_Time", stem)
            timeout = STRICT.limit("V2G_EVCC_Msg_Timeout", stem)
            timing = Timing(stem, limit.seconds, timeout, limit.requirement or "")
            self._found.timings[stem] = timing
        return timing

    def _gap(self, event: ev.Frame, stem: str, at: float) -> None:
        last = self._answered.pop(event.connection, None)
        if last is None:
            return
        name, time = last
        loop = name == stem and name.endswith("ChargeLoop")
        key = name if loop else ""
        timing = self._found.gaps.get(key)
        if timing is None:
            limit = STRICT.timer("V2G_EVCC_Sequence_Performance_Time", key)
            timeout = STRICT.limit("V2G_SECC_Sequence_Timeout", key)
            timing = Timing(key or "all others", limit.seconds, timeout, limit.requirement or "")
            self._found.gaps[key] = timing
        timing.add(at, event.time - time)

    def _plot(self, chart: str, name: str, at: float, value: float | None) -> None:
        if value is not None:
            self._found.series.setdefault(chart, {}).setdefault(name, Series()).add(at, value)

    def _sample(self, event: ev.Sample, name: str, value: float) -> None:
        chart = {"soc": "soc", "power": "power", "voltage": "voltage", "current": "current"}.get(name)
        if chart is not None:
            self._plot(chart, f"{event.source} model", event.time - self._found.start, value)

    def _request(self, message: Any, name: str, at: float) -> None:
        facts = self._found.facts
        if name == "SessionSetupReq":
            facts["EVCCID"] = message.evcc_id
        elif name.endswith("ChargeLoopReq") and hasattr(message, "control_mode"):
            self._loop_request(message, at)
        elif name == "PowerDeliveryReq" and message.ev_power_profile is not None:
            entries = entries_of(message.ev_power_profile)
            self._steps("power", "EV profile", [(e.start, e.total, e.end) for e in entries], at)

    def _loop_request(self, message: Any, at: float) -> None:
        mode = message.control_mode
        display = message.display_parameters
        if display is not None:
            self._plot("soc", "PresentSOC", at, display.present_soc)
            self._plot("soc", "TargetSOC", at, display.target_soc)
            self._plot("soc", "MinimumSOC", at, display.minimum_soc)
        self._plot("power", "EV present", at, watts(mode, "ev_present_active_power"))
        self._plot("power", "EV limit", at, watts(mode, "ev_maximum_charge_power"))
        self._plot("power", "EV discharge limit", at, _negative(watts(mode, "ev_maximum_discharge_power")))
        self._plot("voltage", "EV present", at, _float(getattr(message, "ev_present_voltage", None)))
        self._plot("voltage", "EV target", at, _float(getattr(mode, "ev_target_voltage", None)))
        self._plot("voltage", "EV limit", at, _float(getattr(mode, "ev_maximum_voltage", None)))
        self._plot("current", "EV target", at, _float(getattr(mode, "ev_target_current", None)))
        self._plot("current", "EV limit", at, _float(getattr(mode, "ev_maximum_charge_current", None)))

    def _response(self, request: Any, message: Any, name: str, at: float, time: float) -> None:
        facts = self._found.facts
        if name == "SessionSetupRes":
            facts["EVSEID"] = message.evse_id
            facts["SessionID"] = message.header.session_id.hex().upper()
        elif name == "ScheduleExchangeRes":
            self._schedules(message, at)
        elif name.endswith("ChargeLoopRes") and hasattr(message, "control_mode"):
            self._loop_response(message, at)

    def _loop_response(self, message: Any, at: float) -> None:
        mode = message.control_mode
        current = _float(getattr(message, "evse_present_current", None))
        voltage = _float(getattr(message, "evse_present_voltage", None))
        self._plot("current", "EVSE present", at, current)
        self._plot("voltage", "EVSE present", at, voltage)
        if current is not None and voltage is not None:
            self._plot("power", "EVSE present", at, current * voltage)
        self._plot("power", "EVSE present", at, watts(mode, "evse_present_active_power"))
        self._plot("power", "EVSE target", at, watts(mode, "evse_target_active_power"))
        self._plot("power", "EVSE limit", at, watts(mode, "evse_maximum_charge_power"))
        self._plot(
            "power", "EVSE discharge limit", at, _negative(watts(mode, "evse_maximum_discharge_power"))
        )
        self._plot("current", "EVSE limit", at, _float(getattr(mode, "evse_maximum_charge_current", None)))
        info = message.meter_info
        if info is not None:
            energy = f"{info.charged_energy_reading_wh} Wh charged"
            if info.bpt_discharged_energy_reading_wh is not None:
                energy += f", {info.bpt_discharged_energy_reading_wh} Wh discharged"
            self._found.facts["meter"] = energy

    def _schedules(self, message: common.ScheduleExchangeRes, at: float) -> None:
        mode = message.control_mode
        tuples = mode.schedule_tuple if isinstance(mode, common.Scheduled_SEResControlMode) else []
        for item in tuples:
            name = f"schedule {item.schedule_tuple_id}"
            entries = entries_of(item.charging_schedule.power_schedule)
            self._steps("power", name, [(e.start, e.total, e.end) for e in entries], at)
            self._prices(name, item.charging_schedule.price_schedule, at)
            if item.discharging_schedule is not None:
                entries = entries_of(item.discharging_schedule.power_schedule)
                listed = [(e.start, -abs(e.total), e.end) for e in entries]
                self._steps("power", f"{name}, discharge", listed, at)
                self._prices(f"{name}, discharge", item.discharging_schedule.price_schedule, at)
        if isinstance(mode, common.Dynamic_SEResControlMode):
            self._prices("prices", mode.price_schedule, at)

    def _prices(self, name: str, schedule: Any, at: float) -> None:
        if schedule is None:
            return
        start = float(schedule.time_anchor)
        listed: list[tuple[float, float, float]] = []
        if isinstance(schedule, common.AbsolutePriceSchedule):
            self._found.currency = f"{schedule.currency}/kWh"
            items = [
                (stack.duration, float(stack.price_rule[0].energy_fee))
                for stack in schedule.price_rule_stacks.price_rule_stack
            ]
        else:
            self._found.currency = "price level"
            entries = schedule.price_level_schedule_entries.price_level_schedule_entry
            items = [(entry.duration, float(entry.price_level)) for entry in entries]
        for duration, value in items:
            listed.append((start, value, start + duration))
            start += duration
        self._steps("price", name, listed, at)

    def _steps(self, chart: str, name: str, items: list[tuple[float, float, float]], at: float) -> None:
        """Steps from (Unix s, value, end). A schedule whose clock is not that of the recording begins when it
        is told; the end is cut to what there is of the session by the chart.
        """
        if not items:
            return
        shift = -self._found.start
        if abs(items[0][0] + shift - at) > 86_400:
            shift = at - items[0][0]
        points = [(start + shift, value) for start, value, _ in items]
        points.append((items[-1][2] + shift, items[-1][1]))
        listed = self._found.steps.setdefault(chart, [])
        listed[:] = [step for step in listed if step.name != name][-11:]
        listed.append(Step(name, points))


def watts(mode: Any, name: str) -> float | None:
    """The sum over the phases of an AC or DC power."""
    if getattr(mode, name, None) is None:
        return None
    if hasattr(mode, name + "_l2"):
        phases = per_phase(mode, name)
        return None if phases is None else total(phases)
    return float(getattr(mode, name))


def _float(value: RationalNumber | None) -> float | None:
    return None if value is None else float(value)


def _negative(value: float | None) -> float | None:
    return None if value is None else -abs(value)


def collect(events: Iterable[ev.Event], *, lab_plain_tcp: bool = False) -> Collected:
    collector = Collector(lab_plain_tcp=lab_plain_tcp)
    for event in events:
        collector.see(event)
    return collector.result()
