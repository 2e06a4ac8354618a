"""What dedupe counts beside protections, other rules and narrowing; and which items count as undecidable."""

from __future__ import annotations

import pytest
from inventories import RowSpec, row
from msgspec.structs import replace
from plans import plan_for

from audio_cache_daemon.model import ItemState
from audio_cache_daemon.retention.policy import (
    Budget,
    Compared,
    Dedupe,
    Everything,
    KeepBest,
    Limits,
    Marks,
    MaxAge,
    Policy,
    Protection,
    Rule,
    YoungerThan,
)

UNDECIDABLE, RETIRED = ItemState.UNDECIDABLE, ItemState.RETIRED
UNLIMITED = Limits(None, None)
stale = Rule("stale", MaxAge(1e4))
protected_young = (Protection("young", YoungerThan(10)),)
takes = Rule("takes", Dedupe("prompt", 1))


def test_dedupe_counts_the_protected_first_and_names_the_row_that_stays() -> None:
    """A protected take is kept whatever its rank, and takes the place of a better one."""
    rows = [row(age=20, quality=0.9), row(age=5, quality=0.1), row(age=30, quality=0.8)]
    rule = Rule("takes", Dedupe("prompt", 2, ("quality",)))
    plan = plan_for(Policy("test", protect=protected_young, rules=(rule,), limits=UNLIMITED), rows, [])
    evicted = plan.rows
    assert (evicted.subject.tolist(), evicted.value.tolist(), evicted.threshold.tolist()) == ([2], [3.0], [2.0])
    assert evicted.keeper.tolist() == [1]


def test_dedupe_ranks_what_earlier_rules_left() -> None:
    """The worst take is gone already: one of the other two is left to lose."""
    rows = [row(age=3e4), row(age=20), row(age=30)]
    plan = plan_for(Policy("test", rules=(stale, takes), limits=UNLIMITED), rows, [])
    assert [plan.rules[rule].name for rule in plan.rows.rule] == ["stale", "takes"]
    assert plan.rows.subject.tolist() == [0, 2]


def test_dedupe_is_narrowed_after_its_groups_are_made() -> None:
    """The newest is too young to be selected, but it is the one that is kept."""
    rows = [row(age=5), row(age=20), row(age=30)]
    narrowed = replace(takes, min_age=20)
    assert plan_for(Policy("test", rules=(narrowed,), limits=UNLIMITED), rows, []).rows.subject.tolist() == [2]


UNDECIDED = {
    "an absent timestamp under max_age": (Policy("t", rules=(stale,)), row(age=None), 1),
    "an absent timestamp that nothing asks for": (Policy("t", rules=(Rule("r", Everything()),)), row(age=None), 0),
    "no score under quality": (Policy("t", rules=(Rule("r", Compared("quality", "<", 0.2)),)), row(quality=None), 1),
    "a length of 0 under duration": (Policy("t", rules=(Rule("r", Compared("duration", "<", 5)),)), row(duration=0), 1),
    "a length of 0 where 0 is named": (Policy("t", rules=(Rule("r", Compared("duration", "==", 0)),)), row(), 0),
    "a file that can't be decided": (Policy("t"), row(state=UNDECIDABLE), 1),
    "a retired row": (Policy("t", rules=(stale,)), row(age=None, state=RETIRED), 0),
    "no quality under keep_best": (Policy("t", protect=(Protection("b", KeepBest(1)),)), row(quality=None), 1),
    "no place in the budget's order": (Policy("t", budget=Budget(items=Marks(9, 9))), row(age=None), 1),
    "a narrowing that is open where the criterion is false": (
        Policy("t", rules=(replace(stale, pattern="p"),)),
        row(age=1, prompt=None),
        0,
    ),
}


@pytest.mark.parametrize(("policy", "subject", "count"), UNDECIDED.values(), ids=UNDECIDED)
def test_an_item_is_undecidable_when_a_condition_that_is_asked_for_is(
    policy: Policy, subject: RowSpec, count: int
) -> None:
    """Conditions that the policy doesn't ask for don't matter."""
    assert plan_for(policy, [subject], []).undecidable == count
