"""The pytest plugin: a device under test as a fixture, spoken to line by line.

    def test_no_exemption_for_zero(secc):
        with secc.connect() as ev:
            ev.run_until("ServiceDiscovery")
            ev.send("ServiceDiscoveryReq", {"header.session_id": "0000000000000000"})
            ev.expect("ServiceDiscoveryRes", "FAILED_UnknownSession")

`secc` is the SECC at `--hlc-secc HOST:PORT` (plain TCP or, with --hlc-cert, --hlc-key and --hlc-root, TLS),
else the simulator. `evcc` is the simulated EVCC; `evcc.play(scenario)` judges it by a scenario. The marker
`requirement("V2G20-460", ...)` names what a test judges and goes into the report and JUnit; a test that could
not bring the device to its point is skipped as inconclusive. What was said is in the report of each failure.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    import trio

    from iso15118.messages.declare import Node
    from iso15118.session.evcc_steps import Reply, Step

    from .scenario.model import Scenario, Verdict
    from .scenario.targets import NetworkSECC, SimulatedEVCC, SimulatedSECC
    from .scenario.watch import Watched
    from .transport.link import Link

T = TypeVar("T")
_LOG = pytest.StashKey[list[str]]()


class Unexpected(AssertionError):
    """The device did another thing than expected."""


class Inconclusive(Exception):
    """The device could not be brought to the point."""


class EV:
    """Our side of a connection to an SECC: a correct EVCC that stops where told, and scripted messages."""

    def __init__(self, portal: _Portal, stream: Watched, lines: list[str], timeout: float = 5.0) -> None:
        from iso15118.session.events import Role

        from .transport.link import Link

        self._portal = portal
        self._stream = stream
        self._link: Link = Link(stream, Role.EVCC)
        self._lines = lines
        self._run: Generator[Step, Reply, object] | None = None
        self._step: Step | None = None
        self.timeout = timeout
        """s that `expect` and `expect_close` wait."""

    # -- linear scripting ------------------------------------------------------------------------------------

    def run_until(self, name: str) -> None:
        """Be a correct EV until the next request would be `name` ("DC_ChargeLoop"; "ChargeLoop" for any),
        which is not sent. Inconclusive if the session ends before.
        """
        from iso15118.session.evcc_steps import ConnectionLost, MessageTimeout, PeerFault, Reply, Send, Wait
        from iso15118.session.sequence import name_of

        if self._run is None:
            self._run = self._evcc()
            self._step = next(self._run)
        while True:
            step = self._step
            if isinstance(step, Send) and name in (
                stem := name_of(step.request)[:-3],
                stem.partition("_")[2],
            ):
                return
            reply = Reply(self._now())
            fault: PeerFault | None = None
            try:
                if isinstance(step, Send):
                    self._portal.run(self._link.send, step.request, step.payload_type)
                    message = self._receive(step.timeout)
                    reply = Reply(self._now(), message)
                elif isinstance(step, Wait):
                    import trio

                    self._portal.run(trio.sleep, step.seconds)
                    reply = Reply(self._now())
                else:
                    fault = ConnectionLost("side streams are not scripted")
            except TimeoutError as error:
                fault = MessageTimeout(str(error))
            except Exception as error:
                fault = ConnectionLost(str(error))
            try:
                self._step = self._run.send(reply) if fault is None else self._run.throw(fault)
            except StopIteration as stop:
                reason = getattr(stop.value, "reason", "") or "over"
                raise Inconclusive(f"the session ended before {name}: {reason}") from None

    def send(self, message: str | Node, values: Mapping[str, Any] | None = None) -> None:
        """Send a message: built by name, or the request due after `run_until` if it is the same, with
        `values` by path of field; or a message object.
        """
        import copy

        from iso15118.session.evcc_steps import Send
        from iso15118.session.sequence import name_of
        from iso15118.session.streams import payload_type_of

        from .scenario import edit

        if isinstance(message, str):
            due = self._step.request if isinstance(self._step, Send) else None
            if due is not None and name_of(due) == message:
                message = edit.change(due, values or {})
            else:
                message = edit.build(message, copy.copy(getattr(due, "header", None)), values)
        elif values:
            message = edit.change(message, values)
        self._portal.run(self._link.send, message, payload_type_of(message))

    def send_bytes(self, data: bytes) -> None:
        """Put raw bytes on the connection."""
        self._portal.run(self._link.write_bytes, data)

    def expect(self, name: str, *codes: str) -> Any:
        """The next response must be this message, with one of these response codes if any are given."""
        from iso15118.session.sequence import name_of

        try:
            response = self._receive(self.timeout)
        except TimeoutError as error:
            raise Unexpected(f"expected {name}, but {error}") from None
        except Exception as error:
            raise Unexpected(f"expected {name}, but {error}") from None
        code = str(getattr(response, "response_code", ""))
        if name_of(response) != name or (codes and code not in codes):
            raise Unexpected(f"expected {name} {' or '.join(codes)}, got {name_of(response)} {code}")
        return response

    def expect_close(self, within: float = 6.0) -> None:
        """The device must close the connection without another message."""
        from .transport.link import LinkClosed

        try:
            response = self._receive(within)
        except LinkClosed:
            return
        except TimeoutError:
            raise Unexpected(f"the connection is still open after {within:g} s") from None
        raise Unexpected(f"expected the close, got {type(response).__name__}")

    def deviations(self) -> list[str]:
        """Errors of the device that the judge has found so far."""
        from iso15118.session.events import Role

        return [str(finding) for finding in self._stream.record.errors_of(Role.SECC)]

    # --------------------------------------------------------------------------------------------------------

    def _evcc(self) -> Generator[Step, Reply, object]:
        from iso15118.session.evcc import EVCC

        from .config.vehicle import VehicleConfig

        config = VehicleConfig(evcc={"charge_loops": 3})
        return EVCC(config.session(), config.vehicle(), now=self._now(), unix_offset=self._unix()).run()

    def _receive(self, timeout: float) -> Node:
        async def receive() -> Node:
            import trio

            with trio.move_on_after(timeout):
                return (await self._link.receive()).message
            raise TimeoutError(f"nothing came within {timeout:g} s")

        return self._portal.run(receive)

    def _now(self) -> float:
        return self._portal.now()

    def _unix(self) -> float:
        import time

        return time.time() - self._portal.now()

    def _note(self) -> None:
        record = self._stream.record
        self._lines += [frame.line(record.opened) for frame in record.seen]
        self._lines += [f"judge: {finding}" for finding in record.findings]


class SECCUnderTest:
    """An SECC; `connect` opens connections to it, one after another or several at once."""

    def __init__(self, target: NetworkSECC | SimulatedSECC, lines: list[str]) -> None:
        self.target = target
        self._lines = lines

    @contextmanager
    def connect(self) -> Iterator[EV]:
        """A connection, closed at the end. Inconclusive if there is none."""
        from iso15118.session.events import Role

        from .config.station import StationConfig
        from .config.vehicle import VehicleConfig
        from .scenario.targets import NoTarget
        from .scenario.watch import Watched

        with _Portal() as portal:
            try:
                stream = portal.run(self.target.connect, portal.nursery, VehicleConfig(), StationConfig())
            except NoTarget as error:
                raise Inconclusive(str(error)) from None

            async def watch() -> Watched:
                return Watched(stream, Role.EVCC, lab=self.target.plain)

            watched = portal.run(watch)
            ev = EV(portal, watched, self._lines)
            try:
                yield ev
            finally:
                ev._note()
                portal.run(watched.aclose)

    def play(self, scenario: Scenario) -> Verdict:
        """Judge the SECC by a scenario."""
        return _play(scenario, self.target, self._lines)


class EVCCUnderTest:
    """The simulated EVCC."""

    def __init__(self, target: SimulatedEVCC, lines: list[str]) -> None:
        self.target = target
        self._lines = lines

    def play(self, scenario: Scenario) -> Verdict:
        """Judge the EVCC by a scenario."""
        return _play(scenario, self.target, self._lines)


def _play(scenario: Scenario, target: Any, lines: list[str]) -> Verdict:
    import trio
    from trio.testing import MockClock

    from .scenario.runner import run

    simulated = target.name.startswith("simulated")
    clock = MockClock(autojump_threshold=0) if simulated else None
    verdict = trio.run(run, scenario, target, clock=clock)
    lines += verdict.log
    if verdict.result == "inconclusive":
        raise Inconclusive("; ".join(verdict.reasons))
    return verdict


class _Portal:
    """A trio loop in a thread of its own, so that tests are plain functions."""

    nursery: trio.Nursery

    def __enter__(self) -> _Portal:
        import trio

        ready = threading.Event()

        async def main() -> None:
            async with trio.open_nursery() as self.nursery:
                self._token = trio.lowlevel.current_trio_token()
                ready.set()
                await trio.sleep_forever()

        self._thread = threading.Thread(target=trio.run, args=(main,), daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._token.run_sync_soon(self.nursery.cancel_scope.cancel)
        self._thread.join(5)

    def run(self, call: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        import trio

        return trio.from_thread.run(call, *arguments, trio_token=self._token)

    def now(self) -> float:
        import trio

        return trio.from_thread.run_sync(trio.current_time, trio_token=self._token)


# -- pytest --------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hlc", "ISO 15118-20 devices under test")
    group.addoption("--hlc-secc", metavar="HOST:PORT", help="The SECC under test [default: the simulator].")
    group.addoption("--hlc-cert", metavar="PEM", help="TLS certificate chain, leaf first.")
    group.addoption("--hlc-key", metavar="PEM", help="Private key of it.")
    group.addoption(
        "--hlc-root", metavar="PEM", action="append", default=[], help="Trusted root (repeatable)."
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requirement(*ids): requirements that a test judges, as V2G20-460")


@pytest.fixture
def secc(request: pytest.FixtureRequest) -> SECCUnderTest:
    """The SECC under test."""
    from .scenario.targets import NetworkSECC, SimulatedSECC

    options = request.config.option
    target: NetworkSECC | SimulatedSECC = SimulatedSECC()
    if options.hlc_secc:
        host, _, port = options.hlc_secc.rpartition(":")
        tls = None
        if options.hlc_cert:
            from .transport.tls import TLSConfig

            roots = tuple(Path(root) for root in options.hlc_root)
            tls = TLSConfig.load(Path(options.hlc_cert), Path(options.hlc_key), roots=roots)
        target = NetworkSECC((host.strip("[]"), int(port)), tls=tls)
    return SECCUnderTest(target, request.node.stash.setdefault(_LOG, []))


@pytest.fixture
def evcc(request: pytest.FixtureRequest) -> EVCCUnderTest:
    """The EVCC under test: the simulated one."""
    from .scenario.targets import SimulatedEVCC

    return EVCCUnderTest(SimulatedEVCC(), request.node.stash.setdefault(_LOG, []))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call":
        ids = [name for mark in item.iter_markers("requirement") for name in mark.args]
        if ids:
            item.user_properties.append(("requirements", " ".join(ids)))
            report.user_properties = list(item.user_properties)
        if call.excinfo is not None and call.excinfo.errisinstance(Inconclusive):
            path, line, _ = item.location
            report.outcome = "skipped"
            report.longrepr = (path, (line or 0) + 1, f"inconclusive: {call.excinfo.value}")
        elif report.failed and (lines := item.stash.get(_LOG, [])):
            if ids:
                report.sections.append(("requirements", " ".join(ids)))
            report.sections.append(("what was said", "\n".join(lines)))
    return report
