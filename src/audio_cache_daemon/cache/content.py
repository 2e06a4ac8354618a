"""Which audio files have the same bytes: sizes first, then the beginning, then a hash of the whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.formats import decode_row, read_lines
from audio_cache_daemon.model import Bools, Ints, ItemState, Rows
from audio_cache_daemon.paths import Folders, PathResolver

_PREFIX_BYTES = 4096
_BLOCK_BYTES = 2**20

Digest: TypeAlias = Callable[[int], bytes]


def number_groups(keys: Ints, members: Bools) -> NDArray[np.int32]:
    """Number the distinct keys of the members from 0; -1 for the others."""
    numbers = np.full(len(keys), -1, np.int32)
    # By hand, since the first call of np.unique loads numpy.ma: 30 ms of a dry run.
    places = np.flatnonzero(members)
    places = places[np.argsort(keys[places])]
    ordered = keys[places]
    numbers[places[:1]] = 0
    numbers[places[1:]] = np.cumsum(ordered[1:] != ordered[:-1])
    return numbers


class ContentReader:
    """Reads the audio of rows, found again by the path in their line."""

    def __init__(self, meta: int, resolver: PathResolver, folders: Folders) -> None:
        self._meta = meta
        self._resolver = resolver
        self._folders = folders

    def number_contents(self, rows: Rows) -> NDArray[np.int32]:
        """A number for each content that several files share; -1 for a file of which there is no other."""
        numbers = np.full(len(rows), -1, np.int32)
        # One row a file: rows that name one file share its content without a look.
        _, first, back = np.unique(rows.file, return_index=True, return_inverse=True)
        first = first[(rows.state[first] == ItemState.OK) & (rows.size[first] > 0)]
        keys = rows.size[first]
        for digest in (_digest_prefix, _digest_whole):
            first, keys = _shared(first, keys)
            order = np.argsort(first)
            first, keys = first[order], keys[order]
            digests = np.array(list(self._digests(rows, first, digest)), np.int64)
            keys = _combine(keys, digests)
            first, keys = first[digests != 0], keys[digests != 0]
        first, keys = _shared(first, keys)
        numbers[first] = np.unique(keys, return_inverse=True)[1].reshape(-1)
        by_file = np.full(int(back.max(initial=-1)) + 1, -1, np.int32)
        by_file[back.reshape(-1)[first]] = numbers[first]
        return np.where(rows.state == ItemState.OK, by_file[back.reshape(-1)], -1).astype(np.int32)

    def _digests(self, rows: Rows, subset: Ints, digest: Digest) -> Iterator[int]:
        """A number a row, equal for equal bytes; 0 when the file can't be read, and so equals none."""
        for line in read_lines(self._meta, rows.offset, subset):
            row, _ = decode_row(line)
            if row is None or row.path is None:
                yield 0
                continue
            folder, name = self._resolver.split(row.path)
            try:
                yield (
                    0
                    if folder.problem
                    else self._digest(self._folders.descriptor(folder.root, folder.parts), name, digest)
                )
            except (OSError, ValueError):
                yield 0

    @staticmethod
    def _digest(directory: int, name: str, digest: Digest) -> int:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        try:
            return int.from_bytes(digest(descriptor), "big", signed=True)
        finally:
            os.close(descriptor)


def _digest_prefix(descriptor: int) -> bytes:
    return hashlib.blake2b(os.pread(descriptor, _PREFIX_BYTES, 0), digest_size=8).digest()


def _digest_whole(descriptor: int) -> bytes:
    whole = hashlib.blake2b(digest_size=8)
    while block := os.read(descriptor, _BLOCK_BYTES):
        whole.update(block)
    return whole.digest()


def _shared(subset: Ints, keys: Ints) -> tuple[Ints, Ints]:
    """Only those whose key another one has too."""
    _, back, counts = np.unique(keys, return_inverse=True, return_counts=True)
    several = counts[back.reshape(-1)] > 1
    return subset[several], keys[several]


def _combine(keys: Ints, digests: Ints) -> Ints:
    """A key that is equal only where both are."""
    return np.unique(np.stack([keys, digests]), axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64)
