"""How a cache fared: its size over time, and its last runs. Bounded, and kept in the state directory."""

from __future__ import annotations

from typing import Literal

import msgspec

_GAP_SECONDS = 600.0
"""Between two points, unless a run lies between them: for a day and more, each ten minutes."""

_MOST_POINTS = 400
"""More than a chart has pixels to show; then the older half is thinned, so that the last days stay the finest."""

_MOST_RUNS = 60


class Point(msgspec.Struct, frozen=True, array_like=True):
    """The size of a cache at a moment: bytes as its budget counts them, and items."""

    time: float
    bytes: int
    items: int


class PastRun(msgspec.Struct, frozen=True):
    """A run that ended: its id, what caused it, when, its result, all of it in words, and what went."""

    run: str
    trigger: str
    time: float
    result: str
    words: str
    evicted: int = 0
    bytes_freed: int = 0


class History(msgspec.Struct, frozen=True):
    """Points and runs, the oldest first."""

    version: Literal[1] = 1
    points: tuple[Point, ...] = ()
    runs: tuple[PastRun, ...] = ()

    def with_point(self, point: Point) -> History:
        """With the size of now, if it is time for it; else the same."""
        # After the clock was set back, what was noted for times to come is of no use.
        past = tuple(before for before in self.points if before.time < point.time)
        last_run = self.runs[-1].time if self.runs else float("-inf")
        if past and point.time - past[-1].time < _GAP_SECONDS and past[-1].time > last_run:
            return self
        return msgspec.structs.replace(self, points=_thin((*past, point)))

    def with_run(self, run: PastRun) -> History:
        """With one more run."""
        return msgspec.structs.replace(self, runs=(*self.runs, run)[-_MOST_RUNS:])


def _thin(points: tuple[Point, ...]) -> tuple[Point, ...]:
    if len(points) <= _MOST_POINTS:
        return points
    half = _MOST_POINTS // 2
    return (*points[:half:2], *points[half:])
