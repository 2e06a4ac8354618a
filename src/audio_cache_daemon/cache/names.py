"""The audio files that rows name: which ones they mean, and what they call those that it can't be decided of."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.cache.hashes import Hashes
from audio_cache_daemon.columns import are_among, parts
from audio_cache_daemon.formats import Row
from audio_cache_daemon.location import AUDIO_SUFFIXES, is_audio_name
from audio_cache_daemon.model import Bools, Ints
from audio_cache_daemon.paths import Folder, PathResolver, file_key, link_target

NAMED = np.dtype([("key", np.int64), ("folder", np.int32)])
"""Which file a row names: its key (paths.file_key) and the number of its folder; -1 where it can't be decided."""

_QUOTE = re.compile(rb'(?<!\\)"')
_SUFFIX = re.compile(b"|".join(re.escape(suffix.encode()) for suffix in AUDIO_SUFFIXES), re.IGNORECASE)

_LONGEST_NAME = 1530
"""Bytes of a file name in JSON: 255 bytes, each of which may be written as an escape of six characters."""


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
