"""What a condition says of each subject, and the ages and ranks that conditions are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.model import Bools, Floats, Ints, Rows, Strays, Truth, Truths


@dataclass(frozen=True, slots=True)
class Judgement:
    """One condition over all subjects: whether it holds, the value that was measured, the limit it is held against.

    `keeper` is for each subject the row whose copy stays, or -1; None where the condition knows no keepers.
    """

    truth: Truths
    value: Floats
    threshold: float = np.nan
    keeper: Ints | None = None


def judge_false(count: int) -> Judgement:
    """A condition that holds for none of `count` subjects."""
    return Judgement(np.full(count, Truth.FALSE, np.uint8), np.full(count, np.nan))


def judge_older(age: Floats, seconds: float) -> Judgement:
    """Whether ages are over `seconds`: exactly that old is not over it, an unknown age (NaN) is undecidable."""
    truth = np.where(np.isnan(age), Truth.UNDECIDABLE, np.where(age > seconds, Truth.TRUE, Truth.FALSE))
    return Judgement(truth.astype(np.uint8), age, seconds)


def age_since(moment: Floats, now: float) -> Floats:
    """Seconds since each moment; NaN for one that is unknown or still to come."""
    age = now - moment
    age[age < 0] = np.nan
    return age


def row_age(rows: Rows, now: float) -> Floats:
    """Ages of rows by their timestamp."""
    return age_since(rows.timestamp, now)


def stray_age(strays: Strays, now: float) -> Floats:
    """Ages of files without a row, by the later of mtime and ctime."""
    return age_since(strays.changed, now)


def rank_in_groups(group: NDArray[Any], members: Bools, keys: Sequence[NDArray[Any]]) -> Ints:
    """The place of each member in its group, from 1; 0 for those that are no members or in no group (-1).

    `keys` are compared from first to last, lower values rank first; the lower number breaks what ties remain.
    """
    ranks = np.zeros(len(group), np.int64)
    subset = np.flatnonzero(members & (group >= 0))
    order = subset[np.lexsort((*(key[subset] for key in reversed(keys)), group[subset]))]
    sorted_group = group[order]
    starts = np.flatnonzero(np.r_[True, sorted_group[1:] != sorted_group[:-1]][: len(order)])
    sizes = np.diff(np.append(starts, len(order)))
    ranks[order] = np.arange(len(order)) - np.repeat(starts, sizes) + 1
    return ranks
