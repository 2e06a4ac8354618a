"""Why one subject goes, or stays: what each protection and each rule of a policy says of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.model import Evictions, Inventory, Plan, PlanRule, Truth
from audio_cache_daemon.retention.budget_place import BudgetPlace, budget_places
from audio_cache_daemon.retention.due import Due, when_due
from audio_cache_daemon.retention.judgement import Judgement
from audio_cache_daemon.retention.plan import describe_rules, plan_evictions
from audio_cache_daemon.retention.policy import Policy
from audio_cache_daemon.retention.protection import (
    PINNED,
    RESTORED,
    judge_protection,
    judge_stray_protection,
    protect_strays,
)
from audio_cache_daemon.retention.rules import RuleVerdict, judge_rules, remaining_after


class RuleExplanation(msgspec.Struct, frozen=True):
    """What a rule says of the subject: whether its condition holds, what was measured against what.

    `due` is the moment after which it will hold if nothing else changes; None: no time alone does it. `keeper` is, of
    the rule that takes it, the row that it keeps in its place, or -1.
    """

    rule: PlanRule
    truth: Truth
    value: float
    threshold: float
    due: float | None = None
    keeper: int = -1


class Explanation(msgspec.Struct, frozen=True):
    """Everything a policy says of one subject.

    `decided` is false when it isn't known whether the row's file is there: then nothing selects it.
    `protections` are those that hold it; `owner` is the rule that takes it, with its reason, or None: it stays.
    `next_owner` is the rule that takes it when its `due` is past, where that is a matter of time; `places` say when
    the budget would.
    """

    plan: Plan
    decided: bool
    protections: tuple[tuple[str, Truth], ...]
    rules: tuple[RuleExplanation, ...]
    owner: RuleExplanation | None
    next_owner: RuleExplanation | None = None
    places: tuple[BudgetPlace, ...] = ()


def explain_row(inventory: Inventory, policy: Policy, now: float, row: int) -> Explanation:
    """The explanation of a row; it agrees with the plan, being made of the same verdicts."""
    plan = plan_evictions(inventory, policy, now)
    protected = plan.protected >= 0
    protected_strays = protect_strays(inventory.strays, policy.protect, now) >= 0
    verdicts = judge_rules(inventory, policy.rules, (protected, protected_strays), now)
    judged_rows: list[tuple[int, Judgement]] = []
    remaining = remaining_after(inventory, _noting(verdicts, row, judged_rows), (protected, protected_strays))
    until = {PINNED: inventory.rows.pinned_until[row], RESTORED: inventory.rows.held_until[row]}
    held = [(name, Truth.TRUE) for name, moment in until.items() if moment > now]
    judged = [
        (protection.name, Truth(judge_protection(inventory.rows, protection.criterion, now)[row]))
        for protection in policy.protect
    ]
    due = when_due(inventory, policy, now, "row", row)
    rules = _explain_rules(policy, judged_rows, 0, due)
    return Explanation(
        plan=plan,
        decided=bool(inventory.rows.decided()[row]),
        protections=_that_hold(held + judged),
        rules=rules,
        owner=_owner(plan, plan.rows, row),
        next_owner=_next_owner(rules, due),
        places=tuple(budget_places(inventory, policy.budget, remaining, now, row)),
    )


def _noting(verdicts: Iterable[RuleVerdict], row: int, judged: list[tuple[int, Judgement]]) -> Iterator[RuleVerdict]:
    """Hand the verdicts on, and note of each what it says of the row: of all rows they take much memory."""
    for verdict in verdicts:
        of_row = verdict.rows.truth[row : row + 1].copy(), verdict.rows.value[row : row + 1].copy()
        judged.append((verdict.number, Judgement(*of_row, verdict.rows.threshold)))
        yield verdict


def explain_stray(inventory: Inventory, policy: Policy, now: float, stray: int) -> Explanation:
    """The explanation of a file that no row names."""
    plan = plan_evictions(inventory, policy, now)
    protected = protect_strays(inventory.strays, policy.protect, now) >= 0
    verdicts = judge_rules(inventory, policy.rules, (plan.protected >= 0, protected), now)
    judged = [
        (protection.name, judge_stray_protection(inventory.strays, protection.criterion, now, stray))
        for protection in policy.protect
    ]
    due = when_due(inventory, policy, now, "stray", stray)
    rules = _explain_rules(policy, ((verdict.number, verdict.strays) for verdict in verdicts), stray, due)
    return Explanation(
        plan=plan,
        decided=True,
        protections=_that_hold(judged),
        rules=rules,
        owner=_owner(plan, plan.strays, stray),
        next_owner=_next_owner(rules, due),
    )


def _that_hold(judged: Iterable[tuple[str, Truth]]) -> tuple[tuple[str, Truth], ...]:
    """The protections that hold the subject: those that can't be decided do too."""
    return tuple((name, truth) for name, truth in judged if truth != Truth.FALSE)


def _explain_rules(
    policy: Policy, judged: Iterable[tuple[int, Judgement]], subject: int, due: Due
) -> tuple[RuleExplanation, ...]:
    described = describe_rules(policy)
    return tuple(
        RuleExplanation(
            described[number],
            Truth(each.truth[subject]),
            float(each.value[subject : subject + 1][0]),
            each.threshold,
            due.conditions[number],
        )
        for number, each in judged
    )


def _next_owner(rules: tuple[RuleExplanation, ...], due: Due) -> RuleExplanation | None:
    """The rule that will take the subject, at the moment when it does: that may be later than its condition holds."""
    if due.taken_by is None or due.taken_at is None or due.is_taken_now:
        return None
    return replace(rules[due.taken_by], due=due.taken_at)


def _owner(plan: Plan, evictions: Evictions, subject: int) -> RuleExplanation | None:
    place = int(np.searchsorted(evictions.subject, subject))
    if place == len(evictions) or evictions.subject[place] != subject:
        return None
    rule = plan.rules[int(evictions.rule[place])]
    value, threshold = float(evictions.value[place]), float(evictions.threshold[place])
    return RuleExplanation(rule, Truth.TRUE, value, threshold, keeper=int(evictions.keeper[place]))
