"""More attacks on a station: those that go on to a match, or use what was heard of one. See ``attacks``."""

from __future__ import annotations

import os

import trio

from iso15118.slac import messages as m
from iso15118.slac import nid_from_nmk, nmk_weaknesses

from .attacks import ATTACKS, Attacker, attack, sounded
from .modems import Modem
from .wire import build

_READY = 30.0
"""Seconds a station may take from the loss of a link to its next answer: a modem's reset, E/F, 5 % again."""


async def _match(bench: Attacker) -> m.SlacMatchCnf | None:
    """An ordinary matching up to the confirmation."""
    run_id = await sounded(bench)
    if run_id is None:
        return None
    await bench.say(m.AttenCharRsp(run_id, bench.host.mac))
    await bench.say(m.SlacMatchReq(run_id, bench.host.mac, bench.target))
    given = await bench.answers(m.SlacMatchCnf, run_id)
    return given[0] if given else None


async def _join(bench: Attacker, cnf: m.SlacMatchCnf) -> bool:
    """The attacker's modem in the station's network."""
    modem = Modem(bench.host)
    await modem.set_key(cnf.nid, cnf.nmk)
    with trio.move_on_after(12):
        while not await modem.link_status():
            await trio.sleep(0.25)
        await trio.sleep(1)  # the station asks its modem at its own pace
        return True
    return False


async def _leave(bench: Attacker) -> bool:
    """Out of the network again; whether the station is then ready for the next vehicle."""
    nmk = os.urandom(16)
    await Modem(bench.host).set_key(nid_from_nmk(nmk), nmk)
    with trio.move_on_after(_READY):
        while not await bench.probe():
            await trio.sleep(0.5)
        return True
    return False


@attack(
    "request after the match", "EVSE", "ignores CM_SLAC_PARM.REQ while its link is up, and keeps the link"
)
async def request_after_the_match(bench: Attacker) -> tuple[bool | None, str]:
    cnf = await _match(bench)
    if cnf is None or not await _join(bench, cnf):
        return None, "no match, or no link after it"
    answered = await bench.probe()
    foreign = os.urandom(8)
    await bench.say(m.SlacParmReq(foreign), to=m.BROADCAST, source=b"\x02" + os.urandom(5))
    answered = answered or bool(await bench.answers(m.SlacParmCnf, foreign))
    kept = bool(await Modem(bench.host).link_status())
    await _leave(bench)
    told = f"requests {'answered' if answered else 'ignored'}, link {'kept' if kept else 'lost'}"
    return kept and not answered, told


@attack(
    "amplitude maps",
    "EVSE",
    "answers none of a stranger, and keeps its link whatever a matched EV's map says",
)
async def amplitude_maps(bench: Attacker) -> tuple[bool | None, str]:
    """Empty, all carriers off, and longer than the frame."""
    await bench.say(m.AmpMapReq((0,) * 917))
    stranger = bool(await bench.answers(m.AmpMapCnf))
    cnf = await _match(bench)
    if cnf is None or not await _join(bench, cnf):
        return None, "no match, or no link after it"
    off = build(bench.target, bench.host.mac, m.AmpMapReq((15,) * 917))
    for frame in (build(bench.target, bench.host.mac, m.AmpMapReq(())), off, off[:200]):
        await bench.send(frame)
        await trio.sleep(1.5)
    kept = bool(await Modem(bench.host).link_status())
    ready = await _leave(bench)
    told = f"a stranger {'answered' if stranger else 'ignored'}, link {'kept' if kept else 'lost'}"
    return kept and ready and not stranger, told + ("" if ready else ", no answer afterwards")


@attack("key hygiene", "EVSE", "a new random key for every vehicle, with the network identifier that follows")
async def key_hygiene(bench: Attacker) -> tuple[bool | None, str]:
    keys = []
    for _ in range(2):
        cnf = await _match(bench)
        if cnf is None or not await _join(bench, cnf):
            return None, "no match, or no link after it"
        keys.append(cnf)
        if not await _leave(bench):
            return False, "no answer after a vehicle has left"
    faults = [f"key {weakness}" for cnf in keys for weakness in nmk_weaknesses(cnf.nmk)]
    faults += ["NID not derived from the key" for cnf in keys if nid_from_nmk(cnf.nmk) != cnf.nid]
    if keys[0].nmk == keys[1].nmk:
        faults.append("the same key twice")
    return not faults, "; ".join(faults) or "two keys, different and without visible fault"


