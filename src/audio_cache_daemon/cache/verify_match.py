"""Which row of the arrays belongs to which line: what the scores prove, when counts differ.

A line and its vectors are only ever appended, one after the other, so a crash in between leaves a line, or some of
its vectors, without the rest. Where that is shows in the scores, which are the products of the right vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import msgspec
import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.cache.verify_lines import LineKind, Lines
from audio_cache_daemon.cache.verify_vectors import Vectors, agree, are_known
from audio_cache_daemon.location import CLAP_AUDIO_NAME, CLAP_TEXT_NAME, META_NAME
from audio_cache_daemon.model import Bools, Floats, Ints

NO_ROWS: Ints = np.empty(0, np.int64)

_ROWS = (LineKind.ROW, LineKind.FOREIGN, LineKind.MISTYPED)
_UNBOUNDED = "next to what is one too many there is a row without a score, so that it can't be told which it is"
_DOUBTFUL = (LineKind.BLANK, LineKind.UNREADABLE, LineKind.TORN)
"""Lines that are no rows: whether each of these once was one, and has vectors, the scores must tell."""


class Match(msgspec.Struct, frozen=True):
    """Lines and vectors that belong together: as many lines as rows of each array, in the same order.

    `gap` is how many rows in one place have no partner. `proven` is false when no row has a score to compare with.
    """

    lines: Bools
    text: Bools
    audio: Bools
    proven: bool
    gap: int = 0
    zero: int = 0
    """How many of the rows have a zero vector."""


class NoMatch(msgspec.Struct, frozen=True):
    """Why it can't be told what belongs together; `wrong` are lines whose vectors aren't theirs.

    With `any_line` it may be any line that has no partner: who knows which can say it.
    """

    reason: str
    wrong: Ints = msgspec.field(default_factory=lambda: NO_ROWS)
    any_line: bool = False


def claimants(lines: Lines) -> Bools:
    """The lines that should have vectors, as far as lines alone can tell."""
    return lines.of(*_ROWS, LineKind.UNREADABLE)


def match_rows(lines: Lines, scores: Floats, vectors: Vectors) -> Match | NoMatch:
    """Match lines, with their scores, and vectors."""
    text, audio = vectors.rows
    if text != audio:
        return _match_around_gap(lines, scores, vectors)
    products = vectors.products(0, 0, text)
    matches: list[Match] = []
    wrong = NO_ROWS
    for which in _readings(lines):
        if which.sum() != text:
            continue
        right = agree(scores[which], products)
        if right.all():
            everything = np.ones(text, np.bool_)
            known = are_known(scores[which], products)
            match = Match(which, everything, everything, bool(known.any()), 0, int(np.isnan(products).sum()))
            if not _is_bounded(lines, which, known):
                return NoMatch(_UNBOUNDED, any_line=True)
            matches.append(match)
        elif np.array_equal(which, claimants(lines)):
            wrong = np.flatnonzero(which)[~right]
    if len(matches) == 1:
        return matches[0]
    if matches:
        return NoMatch("some lines are no rows, and the scores fit whichever of them have vectors", any_line=True)
    if len(wrong):
        return NoMatch(_say_wrong(wrong), wrong)
    return _match_around_gap(lines, scores, vectors)


def match_without(lines: Lines, scores: Floats, vectors: Vectors, dropped: Bools) -> Match | NoMatch:
    """Match lines and vectors that didn't match, given that some lines are to be dropped.

    Either it is their vectors that are wrong, or else what is left has to match without them.
    """
    found = match_rows(lines, np.where(dropped, np.nan, scores), vectors)
    if isinstance(found, Match):
        return found
    kept = np.flatnonzero(~dropped)
    rest = match_rows(Lines(lines.kind[kept], lines.first[kept], lines.unended), scores[kept], vectors)
    if isinstance(rest, NoMatch):
        return found
    mask = np.zeros(len(lines), np.bool_)
    mask[kept[rest.lines]] = True
    return replace(rest, lines=mask)


def _readings(lines: Lines) -> Iterator[Bools]:
    """The sets of lines that may have vectors: all rows, with or without those that are none."""
    present = [kind for kind in _DOUBTFUL if (lines.kind == kind).any()]
    for size in range(len(present) + 1):
        for chosen in combinations(present, size):
            yield lines.of(*_ROWS, *chosen)


def _is_bounded(lines: Lines, which: Bools, known: Bools) -> bool:
    """Whether the rows beside each line that is taken for no row, or for none any more, are known to match.

    Else two faults that make up for each other could be taken for one.
    """
    doubtful = np.flatnonzero(lines.of(LineKind.UNREADABLE) & ~which | lines.of(LineKind.BLANK, LineKind.TORN) & which)
    rows = np.flatnonzero(lines.of(*_ROWS))
    sure = known[(np.cumsum(which) - 1)[rows]]
    after = np.searchsorted(rows, doubtful)
    sure = np.r_[True, sure, True]
    return bool((sure[after] & sure[after + 1]).all())


def _match_around_gap(lines: Lines, scores: Floats, vectors: Vectors) -> Match | NoMatch:
    """Match by leaving out, in one place, what lines or arrays have too many; only if no other place would do."""
    which = claimants(lines)
    count, (text, audio) = int(which.sum()), vectors.rows
    common = min(count, text, audio)
    extra = count - common, text - common, audio - common
    wanted = scores[which]
    before, after = wanted[:common], wanted[extra[0] :]
    front, back = vectors.products(0, 0, common), vectors.products(extra[1], extra[2], common)
    fits_before = np.r_[True, np.logical_and.accumulate(agree(before, front))]
    fits_after = np.r_[np.logical_and.accumulate(agree(after, back)[::-1])[::-1], True]
    possible = np.flatnonzero(fits_before & fits_after)
    if len(possible) != 1:
        return NoMatch(_say_ambiguous(possible, extra, np.flatnonzero(which)), any_line=True)
    place = int(possible[0])
    known = np.r_[are_known(before[:place], front[:place]), are_known(after[place:], back[place:])]
    # Else a row beside the gap could belong to what is in it.
    if not known[max(place - 1, 0) : place + 1].all():
        return NoMatch(_UNBOUNDED, any_line=True)
    masks = [np.ones(size, np.bool_) for size in (count, text, audio)]
    for mask, surplus in zip(masks, extra, strict=True):
        mask[place : place + surplus] = False
    which[np.flatnonzero(which)[~masks[0]]] = False
    zero = int(np.isnan(np.r_[front[:place], back[place:]]).sum())
    return Match(which, masks[1], masks[2], proven=True, gap=max(extra), zero=zero)


def _say_wrong(wrong: Ints) -> str:
    return f"the vectors of {len(wrong):,} rows don't give their scores, so they belong to other rows"


def _say_ambiguous(possible: Ints, extra: tuple[int, int, int], numbers: Ints) -> str:
    surplus = " and ".join(
        f"{name} has {number:,} too many"
        for number, name in zip(extra, (META_NAME, CLAP_TEXT_NAME, CLAP_AUDIO_NAME), strict=True)
        if number
    )
    if not len(possible):
        return f"{surplus}, and in no single place that the scores allow"
    if extra[0]:
        where = f"lines {int(numbers[possible[0]]) + 1} to {int(numbers[possible[-1] + extra[0] - 1]) + 1}"
    else:
        where = f"rows {int(possible[0])} to {int(possible[-1]) + max(extra) - 1}"
    return f"{surplus}, and the scores don't tell which of {where}"
