"""Writes the W3C XML Schema of each message module, from the classes alone.

The files of `schemas/` are this module's output, written by `tools/export_schemas.py`. Without the
annotations they accept the same documents as the standard's own files.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from xml.sax.saxutils import escape, quoteattr

from ..exi.schema import (
    UNBOUNDED,
    AttributeUse,
    Choice,
    ComplexType,
    Element,
    ElementParticle,
    Kind,
    Particle,
    QName,
    Sequence,
    SimpleType,
    Wildcard,
)
from .declare import GLOBAL_ELEMENTS
from .derive import INTEGER_BOUNDS, complex_type, global_element_of, named_simple_types
from .schema_sets import SchemaSet, classes_of, modules_of


def file_name(module: ModuleType) -> str:
    """The name of a module's schema file: `dc.xsd`."""
    return module.__name__.rpartition(".")[2] + ".xsd"


def schema_files(schema_set: SchemaSet | str) -> dict[str, str]:
    """The texts of a schema set's files by name; the file of the set's own namespace first."""
    modules = modules_of(schema_set)
    return {file_name(module): _SchemaWriter(module, modules).text() for module in modules}


class _SchemaWriter:
    """Writes one module; remembers which namespaces it refers to."""

    def __init__(self, module: ModuleType, modules: tuple[ModuleType, ...]) -> None:
        self.module = module
        self.others = {m.NAMESPACE: m for m in modules}
        self.imports: dict[str, ModuleType] = {}

    def text(self) -> str:
        body = "".join(f"  {line}\n" for line in self._components())
        module = self.module
        spaces = {"xs": "http://www.w3.org/2001/XMLSchema", module.PREFIX: module.NAMESPACE}
        spaces |= {m.PREFIX: m.NAMESPACE for m in self.imports.values()}
        head = [f'xmlns:{prefix}="{namespace}"' for prefix, namespace in spaces.items()]
        head.append(f'targetNamespace="{module.NAMESPACE}"')
        for kind, form in (("element", "ELEMENT_FORM"), ("attribute", "ATTRIBUTE_FORM")):
            if getattr(module, form, "qualified") == "qualified":
                head.append(f'{kind}FormDefault="qualified"')
        imports = "".join(
            f'  <xs:import namespace="{m.NAMESPACE}" schemaLocation="{file_name(m)}"/>\n'
            for m in self.imports.values()
        )
        attributes = "\n    ".join(head)
        return f"<xs:schema {attributes}>\n{imports}{body}</xs:schema>\n"

    def _name(self, qname: QName) -> str:
        if qname.namespace != self.module.NAMESPACE:
            self.imports.setdefault(qname.namespace, self.others[qname.namespace])
        return f"{self.others[qname.namespace].PREFIX}:{qname.local}"

    def _components(self) -> Iterator[str]:
        types: set[str] = set()
        for declaration in GLOBAL_ELEMENTS.get(self.module.__name__, ()):
            yield from self._global_element(global_element_of(declaration.cls))
        for simple in named_simple_types(self.module):
            yield from _block(f'xs:simpleType name="{simple.name}"', self._restriction(simple))
        for cls in classes_of(self.module):
            declared = complex_type(cls)
            if declared.name.local and declared.name.local not in types:
                types.add(declared.name.local)
                yield from self._complex_type(declared, f' name="{declared.name.local}"')

    def _global_element(self, element: Element) -> Iterator[str]:
        tag = f'xs:element name="{element.qname.local}"'
        if element.abstract:
            tag += ' abstract="true"'
        if element.substitutes:
            tag += f' substitutionGroup="{self._name(element.substitutes.qname)}"'
        if isinstance(element.type, ComplexType) and not element.type.name.local:
            yield from _block(tag, self._complex_type(element.type, ""))
        else:
            yield f'<{tag} type="{self._type_reference(element.type)}"/>'

    def _complex_type(self, declared: ComplexType, name: str) -> Iterator[str]:
        tag = f"xs:complexType{name}"
        if declared.abstract:
            tag += ' abstract="true"'
        if declared.mixed:
            tag += ' mixed="true"'
        yield from _block(tag, (*_documentation(declared.doc), *self._definition(declared)))

    def _definition(self, declared: ComplexType) -> Iterator[str]:
        inner = [*self._model(declared.own_content), *map(self._attribute, declared.own_attributes)]
        if declared.base:
            extension = _block(f'xs:extension base="{self._name(declared.base.name)}"', inner)
            yield from _block("xs:complexContent", extension)
        elif declared.text:
            extension = _block(f'xs:extension base="{self._type_reference(declared.text)}"', inner)
            yield from _block("xs:simpleContent", extension)
        else:
            yield from inner

    def _model(self, model: Sequence | Choice) -> Iterator[str]:
        if model.particles:
            group = Sequence((model,)) if _is_one_wildcard(model) else model
            yield from self._particle(group)

    def _particle(self, particle: Particle) -> Iterator[str]:
        occurs = _occurs(particle.min_occurs, particle.max_occurs)
        if isinstance(particle, Wildcard):
            process = "" if particle.strict else ' processContents="lax"'
            yield f'<xs:any namespace="{particle.namespace}"{process}{occurs}/>'
        elif isinstance(particle, ElementParticle):
            yield from self._element(particle, occurs)
        elif _is_one_wildcard(particle):
            (wildcard,) = particle.particles
            yield from (line.replace("/>", occurs + "/>") for line in self._particle(wildcard))
        else:
            kind = "xs:sequence" if isinstance(particle, Sequence) else "xs:choice"
            yield from _block(kind + occurs, (line for p in particle.particles for line in self._particle(p)))

    def _element(self, particle: ElementParticle, occurs: str) -> Iterator[str]:
        element = particle.element
        if particle.substitutable:
            yield f'<xs:element ref="{self._name(element.qname)}"{occurs}/>'
        elif isinstance(element.type, SimpleType) and _is_inline(element.type):
            simple = _block("xs:simpleType", self._restriction(element.type))
            yield from _block(f'xs:element name="{element.qname.local}"{occurs}', simple)
        else:
            reference = self._type_reference(element.type)
            yield f'<xs:element name="{element.qname.local}" type="{reference}"{occurs}/>'

    def _attribute(self, attribute: AttributeUse) -> str:
        reference = self._type_reference(attribute.type)
        use = ' use="required"' if attribute.required else ""
        return f'<xs:attribute name="{attribute.qname.local}" type="{reference}"{use}/>'

    def _type_reference(self, declared: ComplexType | SimpleType) -> str:
        if isinstance(declared, ComplexType):
            return self._name(declared.name)
        if declared.name:
            return self._name(QName(declared.name, declared.namespace or ""))
        return f"xs:{declared.base}"

    def _restriction(self, simple: SimpleType) -> Iterator[str]:
        facets: list[tuple[str, object]] = []
        if simple.enumeration:
            facets += [("enumeration", member.value) for member in simple.enumeration]
        if simple.kind is Kind.INTEGER:
            low, high = INTEGER_BOUNDS[simple.base]
            facets += [("minInclusive", simple.minimum)] if simple.minimum != low else []
            facets += [("maxInclusive", simple.maximum)] if simple.maximum != high else []
        if simple.min_length is not None and simple.min_length == simple.max_length:
            facets.append(("length", simple.min_length))
        else:
            facets += [("minLength", simple.min_length)] if simple.min_length is not None else []
            facets += [("maxLength", simple.max_length)] if simple.max_length is not None else []
        lines = (f"<xs:{facet} value={quoteattr(str(value))}/>" for facet, value in facets)
        yield from _block(f'xs:restriction base="xs:{simple.base}"', lines)


