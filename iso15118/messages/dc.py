"""ISO 15118-20 DC: messages of services 2, 6, 8 and 9, and the DC part of ACDP (payload type 0x8004).

Discharge limits are magnitudes; a negative current discharges the vehicle.
"""

from __future__ import annotations

from .common_types import (
    Ampere,
    Boolean,
    ChargeLoopReq,
    ChargeLoopRes,
    ChargeParameterDiscoveryReq,
    ChargeParameterDiscoveryRes,
    CLReqControlMode,
    CLResControlMode,
    Dynamic_CLReqControlMode,
    Dynamic_CLResControlMode,
    Percent,
    PercentPerMinute,
    Processing,
    Scheduled_CLReqControlMode,
    Scheduled_CLResControlMode,
    V2GRequest,
    V2GResponse,
    Volt,
    Watt,
    WattHour,
)
from .declare import Node, element, global_element

NAMESPACE = "urn:iso:std:iso:15118:-20:DC"
PREFIX = "dc"


@global_element()
class DC_CPDReqEnergyTransferMode(Node):
    """Limits of the EV."""

    ev_maximum_charge_power: Watt = element("EVMaximumChargePower")
    ev_minimum_charge_power: Watt = element("EVMinimumChargePower")
    ev_maximum_charge_current: Ampere = element("EVMaximumChargeCurrent")
    ev_minimum_charge_current: Ampere = element("EVMinimumChargeCurrent")
    ev_maximum_voltage: Volt = element("EVMaximumVoltage")
    ev_minimum_voltage: Volt = element("EVMinimumVoltage")
    target_soc: Percent | None = element("TargetSOC", default=None)


@global_element(substitutes=DC_CPDReqEnergyTransferMode)
class BPT_DC_CPDReqEnergyTransferMode(DC_CPDReqEnergyTransferMode):
    """Limits of the EV both ways."""

    ev_maximum_discharge_power: Watt = element("EVMaximumDischargePower")
    ev_minimum_discharge_power: Watt = element("EVMinimumDischargePower")
    ev_maximum_discharge_current: Ampere = element("EVMaximumDischargeCurrent")
    ev_minimum_discharge_current: Ampere = element("EVMinimumDischargeCurrent")


@global_element()
class DC_CPDResEnergyTransferMode(Node):
    """Limits of the EVSE."""

    evse_maximum_charge_power: Watt = element("EVSEMaximumChargePower")
    evse_minimum_charge_power: Watt = element("EVSEMinimumChargePower")
    evse_maximum_charge_current: Ampere = element("EVSEMaximumChargeCurrent")
    evse_minimum_charge_current: Ampere = element("EVSEMinimumChargeCurrent")
    evse_maximum_voltage: Volt = element("EVSEMaximumVoltage")
    evse_minimum_voltage: Volt = element("EVSEMinimumVoltage")
    evse_power_ramp_limitation: PercentPerMinute | None = element("EVSEPowerRampLimitation", default=None)


@global_element(substitutes=DC_CPDResEnergyTransferMode)
class BPT_DC_CPDResEnergyTransferMode(DC_CPDResEnergyTransferMode):
    """Limits of the EVSE both ways."""

    evse_maximum_discharge_power: Watt = element("EVSEMaximumDischargePower")
    evse_minimum_discharge_power: Watt = element("EVSEMinimumDischargePower")
    evse_maximum_discharge_current: Ampere = element("EVSEMaximumDischargeCurrent")
    evse_minimum_discharge_current: Ampere = element("EVSEMinimumDischargeCurrent")


@global_element()
class DC_ChargeParameterDiscoveryReq(ChargeParameterDiscoveryReq):
    energy_transfer_mode: DC_CPDReqEnergyTransferMode | BPT_DC_CPDReqEnergyTransferMode = element(
        "DC_CPDReqEnergyTransferMode"
    )


@global_element()
class DC_ChargeParameterDiscoveryRes(ChargeParameterDiscoveryRes):
    energy_transfer_mode: DC_CPDResEnergyTransferMode | BPT_DC_CPDResEnergyTransferMode = element(
        "DC_CPDResEnergyTransferMode"
    )


@global_element()
class DC_CableCheckReq(V2GRequest):
    """Asks for the isolation test."""


@global_element()
class DC_CableCheckRes(V2GResponse):
    evse_processing: Processing = element("EVSEProcessing")


@global_element()
class DC_PreChargeReq(V2GRequest):
    ev_processing: Processing = element("EVProcessing")
    """Finished in the last request, once the voltages match."""
    ev_present_voltage: Volt = element("EVPresentVoltage")
    ev_target_voltage: Volt = element("EVTargetVoltage")


@global_element()
class DC_PreChargeRes(V2GResponse):
    evse_present_voltage: Volt = element("EVSEPresentVoltage")


@global_element(substitutes=CLReqControlMode)
class Scheduled_DC_CLReqControlMode(Scheduled_CLReqControlMode):
    """Set-points of the EV under a schedule."""

    ev_target_current: Ampere = element("EVTargetCurrent")
    """Negative asks for discharge in a BPT session."""
    ev_target_voltage: Volt = element("EVTargetVoltage")
    ev_maximum_charge_power: Watt | None = element("EVMaximumChargePower", default=None)
    ev_minimum_charge_power: Watt | None = element("EVMinimumChargePower", default=None)
    ev_maximum_charge_current: Ampere | None = element("EVMaximumChargeCurrent", default=None)
    ev_maximum_voltage: Volt | None = element("EVMaximumVoltage", default=None)
    ev_minimum_voltage: Volt | None = element("EVMinimumVoltage", default=None)


