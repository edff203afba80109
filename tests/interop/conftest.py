"""Fixtures of the interop tests: one lab for all of them, Josev kept running while it is healthy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .lab import Lab, Process, UnavailableError, cable, check_machine, josev_python, make_josev_pki

pytest.register_assert_rewrite(f"{__package__}.expect")


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


class Kept:
    """A Josev process that serves one session after the other: warm, its codec answers five times as fast.

    After a failed test it is in doubt, and not used again.
    """

    def __init__(self, start: Callable[[], Process]) -> None:
        self._start = start
        self._process: Process | None = None

    @contextlib.contextmanager
    def running(self, request: pytest.FixtureRequest) -> Iterator[Process]:
        failures = request.session.testsfailed
        if self._process is None or not self._process.running:
            self._process = self._start()
        yield self._process
        if request.session.testsfailed > failures:
            self._process.stop()
            self._process = None


@pytest.fixture(scope="session")
def _josev_secc(lab: Lab) -> Kept:
    return Kept(lambda: lab.josev_secc("--services", "AC,DC,AC_BPT,DC_BPT"))


@pytest.fixture(scope="session")
def _josev_evcc(lab: Lab) -> Kept:
    return Kept(lab.josev_evcc_waiting)


@pytest.fixture
def josev_secc(_josev_secc: Kept, request: pytest.FixtureRequest) -> Iterator[Process]:
    """Josev's SECC on plain TCP, offering all services."""
    with _josev_secc.running(request) as process:
        yield process


@pytest.fixture
def josev_evcc(_josev_evcc: Kept, request: pytest.FixtureRequest) -> Iterator[Process]:
    """Josev's EVCC on plain TCP, waiting to be told what session to run."""
    with _josev_evcc.running(request) as process:
        yield process
