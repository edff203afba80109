"""A capability file to fill in, made from the fields of `Capabilities`."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
from itertools import pairwise

from .capabilities import Capabilities


def text() -> str:
    """All keys with their defaults, each under what it means."""
    documented = _documentation()
    lines = ["# What the device under test supports."]
    for item in dataclasses.fields(Capabilities):
        if item.name == "known" or not item.init:
            continue
        if item.name in documented:
            lines.append(f"\n# {documented[item.name]}")
        lines.append(f"{item.name} = {json.dumps(item.default)}")
    lines += ["", f"# {documented['known']}", "[known]", '# "SECC.silence.*" = "waits 60 s; ticket 4711"']
    return "\n".join(lines)


def _documentation() -> dict[str, str]:
    """The text below each field."""
    tree = ast.parse(inspect.getsource(Capabilities))
    body = tree.body[0].body  # type: ignore[attr-defined]
    found = {}
    for field, following in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(following, ast.Expr):
            assert isinstance(field.target, ast.Name)
            found[field.target.id] = " ".join(str(ast.literal_eval(following.value)).split())
    return found
