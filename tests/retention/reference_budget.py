"""What the budget takes of what the rules left, one item at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from reference_world import Item, Reason, ReferencePlan, Stray, World, bytes_that_go, files_of

from audio_cache_daemon.model import ItemState, StrayKind
from audio_cache_daemon.retention.policy import Share

STRAY_MARGIN = 3600.0
"""The disk budget leaves a file without a row alone until it is older than this, in seconds."""


@dataclass
class Gone:
    """What has been given up so far, and the budget's evictions in their order: (is a stray, number, reason)."""

    rows: set[int]
    strays: set[int]
    evictions: list[tuple[bool, int, Reason]]

    def evict(self, subject: Item | Stray, reason: Reason) -> None:
        is_stray = isinstance(subject, Stray)
        (self.strays if is_stray else self.rows).add(subject.number)
        self.evictions.append((is_stray, subject.number, reason))


def evict_for_disk(world: World, plan: ReferencePlan, gone: Gone) -> None:
    """Each file system that is short: leftovers, then orphans, then rows, until enough is free."""
    marks = world.policy.budget.disk
    devices = [root.device for root in world.inventory.roots if root.device is not None]
    for device in dict.fromkeys(devices):
        if marks is None:
            return
        root = next(root for root in world.inventory.roots if root.device == device)
        needed, enough = _bytes(marks.min_free, root.disk_size), _bytes(marks.resume_free, root.disk_size)
        free = root.disk_free + coming_on(world, gone, device)
        reason = Reason("budget:disk", float(free), float(needed))
        if free >= needed:
            continue
        for stray in strays_in_order(world, plan, device):
            if free < enough and stray.number not in gone.strays:
                gone.evict(stray, reason)
                free += stray.size
        for item in items_whose_file_goes(world, plan, gone, device):
            if free < enough:
                before = bytes_that_go(world, gone.rows)
                gone.evict(item, reason)
                free += bytes_that_go(world, gone.rows) - before


def evict_item(world: World, gone: Gone, item: Item, reason: Reason) -> int:
    """Give up a row; the bytes that this frees: its line, its vectors, and its file if nobody names it any more."""
    before = bytes_that_go(world, gone.rows)
    gone.evict(item, reason)
    return bytes_that_go(world, gone.rows) - before + item.line + world.inventory.index.vector_bytes


def coming_on(world: World, gone: Gone, device: int) -> int:
    """Bytes on a file system that what is gone already will free."""
    here = {item.number for item in world.items if item.device == device}
    strays = [stray for stray in world.strays if stray.number in gone.strays and stray.device == device]
    return bytes_that_go(world, gone.rows & here) + sum(stray.size for stray in strays)


def _bytes(mark: int | Share, disk_size: int) -> int:
    return mark.of(disk_size) if isinstance(mark, Share) else mark


def strays_in_order(world: World, plan: ReferencePlan, device: int) -> list[Stray]:
    """Files without rows that a short disk may take, in the order in which it takes them."""
    in_order: list[Stray] = []
    for kind in (StrayKind.LEFTOVER, StrayKind.ORPHAN):
        if kind is StrayKind.ORPHAN and world.inventory.orphans_undecidable is not None:
            continue
        old = [stray for stray in world.strays if stray.age is not None and stray.age > STRAY_MARGIN]
        here = [stray for stray in old if stray.kind is kind and stray.device == device]
        free = [stray for stray in here if stray.number not in plan.protected_strays]
        in_order += sorted(free, key=lambda stray: -(stray.age or 0.0))
    return in_order


def items_in_order(world: World, plan: ReferencePlan, gone: Gone) -> list[Item]:
    """Rows that a budget may take, in the order in which it takes them."""
    order = world.policy.budget.evict
    free = [item for item in world.items if item.selectable and item.number not in plan.protected]
    left = [item for item in free if item.number not in gone.rows]
    if order == "oldest":
        return sorted((item for item in left if item.age is not None), key=_oldest_first)
    if order == "lowest_quality":
        measured = [(item.quality, _oldest_first(item), item) for item in left if item.quality is not None]
        return [item for _, _, item in sorted(measured, key=lambda entry: entry[:2])]
    sized = [(-item.size, _oldest_first(item), item) for item in left if item.size is not None]
    return [item for _, _, item in sorted(sized, key=lambda entry: entry[:2])]


def items_whose_file_goes(world: World, plan: ReferencePlan, gone: Gone, device: int | None) -> list[Item]:
    """Those in order whose file is there and would go, if all of them went: nobody else names it, here or elsewhere."""
    in_order = [item for item in items_in_order(world, plan, gone) if item.state is ItemState.OK]
    here = [item for item in in_order if device is None or item.device == device]
    numbers = {item.number for item in here}
    naming = [item for item in world.items if item.state is ItemState.OK and item.readable]
    held = {item.file for item in naming if item.number not in numbers | gone.rows or item.used_elsewhere}
    return [item for item in here if item.file not in held]


def _oldest_first(item: Item) -> tuple[float, int]:
    """Oldest first, a time that isn't known as the newest of all; then by row number."""
    return (math.inf if item.age is None else -item.age, item.number)


def evict_for_size(world: World, plan: ReferencePlan, gone: Gone) -> None:
    """Rows whose file is there, while the cache takes up too much."""
    marks = world.policy.budget.size
    total = total_bytes(world, gone)
    if marks is None or total <= marks.high:
        return
    reason = Reason("budget:size", float(total), float(marks.high))
    for item in items_whose_file_goes(world, plan, gone, None):
        if total > marks.low:
            total -= evict_item(world, gone, item, reason)


def total_bytes(world: World, gone: Gone) -> int:
    """What the cache takes up: files that rows name, files that none names, the index, the vectors."""
    left = [item for item in world.items if item.number not in gone.rows and item.state is not ItemState.RETIRED]
    audio = sum(files_of(world, gone.rows).values())
    strays = sum(stray.size for stray in world.strays if stray.number not in gone.strays)
    return audio + strays + sum(item.line for item in left) + len(left) * world.inventory.index.vector_bytes


def evict_for_items(world: World, plan: ReferencePlan, gone: Gone) -> None:
    """Rows, their file there or not, while there are too many."""
    marks = world.policy.budget.items
    left = [item for item in world.items if item.number not in gone.rows]
    count = len([item for item in left if item.readable and item.state is not ItemState.RETIRED])
    if marks is None or count <= marks.high:
        return
    reason = Reason("budget:items", float(count), float(marks.high))
    for item in items_in_order(world, plan, gone):
        if count > marks.low:
            gone.evict(item, reason)
            count -= 1
