"""A look at a cache: what it holds against its marks, and what is wrong with it. It reads, and writes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audio_cache_daemon.cache.scan import Surroundings, scan_cache
from audio_cache_daemon.cache.tail import Tail
from audio_cache_daemon.cache.vectors import index_fault
from audio_cache_daemon.eviction.trash import list_trash
from audio_cache_daemon.model import Inventory, ScanNeeds
from audio_cache_daemon.reporting.statistics import Statistics, take_statistics
from audio_cache_daemon.request import Target
from audio_cache_daemon.retention.budget import mark_bytes, total_bytes
from audio_cache_daemon.retention.policy import Budget, DiskMarks
from audio_cache_daemon.retention.sentinels import check_sentinels
from audio_cache_daemon.state import load_memory
from audio_cache_daemon.units import format_size


@dataclass(frozen=True, slots=True)
class MarkReading:
    """A measure against its marks: for the free disk the lower is the worse, and `limit` is what must be free."""

    name: str
    value: int
    limit: int
    goal: int

    @property
    def is_crossed(self) -> bool:
        return self.value < self.limit if self.name == "disk" else self.value > self.limit

    def is_worse_than(self, other: MarkReading) -> bool:
        return self.value < other.value if self.name == "disk" else self.value > other.value

    def __str__(self) -> str:
        if self.name == "items":
            return f"{self.value:,} items of {self.limit:,}"
        if self.name == "disk":
            return f"{format_size(self.value)} free on the disk, {format_size(self.limit)} are to be"
        return f"{format_size(self.value)} of {format_size(self.limit)}"


@dataclass(frozen=True, slots=True)
class Look:
    """What a look found at a moment, and how many seconds it took. `problems` are in words.

    `is_whole` is false when audio roots, index or clock aren't what they should be, so that figures mislead.
    """

    time: float
    seconds: float
    statistics: Statistics
    marks: tuple[MarkReading, ...]
    trash_items: int
    trash_bytes: int
    problems: tuple[str, ...]
    is_whole: bool

    def crossed(self) -> dict[str, MarkReading]:
        """The marks that are crossed, by name."""
        return {mark.name: mark for mark in self.marks if mark.is_crossed}


def look_at(target: Target, now: float, tail: Tail | None = None) -> Look:
    """Look at a cache; MaintenanceError or OSError when it can't be seen. `tail`: what earlier looks found."""
    started = time.perf_counter()
    location, budget = target.settings.location, target.settings.policy.budget
    memory = load_memory(location)
    needs = ScanNeeds(coming=budget.disk is not None)
    inventory = scan_cache(location, needs, Surroundings(target.neighbours, memory, tail=tail))
    findings = [refusal.message for refusal in check_sentinels(inventory, memory, now)]
    fault = index_fault(inventory)
    trash = list_trash(location)
    return Look(
        time=now,
        seconds=time.perf_counter() - started,
        statistics=take_statistics(inventory, now),
        marks=tuple(_read_marks(inventory, budget)),
        trash_items=sum(run.items for run in trash),
        trash_bytes=sum(run.bytes for run in trash),
        problems=(*findings, *([fault] if fault is not None else [])),
        is_whole=not findings,
    )


def _read_marks(inventory: Inventory, budget: Budget) -> Iterator[MarkReading]:
    if budget.size is not None:
        rows, strays = (np.ones(len(part), np.bool_) for part in (inventory.rows, inventory.strays))
        total = total_bytes(inventory, rows, strays)
        yield MarkReading("size", total, budget.size.high, budget.size.low)
    if budget.items is not None:
        items = int(inventory.rows.items().sum())
        yield MarkReading("items", items, budget.items.high, budget.items.low)
    if budget.disk is not None:
        disks = list(_read_disks(inventory, budget.disk))
        if disks:
            yield min(disks, key=lambda disk: disk.value - disk.limit)


def _read_disks(inventory: Inventory, marks: DiskMarks) -> Iterator[MarkReading]:
    """One reading a file system; what is pending or in the trash is as good as free."""
    by_device: dict[int, int] = {}
    for root in inventory.roots:
        if root.device is not None:
            by_device[root.device] = by_device.get(root.device, root.disk_free) + root.coming
    sizes = {root.device: root.disk_size for root in inventory.roots}
    for device, free in by_device.items():
        size = sizes[device]
        yield MarkReading("disk", free, mark_bytes(marks.min_free, size), mark_bytes(marks.resume_free, size))
