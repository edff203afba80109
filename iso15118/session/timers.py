"""All timers of ISO 15118-20 sessions, written once.

An ERROR timer ends the session, a PERFORMANCE time is what a side must keep and nobody may abort on. The
STRICT profile has the standard's values; RELAXED is for the laboratory: it waits in the charge loop as long
as elsewhere, as the public stacks do, and for responses of stacks that are slow when cold.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from .events import Role


class Kind(StrEnum):
    ERROR = "error"
    PERFORMANCE = "performance"


class Timer(Struct, frozen=True):
    """`seconds` bounds what `what` says; `messages` are names without Req/Res, empty means every other
    message.
    """

    name: str
    owner: Role
    """Who keeps the time or watches the clock."""
    kind: Kind
    seconds: float
    what: str
    messages: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    evidence: str = ""
    relaxed: float | None = None
    """Value in the RELAXED profile, where it differs."""

    @property
    def requirement(self) -> str | None:
        return self.requirements[0] if self.requirements else None


_LOOPS = {"AC": "AC_ChargeLoop", "DC": "DC_ChargeLoop", "WPT": "WPT_ChargeLoop"}
_LOOP_NAMES = tuple(_LOOPS.values())
_EVCC_LOOP_RULE = {"AC": "V2G20-1499", "DC": "V2G20-1501", "WPT": "V2G20-5069"}
_SECC_LOOP_RULE = {"AC": "V2G20-1500", "DC": "V2G20-1502", "WPT": "V2G20-5070"}
_SLOW = ("CertificateInstallation", "ServiceDetail")

_MESSAGE = "from the request sent to the response received"
_ANSWER = "from the request received to the response sent"
_NEXT_REQUEST = "from the response received to the next request sent"
_SILENCE = "from the response sent to the next request received"
_ONGOING = "from the first Ongoing to Finished"

TIMERS: tuple[Timer, ...] = (
    Timer(
        "V2G_EVCC_Msg_Timeout",
        Role.EVCC,
        Kind.ERROR,
        2.0,
        _MESSAGE,
        (),
        ("V2G20-436", "V2G20-440"),
        "Josev, WWCP",
        relaxed=10.0,
    ),
    Timer(
        "V2G_EVCC_Msg_Timeout.slow",
        Role.EVCC,
        Kind.ERROR,
        5.0,
        _MESSAGE,
        _SLOW,
        ("V2G20-436",),
        "Josev, WWCP",
        relaxed=10.0,
    ),
    *(
        Timer(
            f"V2G_EVCC_Msg_Timeout.{family}_loop",
            Role.EVCC,
            Kind.ERROR,
            0.5,
            _MESSAGE,
            (loop,),
            (_EVCC_LOOP_RULE[family],),
            "Josev, WWCP, eVDriveFlow",
            relaxed=10.0,
        )
        for family, loop in _LOOPS.items()
    ),
    Timer("V2G_SECC_Msg_Performance_Time", Role.SECC, Kind.PERFORMANCE, 1.5, _ANSWER, (), (), "Josev, WWCP"),
    Timer(
        "V2G_SECC_Msg_Performance_Time.slow",
        Role.SECC,
        Kind.PERFORMANCE,
        4.5,
        _ANSWER,
        _SLOW,
        (),
        "Josev, WWCP",
    ),
    *(
        Timer(
            f"V2G_SECC_Msg_Performance_Time.{family}_loop",
            Role.SECC,
            Kind.PERFORMANCE,
            0.25,
            _ANSWER,
            (loop,),
            (_SECC_LOOP_RULE[family],),
            "Josev, WWCP, eVDriveFlow",
        )
        for family, loop in _LOOPS.items()
    ),
    Timer(
        "V2G_EVCC_Sequence_Performance_Time", Role.EVCC, Kind.PERFORMANCE, 40.0, _NEXT_REQUEST, (), (), "WWCP"
    ),
    *(
        Timer(
            f"V2G_EVCC_Sequence_Performance_Time.{family}_loop",
            Role.EVCC,
            Kind.PERFORMANCE,
            0.25,
            "from the charge-loop response received to the next charge-loop request sent",
            (loop,),
            (_EVCC_LOOP_RULE[family],),
            "WWCP",
        )
        for family, loop in _LOOPS.items()
    ),
    Timer(
        "V2G_SECC_Sequence_Timeout",
        Role.SECC,
        Kind.ERROR,
        60.0,
        _SILENCE,
        (),
        ("V2G20-443", "V2G20-441"),
        "Josev, EVerest, WWCP",
    ),
    *(
        Timer(
            f"V2G_SECC_Sequence_Timeout.{family}_loop",
            Role.SECC,
            Kind.ERROR,
            0.5,
            _SILENCE,
            (loop,),
            (_SECC_LOOP_RULE[family], "V2G20-443"),
            "WWCP; Josev and EVerest wait 60 s",
            relaxed=60.0,
        )
        for family, loop in _LOOPS.items()
    ),
    Timer(
        "V2G_EVCC_CommunicationSetup_Timeout",
        Role.EVCC,
        Kind.ERROR,
        20.0,
        "from link up to SessionSetupRes",
        (),
        (),
        "Josev",
    ),
    Timer(
        "V2G_SECC_CommunicationSetup_Performance_Time",
        Role.SECC,
        Kind.PERFORMANCE,
        18.0,
        "from link up to SessionSetupRes sent",
        (),
        (),
        "EVerest",
    ),
    Timer("V2G_EVCC_Ongoing_Timeout", Role.EVCC, Kind.ERROR, 60.0, _ONGOING, (), (), "Josev, EVerest"),
    Timer(
        "V2G_SECC_Ongoing_Performance_Time",
        Role.SECC,
        Kind.PERFORMANCE,
        55.0,
        _ONGOING,
        (),
        (),
        "EVerest, eVDriveFlow",
    ),
    Timer(
        "V2G_EVCC_CableCheck_Timeout",
        Role.EVCC,
        Kind.ERROR,
        40.0,
        "from the first DC_CableCheckReq to Finished",
        ("DC_CableCheck",),
        (),
        "Josev; eVDriveFlow has only the Ongoing timeout",
        relaxed=60.0,
    ),
    Timer(
        "V2G_EVCC_PreCharge_Timeout",
        Role.EVCC,
        Kind.ERROR,
        10.0,
        "from the first DC_PreChargeReq to matching voltages",
        ("DC_PreCharge",),
        (),
        "Josev; -2 has 7 s",
        relaxed=60.0,
    ),
    Timer(
        "V2G_SECC_TCP_Close",
        Role.SECC,
        Kind.PERFORMANCE,
        5.0,
        "from SessionStopRes sent to the SECC closing what the EV left open",
        ("SessionStop",),
        ("V2G20-1643", "V2G20-1633"),
        "EVerest, Josev",
    ),
    Timer(
        "CP_C_after_Start",
        Role.EVCC,
        Kind.PERFORMANCE,
        0.25,
        "from the first PowerDeliveryReq(Start) to control pilot state C or D",
        ("PowerDelivery",),
        ("V2G20-847",),
        "Josev",
    ),
    Timer("SDP_Request_Timeout", Role.EVCC, Kind.ERROR, 0.25, "per SDP request, at most 50", (), (), "-2"),
)

BY_NAME: Mapping[str, Timer] = {timer.name: timer for timer in TIMERS}


class Profile:
    """The values of all timers, by name and by message."""

    def __init__(
        self, name: str, *, relaxed: bool = False, overrides: Mapping[str, float] | None = None
    ) -> None:
        unknown = set(overrides or ()) - set(BY_NAME)
        if unknown:
            raise ValueError(f"no such timer: {', '.join(sorted(unknown))}")
        self.name = name
        self._seconds = {
            timer.name: timer.relaxed if relaxed and timer.relaxed is not None else timer.seconds
            for timer in TIMERS
        }
        self._seconds.update(overrides or {})
        self._by_message = {
            (timer.name.partition(".")[0], message): timer for timer in TIMERS for message in timer.messages
        }

    def seconds(self, name: str) -> float:
        """Value of the timer of exactly this name. KeyError if there is none."""
        return self._seconds[name]

    def timer(self, name: str, message: str = "") -> Timer:
        """The row of timer `name` that holds for `message` (a name without Req/Res): its own or the general
        one.
        """
        return self._by_message.get((name, message)) or BY_NAME[name]

    def limit(self, name: str, message: str = "") -> float:
        """Seconds of timer `name` for `message`."""
        return self._seconds[self.timer(name, message).name]

    def with_values(self, **overrides: float) -> Profile:
        """The same profile with other values for some timers; names as in the table, "." written as "__"."""
        changed = {name.replace("__", "."): seconds for name, seconds in overrides.items()}
        return Profile(self.name, overrides={**self._seconds, **changed})


STRICT = Profile("strict")
RELAXED = Profile("relaxed", relaxed=True)
