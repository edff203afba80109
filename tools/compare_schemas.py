"""Compares a directory of official XSDs with the message classes: `python -m tools.compare_schemas DIR`.

Every difference in names, order, types, facets, occurrence, substitution or abstractness is printed, as lines
of the official schema (-) and of the classes (+). Exit code 1 if there are any. Files of namespaces that no
class declares are named on stderr and skipped.

Both sides are brought to one form first, in which only what changes the accepted documents or the EXI grammar
counts: groups that group nothing are dissolved, `length` is minLength and maxLength, bounds of built-in types
are spelled out. Types that are equal but unnamed stay unnamed.
"""

from __future__ import annotations

import copy
import difflib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lxml import etree

from iso15118.messages.derive import INTEGER_BOUNDS
from tools.export_schemas import schema_texts

XS = "{http://www.w3.org/2001/XMLSchema}"


@dataclass(frozen=True)
class Particle:
    """A node of a content model: a leaf with a `text`, or a sequence or choice of `members`."""

    text: str
    least: int
    most: int | None
    members: tuple[Particle, ...] = ()

    def lines(self, indent: str = "  ") -> Iterator[str]:
        yield f"{indent}{self.text} {self.least}..{'*' if self.most is None else self.most}"
        for member in self.members:
            yield from member.lines(indent + "  ")


def describe(schema: etree._Element) -> dict[str, list[str]]:
    """What a schema says: the lines of each of its components, by the component's name."""
    schema = _with_local_elements(schema)
    described: dict[str, list[str]] = {}
    for component in schema.iterchildren(XS + "element", XS + "complexType", XS + "simpleType"):
        kind = etree.QName(component).localname
        describer = {"element": _global_element, "complexType": _complex_type, "simpleType": _simple_type}[
            kind
        ]
        described[f"{kind} {component.get('name')}"] = list(describer(component))
    forms = [schema.get(f"{kind}FormDefault", "unqualified") for kind in ("element", "attribute")]
    if schema.find(f".//{XS}attribute") is None:
        forms[1] = "-"
    described["local names"] = ["elements {}, attributes {}".format(*forms)]
    return described


def _with_local_elements(schema: etree._Element) -> etree._Element:
    """A copy in which a reference to a global element that nothing substitutes is a local element of its
    type.
    """
    schema = copy.deepcopy(schema)
    if schema.get("elementFormDefault") != "qualified":
        return schema
    elements = schema.findall(XS + "element")
    heads = {_resolve(e, e.get("substitutionGroup")) for e in elements if e.get("substitutionGroup")}
    types = {f"{{{schema.get('targetNamespace')}}}{e.get('name')}": e.get("type") for e in elements}
    for reference in schema.iter(XS + "element"):
        target = _resolve(reference, reference.get("ref")) if reference.get("ref") else None
        if target in types and target not in heads and types[target]:
            reference.set("name", etree.QName(target).localname)
            reference.set("type", str(types[target]))
            del reference.attrib["ref"]
    return schema


def _global_element(element: etree._Element) -> Iterator[str]:
    if element.get("type"):
        yield f"type {_resolve(element, element.get('type'))}"
    if element.get("substitutionGroup"):
        yield f"substitutes {_resolve(element, element.get('substitutionGroup'))}"
    if element.get("abstract") == "true":
        yield "abstract"
    yield from _inline_type(element)


def _inline_type(element: etree._Element) -> Iterator[str]:
    for child in element.iterchildren(XS + "complexType", XS + "simpleType"):
        complex_child = etree.QName(child).localname == "complexType"
        yield from _complex_type(child) if complex_child else _simple_type(child)


def _complex_type(declared: etree._Element) -> Iterator[str]:
    for flag in ("abstract", "mixed"):
        if declared.get(flag) == "true":
            yield flag
    extension = declared.find(f"*/{XS}extension")
    if extension is not None:
        yield f"extends {_resolve(declared, extension.get('base'))}"
    holder = declared if extension is None else extension
    attributes = holder.findall(XS + "attribute")
    for attribute in sorted(attributes, key=lambda a: str(a.get("name"))):
        name, use = attribute.get("name"), attribute.get("use", "optional")
        yield f"attribute {name} {_resolve(attribute, attribute.get('type'))} {use}"
    for group in holder.iterchildren(XS + "sequence", XS + "choice"):
        model = _normal(_particle(group))
        if model is not None:
            yield from model.lines()


