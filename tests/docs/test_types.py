"""The Python blocks of a page pass mypy --strict together, as they run together; so do the examples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .pages import ROOT, blocks, pages


def test_the_python_examples_are_typed(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    for page in pages():
        lines = [""] * len(page.read_text().splitlines())
        for block in blocks(page):
            if block.language == "python":
                code = block.text.splitlines()
                lines[block.line : block.line + len(code)] = code
        if any(lines):  # the number of a line is that in the page
            name = str(page.relative_to(ROOT).with_suffix("")).replace("/", "_").replace("-", "_")
            (tmp_path / f"{name}.py").write_text("\n".join(lines) + "\n")
    cache = pytestconfig.cache.mkdir("mypy") if pytestconfig.cache is not None else tmp_path / "cache"
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    command += ["--cache-dir", str(cache), *map(str, sorted(tmp_path.glob("*.py")))]
    command += map(str, (ROOT / "examples").glob("*.py"))
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
