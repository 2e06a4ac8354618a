"""The audio files that rows name: which ones they mean, and what the walk over the roots found of them."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.cache.hashes import Hashes
from audio_cache_daemon.cache.listing import is_plain_file
from audio_cache_daemon.cache.walk import Walk
from audio_cache_daemon.columns import are_among, parts
from audio_cache_daemon.formats import Row, decode_row, read_lines
from audio_cache_daemon.location import AUDIO_SUFFIXES, is_audio_name
from audio_cache_daemon.model import Bools, Ints, ItemState
from audio_cache_daemon.paths import Folder, Folders, PathResolver, file_key, link_target

NAMED = np.dtype([("key", np.int64), ("folder", np.int32)])
"""Which file a row names: its key (paths.file_key) and the number of its folder; -1 where it can't be decided."""


class FoundFiles(msgspec.Struct, frozen=True):
    """What is known of the rows' files; size -1 where there is none, root and number -1 where it can't be decided.

    `number` tells apart the files that are named, there or not: rows that name one file have one number.
    """

    state: NDArray[np.uint8]
    number: NDArray[np.int32]
    root: NDArray[np.int8]
    size: Ints
    inode: Ints
    mtime_ns: Ints


_QUOTE = re.compile(rb'(?<!\\)"')
_SUFFIX = re.compile(b"|".join(re.escape(suffix.encode()) for suffix in AUDIO_SUFFIXES), re.IGNORECASE)

_GROUPED_AT_ONCE = 2**17
"""So many keys are sorted at once: that takes 40 bytes of each."""

_LONGEST_NAME = 1530
"""Bytes of a file name in JSON: 255 bytes, each of which may be written as an escape of six characters."""

_NOT_THERE = "not there"


class FileNames:
    """Resolves the paths of rows. Counts why some can't be resolved, and remembers by which names rows call them."""

    def __init__(self, resolver: PathResolver) -> None:
        self._resolver = resolver
        self._directories: dict[str, tuple[int, int]] = {}
        self.folders: list[Folder] = []
        self.problems: Counter[str] = Counter()
        self.unresolved_names = Hashes()
        """Hashes of the names in paths that can't be resolved: a file of such a name may be the one that is meant."""

    def fork(self) -> FileNames:
        """One that knows the same names, and can come to know others."""
        other = FileNames(self._resolver)
        other._directories, other.folders = dict(self._directories), [*self.folders]
        other.problems, other.unresolved_names = Counter(self.problems), self.unresolved_names.fork()
        return other

    def resolve(self, rows: Sequence[Row | None]) -> NDArray[np.void]:
        """An array of NAMED, one entry a row."""
        return np.fromiter(self._resolve_each(rows), NAMED, len(rows))

    def _resolve_each(self, rows: Sequence[Row | None]) -> Iterator[tuple[int, int]]:
        # One of the hot loops of a scan: what is the same for all files of a directory is worked out once.
        directories = self._directories
        for row in rows:
            directory, _, name = (row.path or "" if row is not None else "").rpartition("/")
            known = directories.get(directory)
            if known is not None and name.endswith(AUDIO_SUFFIXES):
                yield hash(name) ^ known[0], known[1]
            else:
                yield self._resolve(row)

    def _resolve(self, row: Row | None) -> tuple[int, int]:
        if row is None:
            return 0, -1
        if row.path is None:
            return self._undecidable("a row without a path", "")
        folder, name = self._resolver.split(row.path)
        if folder.problem is not None:
            self.note_link(self._resolver.locate(row.path))
            return self._undecidable(folder.problem, name)
        if not is_audio_name(name):
            return self._undecidable("a path without an audio suffix", name)
        directory = row.path.rpartition("/")[0]
        if not directory:
            # "/x.wav" and "x.wav" have the same, empty directory part.
            self.folders.append(folder)
            return file_key(folder, name), len(self.folders) - 1
        known = self._directories.get(directory)
        if known is None:
            known = self._directories[directory] = (folder.key, len(self.folders))
            self.folders.append(folder)
        return file_key(folder, name), known[1]

    def note(self, problem: str, name: str) -> None:
        """Note that the file that a row calls `name` can't be decided, and why."""
        self.problems[problem] += 1
        self.unresolved_names.add(hash(name))

    def note_link(self, path: str | None) -> None:
        """Note that what a link leads to, if a row's undecidable path is one, is meant by that row too."""
        target = link_target(path) if path is not None else None
        if target is not None:
            self.unresolved_names.add(hash(target.rpartition("/")[2]))

    def note_line(self, line: bytes) -> None:
        """Note the audio files that a line names which is no row: they may be meant."""
        self.unresolved_names.update(map(hash, names_in(line)))

    def called(self, keys: Ints, folder: NDArray[np.int32], hashes: Ints) -> Bools:
        """Which rows name a file by a name of one of these hashes (ascending), of all rows that `resolve` was given."""
        # A key holds the name, mixed with the folder's key.
        of_folder = np.array([known.key for known in self.folders] + [0], np.int64)
        found = np.zeros(len(keys), np.bool_)
        for some in parts(len(keys) if len(hashes) else 0):
            found[some] = are_among(keys[some] ^ of_folder[folder[some]], hashes) & (folder[some] >= 0)
        return found

    def _undecidable(self, problem: str, name: str) -> tuple[int, int]:
        self.note(problem, name)
        return 0, -1


