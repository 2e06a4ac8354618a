"""A plan's evictions in the words that reports share: the item, the rule that takes it, and the reason."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from audio_cache_daemon.columns import iter_rows
from audio_cache_daemon.ids import stray_id
from audio_cache_daemon.model import BROKEN, Flaw, Plan, PlanRule
from audio_cache_daemon.readback import RowReader
from audio_cache_daemon.reporting.audit_record import AuditItem, AuditReason


class EvictionView(msgspec.Struct, frozen=True, gc=False):
    """One planned eviction, for people and logs."""

    item: AuditItem
    rule: str
    reason: AuditReason


def iter_evictions(plan: Plan, start: int = 0, end: int | None = None) -> Iterator[EvictionView]:
    """The evictions of a plan from one place to another: the rows in their order, then the files without a row."""
    places = range(len(plan.rows) + len(plan.strays))[start:end]
    yield from _iter_rows(plan, slice(places.start, places.stop))
    yield from _iter_strays(plan, slice(*(max(0, place - len(plan.rows)) for place in (places.start, places.stop))))


def _iter_rows(plan: Plan, some: slice) -> Iterator[EvictionView]:
    rows, evictions = plan.inventory.rows, plan.rows
    subject = evictions.subject[some]
    if not len(subject):
        return
    reasons = (column[some] for column in (evictions.rule, evictions.value, evictions.threshold, evictions.bytes))
    measured, known = iter_rows(*reasons), iter_rows(rows.timestamp, rows.quality, at=subject)
    rules = plan.rules
    with RowReader(plan.inventory) as reader:
        reads = reader.read(subject)
        for read, (number, value, threshold, size), (timestamp, quality) in zip(reads, measured, known, strict=True):
            rule, prompt = rules[number], read.prompt
            item = AuditItem(read.id, read.number, read.path, prompt, timestamp, quality, size)
            yield EvictionView(item, rule.name, make_reason(rule, value, threshold, prompt))


def _iter_strays(plan: Plan, some: slice) -> Iterator[EvictionView]:
    strays, evictions = plan.inventory.strays, plan.strays
    columns = (evictions.subject, evictions.rule, evictions.value, evictions.threshold)
    for number, which, value, threshold in iter_rows(*(column[some] for column in columns)):
        path = str(plan.inventory.roots[int(strays.root[number])].path / strays.path[number])
        item = AuditItem(id=stray_id(path), path=path, bytes=int(strays.size[number]), timestamp=np.nan)
        rule = plan.rules[which]
        yield EvictionView(item, rule.name, make_reason(rule, value, threshold, None))


def make_reason(rule: PlanRule, value: float, threshold: float, prompt: str | None) -> AuditReason:
    """What was measured against what; of a pattern that is the prompt and the expression."""
    if rule.text is not None:
        return AuditReason(rule.criterion, prompt, rule.text)
    if rule.criterion == BROKEN and value == value:  # noqa: PLR0124 -- NaN
        return AuditReason(rule.criterion, Flaw(int(value)).name.lower().replace("_", " "))
    return AuditReason(rule.criterion, None if value != value else value, None if threshold != threshold else threshold)  # noqa: PLR0124 -- NaN