@global_element(substitutes=Scheduled_DC_CLReqControlMode)
class BPT_Scheduled_DC_CLReqControlMode(Scheduled_DC_CLReqControlMode):
    ev_maximum_discharge_power: Watt | None = element("EVMaximumDischargePower", default=None)
    ev_minimum_discharge_power: Watt | None = element("EVMinimumDischargePower", default=None)
    ev_maximum_discharge_current: Ampere | None = element("EVMaximumDischargeCurrent", default=None)


@global_element(substitutes=CLReqControlMode)
class Dynamic_DC_CLReqControlMode(Dynamic_CLReqControlMode):
    """Limits within which the SECC regulates; there is no set-point of the EV."""

    ev_maximum_charge_power: Watt = element("EVMaximumChargePower")
    ev_minimum_charge_power: Watt = element("EVMinimumChargePower")
    ev_maximum_charge_current: Ampere = element("EVMaximumChargeCurrent")
    ev_maximum_voltage: Volt = element("EVMaximumVoltage")
    ev_minimum_voltage: Volt = element("EVMinimumVoltage")


@global_element(substitutes=Dynamic_DC_CLReqControlMode)
class BPT_Dynamic_DC_CLReqControlMode(Dynamic_DC_CLReqControlMode):
    ev_maximum_discharge_power: Watt = element("EVMaximumDischargePower")
    ev_minimum_discharge_power: Watt = element("EVMinimumDischargePower")
    ev_maximum_discharge_current: Ampere = element("EVMaximumDischargeCurrent")
    ev_maximum_v2x_energy_request: WattHour | None = element("EVMaximumV2XEnergyRequest", default=None)
    """To the top of the cycling range; both V2X values or neither [V2G20-2681]."""
    ev_minimum_v2x_energy_request: WattHour | None = element("EVMinimumV2XEnergyRequest", default=None)


@global_element(substitutes=CLResControlMode)
class Scheduled_DC_CLResControlMode(Scheduled_CLResControlMode):
    evse_maximum_charge_power: Watt | None = element("EVSEMaximumChargePower", default=None)
    evse_minimum_charge_power: Watt | None = element("EVSEMinimumChargePower", default=None)
    evse_maximum_charge_current: Ampere | None = element("EVSEMaximumChargeCurrent", default=None)
    evse_maximum_voltage: Volt | None = element("EVSEMaximumVoltage", default=None)


@global_element(substitutes=Scheduled_DC_CLResControlMode)
class BPT_Scheduled_DC_CLResControlMode(Scheduled_DC_CLResControlMode):
    evse_maximum_discharge_power: Watt | None = element("EVSEMaximumDischargePower", default=None)
    evse_minimum_discharge_power: Watt | None = element("EVSEMinimumDischargePower", default=None)
    evse_maximum_discharge_current: Ampere | None = element("EVSEMaximumDischargeCurrent", default=None)
    evse_minimum_voltage: Volt | None = element("EVSEMinimumVoltage", default=None)


@global_element(substitutes=CLResControlMode)
class Dynamic_DC_CLResControlMode(Dynamic_CLResControlMode):
    evse_maximum_charge_power: Watt = element("EVSEMaximumChargePower")
    evse_minimum_charge_power: Watt = element("EVSEMinimumChargePower")
    evse_maximum_charge_current: Ampere = element("EVSEMaximumChargeCurrent")
    evse_maximum_voltage: Volt = element("EVSEMaximumVoltage")


@global_element(substitutes=Dynamic_DC_CLResControlMode)
class BPT_Dynamic_DC_CLResControlMode(Dynamic_DC_CLResControlMode):
    evse_maximum_discharge_power: Watt = element("EVSEMaximumDischargePower")
    evse_minimum_discharge_power: Watt = element("EVSEMinimumDischargePower")
    evse_maximum_discharge_current: Ampere = element("EVSEMaximumDischargeCurrent")
    evse_minimum_voltage: Volt = element("EVSEMinimumVoltage")


@global_element()
class DC_ChargeLoopReq(ChargeLoopReq):
    ev_present_voltage: Volt = element("EVPresentVoltage")
    control_mode: (
        Scheduled_DC_CLReqControlMode
        | BPT_Scheduled_DC_CLReqControlMode
        | Dynamic_DC_CLReqControlMode
        | BPT_Dynamic_DC_CLReqControlMode
    ) = element("CLReqControlMode")


@global_element()
class DC_ChargeLoopRes(ChargeLoopRes):
    evse_present_current: Ampere = element("EVSEPresentCurrent")
    """Negative when discharging."""
    evse_present_voltage: Volt = element("EVSEPresentVoltage")
    evse_power_limit_achieved: Boolean = element("EVSEPowerLimitAchieved")
    evse_current_limit_achieved: Boolean = element("EVSECurrentLimitAchieved")
    evse_voltage_limit_achieved: Boolean = element("EVSEVoltageLimitAchieved")
    control_mode: (
        Scheduled_DC_CLResControlMode
        | BPT_Scheduled_DC_CLResControlMode
        | Dynamic_DC_CLResControlMode
        | BPT_Dynamic_DC_CLResControlMode
    ) = element("CLResControlMode")


@global_element()
class DC_WeldingDetectionReq(V2GRequest):
    ev_processing: Processing = element("EVProcessing")


@global_element()
class DC_WeldingDetectionRes(V2GResponse):
    evse_present_voltage: Volt = element("EVSEPresentVoltage")
