"""Services, their parameter sets, and the negotiation of protocol and service.

An `EnergyMode` is what a parameter set of an energy service says, in typed form. Where public stacks
disagree on a name or a value both are read, what was read is reported, and `Dialect` says which is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from msgspec import Struct

from ..messages import common
from ..messages.app_protocol import AppProtocol
from ..messages.common_types import RationalNumber

PARAMETER_SET_LIMIT = 32
SERVICE_LIST_LIMIT = 8


class Family(StrEnum):
    """Message set of an energy service; also the last part of its namespace."""

    AC = "AC"
    DC = "DC"
    ACDP = "ACDP"
    WPT = "WPT"

    @property
    def namespace(self) -> str:
        return f"urn:iso:std:iso:15118:-20:{self.value}"


FAMILY_OF_NAMESPACE: dict[str, Family] = {family.namespace: family for family in Family}


class ServiceID(IntEnum):
    """Table 204; 8 and 9 are of Amendment 1."""

    AC = 1
    DC = 2
    WPT = 3
    DC_ACDP = 4
    AC_BPT = 5
    DC_BPT = 6
    DC_ACDP_BPT = 7
    MCS = 8
    MCS_BPT = 9
    INTERNET = 65
    PARKING_STATUS = 66

    @property
    def family(self) -> Family | None:
        return _FAMILIES.get(self)

    @property
    def bidirectional(self) -> bool:
        return self in _BIDIRECTIONAL


_FAMILIES: dict[ServiceID, Family] = {
    ServiceID.AC: Family.AC,
    ServiceID.AC_BPT: Family.AC,
    ServiceID.DC: Family.DC,
    ServiceID.DC_BPT: Family.DC,
    ServiceID.MCS: Family.DC,
    ServiceID.MCS_BPT: Family.DC,
    ServiceID.DC_ACDP: Family.ACDP,
    ServiceID.DC_ACDP_BPT: Family.ACDP,
    ServiceID.WPT: Family.WPT,
}
_BIDIRECTIONAL = frozenset({ServiceID.AC_BPT, ServiceID.DC_BPT, ServiceID.MCS_BPT, ServiceID.DC_ACDP_BPT})


def family_of(service_id: int) -> Family | None:
    """The message set of an energy service; None for a VAS or an id unknown here."""
    try:
        return ServiceID(service_id).family
    except ValueError:
        return None


class ControlMode(IntEnum):
    """Who controls power; the SECC supports both [V2G20-2656]."""

    SCHEDULED = 1
    DYNAMIC = 2


class MobilityNeedsMode(IntEnum):
    """Who states the mobility needs; SECC only together with dynamic control [V2G20-2663]."""

    EVCC = 1
    SECC = 2


class Pricing(IntEnum):
    """The values of the parameter Pricing: what prices a schedule carries."""

    NONE = 0
    ABSOLUTE = 1
    LEVELS = 2


class BPTChannel(IntEnum):
    """SEPARATED: the EV names the direction in PowerDeliveryReq [V2G20-2123]."""

    UNIFIED = 1
    SEPARATED = 2


class GeneratorMode(IntEnum):
    GRID_FOLLOWING = 1
    GRID_FORMING = 2


class IslandingDetection(IntEnum):
    ACTIVE = 1
    PASSIVE = 2


class DCConnector(IntEnum):
    CORE = 1
    EXTENDED = 2
    DUAL2 = 3
    DUAL4 = 4


class MCSConnector(IntEnum):
    MCS = 1
    CHAOJI = 2
    ULTRA_CHAOJI = 3
    RMCS = 4
    XMCS = 5
    AVIATION = 6
    MARINE = 7


ISLANDING_NAMES = ("DetectionMethodGridCodeIslanding", "GridCodeIslandingDetectionMethod")
THREE_PHASE_CONNECTORS = (3, 2)


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which form is sent where public stacks disagree; both forms are always read."""

    three_phase_connector: int = 3
    """Connector of a three-phase AC set: 3 (EVerest) or 2 (Josev)."""
    islanding_name: str = ISLANDING_NAMES[0]
    """EVerest's name; Josev defines the other."""
    negative_discharge_limits: bool = False
    """Discharge limits as negative numbers (an EVerest option) instead of magnitudes."""
    negative_discharge_schedules: bool = False
    """Power of discharging schedules as negative numbers."""
    price_every_schedule: bool = True
    """A charging schedule without known prices carries one price level [V2G20-2176]: Josev's EVCC refuses it
    without. False: no price schedule, as EVerest does.
    """
    discharge_register: bool = True
    """MeterInfo of a bidirectional service carries BPT_DischargedEnergyReadingWh. Josev names the field
    otherwise, and its EVCC refuses the charge-loop response.
    """


