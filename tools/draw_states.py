"""Writes docs/states.md: the sequence table as state diagrams (Mermaid) and as tables.

python -m tools.draw_states            write it
python -m tools.draw_states --check    exit 1 if it is not current
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from iso15118.session.paths import Edge, explore, explore_side
from iso15118.session.sequence import SIDE_STREAMS, Phase, Row
from iso15118.session.sequence_rows import MAIN_ROWS, SIDE_ROWS
from iso15118.session.services import Family
from iso15118.v2gtp import PayloadType

TARGET = Path(__file__).resolve().parent.parent / "docs" / "states.md"
TITLES = {
    Family.AC: "AC, AC_BPT",
    Family.DC: "DC, DC_BPT, MCS, MCS_BPT",
    Family.ACDP: "ACDP (low evidence)",
    Family.WPT: "WPT (low evidence)",
}
INTRODUCTION = """# Order of messages

Drawn by `python -m tools.draw_states` from the table in `iso15118/session/sequence_rows.py`; a test keeps it
current.

A state is named after the response that led to it; an edge is a request with its response. SessionStop is
accepted nearly everywhere; it is drawn where power has been switched off, and stands in the tables.

What only some public stacks send is not drawn but listed as "tolerated": a tolerant side answers and
reports it, a strict one answers FAILED_SequenceError. Any FAILED response leads to the end. Evidence:
J Josev, E EVerest, W WWCP, V eVDriveFlow, C cienporcien; "inferred" and "low" are not evidence.
"""


def render() -> str:
    """The whole document."""
    parts = [INTRODUCTION]
    for family, title in TITLES.items():
        parts.append(f"## {title}\n\n{diagram(explore(family))}")
    parts.append("## Side streams\n")
    for stream in SIDE_STREAMS:
        family = Family.ACDP if stream is PayloadType.ACDP_SYSTEM_STATUS else Family.DC
        phases = ", ".join(phase.value for phase in Phase if phase in SIDE_STREAMS[stream])
        title = f"0x{stream:04X} {stream.name}"
        drawing = diagram(explore_side(stream, family))
        parts.append(f"### {title}\n\nMay begin in: {phases}.\n\n{drawing}")
    parts.append(f"## The table\n\n{table(MAIN_ROWS)}")
    parts.append(f"## The table of the side streams\n\n{table(SIDE_ROWS)}")
    return "\n".join(parts)


def diagram(edges: Iterable[Edge]) -> str:
    """One Mermaid state diagram; edges between the same states share an arrow."""
    arrows: dict[tuple[Phase, Phase], list[str]] = {}
    for edge in edges:
        if edge.request == "SessionStopReq" and edge.source.phase not in (Phase.STOPPED, Phase.WELDED):
            continue
        source = edge.source.phase if edge.stream is None else edge.source.side(edge.stream).to
        labels = arrows.setdefault((source, edge.row.to), [])
        label = edge.request.replace("Req", "")
        if label not in labels:
            labels.append(label)
    lines = ["```mermaid", "stateDiagram-v2"]
    phases = dict.fromkeys(phase for pair in arrows for phase in pair)
    lines += [f'    state "{phase.value}" as {phase.name}' for phase in phases]
    lines.append(f"    [*] --> {next(iter(phases)).name}")
    for (source, target), labels in arrows.items():
        lines.append(f"    {source.name} --> {target.name}: {', '.join(labels)}")
    if Phase.CLOSED in phases:
        lines.append(f"    {Phase.CLOSED.name} --> [*]")
    return "\n".join([*lines, "```", ""])


def table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| Row | After | If | For | Next | Tolerated | Rules | Evidence |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        families = "all" if len(row.families) == len(Family) else " ".join(sorted(row.families))
        cells = (
            row.id,
            row.after,
            row.condition,
            families,
            ", ".join(row.next) or "none",
            ", ".join(row.tolerated),
            ", ".join(row.requirements),
            row.evidence,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="only compare")
    arguments = parser.parse_args()
    text = render()
    if arguments.check:
        current = TARGET.exists() and TARGET.read_text(encoding="utf-8") == text
        if not current:
            print(f"{TARGET} is not current: run python -m tools.draw_states", file=sys.stderr)
        return 0 if current else 1
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
