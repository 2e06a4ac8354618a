"""An audit record: what it says, how its line is hashed and read, and in which files a log's lines are."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from audio_cache_daemon.errors import AuditError

MAX_LINE_BYTES = 16 * 2**20
"""A longer line is no record. A prompt, the longest text in one, can't be longer than a row of the index."""

COMPRESSED = ".gz"
"""What ends the name of a rotated file that logrotate or an operator compressed."""

ROTATED_EVENT = "log_rotated"
"""The first record of each file but the first: its `previous` is the hash of the last line of the file before."""


class AuditReason(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Why an item goes: what was measured, and the limit that it crossed."""

    criterion: str
    value: float | str | None = None
    threshold: float | str | None = None


class AuditItem(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a record is about. A file without a row has a path and bytes only; `timestamp` is the row's."""

    id: str | None = None
    row: int | None = None
    path: str | None = None
    prompt: str | None = None
    timestamp: float | None = None
    quality: float | None = None
    bytes: int | None = None


class Record(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """A line of an audit log. `detail` has what an event says beyond the common keys: counts, names, never prompts."""

    time: str
    seq: int
    previous: str
    event: str
    run: str | None
    cache: str | None
    trigger: str | None
    actor: str | None
    mode: str | None
    config: str | None
    rule: str | None = None
    reason: AuditReason | None = None
    item: AuditItem | None = None
    error: str | None = None
    detail: Mapping[str, object] | None = None


class Head(NamedTuple):
    """Where a log ends: the number of its last record and the hash of that line; 0 and "" before the first."""

    seq: int
    hash: str


EMPTY_HEAD = Head(0, "")

_decoder = msgspec.json.Decoder(Record)


def hash_line(line: bytes) -> str:
    """The hash that the next record has as `previous`: SHA-256 of the line's bytes without the newline."""
    return hashlib.sha256(line).hexdigest()


def decode_record(line: bytes) -> Record:
    """The record in a line; ValueError, with the reason, if it holds none."""
    try:
        return _decoder.decode(line)
    except RecursionError as error:
        raise ValueError(str(error)) from None


def format_instant(timestamp: float) -> str:
    """A point in time in RFC 3339, UTC, always to the microsecond, so that texts sort as times do."""
    # Half the time of strftime, which would be the larger part of making a record.
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


class Line(msgspec.Struct, frozen=True):
    """A line as it lies in a file: its number from 1, its bytes, and whether its newline is there."""

    file: Path
    number: int
    content: bytes
    whole: bool


def iter_lines(file: Path) -> Iterator[Line]:
    """The lines of one file of a log, compressed or not, in order; AuditError when it can't be read."""
    try:
        with gzip.open(file) if file.suffix == COMPRESSED else file.open("rb") as stream:
            for number, line in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES), b""), start=1):
                yield Line(file, number, line.removesuffix(b"\n"), line.endswith(b"\n"))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise AuditError(f"the audit log {file} is no whole gzip file ({error}); move it away to go on") from None
    except OSError as error:
        raise AuditError(f"the audit log {file} can't be read: {error.strerror}; check its permissions") from error


def rotated_name(path: Path, first_seq: int) -> str:
    """The name under which a full file at `path` is kept, by the number of its first record."""
    return f"{path.stem}-{first_seq:012d}{path.suffix}"


def log_files(path: Path) -> list[Path]:
    """The files of the log at `path`, oldest first: ours by size, logrotate's, then the current one.

    Rotated files may be compressed. Files are ordered by the first record in each; one without any is left out.
    """
    ours = rf"{re.escape(path.stem)}-\d{{12}}(-\d+)?{re.escape(path.suffix)}"
    # logrotate appends a number or a date, and finds what we rotated by the same pattern as the current file.
    pattern = re.compile(rf"({re.escape(path.name)}|{ours})([.-]\d[\d-]*)*")
    try:
        names = os.listdir(path.parent)  # noqa: PTH208 -- only names are wanted
    except FileNotFoundError:
        return []
    except OSError as error:
        raise AuditError(f"the audit log's directory {path.parent} can't be read: {error.strerror}") from error
    plain = {name.removesuffix(COMPRESSED) for name in names} - {path.name}
    rotated = [
        # While one is being compressed both are there, and the plain one is whole.
        path.parent / (name if name in names else name + COMPRESSED)
        for name in plain
        if pattern.fullmatch(name)
    ]
    ordered = sorted((seq, file) for file in rotated if (seq := first_seq(file)))
    return [file for _, file in ordered] + ([path] if path.name in names else [])


def first_seq(file: Path) -> int:
    """The number of the first record in a file; 0 when there is none."""
    for line in iter_lines(file):
        try:
            return decode_record(line.content).seq
        except ValueError:
            continue
    return 0
