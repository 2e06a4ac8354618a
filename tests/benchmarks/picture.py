"""Draws cost against size, as an SVG that reads on a light and on a dark page. Imports only the standard library."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 380, 260, 56, 40, 40
"""Of one of the two charts, and the margins around its lines."""

STYLE = (
    "text{font:12px sans-serif;fill:#6e7781}.title{font-weight:600}"
    ".ours{stroke:#0969da}.theirs{stroke:#8c959f;stroke-dasharray:4 3}polyline{fill:none;stroke-width:2}"
    ".dot{fill:#0969da}.grid{stroke:#8c959f;stroke-opacity:.3}"
)


@dataclass(frozen=True, slots=True)
class Point:
    """What a dry run over so many items costs: seconds, those of the plain tools, and megabytes at its peak."""

    rows: int
    seconds: float
    plain_seconds: float
    megabytes: float


def draw_cost(points: Sequence[Point]) -> str:
    """Time and memory side by side, both axes logarithmic: what grows with the size is a straight line."""
    time = [
        *_axes("dry run, seconds", points, (0.1, 1, 10)),
        *_line(points, lambda point: point.plain_seconds, (0.1, 10), "theirs"),
        *_line(points, lambda point: point.seconds, (0.1, 10), "ours"),
        f'<text x="{LEFT + 8}" y="{TOP + 14}">dashed: find and jq over the same files</text>',
    ]
    memory = [
        *_axes("peak memory, megabytes", points, (10, 100, 1000)),
        *_line(points, lambda point: point.megabytes, (10, 1000), "ours"),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT}" role="img">',
            f"<title>{_describe(points)}</title>",
            f"<style>{STYLE}</style>",
            *time,
            f'<g transform="translate({WIDTH})">',
            *memory,
            "</g>",
            "</svg>\n",
        ]
    )


def _describe(points: Sequence[Point]) -> str:
    figures = (f"{each.rows:,} items {each.seconds:.2f} s and {each.megabytes:.0f} MB" for each in points)
    return f"What a dry run costs: {', '.join(figures)}"


def _x(points: Sequence[Point], rows: int) -> float:
    return LEFT + (WIDTH - LEFT - 30) * _share(rows, points[0].rows, points[-1].rows)


def _y(value: float, low: float, high: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * _share(value, low, high)


def _share(value: float, low: float, high: float) -> float:
    return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))


def _axes(title: str, points: Sequence[Point], ticks: Sequence[float]) -> Iterator[str]:
    yield f'<text class="title" x="{LEFT}" y="20">{title}</text>'
    for tick in ticks:
        y = _y(tick, ticks[0], ticks[-1])
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 30}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
    for point in points:
        x = _x(points, point.rows)
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{point.rows // 1000:,}k</text>'
    yield f'<text x="{WIDTH - 30}" y="{HEIGHT - 6}" text-anchor="end">items</text>'


def _line(
    points: Sequence[Point], value: Callable[[Point], float], range_: tuple[float, float], name: str
) -> Iterator[str]:
    places = [(_x(points, point.rows), _y(value(point), *range_), point) for point in points]
    yield f'<polyline class="{name}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)}"/>'
    if name == "ours":
        for x, y, point in places:
            yield f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
            # On the side on which the other line is not.
            label = y + 18 if point.plain_seconds > point.seconds else y - 8
            yield f'<text x="{x:.1f}" y="{label:.1f}" text-anchor="middle">{value(point):.3g}</text>'
