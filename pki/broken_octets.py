"""Variants below the level of X.509 libraries: odd structures and odd octets, properly signed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from pki.asn1 import edit_octets, mutate, sign, split, tlv, with_signature, wrap
from pki.broken import Broken, Variant, Workshop
from pki.certificate import Credential
from pki.keys import AnyPrivateKey
from pki.profiles import Family

Octets: TypeAlias = Callable[[Credential], bytes]
Tbs: TypeAlias = dict[str, Any]

_BC, _KU, _SKI, _EKU = "2.5.29.19", "2.5.29.15", "2.5.29.14", "2.5.29.37"
_ECDSA_SHA1 = "1.2.840.10045.4.1"
_ECDSA_SHA256 = "1.2.840.10045.4.3.2"

# Domain parameters of secp521r1 (SEC 2 version 2, section 2.6.1), to spell them out.
_P521_PRIME = (1 << 521) - 1
_P521_B = 0x0051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00  # noqa: E501


def _tbs(change: Callable[[Tbs], object]) -> Octets:
    return lambda credential: mutate(credential, change)


def _extension(oid: str, change: Callable[[dict[str, Any]], object]) -> Octets:
    def apply(tbs: Tbs) -> None:
        change(next(e for e in tbs["extensions"] if e["extnID"] == oid))

    return _tbs(apply)


def _set(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda target: target.__setitem__(key, value)


def _duplicate(oid: str) -> Callable[[Tbs], None]:
    def apply(tbs: Tbs) -> None:
        tbs["extensions"].append(dict(next(e for e in tbs["extensions"] if e["extnID"] == oid)))

    return apply


def _unmark(tbs: Tbs) -> None:
    next(e for e in tbs["extensions"] if e["extnID"] == _SKI)["critical"] = False


def _point(change: Callable[[bytes], bytes]) -> Octets:
    def apply(tbs: Tbs) -> None:
        octets, _ = tbs["subjectPublicKeyInfo"]["subjectPublicKey"]
        changed = change(octets)
        tbs["subjectPublicKeyInfo"]["subjectPublicKey"] = (changed, len(changed) * 8)

    return _tbs(apply)


def _compressed(point: bytes) -> bytes:
    half = (len(point) - 1) // 2
    return bytes([2 + (point[-1] & 1)]) + point[1 : 1 + half]


def _hybrid(point: bytes) -> bytes:
    return bytes([6 + (point[-1] & 1)]) + point[1:]


def _off_curve(point: bytes) -> bytes:
    return point[:-1] + bytes([point[-1] ^ 1])


def _parameters(value: tuple[str, Any] | None) -> Callable[[Tbs], None]:
    def apply(tbs: Tbs) -> None:
        algorithm = tbs["subjectPublicKeyInfo"]["algorithm"]
        if value is None:
            del algorithm["parameters"]
        else:
            algorithm["parameters"] = value

    return apply


def _explicit(own_generator: bool) -> Callable[[Tbs], None]:
    """secp521r1 spelt out; with the subject's own point as generator it is the shape of CVE-2020-0601."""
    curve = ec.SECP521R1()
    generator = ec.derive_private_key(1, curve).public_key()

    def apply(tbs: Tbs) -> None:
        encoding, form = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        base = generator.public_bytes(encoding, form)
        if own_generator:
            base, _ = tbs["subjectPublicKeyInfo"]["subjectPublicKey"]
        parameters = {
            "version": 1,
            "fieldID": {"fieldType": "1.2.840.10045.1.1", "prime": _P521_PRIME},
            "curve": {"a": (_P521_PRIME - 3).to_bytes(66, "big"), "b": (_P521_B >> 8).to_bytes(66, "big")},
            "base": base,
            "order": curve.group_order,
            "cofactor": 1,
        }
        _parameters(("explicit", parameters))(tbs)

    return apply


def _cn(value: tuple[str, Any]) -> Callable[[Tbs], None]:
    def apply(tbs: Tbs) -> None:
        tbs["subject"][0][0]["value"] = value

    return apply


