"""`hlc --help` fits a screen and misses nothing; the shell completes commands, options and values."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hlc_sim.cli import app

GROUP = typer.main.get_command(app)


def test_the_overview_fits_a_screen_and_names_every_command() -> None:
    lines = CliRunner().invoke(app, ["--help"]).stdout.splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 80
    assert {line.split()[0] for line in lines if line.startswith("  ")} == {*GROUP.commands, "--version"}
    assert not any("..." in line for line in lines)


def test_no_command_is_the_same_as_help() -> None:
    assert CliRunner().invoke(app, []).output == CliRunner().invoke(app, ["--help"]).output


def complete(words: str) -> list[str]:
    """What bash is offered for the last word."""
    script = "from hlc_sim.cli import main; main()"
    environment = {
        **os.environ,
        "_HLC_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    command = [sys.executable, "-c", f"import sys; sys.argv = ['hlc']; {script}"]
    return subprocess.run(command, env=environment, capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("hlc se", ["secc"]),
        ("hlc evcc --con", ["--control", "--config", "--connect"]),
        ("hlc evcc --mode dc", ["dc", "dc_bpt"]),
        ("hlc scenario sh", ["show"]),
    ],
)
def test_the_shell_completes(words: str, offered: list[str]) -> None:
    assert sorted(complete(words)) == sorted(offered)


def test_completion_is_installed_where_the_shell_reads_it(tmp_path: Path) -> None:
    script = "import sys; sys.argv = ['hlc', '--install-completion', 'bash']; "
    script += "from hlc_sim.cli import main; main()"
    subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "HOME": str(tmp_path)},
        check=True,
        stdout=subprocess.PIPE,
    )
    (installed,) = (tmp_path / ".bash_completions").iterdir()
    assert str(installed) in (tmp_path / ".bashrc").read_text()
