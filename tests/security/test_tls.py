"""The TLS stream and its configuration: what is offered, chosen, reported and refused, in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from hlc_sim.transport import tls_openssl
from hlc_sim.transport.tls import TLSConfig, TLSCredential, TLSError, TLSStream, secure
from iso15118.security import chain
from iso15118.security.handshake_messages import client_hello_message, parse_client_hello
from iso15118.security.tls_profile import (
    ISO_2,
    ISO_20,
    LENIENT,
    CipherSuite,
    Group,
    SignatureScheme,
    TLSVersion,
)
from pki.profiles import Edition, Family

from .conftest import credential, evcc_config, mint, secc_config


async def pair(server: TLSConfig, client: TLSConfig) -> tuple[TLSStream, TLSStream]:
    near, far = trio.testing.memory_stream_pair()
    made: dict[str, TLSStream] = {}

    async def serve() -> None:
        made["secc"] = await secure(far, server, server_side=True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        made["evcc"] = await secure(near, client, server_side=False)
    return made["secc"], made["evcc"]


async def refused(server: TLSConfig, client: TLSConfig) -> dict[str, TLSError]:
    """Both sides' errors of a handshake that must fail."""
    near, far = trio.testing.memory_stream_pair()
    errors: dict[str, TLSError] = {}

    async def side(name: str, stream: trio.abc.Stream, config: TLSConfig) -> None:
        try:
            secured = await secure(stream, config, server_side=name == "secc")
            await secured.receive_some()
        except TLSError as error:
            errors[name] = error
        else:
            raise AssertionError("the handshake was accepted")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(side, "secc", far, server)
        nursery.start_soon(side, "evcc", near, client)
    return errors


def test_client_hello_is_exactly_the_profile() -> None:
    engine = tls_openssl.OpenSSLEngine(tls_openssl.Plan(ISO_20), server_side=False)
    engine.step()
    message = client_hello_message(engine.drain())
    assert message is not None
    hello = parse_client_hello(message)
    assert hello.suites == (0x1302, 0x1303)
    assert hello.groups == (0x0019, 0x001E)
    assert hello.key_shares == (0x0019,)
    assert hello.schemes == (0x0603, 0x0808)
    assert hello.versions == (0x0304,)
    assert hello.status_request
    assert not hello.server_name
    assert 42 not in hello.extensions  # no early data


@pytest.mark.parametrize("family", [Family.P521, Family.ED448])
@pytest.mark.parametrize("edition", [Edition.ISO_20, Edition.AMD1])
async def test_good_chains_shake_hands(family: Family, edition: Edition) -> None:
    hierarchy = mint(edition, family)
    secc, evcc = await pair(secc_config(hierarchy), evcc_config(hierarchy))
    for stream, peer in ((secc, "vehicle"), (evcc, "secc")):
        assert stream.facts.version is TLSVersion.TLS_1_3
        assert stream.facts.suite == "TLS_AES_256_GCM_SHA384"
        assert stream.facts.group == "secp521r1"
        assert stream.facts.peer_leaf == hierarchy[peer].der
        assert list(stream.facts.peer_chain) == hierarchy[peer].chain_der
        assert stream.facts.verdict is not None
        assert stream.facts.verdict.ok
    roots = {hierarchy[name].certificate.subject.public_bytes() for name in ("v2g_root", "oem_root")}
    assert set(evcc.facts.authorities or ()) == roots
    assert evcc.facts.peer_staples[0] is not None
    assert evcc.facts.peer_staples[1:] == (None, None)  # the library staples the leaf only
    assert secc.facts.openssl_error is None


async def test_x448_is_taken_when_it_is_the_only_common_group() -> None:
    hierarchy = mint()
    only = replace(ISO_20, groups=(Group.X448,))
    secc, _ = await pair(secc_config(hierarchy), evcc_config(hierarchy, profile=only))
    assert secc.facts.group == "x448"