def _particle(node: etree._Element) -> Particle:
    kind = etree.QName(node).localname
    most = node.get("maxOccurs", "1")
    members: tuple[Particle, ...] = ()
    if kind == "any":
        text = f"any {node.get('namespace', '##any')} {node.get('processContents', 'strict')}"
    elif kind == "element" and node.get("ref"):
        text = f"ref {_resolve(node, node.get('ref'))}"
    elif kind == "element":
        declared = _resolve(node, node.get("type")) if node.get("type") else " ".join(_inline_type(node))
        text = f"{node.get('name')}: {declared}"
    elif kind in ("sequence", "choice"):
        text = kind
        members = tuple(_particle(c) for c in node if isinstance(c.tag, str) and c.tag != XS + "annotation")
    else:
        raise ValueError(f"line {node.sourceline}: xs:{kind} is not understood")
    return Particle(
        text, int(node.get("minOccurs", "1")), None if most == "unbounded" else int(most), members
    )


def _normal(particle: Particle) -> Particle | None:
    """The particle without groups that group nothing; None if it is empty."""
    if particle.text not in ("sequence", "choice"):
        return particle
    members: list[Particle] = []
    for member in filter(None, map(_normal, particle.members)):
        once = (member.least, member.most) == (1, 1)
        members += member.members if once and member.text == particle.text else [member]
    if not members:
        return None
    if len(members) == 1 and (members[0].least, members[0].most) == (1, 1):
        return replace(members[0], least=particle.least, most=particle.most)
    if len(members) == 1 and (particle.least, particle.most) == (1, 1):
        return members[0]
    return replace(particle, members=tuple(members))


def _simple_type(declared: etree._Element) -> Iterator[str]:
    restriction = declared.find(XS + "restriction")
    if restriction is None:
        raise ValueError(f"line {declared.sourceline}: a simple type without restriction is not understood")
    base = _resolve(declared, restriction.get("base"))
    yield f"restricts {base}"
    facets: dict[str, str] = {}
    low, high = INTEGER_BOUNDS.get(base.removeprefix("xs:"), (None, None))
    if low is not None:
        facets["minInclusive"] = str(low)
    if high is not None:
        facets["maxInclusive"] = str(high)
    for facet in restriction.iterchildren():
        if not isinstance(facet.tag, str) or facet.tag == XS + "annotation":
            continue
        kind, value = etree.QName(facet).localname, str(facet.get("value"))
        if kind == "enumeration":
            yield f"value {value!r}"
        elif kind == "length":
            facets["minLength"] = facets["maxLength"] = value
        else:
            facets[kind] = value
    yield from (f"{kind} {value}" for kind, value in sorted(facets.items()))


def _resolve(node: etree._Element, name: str | None) -> str:
    """A name with its prefix resolved: "xs:byte" or "{namespace}name"."""
    prefix, _, local = (name or "").rpartition(":")
    namespace = node.nsmap.get(prefix or None)
    resolved = f"{{{namespace}}}{local}"
    return resolved.replace(XS, "xs:")


def compare(official: etree._Element, ours: etree._Element) -> list[str]:
    """The differences between two schemas of one namespace, as lines to print; empty if there are none."""
    theirs, mine = describe(official), describe(ours)
    report: list[str] = []
    for name in [*theirs, *(n for n in mine if n not in theirs)]:
        if name not in mine:
            report.append(f"{name}: not in the classes")
        elif name not in theirs:
            report.append(f"{name}: only in the classes")
        elif theirs[name] != mine[name]:
            report.append(f"{name}:")
            lines = difflib.ndiff(theirs[name], mine[name])
            report += [f"  {line}" for line in lines if line[0] in "-+"]
    return report


def main(directory: Path) -> int:
    parser = etree.XMLParser(load_dtd=False, no_network=True, resolve_entities=False)
    ours: dict[str, etree._Element] = {}
    for text in schema_texts().values():
        root = etree.fromstring(text)
        ours[str(root.get("targetNamespace"))] = root
    missing, differences, compared = set(ours), 0, 0
    for path in sorted(directory.rglob("*.xsd")):
        official = etree.parse(path, parser).getroot()
        namespace = str(official.get("targetNamespace"))
        if namespace not in ours:
            print(f"{path}: no class declares {namespace}; skipped", file=sys.stderr)
            continue
        missing.discard(namespace)
        compared += 1
        report = compare(official, ours[namespace])
        differences += len(report)
        for line in report:
            print(f"{path.name}: {line}")
    for namespace in sorted(missing):
        differences += 1
        print(f"{namespace}: no file in {directory} declares it")
    print(f"{compared} files compared, {differences or 'no'} differences", file=sys.stderr)
    return 1 if differences else 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python -m tools.compare_schemas DIR")
    sys.exit(main(Path(sys.argv[1])))
