"""ISO 15118-20 CommonTypes: header, numbers, status, metering and display types that every message set
shares.

Fields, types and cardinalities are those of edition 1. Units are of the simple values named by their aliases
(`Watt`, `Ampere`, ...); "Unix s" is seconds since 1970-01-01 UTC.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta

from . import xmldsig
from .declare import Node, Occurs, Unit, Xsd, element, enumeration, global_element

NAMESPACE = "urn:iso:std:iso:15118:-20:CommonTypes"
PREFIX = "ct"

Byte = Annotated[int, Meta(ge=-128, le=127), Xsd("byte")]
Short = Annotated[int, Meta(ge=-(2**15), le=2**15 - 1), Xsd("short")]
Int = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1), Xsd("int")]
UnsignedByte = Annotated[int, Meta(ge=0, le=255), Xsd("unsignedByte")]
UnsignedShort = Annotated[int, Meta(ge=0, le=2**16 - 1), Xsd("unsignedShort")]
UnsignedInt = Annotated[int, Meta(ge=0, le=2**32 - 1), Xsd("unsignedInt")]
UnsignedLong = Annotated[int, Meta(ge=0, le=2**64 - 1), Xsd("unsignedLong")]
Boolean = Annotated[bool, Xsd("boolean")]

NumericID = Annotated[int, Meta(ge=1, le=2**32 - 1), Xsd("unsignedInt", "numericIDType")]
Percent = Annotated[int, Meta(ge=0, le=100), Xsd("byte", "percentValueType"), Unit("%")]
SessionID = Annotated[bytes, Meta(min_length=8, max_length=8), Xsd("hexBinary", "sessionIDType")]
Identifier = Annotated[str, Meta(max_length=255), Xsd("string", "identifierType")]
Name = Annotated[str, Meta(max_length=80), Xsd("string", "nameType")]
Description = Annotated[str, Meta(max_length=160), Xsd("string", "descriptionType")]
MeterID = Annotated[str, Meta(max_length=32), Xsd("string", "meterIDType")]
MeterSignature = Annotated[bytes, Meta(max_length=64), Xsd("base64Binary", "meterSignatureType")]

UnixTime = Annotated[int, Meta(ge=0, le=2**64 - 1), Xsd("unsignedLong"), Unit("Unix s")]
Seconds = Annotated[int, Meta(ge=0, le=2**32 - 1), Xsd("unsignedInt"), Unit("s")]
ShortSeconds = Annotated[int, Meta(ge=0, le=2**16 - 1), Xsd("unsignedShort"), Unit("s")]


class RationalNumber(Node):
    """`value` x 10^`exponent`; -20 carries no unit beside it."""

    exponent: Byte = element("Exponent")
    value: Short = element("Value")

    @classmethod
    def of(cls, number: float) -> RationalNumber:
        """The nearest representable number: the smallest exponent that fits the value into 16 bits, no
        trailing zeros.

        ValueError for what is not finite or too large for any exponent.
        """
        if not math.isfinite(number):
            raise ValueError(f"{number} is not a finite number")
        if abs(number) < 327_680 and number == int(number):
            # Most numbers of a session, and several in every charge loop.
            value = int(number)
            if -32768 < value < 32768:
                return cls(exponent=0, value=value)
            if value % 10 == 0:
                return cls(exponent=1, value=value // 10)
        exponent = max(-128, math.floor(math.log10(abs(number))) - 5)
        while not -32768 <= (value := round(number / 10.0**exponent)) <= 32767:
            exponent += 1
        while value and value % 10 == 0 and exponent < 0:
            value, exponent = value // 10, exponent + 1
        if exponent > 127:
            raise ValueError(f"{number} is too large for a RationalNumber")
        return cls(exponent=exponent, value=value)

    def __float__(self) -> float:
        """Always finite: a value beyond 64 bits, as EXI can carry it, counts as the greatest they hold."""
        value = max(-(2**63), min(2**63, self.value))
        return float(value * 10.0**self.exponent) if self.exponent >= 0 else value / 10.0**-self.exponent


Watt = Annotated[RationalNumber, Unit("W")]
Var = Annotated[RationalNumber, Unit("var")]
Ampere = Annotated[RationalNumber, Unit("A")]
Volt = Annotated[RationalNumber, Unit("V")]
WattHour = Annotated[RationalNumber, Unit("Wh")]
Hertz = Annotated[RationalNumber, Unit("Hz")]
PercentPerMinute = Annotated[RationalNumber, Unit("%/min")]


@enumeration("responseCodeType")
class ResponseCode(StrEnum):
    """Verdict of the SECC; the families OK, WARNING and FAILED are contiguous. FAILED ends the session for
    both sides.
    """

    OK = "OK"
    OK_CertificateExpiresSoon = "OK_CertificateExpiresSoon"
    OK_NewSessionEstablished = "OK_NewSessionEstablished"
    OK_OldSessionJoined = "OK_OldSessionJoined"
    OK_PowerToleranceConfirmed = "OK_PowerToleranceConfirmed"
    WARNING_AuthorizationSelectionInvalid = "WARNING_AuthorizationSelectionInvalid"
    WARNING_CertificateExpired = "WARNING_CertificateExpired"
    WARNING_CertificateNotYetValid = "WARNING_CertificateNotYetValid"
    WARNING_CertificateRevoked = "WARNING_CertificateRevoked"
    WARNING_CertificateValidationError = "WARNING_CertificateValidationError"
    WARNING_ChallengeInvalid = "WARNING_ChallengeInvalid"
    WARNING_EIMAuthorizationFailure = "WARNING_EIMAuthorizationFailure"
    WARNING_eMSPUnknown = "WARNING_eMSPUnknown"
    WARNING_EVPowerProfileViolation = "WARNING_EVPowerProfileViolation"
    WARNING_GeneralPnCAuthorizationError = "WARNING_GeneralPnCAuthorizationError"
    WARNING_NoCertificateAvailable = "WARNING_NoCertificateAvailable"
    WARNING_NoContractMatchingPCIDFound = "WARNING_NoContractMatchingPCIDFound"
    WARNING_PowerToleranceNotConfirmed = "WARNING_PowerToleranceNotConfirmed"
    WARNING_ScheduleRenegotiationFailed = "WARNING_ScheduleRenegotiationFailed"
    WARNING_StandbyNotAllowed = "WARNING_StandbyNotAllowed"
    WARNING_WPT = "WARNING_WPT"
    FAILED = "FAILED"
    FAILED_AssociationError = "FAILED_AssociationError"
    FAILED_ContactorError = "FAILED_ContactorError"
    FAILED_EVPowerProfileInvalid = "FAILED_EVPowerProfileInvalid"
    FAILED_EVPowerProfileViolation = "FAILED_EVPowerProfileViolation"
    FAILED_MeteringSignatureNotValid = "FAILED_MeteringSignatureNotValid"
    FAILED_NoEnergyTransferServiceSelected = "FAILED_NoEnergyTransferServiceSelected"
    FAILED_NoServiceRenegotiationSupported = "FAILED_NoServiceRenegotiationSupported"
    FAILED_PauseNotAllowed = "FAILED_PauseNotAllowed"
    FAILED_PowerDeliveryNotApplied = "FAILED_PowerDeliveryNotApplied"
    FAILED_PowerToleranceNotConfirmed = "FAILED_PowerToleranceNotConfirmed"
    FAILED_ScheduleRenegotiation = "FAILED_ScheduleRenegotiation"
    FAILED_ScheduleSelectionInvalid = "FAILED_ScheduleSelectionInvalid"
    FAILED_SequenceError = "FAILED_SequenceError"
    FAILED_ServiceIDInvalid = "FAILED_ServiceIDInvalid"
    FAILED_ServiceSelectionInvalid = "FAILED_ServiceSelectionInvalid"
    FAILED_SignatureError = "FAILED_SignatureError"
    FAILED_UnknownSession = "FAILED_UnknownSession"
    FAILED_WrongChargeParameter = "FAILED_WrongChargeParameter"

    @property
    def is_ok(self) -> bool:
        return self.value.startswith("OK")

    @property
    def is_warning(self) -> bool:
        return self.value.startswith("WARNING")

    @property
    def is_failed(self) -> bool:
        return self.value.startswith("FAILED")


@enumeration("processingType")
class Processing(StrEnum):
    """Whether the sender has finished; with either Ongoing value the EVCC repeats its request."""

    Finished = "Finished"
    Ongoing = "Ongoing"
    Ongoing_WaitingForCustomerInteraction = "Ongoing_WaitingForCustomerInteraction"


@enumeration("evseNotificationType")
class EVSENotification(StrEnum):
    """What the SECC asks of the EVCC within NotificationMaxDelay."""

    Pause = "Pause"
    ExitStandby = "ExitStandby"
    Terminate = "Terminate"
    ScheduleRenegotiation = "ScheduleRenegotiation"
    ServiceRenegotiation = "ServiceRenegotiation"
    MeteringConfirmation = "MeteringConfirmation"


class MessageHeader(Node):
    """Head of every message after supportedAppProtocol."""

    session_id: SessionID = element("SessionID")
    timestamp: UnixTime = element("TimeStamp")
    signature: xmldsig.Signature | None = element("Signature", default=None)


class V2GMessage(Node):
    """Base of all -20 messages."""

    abstract: ClassVar[bool] = True
    header: MessageHeader = element("Header")


class V2GRequest(V2GMessage):
    """Base of all requests."""

    abstract: ClassVar[bool] = True


class V2GResponse(V2GMessage):
    """Base of all responses."""

    abstract: ClassVar[bool] = True
    response_code: ResponseCode = element("ResponseCode")


class EVSEStatus(Node):
    """A wish of the SECC; in PowerDeliveryRes and charge-loop responses only."""

    notification_max_delay: ShortSeconds = element("NotificationMaxDelay")
    """Time left for the EV to react."""
    evse_notification: EVSENotification = element("EVSENotification")


class DisplayParameters(Node):
    """What the EV shows its driver."""

    present_soc: Percent | None = element("PresentSOC", default=None)
    minimum_soc: Percent | None = element("MinimumSOC", default=None)
    target_soc: Percent | None = element("TargetSOC", default=None)
    maximum_soc: Percent | None = element("MaximumSOC", default=None)
    remaining_time_to_minimum_soc: Seconds | None = element("RemainingTimeToMinimumSOC", default=None)
    remaining_time_to_target_soc: Seconds | None = element("RemainingTimeToTargetSOC", default=None)
    remaining_time_to_maximum_soc: Seconds | None = element("RemainingTimeToMaximumSOC", default=None)
    charging_complete: Boolean | None = element("ChargingComplete", default=None)
    battery_energy_capacity: WattHour | None = element("BatteryEnergyCapacity", default=None)
    inlet_hot: Boolean | None = element("InletHot", default=None)


class MeterInfo(Node):
    """Meter registers of the current service session [V2G20-902]."""

    meter_id: MeterID = element("MeterID")
    charged_energy_reading_wh: Annotated[UnsignedLong, Unit("Wh")] = element("ChargedEnergyReadingWh")
    bpt_discharged_energy_reading_wh: Annotated[UnsignedLong, Unit("Wh")] | None = element(
        "BPT_DischargedEnergyReadingWh", default=None
    )
    capacitive_energy_reading_varh: Annotated[UnsignedLong, Unit("varh")] | None = element(
        "CapacitiveEnergyReadingVARh", default=None
    )
    bpt_inductive_energy_reading_varh: Annotated[UnsignedLong, Unit("varh")] | None = element(
        "BPT_InductiveEnergyReadingVARh", default=None
    )
    meter_signature: MeterSignature | None = element("MeterSignature", default=None)
    """In the meter vendor's format."""
    meter_status: Short | None = element("MeterStatus", default=None)
    meter_timestamp: UnixTime | None = element("MeterTimestamp", default=None)


