"""Recordings without a fault, message by message, for tests to spoil."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hlc_sim.trace import events as ev
from iso15118 import exi, sdp
from iso15118.messages import ac, app_protocol, common, dc, wpt
from iso15118.messages.common_types import (
    DisplayParameters,
    MessageHeader,
    MeterInfo,
    Processing,
    RationalNumber,
    ResponseCode,
)
from iso15118.session import schedules, sequence, streams

BEGIN = 1_800_000_000.0
SESSION = bytes.fromhex("0102030405060708")
CHALLENGE = bytes(range(16))
of = RationalNumber.of
OK, FINISHED, ONGOING = ResponseCode.OK, Processing.Finished, Processing.Ongoing


@dataclass
class Entry:
    """A message and when it was on the wire."""

    message: Any
    time: float
    payload_type: int | None = None
    payload: bytes | None = None
    """In place of the message's own."""
    sender: str | None = None

    @property
    def name(self) -> str:
        return sequence.name_of(self.message)


@dataclass
class Recording:
    """Entries in order; `extra` are events beside the frames, sorted in by time."""

    entries: list[Entry] = field(default_factory=list)
    extra: list[ev.Event] = field(default_factory=list)

    def say(self, message: Any, after: float = 0.05) -> Entry:
        last = self.entries[-1].time if self.entries else BEGIN
        entry = Entry(message, last + after)
        self.entries.append(entry)
        return entry

    def index(self, name: str, nth: int = 0) -> int:
        """Of the nth message of this name; -1 is the last."""
        return [i for i, entry in enumerate(self.entries) if entry.name == name][nth]

    def message(self, name: str, nth: int = 0) -> Any:
        return self.entries[self.index(name, nth)].message

    def late(self, name: str, seconds: float, nth: int = 0) -> None:
        """This message, and all that follow, come so much later."""
        for entry in self.entries[self.index(name, nth) :]:
            entry.time += seconds

    def fail(self, name: str, code: str, nth: int = 0) -> None:
        """This response says FAILED, and nothing follows."""
        at = self.index(name, nth)
        self.entries[at].message.response_code = ResponseCode(code)
        del self.entries[at + 1 :]

    def drop(self, name: str, nth: int = 0) -> None:
        del self.entries[self.index(name, nth)]

    def repeat(self, name: str, times: int, every: float, nth: int = 0) -> None:
        """The exchange of this request is there so many times more."""
        at = self.index(name, nth)
        pair = self.entries[at : at + 2]
        for number in range(times):
            copies = copy.deepcopy(pair)
            for entry in self.entries[at + 2 + 2 * number :]:
                entry.time += every
            for entry in copies:
                entry.time += every * (number + 1)
            self.entries[at + 2 + 2 * number : at + 2 + 2 * number] = copies

    def events(self) -> Iterator[ev.Event]:
        frames: list[ev.Event] = [
            ev.Frame(
                time=entry.time,
                connection=1,
                number=number,
                sender=entry.sender or ("EVCC" if entry.name.endswith("Req") else "SECC"),
                payload_type=entry.payload_type or streams.payload_type_of(entry.message),
                payload=(exi.encode(entry.message) if entry.payload is None else entry.payload).hex(),
                name=entry.name,
            )
            for number, entry in enumerate(self.entries, start=1)
        ]
        yield from sorted(self.extra + frames, key=lambda event: event.time)


def header(recording: Recording) -> MessageHeader:
    started = any(entry.name == "SessionSetupReq" for entry in recording.entries)
    return MessageHeader(session_id=SESSION if started else bytes(8), timestamp=int(BEGIN))


