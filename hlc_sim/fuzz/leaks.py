"""Data of one session that turn up in another: SessionIDs, challenges, texts such as an EVCCID or EMAID."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from iso15118.messages.declare import Node
from iso15118.session.events import Role
from iso15118.session.sequence import name_of

from ..scenario.watch import Record
from .problem import Problem

_SHORTEST = 6
"""Octets or characters; shorter ones are the same by chance."""
_MOST = 50_000


class Memory:
    """What was said in earlier sessions. `device` is the side under test."""

    def __init__(self, device: Role) -> None:
        self._device = device
        self._private: dict[bytes | str, str] = {}
        """What only one session should know, and where it was said."""
        self._own: set[bytes | str] = set()
        """What the device says in undisturbed sessions: its ids, names and certificates."""

    def undisturbed(self, record: Record) -> list[Problem]:
        """Learn what the device says of itself; leaks, as `look`."""
        self._own |= {
            value
            for message in _messages(record, self._device)
            for field, value in _values(message)
            if field not in _PRIVATE
        }
        return self.look(record)

    def look(self, record: Record) -> list[Problem]:
        """Leaks in a session; then it is an earlier one."""
        ours = {value for message in _messages(record, self._device.other) for _, value in _values(message)}
        found: dict[str, Problem] = {}
        for message in _messages(record, self._device):
            for field, value in _values(message):
                known = self._private.get(value)
                if known is None or value in ours or value in self._own or _resumes(message, field):
                    continue
                name = name_of(message)
                shown = value.hex() if isinstance(value, bytes) else repr(value)
                text = f"{name} has {shown} in {field}: {known} of an earlier session"
                found[f"leak/{name}/{field}"] = Problem("leak", f"leak/{name}/{field}", text[:400])
        self._learn(record)
        return list(found.values())

    def _learn(self, record: Record) -> None:
        for sender in Role:
            for message in _messages(record, sender):
                for field, value in _values(message):
                    if sender is not self._device or field in _PRIVATE:
                        self._private.setdefault(value, f"{name_of(message)}.{field}")
        while len(self._private) > _MOST:
            del self._private[next(iter(self._private))]


_PRIVATE = ("session_id", "gen_challenge")
"""Fields that are new in each session, whoever sends them."""


def _resumes(message: Node, field: str) -> bool:
    """An EV that comes back to a paused session names it, and its SECC confirms."""
    return field == "session_id" and (
        name_of(message) == "SessionSetupReq"
        or str(getattr(message, "response_code", "")) == "OK_OldSessionJoined"
    )


def _messages(record: Record, sender: Role) -> Iterator[Node]:
    return (seen.message for seen in record.seen if seen.sender is sender and seen.message is not None)


def _values(node: Any) -> Iterator[tuple[str, bytes | str]]:
    """Octets and texts of a message with the names of their fields."""
    for field in node.__struct_fields__:
        held = getattr(node, field)
        for item in held if isinstance(held, list) else (held,):
            if isinstance(item, Node):
                yield from _values(item)
            elif type(item) in (bytes, str) and len(item) >= _SHORTEST and item != bytes(len(item)):
                yield field, item
