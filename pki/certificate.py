"""One certificate: a draft that can still be changed, and the finished credential that can write itself."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa, x448
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from pki.keys import AnyPrivateKey, Entropy, PrivateKey, make_key, make_x448, signing_hash
from pki.profiles import Edition, Family, Profile, Role, profile

ALT_PUBLIC_KEY = x509.ObjectIdentifier("2.5.29.72")
"""subjectAltPublicKeyInfo of X.509 (2019): where an Ed448 provisioning certificate keeps its X448 key."""

USAGE_BITS = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def key_usage(bits: frozenset[str]) -> x509.KeyUsage:
    """A KeyUsage extension from the names of its set bits."""
    return x509.KeyUsage(**{bit: bit in bits for bit in USAGE_BITS})


def usage_bits(usage: x509.KeyUsage) -> frozenset[str]:
    """The names of the set bits; encipherOnly and decipherOnly mean nothing without keyAgreement."""
    return frozenset(
        bit
        for bit in USAGE_BITS
        if (usage.key_agreement or not bit.endswith("_only")) and getattr(usage, bit)
    )


def create_file(path: Path, data: bytes, *, secret: bool = False, overwrite: bool = False) -> None:
    """Write `data`; a secret file is never readable by others, not even for a moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if overwrite:
        path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
    with os.fdopen(handle, "wb") as file:
        file.write(data)


@dataclass(frozen=True)
class Credential:
    """A certificate with its private key and its issuer (None: self-signed).

    `der` is kept as bytes because a certificate broken on purpose need not be one that can be parsed.
    """

    name: str
    role: Role
    der: bytes
    key: AnyPrivateKey
    issuer: Credential | None = None
    agreement_key: x448.X448PrivateKey | None = None

    @property
    def signing_key(self) -> PrivateKey:
        """The key, of a kind that signs V2G messages; ValueError for another, as a broken certificate has."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            raise ValueError(f"{self.name}: an RSA key signs no V2G message")
        return self.key

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.der)

    @property
    def pem(self) -> bytes:
        return pem(self.der)

    @property
    def key_pem(self) -> bytes:
        return _key_pem(self.key)

    @property
    def path(self) -> tuple[Credential, ...]:
        """This certificate and its issuers up to, and without, the root: the order used on the wire."""
        walk: list[Credential] = []
        current: Credential | None = self
        while current is not None and current.issuer is not None:
            walk.append(current)
            current = current.issuer
        return tuple(walk)

    @property
    def root(self) -> Credential:
        return self if self.issuer is None else self.issuer.root

    @property
    def chain_der(self) -> list[bytes]:
        """The DER certificates of `path`."""
        return [link.der for link in self.path]

    @property
    def chain_pem(self) -> bytes:
        return b"".join(link.pem for link in self.path)

    def write(self, directory: Path, *, overwrite: bool = False) -> None:
        """Writes `certs/NAME.pem`, `keys/NAME.key` and, below a root, `chains/NAME.pem` under `directory`."""
        create_file(directory / "certs" / f"{self.name}.pem", self.pem, overwrite=overwrite)
        create_file(directory / "keys" / f"{self.name}.key", self.key_pem, secret=True, overwrite=overwrite)
        if self.issuer is not None:
            create_file(directory / "chains" / f"{self.name}.pem", self.chain_pem, overwrite=overwrite)
        if self.agreement_key is not None:
            data = _key_pem(self.agreement_key)
            create_file(directory / "keys" / f"{self.name}.x448.key", data, secret=True, overwrite=overwrite)


def _key_pem(key: AnyPrivateKey | x448.X448PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def pem(der: bytes) -> bytes:
    """PEM armour for any bytes that claim to be a certificate."""
    import base64

    text = base64.encodebytes(der).replace(b"\n", b"")
    lines = b"\n".join(text[i : i + 64] for i in range(0, len(text), 64))
    return b"-----BEGIN CERTIFICATE-----\n" + lines + b"\n-----END CERTIFICATE-----\n"


@dataclass(frozen=True)
class Urls:
    """Where revocation information is fetched; `{ca}` in either becomes the name of the issuing CA."""

    ocsp: str = "http://127.0.0.1:8888/"
    crl: str = "http://127.0.0.1:8888/{ca}.crl"


@dataclass
class Draft:
    """Everything that goes into one certificate, open to change until `finish`."""

    name: str
    profile: Profile
    subject: list[tuple[x509.ObjectIdentifier, str]]
    key: AnyPrivateKey
    issuer: Credential | None
    not_before: datetime
    not_after: datetime
    serial: int
    extensions: dict[x509.ObjectIdentifier, tuple[x509.ExtensionType, bool]] = field(default_factory=dict)
    signing_key: AnyPrivateKey | None = None
    digest: hashes.HashAlgorithm | None = None
    agreement_key: x448.X448PrivateKey | None = None

    @classmethod
    def of(cls, credential: Credential, edition: Edition, family: Family) -> Draft:
        """The draft that `credential` could have been made from, to issue it again with a change."""
        certificate = credential.certificate
        return cls(
            credential.name,
            profile(credential.role, edition, family),
            [(attribute.oid, str(attribute.value)) for attribute in certificate.subject],
            credential.key,
            credential.issuer,
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
            certificate.serial_number,
            {extension.oid: (extension.value, extension.critical) for extension in certificate.extensions},
        )

    def set_extension(self, value: x509.ExtensionType, critical: bool) -> None:
        self.extensions[value.oid] = (value, critical)

    def finish(self) -> Credential:
        """Signs the draft with its issuer's key (its own for a root)."""
        subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in self.subject])
        signer = self.signing_key or (self.key if self.issuer is None else self.issuer.key)
        builder = x509.CertificateBuilder(
            issuer_name=subject if self.issuer is None else self.issuer.certificate.subject,
            subject_name=subject,
            public_key=self.key.public_key(),
            serial_number=self.serial,
            not_valid_before=self.not_before,
            not_valid_after=self.not_after,
        )
        for value, critical in self.extensions.values():
            builder = builder.add_extension(value, critical)
        digest = self.digest or signing_hash(signer)
        deterministic = None if digest is None or isinstance(signer, rsa.RSAPrivateKey) else True
        certificate = builder.sign(signer, digest, ecdsa_deterministic=deterministic)  # type: ignore[arg-type]
        der = certificate.public_bytes(serialization.Encoding.DER)
        return Credential(self.name, self.profile.role, der, self.key, self.issuer, self.agreement_key)


