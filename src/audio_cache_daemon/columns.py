"""Columns read row by row, or part by part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)

_ROWS_AT_ONCE = 1024
"""So few that their values are still in the processor's second-level cache when they are taken."""


def parts(count: int, size: int = 2**16) -> Iterator[slice]:
    """Slices of `size` that together cover `count` rows: what is worked out of a part takes the memory of a part."""
    return (slice(first, min(count, first + size)) for first in range(0, count, size))


def iter_rows(*columns: NDArray[Any], at: NDArray[np.integer] | None = None) -> Iterator[tuple[Any, ...]]:
    """The values of parallel columns, all of them or those `at` these places, as Python's own.

    Of a single entry of a column those cost far more. A part at a time, since a million of them take thirty times the
    column's memory.
    """
    for part in parts(len(columns[0] if at is None else at), _ROWS_AT_ONCE):
        rows = part if at is None else at[part]
        yield from zip(*(column[rows].tolist() for column in columns), strict=True)


def look_up(table: NDArray[np.bool_], numbers: NDArray[np.integer]) -> NDArray[np.bool_]:
    """What a table says of each number; the last entry is for -1. As one expression it takes nine times the memory."""
    found = np.empty(len(numbers), np.bool_)
    for some in parts(len(numbers)):
        found[some] = table.take(numbers[some])
    return found


def distinct(values: NDArray[T]) -> NDArray[T]:
    """The distinct values in order. So does np.unique, whose first call loads numpy.ma: 20 ms of each command."""
    ordered = np.sort(values)
    return np.concatenate([ordered[:1], ordered[1:][ordered[1:] != ordered[:-1]]])


def are_among(values: NDArray[Any], ordered: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are among the ordered ones; numpy's isin would sort both, in five times their memory."""
    found = np.zeros(len(values), np.bool_)
    for some in parts(len(values) if len(ordered) else 0):
        places = np.minimum(np.searchsorted(ordered, values[some]), len(ordered) - 1)
        found[some] = ordered[places] == values[some]
    return found
