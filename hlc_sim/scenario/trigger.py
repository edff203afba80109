"""A shell command that makes a car plug in: a relay on a bench, or an EVCC program."""

from __future__ import annotations

import math
import os
import signal
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from subprocess import DEVNULL, PIPE, STDOUT

import trio

_KEPT_LINES = 200
_GRACE = 3.0
"""s from SIGTERM to SIGKILL."""
_LOOK = 0.02
"""s between two looks at what is left of the group."""


@dataclass
class Trigger:
    """Runs `command` once for each session. `said` is what the latest run wrote, the last lines of it."""

    command: str
    said: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES), init=False)
    code: int | None = field(default=None, init=False)
    """Exit code of the latest run; None while it runs."""
    failed: trio.Event = field(default_factory=trio.Event, init=False)
    """The latest run ended with another exit code than 0."""
    runs: int = field(default=0, init=False)

    async def run(
        self, environment: Mapping[str, str], task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run the command to its end, with more environment variables. When cancelled, it and what it started
        get SIGTERM, then SIGKILL.
        """
        self.said.clear()
        self.runs += 1
        self.code, self.failed = None, trio.Event()
        process = await trio.lowlevel.open_process(
            self.command,
            shell=True,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
            env={**os.environ, **environment},
        )
        assert process.stdout is not None
        task_status.started()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, process.stdout)
                self.code = await process.wait()
                if self.code:
                    self.failed.set()
                else:
                    await trio.sleep(math.inf)  # what it left in the background belongs to the session
        finally:
            with trio.CancelScope(shield=True):
                await _end(process)

    async def _read(self, output: trio.abc.ReceiveStream) -> None:
        rest = b""
        async for data in output:
            *lines, rest = (rest + bytes(data)).split(b"\n")
            self.said.extend(line.decode(errors="replace") for line in lines)
        if rest:
            self.said.append(rest.decode(errors="replace"))


async def _end(process: trio.Process) -> None:
    """End the process and its children: it leads a group of its own, which may outlive it."""
    _signal(process, signal.SIGTERM)
    with trio.move_on_after(_GRACE):
        await process.wait()
        while _signal(process, 0):
            await trio.sleep(_LOOK)
    _signal(process, signal.SIGKILL)
    await process.wait()
    if process.stdout is not None:
        await process.stdout.aclose()


def _signal(process: trio.Process, number: int) -> bool:
    """Whether somebody of the group is there and was told; signal 0 only asks."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # gone, or all of it is another user's
        return False
    return True
