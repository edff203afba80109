"""`hlc secc`, `evcc` and `demo` with certificates: where they come from, and what is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hlc_sim.cli.app import app
from hlc_sim.config import ConfigError, StationConfig, VehicleConfig, load
from pki.hierarchy import Hierarchy
from pki.profiles import Edition

RUNNER = CliRunner()


def hlc(*arguments: str) -> Result:
    return RUNNER.invoke(app, list(arguments))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pki")
    Hierarchy.mint(seed="cli").write(path, overwrite=True)
    return path


@contextmanager
def secc(*arguments: str) -> Iterator[int]:
    """`hlc secc` on loopback, without SDP; its TCP port."""
    command = [sys.executable, "-c", "from hlc_sim.cli import main; main()", "secc", "--no-sdp"]
    process = subprocess.Popen(
        [*command, "--speed", "2000", *arguments], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            ready = re.search(r"ready: SECC on lo, \[::1\]:(\d+), TLS", line)
            if ready:
                yield int(ready[1])
                break
        else:
            pytest.fail("hlc secc did not become ready")
    finally:
        process.kill()
        process.communicate()


def test_both_sides_of_one_directory(directory: Path, tmp_path: Path) -> None:
    keys, report = tmp_path / "keys.log", tmp_path / "evcc.json"
    with secc("--pki", str(directory)) as port:
        connect = ("--connect", f"[::1]:{port}", "--speed", "2000", "--loops", "3")
        result = hlc("evcc", "--pki", str(directory), *connect, "--keylog", str(keys), "--json", str(report))
        assert result.exit_code == 0, result.output
        data = json.loads(report.read_text())
        assert data["authorization"] == "PnC"
        assert data["emaid"] == "DEHLCC12345678"
        assert data["tls"] == "TLS 1.3, TLS_AES_256_GCM_SHA384, secp521r1"
        assert data["deviations"] == []
        assert "CLIENT_TRAFFIC_SECRET_0" in keys.read_text()
        files = ("--cert", "chains/vehicle.pem", "--key", "keys/vehicle.key", "--root", "certs/v2g_root.pem")
        named = [item if item.startswith("--") else str(directory / item) for item in files]
        result = hlc("evcc", *named, *connect, "--json", str(report))
        assert result.exit_code == 0, result.output
        data = json.loads(report.read_text())
        assert data["authorization"] == "EIM"
        result = hlc("evcc", "--lab-plain-tcp", *connect)
        assert result.exit_code == 1
        foreign = tmp_path / "foreign"
        Hierarchy.mint(seed="foreign").write(foreign)
        result = hlc("evcc", "--pki", str(foreign), *connect)
        assert result.exit_code == 3
        assert "unknown_ca" in result.output


def test_a_configuration_file_names_the_certificates(directory: Path, tmp_path: Path) -> None:
    station, vehicle = tmp_path / "station.toml", tmp_path / "vehicle.toml"
    pki = f'[trust]\npki = "{directory}"\n'
    station.write_text(pki)
    vehicle.write_text(pki + "contracts = []\n[evcc]\neim = false\n")
    with secc("--config", str(station)) as port:
        connect = ("--connect", f"[::1]:{port}", "--speed", "2000", "--loops", "3")
        report = tmp_path / "evcc.json"
        result = hlc("evcc", "--config", str(vehicle), *connect, "--json", str(report))
        assert result.exit_code == 0, result.output
        data = json.loads(report.read_text())
        assert data["messages_by_name"]["CertificateInstallationReq"] == 1
        assert data["emaid"] == "DEHLCC12345678"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --pki with a directory made by `v2g-pki mint --out DIR`"),
        (("--pki", "nowhere"), "nowhere does not exist"),
        (("--cert", "a.pem"), "cert and key come together"),
        (("--pki", "x", "--cert", "a.pem", "--key", "b.key"), "pki and files"),
        (("--lab-plain-tcp", "--pki", "x"), "--lab-plain-tcp excludes --pki"),
        (("--root", "r.pem"), "cert, key missing"),
    ],
)
@pytest.mark.parametrize("command", ["secc", "evcc"])
def test_what_is_missing_is_said(command: str, arguments: tuple[str, ...], message: str) -> None:
    result = hlc(command, *arguments)
    assert result.exit_code in (2, 3)
    assert message in " ".join(result.output.split())


def test_a_hierarchy_of_another_standard_is_refused(tmp_path: Path) -> None:
    Hierarchy.mint(Edition.ISO_2).write(tmp_path)
    result = hlc("evcc", "--pki", str(tmp_path))
    assert result.exit_code == 2
    assert "edition iso2 has no certificates for ISO 15118-20" in result.output


def test_mistakes_in_the_table(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text('[trust]\nprofile = "loose"\n')
    with pytest.raises(ConfigError, match="trust: profile is 'loose', must be one of iso20, lenient"):
        load(StationConfig, path)
    path.write_text('[trust]\ncontract = "c.pem"\n')
    with pytest.raises(ConfigError, match="contract and contract_key come together"):
        load(VehicleConfig, path)


@pytest.mark.parametrize(
    ("options", "authorization", "tls"),
    [
        ((), "PnC", "TLS 1.3, TLS_AES_256_GCM_SHA384, secp521r1"),
        (("--eim",), "EIM", "TLS 1.3, TLS_AES_256_GCM_SHA384, secp521r1"),
        (("--lab-plain-tcp",), "EIM", ""),
    ],
)
def test_demo(options: tuple[str, ...], authorization: str, tls: str, tmp_path: Path) -> None:
    report = tmp_path / "demo.json"
    result = hlc("demo", "--speed", "2000", *options, "--json", str(report))
    assert result.exit_code == 0, result.output
    data = json.loads(report.read_text())
    assert (data["ok"], data["authorization"], data["tls"]) == (True, authorization, tls)
    assert data["seconds"] < 10


def test_plug_and_charge_from_files_one_by_one(directory: Path, tmp_path: Path) -> None:
    """No PKI directory on either side: a station that knows a contract root, a vehicle with one contract."""

    def table(own: str, *roots: str, **more: str) -> str:
        listed = ", ".join(f'"{directory}/certs/{root}.pem"' for root in roots)
        lines = [f'cert = "{directory}/chains/{own}.pem"', f'key = "{directory}/keys/{own}.key"']
        lines += [f"roots = [{listed}]", *(f"{name} = {value}" for name, value in more.items())]
        return "[trust]\n" + "\n".join(lines) + "\n"

    contract = f'"{directory}/chains/contract.pem"', f'"{directory}/keys/contract.key"'
    station, vehicle = tmp_path / "station.toml", tmp_path / "vehicle.toml"
    station.write_text(
        table("secc", "oem_root", "v2g_root", contract_roots=f'["{directory}/certs/mo_root.pem"]')
    )
    vehicle.write_text(table("vehicle", "v2g_root", contract=contract[0], contract_key=contract[1]))
    with secc("--config", str(station)) as port:
        report = tmp_path / "evcc.json"
        connect = ("--connect", f"[::1]:{port}", "--speed", "2000", "--loops", "3")
        result = hlc("evcc", "--config", str(vehicle), *connect, "--json", str(report))
        assert result.exit_code == 0, result.output
        data = json.loads(report.read_text())
        assert data["authorization"] == "PnC"
        assert data["emaid"] == "DEHLCC12345678"


def test_a_key_that_is_not_of_the_certificate_is_refused(directory: Path) -> None:
    files = ("--cert", directory / "chains/vehicle.pem", "--key", directory / "keys/secc.key")
    result = hlc("evcc", *map(str, files), "--root", str(directory / "certs/v2g_root.pem"))
    assert result.exit_code == 2
    assert "is not the key of the first certificate" in " ".join(result.output.split())
