"""The ordinary way of a session, read from the sequence table: where each stimulus can be put."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from iso15118.session.paths import Edge, explore, path_to
from iso15118.session.sequence import Row, State
from iso15118.session.services import Family

FAMILIES = (Family.DC, Family.AC)
_WAYPOINTS = {
    Family.DC: ("setup.new", "services.selected.dc", "loop.dc", "welding.done", "stop"),
    Family.AC: ("setup.new", "services.selected.ac", "loop.ac", "power.stop", "stop"),
}
FIRST_DIFFERENCE = {
    Family.DC: "DC_ChargeParameterDiscoveryReq",
    Family.AC: "AC_ChargeParameterDiscoveryReq",
}
"""The first request in which the families differ."""
_ONLY_BY_WISH = ("services.detailed", "power.ev_ongoing")
"""Rows in which an EV repeats itself only if it wants to: not on the ordinary way."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A place on the way: the request `at` (with its ChargeProgress) is due after `row`."""

    row: Row
    at: str
    occurrence: int = 1

    @property
    def name(self) -> str:
        """For case ids."""
        again = "" if self.occurrence == 1 else f"-{self.occurrence}"
        return self.at.replace("(", "-").replace(")", "") + again

    @property
    def message(self) -> str:
        return self.at.partition("(")[0]

    @property
    def response(self) -> str:
        return self.message.removesuffix("Req") + "Res"


@cache
def way(family: Family) -> tuple[Stop, ...]:
    """From supportedAppProtocolReq to SessionStopReq, with the places where a request is repeated."""
    stops: list[Stop] = []
    state: State | None = None
    for waypoint in _WAYPOINTS[family]:
        edges = explore(family) if state is None else explore(family, state)
        path = path_to(waypoint, edges)
        stops += [
            stop for edge in path for stop in (Stop(edge.source.row, edge.request), *_again(edge, edges))
        ]
        state = path[-1].target
    return tuple(stops)


def _again(edge: Edge, edges: list[Edge]) -> list[Stop]:
    """The same request once more, where an answer lets it be repeated: polls and charge loops."""
    rows = dict.fromkeys(
        other.row
        for other in edges
        if other.source == edge.source
        and other.request == edge.request
        and other.row.expects(edge.request, edge.request)
        and not other.row.id.startswith(_ONLY_BY_WISH)
    )
    return [Stop(row, edge.request, 2) for row in rows][:1]


def own(family: Family) -> tuple[Stop, ...]:
    """The part of the way whose messages or meaning depend on the family."""
    stops = way(family)
    first = next(index for index, stop in enumerate(stops) if stop.at == FIRST_DIFFERENCE[family])
    return stops[first:]


def common() -> tuple[Stop, ...]:
    """The part of the way that is the same for all."""
    return way(Family.DC)[: len(way(Family.DC)) - len(own(Family.DC))]
