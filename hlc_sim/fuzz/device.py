"""Runs cases on one named device: each is a session; undisturbed ones in between say whether it is well."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from iso15118.messages.common_types import EVSENotification
from iso15118.messages.schema_sets import set_knowing
from iso15118.messages.validation import validate
from iso15118.session.charger import SiteWish
from iso15118.session.events import Role
from iso15118.session.sequence import name_of

from ..scenario.model import Scenario
from ..scenario.runner import Attempt, attempt
from ..scenario.targets import NoTarget, Target
from ..scenario.watch import Record
from .cases import Case
from .inprocess import ECHOED
from .leaks import Memory
from .problem import Problem
from .saved import UNCLEAR, as_scenario, place

HEALTH_EVERY = 10
"""Cases between two undisturbed sessions; one follows each finding, and each case that did not come about."""
_SLOW = 0.2
"""s; and so many times the first ones: responses that got slower."""
_TIMES = 5.0
_WINDOW = 5
_CHARGING = 3.0
"""s of energy transfer with a vehicle under test."""
_BETWEEN = 1.0
"""s between two attempts to reach a device that is gone."""


@dataclass
class Device:
    """Runs a case on a device, at most `rate` sessions per s. NoTarget: it is gone, or was never there.

    Which services it offers is found out: cases of others are passed over (`passed`).
    """

    target: Callable[[], Target]
    rate: float = 1.0
    recovery: float = 60.0
    """s that a device may take until it serves again."""
    fit: Callable[[Scenario], Scenario] = lambda scenario: scenario
    """Makes our side what the device needs."""
    clock: Callable[[], trio.abc.Clock | None] = lambda: None
    passed: int = field(default=0, init=False)
    lost: str = field(default="", init=False)
    """Why the device is given up."""
    _usual: dict[str, set[tuple[str, str]] | str] = field(default_factory=dict, init=False)
    """By profile: what the judge says of each session of the device; or why there is none."""
    _memory: Memory | None = field(default=None, init=False)
    _latency: _Latency = field(init=False)
    _last: float = field(default=0.0, init=False)
    _since_health: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._latency = _Latency()

    def __call__(self, case: Case) -> list[Problem]:
        if self.lost:
            raise NoTarget(self.lost)
        usual = self._baseline(case.profile)
        if isinstance(usual, str):
            self.passed += 1
            return []
        made = self._play(as_scenario("fuzz-case", case))
        problems = self._judged(case, made, usual) if isinstance(made, Attempt) else []
        self._since_health += 1
        doubtful = not isinstance(made, Attempt) or made.script.missed or self._since_health >= HEALTH_EVERY
        if problems or doubtful:
            problems = self._health(case, problems)
        return problems

    @property
    def unusable(self) -> dict[str, str]:
        """Profiles that the device does not serve, and why."""
        return {name: why for name, why in self._usual.items() if isinstance(why, str)}

    # -- sessions --------------------------------------------------------------------------------------------

    def _play(self, scenario: Scenario) -> Attempt | str:
        """A session, or why there was none."""
        time.sleep(max(0.0, self._last + 1 / self.rate - time.monotonic()))
        self._last = time.monotonic()
        target, scenario = self.target(), self.fit(scenario)
        if target.role is Role.EVCC:
            scenario = _short(scenario)
        try:
            return trio.run(attempt, scenario, target, clock=self.clock())
        except NoTarget as error:
            return str(error)

    def _undisturbed(self, profile: str, tests: Role) -> tuple[Attempt | str, list[Problem]]:
        case = Case(tests, profile, 0, ())
        made = self._play(dataclasses.replace(as_scenario("fuzz-health", case), steps=()))
        self._memory = self._memory or Memory(tests)
        return made, self._memory.undisturbed(made.record) if isinstance(made, Attempt) else []

    def _baseline(self, profile: str) -> set[tuple[str, str]] | str:
        """What is usual in sessions of this profile, by one that nobody disturbs."""
        if profile not in self._usual:
            tests = self.target().role
            made, _ = self._undisturbed(profile, tests)
            if not isinstance(made, Attempt):
                raise NoTarget(made)
            if not _whole(made):
                last = made.record.seen[-1].name if made.record.seen else "nothing"
                self._usual[profile] = f"its session ends with {last}: {made.ended}"
                if len(self.unusable) == len(self._usual) and len(self._usual) > 3:
                    raise NoTarget(f"no undisturbed session succeeds: {self._usual[profile]}")
            else:
                self._usual[profile] = {(f.rule.id, f.message) for f in made.record.errors_of(tests)}
                self._latency.note(made.record, tests)
        return self._usual[profile]

    def _health(self, case: Case, problems: list[Problem]) -> list[Problem]:
        """An undisturbed session, again until it succeeds or the device had its time."""
        self._since_health = 0
        started, tries = time.monotonic(), 0
        while True:
            made, leaks = self._undisturbed(case.profile, case.tests)
            tries += 1
            if isinstance(made, Attempt) and _whole(made):
                break
            if time.monotonic() - started > self.recovery or self.clock() is not None:
                name, _ = place(case)
                why = (made.ended if isinstance(made, Attempt) else made)[:300]
                self.lost = f"the device serves no session since a case at {name}: {why}"
                return [*problems, Problem("no recovery", f"no recovery/{name}", self.lost)]
            time.sleep(_BETWEEN)
        if tries > 1:
            name, _ = place(case)
            text = f"it served no session for {time.monotonic() - started:.0f} s after a case at {name}"
            problems = [*problems, Problem("recovery", f"recovery/{name}", text)]
        return [*problems, *leaks, *self._latency.note(made.record, case.tests)]

    # -- verdict ---------------------------------------------------------------------------------------------

    def _judged(self, case: Case, made: Attempt, usual: set[tuple[str, str]]) -> list[Problem]:
        problems, record = [], made.record
        name, _ = place(case)
        device = case.tests
        for finding in record.errors_of(device):
            key = finding.rule.id, finding.message
            echoed = finding.rule.id == "schema.value" and any(f"/{x} " in finding.text for x in ECHOED)
            if key not in usual and finding.rule.id not in UNCLEAR and not echoed:
                problems.append(Problem("wrong answer", "judge/" + "/".join(key), str(finding)[:400]))
        if record.broken:
            problems.append(Problem("broken frame", f"broken frame/{name}", record.broken))
        if made.timed_out or made.hung:
            problems.append(
                Problem("hang", f"hang/{name}", f"the session does not end after a case at {name}")
            )
        problems += _unanswered(record, device)
        problems += _after_refusal(record, device)
        if self._memory is not None:
            problems += self._memory.look(record)
        return problems


def _whole(made: Attempt) -> bool:
    """Whether it was a whole session; what the judge has against it is in every session of the device."""
    record = made.record
    stopped = any(seen.name == "SessionStopRes" and seen.code == "OK" for seen in record.seen)
    charged = any(seen.name.endswith("ChargeLoopRes") for seen in record.seen)
    return stopped and charged and not record.broken and not made.timed_out


def _short(scenario: Scenario) -> Scenario:
    """Our station asks the vehicle to stop after a while: it may want to charge for hours."""
    site = scenario.station.site
    wishes = (*site.wishes, (_CHARGING, SiteWish(EVSENotification.Terminate)))
    station = dataclasses.replace(scenario.station, site=dataclasses.replace(site, wishes=wishes))
    return dataclasses.replace(scenario, station=station)


def _unanswered(record: Record, device: Role) -> list[Problem]:
    """A valid message that is the last one: an SECC refuses, it does not just close; nobody keeps silent
    until we give up.
    """
    if not record.seen or record.seen[-1].sender is device:
        return []
    last = record.seen[-1]
    said = [seen for seen in record.seen if seen.sender is device]
    over = any(seen.name == "SessionStopRes" or seen.code.lower().startswith("failed") for seen in said)
    if over or last.message is None or validate(last.message, set_knowing(last.message)):
        return []
    name = name_of(last.message)
    if device is Role.SECC and name.endswith("Req"):
        how = "closed" if record.closed_by is device else "no answer"
        if how == "closed" and any(
            seen.message is None and seen.sender is not device for seen in record.seen
        ):
            return []  # what cannot be decoded ends the connection; the next request may cross that
        return [Problem("no answer", f"{how}/{name}", f"{name} got no answer ({how})")]
    if device is Role.EVCC and record.closed_by is not device and "FAILED" not in last.code:
        return [Problem("no answer", f"silence/{name}", f"neither a request nor a close after {name}")]
    return []


def _after_refusal(record: Record, device: Role) -> list[Problem]:
    """What the device sends when a FAILED response has ended the session."""
    over = ""
    for seen in record.seen:
        ends = seen.name.startswith(("SessionStop", "PowerDeliveryReq(Stop)", "DC_WeldingDetection"))
        if over and seen.sender is device and not ends:
            return [
                Problem("after close", f"after close/{seen.name}", f"{seen.name} {seen.code} after {over}")
            ]
        if seen.code.lower().startswith("failed") and not over:
            over = f"{seen.name} {seen.code}"
    return []


class _Latency:
    """Response times of undisturbed sessions, by message: a device that gets slower holds on to something."""

    def __init__(self) -> None:
        self._first: dict[str, list[float]] = defaultdict(list)
        self._latest: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_WINDOW))
        self._told: set[str] = set()

    def note(self, record: Record, device: Role) -> list[Problem]:
        took: dict[str, list[float]] = defaultdict(list)
        for asked, answered in zip(record.seen, record.seen[1:], strict=False):
            if asked.sender is not device and answered.sender is device:
                took[answered.name].append(answered.time - asked.time)
        problems = []
        for name, times in took.items():
            median = statistics.median(times)
            if len(self._first[name]) < _WINDOW:
                self._first[name].append(median)
                continue
            self._latest[name].append(median)
            before, now = statistics.median(self._first[name]), statistics.median(self._latest[name])
            if len(self._latest[name]) < _WINDOW or name in self._told:
                continue
            if now > _SLOW and now > _TIMES * before:
                self._told.add(name)
                text = f"{name} takes {now:.2f} s, {before:.3f} s in the beginning"
                problems.append(Problem("growth", f"growth/latency/{name}", text))
        return problems
