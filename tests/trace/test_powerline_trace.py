"""The matching in a trace and in its capture, over a simulated powerline in memory and virtual time."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import trio
import trio.testing

pytest.importorskip("scapy")

from hlc_sim.powerline.attach import RunningPowerline
from hlc_sim.powerline.dlink import station_link, vehicle_link
from hlc_sim.powerline.simulated import Powerline
from hlc_sim.trace import events as ev
from hlc_sim.trace.jsonl import read
from hlc_sim.trace.load import open_input
from hlc_sim.trace.run import tracing
from iso15118.session.events import Role

EV = bytes.fromhex("020000000e01")
EVSE = bytes.fromhex("0200000005e1")
MATCHING = [
    "CM_SLAC_PARM.REQ",
    "CM_SLAC_PARM.CNF",
    *["CM_START_ATTEN_CHAR.IND"] * 3,
    *["CM_MNBC_SOUND.IND"] * 10,
    "CM_ATTEN_CHAR.IND",
    "CM_ATTEN_CHAR.RSP",
    "CM_SLAC_MATCH.REQ",
    "CM_SLAC_MATCH.CNF",
]


async def _match(directory: Path) -> list[bytes]:
    """Every frame between the vehicle and its modem while it matches under a trace."""
    line = Powerline(seed=1)
    line.add("ev", "qca7000", "EV")
    line.add("evse", "qca7000", "EVSE")
    heard: list[bytes] = []
    with tracing(directory, Role.EVCC, name="run") as record:
        async with trio.open_nursery() as nursery:
            live = RunningPowerline(line)
            nursery.start_soon(live.run)
            evse = live.memory_link(line.modems["evse"], EVSE)
            car = live.memory_link(line.modems["ev"], EV)
            taps = [*record.slac_taps(), lambda frame, sent: heard.append(frame)]
            async with (
                station_link(evse, entropy=random.Random("evse").randbytes),
                vehicle_link(car, entropy=random.Random("ev").randbytes, taps=taps) as vehicle,
            ):
                await vehicle.up()
            nursery.cancel_scope.cancel()
    return heard


def test_every_frame_of_the_matching_is_in_the_trace_and_in_the_capture(tmp_path: Path) -> None:
    heard = trio.run(_match, tmp_path, clock=trio.testing.MockClock(autojump_threshold=0))
    frames = [event for event in read(tmp_path / "run.jsonl") if isinstance(event, ev.SLAC)]
    assert [bytes.fromhex(event.frame) for event in frames] == heard
    names = [event.name for event in frames]
    last = len(names) - 1 - names[::-1].index("CM_SLAC_PARM.REQ")  # those before it had no answer
    assert [name for name in names[last:] if name in set(MATCHING)] == MATCHING
    assert "CM_SET_KEY.REQ" in names[last:]
    with open_input(tmp_path / "run.pcapng") as capture:
        captured = [event for event in capture if isinstance(event, ev.SLAC)]
    assert [event.frame for event in captured] == [event.frame for event in frames]


def test_what_is_no_management_message_stays_out(tmp_path: Path) -> None:
    with tracing(tmp_path, Role.EVCC, name="run") as record:
        (tap,) = record.slac_taps()
        tap(EVSE + EV + bytes.fromhex("86dd") + bytes(60), True)
    assert not [event for event in read(tmp_path / "run.jsonl") if isinstance(event, ev.SLAC)]
