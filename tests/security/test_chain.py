"""The chain checker where the broken variants do not reach: settings, order of faults, response codes."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from iso15118.security.chain import (
    Edition,
    Policy,
    Role,
    Rule,
    Staples,
    Strictness,
    Verdict,
    check_chain,
    contract_response_code,
)
from pki.broken import break_chain
from pki.hierarchy import Hierarchy
from pki.profiles import Edition as Minted
from pki.profiles import Family
from pki.revocation import crl, staples

from .conftest import mint

NOW = time.time()


def check(hierarchy: Hierarchy, name: str, role: Role, **more: object) -> Verdict:
    arguments: dict[str, object] = {
        "roots": [hierarchy[name].root.certificate],
        "now": NOW,
        "policy": Policy(Edition(hierarchy.edition)),
    }
    return check_chain(hierarchy[name].chain_der, role, **(arguments | more))  # type: ignore[arg-type]


@pytest.mark.parametrize("family", [Family.P521, Family.ED448])
@pytest.mark.parametrize("edition", [Minted.ISO_20, Minted.AMD1])
def test_every_good_chain_passes_with_every_staple(edition: Minted, family: Family) -> None:
    hierarchy = mint(edition, family)
    now = datetime.now(UTC)
    for leaf in hierarchy.leaves():
        verdict = check(
            hierarchy,
            leaf.name,
            Role(leaf.role),
            now=now.timestamp(),
            staples=staples(hierarchy, leaf.name, now),
            require_staples=Staples.ALL,
        )
        assert verdict.faults == (), leaf.name
        assert verdict.anchor == leaf.root.certificate
        assert verdict.alert is None


@pytest.mark.parametrize("edition", [Minted.ISO_2, Minted.LENIENT])
def test_good_p256_chains_pass(edition: Minted) -> None:
    hierarchy = mint(edition)
    for leaf in hierarchy.leaves():
        assert check(hierarchy, leaf.name, Role(leaf.role)).faults == (), leaf.name


def test_p256_chain_is_refused_by_20_and_taken_by_lenient() -> None:
    hierarchy = mint(Minted.LENIENT)
    strict = check(hierarchy, "vehicle", Role.VEHICLE, policy=Policy())
    assert strict.alert == 43
    assert strict.errors[0].rule is Rule.KEY_FAMILY
    provisioning = check(hierarchy, "oem_provisioning", Role.VEHICLE)
    assert provisioning.ok, provisioning.faults  # some EVs present it in TLS


def test_ed448_has_a_switch() -> None:
    hierarchy = mint(Minted.ISO_20, Family.ED448)
    verdict = check(hierarchy, "secc", Role.SECC, policy=Policy(ed448=False))
    assert {fault.rule for fault in verdict.errors} == {Rule.KEY_FAMILY}


def test_empty_chain() -> None:
    verdict = check_chain([], Role.VEHICLE, roots=[], now=NOW)
    assert not verdict.ok
    assert verdict.alert == 116


def test_contradictory_points_are_settings() -> None:
    amended = mint(Minted.AMD1)
    assert check(amended, "vehicle", Role.VEHICLE).ok
    required = Policy(Edition.AMD1, crl_sign=Strictness.REQUIRE)
    assert check(amended, "vehicle", Role.VEHICLE, policy=required).errors[0].rule is Rule.CA_KEY_USAGE
    first = mint()
    refused = Policy(crl_sign=Strictness.REFUSE)
    assert check(first, "vehicle", Role.VEHICLE, policy=refused).errors[0].rule is Rule.CA_KEY_USAGE
    critical = Policy(critical_identifiers=Strictness.REQUIRE)
    assert check(first, "secc", Role.SECC, policy=critical).errors[0].rule is Rule.CRITICALITY
    named = break_chain(first, "vehicle-extra-names").chain
    strict = Policy(extra_names=Strictness.REFUSE)
    verdict = check_chain(named, Role.VEHICLE, roots=[first["oem_root"].certificate], now=NOW, policy=strict)
    assert verdict.errors[0].rule is Rule.SUBJECT
    assert "[V2G20-2598]" in str(verdict.errors[0])


def test_all_faults_or_the_first() -> None:
    hierarchy = mint()
    late = hierarchy["cps"].certificate.not_valid_after_utc.timestamp() + 1
    everything = check(hierarchy, "cps", Role.SECC, now=late)
    rules = {fault.rule for fault in everything.errors}
    assert rules >= {
        Rule.EXPIRED,
        Rule.KEY_USAGE,
        Rule.EXTENDED_KEY_USAGE,
        Rule.COMMON_NAME,
        Rule.DOMAIN_COMPONENT,
    }
    first = check(hierarchy, "cps", Role.SECC, now=late, first_fault=True)
    assert len(first.errors) == 1
    assert first.alert == everything.alert


def test_revocation_lists_are_checked_themselves() -> None:
    hierarchy = mint()
    good = crl(hierarchy, "oem_sub2", datetime.fromtimestamp(NOW, UTC))
    lists = [x509.load_der_x509_crl(good)]
    assert check(hierarchy, "vehicle", Role.VEHICLE, crls=lists).ok
    late = check(hierarchy, "vehicle", Role.VEHICLE, crls=lists, now=NOW + 8 * 86400)
    assert [fault.rule for fault in late.errors] == [Rule.REVOCATION_LIST]
    twin = Hierarchy.mint(seed="twin")
    forged = [x509.load_der_x509_crl(crl(twin, "oem_sub2"))]
    assert check(hierarchy, "vehicle", Role.VEHICLE, crls=forged).errors[0].rule is Rule.REVOCATION_LIST


def test_contract_codes() -> None:
    hierarchy = mint()
    end = hierarchy["contract"].certificate.not_valid_after_utc

    def code(moment: datetime, edition: Edition = Edition.ISO_20) -> str:
        verdict = check(hierarchy, "contract", Role.CONTRACT, now=moment.timestamp())
        return contract_response_code(verdict, now=moment.timestamp(), edition=edition)

    assert code(end - timedelta(days=15)) == "OK"
    assert code(end - timedelta(days=13)) == "OK_CertificateExpiresSoon"
    assert code(end - timedelta(days=20), Edition.ISO_2) == "OK_CertificateExpiresSoon"
    assert code(end + timedelta(seconds=1)) == "WARNING_CertificateExpired"
    assert code(datetime(2000, 1, 1, tzinfo=UTC)) == "WARNING_CertificateNotYetValid"


def test_second_root_of_the_same_name_does_no_harm() -> None:
    hierarchy, twin = mint(), Hierarchy.mint(seed="twin")
    roots = [twin["v2g_root"].certificate, hierarchy["v2g_root"].certificate]
    assert check(hierarchy, "secc", Role.SECC, roots=roots).ok


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_changed_octet_never_passes_and_never_raises(data: st.DataObject) -> None:
    hierarchy = mint()
    chain = hierarchy["vehicle"].chain_der
    index = data.draw(st.integers(0, len(chain) - 1))
    position = data.draw(st.integers(0, len(chain[index]) - 1))
    mask = data.draw(st.integers(1, 255))
    changed = bytearray(chain[index])
    changed[position] ^= mask
    chain[index] = bytes(changed)
    verdict = check_chain(chain, Role.VEHICLE, roots=[hierarchy["oem_root"].certificate], now=NOW)
    assert not verdict.ok


@settings(max_examples=100, deadline=None)
@given(chain=st.lists(st.binary(max_size=200), max_size=5))
def test_any_octets_get_a_verdict(chain: list[bytes]) -> None:
    assert not check_chain(chain, Role.SECC, roots=[], now=NOW).ok


@settings(max_examples=100, deadline=None)
@given(octets=st.binary(max_size=300))
def test_any_staple_gets_a_verdict(octets: bytes) -> None:
    hierarchy = mint()
    verdict = check(hierarchy, "secc", Role.SECC, staples=[octets or b"\0"])
    assert verdict.alert == 113
