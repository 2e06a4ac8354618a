"""Copying ranges of a file: the one primitive of which a compaction is made.

A row of `meta.jsonl` is a range of bytes, and so is a row of an array; what stays is copied as it is.
"""

from __future__ import annotations

import os
from contextlib import suppress

import numpy as np

from audio_cache_daemon.errors import InconsistentIndexError
from audio_cache_daemon.model import Bools, Ints

_SPAN_BYTES = 2**18

_BEGIN_BYTES = 2**25
"""After so many bytes the disk begins to write."""

_GAP_BYTES = 2**14
"""What lies between two ranges is read along up to here: a call more costs about as much as copying so many bytes."""


def kept_ranges(boundaries: Ints, kept: Bools) -> tuple[Ints, Ints]:
    """Starts and ends of the byte ranges of the rows that are kept; neighbours are one range.

    `boundaries` has one entry more than `kept`: row i is the bytes from boundaries[i] to boundaries[i + 1].
    """
    edges = np.flatnonzero(np.diff(np.r_[False, kept, False].astype(np.int8)))
    return boundaries[edges[0::2]], boundaries[edges[1::2]]


def copy_ranges(source: int, target: int, starts: Ints, ends: Ints) -> None:
    """Append ascending byte ranges of `source` to `target`, in bounded memory.

    Short ranges that lie close together are read as one span: a call a range would cost more than the bytes
    between them. InconsistentIndexError if the source is shorter than its ranges.
    """
    writing = _Writing(target)
    first = 0
    # Where a group of close ranges ends.
    breaks = np.append(np.flatnonzero(starts[1:] - ends[:-1] > _GAP_BYTES) + 1, len(starts))
    while first < len(starts):
        base = int(starts[first])
        close = int(breaks[np.searchsorted(breaks, first, side="right")])
        last = min(close, int(np.searchsorted(ends, base + _SPAN_BYTES, side="right")))
        if last <= first + 1:
            _copy(source, writing, base, int(ends[first]) - base)
            first += 1
            continue
        span = memoryview(os.pread(source, int(ends[last - 1]) - base, base))
        pieces = zip((starts[first:last] - base).tolist(), (ends[first:last] - base).tolist(), strict=True)
        joined = b"".join([span[start:end] for start, end in pieces])
        if len(span) < int(ends[last - 1]) - base:
            raise _too_short()
        writing.append(joined)
        first = last


def write_all(target: int, content: bytes | memoryview) -> None:
    """Write all of it: a full disk may take a part first and fail then."""
    view = memoryview(content)
    while view:
        view = view[os.write(target, view) :]


class _Writing:
    """A file being written, which goes to the disk while more is read: the flush at the end finds little to wait for.

    That takes a third off a rewrite of gigabytes, and the memory of the system isn't filled with what waits.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._begun = self._end = os.lseek(target, 0, os.SEEK_CUR)

    def append(self, content: bytes) -> None:
        write_all(self._target, content)
        self._end += len(content)
        if self._end - self._begun >= _BEGIN_BYTES:
            # What is still to be written is sent on its way by this, and stays in memory. A hint, and no more.
            with suppress(OSError):
                os.posix_fadvise(self._target, self._begun, self._end - self._begun, os.POSIX_FADV_DONTNEED)
            self._begun = self._end


def _copy(source: int, writing: _Writing, start: int, length: int) -> None:
    while length > 0:
        chunk = os.pread(source, min(length, _SPAN_BYTES), start)
        if not chunk:
            raise _too_short()
        writing.append(chunk)
        start += len(chunk)
        length -= len(chunk)


def _too_short() -> InconsistentIndexError:
    return InconsistentIndexError("an index file became shorter while it was copied; nothing was changed: try again")


def same_bytes(left: tuple[int, int], right: tuple[int, int], length: int) -> int:
    """How many bytes are the same in two files, each given as descriptor and offset, before they first differ.

    At most `length`; where one of them ends, they differ.
    """
    done = 0
    while done < length:
        size = min(length - done, _SPAN_BYTES)
        ours, theirs = (os.pread(descriptor, size, offset + done) for descriptor, offset in (left, right))
        if ours == theirs and len(ours) == size:
            done += size
            continue
        both = min(len(ours), len(theirs))
        differ = np.frombuffer(ours, np.uint8, both) != np.frombuffer(theirs, np.uint8, both)
        return done + (int(differ.argmax()) if differ.any() else both)
    return done
