"""Hierarchies shared by the tests: seeded, minted once per edition and key family."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from pki.hierarchy import Hierarchy
from pki.profiles import Edition, Family

Minter = Callable[..., Hierarchy]


@cache
def _mint(edition: Edition, family: Family | None) -> Hierarchy:
    return Hierarchy.mint(edition, family, seed="tests")


@pytest.fixture(scope="session")
def minted() -> Minter:
    def mint(edition: Edition = Edition.ISO_20, family: Family | None = None) -> Hierarchy:
        return _mint(edition, family)

    return mint
