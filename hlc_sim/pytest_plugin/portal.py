"""A trio loop in a thread of its own, so that tests are plain functions."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import trio

T = TypeVar("T")
_END = 10.0
"""s for the device's tasks to end; a trigger is given 3 s."""


class Portal:
    """`run` carries out a call in the loop; `nursery` is for what runs beside it, cancelled at the end."""

    nursery: trio.Nursery

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._broken: BaseException | None = None
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self) -> Portal:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self.nursery.cancel_scope.cancel)
        self._thread.join(_END)

    def run(self, call: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """The result of an async call. RuntimeError if a task beside has crashed, from its error."""
        try:
            return trio.from_thread.run(call, *arguments, trio_token=self._token)
        except (trio.RunFinishedError, trio.Cancelled):
            self._thread.join(_END)
            raise RuntimeError("a task of the device crashed") from self._broken

    def _loop(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:
            self._broken = error

    async def _main(self) -> None:
        async with trio.open_nursery() as self.nursery:
            self._token = trio.lowlevel.current_trio_token()
            self._ready.set()
            await trio.sleep_forever()
