"""The order of messages written down a second time, by hand, from the protocol facts: what may follow what.

Not derived from the table in `iso15118.session.sequence_rows`: the tests compare the two. Per row: the
requests by the book, then behind "~" those that only some public stacks send. Names without "Req"; Start,
Stop, Standby and Replan are PowerDelivery with that ChargeProgress, End is SessionStop.
"""

from __future__ import annotations

_SHORT = {
    "Start": "PowerDeliveryReq(Start)",
    "Stop": "PowerDeliveryReq(Stop)",
    "Standby": "PowerDeliveryReq(Standby)",
    "Replan": "PowerDeliveryReq(ScheduleRenegotiation)",
    "End": "SessionStopReq",
}
_GROUPS = {
    "Power": ("Start", "Stop", "Standby", "Replan"),
    "AnyChargeParameterDiscovery": tuple(
        f"{family}_ChargeParameterDiscovery" for family in ("AC", "DC", "WPT")
    ),
}

_COMMON = """
connection: supportedAppProtocol
sap.none:
sap.chosen: SessionSetup
setup.new: AuthorizationSetup ~ End
authorization_setup.with_installation: Authorization CertificateInstallation End
authorization_setup: Authorization End
installation.ongoing: CertificateInstallation End
installation.more: CertificateInstallation Authorization End
installation.done: Authorization End ~ CertificateInstallation
authorization.ongoing: Authorization End
authorization.refused.with_installation: Authorization CertificateInstallation End
authorization.refused: Authorization End
authorization.granted: ServiceDiscovery End ~ Authorization
services.listed: ServiceDetail End
services.detailed: ServiceDetail ServiceSelection End
stop.renegotiation: ServiceDiscovery ~ End
stop:
schedule.ongoing: ScheduleExchange End
"""

_AC = """
setup.joined.ac: AC_ChargeParameterDiscovery ~ End
services.selected.ac: AC_ChargeParameterDiscovery End
parameters.ac: ScheduleExchange End
schedule.ac: Start Stop Standby End
schedule.renegotiated: Start Stop Standby ~ End DC_CableCheck
power.ev_ongoing.running.ac: Power ~ End
power.ev_ongoing.ac: Start Stop Standby ~ End
power.standby_refused.running.ac: AC_ChargeLoop Power ~ End
power.standby_refused.ac: Start Stop Standby ~ End
power.standby.running.ac: AC_ChargeLoop Power ~ End
power.standby.ac: AC_ChargeLoop Start Stop Standby ~ End
power.renegotiation_refused.ac: AC_ChargeLoop Power ~ End
power.renegotiation.ac: ScheduleExchange ~ AC_ChargeParameterDiscovery End
power.start.ac: AC_ChargeLoop Stop ~ Power End
loop.standby.running.ac: AC_ChargeLoop Power ~ End
loop.standby.ac: AC_ChargeLoop Start Stop Standby ~ End
loop.ac: AC_ChargeLoop Power ~ End
power.stop: End
"""

_DC = """
setup.joined.dc: DC_ChargeParameterDiscovery ~ End
services.selected.dc: DC_ChargeParameterDiscovery End
parameters.dc: ScheduleExchange End
schedule.dc: DC_CableCheck Stop Standby End
schedule.renegotiated: Start Stop Standby ~ End DC_CableCheck
cable_check.ongoing: DC_CableCheck End
cable_check.done: DC_PreCharge End
precharge.ongoing: DC_PreCharge ~ End
precharge.done: Start Stop Standby ~ DC_PreCharge End
power.ev_ongoing.running.dc: Power ~ End
power.ev_ongoing.dc: Start Stop Standby ~ End
power.ev_ongoing.unprepared.dc: Stop Standby ~ End
power.standby_refused.running.dc: DC_ChargeLoop Power ~ End
power.standby_refused.dc: Start Stop Standby ~ End
power.standby_refused.unprepared.dc: DC_CableCheck Stop Standby ~ End
power.standby.running.dc: DC_ChargeLoop Power ~ End
power.standby.dc: DC_ChargeLoop Start Stop Standby ~ End
power.standby.unprepared.dc: DC_CableCheck Stop Standby ~ End
power.renegotiation_refused.dc: DC_ChargeLoop Power ~ End
power.renegotiation.dc: ScheduleExchange ~ DC_ChargeParameterDiscovery End
power.start.dc: DC_ChargeLoop Power ~ End
loop.standby.running.dc: DC_ChargeLoop Power ~ End
loop.standby.dc: DC_ChargeLoop Start Stop Standby ~ End
loop.dc: DC_ChargeLoop Power ~ End
power.stop.dc: DC_WeldingDetection End
welding.ongoing: DC_WeldingDetection End
welding.done: End
"""

