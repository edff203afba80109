"""Puts the page together: template, style, script, data and the charts' library, in one file."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from iso15118.session.events import Severity
from iso15118.session.judge import Finding
from iso15118.session.judge.scale import Result

from ..trace import events as ev
from ..trace.frames import Decoder
from ..trace.present import outline
from .certificates import summarise
from .charts import figures
from .collect import Collected, Line, collect

_TLS_NAMES = {"client_certificates": "EVCC", "server_certificates": "SECC"}


class ChartsMissing(Exception):
    """The library that draws the charts is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "the charts need plotly: pip install 'hlc-sim[report]', or leave them out with --no-charts"
        )


def build(events: Iterable[ev.Event], *, name: str, lab_plain_tcp: bool = False, charts: bool = True) -> str:
    """The page. ChartsMissing if plotly is not installed and `charts` is asked for."""
    library = _plotly() if charts else ""
    found = collect(events, lab_plain_tcp=lab_plain_tcp)
    environment = Environment(
        loader=PackageLoader("hlc_sim.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["seconds"] = _seconds
    return environment.get_template("report.html.j2").render(
        name=name,
        found=found,
        header=found.header,
        verdict=found.verdict,
        groups=_groups(found),
        tiles=_tiles(found),
        facts=_facts(found),
        lines=_with_outlines(found.lines),
        chains=_chains(found),
        severities=list(Severity),
        results=list(Result),
        timings=[*found.timings.values()],
        gaps=[*found.gaps.values()],
        style=Markup(_text("style.css")),
        script=Markup(_text("script.js")),
        figures=figures(found) if charts else [],
        data=_json(figures(found)) if charts else "[]",
        library=library,
    )


def _text(name: str) -> str:
    return (files("hlc_sim.report") / "templates" / name).read_text(encoding="utf-8")


def _plotly() -> str:
    """The library, gzipped in base64: the browser unpacks it, which makes the page less than half the
    size.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise ChartsMissing from None
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode()


def _json(value: Any) -> Markup:
    """JSON that can stand in a script element."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026"))


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def _tiles(found: Collected) -> list[tuple[str, str, str]]:
    """Label, value, style of the summary's tiles."""
    outcomes = list(found.verdict.outcomes.values())
    failed = next((outcome.failed for outcome in outcomes if outcome.failed), "")
    stopped = next((outcome.stopped for outcome in outcomes if outcome.stopped), "")
    errors = found.verdict.of(Severity.ERROR)
    if failed:
        end, style = failed, "bad"
    elif stopped:
        end, style = stopped, "good"
    else:
        end, style = "not stopped" if outcomes else "no session", "warn"
    tiles = [
        (
            "verdict",
            f"{errors} error{'' if errors == 1 else 's'}" if errors else "no errors",
            "bad" if errors else "good",
        ),
        ("SessionStop" if end == stopped else "session ended by", end, style),
        ("messages", str(found.frames), ""),
        ("duration", _duration(found.end - found.start), ""),
    ]
    soc = found.series.get("soc", {}).get("PresentSOC")
    if soc:
        points = soc.all()
        tiles.append(("state of charge", f"{points[0][1]:g} → {points[-1][1]:g} %", ""))
    if "meter" in found.facts:
        tiles.append(("meter", found.facts["meter"], ""))
    return tiles


def _groups(found: Collected) -> list[tuple[str, list[Finding]]]:
    """Findings by rule, the worst first."""
    grouped: dict[str, list[Finding]] = {}
    for finding in found.verdict.findings:
        grouped.setdefault(finding.rule.id, []).append(finding)
    order = list(Severity)
    return sorted(grouped.items(), key=lambda item: order.index(item[1][0].severity))


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def _facts(found: Collected) -> list[tuple[str, str]]:
    """What identifies the session."""
    facts = [(name, value) for name, value in found.facts.items() if name != "meter"]
    if found.start > 1e6:
        facts.append(("began", f"{datetime.fromtimestamp(found.start, UTC):%Y-%m-%d %H:%M:%S} UTC"))
    facts.append(("V2GTP", f"{found.frames} frames, {found.bytes} bytes"))
    header = found.header
    if header is not None:
        facts.append(("recorded by", f"hlc-sim {header.version} {header.role}".strip()))
        if header.command:
            facts.append(("command", "hlc " + " ".join(header.command)))
        if header.seed is not None:
            facts.append(("seed", str(header.seed)))
        if header.lab_plain_tcp:
            facts.append(("transport", "plain TCP in the laboratory: the lack of TLS 1.3 is not judged"))
    return facts


def _with_outlines(lines: list[Line]) -> list[tuple[Line, list[Any], str]]:
    """Each line with the elements of its message and the anchor that findings link to."""
    decoders: dict[int, Decoder] = {}
    result = []
    for line in lines:
        items: list[Any] = []
        anchor = ""
        if line.frame is not None:
            frame = line.frame
            anchor = f"f{frame.connection}-{frame.number}"
            decoder = decoders.setdefault(frame.connection, Decoder())
            message, _ = decoder.decode(frame.payload_type, bytes.fromhex(frame.payload))
            items = list(outline(message)) if message is not None else []
        result.append((line, items, anchor))
    return result


def _chains(found: Collected) -> list[tuple[ev.TLS, list[tuple[str, list[Any]]]]]:
    return [
        (
            tls,
            [
                (side, [summarise(der) for der in getattr(tls, attribute)])
                for attribute, side in _TLS_NAMES.items()
            ],
        )
        for tls in found.tls
    ]
