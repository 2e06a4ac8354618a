"""The writer's files: names of the index, framing of rows, headers of arrays, identity of a file and of a row.

The format is the generator's and can't be changed: `meta.jsonl` has one JSON object a line, and the order of its
lines is the order of the rows in the `.npy` arrays beside it.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
from collections.abc import Iterator
from typing import BinaryIO

import msgspec
import numpy as np

from audio_cache_daemon.model import ArrayInfo, FileIdentity, Ints

META_NAME = "meta.jsonl"
CLAP_TEXT_NAME = "clap_text.npy"
CLAP_AUDIO_NAME = "clap_audio.npy"
BGE_TEXT_NAME = "bge_text.npy"
ARRAY_NAMES = (CLAP_TEXT_NAME, CLAP_AUDIO_NAME, BGE_TEXT_NAME)
"""The arrays in the order in which the writer saves them."""

AUDIO_SUFFIXES = (".mp3", ".wav")
MAX_ROW_BYTES = 16 * 2**20
"""A longer line is no row: it is passed over without being held in memory."""

_HEADER_BYTES = 4096
_READ_BYTES = 2**20
_WRITTEN_STEM = re.compile(r".+_\d{12,14}", re.DOTALL)
_LEFTOVER_NAME = re.compile(r"temp_.+_\d{12,14}\.(mp3|wav)|.+_normalized\.mp3", re.DOTALL)


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

    @property
    def created(self) -> float:
        """Creation time in seconds since the epoch; NaN when absent or impossible."""
        value = self.timestamp if self.timestamp is not None else self.ts
        return value if value is not None and 0 < value < math.inf else math.nan

    @property
    def length(self) -> float:
        """Duration in seconds; NaN when absent."""
        value = self.duration_s if self.duration_s is not None else self.dur
        return value if value is not None else math.nan

    @property
    def quality(self) -> float:
        """The quality score; NaN when absent."""
        value = self.clap_similarity
        return value if value is not None and math.isfinite(value) else math.nan


class RowProblem(msgspec.Struct):
    """What is wrong with one line."""

    kind: str
    message: str


_TEXT_FIELDS = ("path", "prompt", "prompt_norm")
_NUMBER_FIELDS = ("duration_s", "clap_similarity", "timestamp", "ts", "dur")
_row_decoder = msgspec.json.Decoder(Row)


def decode_rows(block: bytes) -> list[Row]:
    """The rows of a block of whole lines, all of them sound; msgspec.DecodeError if one is not."""
    # The writer's library writes NaN, which is no JSON. A quote inside a text is escaped, so this is always a key.
    return _row_decoder.decode_lines(block.replace(b'clap_similarity": NaN', b'clap_similarity": null'))


def decode_row(line: bytes) -> tuple[Row | None, list[RowProblem]]:
    """A line as a row, and what is wrong with it. A value of the wrong type is taken as absent."""
    try:
        return _row_decoder.decode(line), []
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        # The writer's own library: it also writes, and reads, NaN and Infinity.
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        kind = "blank_line" if not line.strip() else "unreadable_line"
        return None, [RowProblem(kind, "a blank line" if kind == "blank_line" else f"not JSON: {error}")]
    if not isinstance(values, dict):
        return None, [RowProblem("unreadable_line", f"not an object but {type(values).__name__}")]
    return _row_from_values(values)


def _row_from_values(values: dict[str, object]) -> tuple[Row, list[RowProblem]]:
    problems = [
        RowProblem("foreign_key", f"key {key!r} is unknown to the generator, which won't start on it")
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

    Of a line over MAX_ROW_BYTES only the beginning is handed on, as a line of its own that can't be a row, so
    that memory stays bounded while the count of lines stays true.
    """
    start, held = file.tell(), b""
    while block := file.read(size):
        held += block
        end = held.rfind(b"\n") + 1
        if end:
            yield start, held[:end]
            start, held = start + end, held[end:]
        elif len(held) > MAX_ROW_BYTES:
            yield start, held[:64] + b"\n"
            start += len(held) + _skip_line(file, size)
            file.seek(start)
            held = b""
    if held:
        yield start, held


