"""The index rewritten: all of its files at once, or none.

New files are made beside the old and flushed, a journal says what is about to happen, each old file is compared
once more with what was read, then old and new are exchanged, against the writer's order of writing. From then
on the new index counts; the old files stay under our names until `reconcile` found that nothing was written to them.
A journal that is found later tells how far it came; what lies in our directory without a journal counts for nothing.

The steps, each with its flush before the next: new files, fsync of each; their names, and the journal, fsync of it
and of the directory; the exchanges; fsync of both directories; the run's own work; the journal away, fsync of the
directory; the old files away.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from audio_cache_daemon.errors import InconsistentIndexError, MaintenanceError
from audio_cache_daemon.eviction.build import build_files, copy_permissions
from audio_cache_daemon.eviction.changes import Addition, FileChange, changes_of
from audio_cache_daemon.eviction.directories import make_state_directory
from audio_cache_daemon.eviction.exchange import exchange, settle
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.journal import (
    EXCHANGE_ORDER,
    REWRITE,
    SAVED,
    FileExchange,
    Generation,
    Journal,
    identity_of,
    is_same,
    journal_path,
    read_journal,
    rewrite_directory,
    write_journal,
)
from audio_cache_daemon.formats import read_array_info
from audio_cache_daemon.location import META_NAME, CacheLocation
from audio_cache_daemon.model import Bools, FileIdentity, Inventory
from audio_cache_daemon.own_files import sync_directory
from audio_cache_daemon.paths import open_regular

__all__ = [
    "REWRITE",
    "SAVED",
    "Addition",
    "FileChange",
    "FileExchange",
    "Journal",
    "abandon_rewrite",
    "check_recovered",
    "copy_permissions",
    "exchange_index",
    "finish_rewrite",
    "prepare_changes",
    "prepare_rewrite",
    "read_journal",
]


def prepare_rewrite(inventory: Inventory, kept: Bools, execution: Execution, added: Addition | None = None) -> Journal:
    """Make the index anew without the rows that aren't `kept` and with those `added`; see `prepare_changes`."""
    changes = [] if kept.all() and added is None else changes_of(inventory, kept, added)
    return prepare_changes(inventory.location, changes, execution)


def prepare_changes(location: CacheLocation, changes: Sequence[FileChange], execution: Execution) -> Journal:
    """Make new index files beside the old, and journal them. None, or one for each index file that is there.

    That one stays as it is too: they are exchanged together. InconsistentIndexError when the index isn't what the
    changes say, MaintenanceError when the new files can't be made such that the writer can write them, OSError as it
    comes: after each of them `abandon_rewrite`.
    """
    directory = make_state_directory(location.path, REWRITE)
    files = build_files(directory, location.path, changes)
    roots = tuple(os.fsencode(root) for root in location.audio_roots)
    journal = Journal(1, execution.run, execution.to_trash, roots, files)
    write_journal(directory, journal)
    if files:
        check_unchanged(location, {file.name: file.old for file in files})
    return journal


def check_recovered(location: CacheLocation) -> None:
    """Make room for a rewrite; MaintenanceError when an interrupted one is still to be recovered."""
    if read_journal(location) is not None:
        raise MaintenanceError(f"{location.path}: an interrupted run has to be recovered first; nothing was changed")
    finish_rewrite(location)


def check_unchanged(location: CacheLocation, known: dict[str, FileIdentity]) -> None:
    """InconsistentIndexError unless these are the index files that are there, as they were read."""
    for name in EXCHANGE_ORDER:
        found = identity_of(location.path / name)
        if not (found is None if name not in known else is_same(found, known[name])):
            raise InconsistentIndexError(
                f"{location.path / name} changed while the new index was made; is the generator really stopped? "
                "Nothing was changed"
            )


def exchange_index(location: CacheLocation, journal: Journal) -> None:
    """Let the new files take the place of the old; MaintenanceError when the system refuses, and nothing changed."""
    directory = rewrite_directory(location)
    try:
        for file in journal.files:
            exchange(directory / file.name, location.path / file.name)
    except OSError as error:
        if not _take_back(location, directory, journal.files):
            raise MaintenanceError(
                f"{location.path}: the new index took the place of the old only in part ({error.strerror}), and that "
                "can't be undone now: the next run goes on from there"
            ) from None
        finish_rewrite(location)
        raise MaintenanceError(
            f"{location.path}: the new index can't take the place of the old: {error.strerror}; nothing was changed"
        ) from None
    flush_exchange(location, directory)


def flush_exchange(location: CacheLocation, directory: Path) -> None:
    """Make an exchange survive a crash."""
    sync_directory(location.path)
    sync_directory(directory)


def _take_back(location: CacheLocation, directory: Path, files: Sequence[FileExchange]) -> bool:
    """Undo what was exchanged of these files, unless somebody wrote to one since, or the system refuses that too."""
    done = []
    try:
        for file in files:
            # By renames an exchange can be refused halfway: then neither half is ours to drop yet.
            settle(directory / file.name)
            ours, theirs = (identity_of(place / file.name) for place in (directory, location.path))
            if is_same(ours, file.new):
                continue
            if not is_same(ours, file.old) or not is_same(theirs, file.new):
                return False
            done.append(file)
        for file in reversed(done):
            exchange(directory / file.name, location.path / file.name)
    except OSError:
        return False
    return True


def abandon_rewrite(location: CacheLocation) -> None:
    """Drop what was prepared and not exchanged, unless an index file is torn: then ours is the only intact copy.

    A generator that is killed while it saves an array leaves it torn. Recovery decides about that.
    """
    journal = read_journal(location)
    if journal is None or read_whole(location, journal):
        finish_rewrite(location)


def read_whole(location: CacheLocation, journal: Journal) -> bool:
    """Whether none of the arrays that are to be exchanged is torn."""
    return all(_is_whole(location.path / file.name) for file in journal.files if file.name != META_NAME)


def _is_whole(path: Path) -> bool:
    descriptor = open_regular(path)
    try:
        read_array_info(path.name, descriptor)
    except ValueError:
        return False
    finally:
        os.close(descriptor)
    return True


def finish_rewrite(location: CacheLocation) -> None:
    """Let go of the journal, of the old index files, and of whatever an interrupted run left without a journal.

    What could not be matched to rows is kept for good: nobody asked for its removal. Then the journal goes: without
    it the rest counts for nothing.
    """
    directory = rewrite_directory(location)
    journal = read_journal(location)
    if journal is not None:
        _keep_for_good(location, Generation(directory, journal))
    drop_directory(directory)


def drop_directory(directory: Path) -> None:
    """Remove the directory of an exchange, its journal first."""
    with suppress(FileNotFoundError):
        journal_path(directory).unlink()
        sync_directory(directory)
    with suppress(FileNotFoundError):
        shutil.rmtree(directory)


def _keep_for_good(location: CacheLocation, generation: Generation) -> None:
    for file in generation.journal.files:
        path = generation.directory / file.name
        found = identity_of(path)
        if file.keep_old and found is not None and found.inode == file.old.inode:
            path.rename(location.state_directory / f"{path.stem}-{generation.journal.run}.npy")
            sync_directory(location.state_directory)