class NoNames(FileNames):
    """Resolves nothing: which file a row names isn't decided for any of them."""

    def resolve(self, rows: Sequence[Row | None]) -> NDArray[np.void]:
        """An array of NAMED, one entry a row."""
        named = np.zeros(len(rows), NAMED)
        named["folder"] = -1
        return named


class FileFinder:
    """Tells of the files that rows name what a walk found; what it didn't find is looked for once more, by itself."""

    def __init__(self, names: FileNames, walk: Walk, folders: Folders, meta: int) -> None:
        self._names = names
        self.walk = walk
        self._folders = folders
        self._meta = meta
        self.named: Bools = np.zeros(len(walk.files), np.bool_)
        """Which of the walk's files the rows name that were looked for."""

    def find(self, keys: Ints, folder: NDArray[np.int32], offset: Ints) -> FoundFiles:
        """What is known of the file of each row; `offset` are the byte offsets of the rows. To be asked once.

        Afterwards the walk knows no sizes, inodes and times any more: of a million files those take 24 MB.
        """
        places, there = self.walk.find(keys)
        self.named = self.walk.mark(places[there])
        there &= folder >= 0
        there[there] = self.walk.files.size[places[there]] >= 0
        self.walk, columns = self.walk.without_status()
        mtime_ns, inode, size = (_take(columns.pop(), places, there) for _ in range(3))
        size[~there] = -1
        state = np.where(there, np.uint8(ItemState.OK), np.uint8(ItemState.UNDECIDABLE))
        found = FoundFiles(state, places, roots_of(self._names.folders, folder), size, inode, mtime_ns)
        # The writer may have made the file after the walk, so that a file only is missing when it is looked for.
        self._look_at_each(found, folder, np.flatnonzero((folder >= 0) & ~there), offset)
        found.root[found.state == ItemState.UNDECIDABLE] = -1
        self._number_others(found.number, keys, there, found.root >= 0)
        return found

    def _number_others(self, number: NDArray[np.int32], keys: Ints, there: Bools, known: Bools) -> None:
        """A file that the walk found has its place in it as its number; the others get those behind."""
        others = np.flatnonzero(~there)
        numbers = number_groups(keys[others], known[others])
        number[others] = np.where(numbers >= 0, numbers + len(self.walk.files), -1)

    def unresolved(self, elsewhere: Ints) -> Ints:
        """Hashes, ascending, of the names in undecidable rows, of this cache and `elsewhere`.

        A file of such a name may be meant. To be asked after `find`, which comes to know of some of them.
        """
        names = np.concatenate([self._names.unresolved_names.column(), elsewhere])
        names.sort()
        return names

    def _look_at_each(self, found: FoundFiles, folder: NDArray[np.int32], rows: Ints, offset: Ints) -> None:
        here, problem = -1, None
        numbers = folder[rows].tolist()
        for row, number, line in zip(rows.tolist(), numbers, read_lines(self._meta, offset, rows), strict=True):
            known = self._names.folders[number]
            if number != here:
                here, problem = number, self._try_to_enter(known)
            decoded, _ = decode_row(line)
            name = (decoded.path or "" if decoded is not None else "").rpartition("/")[2]
            if problem is None:
                found.state[row], found.size[row], found.inode[row], found.mtime_ns[row] = self._look_at(known, name)
            elif problem == _NOT_THERE:
                found.state[row] = ItemState.MISSING
            else:
                self._names.note_link(_spell(known, name))
                self._names.note(problem, name)

    def _try_to_enter(self, folder: Folder) -> str | None:
        """Why a folder can't be entered, or None."""
        try:
            self._folders.descriptor(folder.root, folder.parts)
        except FileNotFoundError:
            return _NOT_THERE
        except NotADirectoryError:
            return "reached through a symbolic link or another mount"
        except (OSError, ValueError) as error:
            return f"can't be reached: {_reason(error)}"
        return None

    def _look_at(self, folder: Folder, name: str) -> tuple[int, int, int, int]:
        """State, size, inode and time of a file."""
        try:
            descriptor = self._folders.descriptor(folder.root, folder.parts)
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return ItemState.MISSING, -1, 0, 0
        except (OSError, ValueError) as error:
            self._names.note(f"can't be looked at: {_reason(error)}", name)
            return ItemState.UNDECIDABLE, -1, 0, 0
        if is_plain_file(status):
            return ItemState.OK, status.st_size, status.st_ino, status.st_mtime_ns
        self._names.note_link(_spell(folder, name))
        self._names.note("a symbolic link, no regular file, or one of impossible age", name)
        return ItemState.UNDECIDABLE, -1, 0, 0


