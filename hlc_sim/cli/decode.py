"""`hlc decode`: EXI and V2GTP bytes in words."""

from __future__ import annotations

import binascii
import dataclasses
import re
import sys
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import msgspec
import typer

from iso15118 import exi, sdp, v2gtp
from iso15118 import json as json_form
from iso15118.messages.app_protocol import SupportedAppProtocolReq, SupportedAppProtocolRes
from iso15118.messages.common_types import V2GMessage
from iso15118.messages.schema_sets import SchemaSet

from ..trace.decode import decoded, is_recording
from .errors import Exit, complain, stop

_MESSAGES = (V2GMessage, SupportedAppProtocolReq, SupportedAppProtocolRes)


class Item(NamedTuple):
    """Bytes to decode: where they are from, and what the source says of them."""

    where: str
    data: bytes
    payload_type: int | None = None
    schema: str | None = None


class Verdict(NamedTuple):
    """What became of an item; `problem` is None if all of it was understood."""

    form: dict[str, Any]
    problem: str | None = None


def run_decode(sources: list[str], *, schema: str | None, compact: bool, keylog: Path | None = None) -> None:
    check_schema(schema)
    failed = False
    for source in sources:
        for where, verdict in _all(source, schema, keylog):
            _print(verdict, compact)
            if verdict.problem is not None:
                failed = True
                sys.stdout.flush()
                complain(f"{where}: {verdict.problem}")
    if failed:
        raise typer.Exit(Exit.FAILED)


def check_schema(name: str | None) -> None:
    """That a value of --schema is a schema set."""
    if name is not None and name not in {item.value for item in SchemaSet}:
        stop(f"--schema {name!r} is not one of {', '.join(item.value for item in SchemaSet)}")


def _all(source: str, schema: str | None, keylog: Path | None) -> Iterator[tuple[str, Verdict]]:
    """Everything in a source, recordings included, with its place."""
    if is_recording(_head(source)):
        path = None if source == "-" else Path(source)
        for where, form, problem in decoded(path, sys.stdin.buffer, keylog):
            yield where, Verdict(form, problem)
        return
    for item in items(source):
        for verdict in verdicts(item, schema):
            yield item.where, verdict


def _head(source: str) -> bytes:
    if source == "-":
        # io.BufferedReader has peek; a stream without it holds no recording.
        peek = getattr(sys.stdin.buffer, "peek", None)
        return bytes(peek(16)) if peek is not None else b""
    if not Path(source).is_file():
        return b""
    with Path(source).open("rb") as file:
        return file.read(16)


def items(source: str) -> Iterator[Item]:
    """What a command-line argument holds: hex digits, the name of a file, or "-" for standard input."""
    if source == "-":
        yield from _content("standard input", sys.stdin.buffer.read())
    elif Path(source).is_file():
        yield from _content(source, Path(source).read_bytes())
    else:
        data = _hex(source)
        if data is None:
            stop(f"{source!r} is neither {_no_hex(source)} nor a file")
        yield Item(source if len(source) <= 20 else f"{source[:16]}...", data)


