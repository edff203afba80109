"""Minting, storing, issuing, exporting and revoking; the good chains against `openssl`."""

from __future__ import annotations

import shutil
import subprocess
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from pki.cli import Exit, app
from pki.export import export_everest, export_josev
from pki.hierarchy import EMAID, EVCCID, Hierarchy
from pki.inspect import inspect_chain
from pki.profiles import Edition, Family, Role, profile
from pki.revocation import crl, make_responder, revoke, staple

EDITIONS = [
    (Edition.ISO_20, Family.P521),
    (Edition.ISO_20, Family.ED448),
    (Edition.AMD1, Family.P521),
    (Edition.ISO_2, Family.P256),
    (Edition.LENIENT, Family.P256),
]
needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="the openssl command is not installed"
)


def openssl(*arguments: object) -> str:
    done = subprocess.run(
        ["openssl", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=20
    )
    return f"{done.returncode} {done.stdout}{done.stderr}"


@needs_openssl
@pytest.mark.parametrize(("edition", "family"), EDITIONS)
def test_openssl_verifies_every_good_chain(edition: Edition, family: Family, minted, tmp_path: Path) -> None:
    hierarchy = minted(edition, family)
    hierarchy.write(tmp_path)
    for leaf in hierarchy.leaves():
        root, chain = tmp_path / f"certs/{leaf.root.name}.pem", tmp_path / f"chains/{leaf.name}.pem"
        target = tmp_path / f"certs/{leaf.name}.pem"
        said = openssl("verify", "-x509_strict", "-CAfile", root, "-untrusted", chain, target)
        assert said.startswith("0 "), said
    crossed, target = tmp_path / "chains/secc_b_cross.pem", tmp_path / "certs/secc_b.pem"
    said = openssl("verify", "-CAfile", tmp_path / "certs/v2g_root.pem", "-untrusted", crossed, target)
    assert said.startswith("0 "), said


@pytest.mark.parametrize(("edition", "family"), EDITIONS)
def test_good_chains_have_no_finding(edition: Edition, family: Family, minted) -> None:
    hierarchy = minted(edition, family)
    for credential in hierarchy.credentials.values():
        for report in inspect_chain([*credential.chain_der, credential.root.der], edition):
            assert report.findings == (), (credential.name, report.title)


def test_same_seed_same_bytes_and_without_seed_never() -> None:
    now = datetime(2026, 5, 4, 12, tzinfo=UTC)
    first, second, other = (Hierarchy.mint(seed=seed, now=now) for seed in ("a", "a", "b"))
    assert {n: (c.der, c.key_pem) for n, c in first.credentials.items()} == {
        n: (c.der, c.key_pem) for n, c in second.credentials.items()
    }
    assert first["secc"].key_pem != other["secc"].key_pem
    assert Hierarchy.mint(now=now)["secc"].key_pem != Hierarchy.mint(now=now)["secc"].key_pem
    keys = [c.key_pem for c in first.credentials.values() if c.name != "cross_b"]
    assert len(set(keys)) == len(keys)


def test_subjects_follow_the_edition(minted) -> None:
    def subject(edition: Edition) -> list[tuple[str, str]]:
        name = minted(edition)["vehicle"].certificate.subject
        return [(attribute.rfc4514_attribute_name, str(attribute.value)) for attribute in name]

    assert subject(Edition.ISO_20) == [("CN", EVCCID), ("O", "HLC Lab OEM")]
    assert subject(Edition.AMD1) == [("CN", EVCCID), ("O", "HLC Lab OEM"), ("DC", "EV")]
    with pytest.raises(ValueError, match="no vehicle certificate"):
        profile(Role.VEHICLE, Edition.ISO_2)


def test_ed448_provisioning_certificate_carries_its_x448_key(minted) -> None:
    leaf = minted(Edition.ISO_20, Family.ED448)["oem_provisioning"]
    extension = leaf.certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier("2.5.29.72"))
    assert leaf.agreement_key is not None
    assert extension.value.value.endswith(leaf.agreement_key.public_key().public_bytes_raw())


def test_contract_key_identifier_has_eight_octets_in_20(minted) -> None:
    for edition, size in ((Edition.ISO_20, 8), (Edition.ISO_2, 20)):
        extensions = minted(edition)["contract"].certificate.extensions
        assert len(extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest) == size


