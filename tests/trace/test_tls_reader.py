"""Decryption of captured TLS, against OpenSSL as the other side."""

from __future__ import annotations

import pytest
from OpenSSL import SSL

from hlc_sim.trace.keylog import KeyLog
from hlc_sim.trace.tls_reader import TLSReader

from .tls_pair import Conversation

TLS13 = [
    ("TLS_AES_256_GCM_SHA384", SSL.TLS1_3_VERSION, True),
    ("TLS_CHACHA20_POLY1305_SHA256", SSL.TLS1_3_VERSION, True),
    ("TLS_AES_128_GCM_SHA256", SSL.TLS1_3_VERSION, True),
    ("TLS_AES_128_CCM_SHA256", SSL.TLS1_3_VERSION, True),
]
TLS12 = [
    ("ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0", SSL.TLS1_2_VERSION, True),
    ("ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0", SSL.TLS1_2_VERSION, False),
    ("ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0", SSL.TLS1_2_VERSION, True),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", SSL.TLS1_2_VERSION, True),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", SSL.TLS1_2_VERSION, True),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", SSL.TLS1_2_VERSION, True),
]
SAID = [(True, b"\x01\xfe\x80\x01hello"), (False, b"answer" * 900), (True, b"x"), (False, b"y" * 30000)]


@pytest.mark.parametrize(("suite", "version", "etm"), TLS13 + TLS12)
def test_application_data_and_certificates_are_read(suite: str, version: int, etm: bool) -> None:
    talk = Conversation(version=version, suite=suite, etm=etm)
    for from_client, data in SAID:
        talk.say(from_client, data)
    reader = TLSReader(KeyLog(talk.keylog))
    heard = {True: b"", False: b""}
    for from_client, data in talk.wire:
        for start in range(0, len(data), 97):  # segments of any size
            heard[from_client] += reader.feed(from_client, data[start : start + 97])
    assert not reader.facts.problem
    for side in (True, False):
        assert heard[side] == b"".join(data for from_client, data in SAID if from_client is side)
    assert reader.facts.server_certificates == [talk.server_der]
    assert reader.facts.client_certificates == [talk.client_der]
    assert reader.facts.version == ("TLSv1.3" if version == SSL.TLS1_3_VERSION else "TLSv1.2")


def test_without_secrets_the_reader_says_so() -> None:
    talk = Conversation(version=SSL.TLS1_3_VERSION, suite="TLS_AES_256_GCM_SHA384")
    talk.say(True, b"hello")
    for keylog, text in (
        (KeyLog(), "the key log is missing"),
        (KeyLog(["CLIENT_RANDOM " + "0" * 64 + " 00"]), "no secret of this"),
    ):
        reader = TLSReader(keylog)
        assert b"".join(reader.feed(side, data) for side, data in talk.wire) == b""
        assert text in reader.facts.problem
        assert reader.facts.version == "TLSv1.3"


def test_wrong_secrets_are_not_taken_for_right() -> None:
    talk = Conversation(version=SSL.TLS1_3_VERSION, suite="TLS_AES_256_GCM_SHA384")
    talk.say(True, b"hello")
    wrong = [line[:-2] + ("00" if line[-2:] != "00" else "11") for line in talk.keylog]
    reader = TLSReader(KeyLog(wrong))
    assert b"".join(reader.feed(side, data) for side, data in talk.wire) == b""
    assert "does not open" in reader.facts.problem


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\xff\xff", b"GET / HTTP/1.1\r\n", b"\x16\x03\x03\x00\x04\x02\x00\x00\x00"]
)
def test_what_is_no_tls_does_no_harm(data: bytes) -> None:
    reader = TLSReader(KeyLog())
    assert reader.feed(True, data) == b""