@dataclass(frozen=True, slots=True)
class EnergyMode:
    """What one parameter set of one energy service means."""

    service: ServiceID
    control: ControlMode
    parameter_set_id: int = 0
    """Given by the SECC; of no meaning by itself."""
    mobility: MobilityNeedsMode = MobilityNeedsMode.EVCC
    pricing: Pricing = Pricing.NONE
    connector: int = 1
    """DC, MCS: the value sent, see DCConnector and MCSConnector. AC: number of phases, 1 or 3."""
    nominal_voltage: int = 230
    """AC only, V; stacks disagree on line to neutral or line to line."""
    channel: BPTChannel = BPTChannel.UNIFIED
    generator: GeneratorMode = GeneratorMode.GRID_FOLLOWING
    islanding: IslandingDetection = IslandingDetection.PASSIVE

    @property
    def family(self) -> Family:
        family = self.service.family
        if family is None:
            raise ValueError(f"service {self.service.value} is not an energy service")
        return family

    @property
    def bidirectional(self) -> bool:
        return self.service.bidirectional

    @property
    def scheduled(self) -> bool:
        return self.control is ControlMode.SCHEDULED

    @property
    def phases(self) -> int:
        """AC: 1 or 3."""
        return self.connector if self.family is Family.AC else 0

    def problems(self) -> list[str]:
        """What contradicts the standard in this combination."""
        found = []
        if self.mobility is MobilityNeedsMode.SECC and self.control is not ControlMode.DYNAMIC:
            found.append("MobilityNeedsMode 2 needs ControlMode 2 [V2G20-2663]")
        if self.family is Family.AC and self.connector not in (1, 3):
            found.append(f"an AC connector has 1 or 3 phases, not {self.connector}")
        if self.family is Family.DC and not 1 <= self.connector <= (
            7 if self.service >= ServiceID.MCS else 4
        ):
            found.append(f"connector {self.connector} is not one of {self.service.name}")
        return found

    def parameter_set(self, dialect: Dialect) -> common.ParameterSet:
        """The set as sent."""
        ac = self.family is Family.AC
        connector = dialect.three_phase_connector if ac and self.connector == 3 else self.connector
        values: list[tuple[str, int]] = [("Connector", connector), ("ControlMode", self.control)]
        if ac:
            values.append(("EVSENominalVoltage", self.nominal_voltage))
        values += [("MobilityNeedsMode", self.mobility), ("Pricing", self.pricing)]
        if self.bidirectional:
            values += [("BPTChannel", self.channel), ("GeneratorMode", self.generator)]
            if ac:
                values.append((dialect.islanding_name, self.islanding))
        return common.ParameterSet(
            parameter_set_id=self.parameter_set_id,
            parameter=[common.Parameter(name=name, int_value=int(value)) for name, value in values],
        )


@dataclass(frozen=True, slots=True)
class VAS:
    """A value added service: named values by parameter set id."""

    service_id: int
    parameter_sets: dict[int, dict[str, bool | int | float | str]]
    free: bool = True

    def parameter_list(self) -> common.ServiceParameterList:
        return common.ServiceParameterList(
            parameter_set=[
                common.ParameterSet(
                    parameter_set_id=set_id,
                    parameter=[parameter(name, value) for name, value in values.items()],
                )
                for set_id, values in self.parameter_sets.items()
            ]
        )


INTERNET = VAS(
    ServiceID.INTERNET,
    {
        1: {"Protocol": "ftp", "Port": 20},
        2: {"Protocol": "ftp", "Port": 21},
        3: {"Protocol": "http", "Port": 80},
        4: {"Protocol": "https", "Port": 443},
    },
)
"""Fixed sets of the standard."""

PARKING_STATUS = VAS(
    ServiceID.PARKING_STATUS,
    {
        1: {"IntendedService": 1, "ParkingStatusType": 1},
        2: {"IntendedService": 2, "ParkingStatusType": 1},
    },
)
"""IntendedService 1 check-in, 2 check-out; ParkingStatusType 1, 2 automatic and 3, 4 manual, internal and
external.
"""


