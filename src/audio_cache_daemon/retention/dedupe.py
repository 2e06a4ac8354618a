"""`dedupe`: all but the best of the items that have one prompt, or the same bytes, or that sound alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.model import Bools, Floats, Ints, Rows
from audio_cache_daemon.retention.judgement import Judgement, Values, rank_in_groups, row_age, truths
from audio_cache_daemon.retention.likeness import find_copies
from audio_cache_daemon.retention.policy import Dedupe, Preference
from audio_cache_daemon.retention.takes import Takes, rank_takes

# What ranks first has the lowest number.
_KEYS: dict[Preference, Callable[[Rows, float, Ints | Bools | slice], Floats]] = {
    "quality": lambda rows, _, which: -rows.quality[which],
    "newest": row_age,
    "oldest": lambda rows, now, which: -row_age(rows, now, which),
    # A duration of 0 is the writer's word for audio that it could not read.
    "longest": lambda rows, _, which: np.where(rows.duration[which] > 0, -rows.duration[which], np.nan),
}


def surplus(rows: Rows, criterion: Dedupe, left: Bools, protected: Bools, now: float) -> Judgement:
    """Which rows rank behind the `keep` best of their group; measured is the rank.

    Groups are made of the rows that are `left` by earlier rules. The protected rank first, then those whose file
    is there, then as preferred, then the newest. A row that lacks a value to rank it by is undecidable: it stays,
    and doesn't count as kept.
    """
    if criterion.by == "sound":
        return _copies(rows, criterion, left & rows.present(), protected, now)
    group = rows.prompt if criterion.by == "prompt" else rows.content
    members = left & (rows.decided() if criterion.by == "prompt" else rows.present()) & (group >= 0)
    if criterion.is_by_ear:
        assert rows.sounds is not None, "the scan was not asked for them"
        takes = Takes(rows, rows.sounds, row_age(rows, now), protected)
        unplaceable, ranks = _rank_by_ear(takes, criterion, members)
    else:
        unplaceable, ranks = _rank(rows, criterion, (group, members, protected), now)
    truth = truths((ranks > criterion.keep) & ~protected, unplaceable)
    # One place more, the last, for rows of no group: their number is -1.
    first = np.full(int(group.max(initial=-1)) + 2, -1, np.int32)
    first[group[ranks == 1]] = np.flatnonzero(ranks == 1)
    keeper = Values(len(rows), lambda which: np.where(members[which], first[group[which]], -1))
    rank = Values(len(rows), lambda which: np.where(ranks[which] > 0, ranks[which], np.nan))
    return Judgement(truth, rank, float(criterion.keep), keeper)


def _rank(
    rows: Rows, criterion: Dedupe, among: tuple[NDArray[np.int32], Bools, Bools], now: float
) -> tuple[Bools, NDArray[np.signedinteger]]:
    """Which members lack a value to rank by, and the ranks of the others; `among` are groups, members, protected."""
    group, members, protected = among
    keys = _keys(rows, criterion, now)
    unplaceable = _unknown(keys) & members & ~protected
    return unplaceable, rank_in_groups(group, members & ~unplaceable, [~protected, ~rows.present(), *keys])


def _keys(rows: Rows, criterion: Dedupe, now: float) -> list[Values]:
    return [Values(len(rows), partial(_KEYS[preference], rows, now)) for preference in (*criterion.prefer, "newest")]


def _unknown(keys: Sequence[Values]) -> Bools:
    """Which rows lack a value to rank them by."""
    unknown: Bools = np.logical_or.reduce([key.unknown() for key in keys])
    return unknown


def _copies(rows: Rows, criterion: Dedupe, members: Bools, protected: Bools, now: float) -> Judgement:
    """Which rows sound like a better one that stays; measured is how alike. The protected are the best.

    A row without a sound, or without a value to rank it by, is undecidable: it stays, and nothing goes for it.
    """
    sounds = rows.sounds
    assert sounds is not None, "the scan was not asked for them"
    group = rows.prompt if criterion.within == "prompt" else np.zeros(len(rows), np.int32)
    members = members & (group >= 0)
    several = np.bincount(group[members], minlength=int(group.max(initial=0)) + 1)[group] > 1
    keys = _keys(rows, criterion, now)
    lacks_value = _unknown(keys) & ~protected
    open_ones = members & several & (lacks_value | (sounds.place < 0))
    compared = np.flatnonzero(members & several & ~open_ones)
    order = compared[np.lexsort([*(key[compared] for key in reversed(keys)), ~protected[compared]])]
    copies = find_copies(sounds, order, group, protected, criterion.similarity)
    truth = truths(copies.keeper >= 0, open_ones & ~protected)
    return Judgement(truth, copies.likeness, criterion.similarity, copies.keeper)


def _rank_by_ear(takes: Takes, criterion: Dedupe, members: Bools) -> tuple[Bools, NDArray[np.signedinteger]]:
    """Which members can't be ranked, and the ranks of the others; a prompt with few takes is left as it is."""
    prompt = takes.rows.prompt
    several = np.bincount(prompt[members], minlength=int(prompt.max(initial=0)) + 1)[prompt] > criterion.keep
    unplaceable = members & several & ~takes.placeable() & ~takes.protected
    ranks = rank_takes(takes, members & several & ~unplaceable, criterion.keep, criterion.diversity)
    return unplaceable, ranks
