"""Every broken variant against the chain checker: verdict, rule, alert and response code as listed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509

from iso15118.security import chain
from pki.broken import RULE_ALERTS, Variant, break_chain, variants
from pki.profiles import Edition, Family

CASES = [
    pytest.param(variant, edition, family, id=f"{variant.name}-{edition}-{family}")
    for variant in variants().values()
    for edition in variant.editions
    for family in variant.families
    if edition is variant.editions[0] or family is variant.families[0]
]
ROLES = {"oem_provisioning": chain.Role.OEM_PROVISIONING}


def check(variant: Variant, edition: Edition, family: Family, minted) -> tuple[chain.Verdict, float]:
    hierarchy = minted(edition, family)
    now = datetime.now(UTC)
    broken = break_chain(hierarchy, variant.name, now)
    verdict = chain.check_chain(
        broken.chain,
        ROLES.get(variant.role) or chain.Role(variant.role),
        roots=[hierarchy[name].certificate for name in variant.trusted],
        now=now.timestamp(),
        policy=chain.Policy(chain.Edition(edition)),
        staples=broken.staples,
        require_staples=chain.Staples.ALL if variant.needs_staples else chain.Staples.IF_PRESENT,
        crls=[x509.load_der_x509_crl(crl) for crl in broken.crls],
    )
    return verdict, now.timestamp()


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore:Parsed a serial number")
@pytest.mark.parametrize(("variant", "edition", "family"), CASES)
def test_verdict_is_as_listed(variant: Variant, edition: Edition, family: Family, minted) -> None:
    verdict, now = check(variant, edition, family, minted)
    said = [str(fault) for fault in verdict.faults]
    if variant.verdict == "reject":
        assert not verdict.ok, "accepted by mistake"
        assert variant.rule in {fault.rule.code for fault in verdict.errors}, said
        assert verdict.alert is not None
        if variant.alerts:
            assert int(verdict.alert) in variant.alerts, said
    else:
        assert verdict.ok, said
        remarks = {fault.rule.code for fault in verdict.remarks}
        assert remarks == ({variant.rule} if variant.verdict == "remark" else set()), said
    if variant.response is not None:
        assert (
            chain.contract_response_code(verdict, now=now, edition=chain.Edition(edition)) == variant.response
        )


def test_there_are_enough_variants_and_each_is_explained() -> None:
    table = variants()
    assert sum(variant.verdict == "reject" for variant in table.values()) >= 60
    assert all(variant.wrong for variant in table.values())


def test_every_rule_of_the_checker_has_a_variant() -> None:
    broken = {variant.rule for variant in variants().values()}
    untested = {rule.code for rule in chain.Rule} - broken
    assert untested == {"chain-empty", "revocation-list"}  # these two have tests of their own


def test_alert_of_each_rule_is_among_those_listed() -> None:
    for rule in chain.Rule:
        if rule.code in RULE_ALERTS:
            assert int(rule.alert) in RULE_ALERTS[rule.code], rule