def _front(recording: Recording, namespace: str, energy: list[int], pnc: bool) -> None:
    def head() -> MessageHeader:
        return header(recording)

    say = recording.say
    offer = app_protocol.AppProtocol(
        protocol_namespace=namespace,
        version_number_major=1,
        version_number_minor=0,
        schema_id=1,
        priority=1,
    )
    other = copy.deepcopy(offer)
    other.protocol_namespace, other.schema_id, other.priority = "urn:iso:15118:2:2013:MsgDef", 2, 2
    say(app_protocol.SupportedAppProtocolReq(app_protocol=[offer, other]))
    ok = app_protocol.AppProtocolResponseCode.OK_SuccessfulNegotiation
    say(app_protocol.SupportedAppProtocolRes(response_code=ok, schema_id=1))
    say(common.SessionSetupReq(header=head(), evcc_id="WMIHLC00000000001"))
    new = ResponseCode.OK_NewSessionEstablished
    say(common.SessionSetupRes(header=head(), response_code=new, evse_id="DE*HLC*E1"))
    say(common.AuthorizationSetupReq(header=head()))
    service = common.Authorization.PnC if pnc else common.Authorization.EIM
    say(
        common.AuthorizationSetupRes(
            header=head(),
            response_code=OK,
            authorization_services=[service],
            certificate_installation_service=False,
            authorization_mode=common.PnC_ASResAuthorizationMode(gen_challenge=CHALLENGE)
            if pnc
            else common.EIM_ASResAuthorizationMode(),
        )
    )
    chain = common.ContractCertificateChain(
        certificate=b"leaf", sub_certificates=common.SubCertificates(certificate=[b"sub"])
    )
    for processing in (ONGOING, FINISHED):
        say(
            common.AuthorizationReq(
                header=head(),
                selected_authorization_service=service,
                authorization_mode=common.PnC_AReqAuthorizationMode(
                    id="id1", gen_challenge=CHALLENGE, contract_certificate_chain=chain
                )
                if pnc
                else common.EIM_AReqAuthorizationMode(),
            )
        )
        say(common.AuthorizationRes(header=head(), response_code=OK, evse_processing=processing))
    say(
        common.ServiceDiscoveryReq(
            header=head(), supported_service_ids=common.ServiceIDList(service_id=[*energy, 65])
        )
    )
    say(
        common.ServiceDiscoveryRes(
            header=head(),
            response_code=OK,
            service_renegotiation_supported=False,
            energy_transfer_service_list=common.ServiceList(
                service=[common.Service(service_id=number, free_service=False) for number in energy]
            ),
            vas_list=common.ServiceList(service=[common.Service(service_id=65, free_service=True)]),
        )
    )


def _parameters(values: dict[str, int]) -> list[common.Parameter]:
    return [common.Parameter(name=name, int_value=value) for name, value in values.items()]


def _select(recording: Recording, service: int, chosen: int, values: dict[str, int]) -> None:
    def head() -> MessageHeader:
        return header(recording)

    recording.say(common.ServiceDetailReq(header=head(), service_id=65))
    vas = common.ParameterSet(parameter_set_id=1, parameter=_parameters({"Port": 443}))
    recording.say(
        common.ServiceDetailRes(
            header=head(),
            response_code=OK,
            service_id=65,
            service_parameter_list=common.ServiceParameterList(parameter_set=[vas]),
        )
    )
    recording.say(common.ServiceDetailReq(header=head(), service_id=service))
    sets = [
        common.ParameterSet(
            parameter_set_id=control, parameter=_parameters({**values, "ControlMode": control})
        )
        for control in (1, 2)
    ]
    recording.say(
        common.ServiceDetailRes(
            header=head(),
            response_code=OK,
            service_id=service,
            service_parameter_list=common.ServiceParameterList(parameter_set=sets),
        )
    )
    selected = common.SelectedService(service_id=service, parameter_set_id=chosen)
    recording.say(common.ServiceSelectionReq(header=head(), selected_energy_transfer_service=selected))
    recording.say(common.ServiceSelectionRes(header=head(), response_code=OK))


def meter(charged: int, discharged: int | None = None) -> MeterInfo:
    return MeterInfo(
        meter_id="M1", charged_energy_reading_wh=charged, bpt_discharged_energy_reading_wh=discharged
    )


