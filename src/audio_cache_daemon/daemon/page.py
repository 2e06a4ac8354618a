"""What the status page shows, chosen from what is known of each cache."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from audio_cache_daemon import __version__
from audio_cache_daemon.daemon.history import History, PastRun
from audio_cache_daemon.daemon.look import Look, MarkReading
from audio_cache_daemon.daemon.outlook import AgeGroup
from audio_cache_daemon.daemon.overview import Overview
from audio_cache_daemon.daemon.page_coming import make_coming
from audio_cache_daemon.daemon.page_words import RESULT_LEVELS, describe_rules, find_troubles, judge, shorten
from audio_cache_daemon.reporting.page_facts import (
    AgeBar,
    CachePage,
    Level,
    Meter,
    RunRow,
    Share,
    SizePoint,
    StatusPage,
    TrashRow,
)
from audio_cache_daemon.units import format_duration, format_size

_CAUSES = {
    "schedule": "on schedule",
    "pressure": "above a mark",
    "start": "after a start",
    "catch_up": "made up for",
    "release": "generator restarted",
}
_LEVELS: tuple[Level, ...] = ("good", "warn", "bad")


def make_page(caches: Sequence[tuple[Overview, History]], now: float) -> StatusPage:
    """The page of a moment."""
    pages = tuple(_make_cache(overview, history, now) for overview, history in caches)
    levels: list[Level] = [page.level for page in pages] or ["good"]
    level = max(levels, key=_LEVELS.index)
    return StatusPage(level, _sum_up(pages), __version__, pages)


def _sum_up(pages: Sequence[CachePage]) -> str:
    """The state of the whole in one sentence."""
    if not pages:
        return "No cache is configured."
    if len(pages) == 1:
        return f"{pages[0].name}: {pages[0].sentence}"
    words = {"bad": ("needs help", "need help"), "warn": ("wants attention", "want attention")}
    parts = []
    for level, (one, several) in words.items():
        names = [page.name for page in pages if page.level == level]
        if names:
            parts.append(f"{_list(names)} {one if len(names) == 1 else several}")
    well = sum(page.level == "good" for page in pages)
    if not parts:
        return f"All {len(pages)} caches are well."
    rest = ["no other is well", "the other one is well", f"the other {well} are well"][min(well, 2)]
    return "; ".join([*parts, rest] if well else parts) + "."


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _make_cache(overview: Overview, history: History, now: float) -> CachePage:
    level, sentence = judge(overview, now)
    look, settings = overview.look, overview.target.settings
    size = settings.policy.budget.size
    runs = tuple(_make_run(run, overview) for run in history.runs)
    page = CachePage(
        name=overview.name,
        path=str(settings.location.path),
        level=level,
        sentence=sentence,
        seen=look.time if look is not None else None,
        due=overview.next_run,
        due_words="In the next run,",
        troubles=tuple(find_troubles(overview, now)),
        facts=tuple(_list_facts(overview)),
        sizes=tuple(SizePoint(point.time, point.bytes) for point in history.points),
        marks=(size.high, size.low) if size is not None else None,
        runs=runs,
    )
    return page if look is None else _add_look(page, overview, look)


def _make_run(run: PastRun, overview: Overview) -> RunRow:
    return RunRow(
        time=run.time,
        cause=_CAUSES.get(run.trigger, run.trigger),
        result=run.result,
        level=RESULT_LEVELS.get(run.result, "warn"),
        evicted=run.evicted,
        freed=run.bytes_freed,
        words=shorten(run.words, run.result, overview),
    )


def _add_look(page: CachePage, overview: Overview, look: Look) -> CachePage:
    policy = overview.target.settings.policy
    words = describe_rules(policy)
    shares = [
        Share(name, words.get(name, ""), count.items, count.bytes) for name, count in look.outlook.by_rule.items()
    ]
    if policy.schedule is None:
        due_words = "If it ran now"
    elif page.due is None:
        due_words = "Once it is resumed, in the next run"
    else:
        due_words = "In the next run,"
    trash = [TrashRow(run.run, run.time, run.time + policy.trash.keep, run.items, run.bytes) for run in look.trash]
    return replace(
        page,
        due_words=due_words,
        meters=tuple(_make_meters(look)),
        ages=tuple(_make_ages(look.outlook.ages)) if look.statistics.items else (),
        shares=tuple(shares),
        trash=tuple(trash),
        coming=make_coming(look, overview.forecast, policy),
    )


def _list_facts(overview: Overview) -> Iterator[tuple[str, str]]:
    policy, look = overview.target.settings.policy, overview.look
    yield "Policy", policy.name if policy.mode == "enforce" else f"{policy.name} (mode: audit, it only reports)"
    if look is None:
        return
    figures = look.statistics
    yield "Items", f"{figures.items:,} of {figures.unique_prompts:,} prompts"
    yield "Size", format_size(look.size)
    if figures.quality.average is not None:
        yield "Quality", f"{figures.quality.average:.2f} on average"
    counts = {
        "Files missing": figures.missing,
        "Undecidable": figures.undecidable,
        "Orphans": figures.orphans,
        "Leftovers": figures.leftovers,
    }
    yield from ((name, f"{count:,}") for name, count in counts.items() if count)
    if figures.pending:
        yield "Still to go", f"{figures.pending:,} files, {format_size(figures.pending_bytes)}"


def _make_meters(look: Look) -> Iterator[Meter]:
    for mark in look.marks:
        if mark.name == "disk":
            yield _make_disk_meter(mark, look)
            continue
        title = "Size" if mark.name == "size" else "Items"
        shown = format_size if mark.name == "size" else "{:,}".format
        percent = f"{100 * mark.value / mark.limit:.0f} % of the high mark" if mark.limit else "the high mark is 0"
        yield Meter(
            title=title,
            text=f"{shown(mark.value)}, {percent}",
            value=mark.value,
            high=mark.limit,
            low=mark.goal,
            high_text=f"evicts above {shown(mark.limit)}",
            low_text=f"down to {shown(mark.goal)}",
            whole=max(mark.limit * 1.15, mark.value),
            is_crossed=mark.is_crossed,
        )


def _make_disk_meter(mark: MarkReading, look: Look) -> Meter:
    whole = look.disk.disk_size if look.disk is not None else mark.value
    coming = look.disk.coming if look.disk is not None else 0
    free = f"{format_size(mark.value)} free of {format_size(whole)}"
    return Meter(
        title="Disk",
        text=free + (f", {format_size(coming)} of it in the trash or about to go" if coming else ""),
        value=whole - mark.value,
        high=whole - mark.limit,
        low=whole - mark.goal,
        high_text=f"evicts below {format_size(mark.limit)} free",
        low_text=f"until {format_size(mark.goal)} are free",
        whole=whole,
        is_crossed=mark.is_crossed,
        is_free_space=True,
    )


def _make_ages(groups: Sequence[AgeGroup]) -> Iterator[AgeBar]:
    """Without the empty groups beyond the oldest item, and of unknown age only if there are some."""
    *known, unknown = groups
    last = max((number for number, group in enumerate(known) if group.stay or group.go), default=0)
    for group in known[: last + 1]:
        is_open = math.isinf(group.up_to)
        label = "older" if is_open else format_duration(group.up_to)
        yield AgeBar(label, label if is_open else f"up to {label}", group.stay, tuple(group.go.items()))
    if unknown.stay or unknown.go:
        yield AgeBar("?", "of unknown age", unknown.stay, tuple(unknown.go.items()))
