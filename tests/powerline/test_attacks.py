"""The attacks, run against our own station and car on the simulated line: what they withstand and what they
cannot."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
import trio.testing

pytest.importorskip("scapy")

from scapy.utils import RawPcapReader

from hlc_sim.powerline import attacks_matched
from hlc_sim.powerline.attach import RunningPowerline
from hlc_sim.powerline.attacks import NotPermitted, Permit, attacker, sounded
from hlc_sim.powerline.attacks_matched import ATTACKS
from hlc_sim.powerline.families import family
from hlc_sim.powerline.matching import ev_slac, evse_slac
from hlc_sim.powerline.modems import Modem
from hlc_sim.powerline.simulated import Powerline
from hlc_sim.powerline.wire import build
from iso15118.slac import EvseSlacConfig, EvSlacConfig, SimulatedLine, Timing
from iso15118.slac import messages as m

EV, EVSE, ROGUE = (bytes.fromhex(text) for text in ("020000000e01", "0200000005e1", "020000000bad"))


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


@asynccontextmanager
async def line(
    rogue_role: str,
    targets: set[bytes],
    tmp_path,
    *,
    car=None,
    exposed=False,
    leaks=False,
    evse=None,
    keys=None,
):
    """A station (and a car, if wanted) with an attacker's modem beside them; yields (attacker, station,
    pilot)."""
    powerline = Powerline(seed=6)
    powerline.add("ev", "qca7000", "EV")
    powerline.add("evse", family("qca7000").but(manageable_over_line=exposed), "EVSE")
    powerline.add("rogue", family("qca7000").but(leaks_unicast=leaks), rogue_role)
    powerline.set_attenuation("rogue", "ev", 45)
    pilot = SimulatedLine()
    async with AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)
        live = RunningPowerline(powerline)
        nursery.start_soon(live.run)
        bench = await stack.enter_async_context(
            attacker(
                live.memory_link(powerline.modems["rogue"], ROGUE),
                Permit(frozenset(targets), i_own_this=True),
                capture=tmp_path / "attack.pcap",
            )
        )
        evse = await stack.enter_async_context(
            evse_slac(
                live.memory_link(powerline.modems["evse"], EVSE),
                config=evse,
                control_pilot=pilot.evse,
                entropy=keys or random.Random(1).randbytes,
            )
        )
        await trio.sleep(2)
        if car is None:
            pilot.plug()
        else:
            bench.car = await stack.enter_async_context(
                ev_slac(
                    live.memory_link(powerline.modems["ev"], EV),
                    config=car,
                    control_pilot=pilot.ev,
                    entropy=random.Random(2).randbytes,
                )
            )
        bench.powerline = powerline
        yield bench, evse, pilot


ON_MODEM = {"key over the line", "remote management"}
PASSIVE = {"listen for keys"}


@pytest.mark.parametrize(
    "name", [a.name for a in ATTACKS.values() if a.against == "EVSE" and a.name not in ON_MODEM | PASSIVE]
)
async def test_our_station_withstands(name, tmp_path, autojump_clock):
    async with line("EV", {EVSE}, tmp_path) as (bench, station, _):
        finding = await ATTACKS[name].run(bench)
        assert finding.good is True, finding.observed
        assert len(station.machine.sessions) <= station.machine.timing.C_EVSE_match_parallel
    with RawPcapReader(str(tmp_path / "attack.pcap")) as capture:
        assert len(list(capture)) > 0


@pytest.mark.parametrize("exposed", [False, True])
@pytest.mark.parametrize("name", sorted(ON_MODEM))
async def test_an_exposed_modem_is_told_from_a_closed_one(name, exposed, tmp_path, autojump_clock):
    modem = Powerline().add("x").mac[:5] + b"\x02"
    async with line("EV", {modem}, tmp_path, exposed=exposed) as (bench, _, _pilot):
        assert bench.powerline.modems["evse"].mac == modem
        finding = await ATTACKS[name].run(bench)
        assert finding.good is not exposed


@pytest.mark.parametrize(
    ("name", "weak", "words"),
    [
        ("key hygiene", {"keys": lambda size: random.Random(3).randbytes(size)}, "the same key twice"),
        ("key hygiene", {"keys": lambda size: bytes(range(65, 65 + size))}, "key printable characters only"),
        (
            "an EV that takes its time",
            {"evse": EvseSlacConfig(EVSE, timing=Timing(TT_EVSE_match_session=9))},
            "9.97 s after the report ignored",
        ),
        (
            "an EV that takes its time",
            {"evse": EvseSlacConfig(EVSE, timing=Timing(TT_EVSE_match_session=20))},
            "10.5 s after the report answered",
        ),
    ],
)
async def test_a_weak_station_is_found_out(name, weak, words, tmp_path, autojump_clock):
    async with line("EV", {EVSE}, tmp_path, **weak) as (bench, _, _pilot):
        finding = await ATTACKS[name].run(bench)
        assert finding.good is False
        assert words in finding.observed


@pytest.mark.parametrize(
    ("role", "leaks", "good"), [("EV", False, None), ("EV", True, False), ("EVSE", False, True)]
)
async def test_a_leaking_modem_hears_the_key(role, leaks, good, tmp_path, autojump_clock):
    """A modem set up for EVs is not even told that an EV asks."""
    async with line(role, {EVSE}, tmp_path, car=EvSlacConfig(EV), leaks=leaks) as (bench, station, pilot):
        pilot.plug()
        finding = await ATTACKS["listen for keys"].run(bench)
        assert (await station.matched()).ev_mac == EV
        assert finding.good is good, finding.observed


async def test_without_a_matching_there_is_nothing_to_hear(tmp_path, autojump_clock):
    async with line("EV", {EVSE}, tmp_path) as (bench, _, _pilot):
        assert (await ATTACKS["listen for keys"].run(bench)).good is None


@pytest.mark.parametrize("name", ["early report", "contradicting confirmations", "forged match"])
async def test_our_car_withstands(name, tmp_path, autojump_clock):
    async with line("EVSE", {EV}, tmp_path, car=EvSlacConfig(EV)) as (bench, _, pilot):
        pilot.plug()
        finding = await ATTACKS[name].run(bench)
        assert finding.good is True, finding.observed


async def test_a_rogue_station_wins_as_the_standard_lets_it(tmp_path, autojump_clock):
    """Whoever reports the least attenuation is the nearest: the attack succeeds, and the finding says so."""
    async with line("EVSE", {EV}, tmp_path, car=EvSlacConfig(EV)) as (bench, _, pilot):
        async with trio.open_nursery() as nursery:

            async def plug() -> None:
                await trio.sleep(2)  # the rogue's modem is deaf for a while after its new key
                pilot.plug()

            nursery.start_soon(plug)
            finding = await ATTACKS["rogue station"].run(bench)
        assert finding.good is False
        assert "took the rogue's key" in finding.observed


@pytest.mark.parametrize("name", ["rogue station", "forged match", "early report"])
async def test_without_a_car_nothing_is_judged(name, tmp_path, autojump_clock):
    async with line("EVSE", {EV}, tmp_path) as (bench, _station, _pilot):
        assert (await ATTACKS[name].run(bench)).good is None


async def test_a_modem_that_does_not_tell_its_link_judges_no_car(tmp_path, autojump_clock, monkeypatch):
    async def unknown(self):
        return None

    async with line("EVSE", {EV}, tmp_path, car=EvSlacConfig(EV)) as (bench, _station, pilot):
        monkeypatch.setattr(Modem, "link_status", unknown)
        pilot.plug()
        assert (await ATTACKS["forged match"].run(bench)).good is None


async def test_a_station_that_is_deaf_afterwards_is_not_judged_by_a_second_matching(
    tmp_path, autojump_clock, monkeypatch
):
    async with line("EV", {EVSE}, tmp_path) as (bench, _station, _pilot):
        runs = iter([True])

        async def once(bench):
            return await sounded(bench) if next(runs, False) else None

        monkeypatch.setattr(attacks_matched, "sounded", once)
        assert (await ATTACKS["match replayed"].run(bench)).good is None


async def test_foreign_profiles_do_not_enter_the_average(autojump_clock, tmp_path):
    async with line("EV", {EVSE}, tmp_path) as (bench, station, _):
        run_id = bytes(8)
        await bench.say(m.SlacParmReq(run_id), to=m.BROADCAST)
        await bench.say(m.StartAttenCharInd(run_id, ROGUE), to=m.BROADCAST)
        await trio.sleep(0.05)
        station._frame(build(m.BROADCAST, ROGUE, m.AttenProfileInd(ROGUE, (0,) * 58)))
        assert station.machine.sessions[ROGUE].profiles == []
        assert "not of the own modem" in station.deviations[-1].text


def test_nothing_happens_without_permission(tmp_path):
    with pytest.raises(NotPermitted, match="i_own_this"):
        Permit(frozenset({EV})).check()
    with pytest.raises(NotPermitted, match="addresses of their targets"):
        Permit(frozenset(), i_own_this=True).check()


async def test_only_targets_get_frames_and_at_the_permitted_rate(tmp_path, autojump_clock):
    async with line("EV", {EVSE}, tmp_path) as (bench, _, _pilot):
        with pytest.raises(NotPermitted, match="02:00:00:00:0e:01 is not among the targets"):
            await bench.say(m.ValidateReq(0), to=EV)
        start = trio.current_time()
        for _ in range(100):
            await bench.say(m.ValidateReq(0))
        assert trio.current_time() - start == pytest.approx(99 / 500)
