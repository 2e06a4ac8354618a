"""`prefer: [diverse]`: of the takes of a prompt those that are good and unlike each other.

The order is that of maximal marginal relevance (J. Carbonell and J. Goldstein, "The Use of MMR, Diversity-Based
Reranking for Reordering Documents and Producing Summaries", SIGIR 1998): each take that follows is the one with the
highest (1 - diversity) * quality - diversity * (cosine to the most similar take before it).
"""

from __future__ import annotations

import msgspec
import numpy as np

from audio_cache_daemon.columns import parts
from audio_cache_daemon.model import Bools, Floats, Ints, Rows, Sounds
from audio_cache_daemon.retention.judgement import rank_in_groups

_ROWS_AT_ONCE = 4096


class Takes(msgspec.Struct, frozen=True):
    """What takes are ranked by: the rows with quality and sound, their age in seconds, and which are protected."""

    rows: Rows
    sounds: Sounds
    age: Floats
    protected: Bools

    def placeable(self) -> Bools:
        """Which rows have all that they are ranked by."""
        return (self.sounds.place >= 0) & ~np.isnan(self.rows.quality) & ~np.isnan(self.age)


def rank_takes(takes: Takes, members: Bools, keep: int, diversity: float) -> Ints:
    """The place of each member among the takes of its prompt, from 1: the protected first, then as above.

    Only the first `keep` are placed one by one; those behind them are ranked by what they add to these. 0 for others.
    """
    prompt, quality = takes.rows.prompt, takes.rows.quality
    is_missing = ~takes.rows.present()
    ranks = rank_in_groups(prompt, members & takes.protected, [is_missing, -quality, takes.age])
    placed = np.bincount(prompt[ranks > 0], minlength=int(prompt.max(initial=0)) + 1)
    left = members & ~takes.protected
    nearest = np.full(len(members), -np.inf)
    for turn in range(1, int(ranks.max(initial=0)) + 1):
        _hear(takes, np.flatnonzero(ranks == turn), left, nearest)
    # One take of each prompt at a time: best of what is left.
    while (still := left & (placed[prompt] < keep)).any():
        keys = [is_missing, -_worth(quality, nearest, diversity), takes.age]
        best = np.flatnonzero(rank_in_groups(prompt, still, keys) == 1)
        placed[prompt[best]] += 1
        ranks[best] = placed[prompt[best]]
        left[best] = False
        _hear(takes, best, left, nearest)
    keys = [is_missing, -_worth(quality, nearest, diversity), takes.age]
    return np.where(left, placed[prompt] + rank_in_groups(prompt, left, keys), ranks)


def _hear(takes: Takes, chosen: Ints, left: Bools, nearest: Floats) -> None:
    """Note for the takes that are left how alike they sound to the chosen one of their prompt, if more than before."""
    prompt, sounds = takes.rows.prompt, takes.sounds
    chosen = chosen[sounds.place[chosen] >= 0]
    model = np.full(int(prompt.max(initial=0)) + 1, -1, np.int64)
    model[prompt[chosen]] = chosen
    rows = np.flatnonzero(left)
    rows = rows[model[prompt[rows]] >= 0]
    for part in parts(len(rows), _ROWS_AT_ONCE):
        some = rows[part]
        ours, theirs = (sounds.vectors[sounds.place[of]] for of in (some, model[prompt[some]]))
        nearest[some] = np.maximum(nearest[some], np.einsum("ij,ij->i", ours, theirs, dtype=np.float64))


def _worth(quality: Floats, nearest: Floats, diversity: float) -> Floats:
    """What takes add to those that were chosen; to none, their quality."""
    is_first = np.isneginf(nearest)
    return np.where(is_first, quality, (1 - diversity) * quality - diversity * np.where(is_first, 0.0, nearest))
