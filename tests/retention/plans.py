"""Plans that the planner and the reference agree on, and what they say in plain values."""

from __future__ import annotations

import math

from inventories import NOW, RowSpec, StraySpec, Surroundings, inventory, patterns_of
from reference import reference_plan
from reference_world import Reason

from audio_cache_daemon.model import Evictions, Plan
from audio_cache_daemon.retention.plan import plan_evictions
from audio_cache_daemon.retention.policy import Policy


def plan_for(policy: Policy, rows: list[RowSpec], strays: list[StraySpec], around: Surroundings | None = None) -> Plan:
    """The plan, when the reference comes to the same rows and strays."""
    found = inventory(rows, strays, around=around, patterns=patterns_of(policy))
    plan, reference = plan_evictions(found, policy, NOW), reference_plan(found, policy, NOW)
    assert plan.rows.subject.tolist() == sorted(reference.rows)
    assert plan.strays.subject.tolist() == sorted(reference.strays)
    return plan


def reasons_of(plan: Plan, evictions: Evictions) -> dict[int, Reason]:
    """What a plan evicts and why, in the reference's terms."""
    columns = (evictions.subject, evictions.rule, evictions.value, evictions.threshold, evictions.keeper)
    return {
        int(subject): Reason(plan.rules[int(rule)].name, known(value), known(threshold), int(keeper))
        for subject, rule, value, threshold, keeper in zip(*columns, strict=True)
    }


def known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def protected_of(plan: Plan) -> dict[int, str]:
    """The protection that holds each protected row."""
    return {row: plan.protections[int(which)] for row, which in enumerate(plan.protected) if which >= 0}
