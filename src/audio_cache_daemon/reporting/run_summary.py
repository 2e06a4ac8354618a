"""Runs in numbers and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

import msgspec
import numpy as np

from audio_cache_daemon.model import Inventory, Plan, RunReport, StrayKind
from audio_cache_daemon.reporting.audit_record import AuditReason
from audio_cache_daemon.reporting.evictions import EvictionView, iter_evictions
from audio_cache_daemon.reporting.spool import Spool
from audio_cache_daemon.units import FIRST_SECOND, LAST_SECOND

_BATCH = 250
"""Evictions whose times are formatted at once: so few stay in the processor's second-level cache."""

_WORTH_TWO = 5000
"""Evictions of which half are made beside the others: for fewer a second process costs more than it saves."""


def summarize_plan(plan: Plan) -> dict[str, object]:
    """What goes, in numbers: items, bytes, and both for each rule; and how many items are protected."""
    return {
        "items": len(plan.rows) + len(plan.strays),
        "bytes": int(plan.rows.bytes.sum() + plan.strays.bytes.sum()),
        "by_rule": {name: {"items": items, "bytes": size} for name, items, size in by_rule(plan)},
        "protected": int((plan.protected >= 0).sum()),
    }


def by_rule(plan: Plan) -> Iterator[tuple[str, int, int]]:
    """Name, items and bytes of each rule, in order; those of the budget only where they take something."""
    for number, rule in enumerate(plan.rules):
        rows, strays = plan.rows.rule == number, plan.strays.rule == number
        items = int(rows.sum() + strays.sum())
        if items or not rule.name.startswith("budget:"):
            yield rule.name, items, int(plan.rows.bytes[rows].sum() + plan.strays.bytes[strays].sum())


def summarize_inventory(inventory: Inventory, undecidable: int) -> dict[str, object]:
    """What there is, in numbers; `undecidable` depends on what was asked of the items."""
    rows, kind = inventory.rows, inventory.strays.kind
    return {
        "items": int(rows.items().sum()),
        "bytes": rows.audio_bytes(rows.readable),
        "missing": int(rows.missing().sum()),
        "orphans": int((kind == StrayKind.ORPHAN).sum()),
        "leftovers": int((kind == StrayKind.LEFTOVER).sum()),
        "undecidable": undecidable,
        "retired": int((rows.readable & ~rows.items()).sum()),
        "pending_items": int(inventory.retired.pending.sum()),
        "pending_bytes": inventory.retired.pending_bytes(),
    }


def run_as_json(report: RunReport, evictions: Spool, kept: Spool | None = None) -> dict[str, object]:
    """A run as `run-once --format json` prints it; with its `evictions`, and what is `kept` if that was asked for."""
    plan = report.plan
    return {
        "cache": report.cache,
        "mode": report.mode,
        "result": report.result.value,
        "would_refuse": bool(report.refusals) and report.outcome is None,
        "refusals": [{"limit": refusal.limit, "message": refusal.message} for refusal in report.refusals],
        "error": str(report.error) if report.error is not None else None,
        "messages": list(report.messages),
        "inventory": summarize_inventory(plan.inventory, plan.undecidable) if plan is not None else None,
        "plan": _plan_as_json(plan, evictions, kept) if plan is not None else None,
        "outcome": report.outcome,
        "run": report.run,
        "duration_seconds": round(report.duration_seconds, 3),
    }


def _plan_as_json(plan: Plan, evictions: Spool, kept: Spool | None) -> dict[str, object]:
    asked_for = {"keep": kept} if kept is not None else {}
    return {**summarize_plan(plan), "capped": list(plan.capped), "evict": evictions, **asked_for}


class _Eviction(msgspec.Struct, frozen=True, gc=False):
    """One entry of `plan.evict`."""

    id: str | None
    row: int | None
    path: str | None
    prompt: str | None
    timestamp: str | None
    bytes: int | None
    rule: str
    reason: AuditReason


def spool_evictions(plan: Plan) -> Spool:
    """All evictions of a plan, for `run_as_json`; to be called while the index is as it was planned."""
    count = len(plan.rows) + len(plan.strays)
    places = (0, count // 2, count) if count >= _WORTH_TWO else (0, count)
    return Spool(*(_iter_entries(plan, start, end) for start, end in pairwise(places)))


def _iter_entries(plan: Plan, start: int, end: int) -> Iterator[_Eviction]:
    views = iter_evictions(plan, start, end)
    while batch := list(islice(views, _BATCH)):
        yield from _as_entries(batch)


def _as_entries(views: Sequence[EvictionView]) -> Iterator[_Eviction]:
    times = _format_times([view.item.timestamp for view in views])
    for view, created in zip(views, times, strict=True):
        item = view.item
        yield _Eviction(item.id, item.row, item.path, item.prompt, created, item.bytes, view.rule, view.reason)


def _format_times(timestamps: Sequence[float | None]) -> list[str | None]:
    """Like `format_time`, for many at once, at a tenth of the time each; None for one that isn't known."""
    moments = np.array(timestamps, np.float64)
    known = ~np.isnan(moments)
    seconds = np.where(known, np.clip(moments, FIRST_SECOND, LAST_SECOND), 0).astype("datetime64[s]")
    texts = np.datetime_as_string(seconds, timezone="UTC").tolist()
    return [text if is_known else None for text, is_known in zip(texts, known.tolist(), strict=True)]
