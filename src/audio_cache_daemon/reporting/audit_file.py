"""The file of an audit log on the disk: lines are only ever appended, whole, each holding the hash of the one before.

Whoever writes holds the cache's lock, so there is one writer at a time; but between two writes another process
may have appended, or a rotation may have renamed the file, so each write looks first.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from audio_cache_daemon.errors import AuditError
from audio_cache_daemon.location import STATE_DIRECTORY
from audio_cache_daemon.own_files import give_to, lacks_mode, own_like, sync_directory
from audio_cache_daemon.reporting.audit_record import (
    COMPRESSED,
    EMPTY_HEAD,
    MAX_LINE_BYTES,
    Head,
    Record,
    decode_record,
    first_seq,
    hash_line,
    iter_lines,
    log_files,
    rotated_name,
)
from audio_cache_daemon.reporting.encoding import encode_json

_TAIL_BYTES = 2**16
"""How much of a file's end is read first to find its last record; records are about 600 bytes."""


class ChainFile:
    """An open log. `repairs` and `lost` are what happened to it and is not yet recorded in it."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.head = EMPTY_HEAD
        self.repairs: list[dict[str, object]] = []
        self.lost = 0
        self._max_bytes = max_bytes
        self._descriptor: int | None = None
        self._size = 0

    @property
    def continues(self) -> bool:
        """Whether the file is empty while the log is not: its first record has to say so."""
        return self._size == 0 and self.head.seq > 0

    def refresh(self) -> None:
        """Make the open file the one at `path`, whole to its end and not too large; OSError or AuditError if not."""
        try:
            if self._is_stale():
                self._reopen()
            if self._size >= self._max_bytes:
                self._move_aside()
                self._reopen()
        except (OSError, AuditError):
            # Whatever is open now was not looked at to its end: the next call begins anew.
            self.close()
            raise

    def write(self, records: Sequence[Record]) -> None:
        """Number and chain the records, append them and wait for the disk; all of them, or none and OSError."""
        if not records:
            return
        assert self._descriptor is not None
        head, lines = _chain(records, self.head)
        try:
            _write_all(self._descriptor, lines)
            os.fdatasync(self._descriptor)
        except OSError:
            self._take_back()
            raise
        self.head = head
        self._size += len(lines)
        self.repairs.clear()
        self.lost = 0

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _take_back(self) -> None:
        """Cut a write that failed. Where that fails too, the next `refresh` finds what was left and repairs it."""
        assert self._descriptor is not None
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, self._size)
        # What a failed fdatasync left in memory and on the disk is unknown, so the tail is read anew.
        self.close()

    def _is_stale(self) -> bool:
        if self._descriptor is None:
            return True
        ours = os.fstat(self._descriptor)
        try:
            there = self.path.lstat()
        except FileNotFoundError:
            return True
        return not os.path.samestat(ours, there) or there.st_size != self._size

    def _reopen(self) -> None:
        """Open the file at `path` and find where the log ends.

        The end is the furthest record known: from this file, from what we wrote ourselves, or, when the file is
        new, from the newest file that was rotated away. So lines that somebody cut leave a gap that is seen.
        """
        if self._descriptor is not None:
            # Another process may have appended to the file that was ours before it was renamed.
            self.head = max(self.head, _find_end(self._descriptor, self.path)[0])
            self.close()
        self._descriptor = _open_for_append(self.path)
        head, end = _find_end(self._descriptor, self.path)
        self._set_tail_aside(end, head.seq + 1)
        self._size = end
        if head == EMPTY_HEAD:
            head = _newest_rotated(self.path)
        self.head = max(self.head, head)

    def _set_tail_aside(self, end: int, seq: int) -> None:
        """Move what follows the last whole record, if anything, to a side file named after the record due there."""
        assert self._descriptor is not None
        torn = _read_from(self._descriptor, end)
        if not torn:
            return
        side = self.path.with_name(f"{self.path.name}.torn-{seq}")
        # Appending: a crash before the cut below leads here again, and nothing of an earlier piece is lost.
        descriptor = _open_for_append(side)
        try:
            _write_all(descriptor, torn)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.ftruncate(self._descriptor, end)
        os.fsync(self._descriptor)
        self.repairs.append({"file": side.name, "bytes": len(torn)})

    def _move_aside(self) -> None:
        target = self.path.with_name(rotated_name(self.path, first_seq(self.path)))
        # A log that began anew, its old files gone elsewhere and back, can have a name twice.
        others = (target.with_stem(f"{target.stem}-{number}") for number in itertools.count(2))
        self.path.rename(next(name for name in itertools.chain([target], others) if not _is_taken(name)))


def _is_taken(name: Path) -> bool:
    return name.exists() or name.with_name(name.name + COMPRESSED).exists()


def _chain(records: Sequence[Record], head: Head) -> tuple[Head, bytes]:
    lines = []
    for record in records:
        record.seq = head.seq + 1
        record.previous = head.hash
        line = encode_json(record)
        lines.append(line)
        head = Head(record.seq, hash_line(line))
    return head, b"\n".join([*lines, b""])


def _open_for_append(path: Path) -> int:
    path.parent.mkdir(mode=0o770, parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o640)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise AuditError(f"the audit log {path} is no regular file; move it away, or set another audit.dir")
    if path.parent.name == STATE_DIRECTORY:
        _open_to_the_group(descriptor, status, path.parent.stat())
    elif status.st_size == 0 and os.geteuid() == 0:
        # What root does by hand mustn't lock out the service, whose directory it is.
        directory = path.parent.stat()
        give_to(descriptor, directory.st_uid, directory.st_gid)
    sync_directory(path.parent)
    return descriptor


def _open_to_the_group(descriptor: int, log: os.stat_result, directory: os.stat_result) -> None:
    """Let whoever shares the directory go on with the log, as with our other files there."""
    mode = directory.st_mode & 0o666
    if log.st_size == 0 or lacks_mode(log, mode):
        own_like(descriptor, directory, mode)


def _find_end(descriptor: int, path: Path) -> tuple[Head, int]:
    """The last whole record of an open log, and the offset behind its newline; AuditError when it is no log.

    What follows it is a torn line, or lines that a crash left unreadable. A file of one torn line is a log that
    was torn at its first record.
    """
    size = os.fstat(descriptor).st_size
    window = min(_TAIL_BYTES, size)
    while True:
        block = _read_from(descriptor, size - window)
        found = _last_record(block)
        if found is not None:
            head, end = found
            return head, size - window + end
        if window == size or window >= MAX_LINE_BYTES:
            break
        window = min(size, window * 8)
    if window < size or b"\n" in block:
        raise AuditError(f"{path} is not an audit log: no record at its end; move it away, or set another audit.dir")
    return EMPTY_HEAD, 0


def _last_record(block: bytes) -> tuple[Head, int] | None:
    end = block.rfind(b"\n") + 1
    while end:
        start = block.rfind(b"\n", 0, end - 1) + 1
        line = block[start : end - 1]
        try:
            return Head(decode_record(line).seq, hash_line(line)), end
        except ValueError:
            end = start
    return None


def _newest_rotated(path: Path) -> Head:
    """Where the newest file that was rotated away ends; the empty head when there is none."""
    rotated = [file for file in log_files(path) if file != path]
    if not rotated:
        return EMPTY_HEAD
    if rotated[-1].suffix == COMPRESSED:
        return _last_line(rotated[-1])
    descriptor = os.open(rotated[-1], os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _find_end(descriptor, rotated[-1])[0]
    finally:
        os.close(descriptor)


def _last_line(file: Path) -> Head:
    """Where a compressed file ends: it can only be read from its beginning."""
    head = EMPTY_HEAD
    for line in iter_lines(file):
        with contextlib.suppress(ValueError):
            head = Head(decode_record(line.content).seq, hash_line(line.content))
    return head


def _read_from(descriptor: int, offset: int) -> bytes:
    """All bytes from `offset` to the end."""
    blocks = []
    while block := os.pread(descriptor, 2**20, offset):
        blocks.append(block)
        offset += len(block)
    return b"".join(blocks)


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
