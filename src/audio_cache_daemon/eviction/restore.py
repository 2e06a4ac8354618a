"""Evicted items brought back from the trash: their files first, then rows and vectors as one transaction.

A file that came back without its row, after a crash, is an orphan too young to be evicted; restoring once more
takes it up. What was restored is noted in the run's directory, and the run leaves the trash with its last item.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from audio_cache_daemon.errors import ConfigError, MaintenanceError
from audio_cache_daemon.eviction.directories import create_file, make_state_directory, write_durably
from audio_cache_daemon.eviction.exchange import rename_to_free_name
from audio_cache_daemon.eviction.execution import TRASH, Execution
from audio_cache_daemon.eviction.removal import look_again
from audio_cache_daemon.eviction.rewrite import REWRITE, Addition, exchange_index, finish_rewrite, prepare_rewrite
from audio_cache_daemon.formats import decode_row, iter_blocks
from audio_cache_daemon.location import META_NAME, STATE_DIRECTORY
from audio_cache_daemon.manifest import MANIFEST_NAME, ROWS_NAME, ManifestEntry, read_manifest, read_note
from audio_cache_daemon.model import FileIdentity, Inventory
from audio_cache_daemon.paths import Folders

_RESTORED = "restored.json"


@dataclass(frozen=True, slots=True)
class TrashedItem:
    """One entry of a run: its place in the manifest, its saved line (b"" for a file without a row), and its path."""

    place: int
    entry: ManifestEntry
    line: bytes
    path: str


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of an item that was to come back; `problem` says why it didn't, or is None."""

    item: TrashedItem
    problem: str | None = None


def read_items(inventory: Inventory, run: str) -> list[TrashedItem]:
    """What is in the trash of a run; ConfigError when there is no such run."""
    directory = inventory.location.state_directory / TRASH / run
    try:
        entries = list(read_manifest(directory / MANIFEST_NAME))
        lines = iter(_split((directory / ROWS_NAME).read_bytes()) if any(entry.row >= 0 for entry in entries) else [])
        restored = _read_restored(directory)
    except FileNotFoundError:
        raise ConfigError(f"{inventory.location.path} has no run {run} in its trash") from None
    items = []
    for place, entry in enumerate(entries):
        line = next(lines) if entry.row >= 0 else b""
        row, _ = decode_row(line) if line else (None, [])
        items.append(TrashedItem(place, entry, line, row.path or "" if row is not None else entry.file))
    return [item for item in items if item.entry.id not in restored]


def choose_items(items: Sequence[TrashedItem], wanted: Collection[str]) -> list[TrashedItem]:
    """The items of these ids, paths or file names (all if none is given), with those that share their files."""
    if not wanted:
        return list(items)
    paths = {item.path for item in items if {item.entry.id, item.path, item.path.rpartition("/")[2]} & set(wanted)}
    return [item for item in items if item.path in paths]


def restore_items(inventory: Inventory, run: str, items: Sequence[TrashedItem], execution: Execution) -> list[Restored]:
    """Bring items of a run back. The generator must be stopped, and rows and vectors be known to match.

    An item whose place is taken, or whose file left the trash, stays in the trash and says so. MaintenanceError
    when the index can't be rewritten: then no row came back.
    """
    directory = inventory.location.state_directory / TRASH / run
    try:
        results = list(_move_files_back(inventory, run, items))
        back = [result.item for result in results if result.problem is None]
        _add_rows(inventory, directory, [item for item in back if item.line], execution)
        _note_restored(directory, [item.entry.id for item in back])
    except OSError as error:
        raise MaintenanceError(f"{error.filename or directory}: {error.strerror}; no row was restored") from None
    return results


def _move_files_back(inventory: Inventory, run: str, items: Sequence[TrashedItem]) -> Iterator[Restored]:
    roots = read_note(inventory.location.state_directory / TRASH / run).roots
    numbers = {os.fsencode(root): number for number, root in enumerate(inventory.location.audio_roots)}
    with Folders(inventory.location) as folders:
        for item in items:
            root = numbers.get(roots[item.entry.root]) if item.entry.root >= 0 else None
            if not item.entry.file:
                yield Restored(item)
            elif root is None:
                yield Restored(item, "its audio root is no longer configured")
            else:
                yield Restored(item, _move_back(item.entry, root, folders, run))


def _move_back(entry: ManifestEntry, root: int, folders: Folders, run: str) -> str | None:
    """Why a file can't go back to its place, or None when it is there."""
    *parts, name = entry.file.split("/")
    expected = FileIdentity(0, entry.inode, entry.size, entry.mtime_ns)
    trash = folders.roots[root].path / STATE_DIRECTORY / TRASH / run
    try:
        place = folders.descriptor(root, tuple(parts))
        if look_again(place, name, expected) is None:
            return None
        source = os.open(trash, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
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


def _add_rows(inventory: Inventory, directory: Path, items: Sequence[TrashedItem], execution: Execution) -> None:
    present = _digests(inventory.location.path / META_NAME)
    lines = _split((directory / ROWS_NAME).read_bytes()) if items else []
    entries = [entry for entry in read_manifest(directory / MANIFEST_NAME) if entry.row >= 0] if items else []
    places = {(entry.id, entry.row): number for number, entry in enumerate(entries)}
    rows = sorted(places[item.entry.id, item.entry.row] for item in items if _digest(item.line) not in present)
    if not rows:
        return
    offset = np.cumsum([0, *map(len, lines)], dtype=np.int64)
    # Recovery reads a manifest of what goes; of a restoration nothing does.
    create_file(make_state_directory(inventory.location.path, REWRITE, "saved") / MANIFEST_NAME).close()
    added = Addition(directory, offset, np.array(rows, np.int64))
    journal = prepare_rewrite(inventory, np.ones(len(inventory.rows), np.bool_), execution, added)
    exchange_index(inventory.location, journal)
    finish_rewrite(inventory.location)


def _digests(meta: Path) -> set[bytes]:
    with meta.open("rb", buffering=0) as file:
        return {_digest(line) for _, block in iter_blocks(file) for line in _split(block)}


def _split(lines: bytes) -> list[bytes]:
    """Lines with their ends; not `splitlines`, for which there are more ends than the writer's one."""
    return [line + b"\n" for line in lines.removesuffix(b"\n").split(b"\n")]


def _digest(line: bytes) -> bytes:
    return hashlib.blake2b(line.rstrip(b"\r\n"), digest_size=16).digest()


def _note_restored(directory: Path, ids: list[str]) -> None:
    restored = _read_restored(directory) | set(ids)
    if all(entry.id in restored for entry in read_manifest(directory / MANIFEST_NAME)):
        shutil.rmtree(directory)
    else:
        write_durably(directory / _RESTORED, msgspec.json.encode(sorted(restored)))


def _read_restored(directory: Path) -> set[str]:
    try:
        return msgspec.json.decode((directory / _RESTORED).read_bytes(), type=set[str])
    except FileNotFoundError:
        return set()
