"""URIs and qualified names in EXI streams (W3C EXI 1.0, 7.1.7 and 7.3): tables that a stream may extend.

Needed only beyond the schema: for xsi:type, wildcards, undeclared elements and attributes.
"""

from __future__ import annotations

from collections.abc import Iterator

from .grammar import all_elements, code_width
from .kernel import Decoder, Encoder
from .schema import ComplexType, QName, Schema, SimpleType

XSI = "http://www.w3.org/2001/XMLSchema-instance"
XSD = "http://www.w3.org/2001/XMLSchema"
XSI_TYPE = QName("type", XSI)
XSI_NIL = QName("nil", XSI)
ANY_TYPE = QName("anyType", XSD)

_XML = "http://www.w3.org/XML/1998/namespace"

_XSD_TYPES = (
    "ENTITIES ENTITY ID IDREF IDREFS NCName NMTOKEN NMTOKENS NOTATION Name QName anySimpleType anyType "
    "anyURI base64Binary boolean byte date dateTime decimal double duration float gDay gMonth gMonthDay "
    "gYear gYearMonth hexBinary int integer language long negativeInteger nonNegativeInteger "
    "nonPositiveInteger normalizedString positiveInteger short string time token unsignedByte unsignedInt "
    "unsignedLong unsignedShort"
)
"""Names that a schema-informed stream knows from the start (D.3)."""


def _declared(schema: Schema) -> Iterator[QName]:
    """The qualified names of all elements, attributes and types of a schema."""
    for simple in schema.simple_types:
        if simple.name:
            yield QName(simple.name, simple.namespace or "")
    types = list(schema.types)
    for element in all_elements(schema):
        yield element.qname
        if isinstance(element.type, ComplexType):
            types.append(element.type)
        elif element.type.name:
            yield QName(element.type.name, element.type.namespace or "")
    for type_ in types:
        if type_.name.local:
            yield type_.name
        texts: list[SimpleType] = [type_.text] if type_.text else []
        for use in type_.attributes:
            yield use.qname
            texts.append(use.type)
        for text in texts:
            if text.name:
                yield QName(text.name, text.namespace or "")


def read_index(decoder: Decoder, width: int) -> int:
    """An n-bit number that indexes a table, which may have grown long."""
    high = 0
    while width > 16:
        width -= 16
        high = high << 16 | decoder.bits(16)
    return high << width | decoder.bits(width)


def write_index(encoder: Encoder, index: int, width: int) -> None:
    """The counterpart of `read_index`."""
    while width > 16:
        width -= 16
        encoder.put(index >> width & 0xFFFF, 16)
    encoder.put(index & (1 << width) - 1, width)


class Names:
    """The string tables of URIs and local names, as one stream sees them."""

    def __init__(self, uris: list[str], locals_: dict[str, list[str]]) -> None:
        self.uris = uris
        self.locals = locals_
        self._uri_places: dict[str, int] = {}
        self._places: dict[QName, int] = {}

    @classmethod
    def of(cls, schema: Schema) -> Names:
        """The tables with which every stream of the schema begins (D.1 to D.3)."""
        by_uri: dict[str, set[str]] = {}
        for name in _declared(schema):
            by_uri.setdefault(name.namespace, set()).add(name.local)
        fixed = {
            "": [],
            _XML: ["base", "id", "lang", "space"],
            XSI: ["nil", "type"],
            XSD: _XSD_TYPES.split(),
        }
        uris = [*fixed, *sorted(set(by_uri) - set(fixed))]
        return cls(uris, {uri: fixed.get(uri, []) + sorted(by_uri.get(uri, ())) for uri in uris})

    def copy(self) -> Names:
        return Names(list(self.uris), {uri: list(names) for uri, names in self.locals.items()})

    def read(self, decoder: Decoder) -> QName:
        """A qualified name; what is new enters the tables."""
        index = read_index(decoder, code_width(len(self.uris) + 1))
        if index == 0:
            uri = decoder.string(decoder.length(0))
            if uri not in self.locals:
                self.uris.append(uri)
                self.locals[uri] = []
        elif index > len(self.uris):
            raise decoder.error(f"no namespace has index {index - 1}")
        else:
            uri = self.uris[index - 1]
        names = self.locals[uri]
        length = decoder.unsigned()
        if length:
            if length - 1 > (decoder.end - decoder.pos) >> 3:
                raise decoder.error(f"a name of {length - 1} characters, beyond the end of the stream")
            names.append(decoder.string(length - 1))
            return QName(names[-1], uri)
        position = read_index(decoder, code_width(len(names)))
        if position >= len(names):
            raise decoder.error(f"no name in {uri or 'no namespace'} has index {position}")
        return QName(names[position], uri)

    def write(self, encoder: Encoder, name: QName) -> None:
        """The counterpart of `read`."""
        if not self._uri_places:
            self._uri_places = {uri: i for i, uri in enumerate(self.uris)}
            self._places = {QName(n, uri): i for uri in self.uris for i, n in enumerate(self.locals[uri])}
        width = code_width(len(self.uris) + 1)
        if name.namespace in self._uri_places:
            write_index(encoder, self._uri_places[name.namespace] + 1, width)
        else:
            write_index(encoder, 0, width)
            self._uri_places[name.namespace] = len(self.uris)
            encoder.unsigned(len(name.namespace))
            encoder.code_points(name.namespace)
            self.uris.append(name.namespace)
            self.locals[name.namespace] = []
        names = self.locals[name.namespace]
        if name in self._places:
            encoder.unsigned(0)
            write_index(encoder, self._places[name], code_width(len(names)))
        else:
            self._places[name] = len(names)
            encoder.unsigned(len(name.local) + 1)
            encoder.code_points(name.local)
            names.append(name.local)
