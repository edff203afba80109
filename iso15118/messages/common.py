"""ISO 15118-20 CommonMessages: session, authorization, services, schedules, power delivery,
metering, parking.

One file, since it is one schema, in the schema's order. Payload type 0x8002; MeteringConfirmation travels on
0x8102, VehicleCheckIn and VehicleCheckOut on 0x8104.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta

from .common_types import (
    Boolean,
    Byte,
    Description,
    EVSEStatus,
    Identifier,
    Int,
    ListOfRootCertificateIDs,
    MeterInfo,
    Name,
    NumericID,
    Percent,
    Processing,
    RationalNumber,
    Receipt,
    Seconds,
    SessionID,
    Short,
    UnixTime,
    UnsignedByte,
    UnsignedShort,
    V2GRequest,
    V2GResponse,
    Watt,
    WattHour,
)
from .declare import (
    Node,
    Occurs,
    OneOf,
    Unit,
    Xsd,
    attribute,
    choice,
    element,
    enumeration,
    global_element,
)

NAMESPACE = "urn:iso:std:iso:15118:-20:CommonMessages"
PREFIX = "cm"

Id = Annotated[str, Xsd("ID")]
ServiceID = Annotated[int, Meta(ge=0, le=2**16 - 1), Xsd("unsignedShort", "serviceIDType")]
Certificate = Annotated[bytes, Meta(max_length=1600), Xsd("base64Binary", "certificateType")]
GenChallenge = Annotated[bytes, Meta(min_length=16, max_length=16), Xsd("base64Binary", "genChallengeType")]
DHPublicKey = Annotated[bytes, Meta(min_length=133, max_length=133), Xsd("base64Binary", "dhPublicKeyType")]
SECP521_EncryptedPrivateKey = Annotated[
    bytes, Meta(min_length=94, max_length=94), Xsd("base64Binary", "secp521_EncryptedPrivateKeyType")
]
X448_EncryptedPrivateKey = Annotated[
    bytes, Meta(min_length=84, max_length=84), Xsd("base64Binary", "x448_EncryptedPrivateKeyType")
]
TPM_EncryptedPrivateKey = Annotated[
    bytes, Meta(min_length=206, max_length=206), Xsd("base64Binary", "tpm_EncryptedPrivateKeyType")
]
MaximumSupportingPoints = Annotated[
    int, Meta(ge=12, le=1024), Xsd("unsignedShort", "maxSupportingPointsScheduleTupleType")
]
Currency = Annotated[str, Meta(max_length=3), Xsd("string", "currencyType")]
Language = Annotated[str, Meta(max_length=3), Xsd("string", "languageType")]


# Session set-up and stop


@global_element()
class SessionSetupReq(V2GRequest):
    """Opens a session (SessionID of eight zero bytes) or resumes the one the header names."""

    evcc_id: Identifier = element("EVCCID")
    """CN of the vehicle certificate in the -20 PKI [V2G20-2598]."""


@global_element()
class SessionSetupRes(V2GResponse):
    evse_id: Identifier = element("EVSEID")


@enumeration("chargingSessionType")
class ChargingSession(StrEnum):
    """How the session goes on after SessionStop."""

    Pause = "Pause"
    Terminate = "Terminate"
    ServiceRenegotiation = "ServiceRenegotiation"


@global_element()
class SessionStopReq(V2GRequest):
    charging_session: ChargingSession = element("ChargingSession")
    ev_termination_code: Name | None = element("EVTerminationCode", default=None)
    """Free text."""
    ev_termination_explanation: Description | None = element("EVTerminationExplanation", default=None)


@global_element()
class SessionStopRes(V2GResponse):
    pass


# Authorization


@enumeration("authorizationType")
class Authorization(StrEnum):
    """External identification means, or Plug and Charge by contract certificate."""

    EIM = "EIM"
    PnC = "PnC"


@global_element()
class AuthorizationSetupReq(V2GRequest):
    pass


class EIM_ASResAuthorizationMode(Node):
    """Empty; only when PnC is not offered [V2G20-1220]."""


class SupportedProvidersList(Node):
    provider_id: Annotated[list[Name], Occurs(1, 128)] = element("ProviderID")


class PnC_ASResAuthorizationMode(Node):
    """Whenever PnC is offered [V2G20-1219]."""

    gen_challenge: GenChallenge = element("GenChallenge")
    """16 random bytes that AuthorizationReq echoes [V2G20-2565]."""
    supported_providers: SupportedProvidersList | None = element("SupportedProviders", default=None)


@global_element()
class AuthorizationSetupRes(V2GResponse):
    authorization_services: Annotated[list[Authorization], Occurs(1, 2)] = element("AuthorizationServices")
    certificate_installation_service: Boolean = element("CertificateInstallationService")
    authorization_mode: EIM_ASResAuthorizationMode | PnC_ASResAuthorizationMode = choice(
        "EIM_ASResAuthorizationMode", "PnC_ASResAuthorizationMode"
    )


class SubCertificates(Node):
    certificate: Annotated[list[Certificate], Occurs(1, 3)] = element("Certificate")
    """DER, from the issuer of the leaf upwards."""


class CertificateChain(Node):
    certificate: Certificate = element("Certificate")
    """DER."""
    sub_certificates: SubCertificates | None = element("SubCertificates", default=None)


class ContractCertificateChain(Node):
    certificate: Certificate = element("Certificate")
    """DER."""
    sub_certificates: SubCertificates = element("SubCertificates")


class SignedCertificateChain(Node):
    id: Id = attribute("Id")
    certificate: Certificate = element("Certificate")
    """DER."""
    sub_certificates: SubCertificates | None = element("SubCertificates", default=None)


class EIM_AReqAuthorizationMode(Node):
    """Empty."""


class PnC_AReqAuthorizationMode(Node):
    """Signed with the contract key."""

    id: Id = attribute("Id")
    gen_challenge: GenChallenge = element("GenChallenge")
    contract_certificate_chain: ContractCertificateChain = element("ContractCertificateChain")


@global_element()
class AuthorizationReq(V2GRequest):
    selected_authorization_service: Authorization = element("SelectedAuthorizationService")
    authorization_mode: EIM_AReqAuthorizationMode | PnC_AReqAuthorizationMode = choice(
        "EIM_AReqAuthorizationMode", "PnC_AReqAuthorizationMode"
    )


@global_element()
class AuthorizationRes(V2GResponse):
    evse_processing: Processing = element("EVSEProcessing")
    """Finished: the verdict is in ResponseCode."""


# Certificate installation


class EMAIDList(Node):
    emaid: Annotated[list[Identifier], Occurs(1, 8)] = element("EMAID")
    """In order of priority."""


@global_element()
class CertificateInstallationReq(V2GRequest):
    oem_provisioning_certificate_chain: SignedCertificateChain = element("OEMProvisioningCertificateChain")
    """Signed with the OEM provisioning key."""
    list_of_root_certificate_ids: ListOfRootCertificateIDs = element("ListOfRootCertificateIDs")
    maximum_contract_certificate_chains: UnsignedByte = element("MaximumContractCertificateChains")
    """How many contracts the EV can store."""
    prioritized_emaids: EMAIDList | None = element("PrioritizedEMAIDs", default=None)


@enumeration("ecdhCurveType")
class ECDHCurve(StrEnum):
    SECP521 = "SECP521"
    X448 = "X448"


@global_element()
class SignedInstallationData(Node):
    """One contract, signed by the certificate provisioning service."""

    id: Id = attribute("Id")
    contract_certificate_chain: ContractCertificateChain = element("ContractCertificateChain")
    ecdh_curve: ECDHCurve = element("ECDHCurve")
    dh_public_key: DHPublicKey = element("DHPublicKey")
    secp521_encrypted_private_key: Annotated[SECP521_EncryptedPrivateKey | None, OneOf("key")] = element(
        "SECP521_EncryptedPrivateKey", default=None
    )
    """Initialisation vector (12 bytes), key (66), tag (16)."""
    x448_encrypted_private_key: Annotated[X448_EncryptedPrivateKey | None, OneOf("key")] = element(
        "X448_EncryptedPrivateKey", default=None
    )
    """Initialisation vector (12 bytes), key (56), tag (16)."""
    tpm_encrypted_private_key: Annotated[TPM_EncryptedPrivateKey | None, OneOf("key")] = element(
        "TPM_EncryptedPrivateKey", default=None
    )


@global_element()
class CertificateInstallationRes(V2GResponse):
    evse_processing: Processing = element("EVSEProcessing")
    cps_certificate_chain: CertificateChain = element("CPSCertificateChain")
    signed_installation_data: SignedInstallationData = element("SignedInstallationData")
    remaining_contract_certificate_chains: UnsignedByte = element("RemainingContractCertificateChains")
    """Above 0: repeat the request for the next contract."""


# Services


class ServiceIDList(Node):
    service_id: Annotated[list[ServiceID], Occurs(1, 16)] = element("ServiceID")


@global_element()
class ServiceDiscoveryReq(V2GRequest):
    supported_service_ids: ServiceIDList | None = element("SupportedServiceIDs", default=None)
    """Absent: everything is of interest [V2G20-1248]."""


class Service(Node):
    service_id: ServiceID = element("ServiceID")
    free_service: Boolean = element("FreeService")


class ServiceList(Node):
    service: Annotated[list[Service], Occurs(1, 8)] = element("Service")


@global_element()
class ServiceDiscoveryRes(V2GResponse):
    service_renegotiation_supported: Boolean = element("ServiceRenegotiationSupported")
    energy_transfer_service_list: ServiceList = element("EnergyTransferServiceList")
    vas_list: ServiceList | None = element("VASList", default=None)


@global_element()
class ServiceDetailReq(V2GRequest):
    service_id: ServiceID = element("ServiceID")


class Parameter(Node):
    """A named value of exactly one kind."""

    name: Name = attribute("Name")
    bool_value: Annotated[Boolean | None, OneOf("value")] = element("boolValue", default=None)
    byte_value: Annotated[Byte | None, OneOf("value")] = element("byteValue", default=None)
    short_value: Annotated[Short | None, OneOf("value")] = element("shortValue", default=None)
    int_value: Annotated[Int | None, OneOf("value")] = element("intValue", default=None)
    rational_number: Annotated[RationalNumber | None, OneOf("value")] = element(
        "rationalNumber", default=None
    )
    finite_string: Annotated[Name | None, OneOf("value")] = element("finiteString", default=None)


class ParameterSet(Node):
    parameter_set_id: ServiceID = element("ParameterSetID")
    parameter: Annotated[list[Parameter], Occurs(1, 32)] = element("Parameter")


class ServiceParameterList(Node):
    parameter_set: Annotated[list[ParameterSet], Occurs(1, 32)] = element("ParameterSet")


@global_element()
class ServiceDetailRes(V2GResponse):
    service_id: ServiceID = element("ServiceID")
    service_parameter_list: ServiceParameterList = element("ServiceParameterList")


class SelectedService(Node):
    service_id: ServiceID = element("ServiceID")
    parameter_set_id: ServiceID = element("ParameterSetID")


class SelectedServiceList(Node):
    selected_service: Annotated[list[SelectedService], Occurs(1, 16)] = element("SelectedService")


@global_element()
class ServiceSelectionReq(V2GRequest):
    selected_energy_transfer_service: SelectedService = element("SelectedEnergyTransferService")
    selected_vas_list: SelectedServiceList | None = element("SelectedVASList", default=None)


@global_element()
class ServiceSelectionRes(V2GResponse):
    pass


# Schedules and prices


class EVPowerScheduleEntry(Node):
    duration: Seconds = element("Duration")
    power: Watt = element("Power")
    """Negative: willing to discharge."""


class EVPowerScheduleEntryList(Node):
    ev_power_schedule_entry: Annotated[list[EVPowerScheduleEntry], Occurs(1, 1024)] = element(
        "EVPowerScheduleEntry"
    )


class EVPowerSchedule(Node):
    time_anchor: UnixTime = element("TimeAnchor")
    ev_power_schedule_entries: EVPowerScheduleEntryList = element("EVPowerScheduleEntries")


class EVPriceRule(Node):
    energy_fee: RationalNumber = element("EnergyFee")
    power_range_start: Watt = element("PowerRangeStart")


class EVPriceRuleStack(Node):
    duration: Seconds = element("Duration")
    ev_price_rule: Annotated[list[EVPriceRule], Occurs(1, 8)] = element("EVPriceRule")


class EVPriceRuleStackList(Node):
    ev_price_rule_stack: Annotated[list[EVPriceRuleStack], Occurs(1, 1024)] = element("EVPriceRuleStack")


class EVAbsolutePriceSchedule(Node):
    time_anchor: UnixTime = element("TimeAnchor")
    currency: Currency = element("Currency")
    price_algorithm: Identifier = element("PriceAlgorithm")
    ev_price_rule_stacks: EVPriceRuleStackList = element("EVPriceRuleStacks")


class EVEnergyOffer(Node):
    """What the EV would discharge, and for how much."""

    ev_power_schedule: EVPowerSchedule = element("EVPowerSchedule")
    ev_absolute_price_schedule: EVAbsolutePriceSchedule = element("EVAbsolutePriceSchedule")


class Scheduled_SEReqControlMode(Node):
    """Energy wishes from now on; negative once the state of charge is above."""

    departure_time: Seconds | None = element("DepartureTime", default=None)
    """From the header's TimeStamp."""
    ev_target_energy_request: WattHour | None = element("EVTargetEnergyRequest", default=None)
    ev_maximum_energy_request: WattHour | None = element("EVMaximumEnergyRequest", default=None)
    ev_minimum_energy_request: WattHour | None = element("EVMinimumEnergyRequest", default=None)
    ev_energy_offer: EVEnergyOffer | None = element("EVEnergyOffer", default=None)


