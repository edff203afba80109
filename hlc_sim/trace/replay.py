"""One side of a recorded session said again, to a live peer or to our own other side in this process.

The SessionID is the live session's and the TimeStamp is now; all else is as it was recorded, so a signature
over a challenge of long ago is refused by a SECC that checks it. Where the live peer says Ongoing more or
less often than the recorded one, the request is repeated, or its repetitions are left out.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from iso15118 import exi, v2gtp
from iso15118 import json as json_form
from iso15118.messages.common_types import MessageHeader, ResponseCode, V2GRequest
from iso15118.messages.declare import Node
from iso15118.session import sequence, streams
from iso15118.session.fillers import failed
from iso15118.session.timers import RELAXED

from ..transport.link import Link, LinkClosed, Undecodable, UnknownPayload
from . import events as ev
from .diff import VOLATILE, differences
from .frames import Decoder

if TYPE_CHECKING:
    from ..transport.tls import TLSConfig

_MAX_REPEATS = 200


class Exchange(NamedTuple):
    """A recorded request, its payload type, and the response to it (None if there was none)."""

    time: float
    payload_type: int
    request: Any
    response: Any


@dataclass(slots=True)
class Step:
    """What became of one replayed exchange. `differences` as in `diff.differences`: recorded, then live."""

    name: str
    response: str
    differences: list[tuple[str, Any, Any]] = field(default_factory=list)
    note: str = ""


def exchanges_of(events: Iterable[ev.Event], connection: int | None = None) -> list[Exchange]:
    """The exchanges of one connection of a recording (the first, unless named)."""
    decoder = Decoder()
    found: list[Exchange] = []
    open_requests: dict[int, int] = {}
    for event in events:
        if not isinstance(event, ev.Frame) or event.connection != (connection or event.connection):
            continue
        connection = event.connection
        message, _ = decoder.decode(event.payload_type, bytes.fromhex(event.payload))
        if message is None:
            continue
        stream = int(sequence.stream_of(event.payload_type) or 0)
        if event.sender == "EVCC":
            open_requests[stream] = len(found)
            found.append(Exchange(event.time, event.payload_type, message, None))
        elif stream in open_requests:
            at = open_requests.pop(stream)
            found[at] = found[at]._replace(response=message)
    return found


def _fresh(message: Any, session_id: bytes | None) -> Any:
    """A copy that belongs to the live session, now."""
    message = copy.deepcopy(message)
    header = getattr(message, "header", None)
    if header is not None:
        header.timestamp = int(time.time())
        if session_id is not None:
            header.session_id = session_id
    return message


def _compare(recorded: Any, live: Any) -> list[tuple[str, Any, Any]]:
    if recorded is None:
        return []
    return list(differences(json_form.to_builtins(recorded), json_form.to_builtins(live), VOLATILE))


class EVCCReplay:
    """Says the requests of a recording over a link. `pace`: with the recorded pauses between them."""

    def __init__(self, exchanges: list[Exchange], *, pace: bool = False) -> None:
        self.exchanges = exchanges
        self._pace = pace
        self._session: bytes | None = None
        self.steps: list[Step] = []
        self.ended = ""
        self.complete = False
        """Every recorded request was answered, none of them with FAILED."""

    async def run(self, link: Link) -> None:
        """To the end of the recording or of the session, whichever is first; `ended` says why."""
        at = 0
        begun = trio.current_time()
        try:
            while at < len(self.exchanges):
                exchange = self.exchanges[at]
                if self._pace and self.exchanges[0].time:
                    await trio.sleep_until(begun + exchange.time - self.exchanges[0].time)
                live = await self._ask(link, exchange)
                if str(getattr(live, "response_code", "")).upper().startswith("FAILED"):
                    self.ended = f"{sequence.name_of(live)} {live.response_code}"
                    return
                at += 1 + self._skip(at, live)
            self.ended, self.complete = "all requests were answered", True
        except (LinkClosed, UnknownPayload, Undecodable, v2gtp.V2GTPError) as error:
            self.ended = str(error)
        except trio.TooSlowError:
            self.ended = f"no response to {sequence.name_of(self.exchanges[at].request)}"

    async def _ask(self, link: Link, exchange: Exchange) -> Any:
        name = sequence.name_of(exchange.request)
        recorded_done = getattr(exchange.response, "evse_processing", None) in (None, "Finished")
        for attempt in range(_MAX_REPEATS):
            request = _fresh(exchange.request, self._session)
            await link.send(request, exchange.payload_type)
            with trio.fail_after(RELAXED.limit("V2G_EVCC_Msg_Timeout", sequence.stem(name)) + 1.0):
                live: Any = (await link.receive()).message
            if name == "SessionSetupReq" and hasattr(live, "header"):
                self._session = live.header.session_id
            note = f"repeated {attempt} times" if attempt else ""
            done = getattr(live, "evse_processing", None) in (None, "Finished")
            if done or not recorded_done:
                self.steps.append(Step(name, sequence.name_of(live), _compare(exchange.response, live), note))
                return live
            await trio.sleep(0.05)
        raise trio.TooSlowError

    def _skip(self, at: int, live: Any) -> int:
        """How many recorded repetitions are of no use, as the live peer has finished already."""
        exchange = self.exchanges[at]
        ongoing = getattr(exchange.response, "evse_processing", None) not in (None, "Finished")
        if not ongoing or getattr(live, "evse_processing", None) != "Finished":
            return 0
        count = 0
        for later in self.exchanges[at + 1 :]:
            if type(later.request) is not type(exchange.request):
                break
            count += 1
        return count


class SECCReplay:
    """Answers a live EVCC with the responses of a recording: each request with the next recorded one of its
    name, the last again when they run out, and FAILED_SequenceError where there is none.
    """

    def __init__(self, exchanges: list[Exchange]) -> None:
        self.exchanges = [exchange for exchange in exchanges if exchange.response is not None]
        self._at = 0
        self._strange = False
        self.steps: list[Step] = []
        self.ended = ""

    @property
    def complete(self) -> bool:
        """The EVCC came to the last recorded exchange, and asked for nothing that is not recorded."""
        return self._at == len(self.exchanges) and not self._strange

    async def run(self, link: Link) -> None:
        try:
            while True:
                received = await link.receive()
                response = self._answer(received.message)
                await link.send(response, streams.payload_type_of(response))
        except (LinkClosed, Undecodable, UnknownPayload, v2gtp.V2GTPError, exi.EXIEncodeError) as error:
            self.ended = str(error)

    def _answer(self, request: Node) -> Any:
        name = sequence.name_of(request)
        found = self._next(name)
        if found is None:
            self._strange = True
            self.steps.append(Step(name, "FAILED_SequenceError", note="not in the recording"))
            if not isinstance(request, V2GRequest):
                raise LinkClosed(f"{name} is not in the recording")
            header = MessageHeader(session_id=request.header.session_id, timestamp=int(time.time()))
            return failed(request, header, ResponseCode.FAILED_SequenceError)
        self.steps.append(Step(name, sequence.name_of(found.response), _compare(found.request, request)))
        return _fresh(found.response, None)

    def _next(self, name: str) -> Exchange | None:
        ahead = range(self._at, len(self.exchanges))
        behind = range(self._at - 1, -1, -1)
        for places in (ahead, behind):
            for at in places:
                if sequence.name_of(self.exchanges[at].request) == name:
                    self._at = max(self._at, at + 1)
                    return self.exchanges[at]
        return None


def steps_text(steps: list[Step]) -> Iterator[str]:
    """One line for each step, and one for each difference."""
    for step in steps:
        yield f"{step.name} → {step.response}" + (f" ({step.note})" if step.note else "")
        for path, recorded, live in step.differences:
            yield f"    {path}: recorded {recorded}, live {live}"


async def against_ourselves(replay: EVCCReplay | SECCReplay) -> None:
    """Run a replay against our own other side in this process, over TCP on loopback."""
    from iso15118.session.events import Role

    from ..clock import unix_offset
    from ..config import StationConfig, VehicleConfig
    from ..evcc import charge
    from ..secc import Station, serve
    from ..transport import interface, tcp

    listener = await tcp.listen(interface.find("lo"), 0)
    port = listener.socket.getsockname()[1]
    mode = _mode_of(replay.exchanges)
    async with trio.open_nursery() as nursery:
        if isinstance(replay, EVCCReplay):
            station = StationConfig(modes=(mode,), speed=60.0)
            shared = Station(station.session(), lambda: station.charger(unix_offset()))
            await nursery.start(serve, shared, [listener])
            link = Link(await tcp.connect(("::1", port, 0, 0)), Role.EVCC)
            await replay.run(link)
            await link.aclose()
        else:

            async def answer(stream: trio.SocketStream) -> None:
                link = Link(stream, Role.SECC)
                await replay.run(link)
                await link.aclose()

            await nursery.start(trio.serve_listeners, answer, [listener])
            # The recorded power need not fill this battery: it stops after as many loops as were recorded.
            loops = sum(sequence.name_of(item.request).endswith("ChargeLoopReq") for item in replay.exchanges)
            vehicle = VehicleConfig(mode=mode, speed=60.0, evcc={"charge_loops": max(loops, 1)})
            link = Link(await tcp.connect(("::1", port, 0, 0)), Role.EVCC)
            result = await charge(link, vehicle.session(), vehicle.vehicle())
            await trio.sleep(0.1)  # the other side sees the close
            replay.ended = f"our EVCC: {result.session.outcome.value} {result.session.reason}".strip()
        nursery.cancel_scope.cancel()


def _mode_of(exchanges: list[Exchange]) -> str:
    """The name of the energy service that the recording selects; dc if it does not come that far."""
    from ..config import MODES

    for exchange in exchanges:
        chosen = getattr(exchange.request, "selected_energy_transfer_service", None)
        if chosen is not None:
            return next((name for name, service in MODES.items() if service == chosen.service_id), "dc")
    return "dc"


async def live_peer(
    replay: EVCCReplay | SECCReplay,
    connect: tuple[str, int] | tuple[str, int, int, int] | None,
    listen: int | None,
    iface: str,
    config: TLSConfig | None,
) -> None:
    """Run a replay against a peer on the network: connect to a SECC, or await one EVCC."""
    from iso15118.session.events import Role

    from ..transport import interface, tcp
    from ..transport.tls import secure

    role = Role.EVCC if isinstance(replay, EVCCReplay) else Role.SECC
    stream: trio.abc.Stream
    if role is Role.EVCC:
        if connect is None:
            raise ValueError("--role evcc needs --connect HOST:PORT")
        stream = await tcp.connect(connect)
    else:
        if listen is None:
            raise ValueError("--role secc needs --listen PORT")
        listener = await tcp.listen(interface.find(iface), listen)
        stream = await listener.accept()
        await listener.aclose()
    if config is not None:
        stream = await secure(stream, config, server_side=role is Role.SECC)
    link = Link(stream, role)
    await replay.run(link)
    await link.aclose()
