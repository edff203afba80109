"""The test vectors of the schema sets that have message classes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from lxml import etree

VECTORS = Path(__file__).parent.parent / "data" / "vectors"
SETS = ("sap", "iso20_common", "iso20_ac", "iso20_dc", "iso20_acdp", "iso20_wpt", "xmldsig")


@cache
def vectors(file: str) -> tuple[dict[str, Any], ...]:
    """The lines of a vector file that belong to these sets and have XML."""
    lines = (json.loads(line) for line in (VECTORS / f"{file}.jsonl").read_text().splitlines())
    return tuple(v for v in lines if v.get("schema_set") in SETS and v.get("xml"))


@cache
def grammar_codes() -> dict[str, Any]:
    """Event codes of every document root and fragment element, worked out from the official XSDs."""
    codes: dict[str, Any] = json.loads((VECTORS / "grammar_codes.json").read_text())
    return codes


def canonical(xml: str) -> bytes:
    """Exclusive canonical XML."""
    return etree.tostring(etree.fromstring(xml), method="c14n", exclusive=True)
