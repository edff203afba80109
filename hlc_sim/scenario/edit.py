"""Changing messages by the names of their fields, and building whole ones by name.

A path is Python field names with dots, lists with an index: "header.session_id",
"schedule_tuple[0].schedule_tuple_id". Values are what TOML can say: octets as hex, enumerations by their wire
value, physical values as numbers, other elements as tables of fields ("type" names the class where several
fit). Wrong values are the point here, so only what cannot be meant is refused.
"""

from __future__ import annotations

import copy
import difflib
import re
import types
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from iso15118.messages import ac, acdp, app_protocol, common, dc, wpt
from iso15118.messages.common_types import MessageHeader, RationalNumber, V2GRequest, V2GResponse
from iso15118.messages.declare import GLOBAL_ELEMENTS, Node, OneOf
from iso15118.session.fillers import fillers as fillers

_INDEX = re.compile(r"(\w+)((?:\[\d+\])*)")


class FieldError(ValueError):
    """A message or field that does not exist, or a value that cannot be meant for it; the text names it."""


class NotInThisSession(FieldError):
    """What is to be changed exists, but not in what this session has: the peer chose another variant, or left
    an element out. That says nothing about the peer, and is no fault of the scenario.
    """


@cache
def message_classes() -> Mapping[str, type[Node]]:
    """All messages by element name."""
    return {
        declared.name: declared.cls
        for module in (app_protocol, common, ac, dc, acdp, wpt)
        for declared in GLOBAL_ELEMENTS[module.__name__]
        if declared.name.endswith(("Req", "Res"))
    }


def class_named(name: str) -> type[Node]:
    """The class of a message by its element name. FieldError with a suggestion if there is none."""
    known = message_classes()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        raise FieldError(
            f"no message is called {name!r}" + (f", did you mean {close[0]!r}?" if close else "")
        )
    return known[name]


_ALSO_NEEDED: Mapping[str, Mapping[str, Any]] = {
    # With Finished, Start needs a power profile: some stacks drop the message before they look at its order
    "PowerDeliveryReq": {"ev_processing": "Ongoing"},
}


def build(name: str, header: MessageHeader | None, values: Mapping[str, Any] | None = None) -> Node:
    """A message with the least it must have, then `values` by path."""
    cls = class_named(name)
    fields = dict(fillers(cls))
    if issubclass(cls, V2GRequest | V2GResponse):
        fields["header"] = header or MessageHeader(session_id=bytes(8), timestamp=0)
    if "response_code" in cls.__struct_fields__ and "response_code" not in fields:
        fields["response_code"] = next(iter(annotation_of(cls, "response_code")))
    return change(cls(**fields), {**_ALSO_NEEDED.get(name, {}), **(values or {})})


def change(message: Node, values: Mapping[str, Any], unset: Sequence[str] = ()) -> Node:
    """A deep copy of `message` with fields replaced, and optional ones (`unset`) left out."""
    result = copy.deepcopy(message)
    for path, value in values.items():
        holder, name, index, hint = _place(result, path)
        if index is None:
            setattr(holder, name, convert(value, hint, path))
        else:
            held = getattr(holder, name)
            held[index] = convert(value, hint, path)
    for path in unset:
        holder, name, index, _ = _place(result, path)
        if index is None:
            setattr(holder, name, None)
        else:
            del getattr(holder, name)[index]
    return result


def check_path(cls: type, path: str) -> Any:
    """The type of a field, without a message in hand. FieldError names what does not exist."""
    classes: list[type] = [cls]
    hint: Any = cls
    for part in path.split("."):
        name, indices = _split(part, path)
        found = [c for c in classes if name in getattr(c, "__struct_fields__", ())]
        if not found:
            raise FieldError(_unknown(classes, name, path))
        hint = annotation_of(found[0], name)
        if indices:
            hint = _item(hint)
        classes = classes_of(hint)
    return hint


def convert(value: Any, hint: Any, path: str) -> Any:
    """A value from TOML as a field of this type would hold it."""
    classes = classes_of(hint)
    if isinstance(value, Node) or value is None:
        return value
    if isinstance(value, Mapping):
        return _table(value, classes, path)
    if isinstance(value, list):
        item = _item(hint)
        return [convert(entry, item, f"{path}[{index}]") for index, entry in enumerate(value)]
    for kind in classes:
        if kind is RationalNumber and isinstance(value, int | float) and not isinstance(value, bool):
            return RationalNumber.of(float(value))
        if kind is bytes and isinstance(value, str):
            try:
                return bytes.fromhex(value)
            except ValueError:
                raise FieldError(f"{path}: {value!r} is not hex") from None
        if issubclass(kind, Enum):
            try:
                return kind(value)
            except ValueError:
                known = ", ".join(str(member.value) for member in kind)
                raise FieldError(f"{path}: {value!r} is not one of {known}") from None
    return value


