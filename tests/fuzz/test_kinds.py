"""What cases are made of: EXI streams against their grammar, oversize, seeds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from hlc_sim.fuzz import exi_events, mutate
from hlc_sim.fuzz.cases import Kind, case
from hlc_sim.fuzz.seeds import SeedError, Seeds, load
from hlc_sim.fuzz.subject import Messages
from hlc_sim.fuzz.walks import PROFILES, walk
from iso15118 import exi, v2gtp
from iso15118.messages.declare import Node
from iso15118.messages.schema_sets import schema_set_of
from iso15118.session.events import Role

DATA = Path(__file__).parent.parent / "data"


def messages() -> list[Node]:
    return [m for p in PROFILES for step in walk(p).exchanges for m in (step.request, step.response)]


def test_the_pieces_of_a_message_are_its_stream() -> None:
    for message in messages():
        assert exi_events.packed(exi_events.pieces(message)) == exi.encode(message)


def test_deviating_streams_fail_in_many_ways_and_as_decode_errors_only() -> None:
    rng, outcomes = Random(1), Counter[str]()
    sent = messages()
    for _ in range(600):
        message = rng.choice(sent)
        stream = exi_events.deviating(rng, message)
        assert stream is not None
        try:
            exi.decode(stream, schema_set_of(message))
            outcomes["read"] += 1
        except exi.EXIDecodeError as error:
            outcomes[error.reason.split()[0] + error.reason.split()[-1][:3]] += 1
    assert outcomes["read"] < 400
    assert len(outcomes) > 20


def test_a_hit_in_the_string_table_reads_as_the_value_it_stands_for() -> None:
    """A legal stream that few stacks write: the second of two equal texts as an index."""
    step = walk("ac").exchanges[0]
    parts = exi_events.pieces(step.request)
    places = [i for i, piece in enumerate(parts) if piece.text]
    texts = [parts[i].text for i in places]
    assert texts[0] is not None
    same = next(m for m in messages() if type(m).__name__ == "ServiceDetailRes")
    whole = exi_events.pieces(same)
    met: list[str] = []
    for at, piece in enumerate(whole):
        if piece.text and piece.text in met:
            hit = [exi_events._number(exi_events.Part.OTHER, 1)]
            width = exi_events.code_width(len(met))
            hit.append(exi_events.Piece(exi_events.Part.OTHER, met.index(piece.text), width))
            stream = exi_events.packed([*whole[:at], *hit, *whole[at + 1 + len(piece.text) :]])
            assert exi.decode(stream, "iso20_common") == same
            return
        if piece.text:
            met.append(piece.text)
    raise AssertionError("no text comes twice")


def test_oversize_frames_are_beyond_any_message() -> None:
    rng = Random(2)
    request = walk("dc").exchanges[1].request
    frames = [frame for _ in range(40) if (frame := mutate.oversize(rng, request, 0x8002)) is not None]
    assert max(map(len, frames)) > 60_000
    assert any(int.from_bytes(frame[4:8], "big") > v2gtp.DEFAULT_MAX_PAYLOAD for frame in frames)


@pytest.mark.parametrize("tests", Role)
def test_every_kind_comes_up(tests: Role) -> None:
    kinds = {kind for number in range(250) for kind in case(tests, 3, number).kinds}
    assert kinds == set(Kind) - {Kind.SEED}


def test_seeds_are_vectors_and_recorded_sessions() -> None:
    seeds = load([DATA / "vectors" / "sap_dev.jsonl", DATA / "sessions"])
    assert seeds == load([DATA / "sessions", DATA / "vectors" / "sap_dev.jsonl"]), "whatever the order"
    assert len(seeds.payloads) > 300
    subject = Messages(Role.SECC, seeds)
    assert subject.name.startswith(f"SECC with {len(seeds.payloads)} seeds ")
    drawn = [subject.case(1, number) for number in range(80)]
    assert drawn == [subject.case(1, number) for number in range(80)]
    assert Kind.SEED in {kind for item in drawn for kind in item.kinds}
    assert [p for item in drawn for p in subject.run(item)] == []


def test_a_file_without_payload_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "trace.jsonl"
    empty.write_text('{"exi": "zz"}\n')
    with pytest.raises(SeedError, match=r"trace\.jsonl: no payload in it"):
        load([empty])
    assert not Seeds()
