"""ISO 15118-20 AC: messages of services 1 and 5 (payload type 0x8003).

Powers of three phases come as `X` alone (one phase, or the sum of a symmetric connection) or as `X`, `X_L2`
and `X_L3` together, and then `X` is of L1 only. Discharge limits are magnitudes; a negative measured or
target power discharges the vehicle.
"""

from __future__ import annotations

from .common_types import (
    ChargeLoopReq,
    ChargeLoopRes,
    ChargeParameterDiscoveryReq,
    ChargeParameterDiscoveryRes,
    CLReqControlMode,
    CLResControlMode,
    Dynamic_CLReqControlMode,
    Dynamic_CLResControlMode,
    Hertz,
    PercentPerMinute,
    Scheduled_CLReqControlMode,
    Scheduled_CLResControlMode,
    Var,
    Watt,
    WattHour,
)
from .declare import Node, element, global_element

NAMESPACE = "urn:iso:std:iso:15118:-20:AC"
PREFIX = "ac"


@global_element()
class AC_CPDReqEnergyTransferMode(Node):
    """Limits of the EV."""

    ev_maximum_charge_power: Watt = element("EVMaximumChargePower")
    ev_maximum_charge_power_l2: Watt | None = element("EVMaximumChargePower_L2", default=None)
    ev_maximum_charge_power_l3: Watt | None = element("EVMaximumChargePower_L3", default=None)
    ev_minimum_charge_power: Watt = element("EVMinimumChargePower")
    ev_minimum_charge_power_l2: Watt | None = element("EVMinimumChargePower_L2", default=None)
    ev_minimum_charge_power_l3: Watt | None = element("EVMinimumChargePower_L3", default=None)


@global_element(substitutes=AC_CPDReqEnergyTransferMode)
class BPT_AC_CPDReqEnergyTransferMode(AC_CPDReqEnergyTransferMode):
    """Limits of the EV both ways."""

    ev_maximum_discharge_power: Watt = element("EVMaximumDischargePower")
    ev_maximum_discharge_power_l2: Watt | None = element("EVMaximumDischargePower_L2", default=None)
    ev_maximum_discharge_power_l3: Watt | None = element("EVMaximumDischargePower_L3", default=None)
    ev_minimum_discharge_power: Watt = element("EVMinimumDischargePower")
    ev_minimum_discharge_power_l2: Watt | None = element("EVMinimumDischargePower_L2", default=None)
    ev_minimum_discharge_power_l3: Watt | None = element("EVMinimumDischargePower_L3", default=None)


@global_element()
class AC_CPDResEnergyTransferMode(Node):
    """Limits of the EVSE and state of the grid connection."""

    evse_maximum_charge_power: Watt = element("EVSEMaximumChargePower")
    evse_maximum_charge_power_l2: Watt | None = element("EVSEMaximumChargePower_L2", default=None)
    evse_maximum_charge_power_l3: Watt | None = element("EVSEMaximumChargePower_L3", default=None)
    evse_minimum_charge_power: Watt = element("EVSEMinimumChargePower")
    evse_minimum_charge_power_l2: Watt | None = element("EVSEMinimumChargePower_L2", default=None)
    evse_minimum_charge_power_l3: Watt | None = element("EVSEMinimumChargePower_L3", default=None)
    evse_nominal_frequency: Hertz = element("EVSENominalFrequency")
    maximum_power_asymmetry: Watt | None = element("MaximumPowerAsymmetry", default=None)
    """Greatest difference between two phases."""
    evse_power_ramp_limitation: PercentPerMinute | None = element("EVSEPowerRampLimitation", default=None)
    evse_present_active_power: Watt | None = element("EVSEPresentActivePower", default=None)
    evse_present_active_power_l2: Watt | None = element("EVSEPresentActivePower_L2", default=None)
    evse_present_active_power_l3: Watt | None = element("EVSEPresentActivePower_L3", default=None)


@global_element(substitutes=AC_CPDResEnergyTransferMode)
class BPT_AC_CPDResEnergyTransferMode(AC_CPDResEnergyTransferMode):
    """Limits of the EVSE both ways."""

    evse_maximum_discharge_power: Watt = element("EVSEMaximumDischargePower")
    evse_maximum_discharge_power_l2: Watt | None = element("EVSEMaximumDischargePower_L2", default=None)
    evse_maximum_discharge_power_l3: Watt | None = element("EVSEMaximumDischargePower_L3", default=None)
    evse_minimum_discharge_power: Watt = element("EVSEMinimumDischargePower")
    evse_minimum_discharge_power_l2: Watt | None = element("EVSEMinimumDischargePower_L2", default=None)
    evse_minimum_discharge_power_l3: Watt | None = element("EVSEMinimumDischargePower_L3", default=None)


