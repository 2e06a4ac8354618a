"""Columns read row by row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROWS_AT_ONCE = 4096


def iter_rows(*columns: NDArray[Any], at: NDArray[np.integer] | None = None) -> Iterator[tuple[Any, ...]]:
    """The values of parallel columns, all of them or those `at` these places, as Python's own.

    Of a single entry of a column those cost far more. A part at a time, since a million of them take thirty times the
    column's memory.
    """
    for first in range(0, len(columns[0] if at is None else at), _ROWS_AT_ONCE):
        part: Any = slice(first, first + _ROWS_AT_ONCE)
        if at is not None:
            part = at[part]
        yield from zip(*(column[part].tolist() for column in columns), strict=True)


def are_among(values: NDArray[Any], ordered: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are among the ordered ones; numpy's isin would sort both, in five times their memory."""
    if not len(ordered):
        return np.zeros(len(values), np.bool_)
    places = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    found: NDArray[np.bool_] = ordered[places] == values
    return found
