"""`budget`: what goes when the cache takes up more than it may, after the rules, on what survived them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from audio_cache_daemon.columns import parts
from audio_cache_daemon.model import Bools, Ints, Inventory, ItemState, Rows, StrayKind
from audio_cache_daemon.retention.bytes_freed import count_namings, freed_bytes, freed_file_bytes
from audio_cache_daemon.retention.judgement import Values, row_age, stray_age
from audio_cache_daemon.retention.policy import Budget, DiskMarks, EvictionOrder, Share

SETTLED_SECONDS = 3600.0
"""A file without a row goes for lack of space only when it is older: a younger one may be an item in the making."""

BUDGET_RULES = ("budget:disk", "budget:size", "budget:items")

_NONE: Ints = np.empty(0, np.int64)


class Pressure(msgspec.Struct, frozen=True):
    """What one mark of the budget takes: rows and strays in the order in which they go, and by which measure."""

    name: str
    rows: Ints
    strays: Ints
    value: float
    threshold: float


class Remaining(msgspec.Struct):
    """What is still there, and what of it may go; the budget's marks take from it one after the other."""

    rows: Bools
    strays: Bools
    movable_rows: Bools
    movable_strays: Bools

    def take(self, pressure: Pressure) -> None:
        """Account for what a mark took."""
        self.rows[pressure.rows] = False
        self.strays[pressure.strays] = False


def over_budget(inventory: Inventory, budget: Budget, remaining: Remaining, now: float) -> Iterator[Pressure]:
    """What each mark of the budget takes: of the disk, of the size, of the number of items, in this order."""
    if budget.disk is None and budget.size is None and budget.items is None:
        return
    order = eviction_order(inventory.rows, remaining, budget.evict, now)
    if budget.disk is not None:
        for device in dict.fromkeys(root.device for root in inventory.roots if root.device is not None):
            yield from _taken(_over_disk(inventory, budget.disk, remaining, order, (device, now)), remaining)
    if budget.size is not None:
        total = total_bytes(inventory, remaining.rows, remaining.strays)
        if total > budget.size.high:
            rows = whose_file_goes(inventory.rows, order, remaining, inventory.rows.present())
            rows = _until(rows, freed_bytes(inventory, rows, remaining.rows), total - budget.size.low)
            yield from _taken(Pressure("budget:size", rows, _NONE, total, budget.size.high), remaining)
    if budget.items is not None:
        count = int((inventory.rows.items() & remaining.rows).sum())
        if count > budget.items.high:
            rows = candidates(order, remaining, inventory.rows.decided())[: count - budget.items.low]
            yield from _taken(Pressure("budget:items", rows, _NONE, count, budget.items.high), remaining)


def eviction_order(rows: Rows, remaining: Remaining, order: EvictionOrder, now: float) -> Ints:
    """The numbers of the rows that may go in the order in which a budget takes them.

    Without those that lack the value to place them by.
    """
    numbers = np.flatnonzero(remaining.rows & remaining.movable_rows)
    key = eviction_key(rows, order, now)[numbers]
    placed = len(key) - int(np.count_nonzero(np.isnan(key)))
    ties = () if order == "oldest" else (np.nan_to_num(-row_age(rows, now, numbers), nan=np.inf),)
    # NaN is sorted behind all numbers.
    return numbers[np.lexsort((*ties, key))[:placed]]


def eviction_key(rows: Rows, order: EvictionOrder, now: float) -> Values:
    """What a budget's order places rows by, the first the lowest; NaN for a row that lacks the value."""
    match order:
        case "oldest":
            return Values(len(rows), lambda which: -row_age(rows, now, which))
        case "lowest_quality":
            return Values(len(rows), lambda which: rows.quality[which])
        case "largest":
            return Values(len(rows), lambda which: np.where(rows.size[which] >= 0, -1.0 * rows.size[which], np.nan))


def total_bytes(inventory: Inventory, rows: Bools, strays: Bools) -> int:
    """What the cache takes up: audio, files without a row, lines and vectors of these rows and strays.

    Retired rows are given up already, though their lines and vectors stay until a compaction.
    """
    counted = rows & (inventory.rows.state != ItemState.RETIRED)
    offset = inventory.rows.offset
    lines = 0
    for some in parts(len(counted)):
        lines += int(np.sum(np.diff(offset[some.start : some.stop + 1]), where=counted[some]))
    vectors = int(counted.sum()) * inventory.index.vector_bytes
    return inventory.rows.audio_bytes(rows) + int(inventory.strays.size[strays].sum()) + lines + vectors