def test_stored_hierarchy_is_read_back_and_guarded(minted, tmp_path: Path) -> None:
    hierarchy = minted(Edition.ISO_20, Family.ED448)
    hierarchy.write(tmp_path)
    loaded = Hierarchy.load(tmp_path)
    assert {n: c.der for n, c in loaded.credentials.items()} == {
        n: c.der for n, c in hierarchy.credentials.items()
    }
    assert loaded["oem_provisioning"].agreement_key is not None
    with pytest.raises(FileExistsError, match="already holds a hierarchy"):
        hierarchy.write(tmp_path)
    for key in (tmp_path / "keys").iterdir():
        assert key.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileNotFoundError, match="holds no hierarchy"):
        Hierarchy.load(tmp_path / "keys")


def test_a_certificate_whose_issuer_is_not_listed_is_no_root(tmp_path: Path) -> None:
    Hierarchy.mint(family=Family.ED448, seed="round trip").write(tmp_path)
    manifest = tmp_path / "hierarchy.json"
    manifest.write_text(manifest.read_text().replace('"issuer": "oem_sub2"', '"issuer": "oem_sub3"'))
    with pytest.raises(
        ValueError, match=r"hierarchy\.json: vehicle names the issuer 'oem_sub3', which is not"
    ):
        Hierarchy.load(tmp_path)


def test_a_key_of_another_kind_is_named(tmp_path: Path) -> None:
    Hierarchy.mint(family=Family.ED448, seed="round trip").write(tmp_path)
    key = tmp_path / "keys" / "oem_provisioning.x448.key"
    key.write_bytes((tmp_path / "keys" / "secc.key").read_bytes())
    with pytest.raises(ValueError, match=r"oem_provisioning\.x448\.key: not the PEM of a certificate or key"):
        Hierarchy.load(tmp_path)


def test_issue_adds_a_leaf_below_the_same_root(tmp_path: Path) -> None:
    hierarchy = Hierarchy.mint(seed="issue")
    made = hierarchy.issue(Role.CONTRACT, "DEHLCC99999999", name="contract_2", days=10)
    assert made.root.name == "mo_root"
    assert made.path[1:] == hierarchy["contract"].path[1:]
    certificate = made.certificate
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=10)
    with pytest.raises(FileExistsError, match="contract_2"):
        hierarchy.issue(Role.CONTRACT, EMAID, name="contract_2")
    with pytest.raises(ValueError, match="issues sub-ca1"):
        hierarchy.issue(Role.SUB_CA1, "x", name="x")


def test_exports_hold_what_the_stacks_read(minted, tmp_path: Path) -> None:
    hierarchy = minted(Edition.LENIENT)
    export_josev(hierarchy, tmp_path / "josev")
    base = tmp_path / "josev/iso15118_2"
    chain = x509.load_pem_x509_certificates((base / "certs/cpoCertChain.pem").read_bytes())
    assert [c.public_bytes(Encoding.DER) for c in chain] == hierarchy["secc"].chain_der
    for name in ("v2gRootCACert.pem", "oemRootCACert.pem", "oemCertChain.pem", "contractLeafCert.der"):
        assert (base / "certs" / name).stat().st_size
    for name in ("seccLeaf", "oemLeaf", "contractLeaf", "moSubCA2"):
        assert (base / f"private_keys/{name}.key").stat().st_mode & 0o777 == 0o600
    assert (base / "private_keys/seccLeafPassword.txt").read_bytes() == b""
    export_everest(hierarchy, tmp_path / "everest")
    for name in ("ca/v2g/V2G_ROOT_CA.pem", "client/cso/CPO_CERT_CHAIN.pem", "client/cso/SECC_LEAF.key",
                 "client/vehicle/VEHICLE_LEAF.key", "ca/vehicle/VEHICLE_CERT_CHAIN.pem"):  # fmt: skip
        assert (tmp_path / "everest" / name).stat().st_size
    with pytest.raises(FileExistsError):
        export_everest(hierarchy, tmp_path / "everest")


