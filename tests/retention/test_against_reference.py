"""The planner decides as the slow and obvious reference does."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from inventories import NOW
from plans import protected_of, reasons_of
from reference import reference_plan
from strategies import Scene, by_ear, by_sound, policies, protections_of, rules_of, scenes

from audio_cache_daemon.model import ItemState
from audio_cache_daemon.retention import likeness
from audio_cache_daemon.retention.plan import plan_evictions
from audio_cache_daemon.retention.policy import Limits, Policy, Protection, Rule


def assert_agreement(scene: Scene, policy: Policy, *, enforce_limits: bool = True) -> None:
    """Plan and reference say the same of each row and stray, and of the limits."""
    inventory = scene.inventory()
    expected = reference_plan(inventory, policy, NOW, enforce_limits=enforce_limits)
    plan = plan_evictions(inventory, policy, NOW, enforce_limits=enforce_limits)
    in_question = np.isin(inventory.rows.state, (ItemState.OK, ItemState.MISSING))
    assert {row: name for row, name in protected_of(plan).items() if in_question[row]} == expected.protected
    assert reasons_of(plan, plan.rows) == expected.rows
    assert reasons_of(plan, plan.strays) == expected.strays
    assert {refusal.limit for refusal in plan.refusals} == expected.refusals
    assert set(plan.capped) == expected.capped
    assert plan.undecidable == len(expected.undecidable)


@settings(max_examples=150)
@given(scenes(), policies(with_budget=False, with_limits=False))
def test_rules_and_protections_agree_with_the_reference(scene: Scene, policy: Policy) -> None:
    """The same rows and strays go, by the same rule, with the same measured value, and the same are protected."""
    assert_agreement(scene, policy)


@settings(max_examples=150)
@given(scenes(), rules_of(by_ear, most=2), protections_of(most=1))
def test_diverse_takes_agree_with_the_reference(
    scene: Scene, rules: tuple[Rule, ...], protect: tuple[Protection, ...]
) -> None:
    """The same takes of each prompt stay, for the same rank, beside what lacks a sound or a score."""
    assert_agreement(scene, Policy("test", rules=rules, protect=protect, limits=Limits(None, None)))


@settings(max_examples=150)
@given(scenes(), rules_of(by_sound, most=2), protections_of(most=1), st.sampled_from([0, 128]))
def test_likeness_agrees_with_the_reference(
    scene: Scene, rules: tuple[Rule, ...], protect: tuple[Protection, ...], small_group: int
) -> None:
    """The same copies go, for the same item that stays; compared side by side, or as a matrix in small tiles."""
    with patch.multiple(likeness, _SMALL_GROUP=small_group, _CANDIDATES=3, _KEEPERS=2, _ROWS_AT_ONCE=2):
        assert_agreement(scene, Policy("test", rules=rules, protect=protect, limits=Limits(None, None)))


@settings(max_examples=150)
@given(scenes(tidy=True), policies(most_rules=1, most_protections=1, with_limits=False))
def test_the_budget_agrees_with_the_reference(scene: Scene, policy: Policy) -> None:
    """Each mark of the budget takes the same, with the bytes of shared files, other caches and two disks."""
    assert_agreement(scene, policy)


@settings(max_examples=150)
@given(scenes(tidy=True), policies(most_rules=2, most_protections=1))
def test_the_limits_agree_with_the_reference(scene: Scene, policy: Policy) -> None:
    """The same plans are refused, and budgets are cut short at the same place."""
    assert_agreement(scene, policy)


@settings(max_examples=150)
@given(scenes(), policies(), st.booleans())
def test_whole_policies_agree_with_the_reference(scene: Scene, policy: Policy, enforce_limits: bool) -> None:
    """All of it together, on caches with every kind of missing value."""
    assert_agreement(scene, policy, enforce_limits=enforce_limits)
