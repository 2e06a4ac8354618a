"""Rows that nothing takes until some moment: those that were brought back, those that are pinned; however many."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ROW = np.dtype([("id", "<u8"), ("until", "<f8"), ("timestamp", "<f8")])

HeldRows: TypeAlias = NDArray[Any]
"""In ascending order of the ids, as `ids.row_key` has them: `until` when (seconds since the epoch; inf: for good)
nothing takes the row of each `id`, and the row's `timestamp` (NaN: none), by which it is looked for."""

NONE_HELD: HeldRows = np.empty(0, _ROW)


def hold_rows(ids: ArrayLike, until: ArrayLike, timestamp: ArrayLike, held: HeldRows = NONE_HELD) -> HeldRows:
    """The rows of these ids, parallel to what is said of them, beside those `held` before.

    Of an id that stands there twice the last counts.
    """
    every = np.empty(len(held) + np.size(ids), _ROW)
    every[: len(held)] = held
    added = every[len(held) :]
    added["id"], added["until"], added["timestamp"] = ids, until, timestamp
    _, from_end = np.unique(every["id"][::-1], return_index=True)
    return every[::-1][from_end]


def unpack_held(packed: bytes) -> HeldRows:
    """The rows whose bytes, `tobytes`, were kept; ValueError for bytes that are none."""
    held: HeldRows = np.frombuffer(packed, _ROW)
    if not (held["id"][1:] > held["id"][:-1]).all():
        raise ValueError("the ids of rows that were brought back are out of order")
    return held
