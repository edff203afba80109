"""Hierarchies and TLS configurations shared by the security tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from hlc_sim.transport.tls import TLSConfig, TLSCredential
from iso15118.security import chain
from pki.hierarchy import Hierarchy
from pki.profiles import Edition, Family
from pki.revocation import staple

Minter = Callable[..., Hierarchy]


@cache
def mint(edition: Edition = Edition.ISO_20, family: Family | None = None) -> Hierarchy:
    return Hierarchy.mint(edition, family, seed="tests")


@pytest.fixture(scope="session")
def minted() -> Minter:
    return mint


def credential(hierarchy: Hierarchy, name: str, *, stapled: bool = False) -> TLSCredential:
    own = hierarchy[name]
    return TLSCredential(tuple(own.chain_der), own.key, staple(hierarchy, name) if stapled else None)


def secc_config(hierarchy: Hierarchy, **more: object) -> TLSConfig:
    roots = (hierarchy["v2g_root"].certificate, hierarchy["oem_root"].certificate)
    policy = chain.Policy(chain.Edition(hierarchy.edition))
    settings = {
        "credentials": (credential(hierarchy, "secc", stapled=True),),
        "roots": roots,
        "policy": policy,
    }
    return TLSConfig(**(settings | more))  # type: ignore[arg-type]


def evcc_config(hierarchy: Hierarchy, **more: object) -> TLSConfig:
    policy = chain.Policy(chain.Edition(hierarchy.edition))
    settings = {
        "credentials": (credential(hierarchy, "vehicle"),) if "vehicle" in hierarchy.credentials else (),
        "roots": (hierarchy["v2g_root"].certificate,),
        "policy": policy,
    }
    return TLSConfig(**(settings | more))  # type: ignore[arg-type]