async def test_key_share_of_another_group_leads_to_a_second_hello() -> None:
    hierarchy = mint()
    eager = replace(ISO_20, groups=(Group.X25519, Group.SECP256R1, Group.SECP521R1))
    secc, _ = await pair(secc_config(hierarchy), evcc_config(hierarchy, profile=eager))
    assert secc.facts.client_hello is not None
    assert secc.facts.client_hello.key_shares[0] == Group.X25519
    assert secc.facts.group == "secp521r1"


@pytest.mark.parametrize(
    "offer",
    [
        replace(ISO_20, groups=(Group.X25519, Group.SECP256R1)),
        replace(ISO_20, suites=(CipherSuite.TLS_AES_128_GCM_SHA256,)),
        replace(ISO_20, schemes=(SignatureScheme.ECDSA_SECP256R1_SHA256,)),
    ],
    ids=["groups", "suites", "schemes"],
)
async def test_offer_outside_the_profile_is_refused(offer: object) -> None:
    hierarchy = mint()
    errors = await refused(secc_config(hierarchy), evcc_config(hierarchy, profile=offer))
    assert (errors["secc"].alert, errors["secc"].by_peer) == (40, False)
    assert (errors["evcc"].alert, errors["evcc"].by_peer) == (40, True)


async def test_tls_1_2_is_refused_by_a_20_only_side() -> None:
    hierarchy = mint()
    older = replace(LENIENT, versions=(TLSVersion.TLS_1_2,))
    errors = await refused(secc_config(hierarchy), evcc_config(hierarchy, profile=older))
    assert errors["secc"].alert == 70
    errors = await refused(secc_config(hierarchy, profile=older), evcc_config(hierarchy))
    assert errors["secc"].alert == 70


async def test_missing_client_certificate_is_refused() -> None:
    hierarchy = mint()
    errors = await refused(secc_config(hierarchy), evcc_config(hierarchy, credentials=()))
    assert (errors["secc"].alert, errors["secc"].by_peer) == (116, False)
    assert (errors["evcc"].alert, errors["evcc"].by_peer) == (116, True)


async def test_refusal_names_rule_and_certificate() -> None:
    hierarchy = mint()
    late = max(hierarchy["vehicle"].certificate.not_valid_after_utc.timestamp(), 0) + 1
    errors = await refused(secc_config(hierarchy, now=lambda: late), evcc_config(hierarchy))
    assert errors["secc"].alert == 45
    assert "leaf: expired" in str(errors["secc"])
    assert "alert 45 certificate_expired" in str(errors["evcc"])


async def test_unchecked_peer_is_accepted_and_reported() -> None:
    hierarchy = mint()
    secc, _ = await pair(secc_config(hierarchy, roots=(), check_peer=False), evcc_config(hierarchy))
    assert secc.facts.verdict is not None
    assert secc.facts.verdict.alert == 48


async def test_missing_staples_are_remarked() -> None:
    hierarchy = mint()
    _, evcc = await pair(secc_config(hierarchy), evcc_config(hierarchy))
    assert evcc.facts.verdict is not None
    assert [(fault.rule, fault.index) for fault in evcc.facts.verdict.remarks] == [
        (chain.Rule.STAPLE_MISSING, 1),
        (chain.Rule.STAPLE_MISSING, 2),
    ]


