"""CertificateInstallation between the EVCC's installer and the simulated provisioning service."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hlc_sim.cps import Offer, ProvisioningService, names_root
from iso15118 import exi
from iso15118.exi import SchemaSet
from iso15118.messages import common, xmldsig
from iso15118.messages.common_types import ListOfRootCertificateIDs, MessageHeader, Processing, ResponseCode
from iso15118.security.contract_keys import ALTERNATIVES, SkiForm, Wrapping
from iso15118.security.evcc_trust import ContractCredential, Installer, ProvisioningCredential, Wallet
from iso15118.security.xmlsig import SignedElement, make_signature, sign_message
from iso15118.session.secc_config import SECCConfig, Trust
from pki.broken import break_chain
from pki.hierarchy import Hierarchy
from pki.profiles import Edition, Family
from pki.profiles import Role as PKIRole

from ..session.client import Client
from ..session.pair import EPOCH
from .conftest import mint

NOW = datetime.now(UTC).timestamp()
SESSION = bytes(range(1, 9))
Damage = Callable[[common.CertificateInstallationRes], None]


def installer(hierarchy: Hierarchy, *roots: str, **settings: Any) -> Installer:
    oem = hierarchy["oem_provisioning"]
    credential = ProvisioningCredential(tuple(oem.chain_der), oem.key, oem.agreement_key)  # type: ignore[arg-type]
    trusted = [hierarchy[name].certificate for name in roots or ("v2g_root",)]
    return Installer(credential, trusted, Wallet(), **settings)


def header() -> MessageHeader:
    return MessageHeader(session_id=SESSION, timestamp=int(NOW))


def through_exi(message: Any) -> Any:
    return exi.decode(exi.encode(message), SchemaSet.ISO20_COMMON)


def station(service: ProvisioningService) -> Client:
    """An SECC that has offered certificate installation."""
    trust = Trust(install_certificate=service)
    client = Client(SECCConfig(certificate_installation=True), trust=trust, now=NOW - EPOCH)
    client.to_session().send("AuthorizationSetupReq")
    return client


def fetch(client: Client, own: Installer) -> common.CertificateInstallationRes:
    response = client.send(through_exi(own.request(client.header())))
    assert isinstance(response, common.CertificateInstallationRes)
    decoded: common.CertificateInstallationRes = through_exi(response)
    return decoded


def with_contracts(count: int) -> Hierarchy:
    hierarchy = Hierarchy.mint(seed="several")
    for number in range(2, count + 1):
        hierarchy.issue(PKIRole.CONTRACT, f"DEHLCC1234567{number}", name=f"contract_{number}")
    return hierarchy


@pytest.mark.parametrize("family", [Family.P521, Family.ED448])
def test_a_contract_arrives_with_its_key(family: Family) -> None:
    """The key is compared with the one that was minted; P-521 in 94 octets, Ed448 wrapped with X448."""
    hierarchy = mint(Edition.ISO_20, family)
    own = installer(hierarchy)
    response = fetch(station(ProvisioningService.of_hierarchy(hierarchy)), own)
    assert response.response_code is ResponseCode.OK
    assert response.evse_processing is Processing.Finished
    data = response.signed_installation_data
    if family is Family.P521:
        assert data.ecdh_curve is common.ECDHCurve.SECP521
        assert len(data.secp521_encrypted_private_key or b"") == 94
        assert len(data.dh_public_key) == 133
    else:
        assert data.ecdh_curve is common.ECDHCurve.X448
        assert len(data.dh_public_key) == 57
        assert len(data.x448_encrypted_private_key or b"") == 85  # the 57 octets of Ed448 do not fit 84
    installed = own.install(response, NOW)
    (contract,) = own.wallet.contracts
    assert installed.contract is contract
    assert contract.chain == tuple(hierarchy["contract"].chain_der)
    form = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    assert contract.key.private_bytes(*form) == hierarchy["contract"].key.private_bytes(*form)


def test_several_contracts_come_one_by_one_prioritized_ones_first() -> None:
    hierarchy = with_contracts(4)
    own = installer(hierarchy, prioritized=["DE-HLC-C12345673", "dehlcc12345674"], capacity=3)
    client = station(ProvisioningService.of_hierarchy(hierarchy))
    left = []
    while not left or left[-1]:
        response = fetch(client, own)
        own.install(response, NOW)
        left.append(response.remaining_contract_certificate_chains)
    assert left == [2, 1, 0]
    # The wallet has what came last first.
    assert [item.emaid for item in own.wallet.contracts] == [
        "DEHLCC12345678",
        "DEHLCC12345674",
        "DEHLCC12345673",
    ]


def test_sessions_do_not_take_contracts_from_each_other() -> None:
    hierarchy = with_contracts(2)
    service = ProvisioningService.of_hierarchy(hierarchy)
    own = installer(hierarchy)
    first, second = station(service), station(service)
    second.secc.context.session_id = SESSION
    assert fetch(first, own).remaining_contract_certificate_chains == 1
    assert fetch(second, own).remaining_contract_certificate_chains == 1
    assert fetch(first, own).remaining_contract_certificate_chains == 0


def test_while_the_service_works_the_answer_is_ongoing() -> None:
    hierarchy = mint()
    own = installer(hierarchy)
    client = station(ProvisioningService.of_hierarchy(hierarchy, seconds=1.0))
    asked = []
    for _ in range(60):
        client.now += 0.1
        response = fetch(client, own)
        asked.append(response.evse_processing)
        if response.evse_processing is Processing.Finished:
            break
    assert asked[0] is Processing.Ongoing
    assert asked[-1] is Processing.Finished
    assert 9 <= len(asked) <= 12
    own.install(response, NOW)


def test_an_old_contract_with_the_same_emaid_is_replaced() -> None:
    hierarchy = mint()
    own = installer(hierarchy)
    old = hierarchy["contract"]
    expired = break_chain(hierarchy, "contract-expired", datetime.now(UTC))
    own.wallet.contracts.append(ContractCredential(tuple(expired.chain), expired.key))  # type: ignore[arg-type]
    own.install(fetch(station(ProvisioningService.of_hierarchy(hierarchy)), own), NOW)
    assert [item.chain[0] for item in own.wallet.contracts] == [old.der]


# -- the service refuses ---------------------------------------------------------------------------------


def test_a_signature_by_another_key_fails() -> None:
    hierarchy = mint()
    own = installer(hierarchy)
    client = station(ProvisioningService.of_hierarchy(hierarchy))
    forged = sign_message(own.request(client.header()), hierarchy["vehicle"].key)  # type: ignore[arg-type]
    assert client.send(through_exi(forged)).response_code is ResponseCode.FAILED_SignatureError
    assert client.secc.closing is not None


def test_an_unsigned_request_fails() -> None:
    hierarchy = mint()
    client = station(ProvisioningService.of_hierarchy(hierarchy))
    request = installer(hierarchy).request(client.header())
    request.header.signature = None
    assert client.send(through_exi(request)).response_code is ResponseCode.FAILED_SignatureError


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("oem-provisioning-expired", ResponseCode.WARNING_CertificateExpired),
        ("oem-provisioning-p256", ResponseCode.WARNING_CertificateValidationError),
        ("oem-provisioning-cn-form", ResponseCode.WARNING_CertificateValidationError),
    ],
)
def test_broken_provisioning_certificates(name: str, code: ResponseCode) -> None:
    hierarchy = mint()
    broken = break_chain(hierarchy, name, datetime.now(UTC))
    own = installer(hierarchy)
    own.credential = ProvisioningCredential(tuple(broken.chain), broken.key)  # type: ignore[arg-type]
    client = station(ProvisioningService.of_hierarchy(hierarchy))
    response = fetch(client, own)
    assert response.response_code is code
    assert client.secc.closing is None
    assert any("OEMProvisioningCertificateChain" in item.text for item in client.secc.events)


def test_a_provisioning_certificate_of_an_unknown_root() -> None:
    hierarchy = mint()
    service = ProvisioningService.of_hierarchy(hierarchy)
    service.roots = [hierarchy["v2g_root"].certificate]
    response = fetch(station(service), installer(hierarchy))
    assert response.response_code is ResponseCode.WARNING_CertificateValidationError


def test_no_contract_for_this_pcid() -> None:
    service = replace(ProvisioningService.of_hierarchy(mint()), contracts={})
    response = fetch(station(service), installer(mint()))
    assert response.response_code is ResponseCode.WARNING_NoContractMatchingPCIDFound


def test_a_vehicle_that_cannot_verify_the_service_gets_nothing() -> None:
    response = fetch(
        station(ProvisioningService.of_hierarchy(mint())), installer(mint(), "v2g_root_b", "oem_root")
    )
    assert response.response_code is ResponseCode.WARNING_NoCertificateAvailable


@pytest.mark.parametrize("order", ["", "reversed"])
def test_root_names_are_compared_as_sets(order: str) -> None:
    root = mint()["v2g_root"].certificate
    parts = root.issuer.rfc4514_string().split(",")
    name = ",".join(reversed(parts) if order else parts)
    entry = xmldsig.X509IssuerSerial(x509_issuer_name=name, x509_serial_number=root.serial_number)
    assert names_root(ListOfRootCertificateIDs(root_certificate_id=[entry]), root)
    foreign = msgspec.structs.replace(entry, x509_issuer_name=name.replace("HLC Lab", "Other"))
    assert not names_root(ListOfRootCertificateIDs(root_certificate_id=[foreign]), root)
    other = msgspec.structs.replace(entry, x509_serial_number=1)
    assert not names_root(ListOfRootCertificateIDs(root_certificate_id=[other]), root)


# -- the vehicle refuses ---------------------------------------------------------------------------------


def good(hierarchy: Hierarchy, own: Installer) -> common.CertificateInstallationRes:
    return fetch(station(ProvisioningService.of_hierarchy(hierarchy)), own)


def flip_tag(response: common.CertificateInstallationRes) -> None:
    data = response.signed_installation_data
    sealed = data.secp521_encrypted_private_key
    assert sealed is not None
    data.secp521_encrypted_private_key = sealed[:-1] + bytes([sealed[-1] ^ 1])


def other_point(response: common.CertificateInstallationRes) -> None:
    point = response.signed_installation_data.dh_public_key
    response.signed_installation_data.dh_public_key = point[:-1] + bytes([point[-1] ^ 1])


def compressed(response: common.CertificateInstallationRes) -> None:
    point = response.signed_installation_data.dh_public_key
    response.signed_installation_data.dh_public_key = b"\x02" + point[1:67]


def infinity(response: common.CertificateInstallationRes) -> None:
    response.signed_installation_data.dh_public_key = b"\x00"


def x448_sized(response: common.CertificateInstallationRes) -> None:
    response.signed_installation_data.dh_public_key = b"\x04" + bytes(56)


def other_curve(response: common.CertificateInstallationRes) -> None:
    response.signed_installation_data.ecdh_curve = common.ECDHCurve.X448


def other_certificate(response: common.CertificateInstallationRes) -> None:
    response.signed_installation_data.contract_certificate_chain.certificate = mint()["vehicle"].der


def for_a_tpm(response: common.CertificateInstallationRes) -> None:
    response.signed_installation_data.secp521_encrypted_private_key = None
    response.signed_installation_data.tpm_encrypted_private_key = bytes(206)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (flip_tag, "authentication tag does not fit"),
        (other_point, "not a point of secp521r1"),
        (compressed, "67 octets, 133 beginning with 04"),
        (infinity, "1 octets, 133 beginning with 04"),
        (x448_sized, "57 octets, 133 beginning with 04"),
        (other_curve, "ECDHCurve: X448 with SECP521_EncryptedPrivateKey"),
        (other_certificate, "authentication tag does not fit"),
        (for_a_tpm, "this EV has no TPM"),
    ],
)
def test_installation_data_that_is_signed_but_wrong(damage: Damage, reason: str) -> None:
    """Damaged before the service signed it, so that the signature does not save the vehicle."""
    hierarchy = mint()
    own = installer(hierarchy)
    response = good(hierarchy, own)
    damage(response)
    element = SignedElement(response.signed_installation_data, "SignedInstallationData", "ID1")
    response.header.signature = make_signature([element], hierarchy["cps"].key)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=reason):
        own.install(response, NOW)
    assert own.wallet.contracts == []


@pytest.mark.parametrize("damage", [flip_tag, other_point, other_certificate])
def test_installation_data_that_was_changed_after_signing(damage: Damage) -> None:
    own = installer(mint())
    response = good(mint(), own)
    damage(response)
    with pytest.raises(ValueError, match="the digest of SignedInstallationData is another"):
        own.install(response, NOW)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("cps-dc", "domain-component"), ("cps-expired", "expired"), ("cps-unknown-root", "unknown-issuer")],
)
def test_broken_provisioning_services(name: str, reason: str) -> None:
    hierarchy = mint()
    broken = break_chain(hierarchy, name, datetime.now(UTC))
    service = ProvisioningService.of_hierarchy(hierarchy)
    service.chain = tuple(broken.chain)
    own = installer(hierarchy)
    response = fetch(station(service), own)
    own.v2g_roots = [hierarchy[root].certificate for root in broken.variant.trusted]
    with pytest.raises(ValueError, match=f"CPSCertificateChain: .*{reason}"):
        own.install(response, NOW)


def test_data_signed_by_someone_else() -> None:
    hierarchy = mint()
    service = ProvisioningService.of_hierarchy(hierarchy)
    service.key = ec.generate_private_key(ec.SECP521R1())
    own = installer(hierarchy)
    response = fetch(station(service), own)
    with pytest.raises(ValueError, match="does not verify with this key"):
        own.install(response, NOW)


def test_an_old_response_is_of_no_use_to_another_vehicle() -> None:
    """A recorded response: its key does not fit the provisioning key of the vehicle that replays it."""
    hierarchy = with_contracts(1)
    other = hierarchy.issue(PKIRole.OEM_PROVISIONING, "WMZP9999999999999X", name="oem_other")
    response = good(hierarchy, installer(hierarchy))
    thief = installer(hierarchy)
    thief.credential = ProvisioningCredential(tuple(other.chain_der), other.key)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="authentication tag does not fit"):
        thief.install(response, NOW)


# -- where the standard contradicts itself ---------------------------------------------------------------


def test_identifiers_of_eight_octets_leave_no_room_for_two_readings() -> None:
    """Minted contracts have them: the PCID and 16 digits, 34 characters in all."""
    hierarchy = mint()
    settings = ALTERNATIVES["SKI always of eight octets"]
    own = installer(hierarchy, strict=True)
    service = replace(ProvisioningService.of_hierarchy(hierarchy), settings=settings)
    assert own.install(fetch(station(service), own), NOW).remarks == ()


@pytest.mark.parametrize("name", sorted(ALTERNATIVES.keys() - {"SKI always of eight octets"}))
def test_other_readings_of_the_wrapping_are_named(name: str) -> None:
    hierarchy = mint()
    service = replace(ProvisioningService.of_hierarchy(hierarchy), settings=ALTERNATIVES[name])
    own = installer(hierarchy)
    response = fetch(station(service), own)
    installed = own.install(response, NOW)
    assert installed.remarks[-1].endswith(name)
    strict = installer(hierarchy, strict=True)
    with pytest.raises(ValueError, match=f"another reading: {name}"):
        strict.install(response, NOW)
    assert strict.wallet.contracts == []


def test_a_padded_x448_key_is_accepted() -> None:
    hierarchy = mint(Edition.ISO_20, Family.ED448)
    service = ProvisioningService.of_hierarchy(hierarchy)
    service.settings = replace(service.settings, x448_key_size=133)
    own = installer(hierarchy)
    response = fetch(station(service), own)
    assert len(response.signed_installation_data.dh_public_key) == 133
    own.install(response, NOW)


def test_an_ed448_contract_is_not_given_out_by_the_letter() -> None:
    hierarchy = mint(Edition.ISO_20, Family.ED448)
    service = replace(ProvisioningService.of_hierarchy(hierarchy), settings=Wrapping())
    client = station(service)
    assert fetch(client, installer(hierarchy)).response_code is ResponseCode.WARNING_NoCertificateAvailable
    assert any("57 octets of Ed448" in item.text for item in client.secc.events)


def test_a_tpm_blob_is_carried_as_it_is() -> None:
    hierarchy = mint()
    contract = hierarchy["contract"]
    blob = bytes(range(206))
    service = ProvisioningService.of_hierarchy(hierarchy)
    pcid = next(iter(service.contracts))
    service.contracts = {pcid: [Offer(tuple(contract.chain_der), tpm_blob=blob)]}
    opened = []

    def open_tpm(received: bytes, data: common.SignedInstallationData) -> Any:
        opened.append(received)
        return contract.key

    own = installer(hierarchy, open_tpm=open_tpm)
    own.install(fetch(station(service), own), NOW)
    assert opened == [blob]
    assert own.wallet.contracts[0].emaid == "DEHLCC12345678"


def test_a_tpm_blob_of_another_size_is_not_sent() -> None:
    service = ProvisioningService.of_hierarchy(mint())
    pcid = next(iter(service.contracts))
    service.contracts = {pcid: [Offer(tuple(mint()["contract"].chain_der), tpm_blob=bytes(209))]}
    response = fetch(station(service), installer(mint()))
    assert response.response_code is ResponseCode.WARNING_NoCertificateAvailable
    service.settings = Wrapping(tpm_size=209)
    assert fetch(station(service), installer(mint())).response_code is ResponseCode.OK


def test_the_key_opens_with_the_openssl_command_line(tmp_path: Path) -> None:
    """ECDH by openssl, the KDF and AES-GCM written out here: independent of the code under test."""
    import hashlib

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    hierarchy = mint()
    data = good(hierarchy, installer(hierarchy)).signed_installation_data
    numbers = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP521R1(), data.dh_public_key)
    public = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (tmp_path / "peer.pem").write_bytes(numbers.public_bytes(*public))
    (tmp_path / "own.pem").write_bytes(hierarchy["oem_provisioning"].key_pem)
    command = ["openssl", "pkeyutl", "-derive", "-inkey", "own.pem", "-peerkey", "peer.pem", "-out", "z"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    secret = (tmp_path / "z").read_bytes()
    assert len(secret) == 66
    key = hashlib.sha512(b"\x00\x00\x00\x01" + secret + b"\x01UV").digest()[:32]
    leaf = x509.load_der_x509_certificate(data.contract_certificate_chain.certificate)
    ski = leaf.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    aad = b"WMZP1234567890ABCX" + ski.hex().upper().encode()
    sealed = data.secp521_encrypted_private_key
    assert sealed is not None
    plain = AESGCM(key).decrypt(sealed[:12], sealed[12:], aad)
    private = ec.derive_private_key(int.from_bytes(plain, "big"), ec.SECP521R1())
    assert private.public_key() == leaf.public_key()


def test_settings_are_those_of_the_standard_by_default() -> None:
    assert ProvisioningService.of_hierarchy(mint()).settings.ski is SkiForm.HEX


def test_the_service_answers_at_the_time_it_is_asked() -> None:
    """Ten years on, the provisioning certificate has expired."""
    late = NOW + timedelta(days=3660).total_seconds()
    service = ProvisioningService.of_hierarchy(mint())
    answer = service(installer(mint()).request(header()), late)
    assert answer.code is ResponseCode.WARNING_CertificateExpired
