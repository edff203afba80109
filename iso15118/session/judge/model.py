"""What the judge knows and says: rules as data, what it is shown, what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from ...messages.declare import Node
from ..events import Role, Severity

if TYPE_CHECKING:
    from .context import Context


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing the judge looks for. `binds` is who breaks it, None where either side can."""

    id: str
    severity: Severity
    binds: Role | None
    text: str
    """What the rule asks, in one sentence."""
    requirements: tuple[str, ...] = ()
    """As in "V2G20-460", the governing one first; empty where no public source gives one."""
    refusal: str = ""
    """Response code that a SECC must answer a breach with; then breaking that is a rule of its own."""

    @property
    def requirement(self) -> str | None:
        return self.requirements[0] if self.requirements else None


class Fault(NamedTuple):
    """A breach of a rule in one message: what was there, and what was expected instead."""

    text: str
    expected: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A breach of `rule` by `offender` in `frame` of the connection (0: in no frame)."""

    rule: Rule
    offender: Role | None
    text: str
    expected: str
    message: str = ""
    frame: int = 0
    time: float = 0.0
    connection: int = 0
    requirement: str | None = None

    @property
    def severity(self) -> Severity:
        return self.rule.severity

    def __str__(self) -> str:
        who = f"{self.offender.value} " if self.offender else ""
        where = f"frame {self.frame}" + (f" {self.message}" if self.message else "") if self.frame else "-"
        cited = f" [{self.requirement}]" if self.requirement else ""
        said = f"{who}{self.text}; expected {self.expected}"
        return f"{self.severity.value}: {where}: {said}{cited} ({self.rule.id})"


class Observed(NamedTuple):
    """A V2GTP frame as the judge sees it."""

    number: int
    time: float | None
    """s, on any clock; None if the recording has no times."""
    sender: Role
    payload_type: int
    message: Node | None
    error: str = ""
    """Why the payload is no message."""
    problems: tuple[str, ...] = ()
    """What in the message its schema does not allow (`iso15118.messages.validate`)."""


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """What is known of the connection below V2GTP; None is unknown."""

    tls: bool | None = None
    version: str = ""
    """"TLSv1.3"."""
    suite: str = ""
    group: str = ""
    mutual: bool | None = None
    """Both sides sent a certificate."""
    lab_plain_tcp: bool = False
    """The user asked for -20 without TLS, so that is not to be judged."""


RequestCheck: TypeAlias = Callable[["Context", Any], Iterator[Fault]]
ResponseCheck: TypeAlias = Callable[["Context", Any, Any], Iterator[Fault]]
C = TypeVar("C", bound=Callable[..., Iterator[Fault]])

RULES: dict[str, Rule] = {}
"""All rules by id."""
REQUEST_CHECKS: dict[str, list[tuple[Rule, RequestCheck]]] = {}
"""By element name of the request."""
RESPONSE_CHECKS: dict[str, list[tuple[Rule, ResponseCheck]]] = {}


def declare(rule: Rule) -> Rule:
    """Enter a rule into the catalogue, and the one about refusing its breach."""
    for item in (rule, *_refusal(rule)):
        if item.id in RULES:
            raise ValueError(f"rule {item.id} is there twice")
        RULES[item.id] = item
    return rule


def refusal_of(rule: Rule) -> Rule:
    """The rule that a SECC breaks by not refusing a breach of this one."""
    return RULES[f"{rule.id}.refusal"]


def _refusal(rule: Rule) -> tuple[Rule, ...]:
    if not rule.refusal:
        return ()
    code, _, requirement = rule.refusal.partition(" ")
    text = f"A breach of {rule.id} is answered with {code}."
    return (
        Rule(f"{rule.id}.refusal", Severity.ERROR, Role.SECC, text, (requirement,) if requirement else ()),
    )


def on_request(
    rule_id: str,
    *names: str,
    requirements: tuple[str, ...] = (),
    severity: Severity = Severity.ERROR,
    refusal: str = "",
) -> Callable[[C], C]:
    """Declare the decorated check of requests as a rule that binds the EVCC; its docstring is the rule's
    text.

    `refusal`: the response code for a breach and, after a blank, the requirement that asks for it.
    """

    def register(check: C) -> C:
        rule = declare(Rule(rule_id, severity, Role.EVCC, _text(check), requirements, refusal))
        for name in names:
            REQUEST_CHECKS.setdefault(name, []).append((rule, check))
        return check

    return register


def on_response(
    rule_id: str,
    *names: str,
    requirements: tuple[str, ...] = (),
    severity: Severity = Severity.ERROR,
) -> Callable[[C], C]:
    """Declare the decorated check of responses as a rule that binds the SECC. FAILED responses are not
    checked: their content does not count [V2G20-735].
    """

    def register(check: C) -> C:
        rule = declare(Rule(rule_id, severity, Role.SECC, _text(check), requirements))
        for name in names:
            RESPONSE_CHECKS.setdefault(name, []).append((rule, check))
        return check

    return register


def _text(check: Callable[..., Any]) -> str:
    return " ".join((check.__doc__ or "").split())
