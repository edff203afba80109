"""Curves for charts, bounded in size whatever the length of the session."""

from __future__ import annotations

LIMIT = 4000


class Series:
    """Points (s, value). When there are too many, each group of four keeps its least and its greatest, so
    that spikes stay.
    """

    __slots__ = ("_limit", "_pending", "_stride", "points")

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._stride = 1
        self._pending: list[tuple[float, float]] = []
        self.points: list[tuple[float, float]] = []

    def add(self, time: float, value: float | None) -> None:
        if value is None:
            return
        if self._stride == 1:
            self.points.append((time, value))
        else:
            self._pending.append((time, value))
            if len(self._pending) == 2 * self._stride:
                self.points += _extremes(self._pending)
                self._pending.clear()
        if len(self.points) > self._limit:
            self.points = [
                point for at in range(0, len(self.points), 4) for point in _extremes(self.points[at : at + 4])
            ]
            self._stride *= 2

    def all(self) -> list[tuple[float, float]]:
        return self.points + _extremes(self._pending)

    def __bool__(self) -> bool:
        return bool(self.points)


def _extremes(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points with the least and the greatest value, in their order; all of them, if there are two at
    most.
    """
    if len(points) <= 2:
        return list(points)
    low = min(range(len(points)), key=lambda index: points[index][1])
    high = max(range(len(points)), key=lambda index: points[index][1])
    return [points[index] for index in sorted({low, high})]
