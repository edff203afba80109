"""`hlc conformance`: what it does when it is cut short, and before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hlc_sim.cli.app import app
from hlc_sim.conformance import runner
from hlc_sim.conformance.model import CaseResult

RUNNER = CliRunner()
PAUSE = ["conformance", "--against", "secc", "SECC.pause.*"]


def test_ctrl_c_ends_with_the_results_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played = 0
    honest = runner.run_case

    async def then_interrupted(*arguments: object) -> CaseResult:
        nonlocal played
        played += 1
        if played == 2:
            raise KeyboardInterrupt
        return await honest(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(runner, "run_case", then_interrupted)
    kept = tmp_path / "results.jsonl"
    result = RUNNER.invoke(app, [*PAUSE, "--results", str(kept)])
    assert result.exit_code == 130
    assert "all    1 pass" in result.stdout
    assert "stopped after 1 of 10 cases; the same command goes on from there" in result.stderr
    assert len(kept.read_text().splitlines()) == 1


def test_a_file_that_cannot_be_written_is_said_before_the_first_case(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, [*PAUSE, "--junit", str(tmp_path / "nowhere" / "verdicts.xml")])
    assert result.exit_code == 2
    assert "verdicts.xml: No such file or directory" in result.stderr
    assert "pass" not in result.stdout


def test_a_dry_run_makes_no_file(tmp_path: Path) -> None:
    kept = tmp_path / "results.jsonl"
    assert RUNNER.invoke(app, [*PAUSE, "--dry-run", "--results", str(kept)]).exit_code == 0
    assert not kept.exists()
