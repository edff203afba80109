"""Figures of the powerline: raw socket against scapy's, and how fast SLAC answers. Needs root.

    python tools/bench/powerline.py

Both ends of the socket comparison are in this process, on a veth pair in two namespaces.
"""

from __future__ import annotations

import os
import statistics
import threading
import time

import trio
from scapy.arch.linux import L2Socket
from scapy.layers.l2 import Ether
from scapy.sendrecv import srp1

from hlc_sim.powerline import netns
from hlc_sim.powerline.lab import powerline_lab
from hlc_sim.powerline.layers import CM_NW_STATS_REQ, HomePlug
from hlc_sim.powerline.matching import evse_slac, match_ev
from hlc_sim.powerline.rawsocket import RawLink
from hlc_sim.powerline.simulated import Powerline
from iso15118.slac import SimulatedLine

ROUNDS = 500


def line(name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    median, p99, worst = statistics.median(ordered), ordered[int(len(ordered) * 0.99)], ordered[-1]
    values = f"median {median * 1e6:8.0f}  p99 {p99 * 1e6:8.0f}  worst {worst * 1e6:8.0f}"
    print(f"{name:44} {values} us ({len(ordered)})")


def echo(link: RawLink, stop: threading.Event) -> None:
    """The other end: sends every frame back, blocking, as fast as it can."""
    raw = link._socket
    raw.settimeout(0.2)
    while not stop.is_set():
        try:
            frame = raw.recv(2000)
        except OSError:  # nothing to read, or the interface has gone at the end
            continue
        # a request goes back as its confirmation
        raw.send(frame[6:12] + frame[:6] + frame[12:15] + bytes([frame[15] | 1]) + frame[16:])


async def trio_round_trips(link: RawLink, frame: bytes) -> list[float]:
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        link.send(frame)
        await link.receive()
        seconds.append(time.perf_counter() - start)
    return seconds


def sockets() -> None:
    name = f"bench{os.getpid()}"
    netns.create(name)
    stop = threading.Event()
    try:
        netns.create_veth(name, "plc0", bytes.fromhex("024842000001"), "benchplc0")
        near = RawLink("benchplc0")
        far = RawLink("plc0", namespace=name)
        thread = threading.Thread(target=echo, args=(far, stop))
        thread.start()
        request = Ether(dst=far.mac.hex(":"), src=near.mac.hex(":")) / HomePlug() / CM_NW_STATS_REQ()
        line("RawLink on trio, round trip", trio.run(trio_round_trips, near, bytes(request)))
        near.close()
        with L2Socket(iface="benchplc0", type=0x88E1) as scapy_socket:
            seconds = []
            for _ in range(ROUNDS):
                start = time.perf_counter()
                scapy_socket.send(request)
                while (answer := scapy_socket.recv(2000)) is None or not answer.answers(request):
                    pass
                seconds.append(time.perf_counter() - start)
        line("scapy L2Socket, round trip, dissected", seconds)
        seconds = []
        for _ in range(50):
            start = time.perf_counter()
            srp1(request, iface="benchplc0", timeout=1, verbose=False)
            seconds.append(time.perf_counter() - start)
        line("scapy srp1, round trip", seconds)
    finally:
        stop.set()
        netns.delete_link("benchplc0")
        netns.delete(name)


async def answers(runs: int = 20) -> None:
    """From the arrival of a request at the station's socket to its answer leaving, and to the EV on the
    other side."""
    pilot = SimulatedLine()
    powerline = Powerline(latency=0.0)
    powerline.add("ev", "qca7000", "EV")
    powerline.add("evse", "qca7000", "EVSE")
    arrived: dict[int, float] = {}
    asked: dict[int, float] = {}
    inside: list[float] = []
    across: list[float] = []

    def station(frame: bytes, sent: bool) -> None:
        mmtype = frame[15] | frame[16] << 8
        if not sent:
            arrived[mmtype] = time.perf_counter()
        elif mmtype in (0x6065, 0x607D):
            inside.append(time.perf_counter() - arrived[mmtype - 1])

    def line_tap(_when: float, where: str, frame: bytes) -> None:
        mmtype = frame[15] | frame[16] << 8 if frame[12:14] == b"\x88\xe1" else 0
        if where == "host -> ev":
            asked[mmtype] = time.perf_counter()
        elif where == "ev -> host" and mmtype in (0x6065, 0x607D):
            across.append(time.perf_counter() - asked[mmtype - 1])

    powerline.observer = line_tap
    async with (
        powerline_lab(powerline, prefix=f"bench{os.getpid()}") as lab,
        evse_slac(lab.link("evse"), control_pilot=pilot.evse, taps=[station]) as slac,
    ):
        whole = []
        for _ in range(runs):
            while slac.machine.state.name != "IDLE":
                await trio.sleep(0.02)
            pilot.plug()
            match = await match_ev(lab.link("ev"))
            whole.append(match.matched - match.started)
            pilot.unplug()
    line("SLAC answer, in the station's process", inside)
    line("SLAC answer, at the EV's modem and back", across)
    line("whole matching, to CM_SLAC_MATCH.CNF", whole)


if __name__ == "__main__":
    sockets()
    trio.run(answers)
