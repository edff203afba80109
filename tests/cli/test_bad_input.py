"""What a user gets wrong is answered with one line that names file, key or option, and with no traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hlc_sim.cli.app import app as hlc
from hlc_sim.cli.errors import Exit
from pki.cli import app as v2g_pki

COMMANDS: dict[str, typer.Typer] = {"hlc": hlc, "v2g-pki": v2g_pki}
HALF_PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
FILES: dict[str, str | bytes] = {
    "latin.toml": b"mode = '\xe4'",
    "cut.toml": "mode = ",
    "typo.toml": "speeed = 3",
    "type.toml": "[battery]\nsoc = 'full'",
    "range.toml": "[battery]\nsoc = 140",
    "half.toml": "[trust]\ncert = 'a.pem'",
    "no.pem": "not a certificate",
    "half.pem": HALF_PEM,
    "empty.jsonl": "",
    "cut.jsonl": '{"event":"header"',
    "nonsense/hierarchy.json": "{",
    "old/hierarchy.json": '{"format": 0}',
    "partial/hierarchy.json": '{"format": 1, "edition": "2022"}',
    "empty/x": "",
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[int, str]]:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def runner(line: str) -> tuple[int, str]:
        command, *arguments = line.split()
        result = CliRunner().invoke(COMMANDS[command], arguments, env={"COLUMNS": "250"})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stderr

    return runner


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("hlc evcc --config missing.toml", 2, "missing.toml: No such file"),
        ("hlc evcc --config .", 2, ".: Is a directory"),
        ("hlc evcc --config latin.toml", 2, "latin.toml: not TOML: byte 8 is no UTF-8"),
        ("hlc evcc --config cut.toml", 2, "cut.toml: not TOML: Invalid value "),
        ("hlc evcc --config typo.toml", 2, "typo.toml: speeed: unknown key, did you mean 'speed'?"),
        ("hlc evcc --config type.toml", 2, "type.toml: battery.soc: Expected `float`, got `str`"),
        ("hlc evcc --config range.toml", 2, "range.toml: battery: battery soc is 140.0 %"),
        ("hlc evcc --config half.toml", 2, "half.toml: trust: cert and key come together"),
        ("hlc evcc --pki empty", 2, "empty holds no hierarchy (hierarchy.json is missing)"),
        ("hlc evcc --pki missing", 2, "missing does not exist: v2g-pki mint --out DIR makes one"),
        ("hlc evcc --pki nonsense", 2, "nonsense/hierarchy.json: Expecting property name"),
        ("hlc evcc --pki old", 2, "old/hierarchy.json: format 0 is not known"),
        ("hlc evcc --pki partial", 2, "partial/hierarchy.json: family is missing"),
        ("hlc secc --cert no.pem --key no.pem --root no.pem", 2, "no.pem: no certificate in PEM"),
        ("hlc secc --cert half.pem --key no.pem --root no.pem", 2, "half.pem: one of its 1 certificates"),
        ("hlc secc --lab-plain-tcp --iface nic9", 3, "no network interface 'nic9'"),
        ("hlc secc --lab-plain-tcp --port 99999", 2, "'--port': 99999 is not in the range"),
        ("hlc secc --lab-plain-tcp --json nowhere/x.json", 2, "nowhere/x.json: No such file"),
        ("hlc evcc --lab-plain-tcp --sdp-port 0", 2, "'--sdp-port': 0 is not in the range"),
        ("hlc evcc --lab-plain-tcp --connect here", 2, "'here' is not HOST:PORT"),
        ("hlc evcc --lab-plain-tcp --connect ::1", 2, "'::1' is not HOST:PORT"),
        ("hlc evcc --lab-plain-tcp --connect [fe80::zz%lo]:9", 2, "'fe80::zz' is no IPv6 address"),
        ("hlc evcc --lab-plain-tcp --connect [fe80::1%nic9]:9", 3, "no network interface 'nic9'"),
        ("hlc evcc --lab-plain-tcp --connect [fe80::1]:9", 2, "a link-local address needs its interface"),
        ("hlc demo --json nowhere/x.json", 2, "nowhere/x.json: No such file"),
        ("hlc demo --speed nan", 2, "speed is nan"),
        ("hlc decode 80zz", 2, "'80zz' is neither hex digits nor a file"),
        ("hlc decode 809", 2, "'809' is neither an even number of hex digits nor a file"),
        ("hlc decode --schema din 8098", 2, "--schema 'din' is not one of sap"),
        ("hlc decode 01fe800200000003809800", 1, "hlc: 01fe800200000003...: bit"),
        ("hlc check empty.jsonl", 2, "empty.jsonl: the input is empty"),
        ("hlc check cut.jsonl", 2, "cut.jsonl: no V2GTP session in it"),
        ("hlc check no.pem", 2, "no.pem: neither a capture, nor JSON lines"),
        ("hlc check .", 2, ".: Is a directory"),
        ("hlc report empty.jsonl -o nowhere/x.html", 2, "nowhere: no such directory"),
        ("hlc report empty.jsonl", 2, "empty.jsonl: the input is empty"),
        ("hlc trace replay empty.jsonl", 2, "empty.jsonl: the input is empty"),
        ("hlc scenario show nope", 2, "no scenario is called 'nope'"),
        ("hlc scenario run points-12 nope --against simulator", 2, "no scenario is called 'nope'"),
        ("hlc conformance SECC.pause.* EVCC.nope", 2, "no case for an SECC is called 'EVCC.nope'"),
        ("hlc scenario run points-12 --against simulator --file no.toml", 2, "no.toml: No such file"),
        ("hlc nonsense", 2, "No such command 'nonsense'"),
        ("v2g-pki inspect missing.pem", 2, "missing.pem: No such file"),
        ("v2g-pki inspect no.pem", 2, "no.pem: neither PEM certificates nor DER"),
        ("v2g-pki issue empty secc X --name x", 2, "empty holds no hierarchy"),
        ("v2g-pki mint --out x --now yesterday", 2, "--now 'yesterday' is no ISO 8601 time"),
        ("v2g-pki mint --out no.pem", 2, "no.pem/certs: Not a directory"),
        ("v2g-pki break empty", 2, "give the directory of a hierarchy and --out"),
        ("v2g-pki ocsp empty --port 70000", 2, "'--port': 70000 is not in the range"),
    ],
)
def test_one_line_says_what_is_wrong(
    run: Callable[[str], tuple[int, str]], line: str, code: int, words: str
) -> None:
    exit_code, said = run(line)
    assert words in said
    assert exit_code == code
    assert code in set(Exit)


def test_a_recording_without_a_readable_frame_passes_no_check(tmp_path: Path) -> None:
    trace = tmp_path / "tls.jsonl"
    trace.write_text('{"event":"connection","time":1.0,"connection":1,"evcc":"a","secc":"b"}\n')
    result = CliRunner().invoke(hlc, ["check", str(trace)])
    assert result.exit_code == Exit.USAGE
    assert "no V2GTP session in it" in result.stderr


def test_a_port_in_use_is_named() -> None:
    import socket

    with socket.socket(socket.AF_INET6) as taken:
        taken.bind(("::1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(hlc, ["secc", "--lab-plain-tcp", "--no-sdp", "--port", str(port)])
    assert result.exit_code == Exit.NO_CONNECTION
    assert f"cannot listen on [::1]:{port}: Address already in use" in result.stderr


def test_a_new_certificate_is_not_written_elsewhere(tmp_path: Path) -> None:
    home = str(tmp_path / "pki")
    assert CliRunner().invoke(v2g_pki, ["mint", "--out", home, "--seed", "s"]).exit_code == 0
    result = CliRunner().invoke(v2g_pki, ["issue", home, "secc", "DEHLC", "--name", "../../x"])
    assert result.exit_code == 2
    assert "name '../../x'" in result.stderr
    assert not (tmp_path / "x.pem").exists()


@pytest.mark.parametrize(("side", "chain"), [("secc", "secc"), ("evcc", "vehicle")])
def test_a_key_that_the_profile_cannot_use_is_said_before_any_handshake(
    tmp_path: Path, side: str, chain: str
) -> None:
    home = tmp_path / "pki"
    minted = CliRunner().invoke(
        v2g_pki, ["mint", "--out", str(home), "--edition", "lenient", "--family", "p256"]
    )
    assert minted.exit_code == 0, minted.output
    own = ["--cert", str(home / "chains" / f"{chain}.pem"), "--key", str(home / "keys" / f"{chain}.key")]
    result = CliRunner().invoke(hlc, [side, *own, "--root", str(home / "certs" / "v2g_root.pem")])
    assert result.exit_code == Exit.USAGE
    assert "signs with ecdsa_secp256r1_sha256" in result.stderr
    assert "--profile lenient" in result.stderr
