"""Of the takes of a prompt those stay that are good and unlike each other."""

from __future__ import annotations

import pytest
from inventories import RowSpec, row
from plans import plan_for

from audio_cache_daemon.model import ItemState
from audio_cache_daemon.retention.needs import columns_needed
from audio_cache_daemon.retention.policy import Dedupe, Limits, Policy, Protection, Rule, YoungerThan

A, NEAR_A, B = (1.0, 0.0, 0.0, 0.0), (0.96875, 0.0, 0.0, 0.248046875), (0.0, 1.0, 0.0, 0.0)
UNLIMITED = Limits(None, None)
MISSING = ItemState.MISSING

two = Dedupe("prompt", 2, ("diverse",))
good_ones = Dedupe("prompt", 2, ("diverse",), diversity=0.0)
unlike_ones = Dedupe("prompt", 2, ("diverse",), diversity=1.0)

TAKES = {
    "exactly keep of them all stay": (two, [row(sound=A), row(sound=A)], []),
    "a prompt with few takes needs no sounds": (two, [row(sound=None, quality=None), row()], []),
    "a near copy of the best goes before a worse take that is unlike it": (
        two,
        [row(sound=A, quality=0.6), row(sound=NEAR_A, quality=0.5), row(sound=B, quality=0.4)],
        [1],
    ),
    "the best take stays, wherever it stands": (
        two,
        [row(sound=NEAR_A, quality=0.5), row(sound=B, quality=0.4), row(sound=A, quality=0.6)],
        [0],
    ),
    "a much worse take goes although it is unlike them": (
        two,
        [row(sound=A, quality=0.9), row(sound=NEAR_A, quality=0.9), row(sound=B, quality=-0.5)],
        [2],
    ),
    "diversity 0 looks at quality alone": (
        good_ones,
        [row(sound=A, quality=0.6), row(sound=A, quality=0.5), row(sound=B, quality=0.4)],
        [2],
    ),
    "diversity 1 begins with the best too": (
        unlike_ones,
        [row(sound=A, quality=0.6), row(sound=NEAR_A, quality=0.8), row(sound=B, quality=0.1)],
        [0],
    ),
    "of equal takes the newer stays": (two, [row(age=3), row(age=1), row(age=2)], [0]),
    "of equal everything the first row stays": (two, [row(), row(), row()], [2]),
    "no score stays and doesn't count": (two, [row(quality=None), row(quality=0.6), row(sound=B), row()], [3]),
    "no sound stays and doesn't count": (two, [row(sound=None), row(quality=0.6), row(sound=B), row()], [3]),
    "no timestamp stays and doesn't count": (two, [row(age=None), row(quality=0.6), row(sound=B), row()], [3]),
    "a missing file goes first": (two, [row(sound=B, state=MISSING), row(sound=A), row(sound=A)], [0]),
    "each prompt has its own": (two, [row(prompt="a"), row(prompt="a"), row(prompt="b"), row(prompt="b")], []),
}


@pytest.mark.parametrize(("criterion", "rows", "gone"), TAKES.values(), ids=TAKES)
def test_takes_stay_that_are_good_and_unlike_each_other(
    criterion: Dedupe, rows: list[RowSpec], gone: list[int]
) -> None:
    """By maximal marginal relevance, then by youth, then by row number."""
    policy = Policy("test", rules=(Rule("takes", criterion),), limits=UNLIMITED)
    assert plan_for(policy, rows, []).rows.subject.tolist() == gone


def test_a_protected_take_counts_and_the_others_are_chosen_to_be_unlike_it() -> None:
    """Although it is the worst of all, and the best of the others is its near copy."""
    rows = [row(sound=A, quality=0.1, age=5), row(sound=NEAR_A, quality=0.6), row(sound=B, quality=0.5)]
    protect = (Protection("young", YoungerThan(10)),)
    plan = plan_for(Policy("test", protect=protect, rules=(Rule("takes", two),), limits=UNLIMITED), rows, [])
    evicted = plan.rows
    assert (evicted.subject.tolist(), evicted.value.tolist(), evicted.keeper.tolist()) == ([1], [3.0], [0])


def test_a_prompt_with_few_takes_makes_nothing_undecidable() -> None:
    """What is missing is asked for only where there are more takes than stay."""
    policy = Policy("test", rules=(Rule("takes", two),), limits=UNLIMITED)
    assert plan_for(policy, [row(sound=None), row(quality=None)], []).undecidable == 0
    assert plan_for(policy, [row(sound=None), row(quality=None), row()], []).undecidable == 2


def test_sounds_are_read_only_where_a_rule_compares_them() -> None:
    """Of prompts with more takes than the rule that keeps the fewest."""
    rules = (Rule("a", Dedupe("prompt", 5, ("diverse",))), Rule("b", Dedupe("prompt", 3, ("diverse",))))
    assert columns_needed(Policy("test", rules=rules)).sounds_over == 3
    assert columns_needed(Policy("test", rules=(Rule("a", Dedupe("prompt", 1)),))).sounds_over is None
