"""Any valid message survives a round trip; any mutation of its octets decodes or is an EXIDecodeError."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iso15118 import exi
from iso15118.xml import schema_errors, to_xml

from ..messages.vectors import SETS
from ..strategies import messages

EXAMPLES = 8 if os.environ.get("HLC_EXI_INTERPRETED") == "1" else 25
"""Fewer in the second run of these tests, with the interpreted kernel."""
COMMON = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@pytest.mark.parametrize("schema_set", SETS)
def test_any_valid_message_survives_a_round_trip(schema_set: str) -> None:
    @settings(COMMON, max_examples=EXAMPLES)
    @given(messages(schema_set))
    def check(message: Any) -> None:
        octets = exi.encode(message, schema_set)
        assert exi.decode(octets, schema_set) == message
        assert exi.encode(exi.decode(octets, schema_set), schema_set) == octets

    check()


@pytest.mark.parametrize("schema_set", SETS)
def test_any_mutation_decodes_or_is_an_exi_decode_error(schema_set: str) -> None:
    @settings(COMMON, max_examples=EXAMPLES)
    @given(messages(schema_set), st.data())
    def check(message: Any, data: st.DataObject) -> None:
        octets = bytearray(exi.encode(message, schema_set))
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, max(0, 8 * len(octets) - 1)))
            match data.draw(st.sampled_from(["flip", "cut", "insert", "fill"])):
                case "flip" if octets:
                    octets[at // 8] ^= 0x80 >> at % 8
                case "cut":
                    del octets[at // 8 :]
                case "insert":
                    octets[at // 8 : at // 8] = data.draw(st.binary(min_size=1, max_size=8))
                case "fill":
                    octets[at // 8 : at // 8 + 3] = b"\xff\xff\xff"
        with suppress(exi.EXIDecodeError):
            exi.decode(bytes(octets), schema_set)
        with suppress(exi.EXIDecodeError):
            exi.decode(bytes(octets), schema_set, deviations=[])
        with suppress(exi.EXIDecodeError):
            exi.decode_fragment(bytes(octets), schema_set)

    check()


@pytest.mark.parametrize("schema_set", SETS)
@settings(COMMON, max_examples=4 * EXAMPLES)
@given(data=st.binary(max_size=200))
def test_any_octets_decode_or_are_an_exi_decode_error(schema_set: str, data: bytes) -> None:
    for octets in (data, b"\x80" + data):
        for decode in (exi.decode, exi.decode_fragment):
            with suppress(exi.EXIDecodeError):
                decode(octets, schema_set)


@pytest.mark.parametrize("schema_set", ["iso20_dc", "sap"])
def test_the_strategies_make_valid_messages(schema_set: str) -> None:
    @settings(COMMON, max_examples=EXAMPLES)
    @given(messages(schema_set))
    def check(message: Any) -> None:
        errors = schema_errors(to_xml(message, schema_set=schema_set), schema_set)
        assert [e for e in errors if "xs:ID" not in e] == []  # no attempt is made to keep identifiers apart

    check()
