"""A capability file to fill in, made from the fields of `Capabilities`."""

from __future__ import annotations

import dataclasses
import json

from ..config.keys import field_notes
from .capabilities import Capabilities


def text() -> str:
    """All keys with their defaults, each under what it means."""
    documented = {name: " ".join(note.split()) for name, note in field_notes(Capabilities).items()}
    lines = ["# What the device under test supports."]
    for item in dataclasses.fields(Capabilities):
        if item.name == "known" or not item.init:
            continue
        if item.name in documented:
            lines.append(f"\n# {documented[item.name]}")
        lines.append(f"{item.name} = {json.dumps(item.default)}")
    lines += ["", f"# {documented['known']}", "[known]", '# "SECC.silence.*" = "waits 60 s; ticket 4711"']
    return "\n".join(lines)