@global_element()
class AC_ChargeParameterDiscoveryReq(ChargeParameterDiscoveryReq):
    energy_transfer_mode: AC_CPDReqEnergyTransferMode | BPT_AC_CPDReqEnergyTransferMode = element(
        "AC_CPDReqEnergyTransferMode"
    )


@global_element()
class AC_ChargeParameterDiscoveryRes(ChargeParameterDiscoveryRes):
    energy_transfer_mode: AC_CPDResEnergyTransferMode | BPT_AC_CPDResEnergyTransferMode = element(
        "AC_CPDResEnergyTransferMode"
    )


@global_element(substitutes=CLReqControlMode)
class Scheduled_AC_CLReqControlMode(Scheduled_CLReqControlMode):
    """What the EV draws, and its limits, under a schedule."""

    ev_maximum_charge_power: Watt | None = element("EVMaximumChargePower", default=None)
    ev_maximum_charge_power_l2: Watt | None = element("EVMaximumChargePower_L2", default=None)
    ev_maximum_charge_power_l3: Watt | None = element("EVMaximumChargePower_L3", default=None)
    ev_minimum_charge_power: Watt | None = element("EVMinimumChargePower", default=None)
    ev_minimum_charge_power_l2: Watt | None = element("EVMinimumChargePower_L2", default=None)
    ev_minimum_charge_power_l3: Watt | None = element("EVMinimumChargePower_L3", default=None)
    ev_present_active_power: Watt = element("EVPresentActivePower")
    ev_present_active_power_l2: Watt | None = element("EVPresentActivePower_L2", default=None)
    ev_present_active_power_l3: Watt | None = element("EVPresentActivePower_L3", default=None)
    ev_present_reactive_power: Var | None = element("EVPresentReactivePower", default=None)
    ev_present_reactive_power_l2: Var | None = element("EVPresentReactivePower_L2", default=None)
    ev_present_reactive_power_l3: Var | None = element("EVPresentReactivePower_L3", default=None)


@global_element(substitutes=Scheduled_AC_CLReqControlMode)
class BPT_Scheduled_AC_CLReqControlMode(Scheduled_AC_CLReqControlMode):
    ev_maximum_discharge_power: Watt | None = element("EVMaximumDischargePower", default=None)
    ev_maximum_discharge_power_l2: Watt | None = element("EVMaximumDischargePower_L2", default=None)
    ev_maximum_discharge_power_l3: Watt | None = element("EVMaximumDischargePower_L3", default=None)
    ev_minimum_discharge_power: Watt | None = element("EVMinimumDischargePower", default=None)
    ev_minimum_discharge_power_l2: Watt | None = element("EVMinimumDischargePower_L2", default=None)
    ev_minimum_discharge_power_l3: Watt | None = element("EVMinimumDischargePower_L3", default=None)


@global_element(substitutes=CLReqControlMode)
class Dynamic_AC_CLReqControlMode(Dynamic_CLReqControlMode):
    """What the EV draws, and the limits within which the SECC regulates."""

    ev_maximum_charge_power: Watt = element("EVMaximumChargePower")
    ev_maximum_charge_power_l2: Watt | None = element("EVMaximumChargePower_L2", default=None)
    ev_maximum_charge_power_l3: Watt | None = element("EVMaximumChargePower_L3", default=None)
    ev_minimum_charge_power: Watt = element("EVMinimumChargePower")
    ev_minimum_charge_power_l2: Watt | None = element("EVMinimumChargePower_L2", default=None)
    ev_minimum_charge_power_l3: Watt | None = element("EVMinimumChargePower_L3", default=None)
    ev_present_active_power: Watt = element("EVPresentActivePower")
    ev_present_active_power_l2: Watt | None = element("EVPresentActivePower_L2", default=None)
    ev_present_active_power_l3: Watt | None = element("EVPresentActivePower_L3", default=None)
    ev_present_reactive_power: Var = element("EVPresentReactivePower")
    ev_present_reactive_power_l2: Var | None = element("EVPresentReactivePower_L2", default=None)
    ev_present_reactive_power_l3: Var | None = element("EVPresentReactivePower_L3", default=None)