class Dynamic_SEReqControlMode(Node):
    """Energy needs from now on; negative once the state of charge is above."""

    departure_time: Seconds = element("DepartureTime")
    """From the header's TimeStamp."""
    minimum_soc: Percent | None = element("MinimumSOC", default=None)
    """At most TargetSOC [V2G20-1640]."""
    target_soc: Percent | None = element("TargetSOC", default=None)
    ev_target_energy_request: WattHour = element("EVTargetEnergyRequest")
    ev_maximum_energy_request: WattHour = element("EVMaximumEnergyRequest")
    ev_minimum_energy_request: WattHour = element("EVMinimumEnergyRequest")
    ev_maximum_v2x_energy_request: WattHour | None = element("EVMaximumV2XEnergyRequest", default=None)
    """To the top of the cycling range; both V2X values or neither [V2G20-2681]."""
    ev_minimum_v2x_energy_request: WattHour | None = element("EVMinimumV2XEnergyRequest", default=None)


@global_element()
class ScheduleExchangeReq(V2GRequest):
    maximum_supporting_points: MaximumSupportingPoints = element("MaximumSupportingPoints")
    """Entries per schedule that the EV can take [V2G20-1056]."""
    control_mode: Dynamic_SEReqControlMode | Scheduled_SEReqControlMode = choice(
        "Dynamic_SEReqControlMode", "Scheduled_SEReqControlMode"
    )


