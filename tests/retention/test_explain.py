"""An explanation is made of the plan's own verdicts, so the two agree on every subject."""

from __future__ import annotations

from hypothesis import given, settings
from inventories import NOW
from strategies import Scene, policies, scenes

from audio_cache_daemon.model import Evictions, Plan, Truth
from audio_cache_daemon.retention.explain import Explanation, explain_row, explain_stray
from audio_cache_daemon.retention.plan import plan_evictions
from audio_cache_daemon.retention.policy import Policy


def owners(plan: Plan, evictions: Evictions) -> dict[int, str]:
    names = [plan.rules[rule].name for rule in evictions.rule.tolist()]
    return dict(zip(evictions.subject.tolist(), names, strict=True))


def owner_of(explanation: Explanation) -> str | None:
    return explanation.owner.rule.name if explanation.owner is not None else None


@settings(max_examples=40, deadline=None)
@given(scenes(), policies())
def test_an_explanation_names_the_rule_that_the_plan_names(scene: Scene, policy: Policy) -> None:
    """For each row and each file without one, kept or evicted."""
    inventory = scene.inventory()
    plan = plan_evictions(inventory, policy, NOW)
    by_row, by_stray = owners(plan, plan.rows), owners(plan, plan.strays)
    for row in range(len(inventory.rows)):
        assert owner_of(explain_row(inventory, policy, NOW, row)) == by_row.get(row)
    for stray in range(len(inventory.strays)):
        assert owner_of(explain_stray(inventory, policy, NOW, stray)) == by_stray.get(stray)


@settings(max_examples=40, deadline=None)
@given(scenes(), policies(with_budget=False, with_limits=False))
def test_the_first_rule_that_selects_an_unprotected_decided_row_owns_it(scene: Scene, policy: Policy) -> None:
    """The rules' verdicts, read from the first to the last, give the owner."""
    inventory = scene.inventory()
    for row in range(len(inventory.rows)):
        explanation = explain_row(inventory, policy, NOW, row)
        selecting = [rule.rule.name for rule in explanation.rules if rule.truth == Truth.TRUE]
        free = explanation.decided and not explanation.protections
        assert owner_of(explanation) == (selecting[0] if free and selecting else None)
