"""Configuration files: what they may say, and how mistakes in them are reported."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hlc_sim.cli.app import app
from hlc_sim.config import ConfigError, StationConfig, VehicleConfig, build, load
from iso15118.messages.common_types import EVSENotification
from iso15118.session.charger import Verdict
from iso15118.session.services import ControlMode, Pricing, ServiceID
from iso15118.session.timers import RELAXED
from iso15118.session.vehicle import Wish

STATION = """
modes = ["dc_bpt"]
control = "dynamic"
timers = "relaxed"
speed = 60

[outlet]
authorization = "rejected"

[outlet.stage.limits]
max_charge_power = 50000
max_charge_current = 125
max_voltage = 500

[site]
connection_power = inf
set_points = [[0, -10000], [600, 5000]]
wishes = [[60, {notification = "Pause", within = 5}]]

[[site.plan]]
duration = 3600
charge = 20000.5

[secc]
strict = true
"""


def test_a_station_file(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text(STATION)
    config = load(StationConfig, path)
    assert config.outlet.authorization is Verdict.REJECTED
    assert config.outlet.stage.limits.max_charge_current == 125
    assert config.site.connection_power == math.inf
    assert config.site.set_points == ((0, -10000), (600, 5000))
    assert config.site.wishes[0][1].notification is EVSENotification.Pause
    assert config.site.plan[0].charge == 20000.5
    session = config.session()
    assert session.strict
    assert session.timers is RELAXED
    assert {mode.service for mode in session.energy} == {ServiceID.DC_BPT}
    assert {mode.control for mode in session.energy} == {ControlMode.DYNAMIC}


def test_a_vehicle_file(tmp_path: Path) -> None:
    path = tmp_path / "vehicle.toml"
    path.write_text(
        'mode = "ac"\n[battery]\nsoc = 12\n[driver]\nwishes = [[30, "pause"]]\n'
        '[evcc]\nevcc_id = "X"\nloop_interval = 0.1\n'
    )
    config = load(VehicleConfig, path)
    assert config.vehicle().battery.soc == 12
    assert config.driver.wishes == [(30, Wish.PAUSE)]
    session = config.session()
    assert (session.evcc_id, session.loop_interval) == ("X", 0.1)
    assert [wish.service for wish in session.services] == [ServiceID.AC]


def test_defaults_need_no_file() -> None:
    assert StationConfig().session().energy[0].service is ServiceID.DC
    assert VehicleConfig().session().services[0].control == (ControlMode.DYNAMIC, ControlMode.SCHEDULED)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (
            VehicleConfig,
            "mode = 'tram'",
            "f.toml: mode is 'tram', must be one of ac, dc, ac_bpt, dc_bpt, mcs, mcs_bpt",
        ),
        (VehicleConfig, "batery = 1", "f.toml: batery: unknown key, did you mean 'battery'?"),
        (VehicleConfig, "[battery]\nsoc = 'full'", "f.toml: battery.soc: Expected `float`, got `str`"),
        (
            VehicleConfig,
            "[battery]\nsoc = 101",
            "f.toml: battery: battery soc is 101.0 %, must be between 0 and 100",
        ),
        (VehicleConfig, "battery = 3", "f.toml: battery: a table is needed, not 3"),
        (VehicleConfig, "speed = 0", "f.toml: speed is 0.0, must be greater than 0"),
        (
            VehicleConfig,
            "[evcc]\nloop_intervall = 1",
            "f.toml: evcc.loop_intervall: unknown key, did you mean 'loop_interval'?",
        ),
        (VehicleConfig, "[evcc]\ncontracts = 1", "f.toml: evcc.contracts: unknown key (known: "),
        (
            VehicleConfig,
            "[driver]\nwishes = [[1, 'fly']]",
            "f.toml: driver.wishes[0][1]: 'fly' is not one of CHARGE, STANDBY, PAUSE, STOP",
        ),
        (VehicleConfig, "[driver]\nv2x_range = [1]", "f.toml: driver.v2x_range: 2 values are needed, not 1"),
        (StationConfig, "modes = ['dc', 'tram']", "f.toml: modes is 'tram', must be one of"),
        (StationConfig, "[site.plan]", "f.toml: site.plan"),
        (
            StationConfig,
            "[[site.plan]]\nduration = -5.0",
            "f.toml: site.plan[0]: plan duration is -5.0 s, must be greater than 0",
        ),
        (
            StationConfig,
            "[[site.plan]]\nduration = 60.0\ndischarge = -1.0",
            "f.toml: site.plan[0]: plan discharge is -1.0 W, must be 0 or a magnitude",
        ),
        (StationConfig, "site.plan = []", "f.toml: site: plan has no entry"),
        (StationConfig, "site.currency = 'EURO'", "f.toml: site: currency is 'EURO', must be the three"),
        (StationConfig, "a = ", "f.toml: not TOML: "),
        (StationConfig, "[[energy]]\nservice = 'DC'", "f.toml: energy[0]: control is missing"),
        (StationConfig, "modes = []", "f.toml: modes: at least one energy service is needed"),
        (
            VehicleConfig,
            "[[evcc.services]]\npricing = ['LEVELS']",
            "f.toml: evcc.services[0]: service is missing",
        ),
    ],
)
def test_mistakes_name_key_and_file(
    kind: type, text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(kind, Path("f.toml"))
    assert str(caught.value).startswith(message)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: No such file"):
        load(StationConfig, tmp_path / "nowhere.toml")


def test_outlets_of_one_station_share_the_site_and_nothing_else() -> None:
    config = StationConfig()
    first, second = config.charger(), config.charger()
    assert first.site is second.site
    assert first.outlet.stage is not second.outlet.stage
    assert first.outlet.contactor is not second.outlet.contactor
    assert first.outlet.meter is not second.outlet.meter


def test_the_error_of_a_session_setting_names_its_table() -> None:
    config = build(VehicleConfig, {"evcc": {"maximum_supporting_points": 5}}, where="f.toml")
    with pytest.raises(ValueError, match="maximum_supporting_points"):
        config.session()


def test_a_command_names_the_file_of_settings_that_do_not_fit(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text("[evcc]\ncharge_loops = 0\n")
    result = CliRunner().invoke(app, ["evcc", "--lab-plain-tcp", "--config", str(file)])
    assert result.exit_code == 2
    assert f"{file}: EVCCConfig.charge_loops: 0" in result.output


def test_parameter_sets_without_an_id_are_numbered_by_service() -> None:
    dc = {"service": "DC", "control": "DYNAMIC"}
    energy = [dc, {"service": "AC", "control": "DYNAMIC"}, {**dc, "parameter_set_id": 1}, dc]
    config = build(StationConfig, {"energy": energy}, where="f.toml").session()
    assert [(mode.service.name, mode.parameter_set_id) for mode in config.energy] == [
        ("DC", 2),
        ("AC", 1),
        ("DC", 1),
        ("DC", 3),
    ]


def test_prices_can_be_had_for_all_modes() -> None:
    config = build(StationConfig, {"modes": ["ac", "dc"], "pricing": "levels"}, where="f.toml").session()
    assert {mode.pricing for mode in config.energy} == {Pricing.LEVELS}
