"""`hlc encode`: messages in their JSON form as EXI, the way back from `hlc decode`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from iso15118 import exi, v2gtp, validate
from iso15118 import json as json_form
from iso15118.json import FormError
from iso15118.messages.schema_sets import SchemaSet, schema_of

from .decode import check_schema
from .errors import stop

_ABOUT = ("schema", "payload_type")
"""What `hlc decode` says beside a message."""


def run_encode(source: str, *, schema: str | None) -> None:
    check_schema(schema)
    where = "standard input" if source == "-" else source
    text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    for number, form in enumerate(_documents(text, where), 1):
        try:
            data = _encoded(dict(form), schema)
        except (FormError, exi.EXIError, ValueError) as error:
            stop(f"{where}: message {number}: {error}")
        typer.echo(data.hex())


def _documents(text: str, where: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a text, one after another, over any number of lines."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text) and (text := text[at:].lstrip()):
        try:
            form, at = decoder.raw_decode(text)
        except json.JSONDecodeError as error:
            stop(f"{where}: not JSON: {error}")
        if not isinstance(form, dict):
            stop(f"{where}: a message is a JSON object with the name of its element as key")
        yield form


def _encoded(form: dict[str, Any], schema: str | None) -> bytes:
    """A V2GTP frame if the form says its payload type, else bare EXI. What breaks a facet is encoded, and
    said: to send it may be the intention.
    """
    stated, of_frame = (form.pop(name, None) for name in _ABOUT)
    payload_type = _payload_type(of_frame) if of_frame is not None else None
    name = schema or stated or _set_of(form, payload_type)
    message = json_form.from_builtins(form, name)
    for violation in validate(message):
        typer.secho(f"note: {violation}", err=True, fg=typer.colors.YELLOW)
    payload = exi.encode(message, name)
    return payload if payload_type is None else v2gtp.pack(payload_type, payload)


def _payload_type(text: object) -> int:
    """Of the form "0x8004 DC", as it is printed, or a number."""
    number, _, _ = str(text).partition(" ")
    try:
        found = int(number, 0)
    except ValueError:
        found = -1
    if not 0 <= found < 0x10000:
        raise ValueError(f"payload_type {text!r} is none")
    return found


def _set_of(form: dict[str, Any], payload_type: int | None) -> str:
    """The schema set that has the root element; that of the payload type, where several have."""
    if not form:
        raise ValueError("no element in it")
    root = next(iter(form))
    sets = [item.value for item in SchemaSet if root in {e.qname.local for e in schema_of(item).elements}]
    of_frame = v2gtp.schema_set_name(payload_type, b"") if payload_type is not None else None
    if of_frame in sets:
        return str(of_frame)
    if len(sets) != 1:
        found = f"of {', '.join(sets)}; choose one with --schema" if sets else "of no schema set"
        raise ValueError(f"{root} is an element {found}")
    return sets[0]