def _skip_line(file: BinaryIO, size: int) -> int:
    skipped = 0
    while block := file.read(size):
        end = block.find(b"\n") + 1
        if end:
            return skipped + end
        skipped += len(block)
    return skipped


def read_lines(descriptor: int, offset: Ints, rows: Ints, gap: int = 2**14) -> Iterator[bytes]:
    """The lines of the ascending row numbers `rows`, given all rows' byte offsets.

    Rows less than `gap` bytes apart are read together: reading on is cheaper than asking again. A file that
    became shorter yields short or empty lines.
    """
    if len(rows) == 0:
        return
    starts, ends = offset[rows], offset[rows + 1]
    apart = np.flatnonzero((starts[1:] - ends[:-1] > gap) | (starts[1:] // _READ_BYTES != starts[:-1] // _READ_BYTES))
    for first, last in zip(np.r_[0, apart + 1].tolist(), np.r_[apart, len(rows) - 1].tolist(), strict=True):
        base = int(starts[first])
        block = os.pread(descriptor, int(ends[last]) - base, base)
        pieces = zip((starts[first : last + 1] - base).tolist(), (ends[first : last + 1] - base).tolist(), strict=True)
        for start, end in pieces:
            yield block[start:end]


def row_id(line: bytes, occurrence: int) -> str:
    """What names an item across rewrites: a hash of its row's bytes, and which of the identical rows it is."""
    digest = hashlib.blake2b(line.rstrip(b"\r\n"), digest_size=8)
    digest.update(b"\n%d" % occurrence)
    return digest.hexdigest()


def read_ids(descriptor: int, offset: Ints, rows: Ints) -> list[str]:
    """The ids of the rows of these ascending numbers, those that repeat others to the letter going by the first."""
    return [row_id(line, 0) for line in read_lines(descriptor, offset, rows)]


def stray_id(path: str) -> str:
    """What names a file without a row: a hash of its absolute path."""
    return hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def identify(status: os.stat_result) -> FileIdentity:
    """The identity of a file from its `stat`."""
    return FileIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def read_array_info(name: str, descriptor: int) -> ArrayInfo:
    """What the header of an open `.npy` file says; ValueError when it isn't an array of rows that the writer makes.

    The header is checked against the size of the file, so that a forged shape is found here.
    """
    identity = identify(os.fstat(descriptor))
    head = os.pread(descriptor, _HEADER_BYTES, 0)
    shape, fortran, dtype, data_offset = _parse_header(head)
    if dtype.hasobject or dtype.kind != "f" or fortran or len(shape) != 2:
        raise ValueError(f"an array of {dtype}, shape {shape}, is not what the generator writes")
    rows, width = shape
    if identity.size != data_offset + rows * width * dtype.itemsize:
        raise ValueError(f"its header says {rows} x {width}, but the file has {identity.size} bytes")
    return ArrayInfo(name, identity, rows, width, dtype.str, data_offset)


def _parse_header(head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[np.generic], int]:
    stream = io.BytesIO(head)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except (ValueError, EOFError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"no readable .npy header: {error}") from None
    return shape, fortran, dtype, stream.tell()


def array_header(info: ArrayInfo, rows: int) -> bytes:
    """A header like that of `info`, for `rows` rows; (0, width) when there are none, as the writer needs it."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": info.dtype, "fortran_order": False, "shape": (rows, info.width)}
    )
    return stream.getvalue()


def is_audio_name(name: str) -> bool:
    """Whether the name ends like an audio file of the writer's."""
    return name[-4:].lower() in AUDIO_SUFFIXES


def is_written_name(name: str) -> bool:
    """Whether the writer gives files names like this one: an audio suffix, and `_` with milliseconds before it."""
    return is_audio_name(name) and _WRITTEN_STEM.fullmatch(name[:-4]) is not None


def is_leftover_name(name: str) -> bool:
    """Whether this is one of the writer's names for files that live only while a sound is being made."""
    return _LEFTOVER_NAME.fullmatch(name) is not None
