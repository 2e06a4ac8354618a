"""The audio files that a listing found, as columns in which one can be looked up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from audio_cache_daemon.cache.listing import COLUMNS, Listing
from audio_cache_daemon.columns import parts
from audio_cache_daemon.model import Bools, Ints
from audio_cache_daemon.paths import Folder


class Files(msgspec.Struct, frozen=True):
    """What is known of files, as in Listing: `key` names one, `folder` is the number of its directory in the walk."""

    key: Ints
    size: Ints
    inode: Ints
    mtime_ns: Ints
    folder: NDArray[np.int32]

    @classmethod
    def of(cls, columns: Iterable[NDArray[Any]]) -> Self:
        """Files of parallel columns, in the order of Listing."""
        key, size, inode, mtime_ns, folder = columns
        return cls(key, size, inode, mtime_ns, folder.astype(np.int32, copy=False))

    def __len__(self) -> int:
        return len(self.key)

    def columns(self) -> Iterator[NDArray[np.integer]]:
        """The columns, in the order of Listing."""
        return (getattr(self, name) for name in COLUMNS)

    def pick(self, chosen: Ints | Bools | slice) -> Files:
        """Those that are chosen."""
        return Files.of(column[chosen] for column in self.columns())


class Walk(msgspec.Struct, frozen=True):
    """The audio files below the roots in ascending order of their keys, the folders, and what couldn't be listed."""

    files: Files
    folders: tuple[Folder, ...]
    unlisted: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, listing: Listing) -> Self:
        """The files of a listing."""
        return cls(in_order(listing), listing.folders, listing.unlisted)

    @classmethod
    def nowhere(cls) -> Self:
        """One that looked at nothing."""
        return cls(Files.of(np.empty(0, code) for code in COLUMNS.values()), ())

    def without_identities(self) -> Walk:
        """The same files, of which neither inode nor time is known any more."""
        nothing = np.broadcast_to(np.int64(0), len(self.files))
        return replace(self, files=replace(self.files, inode=nothing, mtime_ns=nothing))

    def without_status(self) -> tuple[Walk, list[Ints]]:
        """The same without what `stat` told, and that apart: sizes, inodes and times."""
        files, nothing = self.files, np.empty(0, np.int64)
        names = Files(files.key, nothing, nothing, nothing, files.folder)
        return replace(self, files=names), [files.size, files.inode, files.mtime_ns]

    def find(self, keys: Ints) -> tuple[NDArray[np.int32], Bools]:
        """Where the files of these keys are in `files` (the first of one key), and whether they are there at all."""
        known = self.files.key
        places = np.zeros(len(keys), np.int32)
        there = np.zeros(len(keys), np.bool_)
        for some in parts(len(keys) if len(known) else 0):
            # To search in ascending order takes a third of the time, the sorting included.
            order = np.argsort(keys[some])
            found = np.searchsorted(known, keys[some][order])
            found[found == len(known)] = 0
            places[some][order] = found
            there[some] = known[places[some]] == keys[some]
        return places, there

    def mark(self, places: NDArray[np.integer]) -> Bools:
        """Which of the files are those at these places, or have the key of one of them."""
        marked = np.zeros(len(self.files), np.bool_)
        marked[places] = True
        keys = self.files.key
        for again in (np.flatnonzero(keys[1:] == keys[:-1]) + 1).tolist():
            marked[again] |= marked[again - 1]
        return marked

    def mark_keys(self, keys: Ints) -> Bools:
        """Which of the files have one of these keys."""
        places, there = self.find(keys)
        return self.mark(places[there])


def in_order(listing: Listing) -> Files:
    """The files of a listing in ascending order of their keys; its own columns are put into that order."""
    columns = [np.frombuffer(column, code) for column, code in zip(listing.columns, COLUMNS.values(), strict=True)]
    order = np.argsort(columns[0], kind="stable")
    for column in columns:
        column[:] = column[order]
    return Files.of(columns)
