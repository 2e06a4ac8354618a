"""What is to become of each file of an index: which parts of it stay, and what comes behind or between them.

A part is a list of ranges: of bytes of `meta.jsonl`, of rows of an array. What stays is copied as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np

from audio_cache_daemon.eviction.ranges import kept_ranges
from audio_cache_daemon.location import META_NAME
from audio_cache_daemon.manifest import ROWS_NAME
from audio_cache_daemon.model import ArrayInfo, Bools, FileIdentity, Ints, Inventory


class Kept(msgspec.Struct, frozen=True):
    """Ranges of the old file itself, ascending: [starts[i], ends[i])."""

    starts: Ints
    ends: Ints


class Copied(msgspec.Struct, frozen=True):
    """Ranges of another file: of bytes of a file of lines, or of rows of a `.npy` file whose rows are alike."""

    path: Path
    starts: Ints
    ends: Ints


class Zeros(msgspec.Struct, frozen=True):
    """Rows of zeros, which match no query. Of an array only."""

    count: int


Part: TypeAlias = Kept | Copied | Zeros


class FileChange(msgspec.Struct, frozen=True):
    """What is to take the place of one file of the index: `parts`, in order.

    `old` is the file as it was read. `like` says what an array's rows are like: the old array's own header, or, when
    that can't be read (then nothing of it can be kept), any array's with such rows; None for `meta.jsonl`.
    `keep_old` keeps the old file for good, under a name in the state directory: nobody asked for its removal.
    """

    name: str
    old: FileIdentity
    parts: tuple[Part, ...]
    like: ArrayInfo | None = None
    keep_old: bool = False


class Addition(msgspec.Struct, frozen=True):
    """Rows that come back: numbers of rows saved in `directory`, and the byte offsets of all that are saved there."""

    directory: Path
    offset: Ints
    rows: Ints


def changes_of(inventory: Inventory, kept: Bools, added: Addition | None = None) -> list[FileChange]:
    """The changes that leave the rows `kept` of an index, and add those that come back.

    Of a short array only those rows are kept that are known to belong to their lines; the other lines get zeros, since
    another row's vector would mislead.
    """
    lines: list[Part] = [Kept(*kept_ranges(inventory.rows.offset, kept))]
    if added is not None:
        starts, ends = added.offset[added.rows], added.offset[added.rows + 1]
        lines.append(Copied(added.directory / ROWS_NAME, starts, ends))
    changes = [FileChange(META_NAME, inventory.index.identity, tuple(lines))]
    numbers = np.arange(len(kept) + 1, dtype=np.int64)
    for name, info in inventory.index.arrays.items():
        short = info.rows != len(kept)
        known = inventory.index.aligned if short else len(kept)
        rows: list[Part] = [Kept(*kept_ranges(numbers[: known + 1], kept[:known]))]
        if short:
            rows.append(Zeros(int(kept[known:].sum())))
        if added is not None:
            rows.append(_vectors_of(added, name))
        changes.append(FileChange(name, info.identity, tuple(rows), info, keep_old=short))
    return changes


def _vectors_of(added: Addition, name: str) -> Part:
    """The saved vectors of the rows that come back; zeros where they weren't saved, being none of these rows' own."""
    if not (added.directory / name).exists():
        return Zeros(len(added.rows))
    return Copied(added.directory / name, added.rows, added.rows + 1)