class PowerScheduleEntry(Node):
    """Ceiling over an interval; entries follow one another from TimeAnchor."""

    duration: Seconds = element("Duration")
    power: Watt = element("Power")
    """Sum of all phases, or L1 if L2 and L3 are given."""
    power_l2: Watt | None = element("Power_L2", default=None)
    power_l3: Watt | None = element("Power_L3", default=None)


class PowerScheduleEntryList(Node):
    power_schedule_entry: Annotated[list[PowerScheduleEntry], Occurs(1, 1024)] = element("PowerScheduleEntry")


class PowerSchedule(Node):
    time_anchor: UnixTime = element("TimeAnchor")
    """Start of the schedule [V2G20-2138]."""
    available_energy: WattHour | None = element("AvailableEnergy", default=None)
    power_tolerance: Watt | None = element("PowerTolerance", default=None)
    power_schedule_entries: PowerScheduleEntryList = element("PowerScheduleEntries")


class TaxRule(Node):
    tax_rule_id: NumericID = element("TaxRuleID")
    tax_rule_name: Name | None = element("TaxRuleName", default=None)
    tax_rate: Annotated[RationalNumber, Unit("%")] = element("TaxRate")
    tax_included_in_price: Boolean | None = element("TaxIncludedInPrice", default=None)
    applies_to_energy_fee: Boolean = element("AppliesToEnergyFee")
    applies_to_parking_fee: Boolean = element("AppliesToParkingFee")
    applies_to_overstay_fee: Boolean = element("AppliesToOverstayFee")
    applies_minimum_maximum_cost: Boolean = element("AppliesMinimumMaximumCost")


