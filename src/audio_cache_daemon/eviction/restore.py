"""Evicted items brought back from the trash: their files first, then rows and vectors as one transaction.

A file that came back without its row, after a crash, is an orphan too young to be evicted; restoring once more
takes it up. What was restored is noted in the run's directory, and the run leaves the trash with its last item.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.errors import MaintenanceError, StateUnreadableError
from audio_cache_daemon.eviction.changes import Addition, changes_of
from audio_cache_daemon.eviction.directories import (
    open_state_directory,
    write_durably,
)
from audio_cache_daemon.eviction.exchange import rename_to_free_name
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.reconcile import rewrite_index
from audio_cache_daemon.eviction.removal import look_again, remove_run
from audio_cache_daemon.eviction.retire import bring_back, find_rows, note_brought_back
from audio_cache_daemon.eviction.trash import find_run, list_pending, list_trash
from audio_cache_daemon.formats import decode_row, iter_blocks
from audio_cache_daemon.location import META_NAME, CacheLocation
from audio_cache_daemon.manifest import MANIFEST_NAME, ROWS_NAME, TRASH, ManifestEntry, read_manifest, read_note
from audio_cache_daemon.model import FileIdentity, Ints, Inventory
from audio_cache_daemon.own_files import decode_own, encode_own
from audio_cache_daemon.paths import Folders
from audio_cache_daemon.retired import RETIRED

_RESTORED = "restored.json"
_NOT_UNDER_A_GENERATOR = (
    "its row left the index, and none can be added under a running generator: stop it and say --writer-stopped"
)


class TrashedItem(msgspec.Struct, frozen=True):
    """One entry of a run: its saved line, which one that is (b"" and -1 for a file without a row), and its path."""

    entry: ManifestEntry
    saved: int
    line: bytes
    path: str

    @property
    def prompt(self) -> str | None:
        row, _ = decode_row(self.line)
        return row.prompt if row is not None else None


class SavedRun(msgspec.Struct, frozen=True):
    """A run in the trash: the items that weren't brought back yet, the ids of those that were.

    `roots` are its audio roots, as bytes; `offset` are the byte offsets of all its saved lines.
    """

    directory: Path
    roots: tuple[bytes, ...]
    items: tuple[TrashedItem, ...]
    restored: frozenset[str]
    offset: Ints

    @property
    def run(self) -> str:
        return self.directory.name


class Restored(msgspec.Struct, frozen=True):
    """What became of an item that was to come back; `problem` says why it didn't, or is None."""

    item: TrashedItem
    problem: str | None = None


def read_run(location: CacheLocation, run: str) -> SavedRun:
    """What is in the trash of a run; ConfigError when there is no such run.

    MaintenanceError when what was written down of it can't be read: then nothing is done by it.
    """
    directory = find_run(location, run)
    try:
        roots = read_note(directory).roots
        entries = list(read_manifest(directory / MANIFEST_NAME, len(roots)))
        restored = _read_restored(directory / _RESTORED)
        has_rows = any(entry.row >= 0 for entry in entries)
        lines = _split((directory / ROWS_NAME).read_bytes()) if has_rows else []
    except OSError as error:
        raise MaintenanceError(
            f"{error.filename or directory}: {error.strerror}; run {run} can't be restored"
        ) from None
    numbers = _number_lines(entries)
    if len(lines) != sum(number >= 0 for number in numbers):
        raise StateUnreadableError(f"{directory / ROWS_NAME} has {len(lines)} rows, and the manifest beside it others")
    items = [
        _as_item(entry, number, lines)
        for entry, number in zip(entries, numbers, strict=True)
        if entry.id not in restored
    ]
    return SavedRun(directory, roots, tuple(items), restored, np.cumsum([0, *map(len, lines)], dtype=np.int64))


def _number_lines(entries: Iterable[ManifestEntry]) -> list[int]:
    counter = itertools.count()
    return [next(counter) if entry.row >= 0 else -1 for entry in entries]


def _as_item(entry: ManifestEntry, number: int, lines: Sequence[bytes]) -> TrashedItem:
    if number < 0:
        return TrashedItem(entry, number, b"", entry.file)
    row, _ = decode_row(lines[number])
    if row is None:
        raise StateUnreadableError(f"line {number + 1} of {ROWS_NAME} is no row; nothing of its run can be restored")
    return TrashedItem(entry, number, lines[number], row.path or "")


def choose_items(items: Sequence[TrashedItem], wanted: Collection[str]) -> list[TrashedItem]:
    """The items of these ids, paths or file names (all if none is given), with those that share their files."""
    if not wanted:
        return list(items)
    paths = {item.path for item in items if {item.entry.id, item.path, item.path.rpartition("/")[2]} & set(wanted)}
    return [item for item in items if item.path in paths]


def find_saved(location: CacheLocation, name: str) -> dict[str, tuple[str, TrashedItem]]:
    """The items in the trash with this id, path, file name or prompt, by id, and the last run that has each."""
    found: dict[str, tuple[str, TrashedItem]] = {}
    for run in (*list_trash(location), *list_pending(location)):
        for item in read_run(location, run.run).items:
            names = (item.entry.id, item.path, item.path.rpartition("/")[2], item.prompt)
            if name in names:
                found[item.entry.id] = (run.run, item)
    return found