_ACDP = """
setup.joined.acdp: DC_ChargeParameterDiscovery ~ End
setup.new.acdp: ACDP_VehiclePositioning ~ AuthorizationSetup End
acdp.positioning.ongoing: ACDP_VehiclePositioning ~ End
acdp.positioning.done: AuthorizationSetup ~ End
services.selected.acdp: DC_ChargeParameterDiscovery End
acdp.schedule: ACDP_Connect Stop Standby ~ End
acdp.connect.ongoing: ACDP_Connect ~ End
acdp.connect.done: DC_CableCheck ~ End
power.stop.acdp: ACDP_Disconnect ~ DC_WeldingDetection End
acdp.disconnect.ongoing: ACDP_Disconnect ~ End
acdp.disconnect.done: End
"""

_WPT = """
setup.joined.wpt: WPT_ChargeParameterDiscovery ~ End
setup.new.wpt: WPT_FinePositioningSetup ~ AuthorizationSetup End
wpt.setup.ongoing: WPT_FinePositioningSetup ~ End
wpt.setup.done: WPT_FinePositioning ~ End
wpt.positioning.ongoing: WPT_FinePositioning ~ End
wpt.positioning.done: WPT_Pairing ~ End
wpt.pairing.ongoing: WPT_Pairing ~ End
wpt.pairing.done: AuthorizationSetup ~ End
services.selected.wpt: WPT_ChargeParameterDiscovery End
wpt.parameters: WPT_AlignmentCheck ScheduleExchange ~ End
wpt.alignment.ongoing: WPT_AlignmentCheck ~ End
wpt.alignment.done: ScheduleExchange ~ End
wpt.schedule: Start Stop Standby ~ End
power.ev_ongoing.running.wpt: Power ~ End
power.ev_ongoing.wpt: Start Stop Standby ~ End
power.standby_refused.running.wpt: WPT_ChargeLoop Power ~ End
power.standby_refused.wpt: Start Stop Standby ~ End
power.standby.running.wpt: WPT_ChargeLoop Power ~ End
power.standby.wpt: WPT_ChargeLoop Start Stop Standby ~ End
power.renegotiation_refused.wpt: WPT_ChargeLoop Power ~ End
power.renegotiation.wpt: ScheduleExchange ~ WPT_ChargeParameterDiscovery End
power.start.wpt: WPT_ChargeLoop Stop ~ Power End
loop.standby.running.wpt: WPT_ChargeLoop Power ~ End
loop.standby.wpt: WPT_ChargeLoop Start Stop Standby ~ End
loop.wpt: WPT_ChargeLoop Power ~ End
"""

_SIDE = """
side.schedule: ScheduleExchange AnyChargeParameterDiscovery
side.schedule.parameters.ac: ScheduleExchange
side.schedule.parameters.dc: ScheduleExchange
side.schedule.parameters.wpt: ScheduleExchange
side.schedule.ongoing: ScheduleExchange
side.schedule.offered: Replan Start ~ ScheduleExchange
side.schedule.pending: Replan Start
side.schedule.done: ScheduleExchange AnyChargeParameterDiscovery
side.metering: MeteringConfirmation
side.metering.confirmed: MeteringConfirmation
side.acdp_status: ACDP_SystemStatus
side.acdp_status.told: ACDP_SystemStatus
side.parking: VehicleCheckIn VehicleCheckOut
side.parking.in: VehicleCheckOut ~ VehicleCheckIn
side.parking.checking_in: VehicleCheckIn
side.parking.scheduled: VehicleCheckOut
side.parking.out: VehicleCheckIn VehicleCheckOut
"""


def _read(text: str) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    rows = {}
    for line in text.strip().splitlines():
        row_id, _, listed = line.partition(":")
        book, _, some = listed.partition("~")
        allowed = _names(book)
        rows[row_id] = (allowed, _names(some) - allowed)
    return rows


def _names(listed: str) -> frozenset[str]:
    words = [word for item in listed.split() for word in _GROUPS.get(item, (item,))]
    return frozenset(_SHORT.get(word, f"{word}Req") for word in words)


MAIN = _read(_COMMON) | _read(_AC) | _read(_DC)
"""Rows of the services that the SECC serves: (by the book, tolerated)."""
LOW = _read(_ACDP) | _read(_WPT)
"""Rows of ACDP and WPT."""
SIDE = _read(_SIDE)
