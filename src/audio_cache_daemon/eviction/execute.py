"""Carries a plan out while the generator is stopped: the index in one transaction, then the files, one by one."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.directories import create_file, make_state_directory, sync_directory
from audio_cache_daemon.eviction.execution import TRASH, Execution
from audio_cache_daemon.eviction.manifest import append_entry, save_note, save_rows
from audio_cache_daemon.eviction.removal import take_away
from audio_cache_daemon.eviction.rewrite import (
    REWRITE,
    Journal,
    exchange_index,
    finish_rewrite,
    prepare_rewrite,
    read_journal,
)
from audio_cache_daemon.eviction.second_look import SecondLook
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.manifest import MANIFEST_NAME, ManifestEntry, RunNote, read_manifest
from audio_cache_daemon.model import Bools, FileIdentity, Outcome, OutcomeKind, Plan
from audio_cache_daemon.paths import Folders

_SAVED = "saved"
"""Manifest, rows and vectors of a run, in the directory of its rewrite until the index was exchanged."""


def execute_plan(plan: Plan, execution: Execution) -> Iterator[Outcome]:
    """Evict what the plan says, and tell the outcome of each eviction as it happens.

    Each file is looked at before the index is touched, and once more right before it goes: one that changed
    stays, with its row if that is seen before the index is exchanged. MaintenanceError or InconsistentIndexError
    until then: nothing was changed. The iterator must be exhausted.
    """
    location = plan.inventory.location
    if read_journal(location) is not None:
        raise MaintenanceError(f"{location.path}: an interrupted run has to be recovered first; nothing was changed")
    finish_rewrite(location)
    try:
        journal = yield from _prepare(plan, execution)
    except BaseException as error:
        with suppress(OSError):
            finish_rewrite(location)
        if isinstance(error, OSError):
            raise MaintenanceError(
                f"{error.filename or location.path}: {error.strerror}; nothing was removed: make room or mend the "
                "permissions"
            ) from None
        raise
    if journal is None:
        finish_rewrite(location)
        return
    exchange_index(location, journal)
    yield from take_files_away(location, journal)


def take_files_away(location: CacheLocation, journal: Journal) -> Iterator[Outcome]:
    """Remove the files of a run's manifest that are still there, and end the run. Harmless to repeat."""
    directory = _saved_directory(location, journal)
    with Folders(location) as folders, ExitStack() as stack:
        numbers = _root_numbers(location, journal)
        trashes: dict[int, tuple[int, Path]] = {}
        for entry in read_manifest(directory / MANIFEST_NAME):
            root = numbers.get(entry.root, -1)
            if entry.file and root >= 0 and journal.to_trash and root not in trashes:
                trashes[root] = _open_trash(folders.roots[root].path, journal.run, stack)
            moved = entry if root == entry.root else replace(entry, root=root)
            yield _take_entry_away(moved, folders, trashes.get(root))
        for _, path in trashes.values():
            sync_directory(path)
    finish_rewrite(location)


def _prepare(plan: Plan, execution: Execution) -> Generator[Outcome, None, Journal | None]:
    """Write down and build everything, beside what is there; the outcomes of evictions that don't stand.

    Returns the journal, or None when no eviction stands.
    """
    directory = make_state_directory(plan.inventory.location.path, REWRITE, _SAVED)
    closed = _find_closed_roots(plan) if execution.to_trash else {}
    kept = yield from _write_manifest(plan, directory, closed)
    if (directory / MANIFEST_NAME).stat().st_size == 0:
        return None
    roots = tuple(os.fsencode(root) for root in plan.inventory.location.audio_roots)
    save_note(directory, RunNote(1, execution.run, plan.now, roots))
    if execution.to_trash and not kept.all():
        save_rows(plan.inventory, np.flatnonzero(~kept), directory)
    sync_directory(directory)
    return prepare_rewrite(plan.inventory, kept, execution)


def _find_closed_roots(plan: Plan) -> dict[int, str]:
    """The roots from which nothing can be moved to the trash, and why; the trash of the others is made."""
    inventory = plan.inventory
    roots = np.concatenate([inventory.rows.root[plan.rows.subject], inventory.strays.root[plan.strays.subject]])
    closed: dict[int, str] = {}
    for number in np.unique(roots[roots >= 0]).tolist():
        if inventory.roots[number].inode is None:
            continue
        try:
            path = make_state_directory(inventory.roots[number].path, TRASH)
        except MaintenanceError as error:
            closed[number] = str(error)
            continue
        if not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
            closed[number] = f"no permission to move files to {path}"
    return closed


def _write_manifest(plan: Plan, directory: Path, closed: Mapping[int, str]) -> Generator[Outcome, None, Bools]:
    """Look at each planned eviction once more, and write down those that stand; the outcomes of the others.

    Returns which rows stay.
    """
    kept = np.ones(len(plan.inventory.rows), np.bool_)
    with SecondLook(plan, closed) as look, create_file(directory / MANIFEST_NAME) as manifest:
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


def _saved_directory(location: CacheLocation, journal: Journal) -> Path:
    """Where the run's manifest is: in the trash, from now on, if what goes can be brought back."""
    saved = location.state_directory / REWRITE / _SAVED
    if not journal.to_trash:
        return saved
    trash = make_state_directory(location.path, TRASH)
    if saved.exists():
        saved.rename(trash / journal.run)
        sync_directory(trash)
        sync_directory(saved.parent)
    return trash / journal.run


def _root_numbers(location: CacheLocation, journal: Journal) -> dict[int, int]:
    """From the root numbers of a run to those of now: the configuration may have changed since."""
    now = {os.fsencode(root): number for number, root in enumerate(location.audio_roots)}
    return {number: now[root] for number, root in enumerate(journal.roots) if root in now}


def _open_trash(root: Path, run: str, stack: ExitStack) -> tuple[int, Path]:
    path = make_state_directory(root, TRASH, run)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor, path


def _take_entry_away(entry: ManifestEntry, folders: Folders, trash: tuple[int, Path] | None) -> Outcome:
    row, stray = (entry.row if entry.row >= 0 else None), (entry.stray if entry.stray >= 0 else None)
    if not entry.file:
        return Outcome(OutcomeKind.EVICTED, entry.id, row, stray)
    if entry.root < 0:
        error = f"{entry.file}: its audio root is no longer configured, so it stays"
        return Outcome(OutcomeKind.FAILED, entry.id, row, stray, error=error)
    *parts, name = entry.file.split("/")
    expected = FileIdentity(0, entry.inode, entry.size, entry.mtime_ns)
    try:
        folder = folders.descriptor(entry.root, tuple(parts))
        kind = take_away(folder, name, expected, (trash[0], entry.name) if trash is not None else None)
    except FileNotFoundError:
        return Outcome(OutcomeKind.GONE, entry.id, row, stray)
    except OSError as error:
        reason = f"{entry.file}: {error.strerror or error}"
        return Outcome(OutcomeKind.FAILED, entry.id, row, stray, error=reason)
    return Outcome(kind, entry.id, row, stray, entry.size if kind == OutcomeKind.EVICTED else 0)
