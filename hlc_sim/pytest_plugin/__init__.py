"""The pytest plugin: a device under test as a fixture, spoken to line by line.

    def test_no_exemption_for_zero(secc):
        with secc.connect() as ev:
            ev.run_until("ServiceDiscovery")
            ev.send("ServiceDiscoveryReq", {"header.session_id": "0000000000000000"})
            ev.expect("ServiceDiscoveryRes", "FAILED_UnknownSession")

    def test_a_failed_response_ends_the_session(evcc):
        with evcc.connect() as station:
            station.run_until("ServiceDiscovery")
            station.send("ServiceDiscoveryRes", {"response_code": "FAILED"})
            station.expect_close()

`secc` and `evcc` are the devices that the options name (`pytest --help`, group hlc), else the simulator; both
`play` scenarios, too, and `conformance` plays conformance cases. The marker `requirement("V2G20-460", ...)`
names what a test judges and goes into the report and JUnit; a test that could not bring the device to its
point is skipped as inconclusive. What was said is in the report of each failure, which names a trace and a
page about it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from iso15118.lazy import exports

from . import options as _options
from .verdict import Inconclusive, Unexpected

if TYPE_CHECKING:
    from iso15118.session.events import Role

    from ..conformance import Case, Shelf
    from ..scenario.targets import Target
    from .cases import conformance_cases
    from .device import DeviceUnderTest
    from .evidence import Evidence
    from .speaker import Speaker

__all__ = ["DeviceUnderTest", "Inconclusive", "Speaker", "Unexpected", "conformance_cases"]

# Without a __dir__ of these: pytest looks at all that `dir` names at each start.
__getattr__, _ = exports(
    __name__,
    {".cases": ("conformance_cases",), ".device": ("DeviceUnderTest",), ".speaker": ("Speaker",)},
)

_EVIDENCE = pytest.StashKey["Evidence"]()
_CHOSEN = pytest.StashKey[_options.Chosen]()


def pytest_addoption(parser: pytest.Parser) -> None:
    _options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requirement(*ids): requirements that a test judges, as V2G20-460")
    if _options.names_a_device(config.option):
        _chosen(config)


@pytest.fixture
def secc(request: pytest.FixtureRequest) -> DeviceUnderTest:
    """The SECC under test."""
    from iso15118.session.events import Role

    return _device(request, Role.SECC)


@pytest.fixture
def evcc(request: pytest.FixtureRequest) -> DeviceUnderTest:
    """The EVCC under test."""
    from iso15118.session.events import Role

    return _device(request, Role.EVCC)


@pytest.fixture
def conformance(request: pytest.FixtureRequest, hlc_shelf: Shelf) -> Callable[[Case], None]:
    """Judges the device by a case of `conformance_cases`."""
    from .cases import play

    chosen, evidence = _chosen(request.config), _evidence(request)
    if chosen.capabilities is None:
        raise pytest.UsageError(
            "say with --hlc-capabilities what the device supports (hlc conformance --template)"
        )

    def judge(case: Case) -> None:
        play(case, chosen, lambda role: evidence.watch(_target(request, role)), evidence, hlc_shelf)

    return judge


@pytest.fixture(scope="session")
def hlc_shelf() -> Shelf:
    """Reference sessions that many conformance cases look at."""
    from ..conformance import Shelf

    return Shelf()


@pytest.fixture
def hlc_turn(pytestconfig: pytest.Config) -> Iterator[None]:
    """The device for this test alone."""
    with _chosen(pytestconfig).turn():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    ids = " ".join(name for mark in item.iter_markers("requirement") for name in mark.args)
    evidence = item.stash.get(_EVIDENCE, None)
    if ids and call.when == "setup":
        item.user_properties.append(("requirements", ids))
    if report.failed:
        if ids:
            report.sections.append(("requirements", ids))
        if evidence is not None:
            files = [(kind, str(path)) for kind, path in evidence.keep().items()]
            item.user_properties += files
            for title, lines in (
                ("what was said", evidence.lines),
                ("trace and report", [f"{kind}: {path}" for kind, path in files]),
            ):
                if lines:
                    report.sections.append((title, "\n".join(lines)))
    elif call.when == "teardown" and evidence is not None:
        evidence.drop()
    report.user_properties = list(item.user_properties)
    inconclusive = call.excinfo is not None and call.excinfo.errisinstance(Inconclusive)
    if inconclusive and call.excinfo is not None and call.when != "teardown":
        path, line, _ = item.location
        report.outcome = "skipped"
        report.longrepr = (path, (line or 0) + 1, f"inconclusive: {call.excinfo.value}")
    return report


def _device(request: pytest.FixtureRequest, role: Role) -> DeviceUnderTest:
    from .device import DeviceUnderTest

    return DeviceUnderTest(_target(request, role), _chosen(request.config).ours, _evidence(request))


def _target(request: pytest.FixtureRequest, role: Role) -> Target:
    """A device of this side; a named one is this test's alone."""
    device = _chosen(request.config).devices[role]
    if not device.simulated:
        request.getfixturevalue("hlc_turn")
    return device.target(role)


def _chosen(config: pytest.Config) -> _options.Chosen:
    if _CHOSEN not in config.stash:
        config.stash[_CHOSEN] = _options.chosen(config.option)
    return config.stash[_CHOSEN]


def _evidence(request: pytest.FixtureRequest) -> Evidence:
    from .evidence import Evidence

    def folder() -> Path:
        if (named := request.config.option.hlc_artifacts) is not None:
            return request.config.invocation_params.dir / Path(named)
        return Path(request.getfixturevalue("tmp_path_factory").getbasetemp(), "hlc")

    item: pytest.Item = request.node
    return item.stash.setdefault(_EVIDENCE, Evidence(folder, re.sub(r"[^\w.-]+", "_", item.nodeid)))
