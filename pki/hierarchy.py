"""A whole V2G hierarchy: minted in one go, kept in a directory, extended leaf by leaf."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x448

from pki.certificate import Credential, Urls, create_file, draft, pem, subject_name
from pki.keys import Entropy, seeded_entropy, system_entropy
from pki.profiles import ALLOWED_FAMILIES, DEFAULT_FAMILY, Edition, Family, Role, profile

MANIFEST = "hierarchy.json"


@dataclass(frozen=True)
class Node:
    """One certificate of the plan: its name in files, its role, its issuer and its subject."""

    name: str
    role: Role
    issuer: str | None
    cn: str
    organisation: str
    dc: str | None = None
    foreign_key: str | None = None  # a cross certificate certifies the key of this other root


_OPERATOR, _OEM, _EMSP, _CPS = "HLC Lab CPO", "HLC Lab OEM", "HLC Lab eMSP", "HLC Lab CPS"

# Identifiers follow the syntax of the standard; the letters I, O and Q do not occur in those of the vehicle.
# The last character is the check character; it is a placeholder, not computed.
SECCID = "DEHLCS" + "0" * 31 + "1" + "X"
EVCCID = "WMZV" + "123456789ABCDEF" + "X"
PCID = "WMZP" + "1234567890ABC" + "X"
EMAID = "DEHLCC12345678"

PLAN: tuple[Node, ...] = (
    Node("v2g_root", Role.V2G_ROOT, None, "HLC V2G Root", "HLC Lab", "V2G"),
    Node("cpo_sub1", Role.SUB_CA1, "v2g_root", "HLC CPO Sub-CA 1", _OPERATOR, "CPO"),
    Node("cpo_sub2", Role.SUB_CA2, "cpo_sub1", "HLC CPO Sub-CA 2", _OPERATOR, "CPO"),
    Node("secc", Role.SECC, "cpo_sub2", SECCID, _OPERATOR, "CPO"),
    Node("cps_sub1", Role.SUB_CA1, "v2g_root", "HLC CPS Sub-CA 1", _CPS, "CPS"),
    Node("cps_sub2", Role.SUB_CA2, "cps_sub1", "HLC CPS Sub-CA 2", _CPS, "CPS"),
    Node("cps", Role.CPS, "cps_sub2", "HLC Provisioning Service", _CPS, "CPS"),
    Node("oem_root", Role.OEM_ROOT, None, "HLC OEM Root", _OEM, "OEM"),
    Node("oem_sub1", Role.SUB_CA1, "oem_root", "HLC OEM Sub-CA 1", _OEM, "OEM"),
    Node("oem_sub2", Role.SUB_CA2, "oem_sub1", "HLC OEM Sub-CA 2", _OEM, "OEM"),
    Node("vehicle", Role.VEHICLE, "oem_sub2", EVCCID, _OEM),
    Node("oem_provisioning", Role.OEM_PROVISIONING, "oem_sub2", PCID, _OEM, "OEM"),
    Node("mo_root", Role.MO_ROOT, None, "HLC eMSP Root", _EMSP, "MO"),
    Node("mo_sub1", Role.SUB_CA1, "mo_root", "HLC eMSP Sub-CA 1", _EMSP, "MO"),
    Node("mo_sub2", Role.SUB_CA2, "mo_sub1", "HLC eMSP Sub-CA 2", _EMSP, "MO"),
    Node("contract", Role.CONTRACT, "mo_sub2", EMAID, _EMSP, "MO"),
    Node("pe_root", Role.PE_ROOT, None, "HLC Private Environment Root", "HLC Home", "PE"),
    Node("pe_secc", Role.SECC, "pe_root", SECCID[:-2] + "2X", "HLC Home", "CPO"),
    Node("v2g_root_b", Role.V2G_ROOT, None, "HLC V2G Root B", "HLC Lab B", "V2G"),
    Node("cpo_b_sub1", Role.SUB_CA1, "v2g_root_b", "HLC CPO B Sub-CA 1", "HLC Lab CPO B", "CPO"),
    Node("cpo_b_sub2", Role.SUB_CA2, "cpo_b_sub1", "HLC CPO B Sub-CA 2", "HLC Lab CPO B", "CPO"),
    Node("secc_b", Role.SECC, "cpo_b_sub2", SECCID[:-2] + "3X", "HLC Lab CPO B", "CPO"),
    Node("cross_b", Role.CROSS, "v2g_root", "HLC V2G Root B", "HLC Lab B", "V2G", foreign_key="v2g_root_b"),
)

_ISSUING_CA = {
    Role.SECC: "cpo_sub2",
    Role.VEHICLE: "oem_sub2",
    Role.OEM_PROVISIONING: "oem_sub2",
    Role.CONTRACT: "mo_sub2",
    Role.CPS: "cps_sub2",
}


@dataclass
class Hierarchy:
    """Named credentials of one edition and key family, and what has been revoked.

    `mint` builds all of `PLAN` and an OCSP signer for every CA; the same seed on the same day gives the
    same bytes, keys included, so a seeded hierarchy protects nothing outside a test.
    """

    edition: Edition
    family: Family
    created: datetime
    urls: Urls = field(default_factory=Urls)
    credentials: dict[str, Credential] = field(default_factory=dict)
    revoked: dict[int, tuple[datetime, str]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Credential:
        try:
            return self.credentials[name]
        except KeyError:
            raise KeyError(f"no certificate {name!r}; there are {', '.join(self.credentials)}") from None

    @classmethod
    def mint(
        cls,
        edition: Edition = Edition.ISO_20,
        family: Family | None = None,
        *,
        seed: str | None = None,
        now: datetime | None = None,
        urls: Urls | None = None,
        critical_identifiers: bool = False,
    ) -> Hierarchy:
        """Every chain of `edition`. `critical_identifiers` marks SKI, AKI and AIA critical, as Annex B of the
        first edition prints them; OpenSSL refuses such chains, so it is off unless asked for."""
        family = family or DEFAULT_FAMILY[edition]
        if family not in ALLOWED_FAMILIES[edition]:
            raise ValueError(f"edition {edition} does not use {family} keys")
        today = (now or datetime.now(UTC)).astimezone(UTC)
        created = today.replace(hour=0, minute=0, second=0, microsecond=0)
        result = cls(edition, family, created, urls or Urls())
        entropy = seeded_entropy(f"{seed}/{edition}/{family}") if seed is not None else system_entropy
        for node in PLAN:
            if node.role is Role.VEHICLE and edition is Edition.ISO_2:
                continue
            result._add(node, entropy, critical_identifiers=critical_identifiers)
        for ca in [c for c in result.credentials.values() if c.name != "cross_b"]:
            if ca.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
                cn = f"OCSP of {ca.name}"
                result._add(Node(f"ocsp_{ca.name}", Role.OCSP_SIGNER, ca.name, cn, "HLC Lab OCSP"), entropy)
        return result

    def _add(
        self,
        node: Node,
        entropy: Entropy,
        *,
        days: int | None = None,
        not_before: datetime | None = None,
        critical_identifiers: bool = False,
    ) -> Credential:
        issuer = None if node.issuer is None else self[node.issuer]
        dc = "EV" if node.role is Role.VEHICLE and self.edition is Edition.AMD1 else node.dc
        # Parents start before their children, so that no certificate is valid outside its issuer's validity.
        depth = 0 if issuer is None else len(issuer.path) + 1
        tolerated = profile(node.role, self.edition, self.family).tolerated_usage
        finished = draft(
            node.name,
            node.role,
            edition=self.edition,
            family=self.family,
            issuer=issuer,
            subject=subject_name(node.cn, node.organisation, dc),
            entropy=entropy,
            not_before=not_before or self.created - timedelta(days=7 - depth),
            days=days,
            urls=self.urls,
            critical_identifiers=critical_identifiers,
            more_usage=frozenset() if node.dc == "OEM" else tolerated & {"crl_sign"},
            key=None if node.foreign_key is None else self[node.foreign_key].key,
        ).finish()
        self.credentials[node.name] = finished
        return finished

    def issue(
        self,
        role: Role,
        cn: str,
        *,
        name: str,
        organisation: str | None = None,
        days: int | None = None,
        seed: str | None = None,
        now: datetime | None = None,
    ) -> Credential:
        """One more leaf under the CA of its role; valid from the start of today."""
        if role not in _ISSUING_CA or (role is Role.VEHICLE and self.edition is Edition.ISO_2):
            raise ValueError(f"no CA of this hierarchy issues {role} certificates")
        if not name or set(name) & set("/\\\0") or name.startswith("."):
            raise ValueError(
                f"name {name!r}: it becomes the name of files, so no separators and no dot first"
            )
        if name in self.credentials:
            raise FileExistsError(f"the hierarchy already has a certificate {name!r}")
        template = next(node for node in PLAN if node.role is role)
        entropy = (
            seeded_entropy(f"{seed}/{self.edition}/{self.family}") if seed is not None else system_entropy
        )
        node = Node(name, role, template.issuer, cn, organisation or template.organisation, template.dc)
        day = (now or datetime.now(UTC)).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return self._add(node, entropy, days=days, not_before=day)

    def cross_chain(self) -> list[bytes]:
        """SECC B as sent to an EV that holds only root A: four certificates, the cross certificate last."""
        return [*self["secc_b"].chain_der, self["cross_b"].der]

    def roots(self, *names: str) -> bytes:
        """A PEM bundle of the named roots, or of all of them."""
        chosen = names or [c.name for c in self.credentials.values() if c.issuer is None]
        return b"".join(self[name].pem for name in chosen)

    def write(self, directory: Path, *, overwrite: bool = False) -> None:
        """Writes every file and the manifest. An existing hierarchy is left alone unless `overwrite`."""
        manifest = directory / MANIFEST
        if manifest.exists() and not overwrite:
            raise FileExistsError(
                f"{directory} already holds a hierarchy; choose another directory, or --overwrite"
            )
        for credential in self.credentials.values():
            credential.write(directory, overwrite=overwrite)
        create_file(directory / "roots.pem", self.roots(), overwrite=overwrite)
        chain = b"".join(pem(der) for der in self.cross_chain())
        create_file(directory / "chains" / "secc_b_cross.pem", chain, overwrite=overwrite)
        self.write_manifest(directory)

    def write_manifest(self, directory: Path) -> None:
        data = {
            "format": 1,
            "edition": self.edition,
            "family": self.family,
            "created": self.created.isoformat(),
            "urls": {"ocsp": self.urls.ocsp, "crl": self.urls.crl},
            "certificates": [
                {"name": c.name, "role": c.role, "issuer": c.issuer.name if c.issuer else None}
                for c in self.credentials.values()
            ],
            "revoked": [
                {"serial": f"{serial:x}", "at": at.isoformat(), "reason": reason}
                for serial, (at, reason) in self.revoked.items()
            ],
        }
        text = json.dumps(data, indent=2).encode() + b"\n"
        create_file(directory / MANIFEST, text, overwrite=True)

    @classmethod
    def load(cls, directory: Path) -> Hierarchy:
        """Reads back what `write` wrote."""
        manifest = directory / MANIFEST
        try:
            data = json.loads(manifest.read_text())
        except FileNotFoundError:
            lacking = (
                f"holds no hierarchy ({MANIFEST} is missing)" if directory.is_dir() else "does not exist"
            )
            raise FileNotFoundError(f"{directory} {lacking}: v2g-pki mint --out DIR makes one") from None
        except ValueError as error:
            raise ValueError(f"{manifest}: {error}") from None
        known = data.get("format") if isinstance(data, dict) else None
        if known != 1:
            raise ValueError(f"{manifest}: format {known!r} is not known, 1 is")
        try:
            result = cls(
                Edition(data["edition"]),
                Family(data["family"]),
                datetime.fromisoformat(data["created"]),
                Urls(**data["urls"]),
            )
            entries = [
                (entry["name"], Role(entry["role"]), entry["issuer"]) for entry in data["certificates"]
            ]
            result.revoked = {
                int(entry["serial"], 16): (datetime.fromisoformat(entry["at"]), entry["reason"])
                for entry in data["revoked"]
            }
        except KeyError as error:
            raise ValueError(f"{manifest}: {error.args[0]} is missing") from None
        except (TypeError, ValueError) as error:
            raise ValueError(f"{manifest}: {error}") from None
        for name, role, issuer in entries:
            if issuer is not None and issuer not in result.credentials:
                raise ValueError(
                    f"{manifest}: {name} names the issuer {issuer!r}, which is not listed before it"
                )
            result.credentials[name] = _read(directory, name, role, result.credentials.get(issuer))
        return result

    def leaves(self) -> Iterable[Credential]:
        """Every certificate that is not a CA and not an OCSP signer."""
        leaf_roles = set(_ISSUING_CA)
        return (c for c in self.credentials.values() if c.role in leaf_roles)


def _read(directory: Path, name: str, role: Role, issuer: Credential | None) -> Credential:
    path = directory / "certs" / f"{name}.pem"
    try:
        der = x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(serialization.Encoding.DER)
        path = directory / "keys" / f"{name}.key"
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        agreement = None
        if (extra := directory / "keys" / f"{name}.x448.key").exists():
            path = extra
            loaded = serialization.load_pem_private_key(path.read_bytes(), None)
            if not isinstance(loaded, x448.X448PrivateKey):
                raise ValueError
            agreement = loaded
    except (TypeError, ValueError):
        raise ValueError(f"{path}: not the PEM of a certificate or key without password") from None
    return Credential(name, role, der, key, issuer, agreement)  # type: ignore[arg-type]
