"""Retired items found again: in which line each is now, whether its vectors are still zero, and where its file is."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.cache.walk import Walk
from audio_cache_daemon.columns import are_among, parts
from audio_cache_daemon.formats import iter_blocks, read_lines, read_vectors
from audio_cache_daemon.location import CLAP_NAMES, CacheLocation
from audio_cache_daemon.model import ArrayInfo, Bools, FileIdentity, Ints, Retired
from audio_cache_daemon.paths import Folder, file_key, inode_of, open_regular, root_folder
from audio_cache_daemon.retired import RetiredRun, load_retired, load_verified, places_of


def find_retired_rows(runs: Sequence[RetiredRun], meta: int, offset: Ints, are_back: Callable[[Ints], Bools]) -> Ints:
    """The line in which each entry of the runs is now, or -1; entries in order of runs.

    A line is known by its bytes. In the index in which it was retired it is at its number; in one that was made anew
    it may be anywhere, and is meant unless its vectors `are_back` (told of ascending rows): then it is an item,
    perhaps one that repeats the retired one to the letter.
    """
    inode = inode_of(os.fstat(meta))
    rows = np.full(sum(map(len, runs)), -1, np.int64)
    for run, mine in places_of(runs):
        if run.note.index == inode:
            _find_at_number(run, meta, offset, rows[mine])
    lost = rows < 0
    if lost.any():
        taken = np.zeros(len(offset) - 1, np.bool_)
        taken[rows[~lost]] = True
        lines = (line for run in runs for _, line in run.items())
        hashes = np.fromiter(map(hash, compress(lines, lost)), np.int64)
        places: dict[int, deque[int]] = {}
        for number, hash_ in _search(meta, np.sort(hashes), taken, are_back):
            places.setdefault(hash_, deque()).append(number)
        for entry, hash_ in zip(np.flatnonzero(lost).tolist() if places else (), hashes.tolist(), strict=False):
            if places.get(hash_):
                rows[entry] = places[hash_].popleft()
    return rows


def _find_at_number(run: RetiredRun, meta: int, offset: Ints, rows: Ints) -> None:
    """Put the rows of a run's entries into `rows`, where their lines are at their numbers."""
    known = run.columns["row"] < len(offset) - 1
    numbers = run.columns["row"][known]
    saved = compress((line for _, line in run.items()), known)
    pairs = zip(read_lines(meta, offset, numbers), saved, strict=True)
    same = (one.rstrip(b"\r\n") == other.rstrip(b"\r") for one, other in pairs)
    numbers[~np.fromiter(same, np.bool_, len(numbers))] = -1
    rows[known] = numbers


def _search(meta: int, wanted: Ints, taken: Bools, are_back: Callable[[Ints], Bools]) -> Iterator[tuple[int, int]]:
    """Number and hash of each line whose hash is wanted (ascending), but for those that are taken or are back."""
    first = 0
    with os.fdopen(os.dup(meta), "rb", buffering=0) as file:
        file.seek(0)
        for _, block in iter_blocks(file):
            # Lines that were added since the index was read are beyond its end.
            lines = block.removesuffix(b"\n").split(b"\n")[: len(taken) - first]
            hashes = np.fromiter(map(hash, lines), np.int64, len(lines))
            found = np.flatnonzero(are_among(hashes, wanted) & ~taken[first : first + len(lines)])
            if len(found):
                found = found[~are_back(found + first)]
            yield from zip((found + first).tolist(), hashes[found].tolist(), strict=True)
            first += len(lines)


def find_nonzero(path: Path, arrays: Iterable[ArrayInfo], rows: Ints, *, if_short: bool) -> Bools:
    """Which of the rows (-1: none) have a vector that isn't zero in some of the arrays of the cache at `path`.

    One that can't be read whole, since the generator is just saving its array, counts as `if_short` says.
    """
    nonzero = np.zeros(len(rows), np.bool_)
    order = np.argsort(rows, kind="stable")
    for info in arrays:
        held = order[(rows[order] >= 0) & (rows[order] < info.rows)]
        descriptor = open_regular(path / info.name)
        try:
            vectors = read_vectors(descriptor, info, rows[held])
            found = (if_short if len(vector) < info.row_bytes else vector.count(0) < len(vector) for vector in vectors)
            nonzero[held] |= np.fromiter(found, np.bool_, len(held))
        finally:
            os.close(descriptor)
    return nonzero


def are_back(path: Path, arrays: Mapping[str, ArrayInfo], lines: int, rows: Ints) -> Bools:
    """Which of the rows (ascending) of an index made anew have their vectors again, so that they are items again.

    Both CLAP vectors, as far as they can be told: an array with more or fewer rows than lines, while an addition is in
    flight, tells nothing. The other array may have been short, and not zeroed, when its items were retired.
    """
    if not arrays:
        return np.ones(len(rows), np.bool_)
    clap = [arrays[name] for name in CLAP_NAMES if name in arrays and arrays[name].rows == lines]
    back = np.full(len(rows), bool(clap))
    for info in clap:
        back &= find_nonzero(path, [info], rows, if_short=False)
    return back