def _taken(pressure: Pressure | None, remaining: Remaining) -> Iterator[Pressure]:
    if pressure is not None:
        remaining.take(pressure)
        yield pressure


def _over_disk(
    inventory: Inventory, marks: DiskMarks, remaining: Remaining, order: Ints, moment: tuple[int, float]
) -> Pressure | None:
    device, now = moment
    on_disk = [number for number, root in enumerate(inventory.roots) if root.device == device]
    root = inventory.roots[on_disk[0]]
    row_here, stray_here = np.isin(inventory.rows.root, on_disk), np.isin(inventory.strays.root, on_disk)
    coming = sum(inventory.roots[number].coming for number in on_disk)
    free = root.disk_free + coming + _coming(inventory, remaining, row_here, stray_here)
    min_free = mark_bytes(marks.min_free, root.disk_size)
    if free >= min_free:
        return None
    wanted = mark_bytes(marks.resume_free, root.disk_size) - free
    strays = _stray_order(inventory, remaining.movable_strays & remaining.strays & stray_here, now)
    strays = _until(strays, inventory.strays.size[strays], wanted)
    wanted -= int(inventory.strays.size[strays].sum())
    rows = whose_file_goes(inventory.rows, order, remaining, inventory.rows.present() & row_here)
    # Lines and vectors aren't counted: they may lie on another disk.
    rows = _until(rows, freed_file_bytes(inventory.rows, rows, remaining.rows), wanted)
    return Pressure("budget:disk", rows, strays, free, min_free)


def _coming(inventory: Inventory, remaining: Remaining, row_here: Bools, stray_here: Bools) -> int:
    """Bytes on a disk that are freed by what was taken before."""
    gone = np.flatnonzero(~remaining.rows & row_here)
    everything = np.ones(len(inventory.rows), np.bool_)
    files = freed_file_bytes(inventory.rows, gone, everything)
    return int(files.sum()) + int(inventory.strays.size[~remaining.strays & stray_here].sum())


def short_roots(inventory: Inventory, marks: DiskMarks) -> tuple[int, ...]:
    """The numbers of the audio roots on whose disk less is free than must be."""
    return tuple(
        number
        for number, root in enumerate(inventory.roots)
        if root.device is not None and root.disk_free < mark_bytes(marks.min_free, root.disk_size)
    )


def mark_bytes(mark: int | Share, disk_size: int) -> int:
    """A mark in bytes, on a disk of this size."""
    return mark.of(disk_size) if isinstance(mark, Share) else mark


def _stray_order(inventory: Inventory, movable: Bools, now: float) -> Ints:
    """Leftovers before orphans, the oldest first; none that may still be an item in the making."""
    age = stray_age(inventory.strays, now)
    settled = movable & (age > SETTLED_SECONDS)
    if inventory.orphans_undecidable is not None:
        settled &= inventory.strays.kind == StrayKind.LEFTOVER
    order = np.lexsort((-age, inventory.strays.kind != StrayKind.LEFTOVER))
    return order[settled[order]]


def candidates(order: Ints, remaining: Remaining, kind: Bools) -> Ints:
    """Those in order that are still there, may go, and are of a kind."""
    return order[(remaining.rows & remaining.movable_rows & kind)[order]]


def whose_file_goes(rows: Rows, order: Ints, remaining: Remaining, kind: Bools) -> Ints:
    """The candidates whose file no other row or cache holds back: giving up the others would free no audio."""
    chosen = candidates(order, remaining, kind)
    among = np.zeros(len(rows), np.bool_)
    among[chosen] = True
    held_back = count_namings(rows, remaining.rows) > count_namings(rows, among)
    return chosen[~held_back[rows.file[chosen]] & ~rows.used_elsewhere[chosen]]


def _until(order: Ints, freed: Ints, wanted: int) -> Ints:
    """As many from the beginning of `order` as it takes to free `wanted` bytes; all when that isn't enough."""
    if wanted <= 0:
        return order[:0]
    return order[: int(np.searchsorted(np.cumsum(freed), wanted)) + 1]
