"""The judge over trace events: one judge per connection, findings counted so that memory stays bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from iso15118.messages.schema_sets import set_knowing
from iso15118.messages.validation import validate
from iso15118.session.events import Role, Severity
from iso15118.session.judge import RULES, Finding, Judge, LinkFacts, Observed, Outcome
from iso15118.session.judge.scale import ScaleJudge, ScaleVerdict
from iso15118.session.timers import STRICT, Profile

from . import events as ev
from .frames import Decoder

KEPT = 100
"""Findings of one rule that are kept with all they say; more are only counted."""


@dataclass(slots=True)
class Verdict:
    """All findings on a recording. `counts` is complete, `findings` has the first of each rule."""

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    """By connection."""
    events: int = 0
    notes: list[str] = field(default_factory=list)
    """What could not be judged."""
    scale: dict[int, list[ScaleVerdict]] = field(default_factory=dict)
    """By connection, if asked for."""

    def add(self, finding: Finding) -> None:
        self.counts[finding.rule.id] += 1
        if self.counts[finding.rule.id] <= KEPT:
            self.findings.append(finding)

    def of(self, *severities: Severity) -> int:
        """How many findings there are of these severities, kept or not."""
        return sum(count for rule, count in self.counts.items() if RULES[rule].severity in severities)


class Checker:
    """Feeds events to judges. `see` each event in order, then `verdict`."""

    def __init__(
        self,
        *,
        profile: Profile = STRICT,
        lab_plain_tcp: bool = False,
        scale: bool = False,
        observer: Callable[[Finding], None] | None = None,
    ) -> None:
        self._profile = profile
        self._lab = lab_plain_tcp
        self._scale: dict[int, ScaleJudge] | None = {} if scale else None
        self._observer = observer
        self._judges: dict[int, Judge] = {}
        self._decoders: dict[int, Decoder] = {}
        self._discovery = Judge(self._tell, connection=0, profile=profile)
        self._link_up: float | None = None
        self._tls_asked = False
        self._tls_given: bool | None = None
        self._verdict = Verdict()

    def _tell(self, finding: Finding) -> None:
        self._verdict.add(finding)
        if self._observer is not None:
            self._observer(finding)

    def see(self, event: ev.Event) -> None:
        self._verdict.events += 1
        match event:
            case ev.Frame():
                self._frame(event)
            case ev.Header():
                self._lab = self._lab or event.lab_plain_tcp
            case ev.Connection():
                # Another connection under a number that was there, as where traces are put together.
                self._judges.pop(event.connection, None)
                self._decoders.pop(event.connection, None)
                self._judge(event.connection)
            case ev.TLS():
                facts = LinkFacts(True, event.version, event.suite, event.group, event.mutual)
                self._judge(event.connection).link(facts)
            case ev.Damage():
                role = Role(event.sender) if event.sender else None
                self._judge(event.connection).damage(role, event.text, event.time)
            case ev.Closed():
                role = Role(event.by) if event.by in tuple(Role) else None
                self._judge(event.connection).closed(role, event.time)
            case ev.SDP():
                self._sdp(event)
            case ev.SLAC() if event.name.endswith(("SLAC_MATCH.CNF", "SLAC_MATCH_CNF")):
                self._link_up = event.time
            case ev.Sample() if self._scale and event.source == "charger":
                scale = self._scale.get(event.connection or max(self._scale))
                if scale is not None:
                    scale.sample(event.values, event.time)
            case ev.Note() if event.level in ("warning", "error") and len(self._verdict.notes) < 100:
                self._verdict.notes.append(event.text)
            case _:
                pass

    def verdict(self) -> Verdict:
        """Ends the judging."""
        for number, judge in self._judges.items():
            outcome = self._verdict.outcomes[number] = judge.end()
            if outcome.protocol and not outcome.protocol.startswith("urn:iso:std:iso:15118:-20"):
                self._verdict.notes.append(
                    f"connection {number} speaks {outcome.protocol}, which is not judged"
                )
        for number, scale in (self._scale or {}).items():
            self._verdict.scale[number] = scale.verdicts()
        return self._verdict

    def _judge(self, connection: int) -> Judge:
        judge = self._judges.get(connection)
        if judge is None:
            link = LinkFacts(tls=self._tls_given, lab_plain_tcp=self._lab)
            judge = Judge(self._tell, connection=connection, profile=self._profile, link=link)
            judge.context.sdp_tls_asked = self._tls_asked
            if self._link_up is not None:
                judge.link_up(self._link_up)
                self._link_up = None
            self._judges[connection] = judge
            if self._scale is not None:
                self._scale[connection] = ScaleJudge(judge.context)
        return judge

    def _sdp(self, event: ev.SDP) -> None:
        payload = bytes.fromhex(event.payload)
        if event.payload_type == 0x9000 and len(payload) == 2:
            self._tls_asked = payload[0] == 0
            self._discovery.sdp_request(event.time, tls=self._tls_asked)
            if self._link_up is None:
                self._link_up = event.time
        elif event.payload_type == 0x9001 and len(payload) == 20:
            self._tls_given = payload[18] == 0
            self._discovery.sdp_response()

    def _frame(self, event: ev.Frame) -> None:
        decoder = self._decoders.setdefault(event.connection, Decoder())
        payload = bytes.fromhex(event.payload)
        message, error = decoder.decode(event.payload_type, payload)
        problems = () if message is None else tuple(map(str, validate(message, set_knowing(message))))
        role = Role(event.sender)
        time = event.time or None
        observed = Observed(event.number, time, role, event.payload_type, message, error, problems)
        self._judge(event.connection).frame(observed)
        if self._scale is not None:
            self._scale[event.connection].frame(observed)


def check(
    events: Iterable[ev.Event],
    *,
    profile: Profile = STRICT,
    lab_plain_tcp: bool = False,
    scale: bool = False,
) -> Verdict:
    """Judge a recording."""
    checker = Checker(profile=profile, lab_plain_tcp=lab_plain_tcp, scale=scale)
    for event in events:
        checker.see(event)
    return checker.verdict()
