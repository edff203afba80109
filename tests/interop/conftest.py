"""Fixtures of the interop tests: one lab for all of them, one Josev SECC kept running while it is healthy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .lab import Lab, Process, UnavailableError, cable, check_machine, josev_python, make_josev_pki


@contextlib.contextmanager
def skip_if_unavailable() -> Iterator[None]:
    """Skip with the reason; with HLC_INTEROP_REQUIRED set (as in CI) a missing piece is a failure."""
    try:
        yield
    except UnavailableError as exc:
        if os.environ.get("HLC_INTEROP_REQUIRED"):
            raise
        pytest.skip(str(exc))


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with skip_if_unavailable():
        check_machine()
        python = josev_python()
        with cable() as made:
            the_lab = Lab(made, python, tmp_path_factory.mktemp("interop"))
            try:
                yield the_lab
            finally:
                the_lab.close()


@pytest.fixture(scope="session")
def josev_pki(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with skip_if_unavailable():
        return make_josev_pki(lab.python, tmp_path_factory.mktemp("josev-pki"))
    raise AssertionError("not reached")


class JosevSecc:
    """Josev's SECC on plain TCP, offering all services: it serves one session after the other.

    Warm it answers five times as fast. After a failed test it is in doubt, and not used again.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._process: Process | None = None

    def ready(self) -> Process:
        if self._process is None or not self._process.running:
            self._process = self._lab.josev_secc("--services", "AC,DC,AC_BPT,DC_BPT")
        return self._process

    def discard(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None


@pytest.fixture(scope="session")
def _josev_secc(lab: Lab) -> JosevSecc:
    return JosevSecc(lab)


@pytest.fixture
def josev_secc(_josev_secc: JosevSecc, request: pytest.FixtureRequest) -> Iterator[Process]:
    failures = request.session.testsfailed
    yield _josev_secc.ready()
    if request.session.testsfailed > failures:
        _josev_secc.discard()