async def test_a_checker_that_fails_accepts_nobody() -> None:
    hierarchy = mint()

    def broken_clock() -> float:
        raise ZeroDivisionError("no time")

    near, far = trio.testing.memory_stream_pair()

    async def serve() -> None:
        with pytest.raises(ZeroDivisionError):
            await secure(far, secc_config(hierarchy, now=broken_clock), server_side=True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        secured = await secure(near, evcc_config(hierarchy), server_side=False)
        with pytest.raises(TLSError) as caught:
            await secured.receive_some()
        assert caught.value.alert == 80


async def test_staples_below_the_leaf_can_be_demanded() -> None:
    hierarchy = mint()
    demanding = evcc_config(hierarchy, require_staples=chain.Staples.ALL)
    errors = await refused(secc_config(hierarchy), demanding)
    assert errors["evcc"].alert == 113
    assert "certificate 2: staple-missing" in str(errors["evcc"])


async def test_one_port_serves_20_on_tls_1_3_and_2_on_tls_1_2() -> None:
    hierarchy, older = mint(), mint(Edition.ISO_2)
    server = secc_config(
        hierarchy,
        credentials=(credential(hierarchy, "secc"), credential(older, "secc")),
        fallback=ISO_2,
    )
    secc, _ = await pair(server, evcc_config(hierarchy))
    assert secc.facts.version is TLSVersion.TLS_1_3
    secc, evcc = await pair(server, evcc_config(older, credentials=(), profile=ISO_2))
    assert secc.facts.version is evcc.facts.version is TLSVersion.TLS_1_2
    assert secc.facts.peer_chain == ()
    assert evcc.facts.peer_leaf == older["secc"].der
    assert evcc.facts.suite == "ECDHE-ECDSA-AES128-SHA256"
    # RFC 8446 section 4.1.3: a server that could have done 1.3 marks its random.
    assert evcc._engine._connection.server_random()[-8:] == b"DOWNGRD\x01"


async def test_tls_1_2_staple_is_judged() -> None:
    older = mint(Edition.ISO_2)
    server = secc_config(older, profile=ISO_2, roots=())
    client = evcc_config(older, credentials=(), profile=ISO_2, require_staples=chain.Staples.LEAF)
    _, evcc = await pair(server, client)
    assert evcc.facts.peer_staples[0] is not None
    errors = await refused(replace(server, credentials=(credential(older, "secc"),)), client)
    assert errors["evcc"].alert == 113


async def test_lenient_profile_meets_a_p256_peer() -> None:
    hierarchy = mint(Edition.LENIENT)
    only_p256 = replace(LENIENT, groups=(Group.SECP256R1,))
    server = secc_config(hierarchy, profile=LENIENT)
    secc, _ = await pair(server, evcc_config(hierarchy, profile=only_p256))
    assert secc.facts.group in ("P-256", "prime256v1", "secp256r1")


async def test_chain_follows_the_roots_the_hello_names() -> None:
    from hlc_sim.transport.tls import choose_credential

    hierarchy = mint()
    a, b = credential(hierarchy, "secc"), credential(hierarchy, "secc_b")
    engine = tls_openssl.OpenSSLEngine(tls_openssl.Plan(ISO_20), server_side=False)
    engine.step()
    plain = parse_client_hello(client_hello_message(engine.drain()) or b"")
    named = replace(plain, authorities=(hierarchy["v2g_root_b"].certificate.subject.public_bytes(),))
    assert choose_credential((a, b), ISO_20, plain) is a
    assert choose_credential((a, b), ISO_20, named) is b


async def test_both_directions_at_once_and_a_clean_end() -> None:
    hierarchy = mint()
    secc, evcc = await pair(secc_config(hierarchy), evcc_config(hierarchy))
    amount = 1 << 20

    async def read_all(stream: TLSStream) -> None:
        received = 0
        while received < amount:
            data = await stream.receive_some()
            assert data
            received += len(data)
        assert received == amount

    async with trio.open_nursery() as nursery:
        for stream in (secc, evcc):
            nursery.start_soon(stream.send_all, bytes(amount))
            nursery.start_soon(read_all, stream)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(evcc.aclose)
        assert await secc.receive_some() == b""
    assert not secc.facts.truncated
    await secc.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await secc.send_all(b"late")


async def test_end_without_close_notify_is_told_apart() -> None:
    hierarchy = mint()
    secc, evcc = await pair(secc_config(hierarchy), evcc_config(hierarchy))
    await evcc.transport_stream.aclose()
    assert await secc.receive_some() == b""
    assert secc.facts.truncated


async def test_a_cancelled_receive_loses_nothing() -> None:
    hierarchy = mint()
    secc, evcc = await pair(secc_config(hierarchy), evcc_config(hierarchy))
    with trio.move_on_after(0):
        await secc.receive_some()
    await evcc.send_all(b"still here")
    assert await secc.receive_some() == b"still here"


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (bytes.fromhex("01fe800100000000"), "V2GTP"),
        (b"GET / HTTP/1.1\r\n", "0x47"),
        (b"", "closed before"),
        (bytes.fromhex("1603"), "closed before"),
    ],
)
async def test_what_is_no_tls_is_refused_at_once(sent: bytes, words: str) -> None:
    near, far = trio.testing.memory_stream_pair()
    if sent:
        await near.send_all(sent)
    await near.send_eof()
    with pytest.raises(TLSError, match=words):
        await secure(far, secc_config(mint()), server_side=True)