@contextmanager
def responder(hierarchy: Hierarchy):
    server = make_responder(lambda: hierarchy, 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@needs_openssl
@pytest.mark.parametrize("family", [Family.P521, Family.ED448])
def test_responder_answers_openssl(family: Family, tmp_path: Path) -> None:
    hierarchy = Hierarchy.mint(Edition.ISO_20, family, seed="responder")
    hierarchy.write(tmp_path)
    asked = ["ocsp", "-CAfile", tmp_path / "certs/v2g_root.pem", "-no_nonce",
             "-verify_other", tmp_path / "chains/secc.pem",
             "-issuer", tmp_path / "certs/cpo_sub2.pem"]  # fmt: skip
    with responder(hierarchy) as url:
        good = openssl(*asked, "-cert", tmp_path / "certs/secc.pem", "-url", url)
        assert "Response verify OK" in good
        assert "secc.pem: good" in good
        revoke(hierarchy, "secc", "keyCompromise")
        bad = openssl(*asked, "-cert", tmp_path / "certs/secc.pem", "-url", url)
        assert "secc.pem: revoked" in bad
        assert "keyCompromise" in bad
        stranger = openssl(*asked, "-serial", "12345", "-url", url)
        assert "unauthorized" in stranger
    (tmp_path / "staple.der").write_bytes(staple(hierarchy, "cpo_sub2"))
    said = openssl("ocsp", "-CAfile", tmp_path / "certs/v2g_root.pem", "-respin", tmp_path / "staple.der",
                   "-verify_other", tmp_path / "chains/secc.pem", "-issuer", tmp_path / "certs/cpo_sub1.pem",
 "-cert", tmp_path / "certs/cpo_sub2.pem", "-no_nonce")  # fmt: skip
    assert "Response verify OK" in said
    assert "cpo_sub2.pem: good" in said


@needs_openssl
def test_revocation_list_verifies_and_lists(tmp_path: Path) -> None:
    hierarchy = Hierarchy.mint(seed="crl")
    hierarchy.write(tmp_path)
    revoke(hierarchy, "vehicle")
    (tmp_path / "list.crl").write_bytes(crl(hierarchy, "oem_sub2"))
    said = openssl("crl", "-inform", "DER", "-in", tmp_path / "list.crl", "-noout", "-text",
                   "-CAfile", tmp_path / "certs/oem_sub2.pem")  # fmt: skip
    assert "verify OK" in said
    assert f"{hierarchy['vehicle'].certificate.serial_number:X}" in said
    with pytest.raises(ValueError, match="nobody can revoke"):
        revoke(hierarchy, "v2g_root")
    with pytest.raises(ValueError, match="boredom"):
        revoke(hierarchy, "secc", "boredom")


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_command_line_from_mint_to_break(tmp_path: Path) -> None:
    home = tmp_path / "pki"
    assert run("mint", "--out", home, "--seed", "cli")[0] == 0
    code, text = run("mint", "--out", home)
    assert code == Exit.USAGE
    assert "already holds" in text
    assert run("issue", home, "secc", "DEHLCS" + "7" * 33, "--name", "secc_7")[0] == 0
    code, text = run("inspect", home / "chains/secc_7.pem")
    assert code == 0, text
    assert "ok: as the profile has it" in text
    code, text = run("inspect", home / "chains/secc_7.pem", "--edition", "iso2")
    assert code == Exit.FAILED
    assert "key family p521 is not of edition iso2" in text
    code, text = run("issue", home, "v2g-root", "X", "--name", "x")
    assert code == Exit.USAGE
    assert "'contract', 'cps'" in text
    assert "ocsp-signer" not in run("issue", "--help")[1]
    assert run("revoke", home, "secc_7", "--reason", "superseded")[0] == 0
    assert Hierarchy.load(home).revoked
    assert run("export", home, "everest", tmp_path / "everest")[0] == 0
    assert run("export", home, "nobody", tmp_path / "x")[0] == Exit.USAGE
    assert run("ocsp", home, "--staple", "secc")[0] == 0
    assert (home / "ocsp/secc.2.der").stat().st_size
    code, text = run("break", home, "vehicle-expired", "staple-revoked", "--out", tmp_path / "bad")
    assert code == 0, text
    assert (tmp_path / "bad/staple-revoked.0.ocsp").stat().st_size
    code, text = run("break", home, "vehicle-expired", "--out", tmp_path / "bad")
    assert code == Exit.USAGE
    assert "vehicle-expired.pem exists already; --overwrite replaces it" in text
    code, text = run("break", "--list")
    assert code == 0
    assert "vehicle-expired" in text
    assert run("break", home, "no-such", "--out", tmp_path / "bad")[0] == Exit.USAGE
    assert "PRIVATE" not in run("inspect", home / "certs/secc.pem")[1]


def test_inspect_explains_a_broken_chain(tmp_path: Path) -> None:
    from pki.broken import break_chain

    hierarchy = Hierarchy.mint(seed="inspect")
    for name, words in (
        ("vehicle-expired", "expired"),
        ("vehicle-sub2-no-path-length", "pathLenConstraint is None, the profile has 0"),
        ("vehicle-wrong-signer", "does not verify"),
        ("vehicle-not-a-certificate", "not DER X.509"),
    ):
        broken = break_chain(hierarchy, name)
        found = [text for report in inspect_chain(broken.chain) for text in report.findings]
        assert any(words in text for text in found), (name, found)
    leaf = hierarchy["vehicle"].certificate
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == EVCCID
