"""`dedupe`: all but the best few of the items that have one prompt, or the same bytes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from audio_cache_daemon.model import Bools, Floats, Ints, Rows, Truth
from audio_cache_daemon.retention.judgement import Judgement, rank_in_groups, row_age
from audio_cache_daemon.retention.policy import Dedupe, Preference
from audio_cache_daemon.retention.takes import Takes, rank_takes

# What ranks first has the lowest number.
_KEYS: dict[Preference, Callable[[Rows, Floats], Floats]] = {
    "quality": lambda rows, _: -rows.quality,
    "newest": lambda _, age: age,
    "oldest": lambda _, age: -age,
    # A duration of 0 is the writer's word for audio that it could not read.
    "longest": lambda rows, _: np.where(rows.duration > 0, -rows.duration, np.nan),
}


def surplus(rows: Rows, criterion: Dedupe, left: Bools, protected: Bools, now: float) -> Judgement:
    """Which rows rank behind the `keep` best of their group; measured is the rank.

    Groups are made of the rows that are `left` by earlier rules. The protected rank first, then those whose file
    is there, then as preferred, then the newest. A row that lacks a value to rank it by is undecidable: it stays,
    and doesn't count as kept.
    """
    group = rows.prompt if criterion.by == "prompt" else rows.content
    members = left & (rows.decided() if criterion.by == "prompt" else rows.present()) & (group >= 0)
    age = row_age(rows, now)
    if criterion.is_by_ear:
        assert rows.sounds is not None, "the scan was not asked for them"
        unplaceable, ranks = _rank_by_ear(Takes(rows, rows.sounds, age, protected), criterion, members)
    else:
        keys = [_KEYS[preference](rows, age) for preference in (*criterion.prefer, "newest")]
        unplaceable = np.logical_or.reduce([np.isnan(key) for key in keys]) & members & ~protected
        ranks = rank_in_groups(group, members & ~unplaceable, [~protected, ~rows.present(), *keys])
    truth = np.where(ranks > criterion.keep, Truth.TRUE, Truth.FALSE)
    truth[protected] = Truth.FALSE
    truth[unplaceable] = Truth.UNDECIDABLE
    first = np.full(int(group.max(initial=-1)) + 1, -1, np.int64)
    first[group[ranks == 1]] = np.flatnonzero(ranks == 1)
    keeper = np.where(members, first[group] if len(first) else -1, -1)
    return Judgement(truth.astype(np.uint8), np.where(ranks > 0, ranks, np.nan), float(criterion.keep), keeper)


def _rank_by_ear(takes: Takes, criterion: Dedupe, members: Bools) -> tuple[Bools, Ints]:
    """Which members can't be ranked, and the ranks of the others; a prompt with few takes is left as it is."""
    prompt = takes.rows.prompt
    several = np.bincount(prompt[members], minlength=int(prompt.max(initial=0)) + 1)[prompt] > criterion.keep
    unplaceable = members & several & ~takes.placeable() & ~takes.protected
    ranks = rank_takes(takes, members & several & ~unplaceable, criterion.keep, criterion.diversity)
    return unplaceable, ranks
