"""What earlier looks at a cache found, so that the next one reads only what is new.

What a look costs then follows the change, not the size of the cache. What it finds is what a look at everything would
find, as far as what was touched is known; with any doubt everything is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec
import numpy as np

from audio_cache_daemon.cache.index import IndexReader
from audio_cache_daemon.cache.listing import list_files
from audio_cache_daemon.cache.recall import MissingRows
from audio_cache_daemon.cache.relisting import DoubtError, relist
from audio_cache_daemon.cache.walk import Walk
from audio_cache_daemon.formats import sample_lines
from audio_cache_daemon.location import CacheLocation, Root
from audio_cache_daemon.model import Rows
from audio_cache_daemon.paths import Folders, inode_of


class _Index(msgspec.Struct, frozen=True):
    """The lines that were read of an index, by which file and for which roots, and the bytes that prove it."""

    reader: IndexReader
    file: tuple[int, int]
    roots: tuple[str, ...]
    sample: tuple[bytes, bytes]


class _Surface(msgspec.Struct, frozen=True):
    """What has to be the same for a walk to hold: the roots, as which directories, and the mounts below them.

    And whether inodes and times of the files are asked for.
    """

    roots: tuple[tuple[str, int | None, int | None], ...]
    mounts: frozenset[str]
    identities: bool


class Tail:
    """Belongs to one cache, and to the one thread that looks at it. Handed to a scan, it speeds up that and the next.

    Between two scans `touch` says what changed. Kept are 90 bytes an item, or 74 without identities.
    """

    def __init__(self, location: CacheLocation) -> None:
        self.location = location
        self._files: set[str] = set()
        self._directories: set[str] = set()
        self._index: _Index | None = None
        self._walk: Walk | None = None
        self._surface: _Surface | None = None
        self.missing = MissingRows()
        """Rows whose files weren't there, nor were touched since: to be asked for after `walk`."""
        self.names: dict[int, str] = {}
        """Names of files that no row names, and of touched ones, by their keys."""

    def touch(self, files: Iterable[str], directories: Iterable[str]) -> None:
        """Audio files that were made, changed or removed, and directories that came or went, by their real paths.

        All in these directories counts as touched. Other paths are passed over.
        """
        self._files.update(files)
        self._directories.update(directories)

    def forget(self) -> None:
        """Let the next scan look at everything: what was touched isn't known, or it is time to make sure."""
        self._index = self._walk = self._surface = None
        self.missing = MissingRows()
        self.names = {}
        self._files.clear()
        self._directories.clear()

    def resume(self, meta: int, patterns: Sequence[str]) -> IndexReader | None:
        """A reader that has taken in the lines of the open index up to its `end`; None if it has to be read anew."""
        reader = self._resume(meta, patterns)
        if reader is None:
            self.missing = MissingRows()
        return reader

    def _resume(self, meta: int, patterns: Sequence[str]) -> IndexReader | None:
        kept = self._index
        if kept is None or kept.reader.patterns != tuple(patterns) or kept.roots != self._real_roots():
            return None
        # Of a path that can't be resolved it was looked whether it is a link: it may have become one.
        if kept.reader.names.problems:
            return None
        end = kept.reader.end
        if kept.file != _identify(meta) or os.fstat(meta).st_size < end or kept.sample != sample_lines(meta, end):
            return None
        return kept.reader.fork()

    def keep(self, meta: int, reader: IndexReader) -> None:
        """Remember the lines that a reader has taken in so far."""
        self._index = _Index(reader.fork(), _identify(meta), self._real_roots(), sample_lines(meta, reader.end))

    def walk(self, folders: Folders, *, identities: bool) -> Walk:
        """All audio files below the roots: as they were found before, and what was touched as it is now.

        Without `identities` nothing is known of their inodes and times.
        """
        surface = _Surface(tuple(map(_identify_root, folders.roots)), folders.mounts_below(), identities)
        if self._walk is None or self._walk.unlisted or surface != self._surface:
            self._walk = None
        else:
            with suppress(DoubtError):
                self._walk = relist(folders, self._hand_over(), self._files, self._directories, self.names)
        if self._walk is None:
            self._walk = Walk.of(list_files(folders))
        if not identities:
            self._walk = self._walk.without_identities()
        if self._walk.unlisted:
            # What comes to be in a directory that can't be listed may be touched by nobody who is heard.
            self.missing = MissingRows()
        self._surface = surface
        self._files.clear()
        self._directories.clear()
        return self._walk

    def note_missing(self, rows: Rows, *, torn: bool) -> None:
        """Remember the rows whose files are missing; if the last line is torn, it isn't known which row it will be."""
        if rows.missing_keys is not None:
            numbers = np.flatnonzero(rows.missing())
            count = int(np.searchsorted(numbers, len(rows) - torn))
            self.missing = MissingRows(numbers[:count], rows.missing_keys[:count])

    def _hand_over(self) -> Walk:
        """The walk of before, which is held here no longer: else its files would be held twice until the new one is."""
        walk, self._walk = self._walk, None
        assert walk is not None
        return walk

    def _real_roots(self) -> tuple[str, ...]:
        return tuple(os.path.realpath(root) for root in self.location.audio_roots)


def _identify_root(root: Root) -> tuple[str, int | None, int | None]:
    return os.path.realpath(root.path), root.device, root.inode


def _identify(meta: int) -> tuple[int, int]:
    status = os.fstat(meta)
    return status.st_dev, inode_of(status)
