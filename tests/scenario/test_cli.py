"""`hlc scenario`."""

from __future__ import annotations

from typer.testing import CliRunner

from hlc_sim.cli.app import app

runner = CliRunner()


def test_list_and_show() -> None:
    listed = runner.invoke(app, ["scenario", "list", "foreign-*"])
    assert listed.exit_code == 0
    assert "foreign-session-id-PowerDeliveryReq-Start" in listed.output
    shown = runner.invoke(app, ["scenario", "show", "silent-in-the-loop-dc"])
    assert "V2G20-1502" in shown.output
    assert "EV-3" in shown.output


def test_run_against_the_simulator() -> None:
    result = runner.invoke(
        app, ["scenario", "run", "http-on-the-port", "eim-rejected", "--against", "simulator"]
    )
    assert result.exit_code == 0, result.output
    assert "2 pass, 0 fail, 0 inconclusive" in result.output


def test_nothing_starts_without_a_named_target() -> None:
    result = runner.invoke(app, ["scenario", "run", "http-on-the-port"])
    assert result.exit_code == 2
    assert "--against" in result.output


def test_dry_run_sends_nothing() -> None:
    result = runner.invoke(app, ["scenario", "run", "flood-*", "--against", "192.0.2.1:50000", "--dry-run"])
    assert result.exit_code == 0
    assert result.output.count("would run") == 3


def test_an_unknown_name_is_answered_with_a_suggestion() -> None:
    result = runner.invoke(app, ["scenario", "show", "http-on-port"])
    assert result.exit_code == 2
    assert "http-on-the-port" in result.output
