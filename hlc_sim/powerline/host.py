"""A host on the powerline: reads its link, hands out what arrives, asks modems and waits for the answer."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import trio
from scapy.layers.l2 import Ether

from iso15118.slac.keys import Entropy
from iso15118.slac.messages import LOCAL_MODEM, Mac

from ..groups import sole
from .link import EthernetLink, LinkDown
from .wire import mmtype_of, packet


class single_exceptions(AbstractContextManager[None], AbstractAsyncContextManager[None]):
    """A nursery wraps even a single exception; callers of ours get it as it was raised. For ``with`` and
    ``async with``, around the nursery."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        found = None if error is None else sole(error)
        if found is not None and found is not error:
            raise found from found.__cause__

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.__exit__(kind, error, trace)


Listener = Callable[[bytes], None]
FrameTap = Callable[[bytes, bool], None]
"""Gets every frame of a link, and whether it was sent by this host."""


class _Waiter:
    def __init__(self, request: Any) -> None:
        self.request = request
        self.answers: list[Any] = []
        self.arrived = trio.Event()


class Host:
    """One reader of one link. Run ``run`` as a task; listeners get every frame at once, in that task.

    down: called with True when the link goes away, with False when frames come again.
    """

    def __init__(self, link: EthernetLink, entropy: Entropy = os.urandom) -> None:
        self.link = link
        self.entropy = entropy
        self.listeners: list[Listener] = []
        self.taps: list[FrameTap] = []
        self.down: Callable[[bool], None] | None = None
        self._waiters: list[_Waiter] = []

    @property
    def mac(self) -> Mac:
        return self.link.mac

    async def run(self) -> None:
        was_down = False
        while True:
            try:
                frame = await self.link.receive()
            except LinkDown:
                if self.down and not was_down:
                    self.down(True)
                was_down = True
                continue
            if was_down:
                was_down = False
                if self.down:
                    self.down(False)
            for tap in self.taps:
                tap(frame, False)
            self._answer(frame)
            for listener in list(self.listeners):
                listener(frame)

    def send(self, frame: bytes) -> None:
        for tap in self.taps:
            tap(frame, True)
        self.link.send(frame)

    def _answer(self, frame: bytes) -> None:
        mmtype = mmtype_of(frame)
        if mmtype is None or not self._waiters or mmtype & 3 != 1:
            return
        waiting = [waiter for waiter in self._waiters if waiter.request.mmtype == mmtype & ~3]
        if not waiting:
            return
        dissected = Ether(frame)
        for waiter in waiting:
            if dissected.payload.answers(waiter.request):
                waiter.answers.append(dissected)
                waiter.arrived.set()

    async def request(
        self,
        body: Any,
        *,
        to: Mac = LOCAL_MODEM,
        timeout: float = 0.5,
        attempts: int = 1,
        mmv: int | None = None,
        answer: type[Any] | None = None,
    ) -> Any | None:
        """The answer's body to one management message, or None. ``answer``: what layer it has to be."""
        for _ in range(attempts):
            found = await self._collect(body, to, timeout, mmv, first=True)
            for each in found:
                if answer is None or answer in each:
                    return each.payload.payload if answer is None else each[answer]
        return None

    async def survey(self, body: Any, *, to: Mac, timeout: float, mmv: int | None = None) -> list[Any]:
        """All answers within the time, as whole frames: who is there?"""
        return await self._collect(body, to, timeout, mmv, first=False)

    async def _collect(
        self, body: Any, to: Mac, timeout: float, mmv: int | None, *, first: bool
    ) -> list[Any]:
        frame = packet(to, self.mac, body, mmv=mmv)
        waiter = _Waiter(frame.payload)
        self._waiters.append(waiter)
        try:
            try:
                self.send(bytes(frame))
            except LinkDown:
                await trio.sleep(timeout)
                return []
            with trio.move_on_after(timeout):
                await (waiter.arrived.wait() if first else trio.sleep_forever())
        finally:
            self._waiters.remove(waiter)
        return waiter.answers
