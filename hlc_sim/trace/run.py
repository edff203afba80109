"""The trace of a run of `hlc secc`, `evcc` or `demo`: hooks for what the commands put together.

Without a directory every hook does nothing, so that the commands need not ask.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from iso15118.session.charger import Charger
from iso15118.session.events import Deviation, Role

from ..charger import SimulatedCharger
from ..transport.link import FrameRecord, FrameSink

if TYPE_CHECKING:
    from ..powerline.host import FrameTap
    from ..transport.interface import Interface
    from ..transport.tls import TLSConfig, TLSFacts
    from ..vehicle.battery import Battery
    from .disclosure import SecretDisclosure
    from .recorder import ConnectionRecorder, Recorder

_HOMEPLUG = b"\x88\xe1"
"""EtherType of HomePlug AV management messages."""
_SWITCHES = ("site_limit", "grid", "contactor")
_WATCH_INTERVAL = 0.25
"""Seconds; a requirement of minutes hangs on it."""
_SENDERS = {"evcc->secc": Role.EVCC, "secc->evcc": Role.SECC}


class RunTrace:
    """Hooks into a run; one connection per peer at a time."""

    def __init__(
        self, recorder: Recorder | None, role: Role, disclosure: SecretDisclosure | None = None
    ) -> None:
        self._recorder = recorder
        self._disclosure = disclosure
        self._role = role
        self._open: dict[str, ConnectionRecorder] = {}
        self._outlets: dict[str, _Outlet] = {}

    @property
    def path(self) -> Path | None:
        """The file of JSON lines, the latest if there are several."""
        return self._recorder.path if self._recorder is not None else None

    def sdp(self, direction: str, payload_type: int, payload: bytes) -> None:
        """An SDPSink."""
        if self._recorder is not None:
            self._recorder.sdp(_SENDERS[direction], payload_type, payload)

    def slac_taps(self) -> list[FrameTap]:
        """Taps for the host of a powerline: every management message, both ways."""
        recorder = self._recorder
        if recorder is None:
            return []

        def tap(frame: bytes, _sent: bool) -> None:
            if frame[12:14] == _HOMEPLUG:
                recorder.slac(frame)

        return [tap]

    def tls_config(self, config: TLSConfig | None) -> TLSConfig | None:
        """The same configuration, its secrets also told to the trace, and on the link if that is wanted."""
        listeners: list[Callable[[str], None]] = []
        if self._recorder is not None:
            listeners.append(self._recorder.secret)
        if self._disclosure is not None:
            listeners.append(self._disclosure)
        if config is None or not listeners:
            return config
        from ..transport.tls import keylog_writer

        if (own := keylog_writer(config.keylog)) is not None:
            listeners.append(own)
        return dataclasses.replace(config, keylog=_tee(listeners))

    def connect(self, stream: trio.abc.Stream, peer: str, *, tls: bool) -> trio.abc.Stream:
        """A TCP connection has opened: the stream to go on with."""
        if self._recorder is None:
            return stream
        own = _address(stream)
        ends = (own, peer) if self._role is Role.EVCC else (peer, own)
        connection = self._recorder.connection(evcc=ends[0], secc=ends[1], tapped=tls)
        self._open[peer] = connection
        return connection.tap(stream, self._role) if tls else stream

    def tls(self, peer: str, facts: TLSFacts) -> None:
        """What a handshake came to."""
        connection = self._open.get(peer)
        if connection is None:
            return
        peers = [der.hex() for der in facts.peer_chain]
        chain = "client_certificates" if facts.server_side else "server_certificates"
        alert = facts.alert_sent if facts.alert_sent is not None else facts.alert_received
        connection.tls(
            version={"TLS_1_3": "TLSv1.3", "TLS_1_2": "TLSv1.2"}.get(facts.version.name, facts.version.name)
            if facts.version
            else "",
            suite=facts.suite,
            group=facts.group,
            mutual=bool(peers) if facts.server_side and facts.version else None,
            alert="" if alert is None else f"alert {alert}",
            verdict=""
            if facts.verdict is None
            else str(facts.verdict.errors[0])
            if facts.verdict.errors
            else "trusted",
            **{chain: peers},
        )

    def sink(
        self,
        peer: str,
        *others: FrameSink,
        battery: Battery | None = None,
        charger: Callable[[], Charger | None] | None = None,
    ) -> FrameSink | None:
        """A frame sink for the connection with this peer, that also tells `others`.

        `charger` gives the connection's outlet, None while there is none. If it is a simulated one, its
        values are recorded like the battery's.
        """
        sinks = list(others)
        if self._recorder is not None:
            connection = self._open.get(peer)
            if connection is None:
                connection = self._open[peer] = self._recorder.connection(evcc=peer)
            sinks.append(connection.sink)
            if battery is not None:
                sinks.append(_sampler(self._recorder, battery))
            if charger is not None:
                outlet = self._outlets[peer] = _Outlet(self._recorder, connection.number, charger)
                sinks.append(outlet.frame)
        if not sinks:
            return None
        return sinks[0] if len(sinks) == 1 else _all(sinks)

    def closed(self, peer: str, by: str, reason: str, deviations: Iterable[Deviation] = ()) -> None:
        """A connection has ended."""
        outlet = self._outlets.pop(peer, None)
        if outlet is not None:
            outlet.sample(changed=True)
        connection = self._open.pop(peer, None)
        if connection is not None:
            for deviation in deviations:
                connection.deviation(deviation)
            connection.closed(by, reason)

    async def watch(self) -> None:
        """Runs beside the sessions and records what switches in a charger without a message being said: the
        site's limit, the grid, the contactor."""
        while self._recorder is not None:
            await trio.sleep(_WATCH_INTERVAL)
            for outlet in self._outlets.values():
                outlet.sample(changed=True)


