"""What a planted defect is, and how one is put into our own code and taken out again.

A defect is a function that changes code through a `Plant`; the decorators `secc` and `evcc` add it to the
table. What a defect remembers (a counter, a list that grows) lives in the function's own scope, so that every
planting starts anew and nothing stays behind.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from unittest import mock

from iso15118.session import secc
from iso15118.session.events import Role


class Kind(StrEnum):
    """What sort of mistake it is."""

    CHECK = "skipped check"
    CODE = "wrong code"
    TIMER = "wrong timer"
    STATE = "wrong state"
    FIELD = "missing field check"
    RESPONSE = "wrong response"
    REQUEST = "wrong request"
    CRASH = "crash on a value"
    GROWTH = "growth"
    LEAK = "leak"
    RANDOMNESS = "randomness"
    FRAMING = "framing"
    TRUST = "TLS or certificate"
    DISCOVERY = "SDP"
    MATCHING = "SLAC"


@dataclass
class Plant:
    """Changes code for as long as `stack` is open."""

    stack: ExitStack
    places: list[tuple[Any, str, object]] = field(default_factory=list)
    """Owner, name and former value of each attribute or entry that was changed."""

    def attribute(self, owner: Any, name: str, value: object) -> None:
        """Another value for an attribute of a class or module."""
        self.places.append((owner, name, _look(owner, name)))
        self.stack.enter_context(mock.patch.object(owner, name, value))

    def entry(self, table: dict[Any, Any], key: Any, value: object) -> None:
        """Another value in a table."""
        self.places.append((table, key, table[key]))
        self.stack.enter_context(mock.patch.dict(table, {key: value}))

    def around(self, owner: Any, name: str, call: Callable[..., Any]) -> None:
        """`call(sound, *arguments)` in place of a method or function `sound`."""
        self.attribute(owner, name, _around(getattr(owner, name), call))

    def handler(self, request: Any, call: Callable[..., Any]) -> None:
        """`call(sound, context, request, now, ...)` in place of what answers this class of request."""
        table: Any = secc.HANDLERS if request in secc.HANDLERS else secc._ON_BOTH_STREAMS
        self.entry(table, request, _around(table[request], call))


def _around(sound: Callable[..., Any], call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(sound)
    def planted(*arguments: Any, **named: Any) -> Any:
        return call(sound, *arguments, **named)

    return planted


def _look(owner: Any, name: str) -> object:
    return vars(owner).get(name, getattr(owner, name))


@dataclass(frozen=True, slots=True)
class Mutant:
    """A defect of one side. `fuzz` says whether a fuzzer of messages can see it at all, judged by its nature
    before anything was measured, and `why`."""

    name: str
    role: Role
    kind: Kind
    title: str
    fuzz: bool
    why: str
    apply: Callable[[Plant], None]

    @contextmanager
    def patch(self) -> Iterator[Plant]:
        """Our code with the defect in it."""
        with ExitStack() as stack:
            plant = Plant(stack)
            self.apply(plant)
            yield plant


TABLE: dict[str, Mutant] = {}
Apply = Callable[[Plant], None]


def secc_defect(
    name: str, kind: Kind, title: str, *, seen: str = "", unseen: str = ""
) -> Callable[[Apply], Apply]:
    """A defect of the SECC; by what a fuzzer can see it (`seen`), or why it cannot (`unseen`)."""
    return _defect(Role.SECC, name, kind, title, seen, unseen)


def evcc_defect(
    name: str, kind: Kind, title: str, *, seen: str = "", unseen: str = ""
) -> Callable[[Apply], Apply]:
    """A defect of the EVCC; see `secc_defect`."""
    return _defect(Role.EVCC, name, kind, title, seen, unseen)


def _defect(
    role: Role, name: str, kind: Kind, title: str, seen: str, unseen: str
) -> Callable[[Apply], Apply]:
    if bool(seen) is bool(unseen) or name in TABLE:
        raise ValueError(f"{name}: once, with either seen or unseen")

    def add(apply: Apply) -> Apply:
        TABLE[name] = Mutant(name, role, kind, title, bool(seen), seen or unseen, apply)
        return apply

    return add