def _issuer_string_type(tbs: Tbs) -> None:
    kind, text = tbs["issuer"][0][0]["value"]
    tbs["issuer"][0][0]["value"] = ("printable" if kind == "utf8" else "utf8", text)


def _inner_algorithm(credential: Credential) -> bytes:
    (_, body), *_ = split(credential.der)
    (_, _tbs_body), (_, algorithm), _ = split(body)
    return mutate(
        credential,
        lambda tbs: tbs["signature"].__setitem__("algorithm", _ECDSA_SHA256),
        outer_algorithm=tlv(0x30, algorithm),
    )


def _sha1(credential: Credential) -> bytes:
    def change(tbs: Tbs) -> None:
        tbs["signature"] = {"algorithm": _ECDSA_SHA1}

    return mutate(credential, change, digest=hashes.SHA1())


def _null_parameters(tbs: Tbs) -> None:
    tbs["signature"]["parameters"] = ("none", None)


def _raw_signature(credential: Credential) -> bytes:
    def change(signature: bytes) -> bytes:
        r, s = decode_dss_signature(signature)
        return r.to_bytes(66, "big") + s.to_bytes(66, "big")

    return with_signature(credential, change)


def _flip_signature(credential: Credential) -> bytes:
    return with_signature(credential, lambda value: value[:-1] + bytes([value[-1] ^ 1]))


def _cn_octets(tag: int, octets: bytes) -> Octets:
    def build(credential: Credential) -> bytes:
        name = credential.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0]
        return edit_octets(credential, tlv(0x0C, str(name.value).encode()), tlv(tag, octets))

    return build


def _not_after(text: bytes) -> Octets:
    def build(credential: Credential) -> bytes:
        old = credential.certificate.not_valid_after_utc.strftime("%y%m%d%H%M%SZ").encode()
        return edit_octets(credential, tlv(0x17, old), tlv(0x17, text))

    return build


def _long_length(credential: Credential) -> bytes:
    """The length of the TBS in three octets where two would do, signed as it stands."""
    return _respell(credential, lambda body: b"\x30\x83" + len(body).to_bytes(3, "big") + body)


def _indefinite(credential: Credential) -> bytes:
    return _respell(credential, lambda body: b"\x30\x80" + body + b"\0\0")


def _respell(credential: Credential, spell: Callable[[bytes], bytes]) -> bytes:
    assert credential.issuer is not None
    (_, body), *_ = split(credential.der)
    (_, tbs), (_, algorithm), _ = split(body)
    changed = spell(tbs)
    return wrap(changed, tlv(0x30, algorithm), sign(credential.issuer.key, changed))


_P521_ONLY = (Family.P521,)
_ANY = (Family.P521, Family.ED448)

