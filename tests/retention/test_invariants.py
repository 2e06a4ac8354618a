"""What holds of every plan, whatever the cache and the policy."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from inventories import NOW
from msgspec.structs import replace
from plans import reasons_of
from reference_world import Reason
from strategies import (
    AGES,
    PATTERNS,
    SECONDS,
    Scene,
    policies,
    protection_criteria,
    protections_of,
    rules_of,
    scenes,
)

from audio_cache_daemon.model import Inventory, ItemState, Plan
from audio_cache_daemon.retention.needs import measures_needed
from audio_cache_daemon.retention.plan import plan_evictions
from audio_cache_daemon.retention.policy import (
    Criterion,
    InState,
    Limits,
    MaxAge,
    Pattern,
    Policy,
    Protection,
    ProtectionCriterion,
    Rule,
)

one_by_one: st.SearchStrategy[Criterion] = st.one_of(
    st.builds(MaxAge, st.sampled_from(SECONDS)),
    st.builds(Pattern, st.sampled_from(PATTERNS)),
    st.builds(InState, st.sampled_from(["missing", "orphan", "leftover"])),
)
"""Criteria that look at one subject at a time."""

quickly = settings(max_examples=60)


def decide(inventory: Inventory, policy: Policy) -> Plan:
    return plan_evictions(inventory, policy, NOW)


def gone(plan: Plan) -> tuple[set[int], set[int]]:
    """The rows and the strays that a plan evicts."""
    return set(plan.rows.subject.tolist()), set(plan.strays.subject.tolist())


def said(plan: Plan) -> list[object]:
    """All that a plan says, in values that can be compared."""
    evictions = [plan.rows, plan.strays]
    columns = [(e.subject, e.rule, e.value, e.threshold, e.keeper) for e in evictions]
    texts = (plan.rules, plan.protections, plan.undecidable, plan.capped, plan.refusals, plan.notes)
    return [[repr(c.tolist()) for parts in columns for c in parts], plan.protected.tolist(), texts]


def unrestrained(rules: tuple[Rule, ...], protect: tuple[Protection, ...]) -> Policy:
    return Policy("test", rules=rules, protect=protect, limits=Limits(None, None))


@quickly
@given(scenes(), policies())
def test_each_row_is_either_kept_or_evicted_for_one_reason(scene: Scene, policy: Policy) -> None:
    """Keep + evict = all: subjects are distinct, ascending, in range, and each names a rule of the plan."""
    plan = decide(scene.inventory(), policy)
    for evictions, count in ((plan.rows, len(scene.rows)), (plan.strays, len(scene.strays))):
        subjects = evictions.subject.tolist()
        assert subjects == sorted(set(subjects))
        kept = set(range(count)) - set(subjects)
        assert len(kept) + len(subjects) == count
        assert all(0 <= rule < len(plan.rules) for rule in evictions.rule)
    names = [rule.name for rule in plan.rules]
    assert names == [rule.name for rule in policy.rules] + ["budget:disk", "budget:size", "budget:items"]


@quickly
@given(scenes(), policies())
def test_the_same_input_gives_the_same_plan(scene: Scene, policy: Policy) -> None:
    """Nothing but the arguments decides."""
    assert said(decide(scene.inventory(), policy)) == said(decide(scene.inventory(), policy))


@quickly
@given(scenes(), policies())
def test_a_plan_without_reasons_takes_the_same_by_the_same_rules(scene: Scene, policy: Policy) -> None:
    """Only why isn't told, for who counts."""
    inventory = scene.inventory()
    plan, lean = decide(inventory, policy), plan_evictions(inventory, policy, NOW, reasons=False)
    for told, counted in ((plan.rows, lean.rows), (plan.strays, lean.strays)):
        for column in ("subject", "rule", "bytes"):
            assert getattr(told, column).tolist() == getattr(counted, column).tolist()
        assert np.isnan(counted.value).all()
    whole = replace(plan, rows=lean.rows, strays=lean.strays)
    assert said(lean) == said(whole)


