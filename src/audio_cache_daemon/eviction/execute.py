"""Carries a plan out while the generator is stopped: the index in one transaction, then the files, one by one."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from audio_cache_daemon.errors import MaintenanceError, about
from audio_cache_daemon.eviction.directories import make_state_directory
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.manifest import save_note, save_rows
from audio_cache_daemon.eviction.reconcile import reconcile
from audio_cache_daemon.eviction.rewrite import (
    REWRITE,
    SAVED,
    Journal,
    abandon_rewrite,
    check_recovered,
    exchange_index,
    finish_rewrite,
    prepare_rewrite,
)
from audio_cache_daemon.eviction.second_look import write_manifest
from audio_cache_daemon.eviction.space import check_room
from audio_cache_daemon.eviction.taking import take_entries_away
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.manifest import MANIFEST_NAME, TRASH, RunNote, read_manifest
from audio_cache_daemon.model import Outcome, Plan
from audio_cache_daemon.own_files import sync_directory


def execute_plan(plan: Plan, execution: Execution) -> Generator[Outcome, None, None]:
    """Evict what the plan says, and tell the outcome of each eviction as it happens.

    Each file is looked at before the index is touched, and once more right before it goes: one that changed
    stays, with its row if that is seen before the index is exchanged. MaintenanceError or InconsistentIndexError
    until then: nothing was changed. DeferredError when the generator was adding an item all the same: the next run
    goes on. The iterator must be exhausted.
    """
    location = plan.inventory.location
    check_recovered(location)
    try:
        journal = yield from _prepare(plan, execution)
    except BaseException as error:
        with suppress(OSError):
            abandon_rewrite(location)
        if isinstance(error, OSError):
            raise MaintenanceError(
                f"{about(error, location.path)}: {error.strerror}; nothing was removed: make room or mend the "
                "permissions"
            ) from None
        raise
    if journal is None:
        finish_rewrite(location)
        return
    exchange_index(location, journal)
    reconcile(location)
    yield from take_files_away(location, journal)


def take_files_away(location: CacheLocation, journal: Journal) -> Iterator[Outcome]:
    """Remove the files of a run's manifest that are still there, and end the run. Harmless to repeat."""
    entries = read_manifest(_saved_directory(location, journal) / MANIFEST_NAME)
    yield from take_entries_away(location, Execution(journal.run, journal.to_trash), journal.roots, entries)
    finish_rewrite(location)


def _prepare(plan: Plan, execution: Execution) -> Generator[Outcome, None, Journal | None]:
    """Write down and build everything, beside what is there; the outcomes of evictions that don't stand.

    Returns the journal, or None when no eviction stands.
    """
    directory = make_state_directory(plan.inventory.location.path, REWRITE, SAVED)
    kept = yield from write_manifest(plan, directory, execution)
    if (directory / MANIFEST_NAME).stat().st_size == 0:
        return None
    roots = tuple(os.fsencode(root) for root in plan.inventory.location.audio_roots)
    save_note(directory, RunNote(1, execution.run, plan.now, roots))
    if execution.to_trash and not kept.all():
        save_rows(plan.inventory, np.flatnonzero(~kept), directory)
    sync_directory(directory)
    if not kept.all():
        check_room(plan.inventory, kept)
    return prepare_rewrite(plan.inventory, kept, execution)


def _saved_directory(location: CacheLocation, journal: Journal) -> Path:
    """Where the run's manifest is: in the trash, from now on, if what goes can be brought back."""
    saved = location.state_directory / REWRITE / SAVED
    if not journal.to_trash:
        return saved
    trash = make_state_directory(location.path, TRASH)
    if saved.exists():
        saved.rename(trash / journal.run)
        sync_directory(trash)
        sync_directory(saved.parent)
    return trash / journal.run