# name, what is wrong, rule, how, families
_TABLE: tuple[tuple[str, str, str, Octets, tuple[Family, ...]], ...] = (
    ("serial-zero", "serial number 0", "serial-number", _tbs(_set("serialNumber", 0)), _ANY),
    ("serial-negative", "serial number -1", "serial-number", _tbs(_set("serialNumber", -1)), _ANY),
    ("serial-40", "serial number of 40 octets", "serial-number",
     _tbs(_set("serialNumber", (1 << 319) - 1)), _ANY),
    ("version-1", "version 1 with extensions", "malformed", _tbs(_set("version", 0)), _ANY),
    ("version-4", "version 4", "malformed", _tbs(_set("version", 3)), _ANY),
    ("duplicate-key-usage", "keyUsage twice", "malformed", _tbs(_duplicate(_KU)), _ANY),
    ("critical-false", "critical FALSE written out", "malformed", _tbs(_unmark), _ANY),
    ("path-length-negative", "pathLenConstraint -1", "malformed",
     _extension(_BC, _set("extnValue", bytes.fromhex("30060101ff0201ff"))), _ANY),
    ("key-usage-empty", "keyUsage with no bit set", "key-usage",
     _extension(_KU, _set("extnValue", bytes.fromhex("030100"))), _ANY),
    ("key-usage-padded", "keyUsage bits with a trailing zero octet, not DER", "not-der",
     _extension(_KU, _set("extnValue", bytes.fromhex("0303038800"))), _ANY),
    ("eku-empty", "extKeyUsage with no purpose", "malformed",
     _extension(_EKU, _set("extnValue", bytes.fromhex("3000"))), _ANY),
    ("ski-bare", "subjectKeyIdentifier without its OCTET STRING", "malformed",
     _extension(_SKI, _set("extnValue", bytes(20))), _ANY),
    ("compressed-key", "compressed public point", "key-encoding", _point(_compressed), _P521_ONLY),
    ("hybrid-key", "hybrid public point", "key-encoding", _point(_hybrid), _P521_ONLY),
    ("infinity-key", "public point at infinity", "key-encoding", _point(lambda point: b"\0"), _P521_ONLY),
    ("off-curve-key", "public point not on the curve", "key-encoding", _point(_off_curve), _P521_ONLY),
    ("explicit-curve", "curve parameters spelt out", "key-encoding", _tbs(_explicit(False)), _P521_ONLY),
    ("own-generator", "curve parameters with the subject's point as generator", "key-encoding",
     _tbs(_explicit(True)), _P521_ONLY),
    ("curve-mismatch", "curve P-384 named for a P-521 point", "key-encoding",
     _tbs(_parameters(("namedCurve", "1.3.132.0.34"))), _P521_ONLY),
    ("no-curve", "no curve named", "malformed", _tbs(_parameters(None)), _P521_ONLY),
    ("null-parameters", "NULL parameters in the signature algorithm", "malformed", _tbs(_null_parameters),
     _P521_ONLY),
    ("inner-algorithm", "inner and outer signature algorithm differ", "signature", _inner_algorithm, _ANY),
    ("sha1", "signed with ecdsa-with-SHA1", "signature-algorithm", _sha1, _P521_ONLY),
    ("raw-signature", "signature as r || s, not DER", "signature", _raw_signature, _P521_ONLY),
    ("signature-bit", "last bit of the signature flipped", "signature", _flip_signature, _ANY),
    ("issuer-string-type", "issuer name in another string type than the issuer's subject", "signature",
     _tbs(_issuer_string_type), _ANY),
    ("cn-bmp", "common name as BMPString", "name-string",
     _cn_octets(0x1E, "WMZV123456789ABCDEFX".encode("utf-16-be")), _ANY),
    ("cn-integer", "common name as INTEGER", "malformed", _tbs(_cn(("integer", 42))), _ANY),
    ("cn-bad-utf8", "common name is no UTF-8", "malformed", _cn_octets(0x0C, b"WMZV\xff\xfe\x80"), _ANY),
    ("time-no-seconds", "notAfter without seconds", "malformed", _not_after(b"3001010000Z"), _ANY),
    ("time-offset", "notAfter with a time zone offset", "malformed", _not_after(b"300101000000+0100"), _ANY),
    ("time-month-13", "notAfter in month 13", "malformed", _not_after(b"301301000000Z"), _ANY),
    ("long-length", "a length in more octets than needed", "malformed", _long_length, _ANY),
    ("indefinite-length", "indefinite length (BER)", "malformed", _indefinite, _ANY),
    ("trailing-octet", "an octet after the certificate", "malformed", lambda c: c.der + b"\0", _ANY),
    ("truncated", "the last octet missing", "malformed", lambda c: c.der[:-1], _ANY),
    ("not-a-certificate", "a hundred zero octets", "malformed", lambda c: bytes(100), _ANY),
)  # fmt: skip


def _variants() -> Iterable[Variant]:
    for name, wrong, rule, octets, families in _TABLE:

        def build(shop: Workshop, octets: Octets = octets) -> Broken:
            leaf = shop.hierarchy["vehicle"]
            key: AnyPrivateKey = leaf.key
            return Broken([octets(leaf), *leaf.chain_der[1:]], key)

        yield Variant(f"vehicle-{name}", "vehicle", wrong, rule, build, families=families)


OCTET_VARIANTS = tuple(_variants())
