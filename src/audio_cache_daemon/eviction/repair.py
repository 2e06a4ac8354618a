"""A repair carried out: what goes is saved first, then the index is exchanged as one transaction."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from audio_cache_daemon.errors import InconsistentIndexError, MaintenanceError, about
from audio_cache_daemon.eviction.changes import Copied, FileChange, Kept, Part, Zeros
from audio_cache_daemon.eviction.directories import create_file, make_state_directory, write_durably
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.journal import read_journal
from audio_cache_daemon.eviction.ranges import copy_ranges, kept_ranges, write_all
from audio_cache_daemon.eviction.reconcile import rewrite_index
from audio_cache_daemon.findings import RepairPlan
from audio_cache_daemon.formats import array_header, identify, row_offsets
from audio_cache_daemon.location import META_NAME
from audio_cache_daemon.model import Ints
from audio_cache_daemon.own_files import sync_directory
from audio_cache_daemon.paths import open_regular

REPAIRS = "repairs"
"""The directory of what repairs took out, in the state directory of a cache: a directory for each run."""

_NOTE_NAME = "repair.json"
_LINES_NAME = "lines.jsonl"
_LAST_LINE_NAME = "last-line.jsonl"


class RepairNote(msgspec.Struct, frozen=True):
    """What a repair took out, and from where, so that it could be put back by hand.

    `lines` counts from 1, `rows` from 0 for each array; both in the order in which they lie in the files beside.
    """

    version: Literal[1]
    run: str
    time: float
    lines: tuple[int, ...]
    rows: dict[str, tuple[int, ...]]


def repair_index(plan: RepairPlan, execution: Execution, now: float) -> Path:
    """Carry a repair out; the directory that what was taken out is in. Under the lock, recovered, generator stopped.

    InconsistentIndexError when the index changed since it was examined, MaintenanceError when it can't be written:
    nothing was changed. DeferredError when the generator wrote to it meanwhile: the next run goes on.
    """
    location = plan.inventory.location
    directory = make_state_directory(location.path, REPAIRS, execution.run)
    try:
        _save_removed(plan, directory, RepairNote(1, execution.run, now, *_numbers(plan)))
        # What is to be away is away before: that harms nobody if it goes no further.
        for name in plan.removed:
            (location.path / name).rename(directory / name)
        sync_directory(directory)
        sync_directory(location.path)
        rewrite_index(location, list(_changes(plan, directory)), execution)
    except BaseException as error:
        is_begun = read_journal(location) is not None
        if not is_begun:
            with suppress(OSError):
                _bring_back(plan, directory)
                shutil.rmtree(directory)
        if isinstance(error, OSError):
            outcome = "the next run or repair goes on from there" if is_begun else "nothing was changed"
            raise MaintenanceError(
                f"{about(error, location.path)}: {error.strerror}; {outcome}: make room or mend the permissions"
            ) from None
        raise
    return directory


def _bring_back(plan: RepairPlan, directory: Path) -> None:
    for name in plan.removed:
        with suppress(FileNotFoundError):
            (directory / name).rename(plan.inventory.location.path / name)


def _numbers(plan: RepairPlan) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
    """The lines and rows that go."""
    gone = {name: np.flatnonzero(~kept) for name, kept in plan.kept.items()}
    lines = tuple((gone.pop(META_NAME) + 1).tolist())
    return lines, {name: tuple(rows.tolist()) for name, rows in gone.items() if len(rows)}


def _save_removed(plan: RepairPlan, directory: Path, note: RepairNote) -> None:
    """Copy what goes into the run's directory, flushed."""
    for name, kept in plan.kept.items():
        info = plan.inventory.index.arrays.get(name)
        if kept.all():
            continue
        source = _open_unchanged(plan, name)
        try:
            with create_file(directory / (_LINES_NAME if info is None else name)) as target:
                if info is not None:
                    write_all(target.fileno(), array_header(info, int((~kept).sum())))
                offset = plan.inventory.rows.offset if info is None else row_offsets(info)
                copy_ranges(source, target.fileno(), *kept_ranges(offset, ~kept))
                os.fsync(target.fileno())
        finally:
            os.close(source)
    if plan.end_last_line:
        _save_last_line(plan, directory / _LAST_LINE_NAME)
    write_durably(directory / _NOTE_NAME, msgspec.json.encode(note))


def _open_unchanged(plan: RepairPlan, name: str) -> int:
    """A descriptor of an index file; InconsistentIndexError when it isn't the one that was examined any more."""
    path, index = plan.inventory.location.path / name, plan.inventory.index
    descriptor = open_regular(path)
    if identify(os.fstat(descriptor)) != (index.identity if name == META_NAME else index.arrays[name].identity):
        os.close(descriptor)
        raise InconsistentIndexError(f"{path} changed since it was examined; nothing was changed: try again")
    return descriptor


def _save_last_line(plan: RepairPlan, path: Path) -> None:
    """The last line with the end that it lacks."""
    source = _open_unchanged(plan, META_NAME)
    try:
        with create_file(path) as target:
            copy_ranges(source, target.fileno(), *_last_line(plan))
            write_all(target.fileno(), b"\n")
            os.fsync(target.fileno())
    finally:
        os.close(source)


def _last_line(plan: RepairPlan) -> tuple[Ints, Ints]:
    offset = plan.inventory.rows.offset
    return offset[-2:-1], offset[-1:]


def _changes(plan: RepairPlan, directory: Path) -> Iterator[FileChange]:
    """What is to become of each file of the index."""
    inventory = plan.inventory
    lines = plan.kept[META_NAME].copy()
    ending: tuple[Part, ...] = ()
    if plan.end_last_line:
        lines[-1] = False
        (start,), (end,) = _last_line(plan)
        ending = (Copied(directory / _LAST_LINE_NAME, np.zeros(1, np.int64), np.array([end - start + 1], np.int64)),)
    parts = (Kept(*kept_ranges(inventory.rows.offset, lines)), *ending)
    yield FileChange(META_NAME, inventory.index.identity, parts)
    for name, info in inventory.index.arrays.items():
        numbers = np.arange(info.rows + 1, dtype=np.int64)
        rows: tuple[Part, ...] = (Kept(*kept_ranges(numbers, plan.kept[name])),)
        if name in plan.blanked:
            rows = (*rows, Zeros(int(plan.kept[META_NAME].sum()) - int(plan.kept[name].sum())))
        yield FileChange(name, info.identity, rows, info)
