"""`hlc --help` fits a screen and misses nothing; the shell completes commands, options and values."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hlc_sim.cli.app import app
from hlc_sim.cli.errors import EPILOG, Exit
from pki.cli import EPILOG as PKI_EPILOG
from pki.cli import Exit as PKIExit
from pki.cli import app as v2g_pki
from tools.reference.commands import exit_codes

GROUP = typer.main.get_command(app)
PKI = typer.main.get_command(v2g_pki)


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
        env={
            **os.environ,
            "HOME": str(tmp_path),
            # Without this, typer asks the parent processes which shell it is, and takes no name.
            "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
        },
        check=True,
        stdout=subprocess.PIPE,
    )
    (installed,) = (tmp_path / ".bash_completions").iterdir()
    assert str(installed) in (tmp_path / ".bashrc").read_text()


def test_both_commands_mean_the_same_by_an_exit_code() -> None:
    shared = {code.name: code.value for code in PKIExit}
    assert shared.items() <= {code.name: code.value for code in Exit}.items()


@pytest.mark.parametrize(("epilog", "codes"), [(EPILOG, Exit), (PKI_EPILOG, PKIExit)])
def test_the_help_names_every_exit_code(epilog: str, codes: type[Exit] | type[PKIExit]) -> None:
    assert {int(number) for number in re.findall(r"\b\d+\b", epilog)} == set(codes)


def test_the_reference_explains_every_exit_code() -> None:
    rows = [row.split(" | ") for row in exit_codes().splitlines()[2:]]
    assert [int(row[0].strip("| ")) for row in rows] == list(Exit)
    assert sum("All well." in row[1] for row in rows) == 1


def commands(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = [*commands(GROUP, ()), *((("v2g-pki", *path), command) for path, command in commands(PKI, ()))]


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) for path, _ in ALL])
def test_every_option_says_what_it_does_and_what_it_takes(path: tuple[str, ...], command: Any) -> None:
    assert command.help
    assert "Exit codes: 0" in (command.epilog or "")
    context = command.context_class(command, info_name=path[-1])
    for parameter in command.get_params(context):
        assert parameter.help, f"{' '.join(path)}: {parameter.name} has no help"
        assert parameter.help[0].isupper() or not parameter.help[0].isalpha(), parameter.help
