"""The input language of the EXI compiler: what a schema says, free of any message class or XSD file.

Only data lives here. `iso15118.messages` derives these objects from its classes; `iso15118.exi.grammar` turns
them into grammars; the exporters, validators and the XML and JSON forms read them too. Terms are those of W3C
XML Schema.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal, NamedTuple

from msgspec import Struct

UNBOUNDED: Literal[-1] = -1
"""`max_occurs` of a particle without an upper limit."""


Class = type
"""A message class (fields called `type` would hide the built-in name in annotations)."""


class QName(NamedTuple):
    """A qualified name; `namespace` is empty for unqualified names."""

    local: str
    namespace: str

    def __str__(self) -> str:
        return f"{{{self.namespace}}}{self.local}" if self.namespace else self.local


class Kind(Enum):
    """How a simple value is held in Python: bool, int, an Enum of str, str or bytes."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    ENUMERATION = "enumeration"
    STRING = "string"
    BINARY = "binary"


class SimpleType(Struct, frozen=True):
    """A simple type: its XSD built-in `base`, its own name if it has one, and its facets.

    `minimum`/`maximum` are inclusive and already include the bounds of the built-in type; None means
    unbounded. Lengths count code points for strings and octets for binary types.
    """

    kind: Kind
    base: str
    name: str | None = None
    namespace: str | None = None
    minimum: int | None = None
    maximum: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    enumeration: type[Enum] | None = None


class AttributeUse(Struct, frozen=True):
    """An attribute of a complex type; `field` is the Python attribute that holds it."""

    qname: QName
    type: SimpleType
    required: bool
    field: str


class Element(Struct, eq=False):
    """An element declaration, global or local.

    `wrapper` is set for an element of simple type whose value is held in a one-field class (field `value`):
    global elements that can be a document of their own, and alternatives that only their class tells apart.
    """

    qname: QName
    type: ComplexType | SimpleType
    wrapper: Class | None = None
    substitutes: Element | None = None
    abstract: bool = False


class ElementParticle(Struct, frozen=True):
    """`element` between `min_occurs` and `max_occurs` times, held in the Python attribute `field` (a list if
    `is_list`).

    `substitutable` marks a reference to a global element: the members of its substitution group may stand in
    its place.
    """

    element: Element
    field: str
    min_occurs: int = 1
    max_occurs: int = 1
    is_list: bool = False
    substitutable: bool = False


class Wildcard(Struct, frozen=True):
    """Any element. `namespace` is "##any" or "##other" (not that of the type, nor none); `strict`: one that
    the schema set declares.
    """

    namespace: str
    field: str
    min_occurs: int = 1
    max_occurs: int = 1
    is_list: bool = True
    strict: bool = False


class Sequence(Struct, frozen=True):
    particles: tuple[Particle, ...]
    min_occurs: int = 1
    max_occurs: int = 1


class Choice(Struct, frozen=True):
    particles: tuple[Particle, ...]
    min_occurs: int = 1
    max_occurs: int = 1


Particle = ElementParticle | Wildcard | Sequence | Choice


class ComplexType(Struct, eq=False):
    """A complex type and the Python class that holds it.

    `content` is the whole content model, that of the base type included; `text` is the simple type of the
    content of a type with simple content (held in the Python attribute `value`). In an `ordered` type every
    particle has the Python attribute `content`, a list that holds all elements in document order; a `mixed`
    type is ordered and holds text (str) there too. `name.local` is empty for an anonymous type. Two types of
    one name differ only in `cls`: one type under several element names, each with its own class. `base` and
    `own_content` say how the type extends another, for those who print schemas.
    """

    name: QName
    cls: type
    attributes: tuple[AttributeUse, ...] = ()
    content: Sequence | Choice = Sequence(())
    own_content: Sequence | Choice = Sequence(())
    own_attributes: tuple[AttributeUse, ...] = ()
    text: SimpleType | None = None
    mixed: bool = False
    ordered: bool = False
    abstract: bool = False
    base: ComplexType | None = None
    doc: str = ""


class Schema(Struct, eq=False):
    """A schema set: every global element and every complex type of one XSD and of all that it imports.

    A type that no element has still counts: the elements inside it are elements of the fragment grammar, and
    its name is in the string table. `simple_types` are the named ones.
    """

    name: str
    target_namespace: str
    elements: tuple[Element, ...]
    types: tuple[ComplexType, ...] = ()
    simple_types: tuple[SimpleType, ...] = ()


class AnyElement(Struct):
    """An element that a wildcard let in and that no declaration of the schema set describes.

    `content` holds text (str) and child elements in document order; an element the schema set declares is
    held by its class.
    """

    qname: QName
    attributes: dict[QName, str] = {}
    content: list[object] = []
