"""Cases that look at what a device says when nothing is disturbed: the judge's rules, message by message."""

from __future__ import annotations

from collections.abc import Iterator

from iso15118.session.events import Role
from iso15118.session.judge import RULES
from iso15118.session.judge.model import REQUEST_CHECKS, RESPONSE_CHECKS
from iso15118.session.services import Family
from iso15118.session.timers import TIMERS, Kind

from ..config.common import MODES
from .model import Case, Group, Observation
from .reference import Reference, references
from .way import common, own

_FORM = {
    Role.SECC: ("schema.value", "v2gtp.payload-type", "session.id-response", "sequence.response"),
    Role.EVCC: ("schema.value", "v2gtp.payload-type", "session.id-request", "sequence.order"),
}
"""Rules that hold for every message of a side."""
_NEEDS = {
    "authorization.challenge": ("pnc",),
    "loop.meter": ("metering",),
    "loop.first-meter": ("metering",),
    "schedule.prices": ("prices",),
    "schedule.no-price": ("prices",),
}
"""What a device must support for a rule to have something to say."""
_OF_OTHER_CASES = (
    "session.id-joined",
    "session.id-fresh",
    "stop.renegotiation",
    "authorization.refused-ongoing",
    "loop.metering-confirmation",
    "loop.notification",
    "power.channel",
    "sap.choice-insecure",
    "sap.offer-insecure",
    "sap.tls-asked",
    "tls.suite",
    "tls.group",
    "tls.mutual",
)
"""Rules about what does not happen in these sessions; pause, renegotiation, TLS and the like have cases of
their own.
"""


def cases() -> Iterator[Case]:
    """All of them, for both sides."""
    for tests in Role:
        for reference in references().values():
            if not (reference.limited and tests is Role.SECC):
                yield _whole(tests, reference)
        yield from _of_common_messages(tests)
        for reference in references().values():
            if not (reference.limited and tests is Role.SECC):  # there the site is the device's own
                yield from _of_reference(tests, reference)
        yield from _times(tests)


def _whole(tests: Role, reference: Reference) -> Case:
    more = " with prices" if reference.priced else " at a site that gives little" if reference.limited else ""
    return _case(
        tests,
        f"{reference.name}.whole",
        f"a whole {reference.mode} session under {reference.control} control{more}",
        "Comes to its proper end.",
        Observation((reference.name,)),
        needs=reference.needs,
    )


def _of_common_messages(tests: Role) -> Iterator[Case]:
    """One case for each message and rule: every reference session is looked at."""
    every = tuple(references())
    for message in dict.fromkeys(_said(tests, stop.message) for stop in common()):
        for rule in (*_FORM[tests], *_specific(tests, message)):
            if message == _said(tests, "supportedAppProtocolReq") and rule.startswith("session."):
                continue
            yield _judged(tests, f"{message}.{rule}", message, (rule,), every, _NEEDS.get(rule, ()))


def _of_reference(tests: Role, reference: Reference) -> Iterator[Case]:
    """The messages whose content depends on service and control mode."""
    family = Family.AC if MODES[reference.mode].family is Family.AC else Family.DC
    names = dict.fromkeys(
        [_said(tests, stop.message) for stop in own(family)]
        if not reference.priced
        else [_said(tests, "ScheduleExchangeReq")]
    )
    for message in names:
        prefix = f"{reference.name}.{message}"
        if not reference.priced:
            yield _judged(tests, f"{prefix}.form", message, _FORM[tests], (reference.name,), reference.needs)
        for rule in _specific(tests, message):
            needs = (*reference.needs, *_NEEDS.get(rule, ()))
            yield _judged(tests, f"{prefix}.{rule}", message, (rule,), (reference.name,), needs)


def _times(tests: Role) -> Iterator[Case]:
    """Performance times, and timeouts that the side keeps towards itself."""
    for timer in TIMERS:
        rule = f"timer.{timer.name}"
        if timer.owner is not tests or rule not in RULES or timer.kind is not Kind.PERFORMANCE:
            continue
        family = timer.name.rpartition(".")[2].removesuffix("_loop")
        if family == "WPT" or "CommunicationSetup" in timer.name or timer.name == "V2G_SECC_TCP_Close":
            continue
        looping = family in ("AC", "DC")
        sessions = tuple(r.name for r in references().values() if not looping or _family(r) == family)
        yield _case(
            tests,
            f"time.{timer.name}",
            f"{timer.name}: {timer.seconds:g} s {timer.what}",
            "Keeps this time; nobody may abort on it.",
            Observation(sessions, "", (rule,)),
            requirements=timer.requirements,
        )


def _family(reference: Reference) -> str:
    family = MODES[reference.mode].family
    return family.value if family is not None else ""


def _said(tests: Role, request: str) -> str:
    return request if tests is Role.EVCC else request.removesuffix("Req") + "Res"


def _specific(tests: Role, message: str) -> list[str]:
    checks = RESPONSE_CHECKS if tests is Role.SECC else REQUEST_CHECKS
    rules = [rule for rule, _ in checks.get(message, ())]
    return [rule.id for rule in rules if rule.severity.value != "note" and rule.id not in _OF_OTHER_CASES]


def _judged(
    tests: Role,
    name: str,
    message: str,
    rules: tuple[str, ...],
    sessions: tuple[str, ...],
    needs: tuple[str, ...],
) -> Case:
    text = " ".join(RULES[rule].text for rule in rules)
    requirements = tuple(dict.fromkeys(r for rule in rules for r in RULES[rule].requirements))
    return _case(
        tests,
        name,
        f"{message}: {text}",
        text,
        Observation(sessions, message, rules),
        message=message,
        needs=needs,
        requirements=requirements,
    )


def _case(
    tests: Role,
    name: str,
    title: str,
    sound: str,
    observation: Observation,
    *,
    message: str = "",
    needs: tuple[str, ...] = (),
    requirements: tuple[str, ...] = (),
) -> Case:
    return Case(
        id=f"{tests.value}.{Group.FIELDS.value}.{name}",
        title=title,
        tests=tests,
        group=Group.FIELDS,
        message=message,
        sound=sound,
        play=observation,
        needs=needs,
        requirements=requirements,
    )
