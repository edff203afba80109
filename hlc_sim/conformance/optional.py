"""Optional elements of the messages on the ordinary way, each to be left out once.

Stacks die one message later of an absent element that they took for granted; so each is left out alone.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

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
class Omission:
    """One optional element: `path` in `message` (names of fields, with dots)."""

    message: str
    path: str
    wire: str
    """Its name on the wire."""
    family: Family | None = None
    """Of the sessions in which it is tried; None: any."""
    control: str | None = None

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


def omissible(tests: Role) -> Iterator[Omission]:
    """All of them in the messages that the side under test gets."""
    for family, stops in ((None, common()), *((family, own(family)) for family in FAMILIES)):
        seen: set[str] = set()
        for stop in stops:
            name = stop.message if tests is Role.SECC else stop.response
            if name not in seen:
                seen.add(name)
                yield from _of_message(name, family)


def _of_message(name: str, family: Family | None) -> Iterator[Omission]:
    cls = edit.class_named(name)
    for field in msgspec.structs.fields(cls):
        if field.name in ("header", "response_code"):
            continue
        if _optional(field.type):
            yield Omission(name, field.name, field.encode_name, family)
        if field.name in _HELD:
            yield from _held(cls, name, field.name, family)


def _held(cls: type, name: str, holder: str, family: Family | None) -> Iterator[Omission]:
    """Optional elements of the variants that a session of one direction has."""
    hint = edit.check_path(cls, holder)
    for kind in dict.fromkeys(edit.with_subclasses(edit.classes_of(hint))):
        variant = kind.__name__
        if "BPT" in variant or kind.__name__ == holder:
            continue
        control = next((c for c in CONTROL_MODES if variant.lower().startswith(c)), None)
        for field in msgspec.structs.fields(kind):
            if _optional(field.type):
                yield Omission(name, f"{holder}.{field.name}", field.encode_name, family, control)


def _optional(hint: Any) -> bool:
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, types.UnionType):
        return type(None) in get_args(hint)
    return False