class TaxRuleList(Node):
    tax_rule: Annotated[list[TaxRule], Occurs(1, 10)] = element("TaxRule")


class PriceRule(Node):
    """Applies from PowerRangeStart up to the next rule's start."""

    energy_fee: RationalNumber = element("EnergyFee")
    """Currency per kWh."""
    parking_fee: RationalNumber | None = element("ParkingFee", default=None)
    """Currency per ParkingFeePeriod, due when a period is entered."""
    parking_fee_period: Seconds | None = element("ParkingFeePeriod", default=None)
    carbon_dioxide_emission: Annotated[UnsignedShort, Unit("g/kWh")] | None = element(
        "CarbonDioxideEmission", default=None
    )
    renewable_generation_percentage: Annotated[UnsignedByte, Unit("%")] | None = element(
        "RenewableGenerationPercentage", default=None
    )
    power_range_start: Watt = element("PowerRangeStart")
    """Negative for discharging."""


class PriceRuleStack(Node):
    duration: Seconds = element("Duration")
    price_rule: Annotated[list[PriceRule], Occurs(1, 8)] = element("PriceRule")


class PriceRuleStackList(Node):
    price_rule_stack: Annotated[list[PriceRuleStack], Occurs(1, 1024)] = element("PriceRuleStack")


class OverstayRule(Node):
    overstay_rule_description: Description | None = element("OverstayRuleDescription", default=None)
    start_time: Seconds = element("StartTime")
    """After the overstay condition triggers."""
    overstay_fee: RationalNumber = element("OverstayFee")
    overstay_fee_period: Seconds = element("OverstayFeePeriod")


