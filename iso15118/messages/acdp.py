"""ISO 15118-20 ACDP: positioning and connecting a pantograph (payload type 0x8005; SystemStatus 0x8103).

Energy transfer itself uses the DC messages. No source states the unit of positions and deviations.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from .common_types import (
    Boolean,
    Percent,
    Processing,
    RationalNumber,
    Short,
    V2GRequest,
    V2GResponse,
)
from .declare import Node, element, enumeration, global_element

NAMESPACE = "urn:iso:std:iso:15118:-20:ACDP"
PREFIX = "acdp"


@enumeration("cpStatusType")
class CPStatus(StrEnum):
    """State of the control pilot."""

    StateA = "StateA"
    StateB = "StateB"
    StateC = "StateC"
    StateD = "StateD"
    StateE = "StateE"


@enumeration("errorCodeType")
class ErrorCode(StrEnum):
    """What is wrong with the EV."""

    OK_NoEVError = "OK_NoEVError"
    FAILED = "FAILED"
    FAILED_EmergencyEvent = "FAILED_EmergencyEvent"
    FAILED_Breaker = "FAILED_Breaker"
    FAILED_RESSTemperatureInhibit = "FAILED_RESSTemperatureInhibit"
    FAILED_RESS = "FAILED_RESS"
    FAILED_ChargingCurrentDifferential = "FAILED_ChargingCurrentDifferential"
    FAILED_ChargingVoltageOutOfRange = "FAILED_ChargingVoltageOutOfRange"
    FAILED_Reserved1 = "FAILED_Reserved1"
    FAILED_Reserved2 = "FAILED_Reserved2"


@enumeration("isolationStatusType")
class IsolationStatus(StrEnum):
    Invalid = "Invalid"
    Safe = "Safe"
    Warning = "Warning"
    Fault = "Fault"


@enumeration("electricalChargingDeviceStatusType")
class ElectricalChargingDeviceStatus(StrEnum):
    """State of the electrical connection, as a control pilot would have it."""

    State_A = "State_A"
    State_B = "State_B"
    State_C = "State_C"
    State_D = "State_D"


@enumeration("mechanicalChargingDeviceStatusType")
class MechanicalChargingDeviceStatus(StrEnum):
    """Where the pantograph is."""

    Home = "Home"
    Moving = "Moving"
    EndPosition = "EndPosition"


class EVTechnicalStatus(Node):
    ev_ready_to_charge: Boolean = element("EVReadyToCharge")
    ev_immobilization_request: Boolean = element("EVImmobilizationRequest")
    ev_immobilized: Boolean | None = element("EVImmobilized", default=None)
    ev_wlan_strength: RationalNumber | None = element("EVWLANStrength", default=None)
    ev_cp_status: CPStatus | None = element("EVCPStatus", default=None)
    ev_soc: Percent | None = element("EVSOC", default=None)
    ev_error_code: ErrorCode | None = element("EVErrorCode", default=None)
    ev_timeout: Boolean | None = element("EVTimeout", default=None)


@global_element()
class ACDP_VehiclePositioningReq(V2GRequest):
    ev_mobility_status: Boolean = element("EVMobilityStatus")
    """True: the EV stands still."""
    ev_positioning_support: Boolean = element("EVPositioningSupport")
    """True: the EV has a positioning aid of its own."""


@global_element()
class ACDP_VehiclePositioningRes(V2GResponse):
    evse_processing: Processing = element("EVSEProcessing")
    evse_positioning_support: Boolean = element("EVSEPositioningSupport")
    """True: the SECC can measure the position."""
    ev_relative_x_deviation: Short = element("EVRelativeXDeviation")
    ev_relative_y_deviation: Short = element("EVRelativeYDeviation")
    contact_window_xc: Short = element("ContactWindowXc")
    contact_window_yc: Short = element("ContactWindowYc")
    ev_in_charge_position: Boolean = element("EVInChargePosition")


@global_element()
class ACDP_ConnectReq(V2GRequest):
    ev_electrical_charging_device_status: ElectricalChargingDeviceStatus = element(
        "EVElectricalChargingDeviceStatus"
    )


@global_element()
class ACDP_ConnectRes(V2GResponse):
    evse_processing: Processing = element("EVSEProcessing")
    """Ongoing while the device moves."""
    evse_electrical_charging_device_status: ElectricalChargingDeviceStatus = element(
        "EVSEElectricalChargingDeviceStatus"
    )
    evse_mechanical_charging_device_status: MechanicalChargingDeviceStatus = element(
        "EVSEMechanicalChargingDeviceStatus"
    )


@global_element()
class ACDP_DisconnectReq(ACDP_ConnectReq):
    """Of the same type as ACDP_ConnectReq."""

    xsd_type: ClassVar[str | None] = "ACDP_ConnectReqType"


@global_element()
class ACDP_DisconnectRes(ACDP_ConnectRes):
    """Of the same type as ACDP_ConnectRes."""

    xsd_type: ClassVar[str | None] = "ACDP_ConnectResType"


@global_element()
class ACDP_SystemStatusReq(V2GRequest):
    ev_technical_status: EVTechnicalStatus = element("EVTechnicalStatus")


@global_element()
class ACDP_SystemStatusRes(V2GResponse):
    evse_mechanical_charging_device_status: MechanicalChargingDeviceStatus = element(
        "EVSEMechanicalChargingDeviceStatus"
    )
    evse_ready_to_charge: Boolean = element("EVSEReadyToCharge")
    evse_isolation_status: IsolationStatus = element("EVSEIsolationStatus")
    evse_disabled: Boolean = element("EVSEDisabled")
    evse_utility_interrupt_event: Boolean = element("EVSEUtilityInterruptEvent")
    evse_emergency_shutdown: Boolean = element("EVSEEmergencyShutdown")
    evse_malfunction: Boolean = element("EVSEMalfunction")
    ev_in_charge_position: Boolean = element("EVInChargePosition")
    ev_association_status: Boolean = element("EVAssociationStatus")
