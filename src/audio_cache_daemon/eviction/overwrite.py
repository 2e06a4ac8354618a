"""Rows of an array written over in place: the generator's file stays where it is, and no row moves.

The generator may truncate and rewrite the file at any moment, from a copy that it loaded before. What it brings
back is seen at the next look, and written over again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path

from audio_cache_daemon.errors import InconsistentIndexError, MaintenanceError
from audio_cache_daemon.formats import read_array_info
from audio_cache_daemon.model import ArrayInfo, FileIdentity, Ints


def overwrite_rows(
    path: Path, known: ArrayInfo, rows: Ints, vectors: Iterable[bytes], expected: Iterable[bytes] | None = None
) -> FileIdentity:
    """Write vectors over these rows of the array at `path`, flushed; the file's identity as it was right before.

    MaintenanceError when the file can't be written now, InconsistentIndexError when a row holds neither what is to be
    written nor what is `expected` there (None: anything): the row moved.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise MaintenanceError(f"{path} can't be written: {error.strerror}; its rows stay as they are") from None
    try:
        # Right before: what was scanned may have been replaced or truncated since; nothing is written beyond the end.
        info = read_array_info(known.name, descriptor)
        if (info.width, info.dtype) != (known.width, known.dtype) or (len(rows) and int(rows.max()) >= info.rows):
            raise InconsistentIndexError(f"{path} is another array than it was; try again")
        places = (info.data_offset + rows * info.row_bytes).tolist()
        anything: Iterable[bytes | None] = repeat(None)
        for place, vector, before in zip(places, vectors, expected or anything, strict=False):
            _overwrite(descriptor, place, vector, before)
        # The time tells when the generator last wrote; ours is none of its writes.
        os.utime(descriptor, ns=(os.fstat(descriptor).st_atime_ns, info.identity.mtime_ns))
        os.fsync(descriptor)
    except ValueError as error:
        raise MaintenanceError(f"{path} is being written by the generator ({error}); the next run goes on") from None
    except OSError as error:
        raise MaintenanceError(f"{path} can't be written: {error.strerror}; the next run goes on") from None
    finally:
        os.close(descriptor)
    return info.identity


def _overwrite(descriptor: int, place: int, vector: bytes, expected: bytes | None) -> None:
    found = os.pread(descriptor, len(vector), place)
    if found == vector:
        return
    if len(found) < len(vector) or (expected is not None and found != expected):
        raise InconsistentIndexError("a row of the index moved while it was looked at; nothing of it was changed")
    os.pwrite(descriptor, vector, place)