class OverstayRuleList(Node):
    overstay_time_threshold: Seconds | None = element("OverstayTimeThreshold", default=None)
    overstay_power_threshold: Watt | None = element("OverstayPowerThreshold", default=None)
    overstay_rule: Annotated[list[OverstayRule], Occurs(1, 5)] = element("OverstayRule")


class AdditionalService(Node):
    service_name: Name = element("ServiceName")
    service_fee: RationalNumber = element("ServiceFee")


class AdditionalServiceList(Node):
    additional_service: Annotated[list[AdditionalService], Occurs(1, 5)] = element("AdditionalService")


class PriceSchedule(Node):
    """What both kinds of price schedule share."""

    abstract: ClassVar[bool] = True
    time_anchor: UnixTime = element("TimeAnchor")
    price_schedule_id: NumericID = element("PriceScheduleID")
    price_schedule_description: Description | None = element("PriceScheduleDescription", default=None)


class AbsolutePriceSchedule(PriceSchedule):
    """Prices in a currency (Pricing 1); may be signed by the eMSP."""

    id: Id | None = attribute("Id", default=None)
    currency: Currency = element("Currency")
    """ISO 4217."""
    language: Language = element("Language")
    """ISO 639."""
    price_algorithm: Identifier = element("PriceAlgorithm")
    """urn:iso:std:iso:15118:-20:PriceAlgorithm: with 1-Power, 2-PeakPower or 3-StackedEnergy."""
    minimum_cost: RationalNumber | None = element("MinimumCost", default=None)
    maximum_cost: RationalNumber | None = element("MaximumCost", default=None)
    tax_rules: TaxRuleList | None = element("TaxRules", default=None)
    price_rule_stacks: PriceRuleStackList = element("PriceRuleStacks")
    overstay_rules: OverstayRuleList | None = element("OverstayRules", default=None)
    additional_selected_services: AdditionalServiceList | None = element(
        "AdditionalSelectedServices", default=None
    )


