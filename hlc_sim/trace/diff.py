"""Two runs message by message: which came, and what was different in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from . import events as ev

VOLATILE = frozenset({"SessionID", "TimeStamp", "GenChallenge", "TimeAnchor", "MeterTimestamp"})
"""Elements that differ between any two runs; left out unless all is asked for."""


class Change(NamedTuple):
    """A difference: `kind` is "only left", "only right" or "values"; `paths` has what differs, with both
    values.
    """

    kind: str
    left: ev.Frame | None
    right: ev.Frame | None
    paths: tuple[tuple[str, Any, Any], ...] = ()


def frames_of(events: Iterable[ev.Event]) -> list[ev.Frame]:
    """The frames of a trace; all of them in memory."""
    return [event for event in events if isinstance(event, ev.Frame)]


def compare(left: list[ev.Frame], right: list[ev.Frame], *, everything: bool = False) -> Iterator[Change]:
    """The differences in order. Repeats of charge loops are matched as far as both have them."""
    ignore = frozenset() if everything else VOLATILE
    matcher = SequenceMatcher(None, [_key(f) for f in left], [_key(f) for f in right], autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            for one, other in zip(left[a:b], right[c:d], strict=True):
                paths = tuple(differences(one.message, other.message, ignore))
                if one.message is None and one.payload != other.payload:
                    paths = (("payload", one.payload, other.payload),)
                if paths:
                    yield Change("values", one, other, paths)
        else:
            yield from (Change("only left", frame, None) for frame in left[a:b])
            yield from (Change("only right", None, frame) for frame in right[c:d])


def _key(frame: ev.Frame) -> tuple[str, str]:
    return frame.sender, frame.name or f"0x{frame.payload_type:04X}"


def differences(
    left: Any, right: Any, ignore: frozenset[str], path: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Paths in the JSON form where two messages differ, with both values; None where there is none."""
    if isinstance(left, dict) and isinstance(right, dict):
        number = _rational(left), _rational(right)
        if None not in number:
            if number[0] != number[1]:
                yield path, *number
            return
        for name in dict.fromkeys((*left, *right)):
            if name not in ignore:
                yield from differences(
                    left.get(name), right.get(name), ignore, f"{path}/{name}" if path else name
                )
    elif isinstance(left, list) and isinstance(right, list):
        for index in range(max(len(left), len(right))):
            one = left[index] if index < len(left) else None
            other = right[index] if index < len(right) else None
            yield from differences(one, other, ignore, f"{path}[{index}]")
    elif left != right:
        yield path, left, right


def _rational(value: dict[str, Any]) -> float | None:
    if value.keys() == {"Exponent", "Value"}:
        return float(value["Value"] * 10.0 ** value["Exponent"])
    return None