def unverified(arrays: Mapping[str, ArrayInfo], verified: Mapping[str, FileIdentity]) -> list[ArrayInfo]:
    """The arrays that changed since all retired rows in them were seen to be zero."""
    return [info for name, info in arrays.items() if not _is_same(info.identity, verified.get(name))]


def _is_same(found: FileIdentity, known: FileIdentity | None) -> bool:
    return known is not None and (found.inode, found.size, found.mtime_ns) == (known.inode, known.size, known.mtime_ns)


class RetiredItems:
    """What is retired in a cache, by what its runs wrote down: its rows are found first, then its files."""

    def __init__(
        self, location: CacheLocation, meta: int, offset: Ints, arrays: Mapping[str, ArrayInfo], walk: Walk
    ) -> None:
        runs = load_retired(location)
        self._location, self._names = location, tuple(run.run for run in runs)
        self._run = np.repeat(np.arange(len(runs), dtype=np.int32), [len(run) for run in runs])
        lines = len(offset) - 1
        self.rows = find_retired_rows(runs, meta, offset, lambda rows: are_back(location.path, arrays, lines, rows))
        # Of an array that has not a row a line it can't be told which rows it describes.
        whole = {name: info for name, info in arrays.items() if info.rows == lines}
        changed = unverified(whole, load_verified(location)) if runs else []
        # What can't be read now isn't proven to be zero.
        self._undone = find_nonzero(location.path, changed, self.rows, if_short=True)
        self.keys = np.fromiter(_iter_keys(location, runs), np.int64, len(self.rows))
        """The key (paths.file_key) of the file that goes with each entry, 0 where none does."""
        self._unchanged = _look_up(runs, self.keys, walk)
        # The rest of what was written down of a million items is 50 MB, and not held beside the rows.
        self._has_file = _column(runs, "has_file")
        self._size = np.where(self._has_file, _column(runs, "size"), 0)

    def find_files(self, in_use: Callable[[], Iterable[Ints]], unresolved: Ints) -> Retired:
        """The retired items, with those files that still lie in their places as they were.

        A file that a row means, by one of the keys `in_use` or perhaps by an unresolved name (their hashes, in
        ascending order), isn't pending: it is that row's.
        """
        if not len(self.rows):
            return Retired(self._names)
        pending = self._unchanged & self._has_file
        if len(unresolved):
            entries = (entry for run in load_retired(self._location) for entry in run.entries())
            names = (entry.file.rpartition("/")[2] for entry in entries)
            pending &= ~are_among(np.fromiter(map(hash, names), np.int64, len(pending)), unresolved)
        pending &= ~_are_among(self.keys, in_use())
        return Retired(self._names, self._run, self.rows, pending, self._size, self._undone)


def _iter_keys(location: CacheLocation, runs: Iterable[RetiredRun]) -> Iterator[int]:
    numbers = {os.fsencode(root): number for number, root in enumerate(location.audio_roots)}
    folders: dict[tuple[int, str], Folder] = {}
    for run in runs:
        for entry in run.entries():
            root = numbers.get(run.note.roots[entry.root]) if entry.file else None
            if root is None:
                yield 0
                continue
            directory, _, name = entry.file.rpartition("/")
            if (root, directory) not in folders:
                folder = root_folder(location.audio_roots[root], root)
                for part in directory.split("/") if directory else ():
                    folder = folder.child(part)
                folders[root, directory] = folder
            yield file_key(folders[root, directory], name)


def _look_up(runs: Sequence[RetiredRun], keys: Ints, walk: Walk) -> Bools:
    """Which entries' files lie in their places as they were."""
    places, unchanged = walk.find(keys)
    for run, mine in places_of(runs if unchanged.any() else ()):
        for part in parts(len(run)):
            here = places[mine][part]
            for name in ("size", "inode", "mtime_ns"):
                unchanged[mine][part] &= getattr(walk.files, name)[here] == run.columns[name][part]
    return unchanged


def _column(runs: Sequence[RetiredRun], name: str) -> NDArray[Any]:
    """A column of all runs, in their order."""
    return np.concatenate([run.columns[name] for run in runs] or [np.empty(0, np.int64)])


def _are_among(few: Ints, many: Iterable[Ints]) -> Bools:
    """Which of the few are among the many, which come in parts; np.isin would sort all of those."""
    ordered = np.sort(few)
    found = np.zeros(len(ordered), np.bool_)
    for some in many:
        # Of equal ones the first stands for all.
        places = np.minimum(np.searchsorted(ordered, some), len(ordered) - 1)
        found[places[ordered[places] == some]] = True
    are_found = np.empty(len(few), np.bool_)
    for part in parts(len(few)):
        are_found[part] = found[np.searchsorted(ordered, few[part])]
    return are_found