def dc_bpt_dynamic(*, pnc: bool = False, loops: int = 4) -> Recording:
    """Service 6, dynamic control, meter asked for in every loop."""
    recording = Recording()

    def head() -> MessageHeader:
        return header(recording)

    say = recording.say
    _front(recording, "urn:iso:std:iso:15118:-20:DC", [6, 2], pnc)
    values = {"Connector": 2, "MobilityNeedsMode": 1, "Pricing": 0, "BPTChannel": 1, "GeneratorMode": 1}
    _select(recording, 6, 2, values)
    limits = {"power": (50_000.0, 100.0), "current": (125.0, 1.0)}
    say(
        dc.DC_ChargeParameterDiscoveryReq(
            header=head(),
            energy_transfer_mode=dc.BPT_DC_CPDReqEnergyTransferMode(
                ev_maximum_charge_power=of(limits["power"][0]),
                ev_minimum_charge_power=of(limits["power"][1]),
                ev_maximum_charge_current=of(limits["current"][0]),
                ev_minimum_charge_current=of(limits["current"][1]),
                ev_maximum_voltage=of(450),
                ev_minimum_voltage=of(300),
                ev_maximum_discharge_power=of(11_000),
                ev_minimum_discharge_power=of(100),
                ev_maximum_discharge_current=of(30),
                ev_minimum_discharge_current=of(1),
            ),
        )
    )
    say(
        dc.DC_ChargeParameterDiscoveryRes(
            header=head(),
            response_code=OK,
            energy_transfer_mode=dc.BPT_DC_CPDResEnergyTransferMode(
                evse_maximum_charge_power=of(60_000),
                evse_minimum_charge_power=of(100),
                evse_maximum_charge_current=of(150),
                evse_minimum_charge_current=of(1),
                evse_maximum_voltage=of(500),
                evse_minimum_voltage=of(200),
                evse_maximum_discharge_power=of(20_000),
                evse_minimum_discharge_power=of(100),
                evse_maximum_discharge_current=of(50),
                evse_minimum_discharge_current=of(1),
            ),
        )
    )
    say(
        common.ScheduleExchangeReq(
            header=head(),
            maximum_supporting_points=12,
            control_mode=common.Dynamic_SEReqControlMode(
                departure_time=7200,
                minimum_soc=30,
                target_soc=80,
                ev_target_energy_request=of(30_000),
                ev_maximum_energy_request=of(40_000),
                ev_minimum_energy_request=of(-5000),
            ),
        )
    )
    say(
        common.ScheduleExchangeRes(
            header=head(),
            response_code=OK,
            evse_processing=FINISHED,
            control_mode=common.Dynamic_SEResControlMode(),
        )
    )
    for processing in (ONGOING, FINISHED):
        say(dc.DC_CableCheckReq(header=head()))
        say(dc.DC_CableCheckRes(header=head(), response_code=OK, evse_processing=processing))
    for processing in (ONGOING, FINISHED):
        say(
            dc.DC_PreChargeReq(
                header=head(), ev_processing=processing, ev_present_voltage=of(0), ev_target_voltage=of(400)
            )
        )
        say(dc.DC_PreChargeRes(header=head(), response_code=OK, evse_present_voltage=of(400)))
    _power(recording, common.ChargeProgress.Start)
    for number in range(loops):
        say(
            dc.DC_ChargeLoopReq(
                header=head(),
                display_parameters=DisplayParameters(
                    present_soc=min(100, 40 + number), battery_energy_capacity=of(60_000)
                ),
                meter_info_requested=True,
                ev_present_voltage=of(400),
                control_mode=dc.BPT_Dynamic_DC_CLReqControlMode(
                    ev_target_energy_request=of(30_000),
                    ev_maximum_energy_request=of(40_000),
                    ev_minimum_energy_request=of(-5000),
                    ev_maximum_charge_power=of(50_000),
                    ev_minimum_charge_power=of(100),
                    ev_maximum_charge_current=of(125),
                    ev_maximum_voltage=of(450),
                    ev_minimum_voltage=of(300),
                    ev_maximum_discharge_power=of(11_000),
                    ev_minimum_discharge_power=of(100),
                    ev_maximum_discharge_current=of(30),
                ),
            )
        )
        say(
            dc.DC_ChargeLoopRes(
                header=head(),
                response_code=OK,
                meter_info=meter(100 * number, 0),
                evse_present_current=of(100),
                evse_present_voltage=of(400),
                evse_power_limit_achieved=False,
                evse_current_limit_achieved=False,
                evse_voltage_limit_achieved=False,
                control_mode=dc.BPT_Dynamic_DC_CLResControlMode(
                    evse_maximum_charge_power=of(60_000),
                    evse_minimum_charge_power=of(100),
                    evse_maximum_charge_current=of(150),
                    evse_maximum_voltage=of(500),
                    evse_maximum_discharge_power=of(20_000),
                    evse_minimum_discharge_power=of(100),
                    evse_maximum_discharge_current=of(50),
                    evse_minimum_voltage=of(200),
                ),
            )
        )
    _power(recording, common.ChargeProgress.Stop)
    say(dc.DC_WeldingDetectionReq(header=head(), ev_processing=FINISHED))
    say(dc.DC_WeldingDetectionRes(header=head(), response_code=OK, evse_present_voltage=of(0)))
    _stop(recording)
    return recording


