"""The data link of sessions: what a lost link does to connections, what is left behind, and what a pause
keeps. In memory, in virtual time, without a control pilot."""

from __future__ import annotations

import random
import socket
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
import trio.testing

pytest.importorskip("scapy")

from hlc_sim.powerline.attach import RunningPowerline
from hlc_sim.powerline.dlink import StationLink, VehicleLink, station_link, vehicle_link
from hlc_sim.powerline.simulated import Powerline
from iso15118.slac import nid_from_nmk

EV = bytes.fromhex("020000000e01")
EVSE = bytes.fromhex("0200000005e1")


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


class Bench:
    def __init__(self, powerline: Powerline, car: VehicleLink, station: StationLink) -> None:
        self.powerline, self.car, self.station = powerline, car, station

    def nmks(self) -> list[bytes]:
        return [self.powerline.modems[name].nmk for name in ("ev", "evse")]

    def lose_link(self) -> None:
        modem = self.powerline.modems["evse"]
        modem.take_key(nid_from_nmk(bytes(range(16))), bytes(range(16)), trio.current_time())

    async def connect(self) -> tuple[trio.SocketStream, trio.SocketStream]:
        """A connection over the link: (the car's end, the station's)."""
        ends = [trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in socket.socketpair()]
        return self.car.carry(ends[0]), self.station.carry(ends[1])


@asynccontextmanager
async def bench(nursery: trio.Nursery):
    powerline = Powerline(seed=1)
    powerline.add("ev", "qca7000", "EV")
    powerline.add("evse", "qca7000", "EVSE")
    async with AsyncExitStack() as stack:
        live = RunningPowerline(powerline)
        nursery.start_soon(live.run)
        station = await stack.enter_async_context(
            station_link(
                live.memory_link(powerline.modems["evse"], EVSE), entropy=random.Random("evse").randbytes
            )
        )
        await trio.sleep(300)  # longer than TT_EVSE_SLAC_init: nobody knows when a car is plugged
        car = await stack.enter_async_context(
            vehicle_link(live.memory_link(powerline.modems["ev"], EV), entropy=random.Random("ev").randbytes)
        )
        yield Bench(powerline, car, station)


async def test_a_lost_link_ends_the_connections_on_both_sides(autojump_clock, nursery):
    async with bench(nursery) as it:
        await it.car.up()
        ends = await it.connect()
        await trio.sleep(10)
        it.lose_link()
        with trio.fail_after(3):  # T_link_watch, and the time the modem is deaf
            for end in ends:
                assert await end.receive_some(1) == b""
        with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
            await ends[0].send_all(b"x")


async def test_after_a_session_both_have_new_keys_and_match_anew(autojump_clock, nursery):
    async with bench(nursery) as it:
        first = await it.car.up()
        assert it.nmks() == [first.nmk, first.nmk]
        await it.connect()
        it.station.over(paused=False)
        await it.car.down(paused=False)
        await trio.sleep(2)
        assert first.nmk not in it.nmks()
        assert it.nmks()[0] != it.nmks()[1]
        second = await it.car.up()
        assert second.nmk != first.nmk
        assert second.run_id != first.run_id


async def test_a_connection_that_ends_beside_a_session_does_not_end_its_link(autojump_clock, nursery):
    async with bench(nursery) as it:
        match = await it.car.up()
        await it.connect()
        await it.connect()
        it.station.over(paused=False)
        await trio.sleep(2)
        assert it.nmks() == [match.nmk, match.nmk]
        it.station.over(paused=False)
        await trio.sleep(2)
        assert it.nmks()[1] != match.nmk


async def test_a_pause_keeps_the_key_and_a_connection_wakes_the_station(autojump_clock, nursery):
    async with bench(nursery) as it:
        match = await it.car.up()
        await it.connect()
        it.station.over(paused=True)
        await it.car.down(paused=True)
        await trio.sleep(600)
        assert it.nmks() == [match.nmk, match.nmk]
        assert (await it.car.up()).run_id == match.run_id
        ends = await it.connect()
        await trio.sleep(2)
        it.lose_link()
        with trio.fail_after(3):  # awake: the link is watched again
            assert await ends[1].receive_some(1) == b""


@pytest.mark.parametrize("paused", [True, False])
async def test_the_end_of_the_program_leaves_the_network_unless_paused(paused, autojump_clock, nursery):
    async with bench(nursery) as it:
        match = await it.car.up()
        await it.connect()
        if paused:
            it.station.over(paused=True)
            await it.car.down(paused=True)
    assert (match.nmk in it.nmks()) is paused


async def test_a_cancelled_program_leaves_the_network_too(autojump_clock, nursery):
    with trio.CancelScope() as scope:
        async with bench(nursery) as it:
            match = await it.car.up()
            scope.cancel()
            await trio.sleep(1)
    assert scope.cancelled_caught
    assert match.nmk not in it.nmks()


async def test_a_car_that_makes_no_connection_is_given_up(autojump_clock, nursery):
    async with bench(nursery) as it:
        match = await it.car.up()
        await trio.sleep(19)
        assert it.nmks()[1] == match.nmk
        await trio.sleep(5)
        assert it.nmks()[1] != match.nmk
        assert not it.car.slac.linked
