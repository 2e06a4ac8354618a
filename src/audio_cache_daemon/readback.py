"""The texts of rows, read back from `meta.jsonl` by byte offset when they are shown or acted on."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.columns import are_among, iter_rows, look_up, parts
from audio_cache_daemon.errors import InconsistentIndexError
from audio_cache_daemon.formats import Row, decode_row, identify, read_lines, sample_lines
from audio_cache_daemon.ids import row_id
from audio_cache_daemon.location import META_NAME
from audio_cache_daemon.model import FileIdentity, Ints, Inventory, Rows
from audio_cache_daemon.paths import open_regular

_FEW = 1000
"""Of so many rows at most it is looked first which others are like them: less work than to sort a whole column."""

_ODD = np.int64(0x4F1BBCDCBFA53E0B)
"""An odd number without a pattern, 2^63 divided by the golden ratio, so that small numbers spread over all bits."""


_UPPER_HALF = 32


class ReadRow(msgspec.Struct, frozen=True, gc=False):
    """A row as it stands in the file: its number, its id, its bytes, and its values (None: it is no row)."""

    number: int
    id: str
    line: bytes
    row: Row | None

    @property
    def path(self) -> str:
        return self.row.path or "" if self.row is not None else ""

    @property
    def prompt(self) -> str | None:
        return self.row.prompt if self.row is not None else None


class RowReader:
    """Reads rows of an inventory again. A context manager; InconsistentIndexError if the index changed since.

    Unless it `may_have_grown`: the rows of the inventory are where they were when the generator has appended others.
    """

    def __init__(self, inventory: Inventory, *, may_have_grown: bool = True) -> None:
        path = inventory.location.path / META_NAME
        self._rows = inventory.rows
        try:
            self._descriptor = open_regular(path)
        except OSError as error:
            raise InconsistentIndexError(f"{path} can't be read any more: {error.strerror}; try again") from None
        found = identify(os.fstat(self._descriptor))
        if found != inventory.index.identity and not (may_have_grown and self._has_grown(inventory, found)):
            os.close(self._descriptor)
            raise InconsistentIndexError(f"{path} changed since it was scanned; nothing was changed: try again")

    def _has_grown(self, inventory: Inventory, found: FileIdentity) -> bool:
        known, end = inventory.index.identity, int(inventory.rows.offset[-1])
        is_longer = (found.device, found.inode) == (known.device, known.inode) and found.size > known.size
        sample = inventory.index.sample
        # A line that had no end may have been written on.
        was_whole = sample is not None and sample[1].endswith(b"\n")
        return is_longer and was_whole and sample_lines(self._descriptor, end) == sample

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def read(self, numbers: Ints) -> Iterator[ReadRow]:
        """The rows of these ascending numbers."""
        occurrence = self._count_repeated(numbers)
        lines = read_lines(self._descriptor, self._rows.offset, numbers)
        for (number,), line in zip(iter_rows(numbers), lines, strict=True):
            row, _ = decode_row(line)
            yield ReadRow(number, row_id(line, occurrence.get(number, 0)), line, row)

    def read_path(self, number: int) -> str:
        """The path in one row, or "": for many, one by one, since only ids depend on other rows."""
        row, _ = decode_row(next(read_lines(self._descriptor, self._rows.offset, np.array([number]))))
        return row.path or "" if row is not None else ""

    def _count_repeated(self, numbers: Ints) -> dict[int, int]:
        """For each of these rows, and perhaps others, that repeats earlier ones to the letter: how many it repeats.

        Only lines that agree in time and prompt can, so few are read. (Their length may differ by the end of the line.)
        """
        rows = self._rows
        like = _of_same_prompts(rows.prompt, numbers if len(numbers) <= _FEW else None)
        mixed = np.empty(len(like), np.uint32)
        for part in parts(len(like)):
            mixed[part] = _mix(rows, like[part])
        ordered = np.sort(mixed)
        several = ordered[1:][ordered[1:] == ordered[:-1]]
        suspects = like[are_among(mixed, several)].astype(np.int64)
        seen: Counter[bytes] = Counter()
        repeated: dict[int, int] = {}
        for number, line in zip(suspects.tolist(), read_lines(self._descriptor, rows.offset, suspects), strict=True):
            digest = hashlib.blake2b(line.rstrip(b"\r\n"), digest_size=16).digest()
            if seen[digest]:
                repeated[number] = seen[digest]
            seen[digest] += 1
        return repeated


def _mix(rows: Rows, numbers: NDArray[np.integer]) -> NDArray[np.uint32]:
    """A hash of time and prompt of each row: what collides is read as well, and told apart by its bytes."""
    times: Ints = np.nan_to_num(rows.timestamp[numbers]).view(np.int64)
    mixed: Ints = (rows.prompt[numbers] * _ODD ^ times) * _ODD
    return (mixed >> _UPPER_HALF).astype(np.uint32)


def _of_same_prompts(prompt: NDArray[np.int32], numbers: Ints | None) -> NDArray[np.integer]:
    """The rows whose prompt is that of one of these; without them all."""
    if numbers is None:
        return np.arange(len(prompt), dtype=np.int32)
    # One place more, the last: for those without a prompt, whose number is -1.
    wanted = np.zeros(int(prompt.max(initial=-1)) + 2, np.bool_)
    wanted[prompt[numbers]] = True
    return np.flatnonzero(look_up(wanted, prompt))


def find_rows(inventory: Inventory, name: str) -> list[int]:
    """The numbers of the rows that have this row number, id, path, file name or prompt."""
    if name.isdecimal():
        number = int(name)
        return [number] if number < len(inventory.rows) else []
    with RowReader(inventory) as reader:
        return [read.number for read in reader.read(np.arange(len(inventory.rows))) if _is_meant(read, name)]


def _is_meant(read: ReadRow, name: str) -> bool:
    names = (read.id, read.path, read.path.rpartition("/")[2], read.prompt, read.row and read.row.prompt_norm)
    return name in names