async def test_a_peer_that_just_closes_is_not_said_to_be_refused() -> None:
    near, far = trio.testing.memory_stream_pair()
    await far.send_eof()
    with pytest.raises(TLSError, match=r"^the peer closed the connection without an alert$") as caught:
        await secure(near, evcc_config(mint()), server_side=False)
    assert caught.value.alert is None


async def test_hello_in_single_octets_is_accepted() -> None:
    hierarchy = mint()
    near, far = trio.testing.memory_stream_pair()

    class Dribble(trio.abc.Stream):
        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            for octet in bytes(data):
                await near.send_all(bytes([octet]))

        async def wait_send_all_might_not_block(self) -> None:
            await near.wait_send_all_might_not_block()

        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            return await near.receive_some(1)

        async def aclose(self) -> None:
            await near.aclose()

    async def serve() -> None:
        secured = await secure(far, secc_config(hierarchy), server_side=True)
        assert secured.facts.client_hello is not None

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        evcc = await secure(Dribble(), evcc_config(hierarchy), server_side=False)
    assert evcc.facts.group == "secp521r1"


async def test_key_log_has_the_five_secrets_of_tls_1_3(tmp_path: Path) -> None:
    hierarchy, path = mint(), tmp_path / "keys.log"
    await pair(secc_config(hierarchy), evcc_config(hierarchy, keylog=path))
    labels = {line.split()[0] for line in path.read_text().splitlines()}
    assert labels == {
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "EXPORTER_SECRET",
        "SERVER_TRAFFIC_SECRET_0",
        "CLIENT_TRAFFIC_SECRET_0",
    }
    assert path.stat().st_mode & 0o077 == 0


def test_configuration_from_files(tmp_path: Path) -> None:
    hierarchy = mint()
    hierarchy.write(tmp_path)
    config = TLSConfig.load(
        tmp_path / "chains/secc.pem",
        tmp_path / "keys/secc.key",
        roots=[tmp_path / "certs/v2g_root.pem", tmp_path / "certs/oem_root.pem"],
    )
    assert list(config.credentials[0].chain) == hierarchy["secc"].chain_der
    assert len(config.roots) == 2
    assert "private" not in repr(config).lower()
    with pytest.raises(ValueError, match="is not the key"):
        TLSCredential.load(tmp_path / "chains/secc.pem", tmp_path / "keys/vehicle.key")
    with pytest.raises(ValueError, match=r"secc\.key"):
        TLSCredential.load(tmp_path / "keys/secc.key", tmp_path / "keys/secc.key")


def test_self_test_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    tls_openssl.self_test.cache_clear()
    tls_openssl.self_test()

    class Crippled:
        def __getattr__(self, name: str) -> object:
            if name == "SSL_CTX_set1_sigalgs_list":
                raise AttributeError(name)
            return getattr(real, name)

    real = tls_openssl._lib
    monkeypatch.setattr(tls_openssl, "_lib", Crippled())
    tls_openssl.self_test.cache_clear()
    with pytest.raises(RuntimeError, match=r"pyOpenSSL .* cryptography .*sigalgs"):
        tls_openssl.self_test()
    monkeypatch.undo()
    tls_openssl.self_test.cache_clear()
