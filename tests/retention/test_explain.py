"""An explanation is made of the plan's own verdicts, so the two agree on every subject."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from inventories import NOW, RowSpec, Surroundings, patterns_of
from inventories import inventory as inventory_of
from strategies import Scene, budgets, limits_in_seconds, policies, rules_of, scenes

from audio_cache_daemon.model import Evictions, ItemState, Plan, Truth
from audio_cache_daemon.retention.explain import Explanation, explain_row, explain_stray
from audio_cache_daemon.retention.plan import plan_evictions
from audio_cache_daemon.retention.policy import (
    Budget,
    Compared,
    Criterion,
    InState,
    Limits,
    Marks,
    MaxAge,
    Pattern,
    Policy,
    Protection,
    Rule,
    YoungerThan,
)


def owners(plan: Plan, evictions: Evictions) -> dict[int, str]:
    names = [plan.rules[rule].name for rule in evictions.rule.tolist()]
    return dict(zip(evictions.subject.tolist(), names, strict=True))


def owner_of(explanation: Explanation) -> str | None:
    return explanation.owner.rule.name if explanation.owner is not None else None


@settings(max_examples=40)
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


@settings(max_examples=40)
@given(scenes(), policies(with_budget=False, with_limits=False))
def test_the_first_rule_that_selects_an_unprotected_decided_row_owns_it(scene: Scene, policy: Policy) -> None:
    """The rules' verdicts, read from the first to the last, give the owner."""
    inventory = scene.inventory()
    for row in range(len(inventory.rows)):
        explanation = explain_row(inventory, policy, NOW, row)
        selecting = [rule.rule.name for rule in explanation.rules if rule.truth == Truth.TRUE]
        free = explanation.decided and not explanation.protections
        assert owner_of(explanation) == (selecting[0] if free and selecting else None)


MUCH_LATER = NOW + 1e9

timely: st.SearchStrategy[Criterion] = st.one_of(
    st.builds(MaxAge, limits_in_seconds),
    st.builds(Pattern, st.just("p")),
    st.builds(InState, st.sampled_from(["missing", "orphan", "leftover"])),
    st.just(Compared("quality", "<", 0.5)),
)
"""Criteria whose verdict on one item is no matter of the others."""

guards = st.lists(st.builds(YoungerThan, limits_in_seconds), max_size=1).map(
    lambda drawn: tuple(Protection("young", criterion) for criterion in drawn)
)


@settings(max_examples=40)
@given(scenes(), rules_of(timely), guards)
def test_when_a_rule_will_take_it_is_when_the_plan_as_of_then_does(
    scene: Scene, rules: tuple[Rule, ...], protect: tuple[Protection, ...]
) -> None:
    """Right after the moment, and not before, when a pin may end; what no time takes is still there much later."""
    policy = Policy("test", rules=rules, protect=protect, limits=Limits(None, None))
    inventory = scene.inventory()
    now, late = plan_evictions(inventory, policy, NOW), plan_evictions(inventory, policy, MUCH_LATER)
    for kind, explain, count in (
        ("rows", explain_row, len(inventory.rows)),
        ("strays", explain_stray, len(inventory.strays)),
    ):
        for subject in range(count):
            following = explain(inventory, policy, NOW, subject).next_owner
            if following is None:
                assert (subject in getattr(late, kind).subject) == (subject in getattr(now, kind).subject)
                continue
            assert following.due is not None
            if kind == "strays" or following.due != inventory.rows.pinned_until[subject]:
                assert subject not in getattr(plan_evictions(inventory, policy, following.due), kind).subject
            then = plan_evictions(inventory, policy, following.due + 1)
            assert owners(then, getattr(then, kind))[subject] == following.rule.name


@settings(max_examples=60)
@given(scenes(tidy=True), budgets, rules_of(timely, most=1), st.booleans())
def test_the_budget_takes_an_item_when_its_mark_reads_more_than_the_explanation_says(
    scene: Scene, budget: Budget, rules: tuple[Rule, ...], by_size: bool
) -> None:
    """For each row and each of the two marks; a row without a place is never taken."""
    budget = Budget(size=budget.size, evict=budget.evict) if by_size else Budget(items=budget.items, evict=budget.evict)
    policy = Policy("test", rules=rules, budget=budget, limits=Limits(None, None))
    inventory = scene.inventory()
    plan = plan_evictions(inventory, policy, NOW)
    taken = {row for row, name in owners(plan, plan.rows).items() if name.startswith("budget:")}
    for row in range(len(inventory.rows)):
        places = explain_row(inventory, policy, NOW, row).places
        assert (row in taken) == any(place.value > place.limit for place in places)


def _explain(policy: Policy, *rows: RowSpec) -> Explanation:
    return explain_row(inventory_of(rows, around=Surroundings(), patterns=patterns_of(policy)), policy, NOW, 0)


def test_a_rule_whose_time_will_come_says_when_although_it_is_protected() -> None:
    """Its condition holds after 100 seconds; what protects it as long as it is young ends after 200."""
    policy = Policy("test", rules=(Rule("stale", MaxAge(100)),), protect=(Protection("young", YoungerThan(200)),))
    explanation = _explain(policy, RowSpec(age=50))
    assert [rule.due for rule in explanation.rules] == [NOW + 50]
    assert explanation.next_owner is not None
    assert explanation.next_owner.due == NOW + 150


def test_no_time_makes_a_rule_take_what_it_can_not_decide() -> None:
    """Without a timestamp there is no date to tell; nor when the file can't be decided."""
    policy = Policy("test", rules=(Rule("stale", MaxAge(100)),))
    for spec in (RowSpec(age=None), RowSpec(age=50, state=ItemState.UNDECIDABLE)):
        assert _explain(policy, spec).next_owner is None
    assert [rule.due for rule in _explain(policy, RowSpec(age=None)).rules] == [None]


def test_a_place_in_the_order_of_the_budget_tells_how_full_the_cache_must_be() -> None:
    """The second oldest of three, of a thousand bytes and a line of a hundred each."""
    policy = Policy("test", budget=Budget(size=Marks(4000, 3000), items=Marks(5, 4)))
    size, items = _explain(policy, RowSpec(age=20), RowSpec(age=30), RowSpec(age=10)).places
    assert (size.mark, size.place, size.value, size.limit) == ("budget:size", 2, 3300, 4100)
    assert (items.mark, items.place, items.value, items.limit) == ("budget:items", 2, 3, 5)