def parameter(name: str, value: bool | int | float | str) -> common.Parameter:
    """A parameter of the kind that fits the Python value (int: intValue, float: rationalNumber)."""
    if isinstance(value, bool):
        return common.Parameter(name=name, bool_value=value)
    if isinstance(value, int):
        return common.Parameter(name=name, int_value=value)
    if isinstance(value, float):
        return common.Parameter(name=name, rational_number=RationalNumber.of(value))
    return common.Parameter(name=name, finite_string=value)


def parameter_value(item: common.Parameter) -> bool | int | float | str | None:
    """The value of whichever kind is set; None if none is."""
    for value in (item.bool_value, item.byte_value, item.short_value, item.int_value, item.finite_string):
        if value is not None:
            return value
    return None if item.rational_number is None else float(item.rational_number)


class Reading(Struct, frozen=True):
    """A parameter set as understood: `mode` is None if it cannot be used; `problems` and `notes` say why and
    what was tolerated.
    """

    mode: EnergyMode | None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_parameter_set(service_id: int, parameter_set: common.ParameterSet) -> Reading:
    """Understand a parameter set of an energy service, in any of the forms that public stacks send."""
    try:
        service = ServiceID(service_id)
    except ValueError:
        return Reading(None, (f"service {service_id} is not known",))
    if service.family is None:
        return Reading(None, (f"service {service_id} is not an energy service",))
    values = {item.name: parameter_value(item) for item in parameter_set.parameter}
    problems: list[str] = []
    notes: list[str] = []

    def integer(name: str, default: int | None = None) -> int:
        value = values.get(name)
        if isinstance(value, bool) or not isinstance(value, int):
            if default is None:
                problems.append(
                    f"{name} is missing" if value is None else f"{name} is {value!r}, not an integer"
                )
                return 0
            notes.append(f"{name} is missing" if value is None else f"{name} is {value!r}, not an integer")
            return default
        return value

    ac = service.family is Family.AC
    connector = integer("Connector", default=1)
    if ac and connector in THREE_PHASE_CONNECTORS:
        notes.append(f"Connector {connector} means three phases here")
        connector = 3
    islanding = IslandingDetection.PASSIVE
    if ac and service.bidirectional:
        used = [name for name in ISLANDING_NAMES if name in values]
        if used:
            notes.append(f"islanding detection is called {used[0]}")
        islanding = _member(
            IslandingDetection,
            integer(used[0] if used else ISLANDING_NAMES[0], default=2),
            problems,
            "islanding detection",
        )
    if not ac and "EVSENominalVoltage" in values:
        notes.append("EVSENominalVoltage in a parameter set that is not AC")
    try:
        mode = EnergyMode(
            service=service,
            parameter_set_id=parameter_set.parameter_set_id,
            control=ControlMode(integer("ControlMode")),
            mobility=MobilityNeedsMode(integer("MobilityNeedsMode", default=1)),
            pricing=Pricing(integer("Pricing", default=0)),
            connector=connector,
            nominal_voltage=integer("EVSENominalVoltage", default=230) if ac else 230,
            channel=BPTChannel(integer("BPTChannel", default=1))
            if service.bidirectional
            else BPTChannel.UNIFIED,
            generator=GeneratorMode(integer("GeneratorMode", default=1))
            if service.bidirectional
            else GeneratorMode.GRID_FOLLOWING,
            islanding=islanding,
        )
    except ValueError as error:
        return Reading(None, (*problems, str(error)), tuple(notes))
    problems += mode.problems()
    return Reading(None if problems else mode, tuple(problems), tuple(notes))


def _member(kind: type[IslandingDetection], value: int, problems: list[str], name: str) -> IslandingDetection:
    try:
        return kind(value)
    except ValueError:
        problems.append(f"{name} is {value}")
        return IslandingDetection.PASSIVE


# -- supportedAppProtocol ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol that a station serves; -20 has major version 1."""

    namespace: str
    major: int = 1
    minor: int = 0


class Choice(Struct, frozen=True):
    """What was chosen of an EV's offer, and whether its minor version differs from ours."""

    offer: AppProtocol
    protocol: Protocol
    minor_deviation: bool


def choose_protocol(offers: Iterable[AppProtocol], served: Sequence[Protocol]) -> Choice | None:
    """Filter to what the station serves, then take the EV's best priority (1 is the highest) [V2G20-169]."""
    by_version = {(protocol.namespace, protocol.major): protocol for protocol in served}
    best: Choice | None = None
    for offer in offers:
        protocol = by_version.get((offer.protocol_namespace, offer.version_number_major))
        if protocol is not None and (best is None or offer.priority < best.offer.priority):
            best = Choice(offer, protocol, offer.version_number_minor != protocol.minor)
    return best
