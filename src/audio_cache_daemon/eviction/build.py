"""New index files, made beside the old ones from parts of them, of others, and of zeros."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from audio_cache_daemon.errors import InconsistentIndexError, MaintenanceError
from audio_cache_daemon.eviction.changes import Copied, FileChange, Kept, Part, Zeros
from audio_cache_daemon.eviction.journal import EXCHANGE_ORDER, FileExchange, Source
from audio_cache_daemon.eviction.ranges import copy_ranges, same_bytes, write_all
from audio_cache_daemon.formats import array_header, identify, read_array_info
from audio_cache_daemon.model import ArrayInfo, Ints
from audio_cache_daemon.own_files import give_to
from audio_cache_daemon.paths import open_regular


def build_files(directory: Path, index: Path, changes: Sequence[FileChange]) -> tuple[FileExchange, ...]:
    """Write the new files of the index at `index` into `directory`, flushed, in the order in which to exchange them.

    InconsistentIndexError when a file isn't what the change says, MaintenanceError when a new one can't be made such
    that the writer can write it, OSError as it comes.
    """
    by_name = {change.name: change for change in changes}
    return tuple(_build(directory, index, by_name[name]) for name in EXCHANGE_ORDER if name in by_name)


def _build(directory: Path, index: Path, change: FileChange) -> FileExchange:
    source = open_regular(index / change.name)
    try:
        target = os.open(directory / change.name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if change.like is None:
                _write_lines(source, target, change.parts)
                built = _Built()
            else:
                built = _ArrayBuild(directory, change, source, target).write()
            copy_permissions(source, target, index / change.name)
            os.fsync(target)
            new = identify(os.fstat(target))
        finally:
            os.close(target)
    finally:
        os.close(source)
    return FileExchange(
        change.name, change.old, new, change.keep_old, built.old_rows, built.new_rows, built.probe, built.pieces
    )


def _write_lines(source: int, target: int, parts: Sequence[Part]) -> None:
    for part in parts:
        if isinstance(part, Kept):
            copy_ranges(source, target, part.starts, part.ends)
        elif isinstance(part, Copied):
            descriptor = open_regular(part.path)
            try:
                copy_ranges(descriptor, target, part.starts, part.ends)
            finally:
                os.close(descriptor)
        else:
            raise TypeError("a line of zeros is no line")


class _Built(msgspec.Struct, frozen=True):
    """What the journal says of an array beside its identities; see FileExchange."""

    old_rows: int = 0
    new_rows: int = 0
    probe: int = -1
    pieces: bytes = b""


class _ArrayBuild:
    """One array being written, and beside it the rows that aren't from the old one: the writer may overwrite ours."""

    def __init__(self, directory: Path, change: FileChange, source: int, target: int) -> None:
        assert change.like is not None
        self._parts = change.parts
        self._like = change.like
        self._source, self._target = source, target
        self._beside = directory / added_name(change.name)
        self._old = self._old_info()

    def write(self) -> _Built:
        """Write the array, and the rows beside it."""
        pieces = self._pieces()
        count = int((pieces[:, 2] - pieces[:, 1]).sum())
        write_all(self._target, array_header(self._like, count))
        copied = sum(int((part.ends - part.starts).sum()) for part in self._parts if isinstance(part, Copied))
        if copied:
            self._write_beside(copied)
        for part in self._parts:
            if isinstance(part, Zeros):
                _write_zero_rows(self._target, self._like.row_bytes, part.count)
            elif isinstance(part, Kept):
                self._copy_rows(self._source, self._old, part)
            else:
                self._copy_from(part, self._target)
        old_rows = 0 if self._old is None else self._old.rows
        return _Built(old_rows, count, self._probe(pieces, old_rows, count), pieces.tobytes())

    def _old_info(self) -> ArrayInfo | None:
        try:
            return self._checked(read_array_info(self._like.name, self._source))
        except ValueError:
            return None

    def _checked(self, info: ArrayInfo, where: object = None) -> ArrayInfo:
        if (info.width, info.dtype) != (self._like.width, self._like.dtype):
            raise InconsistentIndexError(f"{where or info.name} doesn't fit the index; nothing was changed")
        return info

    def _pieces(self) -> Ints:
        """Where each run of new rows is from: a row (source, start, end) for each."""
        pieces = [np.empty((0, 3), np.int64)]
        beside = 0
        for part in self._parts:
            if isinstance(part, Zeros):
                pieces.append(np.array([[Source.ZEROS, 0, part.count]], np.int64))
            elif isinstance(part, Kept):
                pieces.append(np.column_stack([np.full(len(part.starts), Source.OLD), part.starts, part.ends]))
            else:
                count = int((part.ends - part.starts).sum())
                pieces.append(np.array([[Source.BESIDE, beside, beside + count]], np.int64))
                beside += count
        return np.ascontiguousarray(np.concatenate(pieces), np.int64)

    def _write_beside(self, count: int) -> None:
        beside = os.open(self._beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            write_all(beside, array_header(self._like, count))
            for part in self._parts:
                if isinstance(part, Copied):
                    self._copy_from(part, beside)
            os.fsync(beside)
        finally:
            os.close(beside)

    def _copy_from(self, part: Copied, target: int) -> None:
        descriptor = open_regular(part.path)
        try:
            info = self._checked(read_array_info(self._like.name, descriptor), part.path)
            if len(part.ends) and int(part.ends.max()) > info.rows:
                raise InconsistentIndexError(f"{part.path} doesn't fit the index; nothing was changed")
            self._copy_rows(descriptor, info, part, target)
        except ValueError as error:
            raise InconsistentIndexError(f"{part.path}: {error}; nothing was changed") from None
        finally:
            os.close(descriptor)

    def _copy_rows(self, source: int, info: ArrayInfo | None, part: Kept | Copied, target: int | None = None) -> None:
        if info is None:
            raise InconsistentIndexError(f"{self._like.name} can't be read any more; nothing was changed")
        ranges = (info.data_offset + rows * info.row_bytes for rows in (part.starts, part.ends))
        copy_ranges(source, self._target if target is None else target, *ranges)

    def _probe(self, pieces: Ints, old_rows: int, new_rows: int) -> int:
        """The first row at which old and new differ, be it that one has it not; -1 when there is none."""
        row = 0
        for source, start, end in pieces.tolist():
            if (source, start) != (Source.OLD, row):
                break
            row = end
        both = min(old_rows, new_rows)
        if self._old is not None:
            new = read_array_info(self._like.name, self._target)
            size = self._like.row_bytes
            places = (self._old.data_offset + row * size, new.data_offset + row * size)
            row += same_bytes((self._source, places[0]), (self._target, places[1]), (both - row) * size) // size
        return row if row < max(old_rows, new_rows) else -1


def added_name(name: str) -> str:
    """The file beside a new array that holds its rows that aren't from the old one, as an array."""
    return f"added-{name}"


def _write_zero_rows(target: int, row_bytes: int, count: int) -> None:
    rows_at_once = max(1, 2**20 // max(1, row_bytes))
    zeros = bytes(rows_at_once * row_bytes)
    for first in range(0, count, rows_at_once):
        write_all(target, zeros[: (count - first) * row_bytes])


def copy_permissions(source: int, target: int, path: Path) -> None:
    """Give a new index file the owner, group, mode and attributes of the old one, so that the writer can write it.

    MaintenanceError when that can't be had.
    """
    old = os.fstat(source)
    if not give_to(target, old.st_uid, old.st_gid):
        is_shared = bool(old.st_mode & 0o020) and give_to(target, -1, old.st_gid)
        if not is_shared:
            raise MaintenanceError(
                f"{path} belongs to another user, who could not write a new file of ours; run as that user, or share "
                "a group and make the file writable for it (umask 0002 on both sides); nothing was changed"
            )
    os.fchmod(target, old.st_mode & 0o7777)
    attributes = _attributes(source)
    for name in attributes:
        if name.startswith(("user.", "system.posix_acl")):
            os.setxattr(target, name, os.getxattr(source, name))
    for name in _attributes(target) - attributes:
        if name.startswith("system.posix_acl"):
            # Inherited from our directory; the old file has none.
            os.removexattr(target, name)
            os.fchmod(target, old.st_mode & 0o7777)
    # The time tells when the generator last wrote, and so whether it may be running; that is not changed by us.
    os.utime(target, ns=(old.st_atime_ns, old.st_mtime_ns))


def _attributes(descriptor: int) -> set[str]:
    """The names of a file's attributes; none where the file system has no such thing, as exFAT."""
    try:
        return set(os.listxattr(descriptor))
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return set()
