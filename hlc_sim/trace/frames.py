"""From payloads to messages, and along the sequence table: what any follower of a connection needs."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from iso15118 import exi, v2gtp
from iso15118 import json as json_form
from iso15118.messages.app_protocol import SupportedAppProtocolReq, SupportedAppProtocolRes
from iso15118.messages.declare import Node
from iso15118.messages.schema_sets import set_knowing
from iso15118.session import sequence
from iso15118.v2gtp import PayloadType

NAMESPACE_20 = "urn:iso:std:iso:15118:-20:"


class Decoder:
    """Decodes the payloads of one connection in order: 0x8001 means another thing after
    supportedAppProtocol.
    """

    def __init__(self) -> None:
        self.after_sap = False
        self.namespace = ""
        """Of the protocol agreed on, once it is."""
        self._offers: dict[int, str] = {}

    def decode(self, payload_type: int, payload: bytes) -> tuple[Node | None, str]:
        """The message, or None and why there is none."""
        if self.namespace and not self.namespace.startswith(NAMESPACE_20):
            return None, f"a message of {self.namespace}, not of ISO 15118-20"
        name = v2gtp.schema_set_name(payload_type, payload, after_sap=self.after_sap)
        if name is None:
            return None, f"payload type {v2gtp.describe(payload_type)} carries no known message"
        try:
            message: Node = exi.decode(payload, name)
        except exi.EXIDecodeError as error:
            if not (self.after_sap and payload_type == PayloadType.SAP):
                return None, str(error)
            try:
                message = exi.decode(payload, "sap")
            except exi.EXIDecodeError:
                return None, str(error)
        self.note(message)
        return message, ""

    def note(self, message: Node) -> None:
        """Take note of a message that someone else has decoded."""
        if isinstance(message, SupportedAppProtocolReq):
            self._offers = {offer.schema_id: offer.protocol_namespace for offer in message.app_protocol}
        elif isinstance(message, SupportedAppProtocolRes):
            self.after_sap = True
            self.namespace = self._offers.get(message.schema_id or 0, "")


class Follower:
    """The phase of the session before and after each message; bears messages out of order."""

    def __init__(self) -> None:
        self.state = sequence.INITIAL

    def follow(self, payload_type: int, message: Node) -> tuple[str, str]:
        stream = sequence.stream_of(payload_type)
        before = self._phase(stream)
        reached = sequence.advance(self.state, message, payload_type)
        if isinstance(reached, sequence.Violation):
            # Out of order: remember the request, so that its response is not out of order as well.
            if stream is None and sequence.name_of(message).endswith("Req"):
                self.state = replace(self.state, pending=message)
        else:
            self.state = reached
        return before, self._phase(stream)

    def _phase(self, stream: PayloadType | None) -> str:
        return (self.state.phase if stream is None else self.state.side(stream).to).value


def describe(message: Node | None) -> tuple[str, dict[str, Any] | None]:
    """Name and JSON form of a message, for a Frame event."""
    if message is None:
        return "", None
    ((name, content),) = json_form.to_builtins(message, schema_set=set_knowing(message)).items()
    return name, content
