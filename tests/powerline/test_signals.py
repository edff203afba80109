"""A signal that ends a run over the powerline, and more of them on its way out."""

from __future__ import annotations

import signal

import pytest
import trio
import trio.testing

pytest.importorskip("scapy")

from hlc_sim.powerline.dlink import until_signalled


def test_more_signals_do_not_disturb_the_way_out() -> None:
    others: list[int] = []
    done: list[str] = []

    async def run() -> None:
        async with until_signalled():
            try:
                signal.raise_signal(signal.SIGTERM)
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    signal.raise_signal(signal.SIGTERM)
                    signal.raise_signal(signal.SIGINT)
                    await trio.testing.wait_all_tasks_blocked()
                done.append("left")

    before = signal.signal(signal.SIGTERM, lambda number, _: others.append(number))
    try:
        with pytest.raises(KeyboardInterrupt):
            trio.run(run)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert done == ["left"]
    assert not others