class PriceLevelScheduleEntry(Node):
    duration: Seconds = element("Duration")
    price_level: UnsignedByte = element("PriceLevel")
    """Smaller is cheaper."""


class PriceLevelScheduleEntryList(Node):
    price_level_schedule_entry: Annotated[list[PriceLevelScheduleEntry], Occurs(1, 1024)] = element(
        "PriceLevelScheduleEntry"
    )


class PriceLevelSchedule(PriceSchedule):
    """Prices as levels (Pricing 2); may be signed by the eMSP."""

    id: Id | None = attribute("Id", default=None)
    number_of_price_levels: UnsignedByte = element("NumberOfPriceLevels")
    price_level_schedule_entries: PriceLevelScheduleEntryList = element("PriceLevelScheduleEntries")


class ChargingSchedule(Node):
    power_schedule: PowerSchedule = element("PowerSchedule")
    price_schedule: AbsolutePriceSchedule | PriceLevelSchedule | None = choice(
        "AbsolutePriceSchedule", "PriceLevelSchedule", default=None
    )


class ScheduleTuple(Node):
    schedule_tuple_id: NumericID = element("ScheduleTupleID")
    charging_schedule: ChargingSchedule = element("ChargingSchedule")
    discharging_schedule: ChargingSchedule | None = element("DischargingSchedule", default=None)
    """BPT only."""


class Scheduled_SEResControlMode(Node):
    schedule_tuple: Annotated[list[ScheduleTuple], Occurs(1, 3)] = element("ScheduleTuple")


class Dynamic_SEResControlMode(Node):
    """Mobility needs that the SECC provides (MobilityNeedsMode 2) and prices."""

    departure_time: Seconds | None = element("DepartureTime", default=None)
    """From the header's TimeStamp."""
    minimum_soc: Percent | None = element("MinimumSOC", default=None)
    target_soc: Percent | None = element("TargetSOC", default=None)
    price_schedule: AbsolutePriceSchedule | PriceLevelSchedule | None = choice(
        "AbsolutePriceSchedule", "PriceLevelSchedule", default=None
    )


@global_element()
class ScheduleExchangeRes(V2GResponse):
    evse_processing: Processing = element("EVSEProcessing")
    go_to_pause: Boolean | None = element("GoToPause", default=None)
    """True asks the EV to pause instead of going on."""
    control_mode: Dynamic_SEResControlMode | Scheduled_SEResControlMode = choice(
        "Dynamic_SEResControlMode", "Scheduled_SEResControlMode"
    )


# Power delivery


@enumeration("chargeProgressType")
class ChargeProgress(StrEnum):
    Start = "Start"
    Stop = "Stop"
    Standby = "Standby"
    ScheduleRenegotiation = "ScheduleRenegotiation"


@enumeration("channelSelectionType")
class ChannelSelection(StrEnum):
    """Direction, where the channels of a BPT service are separated [V2G20-2123]."""

    Charge = "Charge"
    Discharge = "Discharge"


@enumeration("powerToleranceAcceptanceType")
class PowerToleranceAcceptance(StrEnum):
    PowerToleranceNotConfirmed = "PowerToleranceNotConfirmed"
    PowerToleranceConfirmed = "PowerToleranceConfirmed"


class Dynamic_EVPPTControlMode(Node):
    """Empty."""


class Scheduled_EVPPTControlMode(Node):
    selected_schedule_tuple_id: NumericID = element("SelectedScheduleTupleID")
    """One of those offered [V2G20-1058]."""
    power_tolerance_acceptance: PowerToleranceAcceptance | None = element(
        "PowerToleranceAcceptance", default=None
    )