def _address(stream: trio.abc.Stream) -> str:
    if not isinstance(stream, trio.SocketStream):
        return ""
    with contextlib.suppress(OSError):
        address = stream.socket.getsockname()
        return f"[{address[0]}]:{address[1]}"
    return ""


def _all(sinks: list[FrameSink]) -> FrameSink:
    def record(frame: FrameRecord) -> None:
        for sink in sinks:
            sink(frame)

    return record


def _sampler(recorder: Recorder, battery: Battery) -> FrameSink:
    """The battery's values with each answer of the charge loop."""

    def record(frame: FrameRecord) -> None:
        if frame.sender is Role.SECC and type(frame.message).__name__.endswith("ChargeLoopRes"):
            values = {
                "soc": round(battery.soc, 3),
                "voltage": round(battery.voltage, 2),
                "current": round(battery.current, 3),
                "power": round(battery.voltage * battery.current, 1),
            }
            recorder.sample("vehicle", values)

    return record


class _Outlet:
    """The charger's values with each answer of the charge loop, and whenever something switches."""

    def __init__(self, recorder: Recorder, connection: int, charger: Callable[[], Charger | None]) -> None:
        self._recorder = recorder
        self._connection = connection
        self._charger = charger
        self._switches: dict[str, float] = {}

    def frame(self, record: FrameRecord) -> None:
        if record.sender is Role.SECC:
            self.sample(changed=not type(record.message).__name__.endswith("ChargeLoopRes"))

    def sample(self, *, changed: bool) -> None:
        """`changed`: only if a switch or a limit of the site did."""
        charger = self._charger()
        if not isinstance(charger, SimulatedCharger):
            return
        values = {name: round(value, 3) for name, value in charger.sample(trio.current_time()).items()}
        switches = {name: values[name] for name in _SWITCHES if name in values}
        if switches != self._switches or not changed:
            self._switches = switches
            self._recorder.sample("charger", values, self._connection)


def _tee(listeners: list[Callable[[str], None]]) -> Callable[[str], None]:
    def tell(line: str) -> None:
        for listener in listeners:
            listener(line)

    return tell


@contextlib.contextmanager
def tracing(
    directory: Path | None,
    role: Role,
    *,
    config: Mapping[str, Any] | None = None,
    disclose: Interface | None = None,
    **header: Any,
) -> Iterator[RunTrace]:
    """A trace of this run in `directory`; none if it is None. `header` as for `recorder.recording`.

    `disclose`: the interface on which TLS secrets are told; None, nowhere.
    """
    with contextlib.ExitStack() as stack:
        disclosure = None
        if disclose is not None:
            from .disclosure import SecretDisclosure

            disclosure = SecretDisclosure(disclose)
            stack.callback(disclosure.close)
        recorder = None
        if directory is not None:
            from .recorder import recording

            recorder = stack.enter_context(recording(directory, role=role.value, config=config, **header))
        yield RunTrace(recorder, role, disclosure)
