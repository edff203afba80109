"""Variants whose chain is wrong, whatever its certificates are: incomplete, in disorder, foreign, forged."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cryptography import x509
from cryptography.x509.oid import NameOID

from pki.broken import Broken, Variant, Workshop, present, present_as
from pki.broken_issued import outlives_issuer
from pki.certificate import Credential, Draft, subject_key_id
from pki.hierarchy import Hierarchy


def _chains() -> Iterable[Variant]:
    def chain(name: str, wrong: str, rule: str,
              arrange: Callable[[Workshop, Credential], list[bytes]]) -> Iterable[Variant]:  # fmt: skip
        for role in ("secc", "vehicle"):

            def build(shop: Workshop, role: str = role) -> Broken:
                leaf = shop.hierarchy[role]
                return present(leaf, arrange(shop, leaf))

            yield Variant(f"{role}-{name}", role, wrong, rule, build)

    yield from chain("leaf-only", "both sub-CAs missing", "unknown-issuer", lambda s, c: c.chain_der[:1])
    yield from chain("no-sub2", "sub-CA 2 missing", "chain-order",
                     lambda s, c: [c.chain_der[0], c.chain_der[2]])  # fmt: skip
    yield from chain("no-sub1", "sub-CA 1 missing", "unknown-issuer", lambda s, c: c.chain_der[:2])
    yield from chain("disorder", "leaf, sub-CA 1, sub-CA 2", "chain-order",
                     lambda s, c: [c.chain_der[i] for i in (0, 2, 1)])  # fmt: skip
    yield from chain("with-root", "root sent too", "root-on-wire", lambda s, c: [*c.chain_der, c.root.der])
    yield from chain("extra", "a certificate of another chain at the end", "chain-length",
                     lambda s, c: [*c.chain_der, s.hierarchy["mo_sub1"].der])  # fmt: skip
    yield from chain("leaf-twice", "leaf sent twice", "chain-order",
                     lambda s, c: [c.chain_der[0], *c.chain_der[:2]])  # fmt: skip
    for role, root in (("secc", "v2g_root"), ("vehicle", "oem_root")):
        yield Variant(f"{role}-forged", role, "same names all the way up, other keys", "unknown-issuer",
                      _forged(role))  # fmt: skip
        yield Variant(f"{role}-self-signed", role, "self-signed leaf", "unknown-issuer", _self_signed(role))
        yield Variant(f"{role}-too-long", role, "three sub-CAs", "chain-length", _too_long(role, root))
    yield Variant("secc-unknown-root", "secc", "chain of a root the EV does not hold", "unknown-issuer",
                  present_as("secc_b"))  # fmt: skip
    yield Variant("vehicle-unknown-root", "vehicle", "OEM root unknown to the charger", "unknown-issuer",
                  present_as("vehicle"), trust=("v2g_root",))  # fmt: skip
    for role, other in (
        ("secc", "vehicle"), ("secc", "contract"), ("secc", "cps"),
        ("vehicle", "contract"), ("vehicle", "oem_provisioning"), ("vehicle", "secc"),
    ):  # fmt: skip
        rule = "extended-key-usage"
        if role == "vehicle" and other in ("contract", "oem_provisioning"):
            rule = (
                "common-name"  # the first edition asks for clientAuth only if extKeyUsage is present at all
            )
        yield Variant(f"{role}-is-{other.replace('_', '-')}", role, f"presents its {other} certificate",
                      rule, present_as(other), trust=("v2g_root", "oem_root", "mo_root"),
                      more_alerts=frozenset({43, 46}))  # fmt: skip
    yield Variant("secc-cross", "secc", "chain of root B with its cross certificate, EV holds root A", None,
                  lambda shop: present(shop.hierarchy["secc_b"], shop.hierarchy.cross_chain()),
                  verdict="accept")  # fmt: skip
    yield Variant("secc-cross-outlives-root", "secc", "cross certificate valid longer than the root that "
                  "issued it", "validity-nesting", _long_cross)  # fmt: skip


def _forged(role: str) -> Callable[[Workshop], Broken]:
    def build(shop: Workshop) -> Broken:
        good = shop.hierarchy
        twin = Hierarchy.mint(good.edition, good.family, seed="forged", now=good.created)
        return present(twin[role])

    return build


def _self_signed(role: str) -> Callable[[Workshop], Broken]:
    def build(shop: Workshop) -> Broken:
        draft = Draft.of(shop.hierarchy[role], shop.hierarchy.edition, shop.hierarchy.family)
        draft.issuer = None
        made = draft.finish()
        return Broken([made.der], made.key)

    return build


def _too_long(role: str, root: str) -> Callable[[Workshop], Broken]:
    def build(shop: Workshop) -> Broken:
        def deeper(draft: Draft, shop: Workshop) -> None:
            draft.subject = [(NameOID.COMMON_NAME, "HLC Sub-CA 0")]
            draft.key = shop.key(shop.hierarchy.family, "deeper")
            draft.set_extension(subject_key_id(draft.key), False)
            draft.set_extension(x509.BasicConstraints(True, 2), True)

        leaf, sub2, sub1 = shop.hierarchy[role].path
        top = shop.again(sub1.name, deeper)

        def under_top(draft: Draft, shop: Workshop) -> None:
            draft.issuer = top
            identifier = x509.SubjectKeyIdentifier.from_public_key(top.key.public_key())
            authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
            draft.set_extension(authority, False)

        lower = shop.again(sub1.name, under_top)
        return Broken([leaf.der, sub2.der, lower.der, top.der], leaf.key)

    return build


def _long_cross(shop: Workshop) -> Broken:
    chain = shop.hierarchy.cross_chain()
    chain[-1] = shop.again("cross_b", outlives_issuer).der
    return present(shop.hierarchy["secc_b"], chain)


CHAIN_VARIANTS = tuple(_chains())
