"""What comes, on the status page: a picture of the size on the next days, and the same in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from audio_cache_daemon.reporting.markup import Markup, element
from audio_cache_daemon.reporting.page_facts import CachePage, Coming, SizePoint
from audio_cache_daemon.units import format_size

_WIDTH, _HEIGHT = 400.0, 172.0
_TOP, _BOTTOM = 18.0, 150.0


def draw_coming(cache: CachePage) -> Iterator[Markup]:
    """The figure, as far as there is one."""
    title, coming = element("h3", "What comes in the next 60 days"), cache.coming
    if isinstance(coming, Coming):
        words = [element("li", each) for each in coming.words]
        yield element(
            "figure",
            title,
            _draw(coming, cache.marks),
            element("figcaption", "━ with the policy  ┄ if nothing were removed"),
            element("ul", *words, class_="coming"),
        )
    elif coming is not None:
        yield element("figure", title, element("p", coming, class_="quiet"))


def _draw(coming: Coming, marks: tuple[int, int] | None) -> Markup:
    begin, end = coming.sizes[0].time, coming.sizes[-1].time
    most = max(*(point.bytes for point in (*coming.sizes, *coming.without)), *(marks or ()), 1) * 1.05

    def height(size: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * size / most

    def curve(points: Sequence[SizePoint]) -> str:
        span = (end - begin) or 1.0
        return "L".join(f"{_WIDTH * (point.time - begin) / span:.1f} {height(point.bytes):.1f}" for point in points)

    with_policy = curve(coming.sizes)
    parts = [
        element("path", d=f"M0 {_BOTTOM} L{with_policy} L{_WIDTH} {_BOTTOM} Z", class_="area"),
        element("path", d=f"M{curve(coming.without)}", class_="curve without"),
        element("path", d=f"M{with_policy}", class_="curve"),
        element("line", x1=0, x2=_WIDTH, y1=_BOTTOM, y2=_BOTTOM, class_="axis"),
        element("text", _day(begin), x=0, y=_BOTTOM + 16),
        element("text", _day(end), x=_WIDTH, y=_BOTTOM + 16, text_anchor="end"),
    ]
    if marks is not None:
        y = height(marks[0])
        parts.append(element("line", x1=0, x2=_WIDTH, y1=y, y2=y, class_="mark"))
        parts.append(element("text", f"high {format_size(marks[0])}", x=2, y=y - 4, class_="on"))
    size = f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}"
    return element("svg", *parts, viewBox=size, role="img", aria_label=_describe(coming))


def _describe(coming: Coming) -> str:
    first, last, without = coming.sizes[0], coming.sizes[-1], coming.without[-1]
    return (
        f"Size from {_day(first.time)} to {_day(last.time)}: {format_size(first.bytes)} at first, "
        f"{format_size(last.bytes)} at the end; {format_size(without.bytes)} if nothing were removed."
    )


def _day(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d")
