"""HTML and SVG from values: every text and every attribute is escaped here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape

from audio_cache_daemon.reporting.terminal import clean
from audio_cache_daemon.units import format_duration, format_time

_EMPTY = {"meta": ">", "link": ">", "rect": "/>", "line": "/>", "path": "/>"}
"""Elements without content, and how they end."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, /, *content: str, **attributes: str | float | None) -> Markup:
    """An element; content that is no markup is escaped. `class_` is the attribute class, `_` in names becomes `-`."""
    pairs = [(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None]
    said = "".join(f' {key}="{_attribute(value)}"' for key, value in pairs)
    start = f"<{name}{said}"
    if name in _EMPTY:
        return Markup(start + _EMPTY[name])
    return Markup(f"{start}>{join(content)}</{name}>")


def join(parts: Iterable[str]) -> Markup:
    """Parts one after the other; those that are no markup are escaped."""
    return Markup("".join(part if isinstance(part, Markup) else escape(clean(part)) for part in parts))


def moment(timestamp: float, now: float) -> Markup:
    """A point in time for people and programs: to the minute, and how far it is away."""
    text = datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M")
    away = format_duration(abs(timestamp - now))
    words = f"in {away}" if timestamp > now else f"{away} ago"
    return join(
        [element("time", text, datetime=format_time(timestamp), title=format_time(timestamp)), " (", words, ")"]
    )


def _attribute(value: str | float) -> str:
    return escape(clean(value)) if isinstance(value, str) else f"{value:.6g}"