class DetailedCost(Node):
    amount: RationalNumber = element("Amount")
    cost_per_unit: RationalNumber = element("CostPerUnit")


class DetailedTax(Node):
    tax_rule_id: NumericID = element("TaxRuleID")
    amount: RationalNumber = element("Amount")


class Receipt(Node):
    """Running costs of the session."""

    time_anchor: UnixTime = element("TimeAnchor")
    energy_costs: DetailedCost | None = element("EnergyCosts", default=None)
    occupancy_costs: DetailedCost | None = element("OccupancyCosts", default=None)
    additional_services_costs: DetailedCost | None = element("AdditionalServicesCosts", default=None)
    overstay_costs: DetailedCost | None = element("OverstayCosts", default=None)
    tax_costs: Annotated[list[DetailedTax], Occurs(0, 10)] = element("TaxCosts", default_factory=list)


class ListOfRootCertificateIDs(Node):
    """The V2G root certificates that the EV holds."""

    root_certificate_id: Annotated[list[xmldsig.X509IssuerSerial], Occurs(1, 20)] = element(
        "RootCertificateID"
    )


class ChargeParameterDiscoveryReq(V2GRequest):
    """Base of the requests of all energy modes."""

    abstract: ClassVar[bool] = True


class ChargeParameterDiscoveryRes(V2GResponse):
    """Base of the responses of all energy modes."""

    abstract: ClassVar[bool] = True


