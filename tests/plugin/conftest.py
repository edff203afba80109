"""Runs tests with the plugin as a user's pytest would, in this process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

# What an inner run imports is forgotten after it: what stays is imported here.
import hlc_sim.conformance.catalogue
import hlc_sim.pytest_plugin.cases
import hlc_sim.pytest_plugin.device
import hlc_sim.report
import hlc_sim.scenario.cli
import hlc_sim.transport.tls  # noqa: F401

Run = Callable[..., pytest.RunResult]


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lock files of devices lie in the temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Runs the text of a test module, with these options."""

    def run(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", "--strict-markers", "-rsx", *options)

    return run
