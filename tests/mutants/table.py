"""The planted defects, by name."""

from __future__ import annotations

from . import evcc_dialogue, evcc_energy, secc_link, secc_order, secc_values
from .model import TABLE, Mutant

__all__ = ["MUTANTS", "PARTS", "Mutant"]

PARTS = (secc_order, secc_values, secc_link, evcc_dialogue, evcc_energy)
"""The modules that fill the table."""
MUTANTS: tuple[Mutant, ...] = tuple(TABLE.values())
