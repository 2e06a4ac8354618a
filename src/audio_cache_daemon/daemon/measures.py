"""From what is known of caches to metrics. What isn't known, or doesn't exist, has no sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from audio_cache_daemon.daemon.look import Look
from audio_cache_daemon.daemon.overview import Overview
from audio_cache_daemon.daemon.timetable import longest_interval
from audio_cache_daemon.daemon.watch import WatchFigures
from audio_cache_daemon.model import RuleCount
from audio_cache_daemon.reporting.metrics import Samples
from audio_cache_daemon.reporting.statistics import Statistics
from audio_cache_daemon.retention.plan import describe_rules
from audio_cache_daemon.retention.policy import Policy

_Measure: TypeAlias = tuple[str, str | None, float | None]
"""A metric's name without its prefix, the label after the cache if it has one, and the value."""


def measure(overview: Overview, now: float) -> Samples:
    """The gauges of one cache at a moment."""
    look, policy = overview.look, overview.target.settings.policy
    found = [*_measure_marks(policy), *_measure_past(overview, now)]
    if look is not None:
        found += [*_measure_contents(look), *_measure_figures(look.statistics), *_measure_look(look)]
        found += _measure_evictable(look, policy)
    return _samples(overview.name, found)


def measure_watch(cache: str, watch: WatchFigures, drift: int) -> Samples:
    """What only a running service knows of a cache."""
    events, overflows = watch.events_total, watch.overflows_total
    return _samples(
        cache,
        [
            ("watch_up", None, watch.is_up),
            ("watch_events_total", None, events),
            ("watch_overflows_total", None, overflows),
            ("scan_drift_items_total", None, drift),
        ],
    )


def counted_rules(policy: Policy) -> tuple[str, ...]:
    """The rules of a policy that can evict something, the marks of its budget included."""
    budget = policy.budget
    absent = {"budget:size": not budget.size, "budget:items": not budget.items, "budget:disk": not budget.disk}
    return tuple(rule.name for rule in describe_rules(policy) if not absent.get(rule.name, False))


def _measure_marks(policy: Policy) -> Iterator[_Measure]:
    size, items = policy.budget.size, policy.budget.items
    if size is not None:
        yield "limit", "size_high_bytes", size.high
        yield "limit", "size_low_bytes", size.low
    if items is not None:
        yield "limit", "items_high", items.high
        yield "limit", "items_low", items.low


def _measure_past(overview: Overview, now: float) -> Iterator[_Measure]:
    standing, schedule = overview.standing, overview.target.settings.policy.schedule
    yield "paused", None, overview.pause.holds(now)
    yield "next_run_timestamp_seconds", None, overview.next_run
    if schedule is not None:
        yield "policy_interval_seconds", None, longest_interval(schedule)
    if standing is None:
        return
    last = standing.last_run
    yield "last_run_timestamp_seconds", None, last.time if last is not None else None
    yield "last_success_timestamp_seconds", None, standing.last_success
    loaded = standing.loaded
    yield "policy_loaded_timestamp_seconds", None, loaded.time if loaded is not None else standing.since


def _measure_contents(look: Look) -> Iterator[_Measure]:
    figures = look.statistics
    yield "items", "ok", figures.items - figures.missing - figures.undecidable
    yield "items", "missing", figures.missing
    yield "items", "undecidable", figures.undecidable
    yield "items", "retired", figures.retired
    for state, files, size in (
        ("orphan", figures.orphans, figures.orphan_bytes),
        ("leftover", figures.leftovers, figures.leftover_bytes),
        ("pending", figures.pending, figures.pending_bytes),
        ("trash", look.trash_items, look.trash_bytes),
    ):
        yield "files", state, files
        yield "size_bytes", state, size
    yield "size_bytes", "audio", figures.audio_bytes
    yield "size_bytes", "index", figures.index_bytes
    yield "size_bytes", "vectors", figures.vector_bytes


def _measure_figures(figures: Statistics) -> Iterator[_Measure]:
    yield "unique_prompts", None, figures.unique_prompts
    yield "duplicate_items", None, figures.duplicates
    yield "quality_average", None, figures.quality.average
    yield "duration_seconds_average", None, figures.duration.average
    yield "oldest_item_timestamp_seconds", None, figures.oldest
    yield "newest_item_timestamp_seconds", None, figures.newest
    rows = figures.items + figures.retired
    yield "retired_ratio", None, figures.retired / rows if rows else 0


def _measure_look(look: Look) -> Iterator[_Measure]:
    yield "inventory_timestamp_seconds", None, look.time
    yield "index_consistent", None, look.is_consistent
    yield "pending_oldest_timestamp_seconds", None, look.pending_since
    yield "audit_sequence", None, look.audit_sequence
    if look.disk is not None:
        yield "disk_free_bytes", None, look.disk.disk_free
        yield "disk_size_bytes", None, look.disk.disk_size
    for mark in look.marks:
        if mark.name == "disk":
            yield "limit", "disk_min_free_bytes", mark.limit
            yield "limit", "disk_resume_free_bytes", mark.goal


def _measure_evictable(look: Look, policy: Policy) -> Iterator[_Measure]:
    for rule in counted_rules(policy):
        count = look.outlook.evictable.get(rule, RuleCount())
        yield "evictable_items", rule, count.items
        yield "evictable_bytes", rule, count.bytes


def _samples(cache: str, measures: Iterable[_Measure]) -> Samples:
    return {
        (f"audio_cache_{name}", (cache,) if label is None else (cache, label)): float(value)
        for name, label, value in measures
        if value is not None
    }
