"""Planted defects go in, and leave nothing behind."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from hlc_sim.fuzz.walks import walk
from iso15118.session.events import Role

from .model import Kind, Mutant
from .table import MUTANTS

SOUND = walk("dc")


def session() -> Any:
    """A whole DC session of our own two sides, as it was said."""
    return walk.__wrapped__("dc")


def now(owner: Any, name: Any) -> object:
    if isinstance(owner, dict):
        return owner[name]
    return vars(owner).get(name, getattr(owner, name))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_defect_is_put_in_and_taken_out(mutant: Mutant) -> None:
    with mutant.patch() as plant:
        assert plant.places
        assert all(now(owner, name) is not before for owner, name, before in plant.places)
        with contextlib.suppress(Exception):  # some defects break every session
            session()
    assert all(now(owner, name) is before for owner, name, before in plant.places)
    assert session() == SOUND


def test_both_sides_have_defects_of_most_kinds() -> None:
    for role in Role:
        own = [mutant for mutant in MUTANTS if mutant.role is role]
        assert len(own) >= 30
        assert all(mutant.name.startswith(role.value.lower()) for mutant in own)
        assert len({mutant.kind for mutant in own}) >= 8
    assert {mutant.kind for mutant in MUTANTS} == set(Kind)
