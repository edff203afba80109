"""The page about the Python API: what each package exports, from its `__all__`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from .markdown import prose, table

PACKAGES = (
    "iso15118",
    "iso15118.messages",
    "iso15118.exi",
    "iso15118.session",
    "iso15118.session.judge",
    "iso15118.slac",
    "hlc_sim",
    "hlc_sim.charger",
    "hlc_sim.vehicle",
    "hlc_sim.config",
    "hlc_sim.report",
    "hlc_sim.scenario",
    "hlc_sim.conformance",
    "pki",
)


def pages() -> Iterator[tuple[str, str]]:
    parts = [
        "# Python API",
        "What the packages export. What is only in their modules is for those who extend them.",
    ]
    for name in PACKAGES:
        package = import_module(name)
        rows = [(f"`{item}`", first_paragraph(getattr(package, item))) for item in package.__all__]
        parts += [f"## {name}", first_paragraph(package), table(("Name", ""), rows)]
    yield "python.md", "\n\n".join(parts)


def first_paragraph(thing: Any) -> str:
    """Of its docstring; of a constant, its type."""
    if not (inspect.ismodule(thing) or inspect.isclass(thing) or inspect.isroutine(thing)):
        return f"a {type(thing).__name__}"
    return " ".join(prose(thing.__doc__).partition("\n\n")[0].split())
