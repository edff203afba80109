"""Message signatures: recorded ones of another stack, our own, and everything that must be refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448

from iso15118 import exi
from iso15118.messages import common, xmldsig
from iso15118.messages.common_types import MessageHeader
from iso15118.messages.schema_sets import SchemaSet
from iso15118.security.signature_primitives import (
    ALGORITHMS,
    ECDSA_SHA256,
    ED448_RFC_9231,
    SignatureError,
    sign,
)
from iso15118.security.xmlsig import (
    Grammar,
    SignedElement,
    Target,
    make_signature,
    sign_message,
    signed_elements,
    verify_message,
)
from pki.profiles import Edition, Family

from .conftest import mint

RECORDED = [
    json.loads(line)
    for line in (Path(__file__).parent.parent / "data/security/recorded_signatures_josev.jsonl").open()
]


def recorded_key(message):  # type: ignore[no-untyped-def]
    if isinstance(message, common.AuthorizationReq):
        leaf = message.authorization_mode.contract_certificate_chain.certificate
    else:
        leaf = message.oem_provisioning_certificate_chain.certificate
    return x509.load_der_x509_certificate(leaf).public_key()


@pytest.mark.parametrize("record", RECORDED, ids=lambda record: f"{record['session']}-{record['message']}")
def test_recorded_signatures_of_josev_verify(record: dict[str, str]) -> None:
    message = exi.decode(bytes.fromhex(record["exi"]), SchemaSet.ISO20_COMMON)
    key = recorded_key(message)
    outcome = verify_message(message, key, algorithms=ALGORITHMS)
    assert outcome.grammar is Grammar.XMLDSIG
    assert outcome.target is Target.ELEMENT
    assert outcome.algorithm is ECDSA_SHA256
    assert any("is not of ISO 15118-20" in text for text in outcome.deviations)
    with pytest.raises(SignatureError, match="not a signature method of ISO 15118-20"):
        verify_message(message, key)
    message.header.signature.signed_info.reference[0].digest_value = bytes(32)
    with pytest.raises(SignatureError, match="digest of"):
        verify_message(message, key, algorithms=ALGORITHMS)


VECTORS = [
    json.loads(line) for line in (Path(__file__).parent.parent / "data/vectors/fragments_dev.jsonl").open()
]
SIGNED = {
    "AbsolutePriceSchedule",
    "OEMProvisioningCertificateChain",
    "PnC_AReqAuthorizationMode",
    "PriceLevelSchedule",
    "SignedInstallationData",
    "SignedMeteringData",
}


def test_digests_are_those_of_the_reference_encoder() -> None:
    """The vectors were written by another EXI implementation: what it encodes is what must be digested."""
    met = set()
    for vector in VECTORS:
        if vector["schema_set"] != "iso20_common" or vector["root"] not in SIGNED:
            continue
        octets = bytes.fromhex(vector["exi"])
        name, value = exi.decode_fragment(octets, SchemaSet.ISO20_COMMON)
        element = SignedElement(value, name.local, "id1")
        signature = make_signature([element], KEYS[0].values[0])
        assert signature.signed_info.reference[0].digest_value == hashlib.sha512(octets).digest(), vector[
            "id"
        ]
        met.add(name.local)
    assert met == SIGNED


def test_signed_info_is_encoded_as_the_reference_encoder_does() -> None:
    infos = [v for v in VECTORS if v["schema_set"] == "xmldsig" and "signedinfo-realistic" in v["tags"]]
    assert infos
    for vector in infos:
        octets = bytes.fromhex(vector["exi"])
        value = exi.decode_fragment(octets, SchemaSet.XMLDSIG).value
        assert exi.encode_fragment(value, "SignedInfo", schema_set=SchemaSet(Grammar.XMLDSIG.value)) == octets


def test_there_are_recorded_signatures_of_both_requests() -> None:
    assert {record["message"] for record in RECORDED} == {"AuthorizationReq", "CertificateInstallationReq"}


KEYS = [
    pytest.param(ec.derive_private_key(77, ec.SECP521R1()), id="p521"),
    pytest.param(ed448.Ed448PrivateKey.from_private_bytes(bytes(range(57))), id="ed448"),
]
HEADER = MessageHeader(session_id=bytes(range(8)), timestamp=1_700_000_000)


def authorization(family: Family = Family.P521) -> common.AuthorizationReq:
    leaf, *above = mint(Edition.ISO_20, family)["contract"].chain_der
    mode = common.PnC_AReqAuthorizationMode(
        id="ID1",
        gen_challenge=bytes(range(16)),
        contract_certificate_chain=common.ContractCertificateChain(
            certificate=leaf, sub_certificates=common.SubCertificates(certificate=above)
        ),
    )
    return common.AuthorizationReq(
        header=HEADER, selected_authorization_service=common.Authorization.PnC, authorization_mode=mode
    )


def through_exi(message):  # type: ignore[no-untyped-def]
    return exi.decode(exi.encode(message), SchemaSet.ISO20_COMMON)


@pytest.mark.parametrize("key", KEYS)
def test_own_signature_survives_the_wire(key) -> None:  # type: ignore[no-untyped-def]
    message = authorization()
    signed = sign_message(message, key)
    assert message.header.signature is None
    received = through_exi(signed)
    outcome = verify_message(received, key.public_key())
    assert (outcome.grammar, outcome.target, outcome.deviations) == (Grammar.XMLDSIG, Target.ELEMENT, ())
    value = received.header.signature.signature_value.value
    assert len(value) == (132 if isinstance(key, ec.EllipticCurvePrivateKey) else 114)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("target", Target)
@pytest.mark.parametrize("grammar", Grammar)
def test_other_readings_are_accepted_and_named(key, target: Target, grammar: Grammar) -> None:  # type: ignore[no-untyped-def]
    signed = through_exi(sign_message(authorization(), key, target=target, grammar=grammar))
    outcome = verify_message(signed, key.public_key())
    assert (outcome.grammar, outcome.target) == (grammar, target)
    assert any("whole message" in text for text in outcome.deviations) is (target is Target.MESSAGE)
    assert any("message schemas" in text for text in outcome.deviations) is (grammar is Grammar.MESSAGES)


def test_another_key_is_refused() -> None:
    signed = sign_message(authorization(), KEYS[0].values[0])
    with pytest.raises(SignatureError, match="does not verify"):
        verify_message(signed, ec.derive_private_key(78, ec.SECP521R1()).public_key())


def altered(change):  # type: ignore[no-untyped-def]
    """A signed request, altered, and signed again where SignedInfo changed: only the change is wrong."""
    key = KEYS[0].values[0]
    signed = through_exi(sign_message(authorization(), key))
    before = exi.encode_fragment(signed.header.signature.signed_info, "SignedInfo", schema_set="xmldsig")
    change(signed)
    info = signed.header.signature.signed_info
    after = exi.encode_fragment(info, "SignedInfo", schema_set="xmldsig")
    if after != before:
        signed.header.signature.signature_value.value = sign(key, after)
    return signed, key.public_key()


def reference(message) -> xmldsig.Reference:  # type: ignore[no-untyped-def]
    return message.header.signature.signed_info.reference[0]


def _two_references(message) -> None:  # type: ignore[no-untyped-def]
    message.header.signature.signed_info.reference.append(reference(message))


def _two_transforms(message) -> None:  # type: ignore[no-untyped-def]
    transforms = reference(message).transforms
    assert transforms is not None
    transforms.transform.append(transforms.transform[0])


def _xpath(message) -> None:  # type: ignore[no-untyped-def]
    transforms = reference(message).transforms
    assert transforms is not None
    transforms.transform[0].content.append(xmldsig.XPath(value="//*"))


def _set(path: str, value: object):  # type: ignore[no-untyped-def]
    *parents, last = path.split(".")

    def change(message) -> None:  # type: ignore[no-untyped-def]
        target = message
        for name in parents:
            target = reference(message) if name == "reference" else getattr(target, name)
        setattr(target, last, value)

    return change


INFO = "header.signature.signed_info"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("authorization_mode.gen_challenge", bytes(16)), "digest of PnC_AReqAuthorizationMode"),
        (_set("authorization_mode.id", "ID2"), "names no signed element"),
        (_set("reference.uri", "#ID9"), "names no signed element"),
        (_set("reference.uri", "ID1"), "names no signed element"),
        (_set("reference.uri", None), "names no signed element"),
        (_set("reference.digest_value", bytes(64)), "digest of"),
        (_set("reference.digest_method.algorithm", ECDSA_SHA256.digest_uri), "DigestMethod"),
        (_set(f"{INFO}.signature_method.algorithm", ECDSA_SHA256.signature_uri), "does not go with the key"),
        (_set(f"{INFO}.canonicalization_method.algorithm", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"),
         "is not EXI"),
        (_set("header.signature.signature_value.value", bytes(131)), "131 octets, not 132"),
        (_set("header.signature.signature_value.value", bytes(132)), "does not verify"),
        (_two_references, "two References"),
        (_two_transforms, "2 transforms"),
        (_xpath, "not plain EXI"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(change, words: str) -> None:  # type: ignore[no-untyped-def]
    message, key = altered(change)
    with pytest.raises(SignatureError, match=words):
        verify_message(message, key)


def test_signed_info_altered_under_the_old_signature_is_refused() -> None:
    key = KEYS[0].values[0]
    signed = sign_message(authorization(), key)
    other = sign_message(msgspec.structs.replace(authorization(), authorization_mode=msgspec.structs.replace(
        authorization().authorization_mode, gen_challenge=bytes(16))), key)  # fmt: skip
    assert other.header.signature is not None
    assert signed.header.signature is not None
    other.header.signature.signature_value = signed.header.signature.signature_value
    with pytest.raises(SignatureError, match="does not verify"):
        verify_message(other, key.public_key())


def test_tolerated_departures_are_named() -> None:
    def strange(message) -> None:  # type: ignore[no-untyped-def]
        reference(message).transforms = None
        reference(message).type = "http://example.org/"

    message, key = altered(strange)
    said = verify_message(message, key).deviations
    assert any("no Transforms" in text for text in said)
    assert any("Type" in text for text in said)
    edwards = KEYS[1].values[0]
    signed = sign_message(authorization(), edwards, method=ED448_RFC_9231)
    assert "RFC 9231" in verify_message(signed, edwards.public_key()).deviations[0]


def test_messages_without_signature_or_signed_elements() -> None:
    with pytest.raises(SignatureError, match="AuthorizationReq: there is no Signature"):
        verify_message(authorization(), KEYS[0].values[0].public_key())
    eim = common.AuthorizationReq(
        header=HEADER,
        selected_authorization_service=common.Authorization.EIM,
        authorization_mode=common.EIM_AReqAuthorizationMode(),
    )
    assert signed_elements(eim) == []
    with pytest.raises(SignatureError, match="AuthorizationReq: no element with an Id"):
        sign_message(eim, KEYS[0].values[0])
