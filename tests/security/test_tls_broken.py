"""Every broken variant over a real handshake: refused with an alert as listed, or accepted as listed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import trio
import trio.testing

from hlc_sim.transport.tls import TLSConfig, TLSCredential, TLSError, TLSStream, secure
from hlc_sim.transport.tls_openssl import OpenSSLEngine, Plan
from iso15118.security import chain
from iso15118.security.tls_profile import LENIENT, TLSVersion
from pki.broken import Broken, Variant, break_chain, variants
from pki.profiles import Edition, Family

from .conftest import evcc_config, mint, secc_config

# The presenting side takes anything and offers anything, so that only the certificate decides.
REFUSED_BY_SENDER = {40, 116}  # no common signature scheme: an OpenSSL peer does not even present such a leaf
PRESENTER = replace(LENIENT, versions=(TLSVersion.TLS_1_3,))


def cases() -> list[object]:
    found = []
    for variant in variants().values():
        if variant.role not in ("secc", "vehicle") or variant.name.endswith("-crl"):
            continue
        # Ed448 differs from P-521 in the algorithms only; the checker is tested with both on every variant.
        both = variant.needs_staples or variant.verdict != "reject"
        for family in variant.families if both else variant.families[:1]:
            found.append(pytest.param(variant, variant.editions[0], family, id=f"{variant.name}-{family}"))
    return found


async def meet(server: TLSConfig, client: TLSConfig) -> dict[str, TLSStream | TLSError]:
    """A handshake in memory and one octet each way; what each side ended with."""
    near, far = trio.testing.memory_stream_pair()
    result: dict[str, TLSStream | TLSError] = {}

    async def side(name: str, stream: trio.abc.Stream, config: TLSConfig) -> None:
        try:
            secured = await secure(stream, config, server_side=name == "secc")
            result[name] = secured
            if name == "secc":
                await secured.receive_some()
            else:
                await secured.send_all(b"?")
                await secured.receive_some()  # a client hears of its refusal with the first read only
            await secured.aclose()
        except TLSError as error:
            result[name] = error
            await stream.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(side, "secc", far, server)
        nursery.start_soon(side, "evcc", near, client)
    return result


def unsendable(broken: Broken) -> str:
    """Why OpenSSL cannot present this chain; empty if it can."""
    try:
        OpenSSLEngine(Plan(PRESENTER, broken.chain, broken.key), server_side=False)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.filterwarnings("ignore:Parsed a serial number", "ignore::UserWarning")
@pytest.mark.parametrize(("variant", "edition", "family"), cases())
async def test_handshake_is_as_listed(variant: Variant, edition: Edition, family: Family) -> None:
    hierarchy = mint(edition, family)
    now = datetime.now(UTC)
    broken = break_chain(hierarchy, variant.name, now)
    if variant.needs_staples and any(broken.staples[1:]) and variant.rule is None:
        pytest.skip("OpenSSL staples the leaf only, so there is no complete set to accept")
    if reason := unsendable(broken):
        assert variant.rule in ("key-encoding", "malformed"), reason
        pytest.skip(f"{reason}; the chain checker is tested with it directly")
    staple = broken.staples[0] if broken.staples else None
    credential = TLSCredential(tuple(broken.chain), broken.key, staple)
    presenter = TLSConfig((credential,), (), PRESENTER, check_peer=False)
    roots = tuple(hierarchy[name].certificate for name in variant.trusted)
    strict = {"roots": roots, "now": now.timestamp}
    if variant.role == "secc":
        needed = chain.Staples.LEAF if variant.needs_staples else chain.Staples.IF_PRESENT
        judge = evcc_config(hierarchy, require_staples=needed, **strict)
        result = await meet(presenter, judge)
        verifier, sender = result["evcc"], result["secc"]
    else:
        judge = secc_config(hierarchy, **strict)
        result = await meet(judge, presenter)
        verifier, sender = result["secc"], result["evcc"]
    if variant.verdict != "reject":
        assert isinstance(verifier, TLSStream), verifier
        assert verifier.facts.verdict is not None
        assert verifier.facts.verdict.ok
        return
    assert isinstance(verifier, TLSError), "accepted by mistake"
    if verifier.by_peer or verifier.alert in REFUSED_BY_SENDER:
        assert verifier.alert in REFUSED_BY_SENDER
        assert variant.rule in ("key-family", "key-encoding", "malformed")
        return
    assert verifier.alert in variant.alerts, str(verifier)
    assert isinstance(sender, TLSError)
    assert sender.by_peer
    assert sender.alert == verifier.alert
