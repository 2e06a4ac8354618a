"""What the trash holds of a run, read item by item: its manifest, and the rows as they were."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from itertools import compress
from pathlib import Path

import msgspec
import numpy as np

from audio_cache_daemon.columns import iter_rows
from audio_cache_daemon.errors import MaintenanceError, StateUnreadableError, about
from audio_cache_daemon.eviction.trash import find_run, list_pending, list_trash
from audio_cache_daemon.formats import decode_row, read_lines
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.manifest import MANIFEST_NAME, ROWS_NAME, ManifestEntry, read_manifest, read_note
from audio_cache_daemon.model import Bools, Ints
from audio_cache_daemon.retired import RESTORED_NAME, read_restored


class TrashedItem(msgspec.Struct, frozen=True):
    """One entry of a run: its saved line (b"" for a file without a row), and its path."""

    entry: ManifestEntry
    line: bytes
    path: str

    @property
    def prompt(self) -> str | None:
        row, _ = decode_row(self.line)
        return row.prompt if row is not None else None


class SavedRun(msgspec.Struct, frozen=True):
    """A run in the trash, whose items are read from there each time: a million of them would take a gigabyte.

    `roots` are its audio roots, as bytes; `left` says of each item, in the order of the manifest, whether it is still
    to be brought back, `line` which of the saved lines it has (-1: none), whose byte offsets are `offset`.
    """

    directory: Path
    roots: tuple[bytes, ...]
    left: Bools
    line: Ints
    offset: Ints

    @property
    def run(self) -> str:
        return self.directory.name

    def items(self, which: Bools) -> Iterator[TrashedItem]:
        """These of the items, in order; MaintenanceError when what was written down of them can't be read."""
        lines = self.line[which]
        saved = _iter_lines(self.directory / ROWS_NAME, self.offset, lines[lines >= 0])
        try:
            entries = compress(read_manifest(self.directory / MANIFEST_NAME, len(self.roots)), which)
            for entry, (line,) in zip(entries, iter_rows(lines), strict=True):
                yield _as_item(entry, line, next(saved) if line >= 0 else b"")
        except OSError as error:
            raise _unreadable(self.directory, error) from None


def read_run(location: CacheLocation, run: str) -> SavedRun:
    """What is in the trash of a run; ConfigError when there is no such run.

    MaintenanceError when what was written down of it can't be read: then nothing is done by it.
    """
    directory = find_run(location, run)
    try:
        roots = read_note(directory).roots
        restored = read_restored(directory)
        entries = read_manifest(directory / MANIFEST_NAME, len(roots))
        told = ((entry.id not in restored, entry.row >= 0) for entry in entries)
        left, has_row = np.fromiter(told, np.dtype((np.bool_, 2))).T
        offset = _offsets(directory / ROWS_NAME) if has_row.any() else np.zeros(1, np.int64)
    except OSError as error:
        raise _unreadable(directory, error) from None
    except ValueError as error:
        where = directory / RESTORED_NAME
        raise StateUnreadableError(f"{where} isn't what was written there: {error}; move it away to go on") from None
    line = np.where(has_row, np.cumsum(has_row) - 1, -1)
    if len(offset) - 1 != np.count_nonzero(has_row):
        raise StateUnreadableError(
            f"{directory / ROWS_NAME} has {len(offset) - 1} rows, and the manifest beside it others"
        )
    saved = SavedRun(directory, roots, left.copy(), line, offset)
    # Once, so that nothing is begun that can't be ended.
    deque(saved.items(saved.left), maxlen=0)
    return saved


def _unreadable(directory: Path, error: OSError) -> MaintenanceError:
    return MaintenanceError(f"{about(error, directory)}: {error.strerror}; run {directory.name} can't be restored")


def _offsets(path: Path) -> Ints:
    """The byte offsets of lines, and the end of the last one, which may lack its end."""
    with path.open("rb") as file:
        lengths = np.fromiter((len(line.removesuffix(b"\n")) + 1 for line in file), np.int64)
    return np.concatenate([[0], np.cumsum(lengths)])


def _iter_lines(path: Path, offset: Ints, numbers: Ints) -> Iterator[bytes]:
    """These of the lines, with their ends."""
    if len(numbers):
        with path.open("rb", buffering=0) as file:
            for line in read_lines(file.fileno(), offset, numbers):
                yield line.removesuffix(b"\n") + b"\n"


def _as_item(entry: ManifestEntry, number: int, line: bytes) -> TrashedItem:
    if number < 0:
        return TrashedItem(entry, b"", entry.file)
    row, _ = decode_row(line)
    if row is None:
        raise StateUnreadableError(f"line {number + 1} of {ROWS_NAME} is no row; nothing of its run can be restored")
    return TrashedItem(entry, line, row.path or "")


def choose_items(saved: SavedRun, wanted: Collection[str]) -> Bools:
    """The items of these ids, paths or file names (all if none is given), with those that share their files."""
    if not wanted:
        return saved.left
    names = set(wanted)
    paths = {
        item.path
        for item in saved.items(saved.left)
        if not names.isdisjoint((item.entry.id, item.path, item.path.rpartition("/")[2]))
    }
    chosen = np.zeros(len(saved.left), np.bool_)
    chosen[saved.left] = [item.path in paths for item in saved.items(saved.left)]
    return chosen


def find_saved(location: CacheLocation, name: str) -> dict[str, tuple[str, TrashedItem]]:
    """The items in the trash with this id, path, file name or prompt, by id, and the last run that has each."""
    found: dict[str, tuple[str, TrashedItem]] = {}
    for run in (*list_trash(location), *list_pending(location)):
        saved = read_run(location, run.run)
        for item in saved.items(saved.left):
            names = (item.entry.id, item.path, item.path.rpartition("/")[2], item.prompt)
            if name in names:
                found[item.entry.id] = (run.run, item)
    return found
