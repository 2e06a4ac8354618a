"""Which items were retired: what the runs that retired them wrote down, in `retired/<run>` of the state directory.

A retired item is still a row of the index, with zeros for vectors, so that the generator can't find it and no row
moves. Whether its line is still there, and its file still in its place, is told by the disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.columns import iter_rows
from audio_cache_daemon.errors import InconsistentIndexError
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.manifest import (
    MANIFEST_NAME,
    RETIRED,
    ROWS_NAME,
    ManifestEntry,
    RunNote,
    read_manifest,
    read_note,
)
from audio_cache_daemon.model import FileIdentity
from audio_cache_daemon.own_files import decode_own, own_subdirectories

MARK_NAME = "writer.json"
VERIFIED_NAME = "verified.json"
RESTORED_NAME = "restored.json"
UNFINISHED = ".new"
"""Ends the name of a directory that isn't whole yet: what it says was not done."""


_ITEM = np.dtype(
    [
        ("place", np.int32),
        ("row", np.int64),
        ("size", np.int64),
        ("inode", np.int64),
        ("mtime_ns", np.int64),
        ("root", np.int32),
        ("has_file", np.bool_),
    ]
)


class WriterMark(msgspec.Struct, frozen=True):
    """What was known of the generator right after a retirement was on the disk; its file may go when that changed.

    `started` names the generator's last start (None: not known), `rows` the rows that all of the index had (None: an
    addition was in flight).
    """

    version: Literal[1]
    started: str | None = None
    rows: int | None = None


class RetiredRun(msgspec.Struct, frozen=True):
    """What one run retired and that wasn't brought back: a directory with manifest, rows and vectors.

    `columns` tell of each item its `place` in the manifest, by which the saved vectors go too, the `row` of the index
    in which it was, and `root`, `size`, `inode` and `mtime_ns` of its file, if it `has_file`.
    """

    directory: Path
    note: RunNote
    mark: WriterMark | None
    columns: NDArray[Any]

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def run(self) -> str:
        return self.directory.name

    def items(self) -> Iterator[tuple[ManifestEntry, bytes]]:
        """What the manifest says of each item, and its line, without its end; both are read from there each time."""
        every = enumerate(_read_items(self.directory, len(self.note.roots)))
        for (wanted,) in iter_rows(self.columns["place"]):
            for place, item in every:
                if place == wanted:
                    yield item
                    break

    def entries(self) -> Iterator[ManifestEntry]:
        return (entry for entry, _ in self.items())


def load_retired(location: CacheLocation) -> tuple[RetiredRun, ...]:
    """The runs of which something is still retired, by name; InconsistentIndexError when one can't be read."""
    directories = own_subdirectories(location.state_directory, RETIRED)
    return tuple(_load(directory) for directory in directories if not directory.name.endswith(UNFINISHED))


def holds_retired(location: CacheLocation) -> bool:
    """Whether any run is there of which something is, or will be, retired."""
    return bool(own_subdirectories(location.state_directory, RETIRED))


def places_of(runs: Iterable[RetiredRun]) -> Iterator[tuple[RetiredRun, slice]]:
    """Each run, and where its entries are among those of all these runs."""
    first = 0
    for run in runs:
        yield run, slice(first, first + len(run))
        first += len(run)


def load_verified(location: CacheLocation) -> dict[str, FileIdentity]:
    """The arrays in which all retired rows were seen to be zero, as they were then; empty when that isn't known."""
    path = location.state_directory / RETIRED / VERIFIED_NAME
    try:
        return decode_own(path.read_bytes(), dict[str, FileIdentity])
    except (OSError, ValueError):
        return {}


def read_restored(directory: Path) -> frozenset[str]:
    """The ids of a run's items that were brought back; OSError or ValueError when that can't be read."""
    try:
        return frozenset(decode_own((directory / RESTORED_NAME).read_bytes(), set[str]))
    except FileNotFoundError:
        return frozenset()


def _load(directory: Path) -> RetiredRun:
    try:
        note, restored, mark = read_note(directory), read_restored(directory), _read_mark(directory)
    except (OSError, ValueError) as error:
        raise _unreadable(directory, error) from None
    told = (
        (place, entry.row, entry.size, entry.inode, entry.mtime_ns, entry.root if entry.file else -1, entry.file != "")
        for place, (entry, _) in enumerate(_read_items(directory, len(note.roots)))
        if entry.id not in restored
    )
    return RetiredRun(directory, note, mark, np.fromiter(told, _ITEM))


def _read_items(directory: Path, roots: int) -> Iterator[tuple[ManifestEntry, bytes]]:
    try:
        with (directory / ROWS_NAME).open("rb") as rows:
            lines = (line.removesuffix(b"\n") for line in rows)
            yield from zip(read_manifest(directory / MANIFEST_NAME, roots), lines, strict=True)
    except (OSError, ValueError) as error:
        raise _unreadable(directory, error) from None


def _unreadable(directory: Path, error: Exception) -> InconsistentIndexError:
    return InconsistentIndexError(
        f"{directory} can't be read: {error}; it says which items are retired and where their files are, so "
        "nothing is changed without it: mend it, or move it away to let its items be"
    )


def _read_mark(directory: Path) -> WriterMark | None:
    try:
        return decode_own((directory / MARK_NAME).read_bytes(), WriterMark)
    except FileNotFoundError:
        return None
