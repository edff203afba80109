"""Makes a case that finds something as small as it can be and still find the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from iso15118 import v2gtp

from .cases import Case
from .problem import Problem

C = TypeVar("C")
_TRIES = 400


def minimise(case: C, key: str, smaller: Callable[[C], Iterator[C]], run: Callable[[C], list[Problem]]) -> C:
    """The smallest case found that still has a problem of this key."""
    best, tries = case, 0
    progress = True
    while progress:
        progress = False
        for candidate in smaller(best):
            tries += 1
            if tries > _TRIES:
                return best
            if any(problem.key == key for problem in run(candidate)):
                best, progress = candidate, True
                break
    return best


def smaller(case: Case) -> Iterator[Case]:
    """Fewer frames, then fewer exchanges before them, then shorter frames."""
    if len(case.frames) > 1:
        for index in range(len(case.frames)):
            frames, kinds = list(case.frames), list(case.kinds)
            del frames[index], kinds[index]
            yield replace(case, frames=tuple(frames), kinds=tuple(kinds))
    for prefix in (0, case.prefix // 2, case.prefix - 1):
        if 0 <= prefix < case.prefix:
            yield replace(case, prefix=prefix)
    for index, frame in enumerate(case.frames):
        for shorter in _shorter(frame):
            frames = [*case.frames[:index], shorter, *case.frames[index + 1 :]]
            yield replace(case, frames=tuple(frames))


def _shorter(frame: bytes) -> Iterator[bytes]:
    """The frame with less payload, its length made right."""
    parser = v2gtp.FrameParser()
    parser.feed(frame)
    try:
        whole = parser.next_frame()
    except v2gtp.V2GTPError:
        return
    if whole is None:
        return
    size = len(whole.payload)
    for cut in (size // 2, size // 4, 8, 1):
        if 0 < cut < size:
            yield v2gtp.pack(whole.payload_type, whole.payload[: size - cut])
