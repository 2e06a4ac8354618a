"""From a plan to one that a person reviews, and back: only what was reviewed, and only if it is still the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain

import numpy as np

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
    now = {item.id: item for item in review_items(plan)}
    wanted = {item.id: item for item in reviewed.items}
    same = np.array([_is_same(item, wanted.get(id_)) for id_, item in now.items()], np.bool_)
    changed = [item for id_, item in wanted.items() if not _is_same(item, now.get(id_))]
    rows = plan.rows.only(same[: len(plan.rows)])
    everything = np.ones(len(plan.inventory.rows), np.bool_)
    part = replace(
        plan,
        rows=replace(rows, bytes=freed_file_bytes(plan.inventory.rows, rows.subject, everything)),
        strays=plan.strays.only(same[len(plan.rows) :]),
    )
    if not changed:
        return part, ()
    said = "; ".join(f"{item.prompt or item.path} {_why(plan, item, now)}" for item in changed[:_SAID])
    rest = f"; and {len(changed) - _SAID:,} more" if len(changed) > _SAID else ""
    message = f"{len(changed):,} of the {len(wanted):,} reviewed items are not as they were: {said}{rest}"
    return part, (Refusal("reviewed_plan", f"{message}; make a new plan"),)


def _is_same(item: ReviewedItem, other: ReviewedItem | None) -> bool:
    """Whether it is the same item that goes by the same rule, with the same file."""
    return other is not None and (item.rule, item.file) == (other.rule, other.file)


def _why(plan: Plan, item: ReviewedItem, now: Mapping[str, ReviewedItem]) -> str:
    other = now.get(item.id)
    if other is not None:
        return f"goes by {other.rule} now" if other.rule != item.rule else "has another file now"
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
