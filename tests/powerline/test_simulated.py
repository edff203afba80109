"""SLAC over the simulated powerline: real frames, every modem family, virtual time."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
import trio.testing

pytest.importorskip("scapy")

from hlc_sim.powerline import layers_mme as lm
from hlc_sim.powerline import layers_vendor as lv
from hlc_sim.powerline.attach import RunningPowerline
from hlc_sim.powerline.families import FAMILIES, family
from hlc_sim.powerline.host import Host
from hlc_sim.powerline.matching import NoModem, Slac, SlacFailed, ev_slac, evse_slac, match_ev
from hlc_sim.powerline.modems import LumissilModem, Modem, QualcommModem, Unsupported, detect, modems_in_reach
from hlc_sim.powerline.simulated import Fault, Powerline
from hlc_sim.powerline.wire import build, mmtype_of, packet, parse
from iso15118.slac import (
    BROADCAST,
    DLink,
    EvseSlacConfig,
    EvSlacConfig,
    SimulatedLine,
    Timing,
    Validation,
    nid_from_nmk,
)
from iso15118.slac import messages as m

EV = bytes.fromhex("020000000e01")
EVSE = bytes.fromhex("0200000005e1")
OTHER = bytes.fromhex("0200000005e2")


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


def entropy(seed: object):
    return random.Random(f"entropy {seed}").randbytes


@asynccontextmanager
async def running(powerline: Powerline):
    async with trio.open_nursery() as nursery:
        live = RunningPowerline(powerline)
        nursery.start_soon(live.run)
        yield live
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def both(
    ev_family: object = "qca7000",
    evse_family: object = "qca7000",
    *,
    line: Powerline | None = None,
    ev: EvSlacConfig | None = None,
    evse: EvseSlacConfig | None = None,
    plug: bool = True,
    observer=None,
):
    """An EV and a station on a line; yields (car, station, control pilot, powerline)."""
    powerline = line or Powerline(seed=1)
    powerline.add("ev", ev_family, "EV")
    powerline.add("evse", evse_family, "EVSE")
    pilot = SimulatedLine()
    async with AsyncExitStack() as stack:
        live = await stack.enter_async_context(running(powerline))
        station = await stack.enter_async_context(
            evse_slac(
                live.memory_link(powerline.modems["evse"], EVSE),
                config=evse,
                control_pilot=pilot.evse,
                entropy=entropy("evse"),
            )
        )
        car = await stack.enter_async_context(
            ev_slac(
                live.memory_link(powerline.modems["ev"], EV),
                config=ev,
                control_pilot=pilot.ev,
                entropy=entropy("ev"),
                observer=observer,
            )
        )
        await trio.sleep(2)
        if plug:
            pilot.plug()
        yield car, station, pilot, powerline


async def linked(car: Slac, station: Slac) -> None:
    with trio.fail_after(60):
        match = await car.matched()
        assert (await station.matched()).nmk == match.nmk


# --- families ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("side", ["EV", "EVSE"])
async def test_every_family_matches_on_either_side(name, side, autojump_clock):
    families = {"ev_family": name} if side == "EV" else {"evse_family": name}
    synthetic = EvseSlacConfig(EVSE, synth_attenuation=25 if family(name).groups == 0 else None)
    async with both(**families, evse=synthetic) as (car, station, _, powerline):
        await linked(car, station)
        assert car.machine.match.evse_mac == EVSE
        assert powerline.modems["ev"].nmk == powerline.modems["evse"].nmk == car.machine.match.nmk
        assert powerline.modems["ev"].nid == nid_from_nmk(car.machine.match.nmk)
        expected = 25 if family(name).groups == 0 and side == "EVSE" else pytest.approx(20, abs=0.5)
        assert car.machine.match.attenuation[EVSE] == expected
        assert car.machine.match.attempts == 1
        assert car.deviations == station.deviations == []


async def test_a_modem_without_groups_and_without_synthetic_value_cannot_match(autojump_clock):
    async with both(evse_family="qca7420", ev=EvSlacConfig(EV, attempts=2)) as (car, station, _, _line):
        with pytest.raises(SlacFailed, match="no station reported attenuation"):
            await car.matched()
        assert any("synth_attenuation" in deviation.text for deviation in station.deviations)


async def test_a_key_lost_straight_after_matching_is_set_again(autojump_clock):
    keys = []

    def observer(_when, action):
        if type(action).__name__ == "SetKey":
            keys.append(action)

    async with both(ev_family="qca7005", observer=observer) as (car, station, _, _line):
        await linked(car, station)
    assert len(keys) == 2
    assert keys[0] == keys[1]


async def test_the_modem_says_who_it_is(autojump_clock):
    powerline = Powerline()
    found = {}
    async with running(powerline) as live, trio.open_nursery() as nursery:
        for number, name in enumerate(FAMILIES):
            modem = powerline.add(name, name)
            host = Host(live.memory_link(modem, bytes([2, 0, 0, 0, 1, number])), entropy(name))
            nursery.start_soon(host.run)
            found[name] = await detect(host)
            assert found[name].info.mac == modem.mac
        nursery.cancel_scope.cancel()
    assert {name: type(driver) for name, driver in found.items()} == {
        "spec": Modem,
        "qca7000": QualcommModem,
        "qca7005": QualcommModem,
        "qca7420": QualcommModem,
        "cg5317": LumissilModem,
        "mse102x": Modem,
    }
    assert found["qca7000"].info.firmware.startswith("MAC-QCA7000")
    assert found["qca7000"].info.device == "QCA7000/QCA7005"
    assert found["qca7420"].info.device == "QCA7420"
    assert found["cg5317"].info.firmware == "1.2.0.3"


async def test_no_modem_is_said_so(autojump_clock):
    powerline = Powerline()
    powerline.add("ev").powered = False
    async with running(powerline) as live:
        with pytest.raises(NoModem, match="no Green PHY modem answers"):
            await match_ev(live.memory_link(powerline.modems["ev"], EV))


@pytest.mark.parametrize("name", FAMILIES)
async def test_drivers_set_and_read_key_link_and_members(name, autojump_clock):
    powerline = Powerline(seed=4)
    a, b = powerline.add("a", name, "EV"), powerline.add("b", name, "EVSE")
    async with running(powerline) as live, trio.open_nursery() as nursery:
        host = Host(live.memory_link(a, EV), entropy(name))
        nursery.start_soon(host.run)
        driver = await detect(host)
        assert await driver.read_key() == (a.nid, a.nmk)
        assert await driver.link_status() is False
        assert await driver.set_key(b.nid, b.nmk) is True
        assert (a.nid, a.nmk) == (b.nid, b.nmk)
        await trio.sleep(2)
        assert await driver.link_status() is True
        assert await driver.members() == [b.mac]
        a.refuse_keys = 1
        assert await driver.set_key(bytes(7), bytes(16)) is False
        nursery.cancel_scope.cancel()


async def test_a_key_that_cannot_be_read_back(autojump_clock):
    powerline = Powerline()
    modem = powerline.add("a", family("mse102x").but(key_readable=False), "EVSE")
    async with running(powerline) as live, trio.open_nursery() as nursery:
        host = Host(live.memory_link(modem, EVSE), entropy(1))
        nursery.start_soon(host.run)
        driver = await detect(host)
        assert await driver.set_key(nid_from_nmk(bytes(16)), bytes(16)) is None
        modem.powered = False
        assert await driver.set_key(nid_from_nmk(bytes(16)), bytes(16)) is False
        assert await driver.link_status() is None
        nursery.cancel_scope.cancel()


async def test_pib_facts_and_reset(autojump_clock):
    powerline = Powerline()
    qualcomm, lumissil = powerline.add("a", "qca7000", "EVSE"), powerline.add("b", "cg5317", "EVSE")
    async with running(powerline) as live, trio.open_nursery() as nursery:
        hosts = [
            Host(live.memory_link(modem, mac), entropy(1))
            for modem, mac in ((qualcomm, EVSE), (lumissil, OTHER))
        ]
        for host in hosts:
            nursery.start_soon(host.run)
        driver = await detect(hosts[0])
        facts = await driver.pib()
        assert (facts.mac, facts.hfid, facts.role, facts.cco) == (qualcomm.mac, "EVSE", "EVSE", 2)
        assert facts.checksum_ok
        await driver.reset()
        assert await driver.link_status() is None
        await trio.sleep(qualcomm.family.reset_time)
        assert await driver.link_status() is False
        other = await detect(hosts[1])
        with pytest.raises(Unsupported, match="Lumissil: no parameter block"):
            await other.pib()
        await other.reset()
        assert await other.link_status() is None
        await trio.sleep(10)
        assert await other.link_status() is False
        nursery.cancel_scope.cancel()


# --- the line ---------------------------------------------------------------------------------------


async def three(seed: int, decibel: dict[str, float], plugged: str) -> tuple[bytes, str]:
    powerline = Powerline(seed=seed, loss=0.05)
    powerline.add("ev", "qca7000", "EV")
    macs = {name: bytes([2, 0, 0, 0, 5, number]) for number, name in enumerate(decibel)}
    pilots = {name: SimulatedLine() for name in decibel}
    async with AsyncExitStack() as stack:
        live = await stack.enter_async_context(running(powerline))
        for name, value in decibel.items():
            powerline.add(name, "qca7000", "EVSE")
            powerline.set_attenuation("ev", name, value)
            link = live.memory_link(powerline.modems[name], macs[name])
            if name != plugged:
                pilots[name].plug()  # somebody else's car
            await stack.enter_async_context(
                evse_slac(
                    link, control_pilot=pilots[name].evse, entropy=entropy((seed, name)), modem=QualcommModem
                )
            )
        link = live.memory_link(powerline.modems["ev"], EV)
        car = await stack.enter_async_context(
            ev_slac(link, control_pilot=pilots[plugged].ev, entropy=entropy(seed), modem=QualcommModem)
        )
        await trio.sleep(2)
        pilots[plugged].plug()
        with trio.fail_after(120):
            match = await car.matched()
        return match.evse_mac, next(name for name, mac in macs.items() if mac == match.evse_mac)


@pytest.mark.parametrize(
    "seeds", [range(40), pytest.param(range(40, 200), marks=pytest.mark.slow)], ids=["40", "160 more"]
)
def test_three_stations_with_5_per_cent_loss_the_nearest_is_chosen_200_of_200(seeds):
    decibel = {"left": 25.0, "own": 12.0, "right": 31.0}
    chosen = [
        trio.run(three, seed, decibel, "own", clock=trio.testing.MockClock(autojump_threshold=0))[1]
        for seed in seeds
    ]
    assert chosen == ["own"] * len(seeds)


async def test_a_far_station_validates_by_toggles(autojump_clock):
    powerline = Powerline(seed=3)
    async with both(line=powerline, plug=False) as (car, station, pilot, _):
        powerline.set_attenuation("ev", "evse", 55)
        pilot.plug()
        await linked(car, station)
        assert car.machine.match.validation == "toggles"
        assert 54 < car.machine.match.attenuation[EVSE] < 56


async def test_validation_not_required(autojump_clock):
    powerline = Powerline(seed=3)
    config = EvseSlacConfig(EVSE, validation=Validation.NOT_REQUIRED)
    async with both(line=powerline, evse=config, plug=False) as (car, station, pilot, _):
        powerline.set_attenuation("ev", "evse", 55)
        pilot.plug()
        await linked(car, station)
        assert car.machine.match.validation == "not required"


async def test_too_far(autojump_clock):
    powerline = Powerline(seed=3)
    async with both(line=powerline, ev=EvSlacConfig(EV, attempts=1), plug=False) as (car, _station, pilot, _):
        powerline.set_attenuation("ev", "evse", 90)
        pilot.plug()
        with pytest.raises(
            SlacFailed, match=r"EVSE_NOT_FOUND: nearest station at 90\.\d dB|EVSE_NOT_FOUND: .* 89"
        ):
            await car.matched()


async def test_an_ev_modem_is_silent_until_it_hears_a_station(autojump_clock):
    powerline = Powerline()
    ev, evse = powerline.add("ev", role="EV"), powerline.add("evse", role="EVSE")
    evse.powered = False
    async with running(powerline) as live:
        car, station = live.memory_link(ev, EV), live.memory_link(evse, EVSE)
        request = build(BROADCAST, EV, m.SlacParmReq(bytes(8)))
        car.send(request)
        with trio.move_on_after(1) as scope:
            await station.receive()
        assert scope.cancelled_caught
        evse.powered = True
        car.send(request)
        assert await station.receive() == request


def test_frames_that_fall_due_while_a_host_transmits_are_kept():
    powerline = Powerline(latency=0.001)
    ev, evse = powerline.add("ev", role="EV"), powerline.add("evse", role="EVSE")
    frames = [build(BROADCAST, EV, m.SlacParmReq(bytes([number] * 8))) for number in range(3)]
    for number, frame in enumerate(frames):
        powerline.transmit(ev, frame, number * 0.01)
    assert powerline.advance(0.1) == [(evse, frame) for frame in frames]


async def test_data_passes_only_within_a_network(autojump_clock):
    powerline = Powerline()
    ev, evse = powerline.add("ev", role="EV"), powerline.add("evse", role="EVSE")
    async with running(powerline) as live:
        car, station = live.memory_link(ev, EV), live.memory_link(evse, EVSE)
        data = EVSE + EV + b"\x86\xdd" + bytes(46)
        car.send(data)
        await trio.sleep(1)
        assert not station._frames.statistics().current_buffer_used
        ev.take_key(evse.nid, evse.nmk, trio.current_time())
        car.send(data)  # deaf still
        await trio.sleep(2)
        car.send(data)
        assert await station.receive() == data
        powerline.set_attenuation("ev", "evse", float("inf"))
        car.send(data)
        await trio.sleep(1)
        assert not station._frames.statistics().current_buffer_used


async def test_unicast_goes_where_the_address_was_seen(autojump_clock):
    powerline = Powerline()
    ev, evse = powerline.add("ev", role="EV"), powerline.add("evse", role="EVSE")
    spy = powerline.add("spy", family("qca7000").but(leaks_unicast=True), "EV")
    quiet = powerline.add("quiet", role="EV")
    async with running(powerline) as live:
        car = live.memory_link(ev, EV)
        station, third, fourth = (
            live.memory_link(evse, EVSE),
            live.memory_link(spy, OTHER),
            live.memory_link(quiet, OTHER),
        )
        car.send(build(BROADCAST, EV, m.SlacParmReq(bytes(8))))
        await station.receive()
        answer = build(EV, EVSE, m.SlacParmCnf(bytes(8), EV))
        station.send(answer)
        assert await car.receive() == answer
        assert await third.receive() == answer  # some firmware leaks
        assert not fourth._frames.statistics().current_buffer_used


async def test_profiles_follow_sounds_with_the_vendors_message_first(autojump_clock):
    powerline = Powerline(noise=0)
    ev, evse = powerline.add("ev", role="EV"), powerline.add("evse", "qca7005", "EVSE")
    powerline.set_attenuation("ev", "evse", 33)
    async with running(powerline) as live:
        car, station = live.memory_link(ev, EV), live.memory_link(evse, EVSE)
        car.send(build(BROADCAST, EV, m.MnbcSoundInd(bytes(8), 9, bytes(16))))
        frames = [await station.receive() for _ in range(3)]
    assert [mmtype_of(frame) for frame in frames] == [0x6076, 0xA14E, 0x6086]
    assert frames[1][17:20] == bytes(3)  # the firmware's OUI bug
    assert (frames[1][6:12], frames[1][:6]) == (evse.mac, BROADCAST)
    assert parse(frames[2]) == (evse.mac, m.AttenProfileInd(EV, (33,) * 58))


async def test_keys_resets_and_parameters_are_refused_over_the_line(autojump_clock):
    powerline = Powerline()
    ev = powerline.add("ev", role="EV")
    evse = powerline.add("evse", role="EVSE")
    exposed = powerline.add("exposed", family("qca7000").but(manageable_over_line=True), "EVSE")
    key = evse.nmk
    async with running(powerline) as live, trio.open_nursery() as nursery:
        host = Host(live.memory_link(ev, EV), entropy(1))
        nursery.start_soon(host.run)
        for target in (evse, exposed):
            body = lm.CM_SET_KEY_REQ(nid=bytes(7), nmk=bytes(16))
            cnf = await host.request(body, to=target.mac, answer=lm.CM_SET_KEY_CNF)
            assert cnf.result == (0 if target is evse else 1)
        assert evse.nmk == key
        assert exposed.nmk == bytes(16)
        read = lv.ReadModuleDataRequest(ModuleID=2, Length=64)
        cnf = await host.request(read, to=evse.mac, answer=lv.ReadModuleDataConfirmation)
        assert cnf.Status != 0
        got = await host.request(lm.CM_GET_KEY_REQ(nid=evse.nid), to=evse.mac, answer=lm.CM_GET_KEY_CNF)
        assert (got.result, bytes(got.key)) == (1, bytes(16))
        nursery.cancel_scope.cancel()


async def test_members_answer_broadcasts(autojump_clock):
    async with both() as (car, station, _, powerline):
        assert list(await modems_in_reach(car.host)) == [powerline.modems["ev"].mac]
        await linked(car, station)
        found = await modems_in_reach(car.host)
        assert set(found) == {powerline.modems["ev"].mac, powerline.modems["evse"].mac}


# --- faults -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["drop", "duplicate", "delay", "corrupt"])
@pytest.mark.parametrize("mmtype", [0x6064, 0x6065, 0x606A, 0x6076, 0x606E, 0x606F, 0x607C, 0x607D], ids=hex)
async def test_one_fault_per_message_is_survived(what, mmtype, autojump_clock):
    fault = Fault(what, mmtype, times=1, seconds=0.15)
    powerline = Powerline(seed=7, faults=[fault])
    async with both(line=powerline) as (car, station, _, _line):
        await linked(car, station)
        assert fault.times == 0


async def test_a_twisted_key_is_a_new_matching(autojump_clock):
    """A fault in the key of CM_SLAC_MATCH.CNF: both believe they matched, the link never forms."""
    powerline = Powerline(seed=1)

    async with both(line=powerline, ev=EvSlacConfig(EV, attempts=30, timing=Timing(TT_match_join=5))) as (
        car,
        _station,
        _,
        _line,
    ):
        original, hit = powerline._propagate, []

        def twist(sender, receiver, frame, mmtype, wait):
            if mmtype == 0x607D and not hit:
                hit.append(frame)
                frame = frame[:93] + bytes(16) + frame[109:]
            original(sender, receiver, frame, mmtype, wait)

        powerline._propagate = twist
        with trio.fail_after(120):
            match = await car.matched()
        assert match.attempts > 1
        assert any("NID is not the one derived" in deviation.text for deviation in car.deviations)


async def test_zero_attenuation_and_refused_keys_are_faults_one_can_set(autojump_clock):
    powerline = Powerline(seed=1)
    async with both(line=powerline, plug=False) as (car, station, pilot, _):
        powerline.modems["evse"].zero_groups = True
        powerline.modems["ev"].refuse_keys = 2
        pilot.plug()
        await linked(car, station)
        assert car.machine.match.attenuation[EVSE] == 0


async def test_link_loss_and_rematching(autojump_clock):
    powerline = Powerline(seed=1)
    async with both(line=powerline) as (car, station, _, _line):
        await linked(car, station)
        first = car.machine.match
        powerline.set_attenuation("ev", "evse", float("inf"))
        with trio.fail_after(5):
            assert await station.lost() == "the link went down"
        powerline.set_attenuation("ev", "evse", 20)
        with trio.fail_after(60):
            while not (car.linked and station.linked and car.machine.match.nmk == station.machine.match.nmk):
                await trio.sleep(0.1)
        assert car.machine.match.nmk != first.nmk


async def test_leave_gives_both_modems_new_keys(autojump_clock):
    async with both() as (car, station, _, powerline):
        await linked(car, station)
        nmk = car.machine.match.nmk
        with trio.fail_after(3):
            await car.leave()
        with trio.fail_after(3):
            await station.leave()
        assert nmk not in (powerline.modems["ev"].nmk, powerline.modems["evse"].nmk)
        assert powerline.modems["ev"].nid == nid_from_nmk(powerline.modems["ev"].nmk)


async def test_pause_and_wake(autojump_clock):
    async with both() as (car, station, pilot, powerline):
        await linked(car, station)
        key = powerline.modems["ev"].nmk
        car.give(DLink.PAUSE)
        station.give(DLink.PAUSE)
        await trio.sleep(30)
        assert pilot.signal.duty == 100
        car.give(DLink.RESUME)
        await trio.sleep(3)
        assert car.machine.state.name == station.machine.state.name == "MATCHED"
        assert powerline.modems["ev"].nmk == key


async def test_a_malformed_message_is_reported_and_ignored(autojump_clock):
    async with both() as (car, station, _, _line):
        bad = bytearray(build(EVSE, EV, m.SlacMatchReq(bytes(8), EV, EVSE)))
        bad[21] = 0x40
        car.host.send(bytes(bad))
        await linked(car, station)
        assert "CM_SLAC_MATCH_REQ: MVFLength 0x0040, 0x003e expected" in station.deviations[0].text


def test_the_same_seed_gives_the_same_run():
    async def run() -> list[tuple[float, bytes]]:
        seen: list[tuple[float, bytes]] = []
        powerline = Powerline(seed=9, loss=0.05, jitter=0.001)
        powerline.observer = lambda when, _where, frame: seen.append((round(when, 9), frame))
        async with both(line=powerline) as (car, station, _, _line):
            await linked(car, station)
        return seen

    def once() -> list[tuple[float, bytes]]:
        return trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))

    first, second = once(), once()
    assert first == second
    assert len(first) > 60


async def test_a_limited_rate_delays(autojump_clock):
    powerline = Powerline(rate=1e6, latency=0.0)
    ev, evse = powerline.add("ev", role="EV"), powerline.add("evse", role="EVSE")
    ev.take_key(evse.nid, evse.nmk, -10.0)
    async with running(powerline) as live:
        car, station = live.memory_link(ev, EV), live.memory_link(evse, EVSE)
        for _ in range(10):
            car.send(EVSE + EV + b"\x86\xdd" + bytes(1236))
        for _ in range(10):
            await station.receive()
        assert trio.current_time() == pytest.approx(10 * 1250 * 8 / 1e6, rel=0.01)


def test_wrong_names_are_said_so():
    with pytest.raises(ValueError, match="modem family 'qca9999': one of spec, qca7000"):
        family("qca9999")
    powerline = Powerline()
    powerline.add("ev")
    with pytest.raises(ValueError, match="'ev' is on the line already"):
        powerline.add("ev")
    with pytest.raises(ValueError, match="no modem 'evse' on the line"):
        powerline.set_attenuation("ev", "evse", 3)


# --- the wire ---------------------------------------------------------------------------------------


def test_a_message_cut_short_anywhere_is_malformed_or_whole():
    from hlc_sim.powerline.wire import MalformedMme

    frame = build(EV, EVSE, m.SlacMatchCnf(bytes(8), EV, EVSE, bytes(7), bytes(16)))
    assert len(frame) == 109
    for size in range(17, 109):
        with pytest.raises(MalformedMme, match="CM_SLAC_MATCH_CNF: "):
            parse(frame[:size])
    assert parse(frame)[1] == m.SlacMatchCnf(bytes(8), EV, EVSE, bytes(7), bytes(16))


def test_amplitude_map_of_917_carriers_there_and_back():
    message = m.AmpMapReq(tuple(i % 16 for i in range(917)))
    assert parse(build(EV, EVSE, message)) == (EVSE, message)


def test_frames_that_are_no_business_of_the_matching():
    assert parse(bytes(60)) is None
    assert parse(bytes(packet(EV, EVSE, lv.VS_SW_VER_REQ()))) is None
    assert parse(b"") is None
