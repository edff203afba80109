"""Pages that are a table of the code: timers, the judge's rules, broken certificates, scenarios and cases."""

from __future__ import annotations

from collections.abc import Iterator

from hlc_sim.conformance import suite
from hlc_sim.scenario import library
from hlc_sim.scenario.origins import ORIGINS
from hlc_sim.scenario.settings import Layer
from iso15118.session.judge import RULES
from iso15118.session.timers import TIMERS
from iso15118.slac import timer_table
from pki.broken import variants

from .markdown import table

_FEW = 8
"""Scenarios that are named for one defect."""


def pages() -> Iterator[tuple[str, str]]:
    yield "timers.md", timers()
    yield "rules.md", rules()
    yield "broken-certificates.md", broken_certificates()
    yield "scenarios.md", scenarios()
    yield "conformance.md", conformance()
    yield "known-defects.md", known_defects()


def timers() -> str:
    rows = [
        (
            f"`{timer.name}`",
            timer.owner.value,
            timer.kind.value,
            f"{timer.seconds:g}",
            "" if timer.relaxed is None else f"{timer.relaxed:g}",
            timer.what + (f": {', '.join(timer.messages)}" if timer.messages else ""),
            ", ".join(timer.requirements),
            timer.evidence,
        )
        for timer in TIMERS
    ]
    head = ("Timer", "Side", "Kind", "s", "s, relaxed", "What", "Requirements", "Seen in")
    slac = [(f"`{row.name}`", row.side, f"{row.value:g}", row.unit, row.use) for row in timer_table()]
    return (
        "# Timers\n\n"
        "Generated from `iso15118.session.timers` and `iso15118.slac.Timing`. An *error* timer ends the\n"
        "session; a *performance* time is what a side must keep and nobody may abort on. The relaxed\n"
        'profile (`timers = "relaxed"`) is for stacks that are slow.\n\n'
        f"## Sessions\n\n{table(head, rows)}\n"
        f"## SLAC\n\n{table(('Timer or counter', 'Side', 'Value', 'Unit', 'What'), slac)}"
    )


def rules() -> str:
    rows = [
        (
            f"`{rule.id}`",
            rule.severity.value,
            rule.binds.value if rule.binds else "both",
            ", ".join(rule.requirements),
            rule.text,
        )
        for rule in sorted(RULES.values(), key=lambda rule: rule.id)
    ]
    head = ("Rule", "Severity", "Binds", "Requirements", "What it asks")
    return f"# Rules of the judge\n\nGenerated; `hlc check --list` prints the same.\n\n{table(head, rows)}"


def broken_certificates() -> str:
    rows = [
        (
            f"`{v.name}`",
            v.role,
            v.verdict,
            ", ".join(map(str, sorted(v.alerts))) or v.response or "",
            v.rule or "",
            v.wrong,
        )
        for v in variants().values()
    ]
    head = ("Variant", "Presented as", "Verdict", "TLS alert or response", "Rule", "What is wrong")
    return (
        "# Broken certificates\n\n"
        "Generated; `v2g-pki break` makes them. *Verdict* is what a sound device owes: `reject`, `accept`,\n"
        f"or `remark` (accept and report).\n\n{table(head, rows)}"
    )


def scenarios() -> str:
    pages = []
    for layer in Layer:
        rows = [
            (
                f"`{item.name}`",
                item.tests.value,
                item.title,
                item.sound,
                f"{item.expect.outcome.value} {' or '.join(item.expect.codes)}".strip(),
                ", ".join(item.requirements),
            )
            for item in library().values()
            if item.layer is layer
        ]
        head = (
            "Scenario",
            "Under test",
            "What happens",
            "What a sound device does",
            "Judged by",
            "Requirements",
        )
        pages.append(f"## Layer {layer.value}\n\n{table(head, rows)}")
    return (
        "# Scenarios\n\nGenerated from the library; `hlc scenario run NAME` runs one against a device.\n\n"
        + "\n\n".join(pages)
    )


def known_defects() -> str:
    rows = []
    for label, origin in ORIGINS.items():
        names = [item.name for item in library().values() if label in item.origin]
        shown = ", ".join(f"`{name}`" for name in names[:_FEW])
        more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
        rows.append((label, origin.seen, shown + more if names else f"none: {origin.without}"))
    return (
        "# Known defects\n\nWhat public stacks and devices of the field were seen to do, and the scenarios\n"
        "that show it. Generated from `hlc_sim.scenario.origins` and the library.\n\n"
        f"{table(('Label', 'Seen', 'Scenarios'), rows)}"
    )


def conformance() -> str:
    parts = [
        "# Conformance cases\n\n"
        "Generated from the suite; `hlc conformance --list` prints the same. *Needs* are keys of the\n"
        'capability file; without one of them a case is "not applicable". Cases in italics run only with\n'
        "`--thorough`.\n"
    ]
    groups = dict.fromkeys((case.tests, case.group) for case in suite().values())
    head = ("Case", "What is done or looked at", "What a sound device does", "Requirements", "Needs")
    for tests, group in sorted(groups):
        rows = [
            (
                f"*`{case.id}`*" if case.thorough else f"`{case.id}`",
                case.title,
                case.sound,
                ", ".join(case.requirements),
                ", ".join(case.needs),
            )
            for case in suite().values()
            if case.tests is tests and case.group is group
        ]
        parts.append(f"## {tests.value}: {group.value}\n\n{table(head, rows)}")
    return "\n".join(parts)