def ac_scheduled(*, loops: int = 4) -> Recording:
    """Service 1 on one phase, scheduled control with price levels, no meter."""
    recording = Recording()

    def head() -> MessageHeader:
        return header(recording)

    say = recording.say
    _front(recording, "urn:iso:std:iso:15118:-20:AC", [1], False)
    _select(
        recording, 1, 1, {"Connector": 1, "EVSENominalVoltage": 230, "MobilityNeedsMode": 1, "Pricing": 2}
    )
    say(
        ac.AC_ChargeParameterDiscoveryReq(
            header=head(),
            energy_transfer_mode=ac.AC_CPDReqEnergyTransferMode(
                ev_maximum_charge_power=of(3600), ev_minimum_charge_power=of(1200)
            ),
        )
    )
    say(
        ac.AC_ChargeParameterDiscoveryRes(
            header=head(),
            response_code=OK,
            energy_transfer_mode=ac.AC_CPDResEnergyTransferMode(
                evse_maximum_charge_power=of(3680),
                evse_minimum_charge_power=of(100),
                evse_nominal_frequency=of(50),
            ),
        )
    )
    for processing in (ONGOING, FINISHED):
        say(
            common.ScheduleExchangeReq(
                header=head(),
                maximum_supporting_points=12,
                control_mode=common.Scheduled_SEReqControlMode(departure_time=7200),
            )
        )
        prices = schedules.price_levels(int(BEGIN), [(3600, 1), (3600, 2)])
        plan = schedules.power_schedule(int(BEGIN), [(3600, (3600.0,)), (82_800, (3000.0,))])
        say(
            common.ScheduleExchangeRes(
                header=head(),
                response_code=OK,
                evse_processing=processing,
                control_mode=common.Scheduled_SEResControlMode(
                    schedule_tuple=[schedules.schedule_tuple(1, plan, prices=prices)]
                ),
            )
        )
    request = _power(recording, common.ChargeProgress.Start)
    request.ev_power_profile = common.EVPowerProfile(
        time_anchor=int(BEGIN),
        control_mode=common.Scheduled_EVPPTControlMode(selected_schedule_tuple_id=1),
        ev_power_profile_entries=common.EVPowerProfileEntryList(
            ev_power_profile_entry=[schedules.power_entry(3600, (3500.0,))]
        ),
    )
    for _ in range(loops):
        say(
            ac.AC_ChargeLoopReq(
                header=head(),
                meter_info_requested=False,
                control_mode=ac.Scheduled_AC_CLReqControlMode(ev_present_active_power=of(3500)),
            )
        )
        say(
            ac.AC_ChargeLoopRes(
                header=head(),
                response_code=OK,
                control_mode=ac.Scheduled_AC_CLResControlMode(evse_target_active_power=of(3600)),
            )
        )
    _power(recording, common.ChargeProgress.Stop)
    _stop(recording)
    return recording


def wpt_loop() -> Recording:
    """A recording that begins within the charge loop of a WPT session."""
    recording = Recording()
    head = MessageHeader(session_id=SESSION, timestamp=int(BEGIN))
    for _ in range(3):
        recording.say(
            wpt.WPT_ChargeLoopReq(
                header=copy.deepcopy(head),
                meter_info_requested=False,
                evpc_power_request=of(3000),
                evpc_power_output=of(3000),
                evpc_charge_diagnostics=next(iter(wpt.EVPCChargeDiagnostics)),
            )
        )
        recording.say(
            wpt.WPT_ChargeLoopRes(
                header=copy.deepcopy(head),
                response_code=OK,
                evpc_power_request=of(3000),
                spc_max_output_power_limit=of(3700),
                spc_min_output_power_limit=of(0),
                spc_charge_diagnostics=next(iter(wpt.SPCChargeDiagnostics)),
            )
        )
    return recording


def _power(recording: Recording, progress: common.ChargeProgress) -> common.PowerDeliveryReq:
    request = common.PowerDeliveryReq(
        header=header(recording), ev_processing=FINISHED, charge_progress=progress
    )
    recording.say(request)
    recording.say(common.PowerDeliveryRes(header=header(recording), response_code=OK))
    return request


def _stop(recording: Recording) -> None:
    recording.say(
        common.SessionStopReq(header=header(recording), charging_session=common.ChargingSession.Terminate)
    )
    recording.say(common.SessionStopRes(header=header(recording), response_code=OK))


def sdp_exchange(*, asked: sdp.Security, given: sdp.Security, before: float = 0.5) -> list[ev.Event]:
    """Request and response, so many seconds before the first message."""
    from ipaddress import IPv6Address

    answer = sdp.Response(IPv6Address("fe80::5"), 50_000, given)
    return [
        ev.SDP(
            time=BEGIN - before,
            sender="EVCC",
            payload_type=0x9000,
            payload=sdp.Request(asked).to_bytes().hex(),
        ),
        ev.SDP(
            time=BEGIN - before + 0.01, sender="SECC", payload_type=0x9001, payload=answer.to_bytes().hex()
        ),
    ]
