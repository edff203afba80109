"""What the judge found, as text, JSON or JUnit XML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from rich.console import Console
from rich.table import Table
from rich.text import Text

from iso15118.session.events import Severity
from iso15118.session.judge import RULES, Finding
from iso15118.session.judge.scale import Result

from .check import Verdict

STYLES = {Severity.ERROR: "bold red", Severity.PERFORMANCE: "yellow", Severity.NOTE: "cyan"}
_RESULT_STYLES = {Result.PASS: "green", Result.FAIL: "bold red", Result.NOT_SHOWN: "dim"}


def as_text(console: Console, verdict: Verdict, name: str) -> None:
    """For people."""
    for finding in verdict.findings:
        line = Text()
        line.append(f"{finding.severity.value:12}", style=STYLES[finding.severity])
        line.append(f"{_place(finding):>10}  ", style="dim")
        line.append(f"{finding.offender.value + ' ' if finding.offender else ''}{finding.text}")
        line.append(f"; expected {finding.expected}")
        if finding.requirement:
            line.append(f" [{finding.requirement}]", style="bold")
        line.append(f"  {finding.rule.id}", style="dim")
        console.print(line, soft_wrap=True)
    for rule, count in verdict.counts.items():
        kept = sum(finding.rule.id == rule for finding in verdict.findings)
        if count > kept:
            console.print(f"  and {count - kept} more of {rule}", style="dim")
    for connection, verdicts in verdict.scale.items():
        table = Table(
            title=f"SCALE, connection {connection}", box=None, title_justify="left", padding=(0, 1, 0, 0)
        )
        for column in ("", "", "requirement", "evidence"):
            table.add_column(column)
        for item in verdicts:
            where = f" (frame {item.frame})" if item.frame else ""
            result = Text(item.result.value, style=_RESULT_STYLES[item.result])
            table.add_row(result, item.requirement.id, item.requirement.title, item.evidence + where)
        console.print(table)
    for note in verdict.notes:
        console.print(f"note: {note}", style="dim", soft_wrap=True)
    for number, outcome in verdict.outcomes.items():
        how = (
            f"ended by {outcome.failed}"
            if outcome.failed
            else f"SessionStop({outcome.stopped})"
            if outcome.stopped
            else ""
        )
        parts = (f"{outcome.frames} frames", f"phase {outcome.phase}", how)
        console.print(f"{name}, connection {number}: {', '.join(filter(None, parts))}", soft_wrap=True)
    console.print(Text(f"findings: {summary(verdict)}", style="bold"))


def summary(verdict: Verdict) -> str:
    return ", ".join(f"{verdict.of(severity)} {severity.value}" for severity in Severity)


def _place(finding: Finding) -> str:
    return f"#{finding.frame}" if finding.frame else "-"


def as_builtins(verdict: Verdict) -> dict[str, Any]:
    return {
        "findings": [
            {
                "rule": finding.rule.id,
                "severity": finding.severity.value,
                "requirement": finding.requirement,
                "offender": finding.offender.value if finding.offender else None,
                "connection": finding.connection,
                "frame": finding.frame,
                "time": finding.time,
                "message": finding.message,
                "text": finding.text,
                "expected": finding.expected,
                "explanation": finding.rule.text,
            }
            for finding in verdict.findings
        ],
        "counts": dict(verdict.counts),
        "connections": {
            str(number): {
                "frames": outcome.frames,
                "protocol": outcome.protocol,
                "phase": outcome.phase,
                "failed": outcome.failed,
                "stopped": outcome.stopped,
                "closed_by": outcome.closed_by,
            }
            for number, outcome in verdict.outcomes.items()
        },
        "scale": {
            str(number): [
                {
                    "id": item.requirement.id,
                    "title": item.requirement.title,
                    "module": item.requirement.module,
                    "result": item.result.value,
                    "evidence": item.evidence,
                    "frame": item.frame,
                }
                for item in verdicts
            ]
            for number, verdicts in verdict.scale.items()
        },
        "notes": verdict.notes,
    }


def as_json(verdicts: Mapping[str, Verdict]) -> str:
    """One verdict, or several by the names of their files."""
    found = {name: as_builtins(verdict) for name, verdict in verdicts.items()}
    return json.dumps(found if len(found) > 1 else next(iter(found.values())), indent=1)


def as_junit(verdicts: Mapping[str, Verdict]) -> str:
    """A suite for each recording, with a test case for each rule; performance findings fail it as errors do,
    notes only say so.
    """
    suites = [_suite(verdict, name) for name, verdict in verdicts.items()]
    root = suites[0]
    if len(suites) > 1:
        root = ElementTree.Element("testsuites")
        root.extend(suites)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _suite(verdict: Verdict, name: str) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", name=name)
    failures = 0
    for rule in RULES.values():
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"hlc.check.{rule.severity.value}",
            name=_case_name(rule.id, rule.requirement),
        )
        found = [str(finding) for finding in verdict.findings if finding.rule.id == rule.id]
        if not found:
            continue
        text = "\n".join(found)
        if rule.severity is Severity.NOTE:
            ElementTree.SubElement(case, "system-out").text = text
        else:
            failures += 1
            failure = ElementTree.SubElement(
                case, "failure", message=f"{verdict.counts[rule.id]} times: {rule.text}"
            )
            failure.text = text
    skipped = 0
    for connection, verdicts in verdict.scale.items():
        for item in verdicts:
            title = f"{item.requirement.id} {item.requirement.title} (connection {connection})"
            case = ElementTree.SubElement(suite, "testcase", classname="hlc.check.scale", name=title)
            if item.result is Result.FAIL:
                failures += 1
                ElementTree.SubElement(case, "failure", message=item.evidence)
            elif item.result is Result.NOT_SHOWN:
                skipped += 1
                ElementTree.SubElement(case, "skipped", message=item.evidence)
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(failures))
    suite.set("errors", "0")
    suite.set("skipped", str(skipped))
    return suite


def _case_name(rule: str, requirement: str | None) -> str:
    return f"{rule} [{requirement}]" if requirement else rule
