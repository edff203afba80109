"""The JSON form of messages: wire names as keys, one key for the root element.

    {"DC_PreChargeReq": {"Header": {"SessionID": "0102030405060708", "TimeStamp": 1700000000}, ...}}

Attributes are "@Id"; octets are hex where the schema says hexBinary, else base64; an element of a choice or a
substitution group is a key of its parent like any other; simple content beside attributes is "value". Where
the order of children matters (mixed content and the like), "content" is a list of texts and objects with one
key. An element that the schema does not declare has its namespace in its key: "{urn:x}name".
"""

from __future__ import annotations

from typing import Any

import msgspec

from .exi.schema import AnyElement, ComplexType, Element, Kind, QName, SimpleType
from .messages import lexical
from .messages.layout import FormError, Layout, Layouts, build, layouts_of, simple_value
from .messages.schema_sets import SchemaSet, schema_set_of

__all__ = ["FormError", "from_builtins", "from_json", "to_builtins", "to_json"]


def to_json(
    value: Any,
    name: str | QName | None = None,
    *,
    schema_set: SchemaSet | str | None = None,
    indent: int | None = None,
) -> str:
    """The JSON text of a message, on one line unless `indent` is given; parameters as in
    `iso15118.xml.to_xml`.
    """
    try:
        data = msgspec.json.encode(to_builtins(value, name, schema_set=schema_set))
    except UnicodeEncodeError as error:
        raise FormError("JSON", str(error)) from None
    return (data if indent is None else msgspec.json.format(data, indent=indent)).decode()


def from_json(text: str | bytes, schema_set: SchemaSet | str) -> Any:
    """The message in a JSON text; FormError naming the key if it is none of the schema set."""
    try:
        data = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise FormError("JSON", str(error)) from None
    return from_builtins(data, schema_set)


def to_builtins(
    value: Any, name: str | QName | None = None, *, schema_set: SchemaSet | str | None = None
) -> dict[str, Any]:
    """The JSON form as dicts, lists, str, int and bool."""
    layouts = layouts_of(SchemaSet(schema_set or schema_set_of(value)))
    declared = layouts.root(value, name)
    key = declared.qname.local
    if len(_named(layouts, key)) > 1:
        key = str(declared.qname)
    return {key: _written(layouts, declared, value, declared.qname.local)}


def from_builtins(data: Any, schema_set: SchemaSet | str) -> Any:
    """The message, or the value of another element, in its JSON form."""
    layouts = layouts_of(SchemaSet(schema_set))
    name, held = _only_item(data, "JSON")
    named = _named(layouts, name)
    if len(named) != 1:
        found = ", ".join(str(e.qname) for e in named) or "none"
        raise FormError(name, f"is not one element of {layouts.schema.name} (found: {found})")
    try:
        return _read(layouts, named[0], held, name)
    except RecursionError:
        raise FormError(name, "is nested too deeply") from None


def _named(layouts: Layouts, name: str) -> list[Element]:
    """The elements with a local name or "{namespace}name": the global ones, else all there are."""
    roots = [e for n, e in layouts.roots.items() if name in (n.local, str(n))]
    return roots or [e[0] for n, e in layouts.fragments.items() if name in (n.local, str(n))]


def _written(layouts: Layouts, declared: Element, value: Any, path: str) -> Any:
    if isinstance(declared.type, ComplexType):
        return _written_complex(layouts, layouts.of(declared.type), value, path)
    return _written_simple(declared.type, simple_value(declared, value), path)


def _written_complex(layouts: Layouts, layout: Layout, holder: Any, path: str) -> dict[str, Any]:
    form: dict[str, Any] = {}
    for use in layout.type.attributes:
        held = getattr(holder, use.field)
        if held is not None:
            key = "@" + use.qname.local
            form[key] = _written_simple(use.type, held, f"{path}/{key}")
    if layout.type.text is not None:
        form["value"] = _written_simple(layout.type.text, holder.value, path)
    if layout.type.ordered:
        children = layouts.children(layout, holder, path)
        content = [_written_item(layouts, c.element, c.value, path) for c in children]
        return form | {"content": content} if content else form
    for element, item, _, index in layouts.children(layout, holder, path):
        assert element is not None
        key = element.qname.local
        if index is None:
            form[key] = _written(layouts, element, item, f"{path}/{key}")
        else:
            form.setdefault(key, []).append(_written(layouts, element, item, f"{path}/{key}[{index}]"))
    return form


def _written_item(layouts: Layouts, element: Element | None, item: Any, path: str) -> Any:
    """One entry of "content"."""
    if isinstance(item, AnyElement):
        key = f"{{{item.qname.namespace}}}{item.qname.local}"
        path = f"{path}/{item.qname.local}"
        form: dict[str, Any] = {f"@{name}": text for name, text in item.attributes.items()}
        if item.content:
            form["content"] = [
                part if isinstance(part, str) else _written_item(layouts, None, part, path)
                for part in item.content
            ]
        return {key: form}
    if isinstance(item, str) and element is None:
        return item
    declared = element or layouts.root(item, None)
    key = declared.qname.local
    return {key: _written(layouts, declared, item, f"{path}/{key}")}


