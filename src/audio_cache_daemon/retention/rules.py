"""Rules in order: the first that selects a subject owns it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.model import Bools, Inventory, Truth
from audio_cache_daemon.retention.broken import broken
from audio_cache_daemon.retention.budget import Remaining
from audio_cache_daemon.retention.compared import comparing
from audio_cache_daemon.retention.dedupe import surplus
from audio_cache_daemon.retention.judgement import Judgement, judge_all, judge_older, row_ages, stray_age
from audio_cache_daemon.retention.max_age import expired
from audio_cache_daemon.retention.pattern import matching
from audio_cache_daemon.retention.policy import Broken, Compared, Dedupe, Everything, InState, MaxAge, Pattern, Rule
from audio_cache_daemon.retention.state import missing, unnamed


class RuleVerdict(msgspec.Struct, frozen=True):
    """What one rule says of all rows and strays, and which of them it takes."""

    number: int
    rows: Judgement
    strays: Judgement
    taken_rows: Bools
    taken_strays: Bools


def judge_rules(
    inventory: Inventory, rules: tuple[Rule, ...], protected: tuple[Bools, Bools], now: float
) -> Iterator[RuleVerdict]:
    """The verdict of each rule, in order, each on what the rules before it left; `protected` are rows and strays."""
    protected_rows, protected_strays = protected
    left_rows = np.ones(len(inventory.rows), np.bool_)
    left_strays = np.ones(len(inventory.strays), np.bool_)
    selectable = inventory.rows.decided() & ~protected_rows

    def judge(number: int, rule: Rule) -> RuleVerdict:
        rows = _narrow_rows(rule, _judge_rows(rule, inventory, left_rows, protected_rows, now), inventory, now)
        strays = _narrow_strays(rule, _judge_strays(rule, inventory, now), inventory, now)
        taken_rows = (rows.truth == Truth.TRUE) & left_rows & selectable
        taken_strays = (strays.truth == Truth.TRUE) & left_strays & ~protected_strays
        left_rows[taken_rows] = False
        left_strays[taken_strays] = False
        return RuleVerdict(number, rows, strays, taken_rows, taken_strays)

    yield from (judge(number, rule) for number, rule in enumerate(rules))


def remaining_after(inventory: Inventory, verdicts: Iterable[RuleVerdict], protected: tuple[Bools, Bools]) -> Remaining:
    """What the rules leave to a budget, and what of it may go; `protected` are rows and strays."""
    rows, strays = np.ones(len(inventory.rows), np.bool_), np.ones(len(inventory.strays), np.bool_)
    for verdict in verdicts:
        rows &= ~verdict.taken_rows
        strays &= ~verdict.taken_strays
    return Remaining(rows, strays, inventory.rows.decided() & ~protected[0], ~protected[1])


def _judge_rows(rule: Rule, inventory: Inventory, left: Bools, protected: Bools, now: float) -> Judgement:
    rows = inventory.rows
    match rule.criterion:
        case MaxAge() as criterion:
            judgement = expired(rows, criterion, now)
        case Pattern(expression):
            judgement = matching(rows, expression)
        case Dedupe() as criterion:
            judgement = surplus(rows, criterion, left, protected, now)
        case InState("missing"):
            judgement = missing(rows, now)
        case InState():
            judgement = judge_all(len(rows), Truth.FALSE)
        case Broken() as criterion:
            judgement = broken(rows, criterion)
        case Compared() as criterion:
            judgement = comparing(rows, criterion)
        case Everything():
            judgement = judge_all(len(rows), Truth.TRUE)
    return judgement


def _judge_strays(rule: Rule, inventory: Inventory, now: float) -> Judgement:
    match rule.criterion:
        case InState("orphan" | "leftover" as state):
            return unnamed(inventory, state, now)
        case _:
            return judge_all(len(inventory.strays), Truth.FALSE)


def _narrow_rows(rule: Rule, judgement: Judgement, inventory: Inventory, now: float) -> Judgement:
    if rule.min_age is not None:
        by_state = isinstance(rule.criterion, InState)
        age = judgement.value if by_state else row_ages(inventory.rows, now)
        judgement = _and_older(judgement, judge_older(age, rule.min_age), by_state=by_state)
    if rule.pattern is not None:
        truth = np.minimum(judgement.truth, matching(inventory.rows, rule.pattern).truth)
        judgement = replace(judgement, truth=truth)
    return judgement


def _narrow_strays(rule: Rule, judgement: Judgement, inventory: Inventory, now: float) -> Judgement:
    if rule.min_age is not None:
        judgement = _and_older(judgement, judge_older(stray_age(inventory.strays, now), rule.min_age), by_state=True)
    if rule.pattern is not None:
        # A file without a row has no prompt that could match.
        judgement = replace(judgement, truth=np.minimum(judgement.truth, Truth.UNDECIDABLE).astype(np.uint8))
    return judgement


def _and_older(judgement: Judgement, older: Judgement, *, by_state: bool) -> Judgement:
    """Both conditions. Of a state the age is what is measured, so the threshold is the age's."""
    truth = np.minimum(judgement.truth, older.truth)
    return replace(judgement, truth=truth, threshold=older.threshold if by_state else judgement.threshold)
