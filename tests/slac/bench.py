"""A powerline of typed messages for the state machines: no bytes, no event loop, a clock that jumps."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from iso15118.slac import (
    BROADCAST,
    Action,
    AskLink,
    CpChanged,
    CpSignal,
    Deviation,
    DriveCp,
    EvseSlac,
    EvseSlacConfig,
    EvSlac,
    EvSlacConfig,
    KeyResult,
    LinkReady,
    LinkStatus,
    LoadCp,
    Mac,
    Received,
    Send,
    SetKey,
    SimulatedLine,
    SlacMatch,
    SlacMessage,
    StateChange,
)
from iso15118.slac.messages import AttenProfileInd, MnbcSoundInd

LATENCY = 0.002


def mac(number: int) -> Mac:
    return bytes([2, 0, 0, 0, 0, number])


@dataclass
class Node:
    machine: EvSlac | EvseSlac
    line: SimulatedLine
    key: SetKey | None = None
    key_results: list[bool | None] = field(default_factory=list)  # answers to come; then True
    link_up: bool | Callable[[], bool | None] | str | None = "by key"
    profile: Callable[[Mac], tuple[int, ...]] | None = None
    sent: list[tuple[float, Mac, SlacMessage]] = field(default_factory=list)
    actions: list[tuple[float, Action]] = field(default_factory=list)
    answers_key: bool = True

    def messages(self, kind: type) -> list[tuple[float, Any]]:
        return [(when, message) for when, _, message in self.sent if isinstance(message, kind)]

    def of(self, kind: type) -> list[Any]:
        return [action for _, action in self.actions if isinstance(action, kind)]

    @property
    def states(self) -> list[str]:
        return [change.after.name for change in self.of(StateChange)]

    @property
    def deviations(self) -> list[str]:
        return [deviation.text for deviation in self.of(Deviation)]

    @property
    def ready(self) -> list[LinkReady]:
        return self.of(LinkReady)

    @property
    def match(self) -> SlacMatch | None:
        return self.machine.match


Filter = Callable[[Mac, Mac, SlacMessage], bool]


class Bench:
    """Machines on one medium. ``lose(sender, receiver, message)`` decides over every delivery."""

    def __init__(self, seed: int = 0, loss: float = 0.0) -> None:
        self.now = 0.0
        self.nodes: dict[Mac, Node] = {}
        self.random = random.Random(seed)
        self.loss = loss
        self.lose: Filter = lambda sender, receiver, message: False
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def entropy(self, size: int) -> bytes:
        return self.random.randbytes(size)

    def add(self, machine: EvSlac | EvseSlac, line: SimulatedLine, attenuation: int | None = None) -> Node:
        node = Node(machine, line)
        self.nodes[machine.mac] = node
        if attenuation is not None:
            node.profile = lambda _ev: (attenuation,) * 58
        end = line.ev if isinstance(machine, EvSlac) else line.evse
        end.listen(lambda signal: self.at(0.0, lambda: self.give(node, CpChanged(signal))))
        if isinstance(machine, EvseSlac):
            self.carry_out(node, machine.start(self.now))
        self.give(node, CpChanged(line.signal))
        return node

    def at(self, delay: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + delay, next(self._order), call))

    def give(self, node: Node, event: Any) -> None:
        self.carry_out(node, node.machine.handle(event, self.now))

    def carry_out(self, node: Node, actions: list[Action]) -> None:
        for action in actions:
            node.actions.append((self.now, action))
            match action:
                case Send(destination, message):
                    node.sent.append((self.now, destination, message))
                    self._transmit(node, destination, message)
                case SetKey():
                    node.key = action
                    if node.answers_key:
                        result = node.key_results.pop(0) if node.key_results else True
                        self.at(0.1, lambda result=result: self.give(node, KeyResult(result)))
                case AskLink():
                    up = node.link_up() if callable(node.link_up) else node.link_up
                    if up == "by key":
                        up = any(other.key == node.key for other in self.nodes.values() if other is not node)
                    self.at(LATENCY, lambda up=up: self.give(node, LinkStatus(up)))
                case LoadCp(state):
                    node.line.ev.load(state)
                case DriveCp(duty, fault):
                    node.line.evse.drive(duty, fault)

    def _transmit(self, sender: Node, destination: Mac, message: SlacMessage) -> None:
        source = sender.machine.mac
        for address, node in self.nodes.items():
            if node is sender or destination not in (BROADCAST, address):
                continue
            if self.random.random() < self.loss or self.lose(source, address, message):
                continue
            self.at(LATENCY, lambda node=node: self.give(node, Received(source, message)))
            if isinstance(message, MnbcSoundInd) and node.profile:
                heard = Received(b"\0" * 6, AttenProfileInd(source, node.profile(source)))
                self.at(LATENCY + 0.0005, lambda node=node, heard=heard: self.give(node, heard))

    def inject(self, receiver: Node, source: Mac, message: SlacMessage) -> None:
        self.at(0.0, lambda: self.give(receiver, Received(source, message)))

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> None:
        end = self.now + seconds
        while until is None or not until():
            deadlines = [(node.machine.deadline, node) for node in self.nodes.values()]
            timers = [(when, node) for when, node in deadlines if when is not None]
            when, node = min(timers, key=lambda pair: pair[0], default=(float("inf"), None))
            if self._queue and self._queue[0][0] <= when:
                when, _, call = self._queue[0]
                if when > end:
                    break
                heapq.heappop(self._queue)
                self.now = max(self.now, when)
                call()
            elif node is None or when > end:
                break
            else:
                self.now = max(self.now, when)
                self.carry_out(node, node.machine.tick(self.now))
        if until is None:
            self.now = end


def signal(state: str, duty: float = 5.0) -> CpSignal:
    from iso15118.slac import CpState

    return CpSignal(CpState(state), duty)


EV, EVSE = mac(1), mac(0x81)


def pair(
    attenuation: int = 20, seed: int = 1, ev: dict | None = None, evse: dict | None = None, plug: bool = True
) -> tuple[Bench, Node, Node, SimulatedLine]:
    bench = Bench(seed)
    line = SimulatedLine()
    config = {"survey_requests": 1, **(ev or {})}
    station = bench.add(EvseSlac(EvseSlacConfig(EVSE, **(evse or {})), bench.entropy), line, attenuation)
    car = bench.add(EvSlac(EvSlacConfig(EV, **config), bench.entropy), line)
    bench.run(1)
    if plug:
        line.plug()
    return bench, car, station, line


def linked(bench: Bench, *nodes: Node, seconds: float = 60) -> None:
    bench.run(seconds, until=lambda: all(node.ready and node.ready[-1].established for node in nodes))
    assert all(node.ready[-1].established for node in nodes)


def silence(bench: Bench, node: Node) -> None:
    """Take a machine off the line and off the control pilot."""
    bench.nodes.pop(node.machine.mac)
    node.line.ev.listen(None)


def three_stations(seed: int, attenuation: dict[int, int], plugged: int, **ev) -> tuple[Bench, Node]:
    bench = Bench(seed, loss=0.05)
    car_line = SimulatedLine()
    for number, decibel in attenuation.items():
        line = car_line if number == plugged else SimulatedLine()
        line.plug()  # the others have cars of their own, without communication
        config = EvseSlacConfig(mac(number))
        bench.add(EvseSlac(config, bench.entropy), line, decibel)
    car_line.unplug()
    car = bench.add(EvSlac(EvSlacConfig(EV, **ev), bench.entropy), car_line)
    bench.run(2)
    car_line.plug()
    bench.run(90, until=lambda: bool(car.ready))
    return bench, car
