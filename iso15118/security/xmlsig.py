"""XML signatures of -20 messages: made over EXI fragments, carried in the message header, detached.

Each signed element is digested as an EXI fragment of the CommonMessages schemas; the SignedInfo that lists
the digests is signed as an EXI fragment of the xmldsig schema alone. Recorded signatures of other stacks
verify that way; one stack is known to encode SignedInfo with the message schemas instead, which
`verify_message` tries second and reports.

    message = sign_message(request, contract_key)
    outcome = verify_message(message, contract_certificate_key)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from iso15118 import exi
from iso15118.messages import common, xmldsig
from iso15118.messages.common_types import V2GMessage
from iso15118.messages.schema_sets import SchemaSet
from iso15118.security.signature_primitives import (
    ECDSA_SHA512,
    ED448,
    ED448_RFC_9231_URI,
    Algorithm,
    SignatureError,
    SigningKey,
    VerifyingKey,
    algorithm_of,
    digest,
    sign,
    verify,
)

CANONICAL_EXI = "http://www.w3.org/TR/canonical-exi/"
ISO_20_ALGORITHMS = (ECDSA_SHA512, ED448)

Message = TypeVar("Message", bound=V2GMessage)


class Grammar(StrEnum):
    """The schema set whose fragment grammar encodes SignedInfo."""

    XMLDSIG = "xmldsig"
    MESSAGES = "iso20_common"


class Target(StrEnum):
    """What a request signature covers, on which the tables and the schema of the standard disagree."""

    ELEMENT = "element"
    """The element that has an Id, as the schema suggests."""
    MESSAGE = "message"
    """The whole message without the Signature in its header."""


@dataclass(frozen=True)
class SignedElement:
    """An element to be signed: its value, its name on the wire, its Id."""

    value: Any
    name: str
    id: str


@dataclass(frozen=True)
class Outcome:
    """A signature that verifies: how it was encoded, what it covers, and what in it departs from -20."""

    grammar: Grammar
    target: Target
    algorithm: Algorithm
    deviations: tuple[str, ...] = ()


def signed_elements(message: V2GMessage) -> list[SignedElement]:
    """The elements of a message that a signature in its header covers; none for most messages."""
    found: list[tuple[Any, str]] = []
    if isinstance(message, common.AuthorizationReq):
        if isinstance(message.authorization_mode, common.PnC_AReqAuthorizationMode):
            found = [(message.authorization_mode, "PnC_AReqAuthorizationMode")]
    elif isinstance(message, common.CertificateInstallationReq):
        found = [(message.oem_provisioning_certificate_chain, "OEMProvisioningCertificateChain")]
    elif isinstance(message, common.CertificateInstallationRes):
        found = [(message.signed_installation_data, "SignedInstallationData")]
    elif isinstance(message, common.MeteringConfirmationReq):
        found = [(message.signed_metering_data, "SignedMeteringData")]
    elif isinstance(message, common.ScheduleExchangeRes):
        found = [(price, type(price).__name__) for price in _prices(message)]
    return [SignedElement(value, name, value.id) for value, name in found if value.id is not None]


def _prices(message: common.ScheduleExchangeRes) -> list[Any]:
    mode = message.control_mode
    if isinstance(mode, common.Dynamic_SEResControlMode):
        return [] if mode.price_schedule is None else [mode.price_schedule]
    schedules = [s for t in mode.schedule_tuple for s in (t.charging_schedule, t.discharging_schedule)]
    return [s.price_schedule for s in schedules if s is not None and s.price_schedule is not None]


def make_signature(
    elements: Sequence[SignedElement],
    key: SigningKey,
    *,
    grammar: Grammar = Grammar.XMLDSIG,
    method: Algorithm | None = None,
    deterministic: bool = False,
) -> xmldsig.Signature:
    """The Signature element over `elements`, with the algorithms that go with `key`.

    `method` puts other names into it (and digests accordingly), to write what another stack would.
    """
    if not elements:
        raise SignatureError("there is no element to sign")
    method = method or algorithm_of(key)
    transform = xmldsig.Transform(algorithm=CANONICAL_EXI)
    references = [
        xmldsig.Reference(
            uri=f"#{element.id}",
            transforms=xmldsig.Transforms(transform=[transform]),
            digest_method=xmldsig.DigestMethod(algorithm=method.digest_uri),
            digest_value=_digest(element, method.digest_uri),
        )
        for element in elements
    ]
    info = xmldsig.SignedInfo(
        canonicalization_method=xmldsig.CanonicalizationMethod(algorithm=CANONICAL_EXI),
        signature_method=xmldsig.SignatureMethod(algorithm=method.signature_uri),
        reference=references,
    )
    value = sign(key, _info_octets(info, grammar), deterministic=deterministic)
    return xmldsig.Signature(signed_info=info, signature_value=xmldsig.SignatureValue(value=value))


def sign_message(
    message: Message,
    key: SigningKey,
    *,
    target: Target = Target.ELEMENT,
    grammar: Grammar = Grammar.XMLDSIG,
    method: Algorithm | None = None,
    deterministic: bool = False,
) -> Message:
    """A copy of the message with the Signature in its header. SignatureError if it has nothing to sign."""
    elements = _targets(message, target)
    if not elements:
        raise SignatureError(f"{type(message).__name__}: no element with an Id to sign")
    signature = make_signature(elements, key, grammar=grammar, method=method, deterministic=deterministic)
    header = msgspec.structs.replace(message.header, signature=signature)
    return msgspec.structs.replace(message, header=header)


def verify_message(
    message: V2GMessage, key: VerifyingKey, *, algorithms: Sequence[Algorithm] = ISO_20_ALGORITHMS
) -> Outcome:
    """Check the Signature in the header of a message with the key of the right certificate.

    SignatureError, saying what is wrong, unless the signature covers every signed element of the message.
    `algorithms` may be widened to those of -2 for stacks that use them here; the outcome then says so.
    """
    name = type(message).__name__
    signature = message.header.signature
    if signature is None:
        raise SignatureError(f"{name}: there is no Signature in the header")
    elements = signed_elements(message)
    if not elements:
        raise SignatureError(f"{name}: has no element with an Id that could be signed")
    try:
        return verify_signature(signature, elements, key, algorithms=algorithms)
    except SignatureError as error:
        try:
            whole = _targets(message, Target.MESSAGE)
            found = verify_signature(signature, whole, key, algorithms=algorithms)
        except SignatureError:
            raise error from None
        note = "the signature covers the whole message instead of the element with the Id"
        return Outcome(found.grammar, Target.MESSAGE, found.algorithm, (*found.deviations, note))


def verify_signature(
    signature: xmldsig.Signature,
    elements: Sequence[SignedElement],
    key: VerifyingKey,
    *,
    algorithms: Sequence[Algorithm] = ISO_20_ALGORITHMS,
) -> Outcome:
    """Check a Signature over exactly these elements; see `verify_message`."""
    info = signature.signed_info
    method = algorithm_of(key)
    if method not in algorithms:
        raise SignatureError(f"{method.signature_uri} is not a signature method of ISO 15118-20")
    deviations = _methods(signature, method)
    if method not in ISO_20_ALGORITHMS:
        deviations.append(f"signature method {method.signature_uri} is not of ISO 15118-20")
    _references(info, elements, method, deviations)
    for grammar in Grammar:
        try:
            octets = _info_octets(info, grammar)
        except exi.EXIEncodeError as error:
            raise SignatureError(f"SignedInfo cannot be encoded: {error}") from None
        try:
            verify(key, signature.signature_value.value, octets)
        except SignatureError as error:
            failure = error
            continue
        if grammar is not Grammar.XMLDSIG:
            deviations.append("SignedInfo is encoded with the message schemas, not with xmldsig alone")
        return Outcome(grammar, Target.ELEMENT, method, tuple(deviations))
    raise failure


def _methods(signature: xmldsig.Signature, method: Algorithm) -> list[str]:
    info, deviations = signature.signed_info, []
    if info.canonicalization_method.algorithm != CANONICAL_EXI:
        raise SignatureError(f"CanonicalizationMethod {info.canonicalization_method.algorithm!r} is not EXI")
    named = info.signature_method.algorithm
    if named == ED448_RFC_9231_URI and method is ED448:
        deviations.append(f"SignatureMethod is {named} of RFC 9231 instead of {method.signature_uri}")
    elif named != method.signature_uri:
        raise SignatureError(f"SignatureMethod {named!r} does not go with the key: {method.signature_uri}")
    if info.signature_method.content or info.canonicalization_method.content:
        raise SignatureError("SignedInfo has parameters inside its methods")
    if info.id is not None:
        deviations.append("SignedInfo has an Id")
    if signature.key_info is not None:
        deviations.append("KeyInfo is present and ignored")
    return deviations


def _references(
    info: xmldsig.SignedInfo, elements: Sequence[SignedElement], method: Algorithm, deviations: list[str]
) -> None:
    """Every element has one Reference with its digest, and there is no other Reference."""
    by_id = {element.id: element for element in elements}
    if len(by_id) != len(elements):
        raise SignatureError("two elements of the message have the same Id")
    seen: set[str] = set()
    for reference in info.reference:
        uri = reference.uri or ""
        element = by_id.get(uri.removeprefix("#")) if uri.startswith("#") else None
        if element is None:
            raise SignatureError(f"Reference {uri!r} names no signed element of the message")
        if element.id in seen:
            raise SignatureError(f"two References to {uri!r}")
        seen.add(element.id)
        _transforms(reference, uri, deviations)
        if reference.digest_method.algorithm != method.digest_uri:
            named = reference.digest_method.algorithm
            raise SignatureError(f"Reference {uri!r}: DigestMethod {named!r}, not {method.digest_uri}")
        if _digest(element, method.digest_uri) != reference.digest_value:
            raise SignatureError(f"Reference {uri!r}: the digest of {element.name} is another")
    if missing := by_id.keys() - seen:
        raise SignatureError(f"no Reference to {', '.join(sorted(missing))}")


def _transforms(reference: xmldsig.Reference, uri: str, deviations: list[str]) -> None:
    if reference.type is not None:
        deviations.append(f"Reference {uri!r} has a Type")
    if reference.transforms is None:
        deviations.append(f"Reference {uri!r} has no Transforms")
        return
    transforms = reference.transforms.transform
    if len(transforms) != 1:
        raise SignatureError(f"Reference {uri!r}: {len(transforms)} transforms, one is allowed")
    if transforms[0].algorithm != CANONICAL_EXI or transforms[0].content:
        raise SignatureError(f"Reference {uri!r}: transform {transforms[0].algorithm!r} is not plain EXI")


def _digest(element: SignedElement, digest_uri: str) -> bytes:
    try:
        octets = exi.encode_fragment(element.value, element.name, schema_set=SchemaSet.ISO20_COMMON)
    except exi.EXIEncodeError as error:
        raise SignatureError(f"{element.name} cannot be encoded: {error}") from None
    return digest(octets, digest_uri)


def _info_octets(info: xmldsig.SignedInfo, grammar: Grammar) -> bytes:
    return exi.encode_fragment(info, "SignedInfo", schema_set=SchemaSet(grammar.value))


def _targets(message: V2GMessage, target: Target) -> list[SignedElement]:
    elements = signed_elements(message)
    if target is Target.ELEMENT or not elements:
        return elements
    header = msgspec.structs.replace(message.header, signature=None)
    bare = msgspec.structs.replace(message, header=header)
    return [SignedElement(bare, type(message).__name__, elements[0].id)]
