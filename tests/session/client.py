"""A hand-driven EV: builds a valid request of any kind for a live SECC and sends it, in any order one
likes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from iso15118.messages import ac, common, dc
from iso15118.messages.app_protocol import AppProtocol, SupportedAppProtocolReq
from iso15118.messages.common_types import (
    MessageHeader,
    MeterInfo,
    Processing,
    RationalNumber,
    ResponseCode,
    V2GRequest,
)
from iso15118.messages.declare import Node
from iso15118.messages.xmldsig import X509IssuerSerial
from iso15118.session.fillers import RESPONSE_OF, fillers
from iso15118.session.secc_config import LinkSecurity, SECCConfig, SessionStore, Trust, energy_modes
from iso15118.session.sequence import State
from iso15118.session.services import Family, ServiceID
from iso15118.session.timers import RELAXED

from .pair import EPOCH, BenchCharger, bench_secc

of = RationalNumber.of
Finished, Ongoing = Processing.Finished, Processing.Ongoing
CONDUCTIVE = (
    ServiceID.AC,
    ServiceID.AC_BPT,
    ServiceID.DC,
    ServiceID.DC_BPT,
    ServiceID.MCS,
    ServiceID.MCS_BPT,
)
ALL_REQUESTS: dict[str, type[V2GRequest]] = {cls.__name__: cls for cls in RESPONSE_OF}


class Client:
    """Speaks to one SECC. `step` is the time from a response to the next request."""

    def __init__(
        self,
        config: SECCConfig | None = None,
        charger: BenchCharger | None = None,
        *,
        family: Family = Family.DC,
        link: LinkSecurity | None = None,
        store: SessionStore | None = None,
        trust: Trust | None = None,
        seed: int = 1,
        step: float = 0.01,
        now: float = 0.0,
    ) -> None:
        self.now = now
        self.step = step
        self.family = family
        self.charger = charger or BenchCharger()
        self.store = store if store is not None else SessionStore()
        self.secc = bench_secc(config, self.charger, link, self.store, trust, seed, now)

    def fork(self) -> Client:
        """The same session at this point, to try something on. Copies what changes; the rest is constant."""
        twin = copy.copy(self)
        twin.secc, ctx = copy.copy(self.secc), copy.copy(self.secc.context)
        twin.secc.context = ctx
        for name in ("events", "entropy", "store", "charger"):
            setattr(ctx, name, _detached(getattr(ctx, name)))
        ctx.since = dict(ctx.since)
        twin.charger, twin.store = ctx.charger, ctx.store  # type: ignore[assignment]
        return twin

    @property
    def state(self) -> State:
        return self.secc.state

    # -- sending ---------------------------------------------------------------------------------------------

    def send(self, request: Node | str, payload_type: int | None = None, **fields: Any) -> Any:
        """Send a request (or the name of one: then a valid one is built) and wait for its response."""
        if isinstance(request, str):
            request = self.build(request, **fields)
        self.now += self.step
        response = self.secc.handle(request, self.now, payload_type)
        while response is None and self.secc.closing is None:
            due = self.secc.deadline()
            assert due is not None
            self.now = due
            response = self.secc.poll(due)
        return response

    def send_all(self, names: Iterable[str]) -> Any:
        """Send one after the other, each must be answered without FAILED; the last response."""
        response = None
        for name in names:
            response = self.send(name)
            code = getattr(response, "response_code", None)
            assert code is not None, f"{name}: no answer"
            assert not str(code).lower().startswith("failed"), f"{name}: {code}, {list(self.secc.events)}"
        return response

    def to_session(self) -> Client:
        self.send_all(["supportedAppProtocolReq", "SessionSetupReq"])
        return self

    def to_services(self) -> Client:
        self.to_session().send_all(["AuthorizationSetupReq", "AuthorizationReq"])
        return self

    def to_selected(self) -> Client:
        self.to_services().send_all(["ServiceDiscoveryReq", "ServiceDetailReq", "ServiceSelectionReq"])
        return self

    def to_scheduled(self) -> Client:
        cpd = f"{self.family.value}_ChargeParameterDiscoveryReq"
        self.to_selected().send_all([cpd, "ScheduleExchangeReq"])
        return self

    def to_prepared(self) -> Client:
        """Up to the point where PowerDeliveryReq(Start) may come."""
        self.to_scheduled()
        if self.family is Family.DC:
            self.send_all(["DC_CableCheckReq", "DC_PreChargeReq"])
        return self

    def to_loop(self) -> Client:
        self.to_prepared().send_all(["PowerDeliveryReq(Start)", self.loop])
        return self

    @property
    def loop(self) -> str:
        return f"{self.family.value}_ChargeLoopReq"

    # -- building --------------------------------------------------------------------------------------------

    def header(self) -> MessageHeader:
        return MessageHeader(session_id=self.secc.session_id, timestamp=int(EPOCH + self.now))

    def build(self, kind: str, **fields: Any) -> Any:
        """A valid request for the session as it stands; `kind` as in the sequence table, `fields` replace."""
        name, _, progress = kind.rstrip(")").partition("(")
        if name == "supportedAppProtocolReq":
            return SupportedAppProtocolReq(app_protocol=fields.get("app_protocol", [self.offer()]))
        values = {"header": self.header()} | self._body(name, progress) | fields
        return ALL_REQUESTS[name](**values)

    def offer(self, schema_id: int = 1, priority: int = 1, family: Family | None = None) -> AppProtocol:
        return AppProtocol(
            protocol_namespace=(family or self.family).namespace,
            version_number_major=1,
            version_number_minor=0,
            schema_id=schema_id,
            priority=priority,
        )

    def _body(self, name: str, progress: str) -> dict[str, Any]:
        ctx = self.secc.context
        mode = ctx.mode
        match name:
            case "SessionSetupReq":
                return {"evcc_id": "WMIV1234567890ABCDEX"}
            case "AuthorizationReq":
                return {
                    "selected_authorization_service": common.Authorization.EIM,
                    "authorization_mode": common.EIM_AReqAuthorizationMode(),
                }
            case "CertificateInstallationReq":
                return {
                    "oem_provisioning_certificate_chain": common.SignedCertificateChain(
                        id="ID1", certificate=b"\x30"
                    ),
                    "list_of_root_certificate_ids": common.ListOfRootCertificateIDs(
                        root_certificate_id=[X509IssuerSerial(x509_issuer_name="CN=R", x509_serial_number=1)]
                    ),
                    "maximum_contract_certificate_chains": 3,
                }
            case "ServiceDetailReq":
                return {"service_id": int(self._own_modes()[0].service)}
            case "ServiceSelectionReq":
                first = self._own_modes()[0]
                return {
                    "selected_energy_transfer_service": common.SelectedService(
                        service_id=int(first.service), parameter_set_id=first.parameter_set_id
                    )
                }
            case "ScheduleExchangeReq":
                scheduled = mode is None or mode.scheduled
                return {
                    "maximum_supporting_points": 1024,
                    "control_mode": common.Scheduled_SEReqControlMode()
                    if scheduled
                    else common.Dynamic_SEReqControlMode(
                        departure_time=3600,
                        ev_target_energy_request=of(20_000),
                        ev_maximum_energy_request=of(30_000),
                        ev_minimum_energy_request=of(5_000),
                    ),
                }
            case "PowerDeliveryReq":
                return self._power_delivery(progress or "Start")
            case "SessionStopReq":
                return {"charging_session": common.ChargingSession.Terminate}
            case "MeteringConfirmationReq":
                return {"signed_metering_data": self._metering()}
            case "VehicleCheckInReq":
                return {
                    "ev_check_in_status": common.EVCheckInStatus.Completed,
                    "parking_method": common.ParkingMethod.Manual,
                }
            case "VehicleCheckOutReq":
                return {"ev_check_out_status": common.EVCheckOutStatus.CheckOut, "check_out_time": int(EPOCH)}
            case "AC_ChargeParameterDiscoveryReq":
                return {"energy_transfer_mode": self._ac_parameters()}
            case "DC_ChargeParameterDiscoveryReq":
                return {"energy_transfer_mode": self._dc_parameters()}
            case "DC_PreChargeReq":
                return {
                    "ev_processing": Finished,
                    "ev_present_voltage": of(400),
                    "ev_target_voltage": of(400),
                }
            case "DC_WeldingDetectionReq":
                return {"ev_processing": Finished}
            case "AC_ChargeLoopReq":
                return {"meter_info_requested": False, "control_mode": self._ac_loop()}
            case "DC_ChargeLoopReq":
                return {
                    "meter_info_requested": False,
                    "ev_present_voltage": of(400),
                    "control_mode": self._dc_loop(),
                }
        return dict(fillers(ALL_REQUESTS[name]))

    def _own_modes(self) -> list[Any]:
        energy = self.secc.context.config.energy
        return [mode for mode in energy if mode.family is self.family] or list(energy)

    def _bidirectional(self) -> bool:
        mode = self.secc.context.mode
        return mode is not None and mode.bidirectional

    def _scheduled(self) -> bool:
        mode = self.secc.context.mode
        return mode is None or mode.scheduled

    def _power_delivery(self, progress: str) -> dict[str, Any]:
        wanted = common.ChargeProgress(progress)
        values: dict[str, Any] = {"ev_processing": Finished, "charge_progress": wanted}
        if wanted in (common.ChargeProgress.Start, common.ChargeProgress.ScheduleRenegotiation):
            values["ev_power_profile"] = self.profile([(3600, 10_000.0)])
        return values

    def profile(
        self, entries: list[tuple[int, float]], tuple_id: int = 1, **mode: Any
    ) -> common.EVPowerProfile:
        """A power profile from now on, from (duration s, power W) pairs."""
        return common.EVPowerProfile(
            time_anchor=int(EPOCH + self.now),
            control_mode=common.Scheduled_EVPPTControlMode(selected_schedule_tuple_id=tuple_id, **mode)
            if self._scheduled()
            else common.Dynamic_EVPPTControlMode(),
            ev_power_profile_entries=common.EVPowerProfileEntryList(
                ev_power_profile_entry=[
                    common.PowerScheduleEntry(duration=duration, power=of(power))
                    for duration, power in entries
                ]
            ),
        )

    def _metering(self) -> common.SignedMeteringData:
        meter = self.secc.context.meter_sent or MeterInfo(meter_id="BENCH", charged_energy_reading_wh=0)
        return common.SignedMeteringData(
            id="ID1",
            session_id=self.secc.session_id,
            meter_info=meter,
            control_mode=common.Scheduled_SMDTControlMode(selected_schedule_tuple_id=1)
            if self._scheduled()
            else common.Dynamic_SMDTControlMode(),
        )

    def _ac_parameters(self) -> ac.AC_CPDReqEnergyTransferMode:
        values: dict[str, Any] = {
            "ev_maximum_charge_power": of(11_000),
            "ev_minimum_charge_power": of(0),
        }
        if not self._bidirectional():
            return ac.AC_CPDReqEnergyTransferMode(**values)
        return ac.BPT_AC_CPDReqEnergyTransferMode(
            **values, ev_maximum_discharge_power=of(7_000), ev_minimum_discharge_power=of(0)
        )

    def _dc_parameters(self) -> dc.DC_CPDReqEnergyTransferMode:
        values: dict[str, Any] = {
            "ev_maximum_charge_power": of(100_000),
            "ev_minimum_charge_power": of(0),
            "ev_maximum_charge_current": of(250),
            "ev_minimum_charge_current": of(0),
            "ev_maximum_voltage": of(450),
            "ev_minimum_voltage": of(200),
        }
        if not self._bidirectional():
            return dc.DC_CPDReqEnergyTransferMode(**values)
        return dc.BPT_DC_CPDReqEnergyTransferMode(
            **values,
            ev_maximum_discharge_power=of(30_000),
            ev_minimum_discharge_power=of(0),
            ev_maximum_discharge_current=of(60),
            ev_minimum_discharge_current=of(0),
        )

    def _needs(self) -> dict[str, RationalNumber]:
        return {
            "ev_target_energy_request": of(20_000),
            "ev_maximum_energy_request": of(30_000),
            "ev_minimum_energy_request": of(5_000),
        }

    def _ac_loop(self) -> Any:
        if self._scheduled():
            scheduled = (
                ac.BPT_Scheduled_AC_CLReqControlMode
                if self._bidirectional()
                else ac.Scheduled_AC_CLReqControlMode
            )
            return scheduled(ev_present_active_power=of(5_000))
        dynamic = (
            ac.BPT_Dynamic_AC_CLReqControlMode if self._bidirectional() else ac.Dynamic_AC_CLReqControlMode
        )
        return dynamic(
            **self._needs(),
            ev_maximum_charge_power=of(11_000),
            ev_minimum_charge_power=of(0),
            ev_present_active_power=of(5_000),
            ev_present_reactive_power=of(0),
            **(
                {"ev_maximum_discharge_power": of(7_000), "ev_minimum_discharge_power": of(0)}
                if self._bidirectional()
                else {}
            ),
        )

    def _dc_loop(self) -> Any:
        if self._scheduled():
            scheduled = (
                dc.BPT_Scheduled_DC_CLReqControlMode
                if self._bidirectional()
                else dc.Scheduled_DC_CLReqControlMode
            )
            return scheduled(ev_target_current=of(20), ev_target_voltage=of(405))
        dynamic = (
            dc.BPT_Dynamic_DC_CLReqControlMode if self._bidirectional() else dc.Dynamic_DC_CLReqControlMode
        )
        values: dict[str, Any] = {
            **self._needs(),
            "ev_maximum_charge_power": of(100_000),
            "ev_minimum_charge_power": of(0),
            "ev_maximum_charge_current": of(250),
            "ev_maximum_voltage": of(450),
            "ev_minimum_voltage": of(200),
        }
        if self._bidirectional():
            values |= {
                "ev_maximum_discharge_power": of(30_000),
                "ev_minimum_discharge_power": of(0),
                "ev_maximum_discharge_current": of(60),
            }
        return dynamic(**values)


def _detached(value: Any) -> Any:
    """A copy with containers of its own."""
    twin = copy.copy(value)
    for name, item in vars(value).items():
        if isinstance(item, list | dict):
            setattr(twin, name, copy.copy(item))
    return twin


def code_of(response: Any) -> ResponseCode:
    code = response.response_code
    assert isinstance(code, ResponseCode)
    return code


def offering(
    service: ServiceID = ServiceID.DC, index: int = 0, charger: BenchCharger | None = None, **config: Any
) -> Client:
    """One parameter set: scheduled (0), dynamic (1), dynamic with needs of the SECC (2)."""
    family = service.family
    assert family is not None
    mode = config.pop("mode", energy_modes(service)[index])
    return Client(SECCConfig(energy=(mode,), timers=RELAXED, **config), charger, family=family)


def in_loop(
    service: ServiceID = ServiceID.DC, index: int = 0, charger: BenchCharger | None = None, **config: Any
) -> Client:
    """As `offering`, in its charge loop."""
    return offering(service, index, charger, **config).to_loop()


def loop(made: Client, **changes: Any) -> Any:
    """One loop; `changes` are fields of the control mode element, or of the request if it has them."""
    request = made.build(made.loop)
    for name, value in changes.items():
        target = request if name in type(request).__struct_fields__ else request.control_mode
        setattr(target, name, of(value) if isinstance(value, float) else value)
    return made.send(request)


def rules(made: Client) -> list[str | None]:
    return [event.requirement for event in made.secc.events]


def start(made: Client, **fields: Any) -> ResponseCode:
    return code_of(made.send("PowerDeliveryReq(Start)", **fields))


__all__ = [
    "ALL_REQUESTS",
    "CONDUCTIVE",
    "Client",
    "Finished",
    "Ongoing",
    "code_of",
    "in_loop",
    "loop",
    "of",
    "offering",
    "rules",
    "start",
]
