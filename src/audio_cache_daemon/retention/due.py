"""When each rule takes a subject, as far as that is a matter of time: if nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec
import numpy as np

from audio_cache_daemon.model import Inventory, Truth
from audio_cache_daemon.retention.policy import InState, MaxAge, Policy, YoungerThan
from audio_cache_daemon.retention.protection import protect_rows, protect_strays
from audio_cache_daemon.retention.rules import judge_rules

_PAST_IT = 1.0
"""Exactly at a limit is kept, so it is looked a second later."""


class Due(msgspec.Struct, frozen=True):
    """The moments (seconds since the epoch) after which each rule's condition holds, None where no time alone does it.

    After `taken_at` the rule `taken_by` (its number) takes the subject, unless it does now; None: never by time.
    """

    conditions: tuple[float | None, ...]
    taken_at: float | None = None
    taken_by: int | None = None
    is_taken_now: bool = False


def when_due(inventory: Inventory, policy: Policy, now: float, kind: Literal["row", "stray"], subject: int) -> Due:
    """When the rules of a policy take a row or a stray: the plan as of then says the same."""
    conditions: list[float | None] = [None] * len(policy.rules)
    taken: tuple[float, int, bool] | None = None
    turns = sorted(set(_turning_points(inventory, policy, now, kind, subject)))
    for moment, later in ((now, now), *((turn, turn + _PAST_IT) for turn in turns)):
        rows = protect_rows(inventory.rows, policy.protect, later)[0] >= 0
        strays = protect_strays(inventory.strays, policy.protect, later) >= 0
        for verdict in judge_rules(inventory, policy.rules, (rows, strays), later):
            truth, takes = verdict.rows.truth, verdict.taken_rows
            if kind == "stray":
                truth, takes = verdict.strays.truth, verdict.taken_strays
            if truth[subject] == Truth.TRUE and conditions[verdict.number] is None:
                conditions[verdict.number] = moment
            if takes[subject] and taken is None:
                taken = (moment, verdict.number, later == now)
    return Due(tuple(conditions), *(taken or (None, None, False)))


def _turning_points(
    inventory: Inventory, policy: Policy, now: float, kind: Literal["row", "stray"], subject: int
) -> Iterator[float]:
    """The moments from now on at which an age passes a limit, or what holds the subject ends."""
    rows, ends = inventory.rows, []
    made, missed = inventory.strays.changed, inventory.strays.changed
    if kind == "row":
        made, missed = rows.timestamp, rows.missing_since
        ends = [rows.held_until[subject], rows.pinned_until[subject]]
    ages = [rule.criterion.seconds for rule in policy.rules if isinstance(rule.criterion, MaxAge)]
    ages += [one.criterion.seconds for one in policy.protect if isinstance(one.criterion, YoungerThan)]
    ages += [rule.min_age for rule in policy.rules if rule.min_age is not None]
    since = [rule.min_age for rule in policy.rules if isinstance(rule.criterion, InState) and rule.min_age is not None]
    moments = [made[subject], *(made[subject] + age for age in ages), *(missed[subject] + age for age in since)]
    yield from (float(moment) for moment in [*moments, *ends] if np.isfinite(moment) and moment >= now)
