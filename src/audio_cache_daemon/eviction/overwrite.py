"""Rows of an array written over in place: the generator's file stays where it is, and no row moves.

The generator may truncate and rewrite the file at any moment, from a copy that it loaded before. What it brings
back is seen at the next look, and written over again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

from audio_cache_daemon.columns import iter_rows
from audio_cache_daemon.errors import InconsistentIndexError, MaintenanceError
from audio_cache_daemon.eviction.directories import make_state_directory, write_durably
from audio_cache_daemon.formats import identify, read_array_info
from audio_cache_daemon.index_times import OWN_WRITES_NAME, OwnWrite, generator_wrote, load_own_writes
from audio_cache_daemon.model import ArrayInfo, FileIdentity, Ints
from audio_cache_daemon.own_files import encode_own
from audio_cache_daemon.paths import inode_of


class Overwritten(NamedTuple):
    """What a file was right before a write of ours, and what it is after it: another only where its time changed."""

    before: FileIdentity
    after: FileIdentity


def overwrite_rows(
    path: Path, known: ArrayInfo, rows: Ints, vectors: Iterable[bytes], expected: Iterable[bytes] | None = None
) -> Overwritten:
    """Write vectors over these rows of the array at `path`, flushed.

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
        anything: Iterable[bytes | None] = repeat(None)
        for (row,), vector, before in zip(iter_rows(rows), vectors, expected or anything, strict=False):
            _overwrite(descriptor, info.data_offset + row * info.row_bytes, vector, before)
        after = _keep_time(path, descriptor, info.identity)
        os.fsync(descriptor)
    except ValueError as error:
        raise MaintenanceError(f"{path} is being written by the generator ({error}); the next run goes on") from None
    except OSError as error:
        raise MaintenanceError(f"{path} can't be written: {error.strerror}; the next run goes on") from None
    finally:
        os.close(descriptor)
    return Overwritten(info.identity, after)


def _keep_time(path: Path, descriptor: int, before: FileIdentity) -> FileIdentity:
    """Let a file still tell when the generator last wrote it: our write is none of its. What the file is then."""
    status = os.fstat(descriptor)
    try:
        os.utime(descriptor, ns=(status.st_atime_ns, before.mtime_ns))
    except PermissionError:
        # It is another user's, and shared with us through a group. One of another size was written meanwhile.
        if status.st_size == before.size:
            _note_own_write(path, status, before)
            return identify(status)
    return before


def _note_own_write(path: Path, written: os.stat_result, before: FileIdentity) -> None:
    own = load_own_writes(path.parent)
    # What we wrote over may have been a write of ours as well.
    wrote = generator_wrote((before.inode, before.size, before.mtime_ns), own.get(path.name))
    own[path.name] = OwnWrite(inode_of(written), written.st_size, written.st_mtime_ns, wrote)
    write_durably(make_state_directory(path.parent) / OWN_WRITES_NAME, encode_own(own))


def _overwrite(descriptor: int, place: int, vector: bytes, expected: bytes | None) -> None:
    found = os.pread(descriptor, len(vector), place)
    if found == vector:
        return
    if len(found) < len(vector) or (expected is not None and found != expected):
        raise InconsistentIndexError("a row of the index moved while it was looked at; nothing of it was changed")
    os.pwrite(descriptor, vector, place)
