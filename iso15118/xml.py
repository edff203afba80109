"""The XML form of messages: compact, with one fixed prefix per namespace.

    text = to_xml(message)
    message = from_xml(text, SchemaSet.ISO20_DC)

EXI fragments have an XML form too: a value and the name of its element. Needs lxml, imported when first used.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from .exi.schema import AnyElement, AttributeUse, ComplexType, Element, QName
from .messages import lexical
from .messages.layout import FormError, Layout, Layouts, build, layouts_of, simple_value
from .messages.schema_sets import SchemaSet, prefixes, schema_set_of

if TYPE_CHECKING:
    from lxml import etree

__all__ = ["FormError", "fragment_from_xml", "from_xml", "schema_errors", "to_xml"]

_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"


def to_xml(value: Any, name: str | QName | None = None, *, schema_set: SchemaSet | str | None = None) -> str:
    """The XML text of a message, or of any other element's value.

    `schema_set` is that of the message's own namespace unless given; `name` is needed where the class has
    several elements or the value is a plain one. FormError for what XML cannot say.
    """
    schema_set = SchemaSet(schema_set or schema_set_of(value))
    return _Writer(schema_set).text(value, name)


def from_xml(text: str | bytes, schema_set: SchemaSet | str, *, validate: bool = False) -> Any:
    """The message in an XML document; FormError naming the element if it is none of the schema set.

    Without `validate`, facets and the order of elements do not matter. With it, the document has to be valid
    by the schemas that `iso15118.messages.xsd` writes.
    """
    name, value = fragment_from_xml(text, schema_set, validate=validate)
    if name not in layouts_of(SchemaSet(schema_set)).roots:
        raise FormError(str(name), f"is no document of {SchemaSet(schema_set)}")
    return value


def fragment_from_xml(
    text: str | bytes, schema_set: SchemaSet | str, *, validate: bool = False
) -> tuple[QName, Any]:
    """The name and value of any element of a schema set, global or local."""
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True, load_dtd=False
    )
    try:
        root = etree.fromstring(text.encode() if isinstance(text, str) else text, parser)
    except etree.XMLSyntaxError as error:
        raise FormError("XML", str(error)) from None
    if root.getroottree().docinfo.doctype:
        raise FormError("XML", "has a document type declaration")
    schema_set = SchemaSet(schema_set)
    if validate and (errors := _validation_errors(root, schema_set)):
        raise FormError(_qname(root.tag).local, "; ".join(errors))
    return _Reader(layouts_of(schema_set)).root(root)


def schema_errors(text: str | bytes, schema_set: SchemaSet | str) -> list[str]:
    """What libxml2 finds wrong with an XML document by the schemas of the set, one line each."""
    from lxml import etree

    root = etree.fromstring(text.encode() if isinstance(text, str) else text)
    return _validation_errors(root, SchemaSet(schema_set))


def _validation_errors(root: etree._Element, schema_set: SchemaSet) -> list[str]:
    schema = _validator(schema_set)
    return [] if schema.validate(root) else [f"line {e.line}: {e.message}" for e in schema.error_log]


@cache
def _validator(schema_set: SchemaSet) -> etree.XMLSchema:
    from lxml import etree

    from .messages.xsd import schema_files

    files = schema_files(schema_set)

    class Resolver(etree.Resolver):
        def resolve(self, system_url: str | None, public_id: str | None, context: Any) -> Any:
            return self.resolve_string(files[str(system_url).rpartition("/")[2]], context)

    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(Resolver())
    return etree.XMLSchema(etree.fromstring(next(iter(files.values())), parser))


class _Writer:
    def __init__(self, schema_set: SchemaSet) -> None:
        from lxml import etree

        self.etree = etree
        self.layouts = layouts_of(schema_set)
        self.prefixes = {prefix: namespace for namespace, prefix in prefixes(schema_set).items()}

    def text(self, value: Any, name: str | QName | None) -> str:
        declared = self.layouts.root(value, name)
        root = self.etree.Element(str(declared.qname), nsmap=self.prefixes)
        self._fill(root, declared, value, declared.qname.local)
        self.etree.cleanup_namespaces(root)
        return self.etree.tostring(root, encoding="unicode")

    def _fill(self, node: etree._Element, declared: Element, value: Any, path: str) -> None:
        if isinstance(declared.type, ComplexType):
            self._fill_complex(node, self.layouts.of(declared.type), value, path)
        else:
            self._set_text(node, _written(declared.type, simple_value(declared, value), path), path)

    def _fill_complex(self, node: etree._Element, layout: Layout, value: Any, path: str) -> None:
        for use in layout.type.attributes:
            held = getattr(value, use.field)
            if held is not None:
                attribute_path = f"{path}/@{use.qname.local}"
                self._set_attribute(node, use.qname, _written(use.type, held, attribute_path), attribute_path)
        if layout.type.text is not None:
            self._set_text(node, _written(layout.type.text, value.value, path), path)
        for element, item, _, index in self.layouts.children(layout, value, path):
            if isinstance(item, str) and element is None:
                self._append_text(node, item, path)
            elif isinstance(item, AnyElement):
                self._append_any(node, item, path)
            elif element is not None:
                place = f"{path}/{element.qname.local}" + ("" if index is None else f"[{index}]")
                self._fill(self.etree.SubElement(node, str(element.qname)), element, item, place)

    def _append_any(self, node: etree._Element, item: AnyElement, path: str) -> None:
        path = f"{path}/{item.qname.local}"
        child = self.etree.SubElement(node, str(item.qname))
        for name, text in item.attributes.items():
            self._set_attribute(child, name, text, path)
        for part in item.content:
            if isinstance(part, str):
                self._append_text(child, part, path)
            elif isinstance(part, AnyElement):
                self._append_any(child, part, path)
            else:
                declared = self.layouts.root(part, None)
                self._fill(self.etree.SubElement(child, str(declared.qname)), declared, part, path)

    def _append_text(self, node: etree._Element, text: str, path: str) -> None:
        before = node[-1].tail if len(node) else node.text
        self._set_text(node, (before or "") + text, path, tail=len(node) > 0)

    def _set_text(self, node: etree._Element, text: str, path: str, *, tail: bool = False) -> None:
        try:
            if tail:
                node[-1].tail = text
            else:
                node.text = text or None
        except ValueError:
            raise FormError(path, "has a character that XML does not allow") from None

    def _set_attribute(self, node: etree._Element, name: QName, text: str, path: str) -> None:
        try:
            node.set(str(name), text)
        except ValueError:
            raise FormError(path, "has a character that XML does not allow") from None


def _written(simple: Any, value: Any, path: str) -> str:
    try:
        return lexical.write(simple, value)
    except ValueError as error:
        raise FormError(path, str(error)) from None


class _Reader:
    def __init__(self, layouts: Layouts) -> None:
        self.layouts = layouts

    def root(self, node: etree._Element) -> tuple[QName, Any]:
        name = _qname(node.tag)
        declared = self.layouts.roots.get(name) or next(iter(self.layouts.fragments.get(name, ())), None)
        if declared is None:
            raise FormError(str(name), f"is no element of {self.layouts.schema.name}")
        return name, self._value(node, declared, name.local)

    def _value(self, node: etree._Element, declared: Element, path: str) -> Any:
        if isinstance(declared.type, ComplexType):
            return self._complex(node, self.layouts.of(self._actual_type(node, declared.type, path)), path)
        if len(node):
            raise FormError(path, f"has a child {_qname(node[0].tag).local}, but its type is simple")
        value = _parsed(declared.type, node.text or "", path)
        return value if declared.wrapper is None else declared.wrapper(value=value)

    def _actual_type(self, node: etree._Element, declared: ComplexType, path: str) -> ComplexType:
        """The declared type, or the one derived from it that xsi:type names."""
        named = node.get(_XSI + "type")
        if named is None:
            return declared
        prefix, _, local = named.rpartition(":")
        actual = self.layouts.types.get(QName(local, node.nsmap.get(prefix or None) or ""))
        base = actual
        while base is not None and base.name != declared.name:
            base = base.base
        if actual is None or base is None:
            raise FormError(path, f"xsi:type {named} is no type derived from {declared.name.local}")
        return actual if actual.name != declared.name else declared

    def _complex(self, node: etree._Element, layout: Layout, path: str) -> Any:
        values = self._attributes(node, layout.type.attributes, path)
        if layout.type.text is not None:
            if len(node):
                raise FormError(path, f"has a child {_qname(node[0].tag).local}, but its content is simple")
            values["value"] = _parsed(layout.type.text, node.text or "", path)
        elif layout.type.ordered:
            values["content"] = self._ordered(node, layout, path)
        else:
            self._fields(node, layout, values, path)
        return build(layout, values, path)

    def _attributes(self, node: etree._Element, uses: tuple[AttributeUse, ...], path: str) -> dict[str, Any]:
        declared = {str(use.qname): use for use in uses}
        values: dict[str, Any] = {}
        for name, text in node.attrib.items():
            if name in declared:
                use = declared[name]
                values[use.field] = _parsed(use.type, text, f"{path}/@{use.qname.local}")
            elif not name.startswith(_XSI):
                raise FormError(path, f"has an unknown attribute {name}")
        return values

    def _fields(self, node: etree._Element, layout: Layout, values: dict[str, Any], path: str) -> None:
        _refuse_text(node, path)
        for child in node:
            name = _qname(child.tag)
            if name not in layout.by_name:
                raise FormError(path, f"has an unknown child {name}")
            slot, declared = layout.by_name[name]
            if slot.is_list:
                items = values.setdefault(slot.field, [])
                items.append(self._value(child, declared, f"{path}/{name.local}[{len(items)}]"))
            elif slot.field in values:
                raise FormError(f"{path}/{name.local}", "is there beside another or twice")
            else:
                values[slot.field] = self._value(child, declared, f"{path}/{name.local}")

    def _ordered(self, node: etree._Element, layout: Layout, path: str) -> list[Any]:
        """Children, and text if the type is mixed; text of blanks alone does not count."""
        if not layout.type.mixed:
            _refuse_text(node, path)
        content: list[Any] = [node.text] if _is_text(node.text) else []
        for child in node:
            name = _qname(child.tag)
            if name in layout.by_name:
                content.append(self._value(child, layout.by_name[name][1], f"{path}/{name.local}"))
            elif layout.wildcards:
                content.append(self._any(child, path))
            else:
                raise FormError(path, f"has an unknown child {name}")
            if _is_text(child.tail):
                content.append(child.tail)
        return content

    def _any(self, node: etree._Element, path: str) -> Any:
        name = _qname(node.tag)
        path = f"{path}/{name.local}"
        if name in self.layouts.roots:
            return self._value(node, self.layouts.roots[name], path)
        content: list[Any] = [node.text] if node.text else []
        for child in node:
            content.append(self._any(child, path))
            if child.tail:
                content.append(child.tail)
        return AnyElement(name, {_qname(n): str(text) for n, text in node.attrib.items()}, content)


def _parsed(simple: Any, text: str, path: str) -> Any:
    try:
        return lexical.read(simple, text)
    except ValueError as error:
        raise FormError(path, str(error)) from None


def _is_text(text: str | None) -> bool:
    return bool(text and text.strip(" \t\r\n"))


def _refuse_text(node: etree._Element, path: str) -> None:
    for text in (node.text, *(child.tail for child in node)):
        if _is_text(text):
            raise FormError(path, f"has text {str(text)[:20]!r} between its elements")


def _qname(tag: Any) -> QName:
    namespace, _, local = str(tag).rpartition("}")
    return QName(local, namespace.removeprefix("{"))