def _written_simple(simple: SimpleType, value: Any, path: str) -> Any:
    if not lexical.fits(simple, value):
        raise FormError(path, f"{value!r} is no {simple.name or simple.base}")
    if simple.kind is Kind.BINARY:
        return lexical.write_binary(simple, value)
    return value.value if simple.enumeration is not None else value


def _read(layouts: Layouts, declared: Element, data: Any, path: str) -> Any:
    if isinstance(declared.type, ComplexType):
        return _read_complex(layouts, layouts.of(declared.type), data, path)
    value = _read_simple(declared.type, data, path)
    return value if declared.wrapper is None else declared.wrapper(value=value)


def _read_complex(layouts: Layouts, layout: Layout, data: Any, path: str) -> Any:
    if not isinstance(data, dict):
        raise FormError(path, f"is {_kind(data)}, not an object")
    attributes = {"@" + use.qname.local: use for use in layout.type.attributes}
    values: dict[str, Any] = {}
    for key, held in data.items():
        place = f"{path}/{key}"
        if key in attributes:
            values[attributes[key].field] = _read_simple(attributes[key].type, held, place)
        elif key == "value" and layout.type.text is not None:
            values["value"] = _read_simple(layout.type.text, held, path)
        elif key == "content" and layout.type.ordered:
            parts = _list(held, place)
            values["content"] = [_read_item(layouts, layout, e, f"{place}[{i}]") for i, e in enumerate(parts)]
        elif key in layout.by_local_name and not layout.type.ordered:
            slot, element = layout.by_local_name[key]
            if slot.is_list:
                entries = enumerate(_list(held, place))
                items = [_read(layouts, element, e, f"{place}[{i}]") for i, e in entries]
                values.setdefault(slot.field, []).extend(items)
            elif slot.field in values:
                raise FormError(place, "is there beside another of its choice")
            else:
                values[slot.field] = _read(layouts, element, held, place)
        else:
            raise FormError(path, f"has an unknown key {key!r}")
    return build(layout, values, path)


def _read_item(layouts: Layouts, layout: Layout, data: Any, path: str) -> Any:
    if isinstance(data, str):
        if not layout.type.mixed:
            raise FormError(path, "is text between elements")
        return data
    name, held = _only_item(data, path)
    if name in layout.by_local_name:
        return _read(layouts, layout.by_local_name[name][1], held, f"{path}/{name}")
    if not layout.wildcards:
        raise FormError(path, f"has an unknown key {name!r}")
    return _read_any(layouts, name, held, path)


def _read_any(layouts: Layouts, name: str, data: Any, path: str) -> Any:
    """What a wildcard let in: a global element by its local name, or an undeclared one by its namespace and
    name.
    """
    roots = [e for e in layouts.roots.values() if e.qname.local == name]
    path = f"{path}/{name}"
    if len(roots) == 1:
        return _read(layouts, roots[0], data, path)
    if not name.startswith("{") or not isinstance(data, dict):
        raise FormError(path, "is neither a global element nor an undeclared one with its namespace")
    attributes: dict[QName, str] = {}
    content: list[Any] = []
    for key, held in data.items():
        if key.startswith("@") and isinstance(held, str):
            attributes[_qname(key[1:])] = held
        elif key == "content":
            for part in _list(held, path):
                content.append(
                    part if isinstance(part, str) else _read_any(layouts, *_only_item(part, path), path)
                )
        else:
            raise FormError(path, f"has an unknown key {key!r}")
    return AnyElement(_qname(name), attributes, content)


def _read_simple(simple: SimpleType, data: Any, path: str) -> Any:
    if simple.kind in (Kind.BOOLEAN, Kind.INTEGER):
        if not lexical.fits(simple, data):
            wanted = "a boolean" if simple.kind is Kind.BOOLEAN else "an integer"
            raise FormError(path, f"is {_kind(data)}, not {wanted}")
        return data
    if not isinstance(data, str):
        raise FormError(path, f"is {_kind(data)}, not a string")
    if simple.kind is Kind.STRING:
        return data
    try:
        return lexical.read(simple, data)
    except ValueError as error:
        raise FormError(path, str(error)) from None


def _only_item(data: Any, path: str) -> tuple[str, Any]:
    if not isinstance(data, dict) or len(data) != 1:
        raise FormError(path, "is not an object with one key, the name of an element")
    ((name, held),) = data.items()
    return str(name), held


def _list(data: Any, path: str) -> list[Any]:
    if not isinstance(data, list):
        raise FormError(path, f"is {_kind(data)}, not a list")
    return data


def _kind(data: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "an integer"}
    return "null" if data is None else names.get(type(data), "a number")


def _qname(text: str) -> QName:
    namespace, _, local = text.rpartition("}")
    return QName(local, namespace.removeprefix("{"))
