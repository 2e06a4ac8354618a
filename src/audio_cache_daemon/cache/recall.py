"""What is remembered of rows: since when their file is missing, until when nothing takes them, which are aligned."""

from __future__ import annotations

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from audio_cache_daemon.columns import are_among
from audio_cache_daemon.formats import read_lines
from audio_cache_daemon.held import HeldRows, unpack_held
from audio_cache_daemon.ids import read_keys, row_id, spell_keys
from audio_cache_daemon.model import ArrayInfo, Floats, Ints, Memory, Rows


class MissingRows(msgspec.Struct, frozen=True):
    """Rows, ascending, whose files were missing at an earlier scan, and their ids as numbers."""

    rows: Ints = msgspec.field(default_factory=lambda: np.empty(0, np.int64))
    keys: NDArray[np.uint64] = msgspec.field(default_factory=lambda: np.empty(0, np.uint64))


def recall(meta: int, rows: Rows, memory: Memory | None, pins: HeldRows, known: MissingRows) -> Rows:
    """The rows with what is remembered of them: since when their file is missing, until when they are held.

    The lines of those that are `known` to be missing aren't read.
    """
    rows = replace(rows, pinned_until=_until(meta, rows, pins))
    if memory is None:
        return rows
    missing = np.flatnonzero(rows.missing())
    keys = _read_keys_of(missing, meta, rows.offset, known)
    since = rows.missing_since
    if len(keys):
        since = since.copy()
        since[missing] = [memory.missing_since.get(id_, np.nan) for id_ in spell_keys(keys)]
    return replace(
        rows, missing_since=since, missing_keys=keys, held_until=_until(meta, rows, unpack_held(memory.held))
    )


def _read_keys_of(missing: Ints, meta: int, offset: Ints, known: MissingRows) -> NDArray[np.uint64]:
    is_known = are_among(missing, known.rows)
    keys = np.empty(len(missing), np.uint64)
    keys[is_known] = known.keys[are_among(known.rows, missing)]
    keys[~is_known] = read_keys(meta, offset, missing[~is_known])
    return keys


def _until(meta: int, rows: Rows, held: HeldRows) -> Floats:
    """Until when each row is held; NaN for those that aren't."""
    if not len(held):
        return np.broadcast_to(np.nan, len(rows))
    known = are_among(rows.timestamp, np.sort(held["timestamp"]))
    unknown = np.isnan(rows.timestamp) & np.isnan(held["timestamp"]).any()
    in_question = np.flatnonzero(known | unknown)
    ids = read_keys(meta, rows.offset, in_question)
    places = np.minimum(np.searchsorted(held["id"], ids), len(held) - 1)
    until = np.full(len(rows), np.nan)
    until[in_question] = np.where(held["id"][places] == ids, held["until"][places], np.nan)
    return until


def count_aligned(meta: int, offset: Ints, bge: ArrayInfo | None, memory: Memory | None) -> int:
    """How many lines from the front were seen with a row in each array; none if they aren't those any more."""
    aligned = memory.aligned if memory is not None else None
    if aligned is None or bge is None or not 0 < aligned.rows < len(offset):
        return 0
    last = next(read_lines(meta, offset, np.array([aligned.rows - 1])))
    is_same = bge.identity.inode == aligned.inode and bge.rows >= aligned.rows
    return aligned.rows if is_same and row_id(last, 0) == aligned.last else 0