def _is_inline(simple: SimpleType) -> bool:
    """Whether a type without a name has facets of its own."""
    bounds = INTEGER_BOUNDS.get(simple.base, (None, None))
    lengths = (simple.min_length, simple.max_length)
    return not simple.name and ((simple.minimum, simple.maximum) != bounds or lengths != (None, None))


def _is_one_wildcard(particle: Particle) -> bool:
    return (
        isinstance(particle, (Sequence, Choice))
        and len(particle.particles) == 1
        and isinstance(particle.particles[0], Wildcard)
        and (particle.particles[0].min_occurs, particle.particles[0].max_occurs) == (1, 1)
    )


def _occurs(least: int, most: int) -> str:
    text = "" if least == 1 else f' minOccurs="{least}"'
    return text if most == 1 else f'{text} maxOccurs="{"unbounded" if most == UNBOUNDED else most}"'


def _documentation(doc: str) -> Iterator[str]:
    paragraph = " ".join(doc.split("\n\n")[0].split())
    if paragraph:
        yield from _block("xs:annotation", [f"<xs:documentation>{escape(paragraph)}</xs:documentation>"])


def _block(tag: str, lines: Iterator[str] | list[str] | tuple[str, ...]) -> Iterator[str]:
    """An element with its children indented; an empty element if there are none."""
    inner = [f"  {line}" for line in lines]
    if not inner:
        yield f"<{tag}/>"
        return
    yield f"<{tag}>"
    yield from inner
    yield f"</{tag.partition(' ')[0]}>"
