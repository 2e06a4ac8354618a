"""Which audio files have the same bytes: sizes first, then the beginning, then a hash of the whole.

What is remembered of a file that is as it was isn't read again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.beside import beside
from audio_cache_daemon.cache.audio import AudioFiles
from audio_cache_daemon.columns import iter_rows
from audio_cache_daemon.digests import ContentKey, Digests
from audio_cache_daemon.model import Ints, ItemState, Rows
from audio_cache_daemon.paths import inode_of

_PREFIX_BYTES = 4096
_BLOCK_BYTES = 2**20

_WORTH_TWO = 1000
"""Files of which half are read beside the others: for fewer a second process costs more than it saves."""


class ContentReader:
    """Reads the audio of rows; `digests` are known, and added to."""

    def __init__(self, audio: AudioFiles, digests: Digests | None = None) -> None:
        self._audio = audio
        self._known = digests if digests is not None else Digests()

    def number_contents(self, rows: Rows) -> NDArray[np.int32]:
        """A number for each content that several files share; -1 for a file of which there is no other."""
        numbers = np.full(len(rows), -1, np.int32)
        # One row a file: rows that name one file share its content without a look.
        _, first, back = np.unique(rows.file, return_index=True, return_inverse=True)
        first = first[(rows.state[first] == ItemState.OK) & (rows.size[first] > 0)]
        keys = rows.size[first]
        for whole in (False, True):
            first, keys = _shared(first, keys)
            order = np.argsort(first)
            first, keys = first[order], keys[order]
            digests = self._digest(rows, first, whole=whole)
            keys = _combine(keys, digests)
            first, keys = first[digests != 0], keys[digests != 0]
        first, keys = _shared(first, keys)
        numbers[first] = np.unique(keys, return_inverse=True)[1].reshape(-1)
        by_file = np.full(int(back.max(initial=-1)) + 1, -1, np.int32)
        by_file[back.reshape(-1)[first]] = numbers[first]
        return np.where(rows.state == ItemState.OK, by_file[back.reshape(-1)], -1).astype(np.int32)

    def _digest(self, rows: Rows, subset: Ints, *, whole: bool) -> Ints:
        """A number a row, equal for equal bytes; 0 when the file can't be read, and so equals none."""
        keys = list(self._keys(rows, subset, whole=whole))
        found = [self._known.find(key) for key in keys]
        unread = [place for place, digest in enumerate(found) if digest is None]
        read = partial(self._read_each, rows, subset, keys)
        half = len(unread) // 2
        if len(unread) < _WORTH_TWO:
            digests = read(unread)
        else:
            with beside(partial(read, unread[:half])) as finish:
                rest = read(unread[half:])
                digests = [*finish(), *rest]
        for place, digest in zip(unread, digests, strict=True):
            found[place] = digest
            if digest:
                self._known.note(keys[place], digest)
        return np.array(found, np.int64)

    def _read_each(self, rows: Rows, subset: Ints, keys: Sequence[ContentKey], places: Sequence[int]) -> list[int]:
        """The digests of the files at these places of the subset."""
        opened = self._audio.open_each(rows, subset[np.array(places, np.int64)])
        return [_read(keys[place], file) for place, file in zip(places, opened, strict=True)]

    def _keys(self, rows: Rows, subset: Ints, *, whole: bool) -> Iterator[ContentKey]:
        for inode, size, mtime_ns in iter_rows(rows.inode, rows.size, rows.mtime_ns, at=subset):
            # Of a short file the beginning is the whole.
            yield ContentKey(whole and size > _PREFIX_BYTES, inode, size, mtime_ns)


def _read(key: ContentKey, opened: tuple[int, str] | None) -> int:
    """The digest of a file that was opened for this; 0 when it could not be."""
    if opened is None:
        return 0
    descriptor, _ = opened
    try:
        return _digest_open(descriptor, key)
    except OSError:
        return 0
    finally:
        os.close(descriptor)


def _digest_open(descriptor: int, key: ContentKey) -> int:
    """A number for the bytes of a file; 0 when it isn't the one that was scanned, or changes while it is read."""
    digest = hashlib.blake2b(digest_size=8)
    if key.whole:
        while block := os.read(descriptor, _BLOCK_BYTES):
            digest.update(block)
    else:
        digest.update(os.pread(descriptor, _PREFIX_BYTES, 0))
    status = os.fstat(descriptor)
    if (inode_of(status), status.st_size, status.st_mtime_ns) != (key.inode, key.size, key.mtime_ns):
        return 0
    return int.from_bytes(digest.digest(), "big", signed=True)


def _shared(subset: Ints, keys: Ints) -> tuple[Ints, Ints]:
    """Only those whose key another one has too."""
    _, back, counts = np.unique(keys, return_inverse=True, return_counts=True)
    several = counts[back.reshape(-1)] > 1
    return subset[several], keys[several]


def _combine(keys: Ints, digests: Ints) -> Ints:
    """A key that is equal only where both are."""
    order = np.lexsort((digests, keys))
    is_new = (np.diff(keys[order]) != 0) | (np.diff(digests[order]) != 0)
    combined = np.zeros(len(keys), np.int64)
    combined[order[1:]] = np.cumsum(is_new)
    return combined