@global_element()
class CLReqControlMode(Node):
    """Head of the control modes of a charge-loop request; never sent itself."""

    abstract: ClassVar[bool] = True


@global_element()
class CLResControlMode(Node):
    """Head of the control modes of a charge-loop response; never sent itself."""

    abstract: ClassVar[bool] = True


class Scheduled_CLReqControlMode(CLReqControlMode):
    """Energy wishes of the EV under a schedule, from now on; negative once the state of charge is above."""

    abstract: ClassVar[bool] = True
    ev_target_energy_request: WattHour | None = element("EVTargetEnergyRequest", default=None)
    ev_maximum_energy_request: WattHour | None = element("EVMaximumEnergyRequest", default=None)
    ev_minimum_energy_request: WattHour | None = element("EVMinimumEnergyRequest", default=None)


class Scheduled_CLResControlMode(CLResControlMode):
    abstract: ClassVar[bool] = True


class Dynamic_CLReqControlMode(CLReqControlMode):
    """Energy needs of the EV under SECC control, from now on; negative once the state of charge is above."""

    abstract: ClassVar[bool] = True
    departure_time: Seconds | None = element("DepartureTime", default=None)
    """From the header's TimeStamp."""
    ev_target_energy_request: WattHour = element("EVTargetEnergyRequest")
    ev_maximum_energy_request: WattHour = element("EVMaximumEnergyRequest")
    ev_minimum_energy_request: WattHour = element("EVMinimumEnergyRequest")


class Dynamic_CLResControlMode(CLResControlMode):
    """Mobility needs that the SECC provides (MobilityNeedsMode 2)."""

    abstract: ClassVar[bool] = True
    departure_time: Seconds | None = element("DepartureTime", default=None)
    minimum_soc: Percent | None = element("MinimumSOC", default=None)
    target_soc: Percent | None = element("TargetSOC", default=None)
    ack_max_delay: ShortSeconds | None = element("AckMaxDelay", default=None)
    """Until the driver must have acknowledged changed needs."""


class ChargeLoopReq(V2GRequest):
    """Base of the charge-loop requests of all energy modes."""

    abstract: ClassVar[bool] = True
    display_parameters: DisplayParameters | None = element("DisplayParameters", default=None)
    meter_info_requested: Boolean = element("MeterInfoRequested")
    """True: the next response carries MeterInfo [V2G20-1081], [V2G20-1082]."""


class ChargeLoopRes(V2GResponse):
    """Base of the charge-loop responses of all energy modes."""

    abstract: ClassVar[bool] = True
    evse_status: EVSEStatus | None = element("EVSEStatus", default=None)
    meter_info: MeterInfo | None = element("MeterInfo", default=None)
    receipt: Receipt | None = element("Receipt", default=None)
