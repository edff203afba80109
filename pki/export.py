"""Copies of a hierarchy in the file layouts other stacks read.

Both layouts carry plain (unencrypted) private keys beside an empty password file: they are for a lab.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pki.certificate import Credential, create_file
from pki.hierarchy import Hierarchy
from pki.profiles import Edition


class _Tree:
    def __init__(self, base: Path, overwrite: bool) -> None:
        self.base, self.overwrite, self.written = base, overwrite, list[Path]()

    def put(self, path: str, data: bytes, secret: bool = False) -> None:
        create_file(self.base / path, data, secret=secret, overwrite=self.overwrite)
        self.written.append(self.base / path)


def _client(hierarchy: Hierarchy) -> Credential:
    """What the EV presents in TLS: the vehicle leaf, or in -2, which has none, the provisioning leaf."""
    return hierarchy["oem_provisioning" if hierarchy.edition is Edition.ISO_2 else "vehicle"]


def export_josev(
    hierarchy: Hierarchy, directory: Path, *, vehicle_as_oem: bool = False, overwrite: bool = False
) -> list[Path]:
    """The tree Josev reads as PKI_PATH: `iso15118_2/{certs,private_keys}`, for -2 and -20 alike.

    Josev has one OEM leaf for TLS and for CertificateInstallationReq. It is the provisioning leaf unless
    `vehicle_as_oem`: then its EV presents the vehicle leaf in TLS, as ISO 15118-20 wants it.
    """
    tree = _Tree(directory / "iso15118_2", overwrite)
    oem_leaf = hierarchy["vehicle"] if vehicle_as_oem else hierarchy["oem_provisioning"]
    certificates: Iterable[tuple[str, Credential]] = (
        ("v2gRootCA", hierarchy["v2g_root"]),
        ("cpoSubCA1", hierarchy["cpo_sub1"]),
        ("cpoSubCA2", hierarchy["cpo_sub2"]),
        ("seccLeaf", hierarchy["secc"]),
        ("cpsSubCA1", hierarchy["cps_sub1"]),
        ("cpsSubCA2", hierarchy["cps_sub2"]),
        ("cpsLeaf", hierarchy["cps"]),
        ("oemRootCA", hierarchy["oem_root"]),
        ("oemSubCA1", hierarchy["oem_sub1"]),
        ("oemSubCA2", hierarchy["oem_sub2"]),
        ("oemLeaf", oem_leaf),
        ("moRootCA", hierarchy["mo_root"]),
        ("moSubCA1", hierarchy["mo_sub1"]),
        ("moSubCA2", hierarchy["mo_sub2"]),
        ("contractLeaf", hierarchy["contract"]),
    )
    for name, credential in certificates:
        tree.put(f"certs/{name}Cert.pem", credential.pem)
        tree.put(f"certs/{name}Cert.der", credential.der)
        tree.put(f"private_keys/{name}.key", credential.key_pem, secret=True)
        tree.put(f"private_keys/{name}Password.txt", b"", secret=True)
    tree.put("private_keys/moSubCA2LeafPassword.txt", b"", secret=True)
    for name, credential in (
        ("cpo", hierarchy["secc"]),
        ("oem", oem_leaf),
        ("mo", hierarchy["contract"]),
        ("cps", hierarchy["cps"]),
    ):
        tree.put(f"certs/{name}CertChain.pem", credential.chain_pem)
    return tree.written


def export_everest(hierarchy: Hierarchy, directory: Path, *, overwrite: bool = False) -> list[Path]:
    """The `certs` tree of EVerest (`ca/...` for trust, `client/...` for own leaves)."""
    tree = _Tree(directory, overwrite)
    vehicle = _client(hierarchy)
    authorities: Iterable[tuple[str, str, str]] = (
        ("v2g", "V2G_ROOT_CA", "v2g_root"),
        ("oem", "OEM_ROOT_CA", "oem_root"),
        ("oem", "OEM_SUB_CA1", "oem_sub1"),
        ("oem", "OEM_SUB_CA2", "oem_sub2"),
        ("mo", "MO_ROOT_CA", "mo_root"),
        ("mo", "MO_SUB_CA1", "mo_sub1"),
        ("mo", "MO_SUB_CA2", "mo_sub2"),
        ("cso", "CPO_SUB_CA1", "cpo_sub1"),
        ("cso", "CPO_SUB_CA2", "cpo_sub2"),
        ("cps", "CPS_SUB_CA1", "cps_sub1"),
        ("cps", "CPS_SUB_CA2", "cps_sub2"),
    )
    for folder, file, name in authorities:
        tree.put(f"ca/{folder}/{file}.pem", hierarchy[name].pem)
        tree.put(f"ca/{folder}/{file}.der", hierarchy[name].der)
    tree.put("ca/mo/INTERMEDIATE_MO_CA_CERTS.pem", hierarchy["mo_sub1"].pem + hierarchy["mo_sub2"].pem)
    leaves: Iterable[tuple[str, str, str, Credential]] = (
        ("cso", "SECC_LEAF", "CPO_CERT_CHAIN", hierarchy["secc"]),
        ("oem", "OEM_LEAF", "OEM_CERT_CHAIN", hierarchy["oem_provisioning"]),
        ("vehicle", "VEHICLE_LEAF", "VEHICLE_CERT_CHAIN", vehicle),
        ("mo", "MO_LEAF", "MO_CERT_CHAIN", hierarchy["contract"]),
        ("cps", "CPS_LEAF", "CPS_CERT_CHAIN", hierarchy["cps"]),
    )
    for folder, file, chain, credential in leaves:
        tree.put(f"client/{folder}/{file}.pem", credential.pem)
        tree.put(f"client/{folder}/{file}.der", credential.der)
        tree.put(f"client/{folder}/{file}.key", credential.key_pem, secret=True)
        tree.put(f"client/{folder}/{file}_PASSWORD.txt", b"", secret=True)
        tree.put(f"client/{folder}/{chain}.pem", credential.chain_pem)
        if folder in ("oem", "vehicle"):
            tree.put(f"ca/{folder}/{chain}.pem", credential.chain_pem)
    return tree.written