def number_groups(keys: Ints, members: Bools) -> NDArray[np.int32]:
    """Number the distinct keys of the members from 0; -1 for the others."""
    numbers, known = np.full(len(keys), -1, np.int32), 0
    for places in _parts_by_key(keys, members):
        # By hand, since the first call of np.unique loads numpy.ma: 30 ms of a dry run.
        order = places[np.argsort(keys[places])]
        ordered = keys[order]
        numbers[order[:1]] = known
        numbers[order[1:]] = known + np.cumsum(ordered[1:] != ordered[:-1])
        if len(order):
            known = int(numbers[order[-1]]) + 1
    return numbers


def _parts_by_key(keys: Ints, members: Bools) -> Iterator[Ints]:
    """The places of the members in parts that hold all of a key: hashes, of which each range has about as many."""
    parts = 1 + len(keys) // _GROUPED_AT_ONCE
    bounds = [-(2**63) + number * 2**64 // parts for number in range(parts + 1)]
    for low, high in pairwise(bounds):
        yield np.flatnonzero(members & (keys >= low) & (keys <= high - 1))


def _take(column: Ints, places: NDArray[np.int32], there: Bools) -> Ints:
    """The values at these places; 0 where there is none."""
    if not len(column):
        return np.zeros(len(places), np.int64)
    values = column[places]
    values[~there] = 0
    return values


def roots_of(folders: Sequence[Folder], folder: NDArray[np.int32]) -> NDArray[np.int8]:
    """For the number of a folder that of its root; -1 for -1."""
    return np.array([known.root for known in folders] + [-1], np.int8)[folder]


def _spell(folder: Folder, name: str) -> str:
    return "/".join(("", *folder.real, *folder.parts, name))


def names_in(line: bytes) -> Iterator[str]:
    """The names of audio files in a line that is no row, as far as they can be made out."""
    for piece in _QUOTE.split(line) if _SUFFIX.search(line) else ():
        for match in _SUFFIX.finditer(piece):
            end = match.end()
            start = piece.rfind(b"/", max(0, end - _LONGEST_NAME), end) + 1
            if start or end <= _LONGEST_NAME:
                yield _name_from(piece[start:end])


def _name_from(text: bytes) -> str:
    if b"\\" in text:
        with suppress(ValueError):
            return str(json.loads(b'"%b"' % text))
    return text.decode("utf-8", "surrogateescape")


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "not a file name"