def _content(where: str, content: bytes) -> Iterator[Item]:
    """Text of JSON lines, text of hex digits (an item per line), or the bytes themselves."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        yield Item(where, content)
        return
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        stop(f"{where} is empty")
    if lines[0][1].startswith("{"):
        for number, line in lines:
            yield _json_line(f"{where}:{number}", line)
    elif all(_hex(line) is not None for _, line in lines):
        for number, line in lines:
            yield Item(f"{where}:{number}", _hex(line) or b"")
    elif content[:1] in (b"\x01", b"\x80"):
        yield Item(where, content)
    else:
        bad = next(number for number, line in lines if _hex(line) is None)
        stop(f"{where}:{bad}: neither hex digits nor a line of JSON")


def _json_line(where: str, line: str) -> Item:
    try:
        record = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        stop(f"{where}: not JSON: {error}")
    text = record.get("exi_hex") or record.get("exi") if isinstance(record, dict) else None
    data = _hex(text) if isinstance(text, str) else None
    if data is None:
        stop(f"{where}: no field exi or exi_hex with hex digits")
    payload_type = record.get("payload_type")
    schema = record.get("schema_set", record.get("protocol"))
    return Item(where, data, payload_type if isinstance(payload_type, int) else None, _known(schema))


def _known(schema: object) -> str | None:
    return schema if isinstance(schema, str) and schema in {item.value for item in SchemaSet} else None


def _no_hex(text: str) -> str:
    odd = re.fullmatch(r"(0[xX])?[0-9a-fA-F]+", text) and len(text) % 2
    return "an even number of hex digits" if odd else "hex digits"


def _hex(text: str) -> bytes | None:
    digits = "".join(text.replace(":", " ").split())
    digits = digits.removeprefix("0x").removeprefix("0X")
    try:
        return binascii.unhexlify(digits) if digits else None
    except (binascii.Error, ValueError):
        return None


def verdicts(item: Item, schema: str | None = None) -> Iterator[Verdict]:
    """One per message: V2GTP frames one after another, or one bare EXI stream."""
    if item.payload_type is None and schema is None and item.schema is None and item.data[:1] == b"\x01":
        yield from _frames(item.data)
    elif item.payload_type is not None:
        yield _payload(item.payload_type, item.data, schema or item.schema)
    else:
        yield _exi(item.data, schema or item.schema)


def _frames(data: bytes) -> Iterator[Verdict]:
    parser = v2gtp.FrameParser(max_payload=max(len(data), 1))
    parser.feed(data)
    while True:
        try:
            frame = parser.next_frame()
            if frame is None:
                parser.end()
                return
        except v2gtp.V2GTPError as error:
            yield Verdict({}, str(error))
            return
        yield _payload(frame.payload_type, frame.payload, None)


def _payload(payload_type: int, payload: bytes, schema: str | None) -> Verdict:
    head = {"payload_type": v2gtp.describe(payload_type)}
    if 0x9000 <= payload_type <= 0x9003:
        try:
            message = sdp.parse(payload_type, payload)
        except sdp.SDPError as error:
            return Verdict(head, str(error))
        fields = {item.name: getattr(message, item.name) for item in dataclasses.fields(message)}
        return Verdict({**head, "SDP " + type(message).__name__: {k: _shown(v) for k, v in fields.items()}})
    name = schema or v2gtp.schema_set_name(payload_type, payload)
    if name is None:
        return Verdict(
            {**head, "payload": payload.hex()}, f"payload type {head['payload_type']} is not known"
        )
    form, problem = _exi(payload, name)
    return Verdict({**head, **form}, problem)


def _shown(value: object) -> object:
    if isinstance(value, IntEnum):
        return value.name
    return value if isinstance(value, int) else str(value)


def _exi(data: bytes, schema: str | None) -> Verdict:
    """Decode with the named schema set; without one, with each, and say so if several fit."""
    if schema is not None:
        try:
            return Verdict(json_form.to_builtins(exi.decode(data, schema), schema_set=schema))
        except exi.EXIDecodeError as error:
            return Verdict(_partial(error), str(error))
    fits: dict[str, Any] = {}
    failures: list[tuple[bool, int, str, exi.EXIDecodeError]] = []
    for candidate in SchemaSet:
        try:
            fits[candidate.value] = exi.decode(data, candidate)
        except exi.EXIDecodeError as failure:
            is_message = failure.path.partition("/")[0].endswith(("Req", "Res"))
            failures.append((is_message, failure.bit, candidate.value, failure))
    # Each set also has elements that are no messages (signatures, parts); a message goes before them.
    messages = {name: fit for name, fit in fits.items() if isinstance(fit, _MESSAGES)}
    fits = messages or fits
    if len(fits) == 1:
        ((name, message),) = fits.items()
        return Verdict({"schema": name, **json_form.to_builtins(message, schema_set=name)})
    if fits:
        readings = {name: json_form.to_builtins(message, schema_set=name) for name, message in fits.items()}
        return Verdict(
            {"ambiguous": readings},
            f"{len(fits)} schema sets fit ({', '.join(fits)}); choose one with --schema",
        )
    _, _, name, furthest = max(failures, key=lambda failure: failure[:2])
    return Verdict({"schema": name, **_partial(furthest)}, f"{furthest} (schema set {name} came furthest)")


def _partial(error: exi.EXIDecodeError) -> dict[str, Any]:
    """What was read before the error, and where it is."""
    at: dict[str, Any] = {
        "bit": error.bit,
        "path": error.path,
        "reason": error.reason,
        "expected": error.expected,
    }
    found: dict[str, Any] = {}
    if error.partial is not None:
        root = error.path.partition("/")[0] or type(error.partial).__name__
        found = {"decoded": {root: _without_holes(error.partial)}}
    return {**found, "error": at}


def _without_holes(value: Any) -> Any:
    """A half-filled message as plain data, by wire name, without what was not reached."""
    if isinstance(value, msgspec.Struct):
        names = {field.name: field.encode_name for field in msgspec.structs.fields(value)}
        return {
            names[name]: _without_holes(getattr(value, name, None))
            for name in value.__struct_fields__
            if getattr(value, name, None) not in (None, [])
        }
    if isinstance(value, list):
        return [_without_holes(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def _print(verdict: Verdict, compact: bool, file: TextIO | None = None) -> None:
    if not verdict.form:
        return
    data = msgspec.json.encode(verdict.form)
    text = data if compact else msgspec.json.format(data, indent=2)
    print(text.decode(), file=file or sys.stdout)
