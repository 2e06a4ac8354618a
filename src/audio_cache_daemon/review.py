"""From a plan to one that a person reviews, and back: only what was reviewed, and only if it is still the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.model import Ints, ItemState, Plan, Refusal
from audio_cache_daemon.readback import RowReader
from audio_cache_daemon.reporting.evictions import iter_evictions
from audio_cache_daemon.retention.bytes_freed import freed_file_bytes
from audio_cache_daemon.reviewed import ReviewedItem, ReviewedPlan

_SAID = 5
"""So many changes are told one by one; who reads more makes a new plan."""


def review_items(plan: Plan) -> Iterator[ReviewedItem]:
    """What a plan takes, for review; to be read while the index is as it was planned."""
    files = chain(_row_files(plan, plan.rows.subject), _stray_files(plan, plan.strays.subject))
    return (
        ReviewedItem(
            id=view.item.id or "",
            path=view.item.path or "",
            prompt=view.item.prompt,
            bytes=view.item.bytes or 0,
            rule=view.rule,
            criterion=view.reason.criterion,
            value=view.reason.value,
            threshold=view.reason.threshold,
            file=file,
        )
        for view, file in zip(iter_evictions(plan), files, strict=True)
    )


def only_reviewed(plan: Plan, reviewed: ReviewedPlan) -> tuple[Plan, tuple[Refusal, ...]]:
    """The part of a plan that was reviewed; a refusal when not all of it would go any more, by the same rules."""
    changed = {item.id: item for item in reviewed.items}
    same = np.zeros(len(plan.rows) + len(plan.strays), np.bool_)
    now = {}
    for number, item in enumerate(review_items(plan)):
        known = changed.get(item.id)
        if known is None:
            continue
        if (item.rule, item.file) == (known.rule, known.file):
            same[number] = True
            del changed[item.id]
        else:
            now[item.id] = item
    rows = plan.rows.only(same[: len(plan.rows)])
    everything = np.ones(len(plan.inventory.rows), np.bool_)
    part = replace(
        plan,
        rows=replace(rows, bytes=freed_file_bytes(plan.inventory.rows, rows.subject, everything)),
        strays=plan.strays.only(same[len(plan.rows) :]),
    )
    if not changed:
        return part, ()
    first = islice(changed.values(), _SAID)
    said = "; ".join(f"{item.prompt or item.path} {_why(plan, item, now.get(item.id))}" for item in first)
    rest = f"; and {len(changed) - _SAID:,} more" if len(changed) > _SAID else ""
    message = f"{len(changed):,} of the {len(reviewed.items):,} reviewed items are not as they were: {said}{rest}"
    return part, (Refusal("reviewed_plan", f"{message}; make a new plan"),)


def _why(plan: Plan, item: ReviewedItem, now: ReviewedItem | None) -> str:
    """What changed of an item, of which this would go `now`; None: it wouldn't."""
    if now is not None:
        return f"goes by {now.rule} now" if now.rule != item.rule else "has another file now"
    rows = plan.inventory.rows
    with RowReader(plan.inventory) as reader:
        number = next((read.number for read in reader.read(np.arange(len(rows))) if read.id == item.id), None)
    if number is None or rows.state[number] == ItemState.RETIRED:
        return "is gone"
    if plan.protected[number] >= 0:
        return f"is protected by {plan.protections[plan.protected[number]]} now"
    return "is not selected any more"


def _row_files(plan: Plan, subject: Ints) -> Iterator[tuple[int, int, int] | None]:
    rows = plan.inventory.rows
    for row in subject.tolist():
        there = rows.state[row] == ItemState.OK
        yield (int(rows.inode[row]), int(rows.size[row]), int(rows.mtime_ns[row])) if there else None


def _stray_files(plan: Plan, subject: Ints) -> Iterator[tuple[int, int, int]]:
    strays = plan.inventory.strays
    for stray in subject.tolist():
        yield int(strays.inode[stray]), int(strays.size[stray]), int(strays.mtime_ns[stray])
