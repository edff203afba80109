"""A station left running: what a session needed is given back when it is over."""

from __future__ import annotations

import gc
import sys

import pytest
import trio
from trio.testing import MockClock

from .conftest import Bench

SESSIONS = 1000
SETTLED = 200
"""Sessions after which caches are full."""


@pytest.mark.slow
async def test_a_thousand_sessions_leave_neither_task_nor_memory(
    bench: Bench, autojump_clock: MockClock
) -> None:
    tasks = trio.lowlevel.current_statistics().tasks_living
    blocks = 0
    for number in range(1, SESSIONS + 1):
        report = await bench.charge(soc=79.9)
        assert report.session.ok, f"session {number}: {report.session.reason}"
        await bench.settled(1)
        assert bench.reports.pop().clean
        if number == SETTLED:
            gc.collect()
            blocks = sys.getallocatedblocks()
    await trio.testing.wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living == tasks
    assert bench.station.connections == 0
    assert bench.station.served == SESSIONS
    gc.collect()
    grown = sys.getallocatedblocks() - blocks
    assert grown < (SESSIONS - SETTLED) / 2, f"{grown} blocks more than after {SETTLED} sessions"
