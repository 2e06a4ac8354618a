"""What a run adds to the counters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from audio_cache_daemon.errors import AuditError
from audio_cache_daemon.model import RunReport, RunResult
from audio_cache_daemon.reporting.metric_table import (
    FAILURE_REASONS,
    LIMITS,
    METRICS,
    RUN_SECONDS,
    SCAN_SECONDS,
    SKIP_REASONS,
    TRIGGERS,
)
from audio_cache_daemon.reporting.metrics import Samples, no_observations, observe

_RULE_COUNTERS = ("audio_cache_evicted_items_total", "audio_cache_evicted_bytes_total")


def zero_counts(cache: str, rules: Iterable[str]) -> Samples:
    """All counters of a cache before anything was counted: what never happened has a series too."""
    plain = [metric.name for metric in METRICS if metric.type == "counter" and metric.labels == ("cache",)]
    names = [
        *((name, ()) for name in plain),
        *(("audio_cache_runs_total", (trigger, result)) for trigger in TRIGGERS for result in RunResult),
        *((name, (rule,)) for name in _RULE_COUNTERS for rule in rules),
        *(("audio_cache_skipped_items_total", (reason,)) for reason in SKIP_REASONS),
        *(("audio_cache_removal_failures_total", (reason,)) for reason in FAILURE_REASONS),
        *(("audio_cache_limit_trips_total", (limit,)) for limit in LIMITS),
    ]
    zeros = {(name, (cache, *labels)): 0.0 for name, labels in names}
    return {**zeros, **no_observations(RUN_SECONDS, cache), **no_observations(SCAN_SECONDS, cache)}


def run_counts(report: RunReport, trigger: str) -> Samples:
    """What one run that ended adds; a trigger that is none of the table's counts as `start`."""
    cause = trigger if trigger in TRIGGERS else "start"
    counts = {
        ("audio_cache_runs_total", (report.cache, cause, report.result.value)): 1.0,
        ("audio_cache_audit_write_failures_total", (report.cache,)): float(_lacks_audit(report)),
    }
    for name, labels, count in (*_evictions(report), *_skips(report), *_failures(report)):
        counts[name, (report.cache, *labels)] = float(count)
    for limit in _trips(report):
        counts["audio_cache_limit_trips_total", (report.cache, limit)] = 1.0
    if report.result == RunResult.LOCKED:
        return counts
    return {**counts, **observe(RUN_SECONDS, report.cache, report.duration_seconds)}


def _evictions(report: RunReport) -> Iterator[tuple[str, tuple[str, ...], int]]:
    items, size = _RULE_COUNTERS
    for rule, count in report.evicted.items():
        yield items, (rule,), count.items
        yield size, (rule,), count.bytes


def _skips(report: RunReport) -> Iterator[tuple[str, tuple[str, ...], int]]:
    plan, outcome = report.plan, report.outcome
    if plan is None:
        return
    limited = len(plan.rows) + len(plan.strays) if report.refusals else 0
    reasons = {
        "protected": plan.held,
        "undecidable": plan.undecidable,
        "limit": plan.cut + limited,
        "changed": outcome.changed if outcome is not None else 0,
    }
    yield from (("audio_cache_skipped_items_total", (reason,), count) for reason, count in reasons.items())


def _failures(report: RunReport) -> Iterator[tuple[str, tuple[str, ...], int]]:
    failed = report.outcome.failed if report.outcome is not None else 0
    reasons = {"permission": report.denied, "io": failed - report.denied, "audit": int(_lacks_audit(report))}
    yield from (("audio_cache_removal_failures_total", (reason,), count) for reason, count in reasons.items())


def _trips(report: RunReport) -> Collection[str]:
    capped = report.plan.capped if report.plan is not None and report.outcome is not None else ()
    return {*(refusal.limit for refusal in report.refusals), *capped}


def _lacks_audit(report: RunReport) -> bool:
    return isinstance(report.error, AuditError)
