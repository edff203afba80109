"""What the EVCC says on side streams, beside the main one: metering confirmation, parking status, schedule
renegotiation.

Each method is a conversation for `Dialogue.start_side`: one outstanding request on its stream, free to wait
in between.
"""

from __future__ import annotations

from ..messages import common
from ..messages.common_types import (
    EVSENotification,
    EVSEStatus,
    MeterInfo,
    Receipt,
    ResponseCode,
    V2GResponse,
)
from ..v2gtp import PayloadType
from .evcc_power import Notice, Power, Progress
from .evcc_steps import Abort, Exchange, MessageTimeout
from .services import ServiceID

CHECK_IN, CHECK_OUT = 1, 2
"""IntendedService of a parking status parameter set."""


class SideStreams(Power):
    """Conversations on side streams."""

    checked_in = False

    # -- metering confirmation, 0x8102 -------------------------------------------------------------------

    def answer_metering(
        self,
        status: EVSEStatus | None,
        meter_info: MeterInfo | None,
        receipt: Receipt | None,
        message: type[V2GResponse],
    ) -> None:
        """Start a confirmation if the SECC asks for one and we can sign."""
        if status is None or status.evse_notification is not EVSENotification.MeteringConfirmation:
            return
        if meter_info is None:
            self.deviation(
                "EVSENotification MeteringConfirmation without MeterInfo",
                "the MeterInfo to confirm",
                requirement="V2G20-1083",
                message=message,
            )
        elif self.config.sign_metering is not None and not self.side_running(
            PayloadType.METERING_CONFIRMATION
        ):
            self.start_side(PayloadType.METERING_CONFIRMATION, self.confirm_meter(meter_info, receipt))

    def confirm_meter(self, meter_info: MeterInfo, receipt: Receipt | None) -> Exchange[None]:
        """Sign a meter reading and send it."""
        assert self.config.sign_metering is not None
        control: common.Scheduled_SMDTControlMode | common.Dynamic_SMDTControlMode
        if self.plan is not None:
            control = common.Scheduled_SMDTControlMode(selected_schedule_tuple_id=self.plan.tuple_id)
        else:
            control = common.Dynamic_SMDTControlMode()
        request = common.MeteringConfirmationReq(
            header=self.header(),
            signed_metering_data=common.SignedMeteringData(
                id="ID1",
                session_id=self.session_id,
                meter_info=meter_info,
                receipt=receipt,
                control_mode=control,
            ),
        )
        signed = self.config.sign_metering(request, self.contract)
        if signed is None:
            return
        try:
            yield from self.ask(signed, common.MeteringConfirmationRes)
        except MessageTimeout:
            self._no_answer(common.MeteringConfirmationRes)

    # -- parking status, 0x8104 --------------------------------------------------------------------------

    def parking(self, intended: int) -> bool:
        """Whether a parking status set with this IntendedService is selected."""
        return any(
            key[0] == ServiceID.PARKING_STATUS and values.get("IntendedService") == intended
            for key, values in self.vas_values.items()
        )

    def check_in(self) -> Exchange[None]:
        """Say that the vehicle arrives, then that it stands."""
        for status in (common.EVCheckInStatus.CheckIn, common.EVCheckInStatus.Completed):
            request = common.VehicleCheckInReq(
                header=self.header(), ev_check_in_status=status, parking_method=self.config.parking_method
            )
            try:
                yield from self.ask(request, common.VehicleCheckInRes)
            except MessageTimeout:
                self._no_answer(common.VehicleCheckInRes)
                return

    def check_out(self) -> Exchange[None]:
        """Ask to leave, until the SECC says that it is done."""
        started = self.now
        status = common.EVCheckOutStatus.CheckOut
        while True:
            request = common.VehicleCheckOutReq(
                header=self.header(), ev_check_out_status=status, check_out_time=int(self.secc_time())
            )
            try:
                response = yield from self.ask(request, common.VehicleCheckOutRes)
            except MessageTimeout:
                self._no_answer(common.VehicleCheckOutRes)
                return
            if response.evse_check_out_status is common.EVSECheckOutStatus.Completed:
                return
            if self.now - started >= self.config.timers.seconds("V2G_EVCC_Ongoing_Timeout"):
                self.deviation("check-out still Scheduled", "Completed", message=common.VehicleCheckOutRes)
                return
            status = common.EVCheckOutStatus.Processing
            yield from self.pause(self.config.poll_interval)

    # -- schedule renegotiation, 0x8101 ------------------------------------------------------------------

    def renegotiate_beside(self) -> Exchange[None]:
        """Exchange schedules and agree on a new profile while the charge loop goes on under the old one."""
        stream = PayloadType.SCHEDULE_RENEGOTIATION
        try:
            if self.config.renegotiate_limits:
                yield from self.charge_parameters(stream)
            if (yield from self.exchange_schedule(stream)):
                self.notice = Notice(EVSENotification.Pause, self.now)
                return
            code = yield from self.power_delivery(Progress.ScheduleRenegotiation, stream=stream)
        except MessageTimeout:
            self._no_answer(common.ScheduleExchangeRes)
            self.proposed = None
            return
        except Abort:
            self.proposed = None
            raise
        self.acted_on(EVSENotification.ScheduleRenegotiation)
        if code is ResponseCode.WARNING_ScheduleRenegotiationFailed:
            self.proposed = None

    def _no_answer(self, message: type[V2GResponse]) -> None:
        self.deviation(
            "no response on the side stream", "a response within the message timeout", message=message
        )