def subject_key_id(key: AnyPrivateKey, *, short: bool = False) -> x509.SubjectKeyIdentifier:
    """Method 1 of RFC 5280, 4.2.1.2 (20 octets) or, if `short`, method 2 (0100 and the last 60 bits)."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    if not short:
        return identifier
    tail = identifier.digest[-8:]
    return x509.SubjectKeyIdentifier(bytes([0x40 | tail[0] & 0x0F]) + tail[1:])


def draft(
    name: str,
    role: Role,
    *,
    edition: Edition,
    family: Family,
    issuer: Credential | None,
    subject: list[tuple[x509.ObjectIdentifier, str]],
    entropy: Entropy,
    not_before: datetime,
    days: int | None = None,
    urls: Urls | None = None,
    critical_identifiers: bool = False,
    key: AnyPrivateKey | None = None,
    more_usage: frozenset[str] = frozenset(),
) -> Draft:
    """A draft that fulfils the profile of `role`; its validity is cut to its issuer's (shell model).

    `more_usage` adds key usage bits the profile tolerates.
    """
    cell = profile(role, edition, family)
    urls = urls or Urls()
    not_after = not_before + timedelta(days=days or cell.days)
    if issuer is not None:
        not_after = min(not_after, issuer.certificate.not_valid_after_utc)
    key = key or make_key(family, entropy, name)
    serial = int.from_bytes(entropy(f"serial {name}", 16), "big") >> 1 | 1
    result = Draft(name, cell, subject, key, issuer, not_before, not_after, serial)
    result.set_extension(x509.BasicConstraints(cell.is_ca, cell.path_length), True)
    result.set_extension(key_usage(cell.key_usage | more_usage), True)
    short = role is Role.CONTRACT and edition is not Edition.ISO_2  # 16 hex digits in the key wrapping
    result.set_extension(subject_key_id(key, short=short), critical_identifiers)
    if issuer is not None:
        identifier = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
        result.set_extension(authority, critical_identifiers)
    if cell.extended_usage is not None:
        result.set_extension(x509.ExtendedKeyUsage([cell.extended_usage]), True)
    if cell.revocation_pointers and issuer is not None:
        location = x509.UniformResourceIdentifier(urls.ocsp.format(ca=issuer.name))
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, location)
        result.set_extension(x509.AuthorityInformationAccess([access]), critical_identifiers)
        where = x509.UniformResourceIdentifier(urls.crl.format(ca=issuer.name))
        result.set_extension(
            x509.CRLDistributionPoints([x509.DistributionPoint([where], None, None, None)]), False
        )
    if cell.ocsp_no_check:
        result.set_extension(x509.OCSPNoCheck(), False)
    if role is Role.CROSS:
        repository = x509.UniformResourceIdentifier(urls.crl.format(ca="repository"))
        described = x509.AccessDescription(x509.oid.SubjectInformationAccessOID.CA_REPOSITORY, repository)
        result.set_extension(x509.SubjectInformationAccess([described]), False)
    if role is Role.OEM_PROVISIONING and family is Family.ED448:
        result.agreement_key = make_x448(entropy, name)
        spki = result.agreement_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        result.set_extension(x509.UnrecognizedExtension(ALT_PUBLIC_KEY, spki), False)
    return result


def subject_name(
    cn: str, organisation: str | None, dc: str | None
) -> list[tuple[x509.ObjectIdentifier, str]]:
    """Subject attributes in the order they are written: CN, O, DC."""
    pairs = ((NameOID.COMMON_NAME, cn), (NameOID.ORGANIZATION_NAME, organisation))
    named = [(oid, value) for oid, value in pairs if value is not None]
    return [*named, (NameOID.DOMAIN_COMPONENT, dc)] if dc else named
