"""What a test leaves: the lines for its report, and a trace of its connections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import trio

from iso15118.session.events import Role

from ..scenario.watch import Framed
from ..secc import peer_name
from ..trace.recorder import Recorder, recording
from ..trace.run import RunTrace
from ..transport.link import FrameRecord

if TYPE_CHECKING:
    from pki.hierarchy import Hierarchy

    from ..config.station import StationConfig
    from ..config.vehicle import VehicleConfig
    from ..scenario.model import Scenario
    from ..scenario.targets import Target


class Evidence:
    """Of one test. `directory` gives the folder for its files, `name` becomes theirs."""

    def __init__(self, directory: Callable[[], Path], name: str) -> None:
        self.sources: list[Callable[[], Iterable[str]]] = []
        """Each gives what was said so far on a connection, in words."""
        self._directory = directory
        self._name = name
        self._open = ExitStack()
        self._recorder: Recorder | None = None
        self._lab = False

    @property
    def lines(self) -> list[str]:
        """What was said so far."""
        return [line for source in self.sources for line in source()]

    def watch(self, target: Target) -> Target:
        """The same device, its connections recorded."""
        return cast("Target", _Recorded(target, self))

    def recorder(self, target: Target) -> Recorder:
        """Begins the trace with the first connection."""
        if self._recorder is None:
            self._lab = target.plain
            begun = recording(
                self._directory(),
                role=target.role.other.value,
                name=self._name,
                lab_plain_tcp=self._lab,
                capture=False,
                now=_Now(),
            )
            self._recorder = self._open.enter_context(begun)
        return self._recorder

    def keep(self) -> dict[str, Path]:
        """End the trace, and write the page about it: the files by their kind, none without a connection."""
        self._open.close()
        if self._recorder is None:
            return {}
        from ..report import build
        from ..trace.jsonl import read

        trace = self._recorder.path
        page = trace.with_suffix(".html")
        charts = find_spec("plotly") is not None
        text = build(read(trace), name=trace.name, lab_plain_tcp=self._lab, charts=charts)
        page.write_text(text, encoding="utf-8")
        self._recorder = None
        return {"trace": trace, "report": page}

    def drop(self) -> None:
        """End the trace and delete it, if it was not kept: the test has passed."""
        self._open.close()
        if self._recorder is not None:
            self._recorder.path.unlink(missing_ok=True)
            self._recorder = None


class _Recorded:
    """A `Target` whose connections are recorded; all else is the device's own."""

    def __init__(self, target: Target, evidence: Evidence) -> None:
        self._target = target
        self._evidence = evidence

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    async def connect(
        self, nursery: trio.Nursery, vehicle: VehicleConfig, station: StationConfig
    ) -> trio.abc.Stream:
        stream = await self._target.connect(nursery, vehicle, station)
        return _Recording(stream, self._target.role.other, self._evidence.recorder(self._target))

    async def reach(self, nursery: trio.Nursery, scenario: Scenario, hierarchy: Hierarchy) -> trio.abc.Stream:
        stream = await self._target.reach(nursery, scenario, hierarchy)
        trace = RunTrace(self._evidence.recorder(self._target), self._target.role.other)
        return trace.connect(stream, peer_name(stream), tls=True)


class _Recording(Framed):
    """A stream whose frames go into a trace."""

    def __init__(self, inner: trio.abc.Stream, ours: Role, recorder: Recorder) -> None:
        from ..transport.tls import TLSStream

        super().__init__(inner, ours)
        self._peer = peer_name(inner.transport_stream if isinstance(inner, TLSStream) else inner)
        self._recorder = recorder
        self._trace = RunTrace(recorder, ours)
        self._trace.connect(inner, self._peer, tls=False)
        if isinstance(inner, TLSStream):
            self._trace.tls(self._peer, inner.facts)
        self._sink = self._trace.sink(self._peer)
        self._frames = 0

    def frame(self, sender: Role, payload_type: int, payload: bytes) -> None:
        self._frames += 1
        assert self._sink is not None
        self._sink(FrameRecord(self._frames, self._recorder.now(), sender, payload_type, payload, None))

    def damage(self, sender: Role, error: str) -> None:
        self._recorder.note(f"the {sender.value} sent what is no V2GTP: {error}", "error")

    def end(self, by: Role) -> None:
        self._trace.closed(self._peer, by.value, "")


class _Now:
    """Unix s by the clock of the loop, which runs ahead in simulations. Never back, from loop to loop."""

    def __init__(self) -> None:
        self._clock: trio.abc.Clock | None = None
        self._offset = self._last = 0.0

    def __call__(self) -> float:
        clock = trio.lowlevel.current_clock()
        if clock is not self._clock:
            self._clock, self._offset = clock, max(time.time(), self._last) - clock.current_time()
        self._last = self._offset + clock.current_time()
        return self._last
