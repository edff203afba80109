"""The lab: namespaces, interfaces, the raw socket, foreign programs. Needs root."""

from __future__ import annotations

import os
import socket
import struct
import subprocess

import pytest
import trio

pytest.importorskip("scapy")

from hlc_sim.powerline import netns
from hlc_sim.powerline.lab import powerline_lab
from hlc_sim.powerline.link import LinkDown
from hlc_sim.powerline.matching import ev_slac, evse_slac, match_ev
from hlc_sim.powerline.rawsocket import RawLink
from hlc_sim.powerline.simulated import Powerline
from iso15118.slac import BROADCAST, SimulatedLine

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(netns.available() is not None, reason=str(netns.available())),
]

PREFIX = f"t{os.getpid() % 10000}"


def two(seed: int = 1, family: str = "qca7000") -> Powerline:
    powerline = Powerline(seed=seed)
    powerline.add("ev", family, "EV")
    powerline.add("evse", family, "EVSE")
    return powerline


@pytest.mark.parametrize("attachment", ["tap", "veth"])
async def test_slac_then_sdp_and_tcp_over_the_link(attachment):
    async with powerline_lab(two(), prefix=PREFIX, attachment=attachment) as lab:
        with trio.fail_after(20):
            async with evse_slac(lab.link("evse")) as station, ev_slac(lab.link("ev")) as car:
                match = await car.matched()
                assert (await station.matched()).nmk == match.nmk
                assert match.evse_mac == lab.hosts["evse"].mac
                await _multicast(lab)
                await _tcp(lab)


async def _multicast(lab) -> None:
    """A datagram to ff02::1, answered by unicast: what SDP does."""
    ev, evse = lab.hosts["ev"], lab.hosts["evse"]
    with netns.inside(evse.namespace):
        index = socket.if_nametoindex(evse.interface)
        server = trio.socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        server.setsockopt(
            socket.IPPROTO_IPV6,
            socket.IPV6_JOIN_GROUP,
            socket.inet_pton(socket.AF_INET6, "ff02::1") + struct.pack("@I", index),
        )
    with netns.inside(ev.namespace):
        ev_index = socket.if_nametoindex(ev.interface)
        client = trio.socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    await server.bind(("::", 15118))
    await client.bind((ev.address, 0, 0, ev_index))
    await client.sendto(b"who?", ("ff02::1", 15118, 0, ev_index))
    data, address = await server.recvfrom(100)
    assert (data, address[0].split("%")[0]) == (b"who?", ev.address)
    await server.sendto(b"me", address)
    assert (await client.recvfrom(100))[0] == b"me"
    server.close()
    client.close()


async def _tcp(lab) -> None:
    ev, evse = lab.hosts["ev"], lab.hosts["evse"]
    with netns.inside(evse.namespace):
        listener = trio.socket.socket(socket.AF_INET6)
        index = socket.if_nametoindex(evse.interface)
    await listener.bind((evse.address, 50000, 0, index))
    listener.listen(1)
    with netns.inside(ev.namespace):
        client = trio.socket.socket(socket.AF_INET6)
        ev_index = socket.if_nametoindex(ev.interface)
    await client.connect((evse.address, 50000, 0, ev_index))
    accepted, _ = await listener.accept()
    payload = os.urandom(20000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.SocketStream(client).send_all, payload)
        received = b""
        stream = trio.SocketStream(accepted)
        while len(received) < len(payload):
            received += await stream.receive_some()
    assert received == payload
    listener.close()


async def test_slac_is_answered_over_the_lab_line():
    """Prints how long it took from the frame in the station's socket to its answer on the way."""
    pilot, latencies = SimulatedLine(), []
    arrived: dict[int, float] = {}

    def tap(frame: bytes, sent: bool) -> None:
        mmtype = frame[15] | frame[16] << 8
        if not sent:
            arrived[mmtype] = trio.current_time()
        elif mmtype in (0x6065, 0x607D):
            latencies.append(trio.current_time() - arrived[mmtype - 1])

    async with (
        powerline_lab(two(), prefix=PREFIX) as lab,
        evse_slac(lab.link("evse"), control_pilot=pilot.evse, taps=[tap]) as station,
    ):
        for _ in range(3):
            while station.machine.state.name != "IDLE":
                await trio.sleep(0.05)
            pilot.plug()
            await match_ev(lab.link("ev"))
            pilot.unplug()
    assert len(latencies) >= 3 * 4  # three CM_SLAC_PARM.CNF and a CM_SLAC_MATCH.CNF each
    ordered = sorted(1000 * latency for latency in latencies)
    print(f"SLAC answers: median {ordered[len(ordered) // 2]:.2f} ms, worst {ordered[-1]:.2f} ms")


