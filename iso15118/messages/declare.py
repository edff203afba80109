"""How a message class declares itself; nothing here knows a message, an EXI code or a file.

A complex type is a subclass of `Node`; its fields are declared in the order of the schema:

    class DC_PreChargeReq(V2GRequest):
        ev_processing: Processing = element("EVProcessing")
        ev_present_voltage: Volt = element("EVPresentVoltage")

The annotation carries the rest: `X | None` is an optional element, `Annotated[list[X], Occurs(1, 8)]` a
repeated one, `msgspec.Meta` gives facets, `Xsd` the XSD type, `Unit` the physical unit. A union of classes is
either a choice (`choice("EIM_AReqAuthorizationMode", "PnC_AReqAuthorizationMode")`, names in the order of the
union) or, with a single name, a reference to the head of a substitution group. Building a message never
validates it.

Each module of message classes is one XML namespace and says so in constants: `NAMESPACE`, `PREFIX` (of its
elements in XML text), and `ELEMENT_FORM` or `ATTRIBUTE_FORM` = "unqualified" where local names do not belong
to the namespace.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import Enum
from typing import Any, ClassVar, TypeVar, dataclass_transform

import msgspec

from ..exi.schema import Choice, Sequence

E = TypeVar("E", bound=type[Enum])
C = TypeVar("C", bound="type[Node]")

_MISSING: Any = msgspec.NODEFAULT
_field: Any = msgspec.field


def element(name: str, *, default: Any = _MISSING, default_factory: Any = _MISSING) -> Any:
    """A child element with the wire name `name`."""
    return _field(name=name, default=default, default_factory=default_factory)


def attribute(name: str, *, default: Any = _MISSING) -> Any:
    """An XML attribute with the wire name `name`; "@name" in the JSON form."""
    return _field(name="@" + name, default=default)


def choice(*names: str, default: Any = _MISSING, default_factory: Any = _MISSING) -> Any:
    """Exactly one of several elements (none, if the field is optional); names in the order of the
    annotation's union.

    "##any" and "##other" are wildcards (any namespace; any but the target namespace), held as an object of
    the schema set's own class for that element or as an `AnyElement`; "##any!" lets in only what the schema
    set declares.
    """
    return _field(name="|".join(names), default=default, default_factory=default_factory)


class Xsd(msgspec.Struct, frozen=True):
    """The XSD built-in type `base` of a simple value, and the schema's own name for the restricted type.

    A named type belongs to the namespace of the module that creates this object, wherever it is used.
    """

    base: str
    name: str | None = None
    module: str = msgspec.field(default_factory=lambda: str(sys._getframe(1).f_globals["__name__"]))


class Unit(msgspec.Struct, frozen=True):
    """Physical unit of a value, for documentation and display."""

    symbol: str


class Occurs(msgspec.Struct, frozen=True):
    """Least and greatest number of entries of a list; `maximum=None` is unbounded."""

    minimum: int
    maximum: int | None


class OneOf(msgspec.Struct, frozen=True):
    """The field is one alternative of the choice called `group`, told by its name; `optional` if none is
    allowed.

    The alternatives follow each other, each `X | None`.
    """

    group: str
    optional: bool = False


class _NodeMeta(msgspec.StructMeta):
    """Makes every class keyword-only, so that a required field may follow an optional one.

    Messages are trees: the cyclic garbage collector need not look at them.
    """

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        return super().__new__(
            mcls, name, bases, namespace, **{"kw_only": True, "omit_defaults": True, "gc": False, **options}
        )


@dataclass_transform(kw_only_default=True, field_specifiers=(element, attribute, choice, msgspec.field))
class Node(msgspec.Struct, metaclass=_NodeMeta):
    """A complex type: attributes and child elements as fields, in schema order, base type's first.

    The schema's name of the type is the class name + "Type" unless `xsd_type` says otherwise ("" for an
    anonymous type; a subclass that gives the name of its base's type is another element of that same type). A
    class without elements and with a field `value` that has no wire name is a type with simple content, and
    the field holds it.

    `content_model` replaces the plain sequence of fields where the schema nests groups. It names fields by
    their Python names. A class with a field `content` holds its children there in document order, and in a
    `mixed` type the text between them as str; there `content_model` uses the wire names of that field's
    choice, with the suffixes ?, * and + of a DTD.
    """

    xsd_type: ClassVar[str | None] = None
    abstract: ClassVar[bool] = False
    mixed: ClassVar[bool] = False
    content_model: ClassVar[Group | None] = None


class Group(msgspec.Struct, frozen=True):
    """A nested sequence or choice of fields and further groups; `maximum=None` is unbounded."""

    kind: type[Sequence] | type[Choice]
    members: tuple[str | Group, ...]
    minimum: int = 1
    maximum: int | None = 1


class GlobalElement(msgspec.Struct, frozen=True):
    """A global element declaration: its wire name, its class, and the class of the head whose place it may
    take.
    """

    name: str
    cls: type[Node]
    substitutes: type[Node] | None = None


GLOBAL_ELEMENTS: dict[str, list[GlobalElement]] = {}
"""Global elements by the module that declares them."""

ENUMERATION_NAMES: dict[type[Enum], str] = {}
"""The schema's name of each enumeration."""


def global_element(name: str | None = None, *, substitutes: type[Node] | None = None) -> Callable[[C], C]:
    """Declare a global element of the decorated class, called like the class unless `name` is given."""

    def register(cls: C) -> C:
        GLOBAL_ELEMENTS.setdefault(cls.__module__, []).append(
            GlobalElement(name or cls.__name__, cls, substitutes)
        )
        return cls

    return register


def enumeration(name: str) -> Callable[[E], E]:
    """Name an enumeration as the schema does; members are in schema order, which is the order of their EXI
    codes.
    """

    def register(cls: E) -> E:
        ENUMERATION_NAMES[cls] = name
        return cls

    return register


class SimpleElement(Node):
    """An element of simple type that stands alone or among alternatives; subclasses annotate `value`.

    The element has the simple type itself; the class only tells it from others.
    """