class EVPowerProfileEntryList(Node):
    ev_power_profile_entry: Annotated[list[PowerScheduleEntry], Occurs(1, 2048)] = element(
        "EVPowerProfileEntry"
    )


class EVPowerProfile(Node):
    """How the EV will draw power within the schedule."""

    time_anchor: UnixTime = element("TimeAnchor")
    control_mode: Dynamic_EVPPTControlMode | Scheduled_EVPPTControlMode = choice(
        "Dynamic_EVPPTControlMode", "Scheduled_EVPPTControlMode"
    )
    ev_power_profile_entries: EVPowerProfileEntryList = element("EVPowerProfileEntries")


@global_element()
class PowerDeliveryReq(V2GRequest):
    ev_processing: Processing = element("EVProcessing")
    charge_progress: ChargeProgress = element("ChargeProgress")
    ev_power_profile: EVPowerProfile | None = element("EVPowerProfile", default=None)
    bpt_channel_selection: ChannelSelection | None = element("BPT_ChannelSelection", default=None)


@global_element()
class PowerDeliveryRes(V2GResponse):
    evse_status: EVSEStatus | None = element("EVSEStatus", default=None)


# Metering confirmation (side stream 0x8102)


class Dynamic_SMDTControlMode(Node):
    """Empty."""


class Scheduled_SMDTControlMode(Node):
    selected_schedule_tuple_id: NumericID = element("SelectedScheduleTupleID")


@global_element()
class SignedMeteringData(Node):
    """Signed with the contract key."""

    id: Id = attribute("Id")
    session_id: SessionID = element("SessionID")
    meter_info: MeterInfo = element("MeterInfo")
    receipt: Receipt | None = element("Receipt", default=None)
    control_mode: Dynamic_SMDTControlMode | Scheduled_SMDTControlMode = choice(
        "Dynamic_SMDTControlMode", "Scheduled_SMDTControlMode"
    )


@global_element()
class MeteringConfirmationReq(V2GRequest):
    signed_metering_data: SignedMeteringData = element("SignedMeteringData")


@global_element()
class MeteringConfirmationRes(V2GResponse):
    pass


# Parking status (side stream 0x8104)


@enumeration("evCheckInStatusType")
class EVCheckInStatus(StrEnum):
    CheckIn = "CheckIn"
    Processing = "Processing"
    Completed = "Completed"


@enumeration("parkingMethodType")
class ParkingMethod(StrEnum):
    AutoParking = "AutoParking"
    MVGuideManual = "MVGuideManual"
    Manual = "Manual"


class TargetPosition(Node):
    """Declared in edition 1, used by no message."""

    target_offset_x: UnsignedShort = element("TargetOffsetX")
    target_offset_y: UnsignedShort = element("TargetOffsetY")


@global_element()
class VehicleCheckInReq(V2GRequest):
    ev_check_in_status: EVCheckInStatus = element("EVCheckInStatus")
    parking_method: ParkingMethod = element("ParkingMethod")
    vehicle_frame: Short | None = element("VehicleFrame", default=None)
    device_offset: Short | None = element("DeviceOffset", default=None)
    vehicle_travel: Short | None = element("VehicleTravel", default=None)


@global_element()
class VehicleCheckInRes(V2GResponse):
    parking_space: Short | None = element("ParkingSpace", default=None)
    device_location: Short | None = element("DeviceLocation", default=None)
    target_distance: Short | None = element("TargetDistance", default=None)


@enumeration("evCheckOutStatusType")
class EVCheckOutStatus(StrEnum):
    CheckOut = "CheckOut"
    Processing = "Processing"
    Completed = "Completed"


@enumeration("evseCheckOutStatusType")
class EVSECheckOutStatus(StrEnum):
    Scheduled = "Scheduled"
    Completed = "Completed"


@global_element()
class VehicleCheckOutReq(V2GRequest):
    ev_check_out_status: EVCheckOutStatus = element("EVCheckOutStatus")
    check_out_time: UnixTime = element("CheckOutTime")


@global_element()
class VehicleCheckOutRes(V2GResponse):
    evse_check_out_status: EVSECheckOutStatus = element("EVSECheckOutStatus")
