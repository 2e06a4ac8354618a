"""Why one subject goes, or stays: what each protection and each rule of a policy says of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from audio_cache_daemon.model import Evictions, Inventory, Plan, PlanRule, Truth
from audio_cache_daemon.retention.judgement import Judgement
from audio_cache_daemon.retention.plan import describe_rules, plan_evictions
from audio_cache_daemon.retention.policy import Policy
from audio_cache_daemon.retention.protection import (
    RESTORED,
    judge_protection,
    judge_stray_protection,
    protect_rows,
    protect_strays,
)
from audio_cache_daemon.retention.rules import judge_rules


@dataclass(frozen=True, slots=True)
class RuleExplanation:
    """What a rule says of the subject: whether its condition holds, what was measured against what."""

    rule: PlanRule
    truth: Truth
    value: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything a policy says of one subject.

    `decided` is false when it isn't known whether the row's file is there: then nothing selects it.
    `protections` are those that hold it; `owner` is the rule that takes it, with its reason, or None: it stays.
    """

    plan: Plan
    decided: bool
    protections: tuple[tuple[str, Truth], ...]
    rules: tuple[RuleExplanation, ...]
    owner: RuleExplanation | None


def explain_row(inventory: Inventory, policy: Policy, now: float, row: int) -> Explanation:
    """The explanation of a row; it agrees with the plan, being made of the same verdicts."""
    plan = plan_evictions(inventory, policy, now)
    protected = protect_rows(inventory.rows, policy.protect, now)[0] >= 0
    verdicts = judge_rules(inventory, policy.rules, (protected, np.zeros(len(inventory.strays), np.bool_)), now)
    held = [(RESTORED, Truth.TRUE)] if inventory.rows.held_until[row] > now else []
    judged = [
        (protection.name, Truth(judge_protection(inventory.rows, protection.criterion, now)[row]))
        for protection in policy.protect
    ]
    return Explanation(
        plan=plan,
        decided=bool(inventory.rows.decided()[row]),
        protections=_that_hold(held + judged),
        rules=_explain_rules(policy, ((verdict.number, verdict.rows) for verdict in verdicts), row),
        owner=_owner(plan, plan.rows, row),
    )


def explain_stray(inventory: Inventory, policy: Policy, now: float, stray: int) -> Explanation:
    """The explanation of a file that no row names."""
    plan = plan_evictions(inventory, policy, now)
    protected = protect_strays(inventory.strays, policy.protect, now) >= 0
    verdicts = judge_rules(inventory, policy.rules, (np.zeros(len(inventory.rows), np.bool_), protected), now)
    judged = [
        (protection.name, judge_stray_protection(inventory.strays, protection.criterion, now, stray))
        for protection in policy.protect
    ]
    return Explanation(
        plan=plan,
        decided=True,
        protections=_that_hold(judged),
        rules=_explain_rules(policy, ((verdict.number, verdict.strays) for verdict in verdicts), stray),
        owner=_owner(plan, plan.strays, stray),
    )


def _that_hold(judged: Iterable[tuple[str, Truth]]) -> tuple[tuple[str, Truth], ...]:
    """The protections that hold the subject: those that can't be decided do too."""
    return tuple((name, truth) for name, truth in judged if truth != Truth.FALSE)


def _explain_rules(
    policy: Policy, judged: Iterable[tuple[int, Judgement]], subject: int
) -> tuple[RuleExplanation, ...]:
    described = describe_rules(policy)
    return tuple(
        RuleExplanation(described[number], Truth(each.truth[subject]), float(each.value[subject]), each.threshold)
        for number, each in judged
    )


def _owner(plan: Plan, evictions: Evictions, subject: int) -> RuleExplanation | None:
    place = int(np.searchsorted(evictions.subject, subject))
    if place == len(evictions) or evictions.subject[place] != subject:
        return None
    rule = plan.rules[int(evictions.rule[place])]
    return RuleExplanation(rule, Truth.TRUE, float(evictions.value[place]), float(evictions.threshold[place]))
