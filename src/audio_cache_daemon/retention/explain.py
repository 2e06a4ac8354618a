"""Why one subject goes, or stays: what each protection and each rule of a policy says of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audio_cache_daemon.model import Inventory, Plan, PlanRule, Truth
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
    protected, _ = protect_rows(inventory.rows, policy.protect, now)
    held = ((RESTORED, Truth.TRUE),) if inventory.rows.held_until[row] > now else ()
    nothing = np.zeros(len(inventory.strays), np.bool_)
    verdicts = judge_rules(inventory, policy.rules, (protected >= 0, nothing), now)
    described = describe_rules(policy)
    return Explanation(
        plan=plan,
        decided=bool(inventory.rows.decided()[row]),
        protections=held
        + tuple(
            (protection.name, truth)
            for protection in policy.protect
            if (truth := Truth(judge_protection(inventory.rows, protection.criterion, now)[row])) != Truth.FALSE
        ),
        rules=tuple(
            RuleExplanation(
                described[verdict.number],
                Truth(verdict.rows.truth[row]),
                float(verdict.rows.value[row]),
                verdict.rows.threshold,
            )
            for verdict in verdicts
        ),
        owner=_owner(plan, row, strays=False),
    )


def explain_stray(inventory: Inventory, policy: Policy, now: float, stray: int) -> Explanation:
    """The explanation of a file that no row names."""
    plan = plan_evictions(inventory, policy, now)
    protected = protect_strays(inventory.strays, policy.protect, now)
    nothing = np.zeros(len(inventory.rows), np.bool_)
    verdicts = judge_rules(inventory, policy.rules, (nothing, protected), now)
    described = describe_rules(policy)
    return Explanation(
        plan=plan,
        decided=True,
        protections=tuple(
            (protection.name, truth)
            for protection in policy.protect
            if (truth := judge_stray_protection(inventory.strays, protection.criterion, now, stray)) != Truth.FALSE
        ),
        rules=tuple(
            RuleExplanation(
                described[verdict.number],
                Truth(verdict.strays.truth[stray]),
                float(verdict.strays.value[stray]),
                verdict.strays.threshold,
            )
            for verdict in verdicts
        ),
        owner=_owner(plan, stray, strays=True),
    )


def _owner(plan: Plan, subject: int, *, strays: bool) -> RuleExplanation | None:
    evictions = plan.strays if strays else plan.rows
    place = int(np.searchsorted(evictions.subject, subject))
    if place == len(evictions) or evictions.subject[place] != subject:
        return None
    rule = plan.rules[int(evictions.rule[place])]
    return RuleExplanation(rule, Truth.TRUE, float(evictions.value[place]), float(evictions.threshold[place]))
