"""From a plan to one that a person reviews, and back: only what was reviewed, and only if it is still the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count, islice

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from audio_cache_daemon.columns import iter_rows
from audio_cache_daemon.model import Bools, ItemState, Plan, Refusal
from audio_cache_daemon.readback import RowReader
from audio_cache_daemon.reporting.evictions import iter_evictions
from audio_cache_daemon.retention.bytes_freed import freed_file_bytes
from audio_cache_daemon.reviewed import ItemColumns, Reviewed, ReviewedItem

_ITEMS_AT_ONCE = 2**12

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
    known = reviewed.items
    chosen = np.zeros(len(plan.rows) + len(plan.strays), np.bool_)
    same, rule = np.zeros(len(known), np.bool_), np.full(len(known), -1, np.int16)
    numbers = {each.name: number for number, each in enumerate(plan.rules)}
    for first, items in _in_parts(review_items(plan)):
        now = ItemColumns(items)
        places = known.find(now)
        like = known.are_like(places, now)
        chosen[first + now.place[like]] = True
        same[places[like]] = True
        taken = places >= 0
        rule[places[taken]] = np.array([numbers[name] for name in now.rules], np.int16)[now.rule[taken]]
    part = plan if chosen.all() else _only(plan, chosen)
    if same.all():
        return part, ()
    return part, (Refusal("reviewed_plan", _describe_changes(plan, reviewed, same, rule)),)


def _only(plan: Plan, chosen: Bools) -> Plan:
    """The plan of these evictions alone: first those of rows, then those of files without a row."""
    rows = plan.rows.only(chosen[: len(plan.rows)])
    everything = np.ones(len(plan.inventory.rows), np.bool_)
    freed = freed_file_bytes(plan.inventory.rows, rows.subject, everything)
    return replace(plan, rows=replace(rows, bytes=freed), strays=plan.strays.only(chosen[len(plan.rows) :]))


def _in_parts(items: Iterator[ReviewedItem]) -> Iterator[tuple[int, list[ReviewedItem]]]:
    """So many items at once that are few in memory, each time with the number of the first."""
    for first in count(0, _ITEMS_AT_ONCE):
        some = list(islice(items, _ITEMS_AT_ONCE))
        if not some:
            return
        yield first, some


def _describe_changes(plan: Plan, reviewed: Reviewed, same: Bools, rule: NDArray[np.int16]) -> str:
    """How many reviewed items aren't the `same`, and what became of the first; `rule` is that by which they go now."""
    known = reviewed.items
    changed = np.flatnonzero(~same)
    first = changed[np.argsort(known.place[changed])[:_SAID]]
    wanted = dict(zip(known.place[first].tolist(), rule[first].tolist(), strict=True))
    items = [(item, wanted[number]) for number, item in enumerate(reviewed.again()) if number in wanted]
    said = "; ".join(f"{item.prompt or item.path} {_why(plan, item, number)}" for item, number in items)
    rest = f"; and {len(changed) - _SAID:,} more" if len(changed) > _SAID else ""
    message = f"{len(changed):,} of the {len(known):,} reviewed items are not as they were: {said}{rest}"
    return f"{message}; make a new plan"


def _why(plan: Plan, item: ReviewedItem, rule: int) -> str:
    """What changed of an item that would go by this rule now; -1: by none."""
    if rule >= 0:
        name = plan.rules[rule].name
        return f"goes by {name} now" if name != item.rule else "has another file now"
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
