"""Results of conformance cases: lines for people, JSON lines to go on from, JUnit XML for CI."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from .model import Case, CaseResult, Result

WIDTH = max(map(len, Result))


def line(result: CaseResult) -> str:
    """One result as a line, with its requirements."""
    cited = f"  [{', '.join(result.case.requirements)}]" if result.case.requirements else ""
    return f"{result.result.value:<{WIDTH}}  {result.case.id}{cited}"


def summary(results: Sequence[CaseResult]) -> list[str]:
    """Counts by group, then in all."""
    groups = dict.fromkeys(item.case.group for item in results)
    width = max((len(group) for group in groups), default=0)
    lines = [
        f"{group.value:<{width}}  {_counts(item for item in results if item.case.group is group)}"
        for group in groups
    ]
    return [*lines, f"{'all':<{width}}  {_counts(results)}"]


def _counts(results: Iterable[CaseResult]) -> str:
    counts = Counter(item.result for item in results)
    return ", ".join(f"{counts[result]} {result.value}" for result in Result if counts[result])


def as_builtins(result: CaseResult) -> dict[str, Any]:
    case = result.case
    return {
        "case": case.id,
        "result": result.result.value,
        "reasons": result.reasons,
        "seconds": round(result.seconds, 3),
        "title": case.title,
        "sound": case.sound,
        "group": case.group.value,
        "message": case.message,
        "requirements": list(case.requirements),
        "log": result.log if result.result not in (Result.PASS, Result.NOT_APPLICABLE) else [],
    }


def append(path: Path, result: CaseResult, device: str) -> None:
    """Add one result to a file of JSON lines, so that a run that is cut short can go on."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"device": device, **as_builtins(result)}) + "\n")


def earlier(path: Path, cases: Mapping[str, Case], device: str) -> dict[str, CaseResult]:
    """The results in a file of JSON lines, as far as `cases` knows them. ValueError names file and line, or
    says that they are of another device.

    A last line without its end, of a run that was ended while it wrote, is cut off.
    """
    found: dict[str, CaseResult] = {}
    if not path.exists():
        return found
    whole, _, rest = path.read_text(encoding="utf-8").rpartition("\n")
    if rest:
        path.write_text(whole + "\n" if whole else "", encoding="utf-8")
    for number, row in enumerate(whole.splitlines(), start=1):
        try:
            data = json.loads(row)
            case, result = data["case"], Result(data["result"])
            said = list(data["reasons"]), list(data["log"]), float(data["seconds"])
            known = case in cases
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path}: line {number} is no result of a case") from None
        if (other := data.get("device", device)) != device:
            raise ValueError(
                f"{path}: line {number} is of device {other!r}, the capability file says {device!r}"
            )
        if known:
            found[case] = CaseResult(cases[case], result, *said)
    return found


def as_junit(results: Sequence[CaseResult], name: str) -> str:
    """A test case for each. Inconclusive is an error there; known failures and what is not applicable are
    skipped, with the reason.
    """
    suite = ElementTree.Element("testsuite", name=name, tests=str(len(results)))
    counts = Counter(item.result for item in results)
    suite.set("failures", str(counts[Result.FAIL]))
    suite.set("errors", str(counts[Result.INCONCLUSIVE]))
    suite.set("skipped", str(counts[Result.KNOWN] + counts[Result.NOT_APPLICABLE]))
    suite.set("time", f"{sum(item.seconds for item in results):.3f}")
    for item in results:
        element = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"hlc.{item.case.tests.value}.{item.case.group.value}",
            name=item.case.id,
            time=f"{item.seconds:.3f}",
        )
        if item.case.requirements:
            properties = ElementTree.SubElement(element, "properties")
            for requirement in item.case.requirements:
                ElementTree.SubElement(properties, "property", name="requirement", value=requirement)
        kind = {Result.FAIL: "failure", Result.INCONCLUSIVE: "error"}.get(item.result, "skipped")
        if item.result is not Result.PASS:
            message = _printable("; ".join(item.reasons))
            child = ElementTree.SubElement(element, kind, message=f"{item.result.value}: {message}")
            child.text = _printable("\n".join([item.case.title, item.case.sound, *item.log]))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def _printable(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)
