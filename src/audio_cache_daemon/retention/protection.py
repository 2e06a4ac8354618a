"""`protect`: what nothing selects, whatever the pressure. A condition that can't be decided protects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.model import Bools, Floats, Rows, Strays, Truth
from audio_cache_daemon.retention.judgement import (
    Values,
    judge_older,
    rank_in_groups,
    row_age,
    row_ages,
    stray_age,
    truths,
)
from audio_cache_daemon.retention.pattern import matching
from audio_cache_daemon.retention.policy import (
    KeepBest,
    KeepNewest,
    Pattern,
    Protection,
    ProtectionCriterion,
    YoungerThan,
)

RESTORED = "restored"
"""The name of the protection that holds what was brought back from the trash."""

PINNED = "pinned"
"""The name of the protection that holds what a person pinned."""


def protect_rows(rows: Rows, protections: tuple[Protection, ...], now: float) -> tuple[NDArray[np.int16], Bools]:
    """For each row the number of the first protection that holds it, or -1; and whether any was undecidable.

    Those of the policy are followed by two more: what was restored is held for a while, and what a person pinned is
    held before all.
    """
    protected = np.where((rows.pinned_until > now) & rows.items(), len(protections) + 1, -1).astype(np.int16)
    undecided = np.zeros(len(rows), np.bool_)
    for number, protection in enumerate(protections):
        truth = judge_protection(rows, protection.criterion, now)
        protected[(protected < 0) & (truth != Truth.FALSE) & rows.items()] = number
        undecided |= truth == Truth.UNDECIDABLE
    held = (rows.held_until > now) & rows.items()
    protected[(protected < 0) & held] = len(protections)
    return protected, undecided


def protect_strays(strays: Strays, protections: tuple[Protection, ...], now: float) -> NDArray[np.int16]:
    """For each file without a row the number of the first protection that holds it, or -1: those that are too young.

    Other protections are of items.
    """
    protected = np.full(len(strays), -1, np.int16)
    for number, protection in enumerate(protections):
        protected[(protected < 0) & (_judge_strays(strays, protection.criterion, now) != Truth.FALSE)] = number
    return protected


def judge_stray_protection(strays: Strays, criterion: ProtectionCriterion, now: float, stray: int) -> Truth:
    """Whether a protection holds a file without a row."""
    return Truth(_judge_strays(strays, criterion, now)[stray])


def _judge_strays(strays: Strays, criterion: ProtectionCriterion, now: float) -> NDArray[np.uint8]:
    if isinstance(criterion, YoungerThan):
        return _not_older(stray_age(strays, now), criterion.seconds)
    return np.full(len(strays), Truth.FALSE, np.uint8)


def _not_older(age: Floats | Values, seconds: float) -> NDArray[np.uint8]:
    """Kleene's `not` turns the scale around."""
    return Truth.TRUE - judge_older(age, seconds).truth


def judge_protection(rows: Rows, criterion: ProtectionCriterion, now: float) -> NDArray[np.uint8]:
    """Whether a protection holds, for each row."""
    match criterion:
        case YoungerThan(seconds):
            return _not_older(row_ages(rows, now), seconds)
        case Pattern(expression):
            return matching(rows, expression).truth
        case KeepBest(count):
            newest_first = Values(len(rows), lambda which: np.nan_to_num(row_age(rows, now, which), nan=np.inf))
            return _first_of_prompt(rows, count, [Values(len(rows), lambda which: -rows.quality[which]), newest_first])
        case KeepNewest(count):
            return _first_of_prompt(rows, count, [row_ages(rows, now)])


def _first_of_prompt(rows: Rows, count: int, keys: list[Values]) -> NDArray[np.uint8]:
    """Whether rows are among the first `count` of their prompt whose file is there; the first key must be known."""
    placeable = ~keys[0].unknown() & (rows.prompt >= 0)
    ranks = rank_in_groups(rows.prompt, rows.present() & placeable, keys)
    return truths((ranks > 0) & (ranks <= count), rows.present() & ~placeable)
