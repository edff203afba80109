"""`hlc scenario`."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from hlc_sim.cli.app import app
from hlc_sim.scenario import layer_slac

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


def test_without_scapy_the_matching_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_slac, "find_spec", lambda name: None)
    result = runner.invoke(app, ["scenario", "run", "slac-good", "--against", "simulator"])
    assert "pip install 'hlc-sim[hpgp]'" in result.output
    assert "0 pass, 0 fail, 1 inconclusive" in result.output


def test_nothing_starts_without_a_named_target() -> None:
    result = runner.invoke(app, ["scenario", "run", "http-on-the-port"])
    assert result.exit_code == 2
    assert "--against" in result.output


def test_a_command_that_plugs_a_car_in_plays_nothing_about_a_charger() -> None:
    options = ["--iface", "lo", "--trigger", "true", "--dry-run"]
    result = runner.invoke(app, ["scenario", "run", "slac-good", "secc-slac-good", *options])
    assert result.exit_code == 0, result.output
    assert "left out: 1 of 2, where an SECC is under test" in result.output
    assert "would run secc-slac-good" in result.output
    assert "would run slac-good" not in result.output
    assert runner.invoke(app, ["scenario", "run", "slac-good", *options]).exit_code == 2


def test_dry_run_sends_nothing() -> None:
    result = runner.invoke(app, ["scenario", "run", "flood-*", "--against", "192.0.2.1:50000", "--dry-run"])
    assert result.exit_code == 0
    assert result.output.count("would run") == 3


def test_of_a_pattern_an_address_takes_those_for_an_secc() -> None:
    command = ["scenario", "run", "--against", "192.0.2.1:50000", "--dry-run"]
    mixed = runner.invoke(app, [*command, "session-id-*"])
    assert mixed.exit_code == 0, mixed.output
    assert "as EVCC" in mixed.stdout
    assert "as SECC" not in mixed.stdout
    assert "left out: 6 of 7, where an EVCC is under test" in mixed.stderr
    for wrong in (["failed-in-*"], ["session-id-*", "--side", "evcc"]):
        cars = runner.invoke(app, [*command, *wrong])
        assert cars.exit_code == 2
        assert "--iface" in cars.stderr


def test_of_a_pattern_a_side_can_be_named() -> None:
    command = ["scenario", "run", "session-id-*", "--iface", "nowhere0", "--dry-run"]
    assert runner.invoke(app, command).stdout.count("would run") == 7
    assert runner.invoke(app, [*command, "--side", "secc"]).stdout.count("would run") == 1
    assert runner.invoke(app, [*command, "--side", "evcc"]).stdout.count("would run") == 6


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tls-class-is-contract", "tls.chain: vehicle-is-contract"),
        ("secc-sdp-port-0", "sdp.port: 0"),
        ("slac-no-sounds", "slac.steps: drop CM_MNBC_SOUND.IND"),
        ("physics-meter-stands", "physics.meter: stands"),
        ("physics-isolation-fault", "our station as the scenario sets it up"),
        ("tls-good", "tls.check: profile, staple, authorities"),
        ("slac-good", "nothing: our side is correct"),
    ],
)
def test_dry_run_says_what_each_layer_would_do(name: str, said: str) -> None:
    result = runner.invoke(app, ["scenario", "run", name, "--iface", "nowhere0", "--dry-run"])
    assert result.exit_code == 0, result.output
    assert said in result.output


def test_each_layer_runs_against_the_simulator() -> None:
    names = ["tls-http", "secc-sdp-port-0", "slac-no-sounds", "physics-meter-stands"]
    result = runner.invoke(app, ["scenario", "run", *names, "--against", "simulator"])
    assert result.exit_code == 0, result.output
    assert "4 pass, 0 fail, 0 inconclusive" in result.output


@pytest.mark.parametrize(
    ("name", "needed"), [("tls-good", "--pki"), ("sdp-good", "--iface"), ("slac-good", "--iface")]
)
def test_a_layer_says_what_it_needs(name: str, needed: str) -> None:
    result = runner.invoke(app, ["scenario", "run", name, "--against", "[::1]:1"])
    assert result.exit_code == 0
    assert "0 pass, 0 fail, 1 inconclusive" in result.output
    assert needed in result.output


def test_an_unknown_name_is_answered_with_a_suggestion() -> None:
    result = runner.invoke(app, ["scenario", "show", "http-on-port"])
    assert result.exit_code == 2
    assert "http-on-the-port" in result.output
