"""Handshakes on loopback with the `openssl` command, another OpenSSL than the one inside cryptography."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from hlc_sim.transport.tls import TLSConfig, TLSError, TLSStream, secure
from pki.hierarchy import Hierarchy
from pki.profiles import Edition, Family
from pki.revocation import staple

from .conftest import evcc_config, mint, secc_config

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="the openssl command is not installed"
)

PROFILE = ["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"]
PROFILE += ["-groups", "P-521:X448", "-sigalgs", "ecdsa_secp521r1_sha512:ed448"]


@pytest.fixture(params=[Family.P521, Family.ED448])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Hierarchy, Path]:
    hierarchy = mint(Edition.ISO_20, request.param)
    hierarchy.write(tmp_path)
    (tmp_path / "staple.der").write_bytes(staple(hierarchy, "secc"))
    return hierarchy, tmp_path


def presenting(directory: Path, name: str) -> list[str]:
    """The options by which `openssl` presents a chain: leaf, and the certificates above it."""
    above = directory / f"{name}_above.pem"
    certificates = (directory / f"chains/{name}.pem").read_text().partition("-----END CERTIFICATE-----\n")
    above.write_text(certificates[2])
    leaf, key = directory / f"certs/{name}.pem", directory / f"keys/{name}.key"
    return ["-cert", str(leaf), "-cert_chain", str(above), "-key", str(key)]


def vehicle(directory: Path) -> list[str]:
    return presenting(directory, "vehicle")


class Outcome:
    """What our side and the command ended with."""

    stream: TLSStream | None = None
    error: TLSError | None = None
    text: str = ""


async def s_client(config: TLSConfig, directory: Path, arguments: list[str]) -> Outcome:
    """`openssl s_client` against our SECC, which answers one line."""
    outcome = Outcome()
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]

    async def serve() -> None:
        tcp = await listener.accept()
        try:
            outcome.stream = await secure(tcp, config, server_side=True)
            await outcome.stream.send_all(b"charger here\n")
            await outcome.stream.aclose()
        except TLSError as error:
            outcome.error = error

    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile"]
    command += [str(directory / "certs/v2g_root.pem"), "-ign_eof", "-status", *arguments]
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, listener:
            nursery.start_soon(serve)
            run = partial(trio.run_process, capture_stdout=True, capture_stderr=True, check=False)
            done = await run(command, stdin=b"")
    outcome.text = (done.stdout + done.stderr).decode(errors="replace")
    return outcome


async def test_s_client_with_the_profile_is_served(files: tuple[Hierarchy, Path]) -> None:
    hierarchy, directory = files
    outcome = await s_client(secc_config(hierarchy), directory, [*PROFILE, *vehicle(directory)])
    assert outcome.stream is not None, (outcome.error, outcome.text)
    assert outcome.stream.facts.peer_leaf == hierarchy["vehicle"].der
    for words in ("Verify return code: 0 (ok)", "charger here", "OCSP Response Status: successful"):
        assert words in outcome.text
    assert "Server Temp Key: ECDH, secp521r1" in outcome.text
    for root in ("HLC V2G Root", "HLC OEM Root"):
        assert re.search(f"Acceptable client certificate CA names.*{root}", outcome.text, re.DOTALL)


async def test_s_client_cannot_resume(files: tuple[Hierarchy, Path]) -> None:
    hierarchy, directory = files
    session, config = directory / "session.pem", secc_config(hierarchy)
    kept = [*PROFILE, *vehicle(directory), "-sess_out", str(session)]
    assert (await s_client(config, directory, kept)).stream is not None
    again = [*PROFILE, *vehicle(directory), "-sess_in", str(session)]
    outcome = await s_client(config, directory, again)
    assert outcome.stream is not None
    assert "New, TLSv1.3" in outcome.text
    assert outcome.stream.facts.peer_leaf == hierarchy["vehicle"].der


@pytest.mark.parametrize(
    ("arguments", "alert"),
    [
        (["-tls1_2"], 70),
        (["-tls1_3", "-groups", "X25519"], 40),
        (["-tls1_3", "-groups", "P-256"], 40),
        (["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"], 40),
        (["-tls1_3", "-sigalgs", "ecdsa_secp256r1_sha256"], 40),
    ],
    ids=["tls-1.2", "x25519-alone", "p256-alone", "aes-128", "sha256-signatures"],
)
async def test_s_client_outside_the_profile_is_refused(
    files: tuple[Hierarchy, Path], arguments: list[str], alert: int
) -> None:
    hierarchy, directory = files
    outcome = await s_client(secc_config(hierarchy), directory, [*arguments, *vehicle(directory)])
    assert outcome.error is not None
    assert (outcome.error.alert, outcome.error.by_peer) == (alert, False)
    assert f"SSL alert number {alert}" in outcome.text


async def test_s_client_without_certificate_is_refused(files: tuple[Hierarchy, Path]) -> None:
    hierarchy, directory = files
    outcome = await s_client(secc_config(hierarchy), directory, PROFILE)
    assert outcome.error is not None
    assert outcome.error.alert == 116
    assert "SSL alert number 116" in outcome.text


async def test_s_client_default_hello_gets_a_retry(files: tuple[Hierarchy, Path]) -> None:
    """The default hello shares X25519 first and lists secp521r1: HelloRetryRequest, then a session."""
    hierarchy, directory = files
    outcome = await s_client(secc_config(hierarchy), directory, vehicle(directory))
    assert outcome.stream is not None, (outcome.error, outcome.text)
    assert outcome.stream.facts.group == "secp521r1"


@asynccontextmanager
async def s_server(directory: Path, arguments: list[str]) -> AsyncIterator[int]:
    """`openssl s_server` on a free port of loopback; yields the port."""
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-rev"]
    command += [*presenting(directory, "secc"), *arguments]
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        process: trio.Process = await nursery.start(partial(start, stdin=subprocess.DEVNULL), command)
        assert process.stdout is not None
        text = b""
        with trio.fail_after(10):
            while not (found := re.search(rb"ACCEPT \S+:(\d+)\s", text)):
                data = await process.stdout.receive_some()
                assert data, text
                text += data
        yield int(found[1])
        process.terminate()


def asking(directory: Path) -> list[str]:
    return ["-Verify", "3", "-verify_return_error", "-CAfile", str(directory / "certs/oem_root.pem")]


async def test_s_server_with_the_profile_is_accepted(files: tuple[Hierarchy, Path]) -> None:
    hierarchy, directory = files
    stapled = ["-status_file", str(directory / "staple.der")]
    async with s_server(directory, [*PROFILE, *asking(directory), *stapled]) as port:
        tcp = await trio.open_tcp_stream("127.0.0.1", port)
        stream = await secure(tcp, evcc_config(hierarchy), server_side=False)
        await stream.send_all(b"abc\n")
        with trio.fail_after(10):
            assert await stream.receive_some() == b"cba\n"
        assert stream.facts.peer_leaf == hierarchy["secc"].der
        assert stream.facts.peer_staples[0] == (directory / "staple.der").read_bytes()
        await stream.aclose()


@pytest.mark.parametrize(
    "arguments",
    [["-tls1_2"], ["-tls1_3", "-groups", "X25519"], ["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"]],
    ids=["tls-1.2", "x25519-alone", "aes-128"],
)
async def test_s_server_outside_the_profile_is_refused(
    files: tuple[Hierarchy, Path], arguments: list[str]
) -> None:
    hierarchy, directory = files
    async with s_server(directory, [*arguments, *asking(directory)]) as port:
        tcp = await trio.open_tcp_stream("127.0.0.1", port)
        with pytest.raises(TLSError) as caught:
            await secure(tcp, evcc_config(hierarchy), server_side=False)
        assert caught.value.alert in (40, 70)


async def test_s_server_of_a_foreign_root_is_refused(files: tuple[Hierarchy, Path]) -> None:
    hierarchy, directory = files
    config = evcc_config(hierarchy, roots=(hierarchy["v2g_root_b"].certificate,))
    async with s_server(directory, [*PROFILE, *asking(directory)]) as port:
        tcp = await trio.open_tcp_stream("127.0.0.1", port)
        with pytest.raises(TLSError, match="unknown-issuer") as caught:
            await secure(tcp, config, server_side=False)
        assert (caught.value.alert, caught.value.by_peer) == (48, False)
