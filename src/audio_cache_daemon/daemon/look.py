"""A look at a cache: what it holds against its marks, and what is wrong with it. It reads, and writes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from audio_cache_daemon.cache.scan import Surroundings, scan_cache
from audio_cache_daemon.cache.tail import Tail
from audio_cache_daemon.cache.vectors import index_fault
from audio_cache_daemon.daemon.outlook import Outlook, foresee, foreseen
from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.trash import TrashedRun, list_trash
from audio_cache_daemon.held import unpack_held
from audio_cache_daemon.location import CacheLocation, Root
from audio_cache_daemon.manifest import RETIRED, read_note
from audio_cache_daemon.model import Inventory
from audio_cache_daemon.reporting.statistics import Statistics, take_statistics
from audio_cache_daemon.request import Target
from audio_cache_daemon.retention.budget import mark_bytes, total_bytes
from audio_cache_daemon.retention.needs import columns_needed
from audio_cache_daemon.retention.policy import Budget, DiskMarks
from audio_cache_daemon.retention.sentinels import check_sentinels
from audio_cache_daemon.state import load_audit_head, load_memory
from audio_cache_daemon.units import format_size


class MarkReading(msgspec.Struct, frozen=True):
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


class Look(msgspec.Struct, frozen=True):
    """What a look found at a moment, and how many seconds it took. `problems` are in words.

    `is_whole` is false when audio roots, index or clock aren't what they should be, so that figures mislead;
    `is_consistent` when rows and vectors can't be matched. `size` is in bytes, as the budget counts them. `disk` is the
    file system with audio that is the shortest of space; `pending_since` tells since when the oldest pending file
    waits. `restored` are ids of items that were brought back lately, `audit_sequence` is the number of the last audit
    record that was published.
    """

    time: float
    seconds: float
    statistics: Statistics
    marks: tuple[MarkReading, ...]
    size: int
    trash: tuple[TrashedRun, ...]
    problems: tuple[str, ...]
    is_whole: bool
    is_consistent: bool
    disk: Root | None
    pending_since: float | None
    restored: NDArray[np.uint64]
    audit_sequence: int | None
    outlook: Outlook

    @property
    def trash_items(self) -> int:
        return sum(run.items for run in self.trash)

    @property
    def trash_bytes(self) -> int:
        return sum(run.bytes for run in self.trash)

    def crossed(self) -> dict[str, MarkReading]:
        """The marks that are crossed, by name."""
        return {mark.name: mark for mark in self.marks if mark.is_crossed}


def look_at(target: Target, now: float, tail: Tail | None = None, outlook: Outlook | None = None) -> Look:
    """Look at a cache; MaintenanceError or OSError when it can't be seen.

    `tail` is what earlier looks found, `outlook` one that is still good enough.
    """
    started = time.perf_counter()
    location, policy = target.settings.location, target.settings.policy
    memory = load_memory(location)
    needs = replace(columns_needed(foreseen(policy)), identities=False)
    inventory = scan_cache(location, needs, Surroundings(target.neighbours, memory, tail=tail))
    disk, disk_mark = _find_shortest_disk(inventory, policy.budget.disk)
    findings = [refusal.message for refusal in check_sentinels(inventory, memory, now)]
    fault = index_fault(inventory)
    rows, strays = (np.ones(len(part), np.bool_) for part in (inventory.rows, inventory.strays))
    size = total_bytes(inventory, rows, strays)
    statistics = take_statistics(inventory, now)
    outlook = outlook or foresee(inventory, policy, now)
    return Look(
        time=now,
        seconds=time.perf_counter() - started,
        statistics=statistics,
        marks=(*_read_marks(inventory, size, policy.budget), *([disk_mark] if disk_mark is not None else [])),
        size=size,
        trash=tuple(list_trash(location)),
        problems=(*findings, *([fault] if fault is not None else [])),
        is_whole=not findings,
        is_consistent=fault is None,
        disk=disk,
        pending_since=_pending_since(inventory),
        restored=unpack_held(memory.held if memory is not None else b"")["id"].copy(),
        audit_sequence=_audit_sequence(location),
        outlook=outlook,
    )


def _read_marks(inventory: Inventory, size: int, budget: Budget) -> Iterator[MarkReading]:
    if budget.size is not None:
        yield MarkReading("size", size, budget.size.high, budget.size.low)
    if budget.items is not None:
        items = int(inventory.rows.items().sum())
        yield MarkReading("items", items, budget.items.high, budget.items.low)


def _find_shortest_disk(inventory: Inventory, marks: DiskMarks | None) -> tuple[Root | None, MarkReading | None]:
    """The file system with audio that is nearest to its mark, or has the least space; what is coming counts as free."""
    disks: dict[int, Root] = {}
    for root in inventory.roots:
        if root.device is not None:
            same = disks.get(root.device)
            disks[root.device] = root if same is None else replace(same, coming=same.coming + root.coming)
    if not disks:
        return None, None
    if marks is None:
        return min(disks.values(), key=lambda root: root.disk_free), None
    readings = [(root, _read_disk(root, marks)) for root in disks.values()]
    return min(readings, key=lambda reading: reading[1].value - reading[1].limit)


def _read_disk(root: Root, marks: DiskMarks) -> MarkReading:
    limits = (mark_bytes(mark, root.disk_size) for mark in (marks.min_free, marks.resume_free))
    return MarkReading("disk", root.disk_free + root.coming, *limits)


def _pending_since(inventory: Inventory) -> float | None:
    retired = inventory.retired
    if not retired.pending.any():
        return None
    # The names of runs are in the order of their times.
    run = retired.runs[int(retired.run[retired.pending].min())]
    with suppress(OSError, ValueError):
        return read_note(inventory.location.state_directory / RETIRED / run).time
    return None


def _audit_sequence(location: CacheLocation) -> int | None:
    with suppress(MaintenanceError):
        head = load_audit_head(location)
        return head[0] if head is not None else None
    return None
