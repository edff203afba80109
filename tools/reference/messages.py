"""Pages about messages: every class of a namespace with its elements, types, units and cardinality."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from types import ModuleType, NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from msgspec import Meta
from msgspec.structs import FieldInfo, fields

from hlc_sim.config.keys import field_notes
from iso15118.exi.schema import Kind
from iso15118.messages.common_types import RationalNumber
from iso15118.messages.declare import ENUMERATION_NAMES, Node, Occurs, OneOf, SimpleElement, Unit
from iso15118.messages.derive import global_declaration, simple_type
from iso15118.messages.schema_sets import SchemaSet, classes_of, modules_of
from iso15118.v2gtp import PayloadType

from .markdown import prose, table

_HEAD = ("Field", "Element", "Type", "Unit", "Occurs", "")


def module_name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def modules() -> list[ModuleType]:
    """One per namespace; those of their own schema set first."""
    found = {module.__name__: module for schema_set in SchemaSet for module in modules_of(schema_set)}
    return list(found.values())


def page(module: ModuleType) -> str:
    """The page of a namespace."""
    first, _, rest = prose(module.__doc__).partition("\n")
    parts = [
        f"# {first.rstrip('.').rstrip(':')}",
        rest.strip(),
        f"Namespace `{module.NAMESPACE}`, `{module.__name__}`.",
    ]
    listed = list(classes_of(module))
    requests = [
        cls for cls in listed if cls.__name__.endswith(("Req", "Res")) and not cls.__dict__.get("abstract")
    ]
    others = [cls for cls in listed if cls not in requests]
    for title, group in (("Messages", requests), ("Types", others)):
        if group:
            parts.append(f"## {title}")
            parts += [_class(cls) for cls in group]
    enumerations = [
        v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__
    ]
    chosen = [cls for cls in enumerations if cls in ENUMERATION_NAMES and issubclass(cls, Enum)]
    if chosen:
        parts.append("## Enumerations")
        parts += [_enumeration(cls) for cls in chosen]
    return "\n\n".join(part for part in parts if part) + "\n"


def index() -> str:
    """Which namespace is where, and which payload type carries it."""
    rows = [
        (
            f"[`{module_name(module)}`]({module_name(module)}.md)",
            f"`{module.NAMESPACE}`",
            sum(1 for _ in classes_of(module)),
        )
        for module in modules()
    ]
    payloads = [(f"0x{int(kind):04X}", kind.name) for kind in PayloadType]
    return (
        "# Messages\n\n"
        "Generated from the message classes. *Field* is the name in Python, *Element* that on the wire. A\n"
        "class that extends another has the other's elements before its own. `schemas/` has them as XSD.\n\n"
        f"{table(('Module', 'Namespace', 'Classes'), rows)}\n"
        "## Payload types of V2GTP\n\n"
        f"{table(('Type', 'Name'), payloads)}"
    )


def _class(cls: type[Node]) -> str:
    base = cls.__base__
    inherited = {f.name for f in fields(base)} if base is not None and issubclass(base, Node) else set()
    facts = []
    if base not in (Node, SimpleElement, None):
        facts.append(f"Extends {_link(base, cls)}.")
    declaration = global_declaration(cls)
    if declaration and declaration.substitutes:
        facts.append(f"May stand for {_link(declaration.substitutes, cls)}.")
    if cls.__dict__.get("abstract"):
        facts.append("Abstract.")
    own = [f for f in fields(cls) if f.name not in inherited]
    note = prose(cls.__doc__) if "__doc__" in cls.__dict__ else ""
    parts = [f"### {cls.__name__}", note, " ".join(facts)]
    if own:
        parts.append(table(_HEAD, (_field(cls, f) for f in own)))
    return "\n\n".join(part.strip() for part in parts if part)


def _field(cls: type[Node], info: FieldInfo) -> tuple[object, ...]:
    alternatives, optional, metadata = _apart(info.type)
    occurs = next((m for m in metadata if isinstance(m, Occurs)), None)
    one_of = next((m for m in metadata if isinstance(m, OneOf)), None)
    often = "0..1" if optional else "1"
    if occurs:
        often = f"{0 if optional else occurs.minimum}..{'*' if occurs.maximum is None else occurs.maximum}"
    kinds, units = [], []
    for kind in alternatives:
        shown, unit = _kind(kind, metadata, cls)
        kinds.append(shown)
        units += [unit] if unit else []
    note = field_notes(cls).get(info.name, "")
    if one_of:
        note = f"One of *{one_of.group}*. {note}"
    name = info.encode_name.replace("|", "`, `")
    return (
        f"`{info.name}`",
        f"`{name}`",
        ", ".join(dict.fromkeys(kinds)),
        ", ".join(dict.fromkeys(units)),
        often,
        note,
    )


def _kind(kind: Any, metadata: tuple[Any, ...], cls: type) -> tuple[str, str]:
    """How a type is shown, and its unit."""
    inner, _, more = _apart(kind)
    metadata = (*metadata, *more)
    unit = next((m.symbol for m in metadata if isinstance(m, Unit)), "")
    if get_origin(inner[0]) is list:
        (item,) = get_args(inner[0])
        shown, item_unit = zip(*(_kind(k, (), cls) for k in _apart(item)[0]), strict=True)
        item_metadata = _apart(item)[2]
        shown_unit = next((m.symbol for m in item_metadata if isinstance(m, Unit)), "")
        return ", ".join(shown), unit or shown_unit or next(filter(None, item_unit), "")
    found = inner[0]
    if isinstance(found, type) and issubclass(found, SimpleElement):
        return _kind(fields(found)[0].type, (), cls)
    if isinstance(found, type) and (issubclass(found, (Node, Enum))):
        return _link(found, cls), unit
    if found in (bool, int, str, bytes):
        facets = tuple(m for m in metadata if isinstance(m, Meta) or type(m).__name__ == "Xsd")
        return _simple(Annotated[(found, *facets)] if facets else found), unit
    return f"`{getattr(found, '__name__', found)}`", unit


def _simple(annotation: Any) -> str:
    simple = simple_type(annotation)
    limits = ""
    if simple.kind is Kind.INTEGER:
        limits = (
            f" {simple.minimum}..{simple.maximum}"
            if simple.minimum is not None or simple.maximum is not None
            else ""
        )
    elif simple.min_length is not None or simple.max_length is not None:
        low, high = simple.min_length or 0, simple.max_length
        limits = f" of {low if low == high else f'{low}..{chr(42) if high is None else high}'}"
        limits += " characters" if simple.kind is Kind.STRING else " octets"
    return f"{simple.base}{limits}"


def _enumeration(cls: type[Enum]) -> str:
    note = prose(cls.__doc__) if cls.__doc__ and not cls.__doc__.startswith("An enumeration") else ""
    values = ", ".join(f"`{member.value}`" for member in cls)
    return "\n\n".join(part for part in (f"### {cls.__name__}", note, values) if part)


def _link(target: type, here: type) -> str:
    home = "" if target.__module__ == here.__module__ else f"{target.__module__.rpartition('.')[2]}.md"
    if target is RationalNumber:
        return "RationalNumber"
    if not home.rstrip("d").startswith("_") and target.__module__ in {m.__name__ for m in modules()}:
        return f"[{target.__name__}]({home}#{target.__name__.lower()})"
    return f"`{target.__name__}`"


def _apart(annotation: Any) -> tuple[tuple[Any, ...], bool, tuple[Any, ...]]:
    """Alternatives without None, whether None is one, metadata."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, optional, metadata = _apart(annotation.__origin__)
        return inner, optional, (*metadata, *annotation.__metadata__)
    if origin in (Union, UnionType):
        given = tuple(kind for kind in get_args(annotation) if kind is not NoneType)
        optional = len(given) < len(get_args(annotation))
        if len(given) == 1:
            inner, _, metadata = _apart(given[0])
            return inner, optional, metadata
        return given, optional, ()
    return (annotation,), False, ()


def pages() -> Iterator[tuple[str, str]]:
    yield "messages/index.md", index()
    for module in modules():
        yield f"messages/{module_name(module)}.md", page(module)
