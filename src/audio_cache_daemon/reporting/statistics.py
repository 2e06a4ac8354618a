"""A cache in figures."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
from msgspec.structs import asdict

from audio_cache_daemon.model import Bools, Floats, Inventory, ItemState, StrayKind
from audio_cache_daemon.reporting.terminal import Screen, Symbol
from audio_cache_daemon.units import format_duration, format_size, format_time


class Figures(msgspec.Struct, frozen=True):
    """Average, smallest and largest of the values that are known; None when none is."""

    average: float | None
    lowest: float | None
    highest: float | None


class Statistics(msgspec.Struct, frozen=True):
    """What is in a cache. Sizes in bytes, durations in seconds, times in seconds since the epoch.

    `duplicates` are items beyond the first of their prompt; `problems` counts what the scan met, by kind.
    """

    items: int
    unique_prompts: int
    duplicates: int
    audio_bytes: int
    index_bytes: int
    vector_bytes: int
    duration: Figures
    quality: Figures
    oldest: float | None
    newest: float | None
    missing: int
    undecidable: int
    retired: int
    pending: int
    pending_bytes: int
    orphans: int
    orphan_bytes: int
    leftovers: int
    leftover_bytes: int
    problems: Mapping[str, int]


def take_statistics(inventory: Inventory, now: float) -> Statistics:
    """The figures of an inventory at the moment `now`; a timestamp still to come counts as unknown."""
    rows, strays = inventory.rows, inventory.strays
    items = rows.items()
    created = _figures(rows.timestamp, items & (rows.timestamp <= now))
    with_prompt = items & (rows.prompt >= 0)
    is_used = np.zeros(int(rows.prompt.max(initial=-1)) + 1, np.bool_)
    is_used[rows.prompt[with_prompt]] = True
    unique = int(is_used.sum())
    orphan, leftover = strays.kind == StrayKind.ORPHAN, strays.kind == StrayKind.LEFTOVER
    problems: dict[str, int] = {}
    for problem in inventory.problems:
        problems[problem.kind] = problems.get(problem.kind, 0) + problem.count
    return Statistics(
        items=int(items.sum()),
        unique_prompts=unique,
        duplicates=int(with_prompt.sum()) - unique,
        audio_bytes=rows.audio_bytes(rows.readable),
        index_bytes=inventory.index.identity.size,
        vector_bytes=sum(array.identity.size for array in inventory.index.arrays.values()),
        # One of 0 is the writer's word for audio that it could not read.
        duration=_figures(rows.duration, items & (rows.duration > 0)),
        quality=_figures(rows.quality, items),
        oldest=created.lowest,
        newest=created.highest,
        missing=int(rows.missing().sum()),
        undecidable=int((items & (rows.state == ItemState.UNDECIDABLE)).sum()),
        retired=int((rows.readable & ~items).sum()),
        pending=int(inventory.retired.pending.sum()),
        pending_bytes=inventory.retired.pending_bytes(),
        orphans=int(orphan.sum()),
        orphan_bytes=int(strays.size[orphan].sum()),
        leftovers=int(leftover.sum()),
        leftover_bytes=int(strays.size[leftover].sum()),
        problems=problems,
    )


def _figures(values: Floats, of: Bools) -> Figures:
    known = of & ~np.isnan(values)
    if not known.any():
        return Figures(None, None, None)
    lowest, highest = values.min(where=known, initial=np.inf), values.max(where=known, initial=-np.inf)
    return Figures(float(values.mean(where=known)), float(lowest), float(highest))


def statistics_as_json(inventory: Inventory, statistics: Statistics) -> dict[str, object]:
    """The figures of a cache, with where it is and each problem that was met."""
    oldest, newest = statistics.oldest, statistics.newest
    return {
        "cache": inventory.location.name,
        "path": inventory.location.path,
        **asdict(statistics),
        "oldest": None if oldest is None else format_time(oldest),
        "newest": None if newest is None else format_time(newest),
        "found": [
            {"kind": p.kind, "where": p.where, "message": p.message, "count": p.count} for p in inventory.problems
        ],
    }


def print_statistics(screen: Screen, inventory: Inventory, statistics: Statistics, now: float) -> None:
    """The figures of a cache for people."""
    location, figures = inventory.location, statistics
    total = figures.audio_bytes + figures.index_bytes + figures.vector_bytes
    screen.heading(str(location.path), Symbol.DIRECTORY)
    pairs = [
        ("Total items", f"{figures.items:,}"),
        ("Unique prompts", f"{figures.unique_prompts:,}"),
        ("Duplicate items", f"{figures.duplicates:,}"),
        ("Audio", format_size(figures.audio_bytes)),
        ("Index and vectors", format_size(figures.index_bytes + figures.vector_bytes)),
        ("Cache size", format_size(total)),
        ("Average duration", _shown(figures.duration.average, "{:.1f}s")),
        ("CLAP similarity", _range(figures.quality)),
        ("Oldest item", _moment(figures.oldest, now)),
        ("Newest item", _moment(figures.newest, now)),
    ]
    screen.fields(f"{location.name}", pairs, Symbol.AUDIO)
    for count, size, what in (
        (figures.missing, None, "items whose file is missing"),
        (figures.undecidable, None, "items whose file can't be decided"),
        (figures.orphans, figures.orphan_bytes, "orphans: audio files that no row names"),
        (figures.leftovers, figures.leftover_bytes, "leftovers of generation"),
        (figures.retired, None, "retired items, not yet compacted"),
        (figures.pending, figures.pending_bytes, "files of retired items, still to go"),
    ):
        if count:
            screen.line(f"{count:,} {what}" + (f" ({format_size(size)})" if size is not None else ""), Symbol.WARNING)
    for problem in inventory.problems:
        where = problem.where or f"{problem.count:,} rows"
        screen.line(f"{where}: {problem.message}", Symbol.WARNING)


def _shown(value: float | None, pattern: str) -> str:
    return "unknown" if value is None else pattern.format(value)


def _range(figures: Figures) -> str:
    if figures.average is None:
        return "unknown"
    return f"{figures.average:.3f} on average, {figures.lowest:.3f} to {figures.highest:.3f}"


def _moment(timestamp: float | None, now: float) -> str:
    if timestamp is None:
        return "unknown"
    return f"{format_time(timestamp)} ({format_duration(now - timestamp)} ago)"
