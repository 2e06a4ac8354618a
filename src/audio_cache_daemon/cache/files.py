"""The audio files that rows name: looked up one by one, by directory descriptor, without following a link."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from audio_cache_daemon.formats import Row, is_audio_name
from audio_cache_daemon.model import Ints, ItemState
from audio_cache_daemon.paths import Folder, Folders, PathResolver, file_key

FIELDS: dict[str, type[np.generic]] = {
    "state": np.uint8,
    "size": np.int64,
    "inode": np.int64,
    "mtime_ns": np.int64,
    "root": np.int8,
    "key": np.int64,
}
"""Columns of `FileLookup.look_up`, in order, and the type that each fits in."""

_OK, _MISSING, _UNDECIDABLE = int(ItemState.OK), int(ItemState.MISSING), int(ItemState.UNDECIDABLE)
_UNKNOWN_ROOT = -1


class FileLookup:
    """Finds the files of rows. It counts why files are undecidable, and remembers by which names rows call them."""

    def __init__(self, resolver: PathResolver, folders: Folders) -> None:
        self._resolver = resolver
        self._folders = folders
        self.problems: Counter[str] = Counter()
        self.unresolved_names: set[int] = set()
        """Hashes of the names in paths that can't be resolved: a file of such a name may be the one that is meant."""

    def look_up(self, rows: Sequence[Row | None]) -> Ints:
        """An array of shape (len(rows), len(FIELDS)); size -1 where there is no file."""
        flat = np.fromiter(self._fields(rows), np.int64, len(rows) * len(FIELDS))
        return flat.reshape(-1, len(FIELDS))

    def _fields(self, rows: Sequence[Row | None]) -> Iterator[int]:
        split, look_at = self._resolver.split, self._look_at
        folder_of_descriptor, descriptor = None, -1
        for row in rows:
            path = row.path if row is not None else None
            if path is None:
                yield from self._undecidable("a row without a path" if row is not None else None, "")
                continue
            folder, name = split(path)
            if folder.problem is not None or not is_audio_name(name):
                yield from self._undecidable(folder.problem or "a path without an audio suffix", name)
                continue
            if folder is not folder_of_descriptor:
                descriptor, problem = self._open(folder)
                folder_of_descriptor = folder if descriptor >= 0 else None
                if problem is not None:
                    yield from self._undecidable(problem, name)
                    continue
            yield from look_at(folder, name, descriptor)

    def _open(self, folder: Folder) -> tuple[int, str | None]:
        """A descriptor, or -1: with a problem, or without one when the directory isn't there."""
        try:
            return self._folders.descriptor(folder.root, folder.parts), None
        except FileNotFoundError:
            return -1, None
        except NotADirectoryError:
            return -1, "reached through a symbolic link or another mount"
        except (OSError, ValueError) as error:
            return -1, f"can't be reached: {_reason(error)}"

    def _look_at(self, folder: Folder, name: str, descriptor: int) -> tuple[int, ...]:
        key = file_key(folder, name)
        if descriptor < 0:
            return (_MISSING, -1, 0, 0, folder.root, key)
        try:
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return (_MISSING, -1, 0, 0, folder.root, key)
        except (OSError, ValueError) as error:
            return self._undecidable(f"can't be looked at: {_reason(error)}", name)
        if not stat.S_ISREG(status.st_mode):
            return self._undecidable("a symbolic link or no regular file", name)
        return (_OK, status.st_size, status.st_ino, status.st_mtime_ns, folder.root, key)

    def _undecidable(self, problem: str | None, name: str) -> tuple[int, ...]:
        if problem is not None:
            self.problems[problem] += 1
            self.unresolved_names.add(hash(name))
        return (_UNDECIDABLE, -1, 0, 0, _UNKNOWN_ROOT, 0)


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "not a file name"
