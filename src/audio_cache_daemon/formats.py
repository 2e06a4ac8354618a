"""The writer's files: framing of rows, headers of arrays, identity of a file.

The format is the generator's and can't be changed: `meta.jsonl` has one JSON object a line, and the order of its
lines is the order of the rows in the `.npy` arrays beside it.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import msgspec
import numpy as np

from audio_cache_daemon.columns import parts
from audio_cache_daemon.model import ArrayInfo, FileIdentity, Floats, Ints
from audio_cache_daemon.paths import inode_of

MAX_ROW_BYTES = 16 * 2**20
"""A longer line is no row: it is passed over without being held in memory."""

_COMPARED_BYTES = 4096
"""The writer only appends. So much of the beginning, and of what was read last, must still be there to believe it."""

_HEADER_BYTES = 4096
_READ_BYTES = 2**18
_GAP_BYTES = 2**14
_OVERLONG_LINE = b"\0 a line over MAX_ROW_BYTES"

_LONGEST_SOUND = 1e9
"""Seconds, 30 years: a longer duration can't be true, and might not fit the column."""

_HIGHEST_SCORE = 1.001
"""Of two vectors of length 1, with a margin for rounding."""


class Row(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A row of `meta.jsonl`, of either generation: old rows say `ts` for `timestamp` and `dur` for `duration_s`.

    The order of the fields is theirs in the file; an unknown key is an error, because the writer fails on it.
    """

    path: str | None = None
    prompt: str | None = None
    prompt_norm: str | None = None
    duration_s: float | None = None
    clap_similarity: float | None = None
    timestamp: float | None = None
    ts: float | None = None
    dur: float | None = None


def creation_times(rows: Sequence[Row]) -> Floats:
    """Creation times in seconds since the epoch; NaN where absent or impossible."""
    # None becomes NaN in an array of floats.
    values = np.array([row.ts if row.timestamp is None else row.timestamp for row in rows], np.float64)
    return np.where((values > 0) & (values < np.inf), values, np.nan)


def durations(rows: Sequence[Row]) -> Floats:
    """Durations in seconds; NaN where absent or impossible."""
    values = np.array([row.dur if row.duration_s is None else row.duration_s for row in rows], np.float64)
    return np.where((values >= 0) & (values <= _LONGEST_SOUND), values, np.nan)


def qualities(rows: Sequence[Row]) -> Floats:
    """Quality scores; NaN where absent or impossible."""
    values = np.array([row.clap_similarity for row in rows], np.float64)
    return np.where(np.abs(values) <= _HIGHEST_SCORE, values, np.nan)


class RowProblem(msgspec.Struct):
    """What is wrong with one line."""

    kind: str
    message: str


_TEXT_FIELDS = ("path", "prompt", "prompt_norm")
_NUMBER_FIELDS = ("duration_s", "clap_similarity", "timestamp", "ts", "dur")
_row_decoder = msgspec.json.Decoder(Row)


def line_ends(block: bytes) -> Ints:
    """Where the lines of a block end, each behind its newline; what stands behind the last one isn't counted."""
    return np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + 1


def decode_rows(block: bytes, ends: Ints) -> list[Row] | None:
    """The rows of a block whose lines end at these places, or None unless each line is a sound row."""
    try:
        # The writer's library writes NaN, which is no JSON. A quote inside a text is escaped, so this is always a key.
        rows = _row_decoder.decode_lines(block.replace(b'clap_similarity": NaN', b'clap_similarity": null'))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    # The decoder takes several objects on one line, and passes over blank ones: that each line has its own must show.
    text = np.frombuffer(block, np.uint8)
    alone = len(rows) == len(ends) and (text[ends - 2] == ord("}")).all() and (text[ends[:-1]] == ord("{")).all()
    return rows if alone and block.endswith(b"}\n") else None


def decode_row(line: bytes) -> tuple[Row | None, list[RowProblem]]:
    """A line as a row, and what is wrong with it. A value of the wrong type is taken as absent."""
    try:
        return _row_decoder.decode(line), []
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    if not line.strip():
        return None, [RowProblem("blank_line", "a blank line")]
    if line.startswith(_OVERLONG_LINE):
        return None, [RowProblem("unreadable_line", f"longer than {MAX_ROW_BYTES} bytes")]
    try:
        # The writer's own library: it also writes, and reads, NaN and Infinity. From bytes it would guess an encoding.
        values = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        return None, [RowProblem("unreadable_line", f"not JSON: {error}")]
    if not isinstance(values, dict):
        return None, [RowProblem("unreadable_line", f"not an object but {type(values).__name__}")]
    return _row_from_values(values)


def _row_from_values(values: dict[str, object]) -> tuple[Row, list[RowProblem]]:
    problems = [
        RowProblem("foreign_key", f"key {key[:80]!r} is unknown to the generator, which won't start on it")
        for key in values
        if key not in _TEXT_FIELDS and key not in _NUMBER_FIELDS
    ]
    row = Row()
    for key in _TEXT_FIELDS + _NUMBER_FIELDS:
        value = values.get(key)
        if value is None:
            continue
        if key in _TEXT_FIELDS and isinstance(value, str):
            setattr(row, key, value)
        elif key in _NUMBER_FIELDS and isinstance(value, int | float) and not isinstance(value, bool):
            setattr(row, key, _as_float(value))
        else:
            problems.append(RowProblem("mistyped_value", f"{key} is {type(value).__name__}, so it counts as absent"))
    return row, problems


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.nan


def iter_blocks(file: BinaryIO, size: int = 2**18) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes of blocks of whole lines, about `size` bytes each; the last may lack its newline.

    In place of a line over MAX_ROW_BYTES a short one is handed on that can't be a row, so that memory stays bounded
    while the count of lines stays true. After the last block the file's position is the end of its last line.
    """
    start, held = file.tell(), b""
    while block := file.read(size):
        end = block.rfind(b"\n") + 1
        if end:
            yield start, held + block[:end]
            start += len(held) + end
            held = block[end:]
            continue
        held += block
        if len(held) > MAX_ROW_BYTES:
            newline = _skip_line(file, size)
            yield start, _OVERLONG_LINE + newline
            start, held = file.tell(), b""
    if held:
        yield start, held


def _skip_line(file: BinaryIO, size: int) -> bytes:
    """Go on to the beginning of the next line; the newline before it, or nothing when the file ends first."""
    while block := file.read(size):
        end = block.find(b"\n") + 1
        if end:
            file.seek(end - len(block), os.SEEK_CUR)
            return b"\n"
    return b""


def read_lines(descriptor: int, offset: Ints, rows: Ints, gap: int = _GAP_BYTES) -> Iterator[bytes]:
    """The lines of the ascending row numbers `rows`, given all rows' byte offsets.

    Rows less than `gap` bytes apart are read together: reading on is cheaper than asking again. A file that
    became shorter yields short or empty lines.
    """
    for part in parts(len(rows)):
        some = rows[part]
        yield from _read_ranges(descriptor, offset[some], offset[some + 1], gap)


def read_vectors(descriptor: int, info: ArrayInfo, rows: Ints) -> Iterator[bytes]:
    """The bytes of these ascending rows of an array; of a file that became shorter, short or empty ones."""
    for part in parts(len(rows)):
        starts = info.data_offset + rows[part] * info.row_bytes
        yield from _read_ranges(descriptor, starts, starts + info.row_bytes, _GAP_BYTES)


def _read_ranges(descriptor: int, starts: Ints, ends: Ints, gap: int) -> Iterator[bytes]:
    apart = np.flatnonzero((starts[1:] - ends[:-1] > gap) | (starts[1:] // _READ_BYTES != starts[:-1] // _READ_BYTES))
    for first, last in zip(np.r_[0, apart + 1].tolist(), np.r_[apart, len(starts) - 1].tolist(), strict=True):
        base = int(starts[first])
        block = os.pread(descriptor, int(ends[last]) - base, base)
        pieces = zip((starts[first : last + 1] - base).tolist(), (ends[first : last + 1] - base).tolist(), strict=True)
        for start, end in pieces:
            yield block[start:end]


def identify(status: os.stat_result) -> FileIdentity:
    """The identity of a file from its `stat`."""
    return FileIdentity(status.st_dev, inode_of(status), status.st_size, status.st_mtime_ns)


def sample_lines(descriptor: int, end: int) -> tuple[bytes, bytes]:
    """The first and the last bytes of a file up to `end`: what tells that lines were only appended there since."""
    start = max(0, end - _COMPARED_BYTES)
    return os.pread(descriptor, min(end, _COMPARED_BYTES), 0), os.pread(descriptor, end - start, start)


def read_array_info(name: str, descriptor: int) -> ArrayInfo:
    """What the header of an open `.npy` file says; ValueError when it isn't an array of rows that the writer makes.

    The header is checked against the size of the file, so that a forged shape is found here.
    """
    identity = identify(os.fstat(descriptor))
    head = os.pread(descriptor, _HEADER_BYTES, 0)
    shape, fortran, dtype, data_offset = _parse_header(head)
    # To Python, and so to numpy's parser, True is a number.
    is_table = len(shape) == 2 and all(type(size) is int for size in shape) and shape[0] >= 0 and shape[1] >= 1
    if dtype.kind != "f" or fortran or not is_table:
        raise ValueError(f"an array of {dtype}, shape {shape}, is not what the generator writes")
    rows, width = shape
    if identity.size != data_offset + rows * width * dtype.itemsize:
        raise ValueError(f"its header says {rows} x {width}, but the file has {identity.size} bytes")
    return ArrayInfo(name, identity, rows, width, dtype.str, data_offset)


_HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def _parse_header(head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[np.generic], int]:
    stream = io.BytesIO(head)
    try:
        shape, fortran, dtype = _HEADER_READERS[np.lib.format.read_magic(stream)](stream)
    except Exception as error:  # noqa: BLE001 - a forged header can make numpy's parser raise anything
        raise ValueError(f"no readable .npy header: {error}") from None
    return shape, fortran, dtype, stream.tell()


def row_offsets(info: ArrayInfo) -> Ints:
    """Where the rows of an array begin in its file, and where the last one ends."""
    return info.data_offset + np.arange(info.rows + 1, dtype=np.int64) * info.row_bytes


def array_header(info: ArrayInfo, rows: int) -> bytes:
    """A header like that of `info`, for `rows` rows; (0, width) when there are none, as the writer needs it."""
    stream = io.BytesIO()
    header = {"descr": info.dtype, "fortran_order": False, "shape": (rows, info.width)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()
