"""The schema sets: which messages can stand in one EXI stream, and the `Schema` of each.

A schema set is one XSD with all it imports; its global elements are the possible documents, numbered in EXI.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Never

from ..exi.schema import Schema
from . import derive
from .declare import GLOBAL_ELEMENTS, Node, SimpleElement


class SchemaSet(StrEnum):
    """Names of the schema sets of supportedAppProtocol and ISO 15118-20."""

    SAP = "sap"
    ISO20_COMMON = "iso20_common"
    ISO20_AC = "iso20_ac"
    ISO20_DC = "iso20_dc"
    ISO20_ACDP = "iso20_acdp"
    ISO20_WPT = "iso20_wpt"
    XMLDSIG = "xmldsig"

    @classmethod
    def _missing_(cls, value: object) -> Never:
        raise ValueError(f"{value!r} is no schema set; there are {', '.join(cls)}")


_MODULES: dict[SchemaSet, tuple[str, ...]] = {
    SchemaSet.SAP: ("app_protocol",),
    SchemaSet.ISO20_COMMON: ("common", "common_types", "xmldsig"),
    SchemaSet.ISO20_AC: ("ac", "common_types", "xmldsig"),
    SchemaSet.ISO20_DC: ("dc", "common_types", "xmldsig"),
    SchemaSet.ISO20_ACDP: ("acdp", "common_types", "xmldsig"),
    SchemaSet.ISO20_WPT: ("wpt", "common_types", "xmldsig"),
    SchemaSet.XMLDSIG: ("xmldsig",),
}
"""The module of each set's messages, then those it imports."""

_HOME = {f"{__package__}.{names[0]}": schema_set for schema_set, names in _MODULES.items()}


@cache
def modules_of(schema_set: SchemaSet | str) -> tuple[ModuleType, ...]:
    """The modules, one per XML namespace, that make up a schema set; the target namespace first."""
    return tuple(import_module(f".{name}", __package__) for name in _MODULES[SchemaSet(schema_set)])


def classes_of(module: ModuleType) -> Iterator[type[Node]]:
    """The classes of the complex types that a module declares, in its order."""
    for value in vars(module).values():
        own = isinstance(value, type) and value.__module__ == module.__name__
        if own and issubclass(value, Node) and not issubclass(value, SimpleElement):
            yield value


@cache
def schema_of(schema_set: SchemaSet | str) -> Schema:
    """The schema of a set, with every global element of its namespaces. ValueError for an unknown name."""
    schema_set = SchemaSet(schema_set)
    modules = modules_of(schema_set)
    declared = [d for module in modules for d in GLOBAL_ELEMENTS.get(module.__name__, ())]
    return Schema(
        name=schema_set.value,
        target_namespace=modules[0].NAMESPACE,
        elements=tuple(derive.global_element_of(d.cls) for d in declared),
        types=tuple(derive.complex_type(cls) for module in modules for cls in classes_of(module)),
        simple_types=tuple(t for module in modules for t in derive.named_simple_types(module)),
    )


def schema_set_of(message: Node | type[Node]) -> SchemaSet:
    """The schema set whose own namespace declares the class of a message.

    Shared types have none of their own: ValueError for a class of CommonTypes.
    """
    cls = message if isinstance(message, type) else type(message)
    schema_set = _HOME.get(cls.__module__)
    if schema_set is None:
        raise ValueError(f"{cls.__name__} belongs to no single schema set; name one")
    return schema_set


def prefixes(schema_set: SchemaSet | str) -> dict[str, str]:
    """The XML prefix of each namespace of a set, the target namespace first."""
    return {module.NAMESPACE: module.PREFIX for module in modules_of(schema_set)}


def set_knowing(message: Node | type[Node]) -> SchemaSet:
    """A schema set with the class of a message: its own, or for a shared type the common one, as an EXI
    document may have any global element for its root.
    """
    try:
        return schema_set_of(message)
    except ValueError:
        return SchemaSet.ISO20_COMMON
