"""What an exchange of index files is about, written down before it happens; and what was found of it later.

The exchange has a directory in the cache's state directory. Before it, that holds the new files; after it, under the
same names, the old ones, which a generator that had opened them may still be writing. If they have to be merged with
what it wrote since, that is an exchange of its own: a further generation of files, in a directory below the first,
while the old files of the earlier ones are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.errors import InconsistentIndexError
from audio_cache_daemon.eviction.directories import write_durably
from audio_cache_daemon.formats import identify
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, CacheLocation
from audio_cache_daemon.model import FileIdentity, Ints
from audio_cache_daemon.own_files import decode_own, is_plain_name

REWRITE = "rewrite"
"""Our directory, in the cache's state directory, for a run that isn't through."""

SAVED = "saved"
"""Manifest, rows and vectors of a run, in the directory of its rewrite until the index was exchanged."""

EXCHANGE_ORDER = (*reversed(ARRAY_NAMES), META_NAME)
"""Against the writer's. So of one addition at most one array is loaded before its exchange and saved after it."""

_JOURNAL = "journal.json"
_PIECE_BYTES = 3 * 8


class Source(IntEnum):
    """Where rows of a new array are from: the old one, the array of additions beside it, or nowhere."""

    OLD = 0
    BESIDE = 1
    ZEROS = 2


class FileExchange(msgspec.Struct, frozen=True):
    """One file of the index: what it was, what is to take its place, and whether the old one is kept for good.

    Of an array: its rows before and after, the first row at which the two differ (one of them may not have it; -1:
    none), and the runs of rows of which the new one consists, as bytes of int64 triples (Source, start, end).
    `merged` says for the same file of each earlier generation how much of it (bytes, or rows) is in the new one: what
    is beyond was appended since. -1: it couldn't be read.
    """

    name: str
    old: FileIdentity
    new: FileIdentity
    keep_old: bool
    old_rows: int = 0
    new_rows: int = 0
    probe: int = -1
    pieces: bytes = b""
    merged: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in EXCHANGE_ORDER:
            raise ValueError(f"{self.name!r} is no file of an index")
        runs = self.runs() if len(self.pieces) % _PIECE_BYTES == 0 else None
        if min(self.old_rows, self.new_rows) < 0 or runs is None or (runs < 0).any() or (runs[:, 1] > runs[:, 2]).any():
            raise ValueError(f"rows of {self.name} that can't be")

    def runs(self) -> Ints:
        """The pieces as an array of triples."""
        return np.frombuffer(self.pieces, np.int64).reshape(-1, 3)


class Journal(msgspec.Struct, frozen=True):
    """A run that changes the cache: whether its files go to the trash, and in which order the index is exchanged.

    `roots` are the audio roots that its manifest counts, as bytes: a path need not be text.
    """

    version: Literal[1]
    run: str
    to_trash: bool
    roots: tuple[bytes, ...]
    files: tuple[FileExchange, ...]

    def __post_init__(self) -> None:
        names = [file.name for file in self.files]
        if not is_plain_name(self.run):
            raise ValueError(f"{self.run!r} is no name of a run")
        if names and (META_NAME not in names or len(set(names)) < len(names)):
            raise ValueError("not one of each file of an index")


class Generation(msgspec.Struct, frozen=True):
    """One exchange: its journal, and the directory that holds it and our half of the files."""

    directory: Path
    journal: Journal

    def is_pending(self, file: FileExchange) -> bool:
        """Whether a file is still to be exchanged; InconsistentIndexError when ours is neither the new nor the old.

        By its number, for nobody but us gives files names here: what the writer writes doesn't matter.
        """
        found = identity_of(self.directory / file.name)
        if found is None and file.keep_old:
            return False
        if found is None or found.inode not in (file.old.inode, file.new.inode):
            raise InconsistentIndexError(
                f"{self.directory / file.name} is not the file that run {self.journal.run} left there: was the cache "
                "copied or restored? Nothing was changed: compare it with the index, then remove the directory"
            )
        return found.inode == file.new.inode

    def pending(self) -> tuple[FileExchange, ...]:
        """The files that are still to be exchanged."""
        return tuple(file for file in self.journal.files if self.is_pending(file))


def rewrite_directory(location: CacheLocation, generation: int = 0) -> Path:
    """The directory of an exchange."""
    first = location.state_directory / REWRITE
    return first / f"merge-{generation}" if generation else first


def write_journal(directory: Path, journal: Journal) -> None:
    """Write a journal down, flushed: from now on what is in the directory counts."""
    write_durably(directory / _JOURNAL, msgspec.json.encode(journal))


def journal_path(directory: Path) -> Path:
    """Where a journal is, if there is one."""
    return directory / _JOURNAL


def read_journal(location: CacheLocation) -> Journal | None:
    """The journal of a rewrite that isn't through, if there is one; InconsistentIndexError if it can't be read."""
    return _read(rewrite_directory(location))


def read_generations(location: CacheLocation) -> list[Generation]:
    """All exchanges that aren't through, in their order."""
    return list(_iter_generations(location))


def _iter_generations(location: CacheLocation) -> Iterator[Generation]:
    number = 0
    while (journal := _read(directory := rewrite_directory(location, number))) is not None:
        yield Generation(directory, journal)
        number += 1


def _read(directory: Path) -> Journal | None:
    path = directory / _JOURNAL
    try:
        return decode_own(path.read_bytes(), Journal)
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise InconsistentIndexError(
            f"{path} can't be read: {error}; look at its directory before anything is changed"
        ) from None


def is_same(found: FileIdentity | None, known: FileIdentity) -> bool:
    """Whether it is the same file, unchanged; device numbers needn't be the same after a restart."""
    return found is not None and replace(found, device=known.device) == known


def identity_of(path: Path) -> FileIdentity | None:
    """The identity of a file, or None when it isn't there."""
    try:
        return identify(path.lstat())
    except FileNotFoundError:
        return None
