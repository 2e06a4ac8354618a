"""`dedupe: {by: sound}`: of items that sound alike the best one.

Items are looked at from the best to the worst. One that isn't like any that stays, stays; one that is at least so
similar to one that stays, goes: likeness is never handed on over an item that went itself.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.columns import distinct, parts
from audio_cache_daemon.model import Bools, Floats, Ints, Sounds
from audio_cache_daemon.retention.judgement import rank_in_groups

_SMALL_GROUP = 128
"""Groups up to this size are compared side by side, larger ones each as a matrix."""

_CANDIDATES = 2048
_KEEPERS = 4096
"""A tile of the matrix of all cosines: 32 MiB in single precision, large enough for the processor to be busy."""

_ROWS_AT_ONCE = 4096

_NEWS = 4096
"""So many new sounds are compared with all; of more all are compared with all, which finds less to remember."""


class Copies(msgspec.Struct, frozen=True):
    """For each row how alike it sounds to the one that stays for it, and which that is; NaN and -1 where it stays."""

    likeness: Floats
    keeper: Ints


def find_copies(sounds: Sounds, order: Ints, group: NDArray[np.int32], protected: Bools, similarity: float) -> Copies:
    """The copies among rows with sounds, given from the best to the worst; only rows of one group are compared.

    A protected row is no copy, though others may be copies of it.
    """
    copies = Copies(np.full(len(group), np.nan), np.full(len(group), -1, np.int64))
    sizes = np.bincount(group[order], minlength=int(group.max(initial=0)) + 1)
    small = order[sizes[group[order]] <= _SMALL_GROUP]
    _compare_groups(sounds, small, (group, protected), similarity, copies)
    large = order[sizes[group[order]] > _SMALL_GROUP]
    settled = _settled(sounds, protected, similarity)
    for number in distinct(group[large]).tolist():
        members = large[group[large] == number]
        if np.count_nonzero(~settled[members]) <= _NEWS:
            _compare_news(sounds, members, (settled, protected), similarity, copies)
        else:
            _compare_all(sounds, members, protected, similarity, copies)
    return copies


def _settled(sounds: Sounds, protected: Bools, similarity: float) -> Bools:
    """Rows of which no pair has to be compared: known to be unlike, or protected both times, so that neither goes."""
    known = sounds.known
    if known is None or known.similarity > similarity:
        return np.zeros(len(protected), np.bool_)
    # One place more, the last, for rows without a sound.
    unlike, shielded = (np.append(of, False)[sounds.place] for of in (known.unlike, known.protected))
    settled: Bools = unlike | (shielded & protected)
    return settled


def _compare_news(sounds: Sounds, order: Ints, of: tuple[Bools, Bools], similarity: float, copies: Copies) -> None:
    """In one group in which most are settled: the others with all; the same copies as if all were compared."""
    settled, protected = of
    news = np.flatnonzero(~settled[order])
    worse, better, likeness = _pairs(sounds, order, news, similarity)
    gone: set[int] = set()
    for place, partner, cosine in zip(worse.tolist(), better.tolist(), likeness.tolist(), strict=True):
        if place not in gone and partner not in gone and not protected[order[place]]:
            gone.add(place)
            copies.likeness[order[place]], copies.keeper[order[place]] = cosine, order[partner]


def _pairs(sounds: Sounds, order: Ints, news: Ints, similarity: float) -> tuple[Ints, Ints, Floats]:
    """All pairs of places in the order that are alike, one of them new: the worse, the better one, their cosine.

    In the order in which they count: the best of the worse ones first, with the best that it is like.
    """
    found = [np.empty((0, 2), np.int64)]
    for first in range(0, len(news), _CANDIDATES):
        some = news[first : first + _CANDIDATES]
        for start in range(0, len(order), _KEEPERS):
            hits = _may_be_alike(sounds, order[some], order[start : start + _KEEPERS], similarity)
            new, other = np.nonzero(hits)
            found.append(np.sort(np.stack([some[new], other + start], axis=1), axis=1))
    better, worse = np.unique(np.concatenate(found), axis=0).T
    likeness = cosines(sounds, order[worse], order[better])
    alike = np.flatnonzero((likeness >= similarity) & (better < worse))
    alike = alike[np.lexsort((better[alike], worse[alike]))]
    return worse[alike], better[alike], likeness[alike]


def _compare_groups(
    sounds: Sounds, order: Ints, of: tuple[NDArray[np.int32], Bools], similarity: float, copies: Copies
) -> None:
    """In all groups at once: the best that is left stays, and what is like it goes."""
    group, protected = of
    place = np.full(len(group), -1, np.int64)
    place[order] = np.arange(len(order))
    left = np.zeros(len(group), np.bool_)
    left[order] = True
    while left.any():
        best = np.flatnonzero(rank_in_groups(group, left, [place]) == 1)
        left[best] = False
        keeper = np.full(int(group.max(initial=0)) + 1, -1, np.int64)
        keeper[group[best]] = best
        rows = np.flatnonzero(left & ~protected)
        rows = rows[keeper[group[rows]] >= 0]
        likeness = cosines(sounds, rows, keeper[group[rows]])
        found = likeness >= similarity
        _note(copies, rows[found], keeper[group[rows]][found], likeness[found])
        left[rows[found]] = False


def _compare_all(sounds: Sounds, order: Ints, protected: Bools, similarity: float, copies: Copies) -> None:
    """In one group: block by block against those that stay of the blocks before, and each block in itself."""
    stays: Ints = np.empty(0, np.int64)
    for first in range(0, len(order), _CANDIDATES):
        block = order[first : first + _CANDIDATES]
        for start in range(0, len(stays), _KEEPERS):
            _compare_tile(sounds, block, stays[start : start + _KEEPERS], (protected, similarity), copies)
            block = block[copies.keeper[block] < 0]
        _compare_within(sounds, block, protected, similarity, copies)
        stays = np.concatenate([stays, block[copies.keeper[block] < 0]])


def _compare_tile(sounds: Sounds, block: Ints, stays: Ints, by: tuple[Bools, float], copies: Copies) -> None:
    """Rows of a block go that are like one that stays; the first of these is the one that stays for them."""
    protected, similarity = by
    rows = block[~protected[block]]
    hits = _may_be_alike(sounds, rows, stays, similarity)
    open_rows = np.flatnonzero(hits.any(axis=1))
    while len(open_rows):
        keepers = hits[open_rows].argmax(axis=1)
        likeness = cosines(sounds, rows[open_rows], stays[keepers])
        found = likeness >= similarity
        _note(copies, rows[open_rows[found]], stays[keepers[found]], likeness[found])
        # What single precision let pass, and isn't: look at the next one.
        hits[open_rows[~found], keepers[~found]] = False
        open_rows = open_rows[~found]
        open_rows = open_rows[hits[open_rows].any(axis=1)]


def _compare_within(sounds: Sounds, block: Ints, protected: Bools, similarity: float, copies: Copies) -> None:
    hits = np.triu(_may_be_alike(sounds, block, block, similarity), 1)
    for number in np.flatnonzero(hits.any(axis=1)).tolist():
        if copies.keeper[block[number]] >= 0:
            continue
        rows = block[hits[number]]
        rows = rows[(copies.keeper[rows] < 0) & ~protected[rows]]
        keepers = np.full(len(rows), block[number])
        likeness = cosines(sounds, rows, keepers)
        found = likeness >= similarity
        _note(copies, rows[found], keepers[found], likeness[found])


def _may_be_alike(sounds: Sounds, rows: Ints, others: Ints, similarity: float) -> Bools:
    """Which pairs are alike, and perhaps some that are just not: single precision, less its largest error."""
    margin = (sounds.vectors.shape[1] + 8) * float(np.finfo(np.float32).eps)
    ours, theirs = (sounds.vectors[sounds.place[of]] for of in (rows, others))
    alike: Bools = ours @ theirs.T >= np.float32(similarity - margin)
    return alike


def cosines(sounds: Sounds, rows: Ints, others: Ints) -> Floats:
    """How alike each row sounds to its opposite, in double precision."""
    found = np.empty(len(rows))
    for some in parts(len(rows), _ROWS_AT_ONCE):
        ours, theirs = (sounds.vectors[sounds.place[of[some]]] for of in (rows, others))
        found[some] = np.einsum("ij,ij->i", ours, theirs, dtype=np.float64)
    return found


def _note(copies: Copies, rows: Ints, keepers: Ints, likeness: Floats) -> None:
    copies.likeness[rows] = likeness
    copies.keeper[rows] = keepers