@attack("match replayed", "EVSE", "gives its key for no RunID but that of the matching going on")
async def match_replayed(bench: Attacker) -> tuple[bool | None, str]:
    """The request of a finished matching again: at rest, and while another matching goes on."""
    cnf = await _match(bench)
    if cnf is None or not await _join(bench, cnf):
        return None, "no match, or no link after it"
    if not await _leave(bench):
        return None, "no answer after the vehicle has left"
    old = m.SlacMatchReq(cnf.run_id, bench.host.mac, bench.target)
    given = []
    bench.forget()
    await bench.say(old)
    if await bench.answers(m.SlacMatchCnf):
        given.append("at rest")
    run_id = await sounded(bench)
    if run_id is not None:
        await bench.say(m.AttenCharRsp(run_id, bench.host.mac))
        await bench.say(old)
        if await bench.answers(m.SlacMatchCnf):
            given.append("during another matching")
    if given:
        return False, f"key given {' and '.join(given)}"
    return (True, "no answer") if run_id is not None else (None, "no answer at rest, and no other matching")


@attack("an EV that takes its time", "EVSE", "waits as long as the timers let an EV take, and gives up after")
async def takes_its_time(bench: Attacker) -> tuple[bool | None, str]:
    """Each step 30 ms before the limit: CM_START_ATTEN_CHAR.IND (400 ms), CM_ATTEN_CHAR.RSP (200 ms) and
    CM_SLAC_MATCH.REQ (10 s). Then the last one late."""
    for pause, served in ((9.97, True), (10.5, False)):
        run_id = os.urandom(8)
        bench.forget()
        await bench.say(m.SlacParmReq(run_id), to=m.BROADCAST)
        if not await bench.answers(m.SlacParmCnf, run_id):
            return None, "the station does not answer an honest request"
        await trio.sleep(0.37)
        await bench.say(m.StartAttenCharInd(run_id, bench.host.mac), to=m.BROADCAST)
        for left in reversed(range(10)):
            await bench.say(m.MnbcSoundInd(run_id, left, os.urandom(16)), to=m.BROADCAST)
            await trio.sleep(0.03)
        if not await bench.answers(m.AttenCharInd, run_id, within=1.0):
            return False, "no report to an EV that began 370 ms after CM_SLAC_PARM.CNF"
        await trio.sleep(0.17)
        await bench.say(m.AttenCharRsp(run_id, bench.host.mac))
        await trio.sleep(pause)
        await bench.say(m.SlacMatchReq(run_id, bench.host.mac, bench.target))
        given = bool(await bench.answers(m.SlacMatchCnf, run_id))
        if given is not served:
            return False, f"CM_SLAC_MATCH.REQ {pause} s after the report {'answered' if given else 'ignored'}"
        if given:  # never joined: the station gives up by itself
            with trio.move_on_after(_READY):
                while not await bench.probe():
                    await trio.sleep(0.5)
    return True, "served up to the limits, not after them"


@attack("listen for keys", "EVSE", "its key is heard by nobody but the EV that it matches with")
async def listen_for_keys(bench: Attacker) -> tuple[bool | None, str]:
    """Sends nothing until it has heard a key. Some modems hand messages for others to their host; a matching
    has to take place meanwhile."""
    asked = False
    with trio.move_on_after(60):
        while True:
            for source, message in list(bench.seen):
                asked = asked or isinstance(message, m.SlacParmReq)
                if not isinstance(message, m.SlacMatchCnf) or source not in bench.permit.targets:
                    continue
                joined = await _join(bench, message)
                return False, f"key of another matching heard{', its network joined' if joined else ''}"
            await trio.sleep(0.01)
    return (True, "no key heard") if asked else (None, "no matching was heard of")


__all__ = ["ATTACKS"]
