"""The defects of public stacks and devices that the scenarios were made from, by their labels.

`Scenario.origin` names them. A row without a scenario says why: it belongs to another edition of the
standard, or is no behaviour that a peer could see.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Origin(NamedTuple):
    """What was seen, and why no scenario can show it (empty: one does)."""

    seen: str
    without: str = ""


_ISO_2 = "of ISO 15118-2 only; -20 has no such message or rule"
_TOOL = "a tool's own output, nothing that a peer sees"

ORIGINS: Final[dict[str, Origin]] = {
    # EVerest
    "EV-1": Origin("the SECC dies of a contract certificate that is no DER"),
    "EV-2": Origin("a SessionID of eight zeros passes as the session's owner"),
    "EV-3": Origin("60 s of silence in the charge loop instead of 0.5 s"),
    "EV-4": Origin("a rejected EIM is Ongoing for three minutes, then FAILED"),
    "EV-5": Origin("a contactor event outside its window is lost"),
    "EV-6": Origin("contactor feedback that does not fit"),
    "EV-7": Origin("a protocol is agreed on that the station does not serve"),
    "EV-8": Origin("over TLS 1.2 no certificate is asked for, and -20 is served all the same"),
    "EV-9": Origin("CertificateRequest without CA names; lists of algorithms beside the tables"),
    "EV-10": Origin("the roots that the EV names are ignored: always the same chain"),
    "EV-11": Origin("no OCSP response is ever stapled"),
    "EV-12": Origin("the -20 part has no OCSP response at all"),
    "EV-13": Origin("a contract certificate passes as a vehicle certificate"),
    "EV-14": Origin("SessionID and challenge from a seed of 32 bits"),
    "EV-15a": Origin("the protocol is chosen by mention, not by priority"),
    "EV-15b": Origin("-20 is carried over TLS 1.2"),
    "EV-15c": Origin("half a V2GTP header is used"),
    "EV-15d": Origin("trusted_ca_keys is ignored", _ISO_2),
    "EV-16": Origin("one broken datagram or connection ends the server"),
    "EV-17": Origin("MeterInfoRequested is ignored"),
    "EV-18": Origin("the published log has wrong lengths", _TOOL),
    "EV-19": Origin("CertificateUpdate answers with stale bytes", _ISO_2),
    "EV-20": Origin("a signed receipt is answered unread"),
    "EV-21": Origin("a renegotiation leaves the charger inoperative for later sessions"),
    "EV-22": Origin("the order after a renegotiation"),
    "EV-23": Origin(
        "unknown services in the configuration are dropped silently", "the device's own configuration"
    ),
    "EV-24": Origin("-20 goes on without TLS when SDP says so"),
    "EV-25": Origin("the charge loop is paced too slowly for a strict station"),
    "EV-26": Origin("a relayed response has a zero byte behind its EXI document"),
    "EV-27": Origin("limits are lowered in the loop, the EV asks for the old ones"),
    "EV-28": Origin("power is delivered while pre-charge is still Ongoing"),
    "EV-29": Origin("SDP is ignored early, and killed by a unicast request"),
    "EV-30": Origin("CertificateInstallation within an EIM session", _ISO_2),
    "EV-31": Origin("a token goes to a topic that nobody reads", "the wiring of one's own back end"),
    "EV-32": Origin("the second session in one process crashes"),
    # Josev
    "JO-1": Origin("a paused session is never resumed"),
    "JO-2": Origin("after SessionStop(ServiceRenegotiation) the EV hangs up"),
    "JO-3": Origin("welding detection always ends the session"),
    "JO-4": Origin("60 s of silence are tolerated in the charge loop"),
    "JO-5": Origin("the EV presents its provisioning certificate in TLS"),
    "JO-6": Origin("provisioning keys of P-256, for which nothing can be wrapped"),
    "JO-7": Origin("CertificateInstallationReq under payload type 0x8001"),
    "JO-8": Origin("the peer vanishes around CertificateInstallation"),
    "JO-9": Origin("elements that the schema lets be absent are demanded"),
    "JO-10": Origin("SignedInfo is encoded in another grammar"),
    "JO-11": Origin("an EV dies without schedules, or asks for receipts for ever"),
    "JO-12": Origin("the first of several offers is taken"),
    "JO-13": Origin("an unreadable contract is dropped without an answer"),
    "JO-14": Origin("another TCP port after a pause"),
    "JO-15": Origin("timeouts are logged that nobody waits for", _TOOL),
    # eVDriveFlow
    "ED-1": Origin("the end of stdin counts as a key press", "how a program is started"),
    "ED-2": Origin("an optional element that is absent crashes it one message later"),
    "ED-3": Origin("SupportedServiceIDs is dereferenced though it is optional"),
    "ED-4": Origin("an EV fails where PnC is offered beside EIM"),
    "ED-5": Origin("the SessionID is not looked at"),
    "ED-6": Origin("SessionIDs of eight ASCII digits"),
    "ED-7": Origin("DisplayParameters are dereferenced though they are optional"),
    "ED-8": Origin("authorization beside the configured services; no pause"),
    "ED-9": Origin("FAILED in a response is not noticed"),
    # tux-evse, V2Gdecoder, libcbv2g
    "TX-1": Origin("PnC is signed whenever TLS is on"),
    "TX-2": Origin("a cipher list without a suite of the profile"),
    "TX-3": Origin("a peer that hangs up leads to a busy loop"),
    "TX-4": Origin("SIGTERM stops the log but not the process", "process hygiene of a program"),
    "TX-5": Origin("a converter throws the protocol offer away", _TOOL),
    "TX-6": Origin("a replay aborts at the first field that the peer chose", _TOOL),
    "TX-7": Origin("SessionStop straight out of the charge loop"),
    "TX-8": Origin("11040 W asked where 11000 W are offered"),
    "TX-9": Origin("a proprietary protocol of priority 1"),
    "TX-10": Origin("a chain that brings its own root"),
    "VD-1": Origin("the first grammar that does not fail is taken for the right one"),
    "VD-2": Origin("a ChargeParameterDiscoveryRes of DIN 70121 is not read", "of DIN 70121 only"),
    "CB-A": Origin("two ACDP messages swap their event codes", "a codec's table: vectors in tests/exi"),
    "CB-B": Origin("a WPT element behind a list is dropped", "a codec's table: vectors in tests/exi"),
    "CB-C": Origin("three WPT types cannot be encoded", "a codec's table: vectors in tests/exi"),
    "CB-D": Origin("hits in EXI's string table are not read", "a codec's reading: vectors in tests/exi"),
    "CB-E": Origin("out-of-bounds reads in the bit reader"),
    # What interoperability of an open CCS stack brought up
    "OCC: SAP payload type must be 0x8001": Origin("supportedAppProtocol under another payload type"),
    "OCC: the SAP namespace is of one mode": Origin("the AC namespace at a DC station"),
    "OCC: adopt the SECC's SessionID": Origin("an EV keeps an id of its own, or takes a later one"),
    "OCC: never hard-code ids": Origin("SchemaID, ServiceID or ParameterSetID taken for granted"),
    "OCC: MaximumSupportingPoints 12...1024": Origin("bounds of MaximumSupportingPoints"),
    "OCC: EVPowerProfile needed at PowerDelivery(Start)": Origin("EVPowerProfile is absent at the start"),
    "OCC: poll phases": Origin("cable check, pre-charge and welding detection are polled"),
    "OCC: answer FAILED, never just close": Origin("a refusal without an answer"),
    "OCC: check ResponseCode in every response": Origin("FAILED in any response"),
    "OCC: bound Ongoing polls": Origin("Ongoing for ever"),
    "OCC: preferred services are a ranking": Origin(
        "a list of preferences used as a filter", "the EV's own choice among what is offered"
    ),
    "OCC: BPT must be consistent between service and message type": Origin("a BPT service, a plain message"),
    "OCC: MCS is not DC": Origin("limits of DC copied for MCS", "values of one's own configuration"),
    "OCC: chain sent without intermediates": Origin("certificates missing between leaf and root"),
    "OCC: per-message timeouts must also end a silent read": Origin("a read that nothing ends"),
    "OCC: resume must skip authorization": Origin(
        "a resumed session authorizes anew, or for another vehicle",
        "takes two connections: the pause cases of `hlc conformance`",
    ),
    "OCC: EAmount is reduced on resume": Origin("the same energy is asked for again", _ISO_2),
    "OCC: DC renegotiation": Origin("cable check and pre-charge around a renegotiation"),
    "OCC: timestamps must come from a clock": Origin("a TimeStamp of 0"),
    "OCC: trusted_ca_keys missing": Origin("trusted_ca_keys is not sent", _ISO_2),
    "OCC: MeterInfo never asked for": Origin("MeterInfoRequested is never true"),
    "OCC: 32 tests had sent an all-zero SessionID unnoticed": Origin("a SessionID of zeros"),
    "OCC: GoSilentInChargeLoop": Origin("silence in the charge loop"),
    # Field findings of pyPLC
    "pyPLC: SuperCharger": Origin("a SessionID of four bytes"),
    "pyPLC: Compleo": Origin("CM_START_ATTEN_CHAR.IND with another time than 600 ms is ignored"),
    "pyPLC: a missing EVCCID makes chargers stop": Origin("an empty EVCCID"),
    "pyPLC: missing fields of ChargeParameterDiscovery": Origin(
        "mandatory fields absent", "EXI cannot leave out what the schema demands; see the truncated documents"
    ),
    "pyPLC: ABB, Alpitronic": Origin("welding detection is not answered, or FAILED"),
    "pyPLC: CurrentDemand needs the protocol's boolean": Origin(
        "an enumeration for a boolean", "of DIN 70121"
    ),
    "pyPLC: pre-charge overshoot without load": Origin("pre-charge overshoots"),
    "pyPLC: cars that ignore all-zero attenuation": Origin("a report of 0 dB in every group"),
    "pyPLC: the TCP port in SDP must be honoured": Origin("port 15118 is taken for granted"),
}