def _table(value: Mapping[str, Any], classes: list[type], path: str) -> Node:
    nodes = [kind for kind in classes if issubclass(kind, Node)]
    wanted = value.get("type")
    if wanted is not None:
        nodes = [kind for kind in with_subclasses(nodes) if kind.__name__ == wanted]
    fields = {name: item for name, item in value.items() if name != "type"}
    for kind in nodes:
        if set(fields) <= set(kind.__struct_fields__):
            made = kind(**_rest_of(kind, fields))
            for name, item in fields.items():
                setattr(made, name, convert(item, annotation_of(kind, name), f"{path}.{name}"))
            return made
    names = ", ".join(kind.__name__ for kind in nodes) or "a single value"
    raise FieldError(f"{path}: {dict(value)!r} does not fit {wanted or names}")


def _rest_of(kind: type[Node], given: Mapping[str, Any]) -> dict[str, Any]:
    """The least a class must have beside what is given: no second alternative of a choice."""
    groups = {_group(kind, name) for name in given} - {None}
    return {
        n: v for n, v in fillers(kind).items() if n not in given and _group(kind, n) not in groups
    } | dict.fromkeys(given)


def _group(kind: type[Node], name: str) -> str | None:
    metadata = getattr(annotation_of(kind, name), "__metadata__", ())
    return next((item.group for item in metadata if isinstance(item, OneOf)), None)


def with_subclasses(classes: list[type]) -> list[type]:
    """The classes, each with all that extend it."""
    found: list[type] = []
    for cls in classes:
        found += [cls, *with_subclasses(cls.__subclasses__())]
    return found


def _place(message: Node, path: str) -> tuple[Any, str, int | None, Any]:
    """The object that holds a field, its name, the index in it, and its type."""
    holder: Any = message
    *before, last = path.split(".")
    for part in before:
        name, indices = _split(part, path)
        holder = _get(holder, name, path)
        for index in indices:
            holder = _entry(holder, index, path)
        if holder is None:
            raise NotInThisSession(f"{path}: {name} is absent in this {type(message).__name__}")
    name, indices = _split(last, path)
    _get(holder, name, path)
    hint = annotation_of(type(holder), name)
    if not indices:
        return holder, name, None, hint
    _entry(getattr(holder, name), indices[-1], path)
    return holder, name, indices[-1], _item(hint)


def _get(holder: Any, name: str, path: str) -> Any:
    if name not in getattr(holder, "__struct_fields__", ()):
        raise NotInThisSession(_unknown([type(holder)], name, path))
    return getattr(holder, name)


def _entry(held: Any, index: int, path: str) -> Any:
    if not isinstance(held, list) or index >= len(held):
        size = f"{len(held)} entries" if isinstance(held, list) else "no list"
        raise NotInThisSession(f"{path}: there is no entry {index} ({size})")
    return held[index]


def _split(part: str, path: str) -> tuple[str, list[int]]:
    matched = _INDEX.fullmatch(part)
    if matched is None:
        raise FieldError(f"{path}: {part!r} is no field name")
    return matched[1], [int(number) for number in re.findall(r"\d+", matched[2])]


def _unknown(classes: list[type], name: str, path: str) -> str:
    known = sorted({field for cls in classes for field in getattr(cls, "__struct_fields__", ())})
    close = difflib.get_close_matches(name, known, n=1)
    where = " or ".join(cls.__name__ for cls in classes) or "a simple value"
    meant = f", did you mean {close[0]!r}?" if close else f" (fields: {', '.join(known) or 'none'})"
    return f"{path}: {where} has no field {name!r}{meant}"


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def annotation_of(cls: type, name: str) -> Any:
    return _hints(cls)[name]


def _item(hint: Any) -> Any:
    for part in _parts(hint):
        if get_origin(part) is list:
            return get_args(part)[0]
    return hint


def classes_of(hint: Any) -> list[type]:
    """The classes that a value of this type can have."""
    return [part for part in _parts(hint) if isinstance(part, type) and part is not type(None)]


def _parts(hint: Any) -> list[Any]:
    """The alternatives of a type, without what Annotated adds."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _parts(get_args(hint)[0])
    if origin in (Union, types.UnionType):
        return [part for item in get_args(hint) for part in _parts(item)]
    return [hint]
