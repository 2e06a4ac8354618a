"""Evicted items brought back from the trash: their files first, then rows and vectors as one transaction.

A file that came back without its row, after a crash, is an orphan too young to be evicted; restoring once more
takes it up. What was restored is noted in the run's directory, and the run leaves the trash with its last item.
"""

from __future__ import annotations

import os

import msgspec
import numpy as np

from audio_cache_daemon.columns import are_among
from audio_cache_daemon.errors import MaintenanceError, about
from audio_cache_daemon.eviction.changes import Addition, changes_of
from audio_cache_daemon.eviction.directories import open_state_directory, write_durably
from audio_cache_daemon.eviction.exchange import rename_to_free_name
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.reconcile import rewrite_index
from audio_cache_daemon.eviction.removal import look_again, remove_run
from audio_cache_daemon.eviction.retire import bring_back, find_rows
from audio_cache_daemon.eviction.saved import SavedRun, TrashedItem
from audio_cache_daemon.ids import row_key
from audio_cache_daemon.location import META_NAME, CacheLocation
from audio_cache_daemon.manifest import RETIRED, TRASH, ManifestEntry
from audio_cache_daemon.model import Bools, FileIdentity, Inventory
from audio_cache_daemon.own_files import encode_own
from audio_cache_daemon.paths import Folders
from audio_cache_daemon.retired import RESTORED_NAME, read_restored

_NOT_UNDER_A_GENERATOR = (
    "its row left the index, and none can be added under a running generator: stop it and say --writer-stopped"
)


class Restored(msgspec.Struct, frozen=True):
    """Which items of a run came `back`, and why others of those that were to didn't; how many rows were `added`."""

    back: Bools
    problems: tuple[tuple[TrashedItem, str], ...]
    added: int


def restore_items(
    inventory: Inventory, saved: SavedRun, chosen: Bools, execution: Execution, *, is_live: bool
) -> Restored:
    """Bring items of a run back; rows and vectors must be known to match.

    A row that is still in the index, retired, gets its vectors back where it is. One that isn't is added, which can't
    be done while the generator `is_live`. An item that can't come back, or whose place is taken, stays in the trash
    and says so. MaintenanceError when the index can't be written: then the next run decides by what is on the disk.
    """
    location = inventory.location
    try:
        row = find_rows(inventory, saved.run, len(chosen))
        # A row that isn't retired and is there came back before: that was interrupted before it was noted here.
        there = _lines_there(location, saved, chosen)
        movable = chosen & (there | (saved.line < 0)) if is_live else chosen
        back, problems = _move_files_back(location, saved, movable)
        problems += [(item, _NOT_UNDER_A_GENERATOR) for item in saved.items(chosen & ~movable)]
        in_place, added = back & (row >= 0), back & (saved.line >= 0) & (row < 0) & ~there
        if in_place.any():
            bring_back(inventory, saved.directory, row[in_place], saved.line[in_place])
        if added.any():
            _add_rows(inventory, Addition(saved.directory, saved.offset, saved.line[added]), execution)
        _note_restored(location, saved, back)
    except OSError as error:
        reason = f"{about(error, saved.directory)}: {error.strerror}"
        raise MaintenanceError(f"{reason}; no row was restored") from None
    return Restored(back, tuple(problems), int(added.sum()))


def _lines_there(location: CacheLocation, saved: SavedRun, chosen: Bools) -> Bools:
    """Which of the chosen items have a row in the index, to the letter; but for one chance in 2^64."""
    with (location.path / META_NAME).open("rb") as meta:
        present = np.fromiter((row_key(line, 0) for line in meta), np.uint64)
    present.sort()
    with_lines = chosen & (saved.line >= 0)
    there = np.zeros(len(chosen), np.bool_)
    hashes = (row_key(item.line, 0) for item in saved.items(with_lines))
    there[with_lines] = are_among(np.fromiter(hashes, np.uint64), present)
    return there


def _move_files_back(
    location: CacheLocation, saved: SavedRun, which: Bools
) -> tuple[Bools, list[tuple[TrashedItem, str]]]:
    """Which files are in their places again, and what keeps the others from that.

    An item that shares the file of one that can't come back can't either: its row would name no file.
    """
    numbers = {os.fsencode(root): number for number, root in enumerate(location.audio_roots)}
    why: dict[str, str] = {}
    with Folders(location) as folders:
        for item in saved.items(which):
            root = numbers.get(saved.roots[item.entry.root]) if item.entry.file else None
            problem = _move_back(item.entry, root, folders, saved.run)
            if problem is not None:
                why[item.path] = problem
    if not why:
        return which, []
    back, problems = which.copy(), []
    for place, item in zip(np.flatnonzero(which).tolist(), saved.items(which), strict=True):
        if item.path in why:
            back[place] = False
            problems.append((item, why[item.path]))
    return back, problems


def _move_back(entry: ManifestEntry, root: int | None, folders: Folders, run: str) -> str | None:
    """Why the file of an item can't go back to its place, or None when it is there, or there is none."""
    if not entry.file:
        return None
    if root is None:
        return "its audio root is no longer configured"
    try:
        return None if _put_back(entry, root, folders, run) else "its file is no longer in the trash"
    except FileExistsError:
        return "another file has its name now"
    except OSError as error:
        return f"{entry.file}: {error.strerror or error}"


def _put_back(entry: ManifestEntry, root: int, folders: Folders, run: str) -> bool:
    """Move a file from the trash to its place, unless it is there; whether it is there now."""
    *parts, name = entry.file.split("/")
    expected = FileIdentity(0, entry.inode, entry.size, entry.mtime_ns)
    place = folders.descriptor(root, tuple(parts))
    if look_again(place, name, expected) is None:
        return True
    source = open_state_directory(folders.roots[root].path, TRASH, run)
    try:
        if look_again(source, entry.name, expected) is not None:
            return False
        rename_to_free_name((source, entry.name), (place, name))
    finally:
        os.close(source)
    return True


def _add_rows(inventory: Inventory, added: Addition, execution: Execution) -> None:
    everything = np.ones(len(inventory.rows), np.bool_)
    rewrite_index(inventory.location, changes_of(inventory, everything, added), execution)


def _note_restored(location: CacheLocation, saved: SavedRun, back: Bools) -> None:
    """Where it is retired before where it is in the trash: so what is retired no more can be told by its row."""
    for directory in dict.fromkeys([location.state_directory / RETIRED / saved.run, saved.directory]):
        if not directory.is_dir():
            continue
        if not (saved.left & ~back).any():
            remove_run(directory)
        else:
            restored = read_restored(directory).union(item.entry.id for item in saved.items(back))
            write_durably(directory / RESTORED_NAME, encode_own(sorted(restored)))
