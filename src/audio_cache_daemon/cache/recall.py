"""What is remembered of rows: since when their file is missing, until when nothing takes them."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.columns import are_among
from audio_cache_daemon.formats import read_ids, read_lines, row_key
from audio_cache_daemon.held import HeldRows, unpack_held
from audio_cache_daemon.model import Floats, Memory, Rows


def recall(meta: int, rows: Rows, memory: Memory | None, pins: HeldRows) -> Rows:
    """The rows with what is remembered of them: since when their file is missing, until when they are held."""
    rows = replace(rows, pinned_until=_until(meta, rows, pins))
    if memory is None:
        return rows
    missing = np.flatnonzero(rows.missing())
    ids = tuple(read_ids(meta, rows.offset, missing))
    since = rows.missing_since
    if ids:
        since = since.copy()
        since[missing] = [memory.missing_since.get(text, np.nan) for text in ids]
    return replace(rows, missing_since=since, missing_ids=ids, held_until=_until(meta, rows, unpack_held(memory.held)))


def _until(meta: int, rows: Rows, held: HeldRows) -> Floats:
    """Until when each row is held; NaN for those that aren't."""
    if not len(held):
        return np.broadcast_to(np.nan, len(rows))
    known = are_among(rows.timestamp, np.sort(held["timestamp"]))
    unknown = np.isnan(rows.timestamp) & np.isnan(held["timestamp"]).any()
    in_question = np.flatnonzero(known | unknown)
    keys = (row_key(line, 0) for line in read_lines(meta, rows.offset, in_question))
    ids = np.fromiter(keys, np.uint64, len(in_question))
    places = np.minimum(np.searchsorted(held["id"], ids), len(held) - 1)
    until = np.full(len(rows), np.nan)
    until[in_question] = np.where(held["id"][places] == ids, held["until"][places], np.nan)
    return until
