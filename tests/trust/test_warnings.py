"""What a user is told before the first handshake."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from hlc_sim.config.trust import TrustConfig
from hlc_sim.trust import station
from pki.hierarchy import Hierarchy
from pki.profiles import Edition


@pytest.mark.parametrize(("profile", "warned"), [("iso20", True), ("lenient", False), (None, False)])
def test_a_lenient_hierarchy_under_the_strict_profile_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, profile: str | None, warned: bool
) -> None:
    Hierarchy.mint(Edition.LENIENT, seed="1").write(tmp_path / "pki")
    with caplog.at_level(logging.WARNING):
        station(TrustConfig(pki=str(tmp_path / "pki"), profile=profile))
    assert ("edition lenient" in caplog.text) is warned
