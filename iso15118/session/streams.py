"""Which V2GTP payload type a message travels with."""

from __future__ import annotations

from ..messages import ac, acdp, app_protocol, common, dc, wpt
from ..messages.declare import Node
from ..v2gtp import PayloadType

_BY_MODULE: dict[str, PayloadType] = {
    app_protocol.__name__: PayloadType.SAP,
    common.__name__: PayloadType.COMMON,
    ac.__name__: PayloadType.AC,
    dc.__name__: PayloadType.DC,
    acdp.__name__: PayloadType.ACDP,
    wpt.__name__: PayloadType.WPT,
}
_SIDE: dict[type[Node], PayloadType] = {
    common.MeteringConfirmationReq: PayloadType.METERING_CONFIRMATION,
    common.MeteringConfirmationRes: PayloadType.METERING_CONFIRMATION,
    common.VehicleCheckInReq: PayloadType.PARKING_STATUS,
    common.VehicleCheckInRes: PayloadType.PARKING_STATUS,
    common.VehicleCheckOutReq: PayloadType.PARKING_STATUS,
    common.VehicleCheckOutRes: PayloadType.PARKING_STATUS,
    acdp.ACDP_SystemStatusReq: PayloadType.ACDP_SYSTEM_STATUS,
    acdp.ACDP_SystemStatusRes: PayloadType.ACDP_SYSTEM_STATUS,
}
_RENEGOTIATING = frozenset(
    {
        ac.AC_ChargeParameterDiscoveryReq,
        dc.DC_ChargeParameterDiscoveryReq,
        wpt.WPT_ChargeParameterDiscoveryReq,
        common.ScheduleExchangeReq,
        common.PowerDeliveryReq,
    }
)


def payload_type_of(message: Node | type[Node]) -> PayloadType:
    """The payload type of a message, unless it renegotiates a schedule on 0x8101. KeyError if it is no
    message.
    """
    cls = message if isinstance(message, type) else type(message)
    return _SIDE.get(cls) or _BY_MODULE[cls.__module__]


def fits(request: Node, payload_type: int) -> bool:
    """Whether a request may travel with this payload type."""
    if payload_type == PayloadType.SCHEDULE_RENEGOTIATION:
        return type(request) in _RENEGOTIATING
    return payload_type == payload_type_of(request)
