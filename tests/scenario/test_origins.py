"""Every known defect has a scenario, or the reason why it has none."""

from __future__ import annotations

import pytest

from hlc_sim.scenario import library
from hlc_sim.scenario.origins import ORIGINS

PLAYED = {label for item in library().values() for label in item.origin}
ROWS = [
    *(f"EV-{number}" for number in range(1, 33) if number != 15),
    *(f"EV-15{letter}" for letter in "abcd"),
    *(f"JO-{number}" for number in range(1, 16)),
    *(f"ED-{number}" for number in range(1, 10)),
    *(f"TX-{number}" for number in range(1, 11)),
    *(f"VD-{number}" for number in range(1, 3)),
    *(f"CB-{letter}" for letter in "ABCDE"),
]


@pytest.mark.parametrize("label", ORIGINS)
def test_a_defect_has_a_scenario_or_a_reason(label: str) -> None:
    assert (label in PLAYED) is not bool(ORIGINS[label].without)


def test_the_list_is_whole_and_labels_are_spelt_right() -> None:
    assert set(ROWS) <= set(ORIGINS)
    assert set(ORIGINS) >= PLAYED
