"""Carries a plan out while the generator is stopped: the index in one transaction, then the files, one by one."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.directories import make_state_directory, sync_directory
from audio_cache_daemon.eviction.execution import TRASH, Execution
from audio_cache_daemon.eviction.manifest import (
    MANIFEST_NAME,
    ManifestEntry,
    append_entry,
    read_manifest,
    save_rows,
)
from audio_cache_daemon.eviction.removal import take_away
from audio_cache_daemon.eviction.rewrite import finish_rewrite, rewrite_index
from audio_cache_daemon.eviction.second_look import SecondLook
from audio_cache_daemon.model import Bools, CacheLocation, FileIdentity, Outcome, OutcomeKind, Plan
from audio_cache_daemon.paths import Folders


def execute_plan(plan: Plan, execution: Execution) -> Iterator[Outcome]:
    """Evict what the plan says, and tell the outcome of each eviction as it happens.

    Each file is looked at before the index is touched, and once more right before it goes: one that changed
    stays, with its row. MaintenanceError or InconsistentIndexError before the index was exchanged: nothing was
    changed. The iterator must be exhausted.
    """
    location = plan.inventory.location
    directory = make_state_directory(location.path, TRASH, execution.run)
    try:
        if execution.to_trash:
            _make_trashes(plan, execution.run)
        kept = yield from _write_manifest(plan, directory)
        if not kept.all():
            if execution.to_trash:
                save_rows(plan.inventory, np.flatnonzero(~kept), directory)
            sync_directory(directory)
            rewrite_index(plan.inventory, kept, execution)
    except OSError as error:
        raise MaintenanceError(
            f"{error.filename or directory}: {error.strerror}; nothing was removed: make room or mend the permissions"
        ) from None
    yield from take_files_away(location, execution)


def take_files_away(location: CacheLocation, execution: Execution) -> Iterator[Outcome]:
    """Remove the files of a run's manifest that are still there, and end the run. Harmless to repeat."""
    directory = location.state_directory / TRASH / execution.run
    with Folders(location) as folders, ExitStack() as stack:
        trashes: dict[int, tuple[int, Path]] = {}
        for entry in read_manifest(directory / MANIFEST_NAME):
            if entry.file and execution.to_trash and entry.root not in trashes:
                trashes[entry.root] = _open_trash(folders.roots[entry.root].path, execution.run, stack)
            yield _take_entry_away(entry, folders, trashes.get(entry.root))
        for _, path in trashes.values():
            sync_directory(path)
    if not execution.to_trash:
        (directory / MANIFEST_NAME).unlink()
        directory.rmdir()
    finish_rewrite(location)


def _make_trashes(plan: Plan, run: str) -> None:
    """Make the trash in each root that loses a file, while nothing has been changed yet."""
    inventory = plan.inventory
    roots = np.concatenate([inventory.rows.root[plan.rows.subject], inventory.strays.root[plan.strays.subject]])
    for number in np.unique(roots[roots >= 0]).tolist():
        if inventory.roots[number].inode is not None:
            make_state_directory(inventory.roots[number].path, TRASH, run)


def _write_manifest(plan: Plan, directory: Path) -> Generator[Outcome, None, Bools]:
    """Look at each planned eviction once more, and write down those that stand; the outcomes of the others.

    Returns which rows stay.
    """
    kept = np.ones(len(plan.inventory.rows), np.bool_)
    with SecondLook(plan) as look, (directory / MANIFEST_NAME).open("wb") as manifest:
        for result in look.entries():
            if isinstance(result, Outcome):
                yield result
                continue
            append_entry(manifest, result)
            if result.row >= 0:
                kept[result.row] = False
        manifest.flush()
        os.fsync(manifest.fileno())
    return kept


def _open_trash(root: Path, run: str, stack: ExitStack) -> tuple[int, Path]:
    path = make_state_directory(root, TRASH, run)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor, path


def _take_entry_away(entry: ManifestEntry, folders: Folders, trash: tuple[int, Path] | None) -> Outcome:
    row, stray = (entry.row if entry.row >= 0 else None), (entry.stray if entry.stray >= 0 else None)
    if not entry.file:
        return Outcome(OutcomeKind.EVICTED, entry.id, row, stray)
    *parts, name = entry.file.split("/")
    expected = FileIdentity(0, entry.inode, entry.size, entry.mtime_ns)
    try:
        folder = folders.descriptor(entry.root, tuple(parts))
        kind = take_away(folder, name, expected, (trash[0], entry.name) if trash is not None else None)
    except FileNotFoundError:
        return Outcome(OutcomeKind.GONE, entry.id, row, stray)
    except OSError as error:
        return Outcome(OutcomeKind.FAILED, entry.id, row, stray, error=f"{entry.file}: {error.strerror}")
    return Outcome(kind, entry.id, row, stray, entry.size if kind == OutcomeKind.EVICTED else 0)
