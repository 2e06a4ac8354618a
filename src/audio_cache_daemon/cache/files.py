"""The audio files that rows name: what the walk over the roots found of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.cache.listing import is_plain_file
from audio_cache_daemon.cache.names import FileNames
from audio_cache_daemon.cache.walk import Walk
from audio_cache_daemon.formats import decode_row, read_lines
from audio_cache_daemon.model import Bools, Ints, ItemState
from audio_cache_daemon.paths import Folder, Folders, inode_of


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


_GROUPED_AT_ONCE = 2**17
"""So many keys are sorted at once: that takes 40 bytes of each."""

_NOT_THERE = "not there"

_NO_ROWS: Ints = np.empty(0, np.int64)


class FileFinder:
    """Tells of the files that rows name what a walk found; what it didn't find is looked for once more, by itself.

    But for those of the rows that are `gone`: what it didn't find of them is missing.
    """

    def __init__(self, names: FileNames, walk: Walk, folders: Folders, meta: int, gone: Ints = _NO_ROWS) -> None:
        self._names = names
        self.walk = walk
        self._folders = folders
        self._meta = meta
        self._gone = gone
        self.named: Bools = np.zeros(len(walk.files), np.bool_)
        """Which of the walk's files the rows name that were looked for."""

    def find(self, keys: Ints, folder: NDArray[np.int32], offset: Ints) -> FoundFiles:
        """What is known of the file of each row; `offset` are the byte offsets of the rows. To be asked once.

        Afterwards the walk knows no sizes, inodes and times any more: of a million files those take 24 MB.
        """
        places, there = self.walk.find(keys)
        self.named = self.walk.mark(places[there])
        is_gone = self._are_gone(folder, there)
        there &= folder >= 0
        there[there] = self.walk.files.size[places[there]] >= 0
        self.walk, columns = self.walk.without_status()
        mtime_ns, inode, size = (_take(columns.pop(), places, there) for _ in range(3))
        size[~there] = -1
        state = np.where(there, np.uint8(ItemState.OK), np.uint8(ItemState.UNDECIDABLE))
        state[is_gone] = ItemState.MISSING
        found = FoundFiles(state, places, roots_of(self._names.folders, folder), size, inode, mtime_ns)
        # The writer may have made the file after the walk, so that a file only is missing when it is looked for.
        self._look_at_each(found, folder, np.flatnonzero((folder >= 0) & ~(there | is_gone)), offset)
        found.root[found.state == ItemState.UNDECIDABLE] = -1
        self._number_others(found.number, keys, there, found.root >= 0)
        return found

    def _are_gone(self, folder: NDArray[np.int32], there: Bools) -> Bools:
        """The rows that are gone, as far as their directories haven't become links or mounts."""
        gone = np.zeros(len(folder), np.bool_)
        gone[self._gone] = (folder[self._gone] >= 0) & ~there[self._gone]
        for number in np.flatnonzero(np.bincount(folder[gone])).tolist():
            if self._try_to_enter(self._names.folders[number]) not in (None, _NOT_THERE):
                gone &= folder != number
        return gone

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
                found.state[row], *status = self._look_at(known, name)
                if found.state[row] == ItemState.OK:
                    found.size[row], found.inode[row], found.mtime_ns[row] = status
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
            return ItemState.OK, status.st_size, inode_of(status), status.st_mtime_ns
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
    """The values at these places; 0 where there is none. Where nothing is known of any file they take no memory."""
    if not column.any():
        return np.zeros(len(places), np.int64)
    values = column[places]
    values[~there] = 0
    return values


def roots_of(folders: Sequence[Folder], folder: NDArray[np.int32]) -> NDArray[np.int8]:
    """For the number of a folder that of its root; -1 for -1."""
    return np.array([known.root for known in folders] + [-1], np.int8)[folder]


def _spell(folder: Folder, name: str) -> str:
    return "/".join(("", *folder.real, *folder.parts, name))


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "not a file name"
