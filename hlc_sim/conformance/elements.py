"""Elements of the messages on the ordinary way: the optional ones, each to be left out once, and the numbers,
each to be at its bounds once.

Stacks die one message later of an absent element that they took for granted, or of a number that they divide
by; so each is tried alone.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from iso15118.messages.common_types import RationalNumber
from iso15118.session.events import Role
from iso15118.session.services import Family

from ..scenario import edit
from .capabilities import CONTROL_MODES
from .way import FAMILIES, common, own

_NOT_HARMLESS = {
    "ev_power_profile": "stacks disagree whether Start needs it",
    "schema_id": "a successful answer has one",
    "bpt_channel_selection": "it is needed where the channels are separated",
    "minimum_soc": "stacks disagree on what a SECC that provides mobility needs must say",
    "target_soc": "stacks disagree on what a SECC that provides mobility needs must say",
    "departure_time": "stacks disagree on what a SECC that provides mobility needs must say",
}
_HELD = ("control_mode", "energy_transfer_mode", "display_parameters")
"""Elements whose own optional elements are left out, too."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element: `path` in `message` (names of fields, with dots)."""

    message: str
    path: str
    wire: str
    """Its name on the wire."""
    family: Family | None = None
    """Of the sessions in which it is tried; None: any."""
    control: str | None = None
    rational: bool = False
    """A RationalNumber; else, of numbers, an integer."""
    small: bool = False
    """EXI writes no integer beyond its range."""

    @property
    def name(self) -> str:
        variant = f"{self.control}." if self.control else ""
        return f"{self.message}.{variant}{self.path}"

    @property
    def reason(self) -> str:
        return _NOT_HARMLESS.get(self.path.rpartition(".")[2], "")

    @property
    def harmless(self) -> bool:
        return not self.reason


def omissible(tests: Role) -> Iterator[Element]:
    """The optional elements of the messages that the side under test gets."""
    return _elements(tests, _optional)


def numbers(tests: Role) -> Iterator[Element]:
    """The numbers in the messages that the side under test gets."""
    return _elements(tests, lambda hint: _number(hint) is not None)


def _elements(tests: Role, wanted: Callable[[Any], bool]) -> Iterator[Element]:
    for family, stops in ((None, common()), *((family, own(family)) for family in FAMILIES)):
        seen: set[str] = set()
        for stop in stops:
            name = stop.message if tests is Role.SECC else stop.response
            if name not in seen:
                seen.add(name)
                yield from _of_message(name, family, wanted)


def _of_message(name: str, family: Family | None, wanted: Callable[[Any], bool]) -> Iterator[Element]:
    cls = edit.class_named(name)
    for field in msgspec.structs.fields(cls):
        if field.name in ("header", "response_code"):
            continue
        if wanted(field.type):
            yield Element(
                name,
                field.name,
                field.encode_name,
                family,
                rational=_rational(field.type),
                small=_small(field.type),
            )
        if field.name in _HELD:
            yield from _held(cls, name, field.name, family, wanted)


def _held(
    cls: type, name: str, holder: str, family: Family | None, wanted: Callable[[Any], bool]
) -> Iterator[Element]:
    """Elements of the variants that a session of one direction has."""
    hint = edit.check_path(cls, holder)
    for kind in dict.fromkeys(edit.with_subclasses(edit.classes_of(hint))):
        variant = kind.__name__
        if "BPT" in variant or "DER" in variant:
            continue
        control = next((c for c in CONTROL_MODES if variant.lower().startswith(c)), None)
        for field in msgspec.structs.fields(kind):
            if wanted(field.type):
                yield Element(
                    name,
                    f"{holder}.{field.name}",
                    field.encode_name,
                    family,
                    control,
                    rational=_rational(field.type),
                    small=_small(field.type),
                )


def _optional(hint: Any) -> bool:
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, types.UnionType):
        return type(None) in get_args(hint)
    return False


def _number(hint: Any) -> type | None:
    found = [kind for kind in edit.classes_of(hint) if kind in (int, RationalNumber)]
    return found[0] if found else None


def _rational(hint: Any) -> bool:
    return _number(hint) is RationalNumber


def _small(hint: Any) -> bool:
    """Whether EXI gives an integer just the bits of its range: up to 4096 values."""
    if get_origin(hint) in (Union, types.UnionType):
        return any(map(_small, get_args(hint)))
    facets = [item for item in getattr(hint, "__metadata__", ()) if isinstance(item, msgspec.Meta)]
    return any(facet.le is not None and facet.le <= 4096 for facet in facets)
