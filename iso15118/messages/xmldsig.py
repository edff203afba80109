"""XML-Signature Syntax and Processing (W3C xmldsig-core), as -20 messages carry it in their header.

ISO 15118-20 uses `Signature` with its `SignedInfo`, `References` and `SignatureValue`; the rest is legal in a
message and rarely met. Types with mixed content or repeated alternatives hold their children in `content`, in
document order.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from ..exi.schema import AnyElement, Choice, Sequence
from .declare import Group, Node, Occurs, SimpleElement, Xsd, attribute, choice, element, global_element

NAMESPACE = "http://www.w3.org/2000/09/xmldsig#"
PREFIX = "ds"
ATTRIBUTE_FORM = "unqualified"

ID = Annotated[str, Xsd("ID")]
AnyURI = Annotated[str, Xsd("anyURI")]
String = Annotated[str, Xsd("string")]
Integer = Annotated[int, Xsd("integer")]
Base64Binary = Annotated[bytes, Xsd("base64Binary")]
CryptoBinary = Annotated[bytes, Xsd("base64Binary", "CryptoBinary")]
"""A big integer as octets, most significant first, without leading zeros."""
Digest = Annotated[bytes, Xsd("base64Binary", "DigestValueType")]
HMACLength = Annotated[int, Xsd("integer", "HMACOutputLengthType")]

Foreign = Node | AnyElement
"""What a wildcard lets in: an element of the schema set, or one that it does not declare."""


@global_element()
class CanonicalizationMethod(Node):
    mixed: ClassVar[bool] = True
    algorithm: AnyURI = attribute("Algorithm")
    content: Annotated[list[Foreign | str], Occurs(0, None)] = choice("##any!", default_factory=list)


class HMACOutputLength(SimpleElement):
    value: HMACLength


@global_element()
class SignatureMethod(Node):
    mixed: ClassVar[bool] = True
    content_model: ClassVar[Group] = Group(Sequence, ("HMACOutputLength?", "##other!*"))
    algorithm: AnyURI = attribute("Algorithm")
    content: list[HMACOutputLength | Foreign | str] = choice(
        "HMACOutputLength", "##other!", default_factory=list
    )


class XPath(SimpleElement):
    value: String


@global_element()
class Transform(Node):
    mixed: ClassVar[bool] = True
    algorithm: AnyURI = attribute("Algorithm")
    content: Annotated[list[Foreign | XPath | str], Occurs(0, None)] = choice(
        "##other", "XPath", default_factory=list
    )


@global_element()
class Transforms(Node):
    transform: Annotated[list[Transform], Occurs(1, None)] = element("Transform")


@global_element()
class DigestMethod(Node):
    mixed: ClassVar[bool] = True
    algorithm: AnyURI = attribute("Algorithm")
    content: Annotated[list[Foreign | str], Occurs(0, None)] = choice("##other", default_factory=list)


@global_element()
class DigestValue(SimpleElement):
    value: Digest


@global_element()
class Reference(Node):
    """One signed element: where it is, how it was transformed, and its digest."""

    id: ID | None = attribute("Id", default=None)
    uri: AnyURI | None = attribute("URI", default=None)
    """"#" and the Id of the signed element."""
    type: AnyURI | None = attribute("Type", default=None)
    transforms: Transforms | None = element("Transforms", default=None)
    digest_method: DigestMethod = element("DigestMethod")
    digest_value: Digest = element("DigestValue")


@global_element()
class SignedInfo(Node):
    """What the signature signs, encoded as an EXI fragment."""

    id: ID | None = attribute("Id", default=None)
    canonicalization_method: CanonicalizationMethod = element("CanonicalizationMethod")
    signature_method: SignatureMethod = element("SignatureMethod")
    reference: Annotated[list[Reference], Occurs(1, None)] = element("Reference")


@global_element()
class SignatureValue(Node):
    id: ID | None = attribute("Id", default=None)
    value: Base64Binary


@global_element()
class KeyName(SimpleElement):
    value: String


@global_element()
class MgmtData(SimpleElement):
    value: String


@global_element()
class DSAKeyValue(Node):
    content_model: ClassVar[Group] = Group(
        Sequence,
        (
            Group(Sequence, ("p", "q"), minimum=0),
            "g?",
            "y",
            "j?",
            Group(Sequence, ("seed", "pgen_counter"), minimum=0),
        ),
    )
    p: CryptoBinary | None = element("P", default=None)
    q: CryptoBinary | None = element("Q", default=None)
    """P and Q stand together or not at all."""
    g: CryptoBinary | None = element("G", default=None)
    y: CryptoBinary = element("Y")
    j: CryptoBinary | None = element("J", default=None)
    seed: CryptoBinary | None = element("Seed", default=None)
    pgen_counter: CryptoBinary | None = element("PgenCounter", default=None)
    """Seed and PgenCounter stand together or not at all."""


@global_element()
class RSAKeyValue(Node):
    modulus: CryptoBinary = element("Modulus")
    exponent: CryptoBinary = element("Exponent")


@global_element()
class KeyValue(Node):
    mixed: ClassVar[bool] = True
    content: Annotated[list[DSAKeyValue | RSAKeyValue | Foreign | str], Occurs(1, 1)] = choice(
        "DSAKeyValue", "RSAKeyValue", "##other", default_factory=list
    )


@global_element()
class RetrievalMethod(Node):
    uri: AnyURI | None = attribute("URI", default=None)
    type: AnyURI | None = attribute("Type", default=None)
    transforms: Transforms | None = element("Transforms", default=None)


class X509IssuerSerial(Node):
    """Names a certificate by its issuer (RFC 4514 text) and its serial number."""

    x509_issuer_name: String = element("X509IssuerName")
    x509_serial_number: Integer = element("X509SerialNumber")


class X509SKI(SimpleElement):
    value: Base64Binary


class X509SubjectName(SimpleElement):
    value: String


class X509Certificate(SimpleElement):
    value: Base64Binary


class X509CRL(SimpleElement):
    value: Base64Binary


@global_element()
class X509Data(Node):
    content: Annotated[
        list[X509IssuerSerial | X509SKI | X509SubjectName | X509Certificate | X509CRL | Foreign],
        Occurs(1, None),
    ] = choice(
        "X509IssuerSerial",
        "X509SKI",
        "X509SubjectName",
        "X509Certificate",
        "X509CRL",
        "##other",
        default_factory=list,
    )


class PGPKeyID(SimpleElement):
    value: Base64Binary


class PGPKeyPacket(SimpleElement):
    value: Base64Binary


@global_element()
class PGPData(Node):
    """A key id, a key packet, or both, in this order."""

    content_model: ClassVar[Group] = Group(
        Choice,
        (
            Group(Sequence, ("PGPKeyID", "PGPKeyPacket?", "##other*")),
            Group(Sequence, ("PGPKeyPacket", "##other*")),
        ),
    )
    content: list[PGPKeyID | PGPKeyPacket | Foreign] = choice(
        "PGPKeyID", "PGPKeyPacket", "##other", default_factory=list
    )


class SPKISexp(SimpleElement):
    value: Base64Binary


@global_element()
class SPKIData(Node):
    content_model: ClassVar[Group] = Group(Sequence, ("SPKISexp", "##other?"), maximum=None)
    content: list[SPKISexp | Foreign] = choice("SPKISexp", "##other", default_factory=list)


@global_element()
class KeyInfo(Node):
    mixed: ClassVar[bool] = True
    id: ID | None = attribute("Id", default=None)
    content: Annotated[
        list[KeyName | KeyValue | RetrievalMethod | X509Data | PGPData | SPKIData | MgmtData | Foreign | str],
        Occurs(1, None),
    ] = choice(
        "KeyName",
        "KeyValue",
        "RetrievalMethod",
        "X509Data",
        "PGPData",
        "SPKIData",
        "MgmtData",
        "##other",
        default_factory=list,
    )


@global_element()
class Object(Node):
    """Anything the signature carries along."""

    mixed: ClassVar[bool] = True
    id: ID | None = attribute("Id", default=None)
    mime_type: String | None = attribute("MimeType", default=None)
    encoding: AnyURI | None = attribute("Encoding", default=None)
    content: Annotated[list[Foreign | str], Occurs(0, None)] = choice("##any", default_factory=list)


@global_element()
class Manifest(Node):
    id: ID | None = attribute("Id", default=None)
    reference: Annotated[list[Reference], Occurs(1, None)] = element("Reference")


@global_element()
class SignatureProperty(Node):
    mixed: ClassVar[bool] = True
    target: AnyURI = attribute("Target")
    id: ID | None = attribute("Id", default=None)
    content: Annotated[list[Foreign | str], Occurs(1, None)] = choice("##other", default_factory=list)


@global_element()
class SignatureProperties(Node):
    id: ID | None = attribute("Id", default=None)
    signature_property: Annotated[list[SignatureProperty], Occurs(1, None)] = element("SignatureProperty")


@global_element()
class Signature(Node):
    """A signature over all its references; in -20 it stands in the message header."""

    id: ID | None = attribute("Id", default=None)
    signed_info: SignedInfo = element("SignedInfo")
    signature_value: SignatureValue = element("SignatureValue")
    key_info: KeyInfo | None = element("KeyInfo", default=None)
    object: Annotated[list[Object], Occurs(0, None)] = element("Object", default_factory=list)
