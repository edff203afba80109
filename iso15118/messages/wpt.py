"""ISO 15118-20 WPT: wireless power transfer (payload type 0x8006).

LF is the low-frequency, LPE the low-power excitation method of positioning, pairing and alignment. EVPC, SPC
and SD are the EV power circuit, the supply power circuit and the supply device, PD the primary device. No
source states the unit of lengths, coordinates and times of pulses.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from .common_types import (
    Ampere,
    Boolean,
    ChargeLoopReq,
    ChargeLoopRes,
    ChargeParameterDiscoveryReq,
    ChargeParameterDiscoveryRes,
    Hertz,
    Identifier,
    NumericID,
    Processing,
    RationalNumber,
    Short,
    UnsignedByte,
    UnsignedShort,
    V2GRequest,
    V2GResponse,
    Volt,
    Watt,
)
from .declare import Node, Occurs, Xsd, choice, element, enumeration, global_element

NAMESPACE = "urn:iso:std:iso:15118:-20:WPT"
PREFIX = "wpt"

DataContainer = Annotated[bytes, Meta(max_length=256), Xsd("base64Binary", "WPT_DataContainerType")]
DataContainers = Annotated[list[DataContainer], Occurs(0, 16)]
BSSID = Annotated[str, Meta(max_length=12), Xsd("string", "bssidType")]
IPAddress = Annotated[str, Meta(max_length=39), Xsd("string", "ipaddressType")]


@enumeration("WPT_FinePositioningMethodType")
class FinePositioningMethod(StrEnum):
    Manual = "Manual"
    LF_TxEV = "LF_TxEV"
    LF_TxPrimaryDevice = "LF_TxPrimaryDevice"
    LPE = "LPE"
    Proprietary = "Proprietary"


@enumeration("WPT_PairingMethodType")
class PairingMethod(StrEnum):
    External_confirmation = "External confirmation"
    LPE = "LPE"
    LF_TxEV = "LF_TxEV"
    LF_TxPrimaryDevice = "LF_TxPrimaryDevice"
    Optical = "Optical"
    Proprietary = "Proprietary"


@enumeration("WPT_AlignmentCheckMethodType")
class AlignmentCheckMethod(StrEnum):
    PowerCheck = "PowerCheck"
    LPE = "LPE"
    Proprietary = "Proprietary"


@enumeration("WPT_EVPCChargeDiagnosticsType")
class EVPCChargeDiagnostics(StrEnum):
    EVPCNoIssue = "EVPCNoIssue"
    EVPCTempOverheatDetected = "EVPCTempOverheatDetected"
    EVPCPowerTransferAnomalyDetected = "EVPCPowerTransferAnomalyDetected"
    EVPCAnomalyDetected = "EVPCAnomalyDetected"


@enumeration("WPT_SPCChargeDiagnosticsType")
class SPCChargeDiagnostics(StrEnum):
    """FOD: foreign object detection; LOP: living object protection."""

    SPCNoIssue = "SPCNoIssue"
    SPCFODDetected = "SPCFODDetected"
    SPCLOPDetected = "SPCLOPDetected"
    SPCTempOverheatDetected = "SPCTempOverheatDetected"
    SPCPowerTransferAnomalyDetected = "SPCPowerTransferAnomalyDetected"
    SPCAnomalyDetected = "SPCAnomalyDetected"


@enumeration("WPT_PowerClassType")
class PowerClass(StrEnum):
    MF_WPT1 = "MF-WPT1"
    MF_WPT2 = "MF-WPT2"
    MF_WPT3 = "MF-WPT3"
    MF_WPT4 = "MF-WPT4"


@enumeration("WPT_EVResultType")
class EVResult(StrEnum):
    EVResultUnknown = "EVResultUnknown"
    EVResultSuccess = "EVResultSuccess"
    EVResultFailed = "EVResultFailed"


class WPT_FinePositioningMethodList(Node):
    method: Annotated[list[FinePositioningMethod], Occurs(1, 8)] = element("WPT_FinePositioningMethod")


class WPT_PairingMethodList(Node):
    method: Annotated[list[PairingMethod], Occurs(1, 8)] = element("WPT_PairingMethod")


class WPT_AlignmentCheckMethodList(Node):
    method: Annotated[list[AlignmentCheckMethod], Occurs(1, 8)] = element("WPT_AlignmentCheckMethod")


# Low-frequency set-up and measurements


class WPT_CoordinateXYZ(Node):
    coord_x: Short = element("Coord_X")
    coord_y: Short = element("Coord_Y")
    coord_z: Short = element("Coord_Z")


class WPT_TxRxSpecData(Node):
    """Where one coil is and how it is turned."""

    tx_rx_identifier: NumericID = element("TxRxIdentifier")
    tx_rx_position: WPT_CoordinateXYZ = element("TxRxPosition")
    tx_rx_orientation: WPT_CoordinateXYZ = element("TxRxOrientation")


class WPT_TxRxPulseOrder(Node):
    index_number: UnsignedShort = element("IndexNumber")
    tx_rx_identifier: NumericID = element("TxRxIdentifier")


class WPT_TxRxPackageSpecData(Node):
    """In which order and rhythm the transmitters pulse."""

    pulse_sequence_order: Annotated[list[WPT_TxRxPulseOrder], Occurs(2, 255)] = element("PulseSequenceOrder")
    pulse_separation_time: UnsignedShort = element("PulseSeparationTime")
    pulse_duration: UnsignedShort = element("PulseDuration")
    package_separation_time: UnsignedShort = element("PackageSeparationTime")


class WPT_LF_TransmitterData(Node):
    number_of_transmitters: UnsignedByte = element("NumberOfTransmitters")
    signal_frequency: Hertz = element("SignalFrequency")
    tx_spec_data: Annotated[list[WPT_TxRxSpecData], Occurs(2, 255)] = element("TxSpecData")
    tx_package_spec_data: WPT_TxRxPackageSpecData | None = element("TxPackageSpecData", default=None)


class WPT_LF_ReceiverData(Node):
    number_of_receivers: UnsignedByte = element("NumberOfReceivers")
    rx_spec_data: Annotated[list[WPT_TxRxSpecData], Occurs(2, 255)] = element("RxSpecData")


class WPT_LF_SystemSetupData(Node):
    setup_data: WPT_LF_TransmitterData | WPT_LF_ReceiverData = choice(
        "LF_TransmitterSetupData", "LF_ReceiverSetupData"
    )


class WPT_LF_TxData(Node):
    tx_identifier: NumericID = element("TxIdentifier")
    eirp: RationalNumber = element("EIRP")
    """Equivalent isotropically radiated power."""


class WPT_LF_TxDataList(Node):
    tx_data: WPT_LF_TxData = element("WPT_LF_TxDataList")


class WPT_LF_RxRSSI(Node):
    tx_identifier: NumericID = element("TxIdentifier")
    rssi: RationalNumber = element("RSSI")
    """Received signal strength."""


class WPT_LF_RxRSSIList(Node):
    rssi_data: WPT_LF_RxRSSI = element("RSSIDataList")


class WPT_LF_RxData(Node):
    rx_identifier: NumericID = element("RxIdentifier")
    rssi_data: WPT_LF_RxRSSIList = element("RSSIData")


class WPT_LF_RxDataList(Node):
    rx_data: WPT_LF_RxData = element("WPT_LF_RxDataList")


class WPT_LF_DataPackage(Node):
    package_index: UnsignedByte = element("PackageIndex")
    data: WPT_LF_TxDataList | WPT_LF_RxDataList = choice("LF_TxData", "LF_RxData")


class WPT_LF_DataPackageList(Node):
    """Exactly one package, despite its name."""

    num_packages: UnsignedByte = element("NumPackages")
    data_package: WPT_LF_DataPackage = element("WPT_LF_DataPackage")


# Fine positioning


@global_element()
class WPT_FinePositioningSetupReq(V2GRequest):
    ev_processing: Processing = element("EVProcessing")
    fine_positioning_methods: WPT_FinePositioningMethodList = element("EVDeviceFinePositioningMethodList")
    pairing_methods: WPT_PairingMethodList = element("EVDevicePairingMethodList")
    alignment_check_methods: WPT_AlignmentCheckMethodList = element("EVDeviceAlignmentCheckMethodList")
    natural_offset: UnsignedShort = element("NaturalOffset")
    vendor_specific_data_container: DataContainers = element(
        "VendorSpecificDataContainer", default_factory=list
    )
    lf_system_setup_data: WPT_LF_SystemSetupData | None = element("LF_SystemSetupData", default=None)


@global_element()
class WPT_FinePositioningSetupRes(V2GResponse):
    fine_positioning_methods: WPT_FinePositioningMethodList = element(
        "PrimaryDeviceFinePositioningMethodList"
    )
    pairing_methods: WPT_PairingMethodList = element("PrimaryDevicePairingMethodList")
    alignment_check_methods: WPT_AlignmentCheckMethodList = element("PrimaryDeviceAlignmentCheckMethodList")
    natural_offset: UnsignedShort = element("NaturalOffset")
    vendor_specific_data_container: DataContainers = element(
        "VendorSpecificDataContainer", default_factory=list
    )
    lf_system_setup_data: WPT_LF_SystemSetupData | None = element("LF_SystemSetupData", default=None)


@global_element()
class WPT_FinePositioningReq(V2GRequest):
    ev_processing: Processing = element("EVProcessing")
    ev_result_code: EVResult = element("EVResultCode")
    vendor_specific_data_container: DataContainers = element(
        "VendorSpecificDataContainer", default_factory=list
    )
    lf_data_package_list: WPT_LF_DataPackageList | None = element("WPT_LF_DataPackageList", default=None)


@global_element()
class WPT_FinePositioningRes(V2GResponse):
    evse_processing: Processing = element("EVSEProcessing")
    vendor_specific_data_container: DataContainers = element(
        "VendorSpecificDataContainer", default_factory=list
    )
    lf_data_package_list: WPT_LF_DataPackageList | None = element("WPT_LF_DataPackageList", default=None)


# Pairing


class AlternativeSECC(Node):
    """How to reach another SECC."""

    ssid: Identifier | None = element("SSID", default=None)
    bssid: BSSID | None = element("BSSID", default=None)
    """MAC address of the access point, upper-case hexadecimal."""
    ip_address: IPAddress | None = element("IPAddress", default=None)
    """IPv6 address, upper-case with colons."""
    port: UnsignedShort | None = element("Port", default=None)


class AlternativeSECCList(Node):
    alternative_secc: Annotated[list[AlternativeSECC], Occurs(1, 8)] = element("AlternativeSECC")


@global_element()
class WPT_PairingReq(V2GRequest):
    ev_processing: Processing = element("EVProcessing")
    observed_id_code: NumericID | None = element("ObservedIDCode", default=None)
    ev_result_code: EVResult = element("EVResultCode")
    vendor_specific_data_container: DataContainers = element(
        "VendorSpecificDataContainer", default_factory=list
    )


@global_element()
class WPT_PairingRes(V2GResponse):
    evse_processing: Processing = element("EVSEProcessing")
    observed_id_code: NumericID | None = element("ObservedIDCode", default=None)
    alternative_secc_list: AlternativeSECCList | None = element("AlternativeSECCList", default=None)
    vendor_specific_data_container: DataContainers = element(
        "VendorSpecificDataContainer", default_factory=list
    )


# Charge parameters


@global_element()
class WPT_ChargeParameterDiscoveryReq(ChargeParameterDiscoveryReq):
    evpc_max_receivable_power: Watt = element("EVPCMaxReceivablePower")
    sd_max_ground_clearance: UnsignedShort = element("SDMaxGroundClearence")
    sd_min_ground_clearance: UnsignedShort = element("SDMinGroundClearence")
    evpc_natural_frequency: Hertz = element("EVPCNaturalFrequency")
    evpc_device_local_control: Boolean = element("EVPCDeviceLocalControl")
    vendor_specific_data_container: DataContainers = element(
        "VendorSpecificDataContainer", default_factory=list
    )


@global_element()
class WPT_ChargeParameterDiscoveryRes(ChargeParameterDiscoveryRes):
    pd_input_power_class: PowerClass = element("PDInputPowerClass")
    sd_min_output_power: Watt = element("SDMinOutputPower")
    sd_max_output_power: Watt = element("SDMaxOutputPower")
    sd_max_ground_clearance_support: UnsignedShort = element("SDMaxGroundClearanceSupport")
    sd_min_ground_clearance_support: UnsignedShort = element("SDMinGroundClearanceSupport")
    pd_min_coil_current: Ampere = element("PDMinCoilCurrent")
    pd_max_coil_current: Ampere = element("PDMaxCoilCurrent")
    sd_manufacturer_specific_data_container: DataContainers = element(
        "SDManufacturerSpecificDataContainer", default_factory=list
    )


# Alignment check


@global_element()
class WPT_AlignmentCheckReq(V2GRequest):
    ev_processing: Processing = element("EVProcessing")
    target_coil_current: Ampere | None = element("TargetCoilCurrent", default=None)
    ev_result_code: EVResult = element("EVResultCode")
    vendor_specific_data_container: DataContainers = element(
        "VendorSpecificDataContainer", default_factory=list
    )


@global_element()
class WPT_AlignmentCheckRes(V2GResponse):
    evse_processing: Processing = element("EVSEProcessing")
    power_transmitted: RationalNumber | None = element("PowerTransmitted", default=None)
    supply_device_current: Ampere | None = element("SupplyDeviceCurrent", default=None)
    vendor_specific_data_container: DataContainers = element(
        "VendorSpecificDataContainer", default_factory=list
    )


# Charge loop: there is no control mode element, neither scheduled nor dynamic


class WPT_EVPCPowerControlParameter(Node):
    evpc_coil_current_request: Ampere = element("EVPCCoilCurrentRequest")
    evpc_coil_current_information: Ampere = element("EVPCCoilCurrentInformation")
    evpc_current_output_information: Ampere = element("EVPCCurrentOutputInformation")
    evpc_voltage_output_information: Volt = element("EVPCVoltageOutputInformation")


class WPT_SPCPowerControlParameter(Node):
    spc_primary_device_coil_current_information: Ampere = element("SPCPrimaryDeviceCoilCurrentInformation")


@global_element()
class WPT_ChargeLoopReq(ChargeLoopReq):
    evpc_power_request: Watt = element("EVPCPowerRequest")
    evpc_power_output: Watt = element("EVPCPowerOutput")
    evpc_charge_diagnostics: EVPCChargeDiagnostics = element("EVPCChargeDiagnostics")
    evpc_operating_frequency: Hertz | None = element("EVPCOperatingFrequency", default=None)
    evpc_power_control_parameter: WPT_EVPCPowerControlParameter | None = element(
        "EVPCPowerControlParameter", default=None
    )
    manufacturer_specific_data_container: DataContainers = element(
        "ManufacturerSpecificDataContainer", default_factory=list
    )


@global_element()
class WPT_ChargeLoopRes(ChargeLoopRes):
    evpc_power_request: Watt = element("EVPCPowerRequest")
    sd_power_input: Watt | None = element("SDPowerInput", default=None)
    spc_max_output_power_limit: Watt = element("SPCMaxOutputPowerLimit")
    spc_min_output_power_limit: Watt = element("SPCMinOutputPowerLimit")
    spc_charge_diagnostics: SPCChargeDiagnostics = element("SPCChargeDiagnostics")
    spc_operating_frequency: Hertz | None = element("SPCOperatingFrequency", default=None)
    spc_power_control_parameter: WPT_SPCPowerControlParameter | None = element(
        "SPCPowerControlParameter", default=None
    )
    manufacturer_specific_data_container: DataContainers = element(
        "ManufacturerSpecificDataContainer", default_factory=list
    )
