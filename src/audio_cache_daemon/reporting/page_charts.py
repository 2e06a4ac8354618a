"""The pictures of the status page, as SVG in the page: each says in words what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from audio_cache_daemon.reporting.markup import Markup, element
from audio_cache_daemon.reporting.page_facts import AgeBar, CachePage, Meter, RunRow, SizePoint
from audio_cache_daemon.units import format_size

_WIDTH = 400.0
"""Of a chart, in units of its own: about the pixels of a narrow screen, so that its text stays readable."""

_METER_WIDTH = 280.0
"""The same of a meter: three of them stand side by side."""

MOST_RULES = 5
"""Rules with a colour of their own; those beyond share the last."""


def draw_patterns() -> Markup:
    """What the other pictures fill with: a colour and a hatching for each rule, so that colour alone tells nothing."""
    hatchings = ("", "M0 4 L8 4", "M0 0 L8 8 M-2 6 L2 10 M6 -2 L10 2", "M4 0 L4 8", "M0 8 L8 0 M-2 2 L2 -2 M6 10 L10 6")
    patterns = [
        element(
            "pattern",
            element("rect", width=8, height=8, style=f"fill:var(--go-{number})"),
            element("path", d=hatching or "M0 0", style="stroke:var(--card);stroke-width:1.6;fill:none"),
            id=f"go-{number}",
            width=8,
            height=8,
            patternUnits="userSpaceOnUse",
        )
        for number, hatching in enumerate(hatchings)
    ]
    return element("svg", element("defs", *patterns), class_="patterns", aria_hidden="true", focusable="false")


def draw_meter(meter: Meter) -> Markup:
    """A bar with its two marks."""
    scale = _METER_WIDTH / max(meter.whole, 1e-9)
    ends = {name: min(_METER_WIDTH, value * scale) for name, value in
            (("value", meter.value), ("high", meter.high), ("low", meter.low))}  # fmt: skip
    kind = "over" if meter.is_crossed else "bar"
    return _picture(
        (_METER_WIDTH, 62),
        f"{meter.title}: {meter.text}; {meter.high_text}, {meter.low_text}",
        element("rect", x=0, y=20, width=_METER_WIDTH, height=18, rx=3, class_="track"),
        element("rect", x=0, y=20, width=ends["value"], height=18, rx=3, class_=kind),
        element("line", x1=ends["high"], x2=ends["high"], y1=16, y2=41, class_="mark"),
        element("line", x1=ends["low"], x2=ends["low"], y1=17, y2=45, class_="mark low"),
        _label(ends["high"], 13, meter.high_text),
        _label(ends["low"], 57, meter.low_text),
    )


def _label(x: float, y: float, words: str) -> Markup:
    """Words at a mark of a meter, that stay within it."""
    anchor = "start" if x < _METER_WIDTH * 0.3 else "end" if x > _METER_WIDTH * 0.7 else "middle"
    return element("text", words, x=x, y=y, text_anchor=anchor)


def draw_ages(bars: Sequence[AgeBar], rules: Sequence[str]) -> Markup:
    """A histogram of ages: what stays below, what each rule takes upon it."""
    top, bottom = 18.0, 150.0
    most = max((_total(bar) for bar in bars), default=0) or 1
    step = _WIDTH / max(1, len(bars))
    parts: list[Markup] = []
    for number, bar in enumerate(bars):
        x, y = number * step, bottom
        counts = [("stay", None, bar.stay), *(("go", rule, count) for rule, count in bar.go)]
        for kind, rule, count in counts:
            height = (bottom - top) * count / most
            y -= height
            fill = None if rule is None else f"fill:url(#go-{rule_number(rules, rule)})"
            if count:
                parts.append(
                    element("rect", x=x + step * 0.1, y=y, width=step * 0.8, height=height, class_=kind, style=fill)
                )
        middle = x + step / 2
        if _total(bar):
            parts.append(element("text", _short(_total(bar)), x=middle, y=y - 4, text_anchor="middle", class_="strong"))
        parts.append(element("text", bar.label, x=middle, y=bottom + 16, text_anchor="middle"))
    axis = element("line", x1=0, x2=_WIDTH, y1=bottom, y2=bottom, class_="axis")
    return _picture((_WIDTH, 172), _describe_ages(bars), *parts, axis)


def rule_number(rules: Sequence[str], rule: str) -> int:
    """Which colour and hatching a rule has."""
    return min(rules.index(rule), MOST_RULES - 1)


def draw_swatch(fill: str | None) -> Markup:
    """A small square for a legend; without a fill that of what stays."""
    square = element("rect", width=16, height=16, rx=2, class_="stay" if fill is None else "go", style=fill)
    return element("svg", square, viewBox="0 0 16 16", aria_hidden="true", focusable="false")


def draw_sizes(cache: CachePage) -> Markup:
    """The size over time, with its marks and with the runs that ended meanwhile."""
    points = cache.sizes
    top, bottom = 18.0, 150.0
    begin, end = points[0].time, points[-1].time
    span = (end - begin) or 1.0
    most = max(*(point.bytes for point in points), *(cache.marks or (0, 0)), 1) * 1.05

    def place(time: float, size: float) -> tuple[float, float]:
        return _WIDTH * (time - begin) / span, bottom - (bottom - top) * size / most

    curve = "L".join(f"{x:.1f} {y:.1f}" for x, y in (place(point.time, point.bytes) for point in points))
    parts = [
        element("path", d=f"M0 {bottom} L{curve} L{_WIDTH} {bottom} Z", class_="area"),
        element("path", d=f"M{curve}", class_="curve"),
        element("line", x1=0, x2=_WIDTH, y1=bottom, y2=bottom, class_="axis"),
    ]
    if cache.marks is not None:
        # At opposite ends, since the marks may be close to each other.
        ends = (("high", "mark", 2.0, "start"), ("low", "mark low", _WIDTH - 2, "end"))
        for size, (name, kind, x, anchor) in zip(cache.marks, ends, strict=True):
            _, y = place(begin, size)
            parts.append(element("line", x1=0, x2=_WIDTH, y1=y, y2=y, class_=kind))
            words = f"{name} {format_size(size)}"
            parts.append(element("text", words, x=x, y=y - 4, text_anchor=anchor, class_="on"))
    shown = [run for run in cache.runs if begin <= run.time <= end]
    parts += [_draw_run(place(run.time, _size_at(points, run.time)), run) for run in shown]
    parts.append(element("text", _day(begin, span), x=0, y=bottom + 16))
    parts.append(element("text", _day(end, span), x=_WIDTH, y=bottom + 16, text_anchor="end"))
    return _picture((_WIDTH, 172), _describe_sizes(cache), *parts)


def _draw_run(place: tuple[float, float], run: RunRow) -> Markup:
    """A mark for a run: by its shape, too, a refused one can be told."""
    x, y = place
    shapes = {
        "good": f"M{x - 5:.1f} {y - 13:.1f} h10 l-5 9 Z",
        "warn": f"M{x - 5:.1f} {y - 9:.1f} l5 -5 l5 5 l-5 5 Z",
        "bad": f"M{x - 5:.1f} {y - 14:.1f} h10 v10 h-10 Z",
    }
    words = f"{_clock(run.time)}: {run.cause}, {run.result}, {format_size(run.freed)} freed"
    return element("g", element("title", words), element("path", d=shapes[run.level], class_=f"run {run.level}"))


def _picture(size: tuple[float, float], label: str, *content: Markup) -> Markup:
    width, height = size
    return element("svg", *content, viewBox=f"0 0 {width:.0f} {height:.0f}", role="img", aria_label=label)


def _total(bar: AgeBar) -> int:
    return bar.stay + sum(count for _, count in bar.go)


def _describe_ages(bars: Sequence[AgeBar]) -> str:
    words = [
        f"{bar.words}: {_total(bar):,} items" + (f", {_total(bar) - bar.stay:,} of them go" if bar.go else "")
        for bar in bars
        if _total(bar)
    ]
    return "Items by age. " + ("; ".join(words) or "none") + "."


def _describe_sizes(cache: CachePage) -> str:
    points = cache.sizes
    runs = sum(points[0].time <= run.time <= points[-1].time for run in cache.runs)
    least, most = min(point.bytes for point in points), max(point.bytes for point in points)
    return (
        f"Size from {_clock(points[0].time)} to {_clock(points[-1].time)}: between {format_size(least)} and "
        f"{format_size(most)}, {format_size(points[-1].bytes)} at the end; {runs} runs meanwhile."
    )


def _size_at(points: Sequence[SizePoint], time: float) -> float:
    """The size at a moment, between the points around it."""
    before = max((point for point in points if point.time <= time), key=lambda point: point.time)
    after = min((point for point in points if point.time >= time), key=lambda point: point.time)
    share = (time - before.time) / ((after.time - before.time) or 1.0)
    return before.bytes + (after.bytes - before.bytes) * share


def _short(count: int) -> str:
    for unit, size in (("M", 1_000_000), ("k", 10_000)):
        if count >= size:
            return f"{count / (1000 if unit == 'k' else size):.3g}{unit}"
    return str(count)


def _clock(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M")


def _day(timestamp: float, span: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%H:%M" if span < 86400 else "%Y-%m-%d")