@quickly
@given(scenes(), policies())
def test_the_inventory_is_not_changed_by_planning(scene: Scene, policy: Policy) -> None:
    """Every column may be read-only."""
    inventory = scene.inventory()
    for part in (inventory.rows, inventory.strays):
        columns = [getattr(part, name) for name in part.__struct_fields__]
        for column in columns + list(inventory.rows.matches.values()):
            if isinstance(column, np.ndarray):
                column.flags.writeable = False
    decide(inventory, policy)


@quickly
@given(scenes(), policies())
def test_what_is_protected_retired_unreadable_or_undecidable_stays(scene: Scene, policy: Policy) -> None:
    """No rule and no budget selects it."""
    plan = decide(scene.inventory(), policy)
    rows, _ = gone(plan)
    assert not {row for row in rows if plan.protected[row] >= 0}
    assert all(scene.rows[row].state in (ItemState.OK, ItemState.MISSING) for row in rows)
    assert all(scene.rows[row].readable for row in rows)


@quickly
@given(scenes(), policies(with_budget=False, with_limits=False))
def test_a_longer_max_age_never_evicts_more(scene: Scene, policy: Policy) -> None:
    """Where no rule compares items with each other, patience only keeps."""
    rules = tuple(rule for rule in policy.rules if isinstance(rule.criterion, MaxAge | Pattern | InState))
    longer = [
        replace(rule, criterion=MaxAge(rule.criterion.seconds + 1)) if isinstance(rule.criterion, MaxAge) else rule
        for rule in rules
    ]
    inventory = scene.inventory()
    rows, strays = gone(decide(inventory, replace(policy, rules=rules)))
    fewer_rows, fewer_strays = gone(decide(inventory, replace(policy, rules=tuple(longer))))
    assert fewer_rows <= rows
    assert fewer_strays == strays


@quickly
@given(scenes(), rules_of(one_by_one), protections_of(), protection_criteria)
def test_a_further_protection_never_evicts_more(
    scene: Scene,
    rules: tuple[Rule, ...],
    protect: tuple[Protection, ...],
    further: ProtectionCriterion,
) -> None:
    """Where no rule compares items with each other, protection only keeps."""
    inventory = scene.inventory()
    rows, strays = gone(decide(inventory, unrestrained(rules, protect)))
    more = (*protect, Protection("further", further))
    fewer_rows, fewer_strays = gone(decide(inventory, unrestrained(rules, more)))
    assert fewer_rows <= rows
    assert fewer_strays <= strays


@quickly
@given(scenes(tidy=True), policies(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_decides_nothing_but_ties(scene: Scene, policy: Policy, random: Random) -> None:
    """Rows of distinct ages, in another order, go for the same reasons."""
    rows = [replace(spec, age=AGES[1] + 40.0 * number) for number, spec in enumerate(scene.rows)]
    order = list(range(len(rows)))
    random.shuffle(order)
    plan = decide(replace(scene, rows=tuple(rows)).inventory(), policy)
    other = decide(replace(scene, rows=tuple(rows[number] for number in order)).inventory(), policy)
    assert reasons(plan, list(range(len(rows)))) == reasons(other, order)
    assert gone(plan)[1] == gone(other)[1]


def reasons(plan: Plan, original: list[int]) -> dict[int, Reason]:
    """Why each evicted row goes, by original row numbers."""
    return {
        original[row]: replace(reason, keeper=original[reason.keeper] if reason.keeper >= 0 else -1)
        for row, reason in reasons_of(plan, plan.rows).items()
    }


@quickly
@given(scenes(), policies())
def test_measures_that_a_policy_doesnt_need_decide_nothing(scene: Scene, policy: Policy) -> None:
    """Without them the plan is the same, to the last reason."""
    inventory = scene.inventory()
    needed, rows = measures_needed(policy), inventory.rows
    unknown = {name: np.full(len(rows), np.nan) for name in ("quality", "duration") if name not in needed}
    assert said(decide(replace(inventory, rows=replace(rows, **unknown)), policy)) == said(decide(inventory, policy))
