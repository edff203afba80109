"""Every line of the corpus: octets to message to XML, and back to the same octets."""

from __future__ import annotations

from typing import Any

import pytest

from iso15118 import exi
from iso15118.xml import to_xml

from ..messages.vectors import SETS, canonical, grammar_codes, vectors

LINES = [v for file in (*SETS, "fragments") for v in vectors(f"{file}_dev")]
BENCH = vectors("bench_messages")


def decode(line: dict[str, Any], octets: str = "exi") -> Any:
    """A message, or a (name, value) fragment."""
    read = exi.decode_fragment if line.get("fragment") else exi.decode
    return read(bytes.fromhex(line[octets]), line["schema_set"])


def encode(line: dict[str, Any], decoded: Any) -> bytes:
    if line.get("fragment"):
        return exi.encode_fragment(decoded.value, decoded.name, schema_set=line["schema_set"])
    return exi.encode(decoded, line["schema_set"])


def as_xml(line: dict[str, Any], decoded: Any) -> bytes:
    value, name = (decoded.value, decoded.name) if line.get("fragment") else (decoded, None)
    return canonical(to_xml(value, name, schema_set=line["schema_set"]))


def test_the_corpus_is_there() -> None:
    assert len(LINES) == 722
    assert len(BENCH) == 12


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["id"])
def test_decodes_to_the_xml_and_encodes_to_the_octets(line: dict[str, Any]) -> None:
    decoded = decode(line)
    assert as_xml(line, decoded) == canonical(line["xml"])
    octets = encode(line, decoded)
    if "empty-simple-content" in line["tags"]:
        # Two legal forms: we write CH with an empty value, which all codecs read; the vector has an escape.
        again = decode({**line, "exi": octets.hex()})
        assert as_xml(line, again) == canonical(line["xml"])
    else:
        assert octets.hex() == line["exi"]


@pytest.mark.parametrize("line", BENCH, ids=lambda line: line["name"])
def test_benchmark_messages(line: dict[str, Any]) -> None:
    decoded = decode(line)
    assert as_xml(line, decoded) == canonical(line["xml"])
    assert encode(line, decoded).hex() == line["exi"]


@pytest.mark.parametrize("line", [v for v in LINES if "exi_string_table" in v], ids=lambda line: line["id"])
def test_reads_references_to_string_tables(line: dict[str, Any]) -> None:
    assert decode(line, "exi_string_table") == decode(line)


@pytest.mark.parametrize("schema_set", SETS)
def test_event_codes_of_documents_and_fragments(schema_set: str) -> None:
    codes = grammar_codes()[schema_set]
    tables = exi.codec(schema_set).event_codes()
    assert tables.documents == codes["document"]
    assert tables.document_width == codes["document_width"]
    assert tables.fragments == codes["fragment"]
    assert tables.fragment_width == codes["fragment_width"]
    assert len(tables.fragments) == codes["fragment_SE_any"]
