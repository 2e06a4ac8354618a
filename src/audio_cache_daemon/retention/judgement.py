"""What a condition says of each subject, and the ages and ranks that conditions are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.columns import parts
from audio_cache_daemon.model import Bools, Floats, Ints, Rows, Strays, Truth, Truths

_RANKED_AT_ONCE = 2**16

_ALL = slice(None)


class Values(msgspec.Struct, frozen=True):
    """A number for each of `count` rows, worked out `of` those that are asked for: of a million it takes 8 MB."""

    count: int
    of: Callable[[Ints | Bools | slice], NDArray[Any]]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, which: Ints | Bools | slice) -> NDArray[Any]:
        return self.of(which)

    def unknown(self) -> Bools:
        """Of which rows it is NaN."""
        found = np.empty(self.count, np.bool_)
        for some in parts(self.count):
            found[some] = np.isnan(self.of(some))
        return found


class Judgement(msgspec.Struct, frozen=True):
    """One condition over all subjects: whether it holds, the value that was measured, the limit it is held against.

    `keeper` is for each subject the row whose copy stays, or -1; None where the condition knows no keepers.
    """

    truth: Truths
    value: Floats | Values
    threshold: float = np.nan
    keeper: NDArray[np.signedinteger] | Values | None = None


def judge_all(count: int, truth: Truth) -> Judgement:
    """A condition of which the same is true for all of `count` subjects, by no measure."""
    return Judgement(np.broadcast_to(np.uint8(truth), count), unmeasured(count))


def unmeasured(count: int) -> Floats:
    """The values of a condition that measures nothing: NaN, once for all of `count` subjects."""
    return np.broadcast_to(np.nan, count)


def truths(holds: Bools, unknown: Bools) -> Truths:
    """Undecidable where it is unknown whether a condition holds, else whether it does."""
    truth = np.where(holds, np.uint8(Truth.TRUE), np.uint8(Truth.FALSE))
    truth[unknown] = Truth.UNDECIDABLE
    return truth


def judge_older(age: Floats | Values, seconds: float) -> Judgement:
    """Whether ages are over `seconds`: exactly that old is not over it, an unknown age (NaN) is undecidable."""
    truth = np.empty(len(age), np.uint8)
    for some in parts(len(age)):
        truth[some] = truths(age[some] > seconds, np.isnan(age[some]))
    return Judgement(truth, age, seconds)


def age_since(moment: Floats, now: float) -> Floats:
    """Seconds since each moment; NaN for one that is unknown or still to come."""
    age = now - moment
    age[age < 0] = np.nan
    return age


def row_age(rows: Rows, now: float, which: Ints | Bools | slice = _ALL) -> Floats:
    """Ages of rows, all of them or some, by their timestamp."""
    return age_since(rows.timestamp[which], now)


def row_ages(rows: Rows, now: float) -> Values:
    """Ages of all rows, by their timestamp."""
    return Values(len(rows), partial(row_age, rows, now))


def stray_age(strays: Strays, now: float) -> Floats:
    """Ages of files without a row, by the later of mtime and ctime."""
    return age_since(strays.changed, now)


def rank_in_groups(group: NDArray[Any], members: Bools, keys: Sequence[NDArray[Any] | Values]) -> NDArray[np.int32]:
    """The place of each member in its group, from 1; 0 for those that are no members or in no group (-1).

    `keys` are compared from first to last, lower values rank first; the lower number breaks what ties remain.
    """
    ranks = np.zeros(len(group), np.int32)
    for subset in _whole_groups(group, members & (group >= 0)):
        order = subset[np.lexsort((*(key[subset] for key in reversed(keys)), group[subset]))]
        sorted_group = group[order]
        starts = np.flatnonzero(np.append(True, sorted_group[1:] != sorted_group[:-1])[: len(order)])
        sizes = np.diff(np.append(starts, len(order)))
        ranks[order] = np.arange(len(order)) - np.repeat(starts, sizes) + 1
    return ranks


def _whole_groups(group: NDArray[Any], members: Bools) -> Iterator[Ints]:
    """The members in parts that hold each group as a whole: to sort all at once takes 60 bytes of each."""
    parts = 1 + int(np.count_nonzero(members)) // _RANKED_AT_ONCE
    bounds = np.linspace(0, int(group.max(initial=0)) + 1, parts + 1).astype(np.int64).tolist()
    for low, high in pairwise(bounds):
        yield np.flatnonzero(members & (group >= low) & (group < high) if parts > 1 else members)
