"""supportedAppProtocol: which protocol both sides will speak. No header, hence no SessionID."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta

from .declare import Node, Occurs, Xsd, element, enumeration, global_element

NAMESPACE = "urn:iso:15118:2:2010:AppProtocol"
PREFIX = "ap"
ELEMENT_FORM = "unqualified"

ProtocolNamespace = Annotated[str, Meta(max_length=100), Xsd("anyURI", "protocolNamespaceType")]
ProtocolName = Annotated[str, Meta(max_length=30), Xsd("string", "protocolNameType")]
"""Declared, but used by no message."""
SchemaID = Annotated[int, Meta(ge=0, le=255), Xsd("unsignedByte", "idType")]
Priority = Annotated[int, Meta(ge=1, le=20), Xsd("unsignedByte", "priorityType")]
Version = Annotated[int, Meta(ge=0, le=2**32 - 1), Xsd("unsignedInt")]


@enumeration("responseCodeType")
class AppProtocolResponseCode(StrEnum):
    OK_SuccessfulNegotiation = "OK_SuccessfulNegotiation"
    OK_SuccessfulNegotiationWithMinorDeviation = "OK_SuccessfulNegotiationWithMinorDeviation"
    Failed_NoNegotiation = "Failed_NoNegotiation"


class AppProtocol(Node):
    """One protocol on offer; priority 1 is the EV's first choice [V2G20-167]."""

    protocol_namespace: ProtocolNamespace = element("ProtocolNamespace")
    version_number_major: Version = element("VersionNumberMajor")
    version_number_minor: Version = element("VersionNumberMinor")
    schema_id: SchemaID = element("SchemaID")
    priority: Priority = element("Priority")


@global_element("supportedAppProtocolReq")
class SupportedAppProtocolReq(Node):
    xsd_type: ClassVar[str | None] = ""
    app_protocol: Annotated[list[AppProtocol], Occurs(1, 20)] = element("AppProtocol")


@global_element("supportedAppProtocolRes")
class SupportedAppProtocolRes(Node):
    xsd_type: ClassVar[str | None] = ""
    response_code: AppProtocolResponseCode = element("ResponseCode")
    schema_id: SchemaID | None = element("SchemaID", default=None)
    """Of the chosen entry; absent when nothing matched."""