async def test_an_interface_that_goes_down_and_comes_back():
    async with powerline_lab(two(), prefix=PREFIX) as lab:
        link = lab.link("ev")
        down = ["ip", "-n", lab.hosts["ev"].namespace, "link", "set", "plc0"]
        port = lab.ports["ev"]
        async with trio.open_nursery() as nursery:
            seen: list[str] = []

            async def read() -> None:
                while True:
                    try:
                        frame = await link.receive()
                        seen.append(frame[14:18].hex())
                    except LinkDown as error:
                        seen.append(str(error))

            nursery.start_soon(read)
            await trio.sleep(0.05)
            subprocess.run([*down, "down"], check=True)
            with trio.fail_after(2):
                while not seen:
                    await trio.sleep(0.01)
            assert seen[0] == "[Errno 100] plc0: Network is down"
            with pytest.raises(LinkDown):
                link.send(bytes(60))
            subprocess.run([*down, "up"], check=True)
            with trio.fail_after(5):
                while "down" in seen[-1]:
                    lab.powerline.advance(trio.current_time())
                    port.deliver(link.mac + bytes(6) + b"\x88\xe1" + b"back" + bytes(42))
                    await trio.sleep(0.05)
            assert seen[-1] == b"back".hex()
            nursery.cancel_scope.cancel()
        link.close()


async def test_short_frames_are_padded_and_own_frames_not_heard():
    async with powerline_lab(two(), prefix=PREFIX, attachment="veth") as lab:
        got: list[bytes] = []
        lab.powerline.observer = lambda _when, where, frame: where == "host -> ev" and got.append(frame)
        link = lab.link("ev", None)
        link.send(BROADCAST + link.mac + b"\x88\xe1" + bytes(3))
        with trio.fail_after(2):
            while not any(frame[12:14] == b"\x88\xe1" for frame in got):
                await trio.sleep(0.01)
        (frame,) = [frame for frame in got if frame[12:14] == b"\x88\xe1"]
        assert len(frame) == 60
        with trio.move_on_after(0.1):
            while True:
                assert (await link.receive())[6:12] != link.mac
        link.close()


async def test_timers_stay_in_time_under_a_flood():
    """Draining the socket without a break makes a 10 ms timer 300 ms late; bursts keep it within a few."""
    async with powerline_lab(two(), prefix=PREFIX, attachment="veth") as lab:
        host = lab.hosts["ev"]
        link = lab.link("ev")
        outside = next(
            port for port in os.listdir("/sys/class/net") if port.startswith("p") and port.endswith("ev")
        )
        sender = RawLink(outside, None)
        late: list[float] = []
        async with trio.open_nursery() as nursery:

            async def flood() -> None:
                frame = host.mac + bytes(6) + b"\x88\xe1" + bytes(46)
                while True:
                    for _ in range(200):
                        sender.send(frame)
                    await trio.lowlevel.checkpoint()

            async def read() -> None:
                while True:
                    await link.receive()

            nursery.start_soon(flood)
            nursery.start_soon(read)
            for _ in range(30):
                start = trio.current_time()
                await trio.sleep(0.01)
                late.append(trio.current_time() - start - 0.01)
            nursery.cancel_scope.cancel()
        assert sorted(late)[len(late) // 2] < 0.02
        link.close()
        sender.close()


async def test_nothing_is_left_behind():
    before = (set(os.listdir("/run/netns")), set(os.listdir("/sys/class/net")))
    with pytest.raises(RuntimeError, match="in the middle"):
        async with powerline_lab(two(), prefix=PREFIX, attachment="veth"):
            raise RuntimeError("in the middle")
    await trio.sleep(0.1)
    assert (set(os.listdir("/run/netns")), set(os.listdir("/sys/class/net"))) == before


async def test_a_second_lab_of_the_same_name_is_refused():
    async with powerline_lab(two(), prefix=PREFIX):
        with pytest.raises(
            netns.NoNamespaces, match=r"exists: is another lab running\? Otherwise: ip netns del"
        ):
            async with powerline_lab(two(), prefix=PREFIX):
                pass


def test_link_local_address():
    assert netns.link_local(bytes.fromhex("0200000000a1")) == "fe80::ff:fe00:a1"