@global_element(substitutes=Dynamic_AC_CLReqControlMode)
class BPT_Dynamic_AC_CLReqControlMode(Dynamic_AC_CLReqControlMode):
    ev_maximum_discharge_power: Watt = element("EVMaximumDischargePower")
    ev_maximum_discharge_power_l2: Watt | None = element("EVMaximumDischargePower_L2", default=None)
    ev_maximum_discharge_power_l3: Watt | None = element("EVMaximumDischargePower_L3", default=None)
    ev_minimum_discharge_power: Watt = element("EVMinimumDischargePower")
    ev_minimum_discharge_power_l2: Watt | None = element("EVMinimumDischargePower_L2", default=None)
    ev_minimum_discharge_power_l3: Watt | None = element("EVMinimumDischargePower_L3", default=None)
    ev_maximum_v2x_energy_request: WattHour | None = element("EVMaximumV2XEnergyRequest", default=None)
    """To the top of the cycling range; both V2X values or neither [V2G20-2681]."""
    ev_minimum_v2x_energy_request: WattHour | None = element("EVMinimumV2XEnergyRequest", default=None)


@global_element(substitutes=CLResControlMode)
class Scheduled_AC_CLResControlMode(Scheduled_CLResControlMode):
    """Targets of the SECC under a schedule."""

    evse_target_active_power: Watt | None = element("EVSETargetActivePower", default=None)
    evse_target_active_power_l2: Watt | None = element("EVSETargetActivePower_L2", default=None)
    evse_target_active_power_l3: Watt | None = element("EVSETargetActivePower_L3", default=None)
    evse_target_reactive_power: Var | None = element("EVSETargetReactivePower", default=None)
    evse_target_reactive_power_l2: Var | None = element("EVSETargetReactivePower_L2", default=None)
    evse_target_reactive_power_l3: Var | None = element("EVSETargetReactivePower_L3", default=None)
    evse_present_active_power: Watt | None = element("EVSEPresentActivePower", default=None)
    evse_present_active_power_l2: Watt | None = element("EVSEPresentActivePower_L2", default=None)
    evse_present_active_power_l3: Watt | None = element("EVSEPresentActivePower_L3", default=None)


@global_element(substitutes=Scheduled_AC_CLResControlMode)
class BPT_Scheduled_AC_CLResControlMode(Scheduled_AC_CLResControlMode):
    """Adds nothing."""


@global_element(substitutes=CLResControlMode)
class Dynamic_AC_CLResControlMode(Dynamic_CLResControlMode):
    """Set-points of the SECC."""

    evse_target_active_power: Watt = element("EVSETargetActivePower")
    evse_target_active_power_l2: Watt | None = element("EVSETargetActivePower_L2", default=None)
    evse_target_active_power_l3: Watt | None = element("EVSETargetActivePower_L3", default=None)
    evse_target_reactive_power: Var | None = element("EVSETargetReactivePower", default=None)
    evse_target_reactive_power_l2: Var | None = element("EVSETargetReactivePower_L2", default=None)
    evse_target_reactive_power_l3: Var | None = element("EVSETargetReactivePower_L3", default=None)
    evse_present_active_power: Watt | None = element("EVSEPresentActivePower", default=None)
    evse_present_active_power_l2: Watt | None = element("EVSEPresentActivePower_L2", default=None)
    evse_present_active_power_l3: Watt | None = element("EVSEPresentActivePower_L3", default=None)


@global_element(substitutes=Dynamic_AC_CLResControlMode)
class BPT_Dynamic_AC_CLResControlMode(Dynamic_AC_CLResControlMode):
    """Adds nothing."""


@global_element()
class AC_ChargeLoopReq(ChargeLoopReq):
    control_mode: (
        Scheduled_AC_CLReqControlMode
        | BPT_Scheduled_AC_CLReqControlMode
        | Dynamic_AC_CLReqControlMode
        | BPT_Dynamic_AC_CLReqControlMode
    ) = element("CLReqControlMode")


@global_element()
class AC_ChargeLoopRes(ChargeLoopRes):
    evse_target_frequency: Hertz | None = element("EVSETargetFrequency", default=None)
    control_mode: (
        Scheduled_AC_CLResControlMode
        | BPT_Scheduled_AC_CLResControlMode
        | Dynamic_AC_CLResControlMode
        | BPT_Dynamic_AC_CLResControlMode
    ) = element("CLResControlMode")
