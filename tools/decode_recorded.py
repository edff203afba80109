"""Decode the ISO 15118-20 frames of recorded JSON-lines files and compare with what was recorded beside them.

    python -m tools.decode_recorded PATH...

Two kinds of lines are understood: captures (fields `protocol`, `exi`, `xml`) and sessions (fields
`payload_type`, `exi_hex`, `json`). A frame agrees if its message equals the recorded XML or JSON, and
encoding it again gives the recorded bytes. What is not -20 or supportedAppProtocol is counted as left out.
Exit code 1 if any frame disagrees.
"""

from __future__ import annotations

import argparse
import base64
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from iso15118 import exi, sdp, v2gtp
from iso15118 import json as json_form
from iso15118 import xml as xml_form
from iso15118.messages.schema_sets import SchemaSet

SETS = {item.value for item in SchemaSet}


class Disagreement(Exception):
    """A frame that decodes to something else than was recorded, or not at all."""


def check(record: dict[str, Any]) -> str | None:
    """The kind of the frame ("message", "fragment", "SDP frame") if it agrees, None if it is left out. Raises
    Disagreement.
    """
    if "payload_type" in record:
        return _check_session(record)
    schema = record.get("protocol")
    if schema not in SETS or "exi" not in record or "Amendment 1" in record.get("note", ""):
        return None
    data = bytes.fromhex(record["exi"])
    if record.get("fragment"):
        fragment = _decode(lambda: exi.decode_fragment(data, schema))
        _same_bytes(data, exi.encode_fragment(fragment.value, fragment.name, schema_set=schema))
        _same(fragment.value, xml_form.fragment_from_xml(record["xml"], schema)[1])
        return "fragment"
    message = _decode(lambda: exi.decode(data, schema))
    _same(message, xml_form.from_xml(record["xml"], schema))
    # Some encoders take other, equally valid event codes; the recorder noted where its own re-encoding
    # differed.
    if record.get("reencode_identical") is not False:
        _same_bytes(data, exi.encode(message, schema))
    return "message"


def _check_session(record: dict[str, Any]) -> str | None:
    payload_type, data = record["payload_type"], bytes.fromhex(record["exi_hex"])
    if 0x9000 <= payload_type <= 0x9003:
        _decode(lambda: sdp.parse(payload_type, data))
        return "SDP frame"
    namespace = str(record.get("ns", ""))
    if namespace.startswith("urn:iso:std:iso:15118:-20"):
        # Some EVCCs frame common messages as 0x8001 after supportedAppProtocol.
        schema = v2gtp.schema_set_name(payload_type, data, after_sap=True)
    elif namespace == "urn:iso:15118:2:2010:AppProtocol":
        schema = "sap"
    else:
        return None
    if schema is None:
        raise Disagreement(f"payload type {v2gtp.describe(payload_type)} is not known")
    message = _decode(lambda: exi.decode(data, schema))
    differences = list(compare(record["json"], json_form.to_builtins(message, schema_set=schema)))
    if differences:
        raise Disagreement("; ".join(differences[:5]))
    _same_bytes(data, exi.encode(message, schema))
    return "message"


def compare(recorded: Any, ours: Any, path: str = "") -> Iterator[str]:
    """Differences of a recorded JSON form and ours: attributes have no "@" there, and all octets but
    SessionIDs are base64.
    """
    if isinstance(recorded, dict) and isinstance(ours, dict):
        plain = {key.removeprefix("@"): value for key, value in ours.items()}
        for key in recorded.keys() | plain.keys():
            where = f"{path}/{key}"
            if key not in plain:
                yield f"{where}: recorded {_shown(recorded[key])}, not decoded"
            elif key not in recorded:
                yield f"{where}: decoded {_shown(plain[key])}, not recorded"
            else:
                yield from compare(recorded[key], plain[key], where)
    elif isinstance(recorded, list) and isinstance(ours, list) and len(recorded) == len(ours):
        for index, (theirs, own) in enumerate(zip(recorded, ours, strict=True)):
            yield from compare(theirs, own, f"{path}[{index}]")
    elif recorded != ours and not _same_octets(recorded, ours):
        yield f"{path}: recorded {_shown(recorded)}, decoded {_shown(ours)}"


def _same_octets(recorded: Any, ours: Any) -> bool:
    if not (isinstance(recorded, str) and isinstance(ours, str)):
        return False
    if recorded.upper() == ours.upper():
        return True
    try:
        return base64.b64decode(recorded, validate=True) == bytes.fromhex(ours)
    except ValueError:
        return False


def _decode(step: Any) -> Any:
    try:
        return step()
    except (exi.EXIDecodeError, sdp.SDPError) as error:
        raise Disagreement(f"not decoded: {error}") from None


def _same(ours: Any, recorded: Any) -> None:
    if ours != recorded:
        raise Disagreement(f"decoded {_shown(ours)}, recorded {_shown(recorded)}")


def _same_bytes(recorded: bytes, ours: bytes) -> None:
    if ours != recorded:
        at = next(
            (i for i, (a, b) in enumerate(zip(recorded, ours, strict=False)) if a != b),
            min(len(recorded), len(ours)),
        )
        raise Disagreement(
            f"encodes to {len(ours)} bytes that differ from the recorded {len(recorded)} at byte {at}"
        )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 160 else text[:157] + "..."


def files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.decode_recorded", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="JSON-lines file or directory of such"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="only the totals")
    options = parser.parse_args(arguments)
    total: Counter[str] = Counter()
    for path in files(options.paths):
        counts: Counter[str] = Counter()
        for number, line in enumerate(path.open("rb"), 1):
            try:
                kind = check(msgspec.json.decode(line))
            except Disagreement as problem:
                counts["disagree"] += 1
                print(f"{path}:{number}: {problem}", file=sys.stderr)
                continue
            counts["left out" if kind is None else "agree"] += 1
            if kind is not None:
                counts[kind] += 1
        if not options.quiet:
            print(f"{path}: {_summary(counts)}")
        total += counts
    print(f"total: {_summary(total)}")
    return 1 if total["disagree"] else 0


def _summary(counts: Counter[str]) -> str:
    judged = counts["agree"] + counts["disagree"]
    kinds = ", ".join(
        f"{counts[kind]} {kind}s" for kind in ("message", "fragment", "SDP frame") if counts[kind]
    )
    return (
        f"{counts['agree']} of {judged} agree{f' ({kinds})' if kinds else ''}, {counts['left out']} left out"
    )


if __name__ == "__main__":
    sys.exit(main())
