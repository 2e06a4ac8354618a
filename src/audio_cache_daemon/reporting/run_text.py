"""A run in words and numbers, for people."""

from __future__ import annotations

from audio_cache_daemon.model import Plan, RunReport, RunResult
from audio_cache_daemon.reporting.audit_record import AuditReason
from audio_cache_daemon.reporting.evictions import EvictionView, iter_evictions
from audio_cache_daemon.reporting.run_summary import by_rule
from audio_cache_daemon.reporting.terminal import Column, Screen, Symbol
from audio_cache_daemon.units import format_duration, format_size, format_time

_SECONDS = ("max_age", "state:missing", "state:orphan", "state:leftover")
_COMPARED = ("quality:", "duration:")
_BYTES = ("budget:size", "budget:disk")


def print_plan(screen: Screen, report: RunReport, limit: int | None) -> None:
    """What a run would do, or was to do: in sum, by rule, and the first `limit` evictions (None: all)."""
    plan = report.plan
    if plan is None:
        return
    count = len(plan.rows) + len(plan.strays)
    size = format_size(int(plan.rows.bytes.sum() + plan.strays.bytes.sum()))
    items = int(plan.inventory.rows.items().sum())
    strays = f" and {len(plan.strays):,} files that no row names" if len(plan.strays) else ""
    screen.heading(f"{report.cache}: {len(plan.rows):,} of {items:,} items{strays} would go, {size}", Symbol.ANALYSIS)
    if count:
        rules = [(name, f"{taken:,}", format_size(freed)) for name, taken, freed in by_rule(plan)]
        screen.table((Column("rule", style="cyan"), Column("items", "right"), Column("size", "right")), rules)
    print_asides(screen, plan)
    if count and limit != 0:
        screen.line()
        print_evictions(screen, plan, limit)


def print_asides(screen: Screen, plan: Plan) -> None:
    """What holds items back: protections, values that are missing, limits."""
    held = int((plan.protected >= 0).sum())
    if held:
        screen.line(f"{held:,} items are protected")
    if plan.undecidable:
        screen.line(f"{plan.undecidable:,} items lack a value that a rule asks for; that selects nothing")
    for limit in plan.capped:
        screen.line(f"the budget was cut short by {limit}; the next run goes on", Symbol.WARNING)


def print_evictions(screen: Screen, plan: Plan, limit: int | None) -> None:
    """The evictions of a plan with their reasons, as a table."""
    count = len(plan.rows) + len(plan.strays)
    columns = (
        Column("created", style="cyan"),
        Column("size", "right"),
        Column("rule"),
        Column("reason"),
        Column("item", overflow="ellipsis"),
    )
    screen.table(columns, (_cells(view) for view in iter_evictions(plan, end=limit)))
    if limit is not None and count > limit:
        screen.line(f"and {count - limit:,} more; --format json prints all")


def print_outcome(screen: Screen, report: RunReport, trash_seconds: float) -> None:
    """How a run ended, in a line, and what a person should know beside it."""
    for message in report.messages:
        screen.line(message, Symbol.WARNING)
    if report.error is not None:
        screen.line(f"{report.cache}: {report.error}", Symbol.ERROR)
    counts = report.outcome
    if counts is None:
        return
    if report.result == RunResult.NOOP:
        screen.line(f"{report.cache}: nothing to remove", Symbol.SUCCESS)
        return
    text = f"{report.cache}: evicted {counts.evicted:,} items and files"
    if counts.bytes_freed or not counts.pending_items:
        where = f"to the trash, for {format_duration(trash_seconds)}" if trash_seconds else "for good"
        text += f", {format_size(counts.bytes_freed)} {where}"
    if counts.pending_items:
        text += f"; {counts.pending_items:,} files ({format_size(counts.pending_bytes)}) are still to go"
    exceptions = ((counts.gone, "already gone"), (counts.changed, "changed meanwhile"), (counts.failed, "failed"))
    rest = "".join(f", {number:,} {what}" for number, what in exceptions if number)
    symbol = Symbol.WARNING if counts.failed or counts.changed else Symbol.REMOVAL
    screen.line(f"{text}{rest} (run {report.run}, {report.duration_seconds:.1f}s)", symbol)


def print_refusals(screen: Screen, report: RunReport) -> None:
    """Why a run would be refused."""
    for refusal in report.refusals:
        screen.line(f"{report.cache} would be refused: {refusal.message}", Symbol.WARNING)


def describe_reason(reason: AuditReason) -> str:
    """What was measured against what."""
    criterion, value, threshold = reason.criterion, reason.value, reason.threshold
    if isinstance(threshold, str) or isinstance(value, str):
        return f"matches {threshold}" if isinstance(threshold, str) else str(value)
    if criterion in _SECONDS:
        text = format_duration(value) if isinstance(value, float) else "unknown"
        return f"{text} > {format_duration(threshold)}" if threshold else text
    if criterion in _BYTES and isinstance(value, float) and threshold is not None:
        sign = "<" if criterion == "budget:disk" else ">"
        return f"{format_size(value)} {sign} {format_size(threshold)}"
    if value is None or threshold is None:
        return "asked for"
    if criterion.startswith("dedupe"):
        is_likeness = criterion == "dedupe:sound"
        return f"{value:.3f} alike, at least {threshold:g}" if is_likeness else f"number {value:g}, kept {threshold:g}"
    sign = criterion.partition(":")[2] if criterion.startswith(_COMPARED) else ">"
    return f"{value:g} {sign} {threshold:g}"


def _cells(view: EvictionView) -> tuple[str, ...]:
    item = view.item
    known = item.timestamp is not None and item.timestamp == item.timestamp
    created = format_time(item.timestamp) if known and item.timestamp is not None else "unknown"
    name = (item.path or "").rpartition("/")[2]
    return created, format_size(item.bytes or 0), view.rule, describe_reason(view.reason), item.prompt or name