def restore_items(
    inventory: Inventory, saved: SavedRun, items: Sequence[TrashedItem], execution: Execution, *, is_live: bool
) -> list[Restored]:
    """Bring items of a run back; rows and vectors must be known to match.

    A row that is still in the index, retired, gets its vectors back where it is. One that isn't is added, which can't
    be done while the generator `is_live`. An item that can't come back, or whose place is taken, stays in the trash
    and says so. MaintenanceError when the index can't be written: then the next run decides by what is on the disk.
    """
    retired = find_rows(inventory, saved.run)
    # A row that isn't retired and is there came back before: that was interrupted before it was noted here.
    present = _digests(inventory.location.path / META_NAME)
    addable = [item for item in items if not is_live or not item.line or _digest(item.line) in present]
    try:
        results = _with_their_files(_move_files_back(inventory.location, saved, addable))
        results += [Restored(item, _NOT_UNDER_A_GENERATOR) for item in items if item not in addable]
        back = [result.item for result in results if result.problem is None]
        _bring_rows_back(inventory, saved, back, retired)
        lines = [item for item in back if item.line and item.entry.id not in retired]
        _add_rows(inventory, saved, [item for item in lines if _digest(item.line) not in present], execution)
        ids = [item.entry.id for item in back]
        note_brought_back(inventory.location.state_directory / RETIRED / saved.run, ids)
        _note_restored(saved, ids)
    except OSError as error:
        reason = f"{error.filename or saved.directory}: {error.strerror}"
        raise MaintenanceError(f"{reason}; no row was restored") from None
    return results


def _with_their_files(results: Iterable[Restored]) -> list[Restored]:
    """An item that shares the file of one that can't come back can't either: its row would name no file."""
    found = list(results)
    problems = {result.item.path: result.problem for result in found if result.problem is not None}
    return [replace(result, problem=result.problem or problems.get(result.item.path)) for result in found]


def _bring_rows_back(
    inventory: Inventory, saved: SavedRun, items: Sequence[TrashedItem], retired: Mapping[str, int]
) -> None:
    back = sorted((item.saved, retired[item.entry.id]) for item in items if item.entry.id in retired)
    if back:
        places, rows = np.array(back, np.int64).T
        bring_back(inventory, saved.directory, rows, np.ascontiguousarray(places))


def _move_files_back(location: CacheLocation, saved: SavedRun, items: Sequence[TrashedItem]) -> Iterator[Restored]:
    numbers = {os.fsencode(root): number for number, root in enumerate(location.audio_roots)}
    with Folders(location) as folders:
        for item in items:
            if not item.entry.file:
                yield Restored(item)
                continue
            root = numbers.get(saved.roots[item.entry.root])
            if root is None:
                yield Restored(item, "its audio root is no longer configured")
            else:
                yield Restored(item, _move_back(item.entry, root, folders, saved.run))


def _move_back(entry: ManifestEntry, root: int, folders: Folders, run: str) -> str | None:
    """Why a file can't go back to its place, or None when it is there."""
    *parts, name = entry.file.split("/")
    expected = FileIdentity(0, entry.inode, entry.size, entry.mtime_ns)
    try:
        place = folders.descriptor(root, tuple(parts))
        if look_again(place, name, expected) is None:
            return None
        source = open_state_directory(folders.roots[root].path, TRASH, run)
        try:
            if look_again(source, entry.name, expected) is not None:
                return "its file is no longer in the trash"
            rename_to_free_name((source, entry.name), (place, name))
        finally:
            os.close(source)
    except FileExistsError:
        return "another file has its name now"
    except OSError as error:
        return f"{entry.file}: {error.strerror or error}"
    return None


def _add_rows(inventory: Inventory, saved: SavedRun, items: Sequence[TrashedItem], execution: Execution) -> None:
    rows = sorted(item.saved for item in items)
    if not rows:
        return
    added = Addition(saved.directory, saved.offset, np.array(rows, np.int64))
    everything = np.ones(len(inventory.rows), np.bool_)
    rewrite_index(inventory.location, changes_of(inventory, everything, added), execution)


def _digests(meta: Path) -> set[bytes]:
    with meta.open("rb", buffering=0) as file:
        return {_digest(line) for _, block in iter_blocks(file) for line in _split(block)}


def _split(lines: bytes) -> list[bytes]:
    """Lines with their ends; not `splitlines`, for which there are more ends than the writer's one."""
    return [line + b"\n" for line in lines.removesuffix(b"\n").split(b"\n")]


def _digest(line: bytes) -> bytes:
    return hashlib.blake2b(line.rstrip(b"\r\n"), digest_size=16).digest()


def _note_restored(saved: SavedRun, ids: Sequence[str]) -> None:
    restored = saved.restored.union(ids)
    if all(item.entry.id in restored for item in saved.items):
        remove_run(saved.directory)
    else:
        write_durably(saved.directory / _RESTORED, encode_own(sorted(restored)))


def _read_restored(path: Path) -> frozenset[str]:
    try:
        return frozenset(decode_own(path.read_bytes(), set[str]))
    except FileNotFoundError:
        return frozenset()
    except ValueError as error:
        raise StateUnreadableError(f"{path} isn't what was written there: {error}; move it away to go on") from None
