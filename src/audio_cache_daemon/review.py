"""From a plan to one that a person reviews, and back: only what was reviewed, and only if it is still the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from audio_cache_daemon.columns import are_among, iter_rows
from audio_cache_daemon.model import Bools, ItemState, Plan, Refusal
from audio_cache_daemon.readback import RowReader
from audio_cache_daemon.reporting.evictions import iter_evictions
from audio_cache_daemon.retention.bytes_freed import freed_file_bytes
from audio_cache_daemon.reviewed import Reviewed, ReviewedItem

_SAID = 5
"""So many changes are told one by one; who reads more makes a new plan."""


def review_items(plan: Plan) -> Iterator[ReviewedItem]:
    """What a plan takes, for review; to be read while the index is as it was planned."""
    files = chain(_row_files(plan), _stray_files(plan))
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


def only_reviewed(plan: Plan, reviewed: Reviewed) -> tuple[Plan, tuple[Refusal, ...]]:
    """The part of a plan that was reviewed; a refusal when not all of it would go any more, by the same rules."""
    chosen, refusals = _compare(plan, reviewed)
    return plan if chosen.all() else _only(plan, chosen), refusals


def _compare(plan: Plan, reviewed: Reviewed) -> tuple[Bools, tuple[Refusal, ...]]:
    """Which evictions were reviewed, first those of rows, then those of files without a row; what is left, refused."""
    count = len(plan.rows) + len(plan.strays)
    keys = np.fromiter((item.key() for item in review_items(plan)), np.uint64, count)
    chosen = are_among(keys, reviewed.keys)
    keys.sort()
    changed = len(reviewed.keys) - int(are_among(reviewed.keys, keys).sum())
    if not changed:
        return chosen, ()
    known, said = len(reviewed.keys), _describe_changes(plan, reviewed, keys)
    rest = f"; and {changed - _SAID:,} more" if changed > _SAID else ""
    message = f"{changed:,} of the {known:,} reviewed items are not as they were: {said}{rest}; make a new plan"
    return chosen, (Refusal("reviewed_plan", message),)


def _only(plan: Plan, chosen: Bools) -> Plan:
    """The plan of these evictions alone."""
    rows, everything = plan.inventory.rows, np.ones(len(plan.inventory.rows), np.bool_)
    of_rows, of_strays = np.split(chosen, [len(plan.rows)])
    # First, since it needs more than all that follows.
    freed = freed_file_bytes(rows, plan.rows.subject[of_rows], everything)
    return replace(plan, rows=replace(plan.rows.only(of_rows), bytes=freed), strays=plan.strays.only(of_strays))


def _describe_changes(plan: Plan, reviewed: Reviewed, keys: NDArray[np.uint64]) -> str:
    """What became of the first reviewed items that aren't among those of the plan, which have these ordered keys."""
    changed = (item for item in reviewed.again() if not are_among(np.array([item.key()], np.uint64), keys).any())
    first = list(islice(changed, _SAID))
    wanted = {item.id for item in first}
    rules = {item.id: item.rule for item in review_items(plan) if item.id in wanted}
    return "; ".join(f"{item.prompt or item.path} {_why(plan, item, rules.get(item.id))}" for item in first)


def _why(plan: Plan, item: ReviewedItem, rule: str | None) -> str:
    """What changed of an item that would go by this rule now; None: by none."""
    if rule is not None:
        return f"goes by {rule} now" if rule != item.rule else "has another file now"
    rows = plan.inventory.rows
    with RowReader(plan.inventory) as reader:
        number = next((read.number for read in reader.read(np.arange(len(rows))) if read.id == item.id), None)
    if number is None or rows.state[number] == ItemState.RETIRED:
        return "is gone"
    if plan.protected[number] >= 0:
        return f"is protected by {plan.protections[plan.protected[number]]} now"
    return "is not selected any more"


def _row_files(plan: Plan) -> Iterator[tuple[int, int, int] | None]:
    rows = plan.inventory.rows
    for state, *file in iter_rows(rows.state, rows.inode, rows.size, rows.mtime_ns, at=plan.rows.subject):
        yield (file[0], file[1], file[2]) if state == ItemState.OK else None


def _stray_files(plan: Plan) -> Iterator[tuple[int, int, int]]:
    strays = plan.inventory.strays
    for file in iter_rows(strays.inode, strays.size, strays.mtime_ns, at=plan.strays.subject):
        yield file[0], file[1], file[2]
