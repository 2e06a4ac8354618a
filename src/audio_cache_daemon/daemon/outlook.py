"""How old the items of a cache are, and what of each age a run would take."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec
import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.columns import parts
from audio_cache_daemon.daemon.timetable import next_time
from audio_cache_daemon.model import Inventory, Plan, RuleCount
from audio_cache_daemon.reporting.run_summary import by_rule
from audio_cache_daemon.retention.judgement import row_age
from audio_cache_daemon.retention.plan import plan_evictions
from audio_cache_daemon.retention.policy import Broken, Dedupe, Policy, Rule

HOUR, DAY = 3600.0, 86400.0
AGE_BOUNDS = (HOUR, DAY, 3 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 60 * DAY, 90 * DAY, 180 * DAY)
"""Ages up to which items are grouped, in seconds; the last group has no bound."""


class AgeGroup(msgspec.Struct, frozen=True):
    """Items of like age: up to so many seconds (infinity: older than all bounds; NaN: not known).

    `stay` of them stay in the run that is foreseen; `go` says how many each rule takes.
    """

    up_to: float
    stay: int
    go: Mapping[str, int]


class Outlook(msgspec.Struct, frozen=True):
    """What a run would take, by rule: `evictable` now, `by_rule` at the time of the next one on schedule.

    But for rules that compare contents or sounds, or decode. `ages` are those of the items now. It took so many
    seconds.
    """

    time: float
    evictable: Mapping[str, RuleCount]
    by_rule: Mapping[str, RuleCount]
    ages: tuple[AgeGroup, ...]
    seconds: float


def foreseen(policy: Policy) -> Policy:
    """A policy without the rules that read too much for a look."""
    return replace(policy, rules=tuple(rule for rule in policy.rules if not _reads_much(rule)))


def foresee(inventory: Inventory, policy: Policy, now: float) -> Outlook:
    """What the policy would take from this inventory."""
    started = time.perf_counter()
    policy = foreseen(policy)
    due = next_time(policy.schedule, now) if policy.schedule is not None else now
    evictable = _count(plan_evictions(inventory, policy, now, reasons=False))
    plan = plan_evictions(inventory, policy, due, reasons=False)
    ages = _group_ages(inventory, plan, now)
    return Outlook(due, evictable, _count(plan), ages, time.perf_counter() - started)


def _count(plan: Plan) -> dict[str, RuleCount]:
    return {name: RuleCount(items, size) for name, items, size in by_rule(plan) if items}


def _reads_much(rule: Rule) -> bool:
    """Whether a rule compares contents or sounds, or decodes, which is for a run."""
    criterion = rule.criterion
    compares = isinstance(criterion, Dedupe) and (criterion.by == "content" or criterion.is_by_ear)
    return compares or isinstance(criterion, Broken)


def _group_ages(inventory: Inventory, plan: Plan, now: float) -> tuple[AgeGroup, ...]:
    bounds = (*AGE_BOUNDS, np.inf, np.nan)
    rule = np.full(len(inventory.rows), -1, np.int16)
    rule[plan.rows.subject] = plan.rows.rule
    items = inventory.rows.items()
    width = len(plan.rules) + 1
    table = np.zeros(width * len(bounds), np.int64)
    for some in parts(len(rule)):
        # NaN sorts behind infinity, which is the place of its group.
        group = np.searchsorted(np.array(bounds), row_age(inventory.rows, now, some)[items[some]])
        table += np.bincount(group * width + rule[some][items[some]] + 1, minlength=len(table))
    counts = table.reshape(-1, width).tolist()
    names = [described.name for described in plan.rules]
    return tuple(
        AgeGroup(bound, stay, {name: number for name, number in zip(names, go, strict=True) if number})
        for bound, (stay, *go) in zip(bounds, counts, strict=True)
    )
