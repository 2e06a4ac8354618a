"""The audio files that rows name: which ones they mean, and what the walk over the roots found of them."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.cache.walk import Walk
from audio_cache_daemon.formats import AUDIO_SUFFIXES, Row, decode_row, is_audio_name, read_lines
from audio_cache_daemon.model import Ints, ItemState
from audio_cache_daemon.paths import Folder, Folders, PathResolver, file_key

NAMED = np.dtype([("key", np.int64), ("folder", np.int32)])
"""Which file a row names: its key (paths.file_key) and the number of its folder; -1 where it can't be decided."""

FOUND = np.dtype(
    [("state", np.uint8), ("root", np.int8), ("size", np.int64), ("inode", np.int64), ("mtime_ns", np.int64)]
)
"""What is known of a row's file; size -1 where there is none, root -1 where it can't be decided."""


class FileNames:
    """Resolves the paths of rows. Counts why some can't be resolved, and remembers by which names rows call them."""

    def __init__(self, resolver: PathResolver) -> None:
        self._resolver = resolver
        self._directories: dict[str, tuple[int, int]] = {}
        self.folders: list[Folder] = []
        self.problems: Counter[str] = Counter()
        self.unresolved_names: set[int] = set()
        """Hashes of the names in paths that can't be resolved: a file of such a name may be the one that is meant."""

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
        if row is None or row.path is None:
            return self._undecidable("a row without a path" if row is not None else None, "")
        folder, name = self._resolver.split(row.path)
        if folder.problem is not None:
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

    def _undecidable(self, problem: str | None, name: str) -> tuple[int, int]:
        if problem is not None:
            self.problems[problem] += 1
            self.unresolved_names.add(hash(name))
        return 0, -1


class FileFinder:
    """Tells of the files that rows name what a walk found; what the walk could not list, it looks at itself."""

    def __init__(self, names: FileNames, walk: Walk, folders: Folders, meta: int) -> None:
        self._names = names
        self._walk = walk
        self._folders = folders
        self._meta = meta

    def find(self, keys: Ints, folder: NDArray[np.int32], offset: Ints) -> NDArray[np.void]:
        """An array of FOUND, one entry a row; `offset` are the byte offsets of the rows."""
        found = np.zeros(len(keys), FOUND)
        found["state"], found["root"], found["size"] = ItemState.MISSING, -1, -1
        places, there = self._walk.find(keys)
        there &= folder >= 0
        files = self._walk.files[places[there]]
        for name in ("size", "inode", "mtime_ns"):
            found[name][there] = files[name]
        found["state"][there] = np.where(files["regular"], ItemState.OK, ItemState.UNDECIDABLE)
        found["state"][folder < 0] = ItemState.UNDECIDABLE
        self._count("a symbolic link or no regular file", int((~files["regular"]).sum()))
        roots = np.array([known.root for known in self._names.folders] + [-1], np.int8)
        found["root"] = roots[folder]
        self._look_into_unlisted(found, folder, offset, ~there)
        undecidable = found["state"] == ItemState.UNDECIDABLE
        found["root"][undecidable], found["size"][undecidable] = -1, -1
        return found

    def _look_into_unlisted(
        self, found: NDArray[np.void], folder: NDArray[np.int32], offset: Ints, absent: NDArray[np.bool_]
    ) -> None:
        """Rows whose file the walk didn't see, because it never saw its folder."""
        listed = {known.key for known in self._walk.folders}
        for number, known in enumerate(self._names.folders):
            if known.key in listed:
                continue
            rows = np.flatnonzero((folder == number) & absent)
            try:
                self._folders.descriptor(known.root, known.parts)
            except FileNotFoundError:
                continue
            except NotADirectoryError:
                found["state"][rows] = ItemState.UNDECIDABLE
                self._count("reached through a symbolic link or another mount", len(rows))
            except (OSError, ValueError) as error:
                found["state"][rows] = ItemState.UNDECIDABLE
                self._count(f"can't be reached: {_reason(error)}", len(rows))
            else:
                self._look_at_each(found, rows, known, offset)

    def _look_at_each(self, found: NDArray[np.void], rows: Ints, folder: Folder, offset: Ints) -> None:
        for row, line in zip(rows.tolist(), read_lines(self._meta, offset, rows), strict=True):
            decoded, _ = decode_row(line)
            name = (decoded.path or "" if decoded is not None else "").rpartition("/")[2]
            directory = self._folders.descriptor(folder.root, folder.parts)
            try:
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                found["state"][row] = ItemState.UNDECIDABLE
                self._count(f"can't be looked at: {_reason(error)}", 1)
                continue
            regular = stat.S_ISREG(status.st_mode)
            found["state"][row] = ItemState.OK if regular else ItemState.UNDECIDABLE
            found["size"][row], found["inode"][row] = status.st_size, status.st_ino
            found["mtime_ns"][row] = status.st_mtime_ns
            self._count("a symbolic link or no regular file", int(not regular))

    def _count(self, problem: str, count: int) -> None:
        if count:
            self._names.problems[problem] += count


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "not a file name"
