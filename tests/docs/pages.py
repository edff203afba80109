"""Reads the code blocks of the README and the pages of `docs/`.

What a block's language promises is kept by `test_examples`:

- `python`: runs, in one namespace per page, and passes mypy (`test_types`);
- `console`: lines after `$ ` run in bash, in one directory per page, and print what follows them; a line
  `...` stands for any number of lines. After `<!-- numbers vary -->` any number will do for a number, after
  `<!-- output varies -->` only the first word of each line must occur;
- `shell`: for a device, for root or for long: programs exist and their options parse;
- `toml`: begins with `# station.toml` or `# vehicle.toml`, is a configuration of that kind, and lies there
  under that name for the blocks after it;
- `text`, `json`, `mermaid`: not code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
LANGUAGES = ("python", "console", "shell", "toml", "text", "json", "mermaid")

_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_VARIES = re.compile(r"<!-- (output varies|numbers vary) -->\s*$")


class Block(NamedTuple):
    line: int
    language: str
    text: str
    varies: str
    """What of the output does: "output varies", "numbers vary" or nothing."""


def pages() -> list[Path]:
    """The pages written by hand."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in found if page.name != "states.md"]


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for match in _FENCE.finditer(text):
        before = text[: match.start()]
        indent, language, body = match.groups()
        lines = [line.removeprefix(indent) for line in body.splitlines()]
        varies = found.group(1) if (found := _VARIES.search(before)) else ""
        yield Block(before.count("\n") + 1, language, "\n".join(lines), varies)


def indented_code(page: Path) -> list[int]:
    """Lines of code that stand in no fence, where nothing would check them."""
    text = _FENCE.sub(lambda match: "\n" * match.group().count("\n"), page.read_text())
    lines = ["", *text.splitlines()]
    return [
        number
        for number in range(1, len(lines))
        if lines[number].startswith("    ")
        and not lines[number - 1].strip()
        and not _in_a_list(lines, number)
    ]


def _in_a_list(lines: list[str], number: int) -> bool:
    for line in reversed(lines[:number]):
        if line and not line.startswith(" "):
            return bool(re.match(r"([-*]|\d+\.|!!!|\?\?\?) ", line))
    return False
