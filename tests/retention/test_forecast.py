"""A forecast is a policy applied day by day to a cache that goes on growing as it did."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inventories import NOW, Disk, RowSpec, StraySpec, Surroundings, inventory, patterns_of, row, stray
from msgspec.structs import replace
from reference_forecast import DAY, Day, simulate

from audio_cache_daemon.model import Forecast, ItemState, StrayKind, Truth
from audio_cache_daemon.retention.forecast import forecast
from audio_cache_daemon.retention.plan import plan_evictions
from audio_cache_daemon.retention.policy import (
    Budget,
    Compared,
    Criterion,
    Dedupe,
    DiskMarks,
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

UNLIMITED = Limits(None, None)

specs = st.builds(
    RowSpec,
    age=st.sampled_from([0.25, 0.5, 1.5, 2.0, 2.75]).map(lambda days: days * DAY),
    quality=st.sampled_from([0.1, 0.5, 0.9, None]),
    prompt=st.sampled_from(["rain", "wind", None]),
    state=st.sampled_from([ItemState.OK, ItemState.OK, ItemState.OK, ItemState.MISSING]),
    file=st.sampled_from([None, None, "shared"]),
    line=st.sampled_from([50, 100]),
    matches=st.sampled_from([{}, {"p": Truth.TRUE}]),
)
criteria: st.SearchStrategy[Criterion] = st.one_of(
    st.sampled_from([1.0, 2.5, 4.0]).map(lambda days: MaxAge(days * DAY)),
    st.just(Pattern("p")),
    st.builds(Dedupe, st.just("prompt"), st.integers(1, 2), st.sampled_from([(), ("quality",)])),
    st.just(Compared("quality", "<", 0.5)),
    st.just(InState("missing")),
)
policies = st.builds(
    Policy,
    name=st.just("test"),
    protect=st.sampled_from([(), (Protection("young", YoungerThan(DAY)),)]),
    rules=st.lists(st.tuples(criteria, st.sampled_from([None, 1.5 * DAY])), max_size=2).map(
        lambda drawn: tuple(Rule(f"rule {i}", criterion, min_age) for i, (criterion, min_age) in enumerate(drawn))
    ),
    budget=st.builds(
        Budget,
        size=st.sampled_from([None, Marks(4000, 2000)]),
        items=st.sampled_from([None, Marks(6, 4)]),
        evict=st.sampled_from(["oldest", "lowest_quality"]),
    ),
    limits=st.sampled_from([UNLIMITED, Limits(4, None), Limits(None, 30.0)]),
)


def _forecast(policy: Policy, rows: list[RowSpec], days: int, around: Surroundings | None = None) -> Forecast:
    return forecast(inventory(rows, around=around, patterns=patterns_of(policy)), policy, NOW, days)


@settings(max_examples=60)
@given(st.lists(specs, max_size=6), policies)
def test_a_forecast_agrees_with_a_simulation_day_by_day(rows: list[RowSpec], policy: Policy) -> None:
    """What comes, what goes by which rule, what stays, and its bytes; limits refuse on the same days."""
    shared = {spec.file: spec for spec in rows if spec.file is not None}
    rows = [spec if spec.file is None else replace(spec, state=shared[spec.file].state) for spec in rows]
    found = [
        Day(day.added, {rule: items for rule, (items, _) in day.taken.items()}, day.items, day.bytes)
        for day in _forecast(policy, rows, 4).days
    ]
    assert found == simulate(rows, policy, 4)


@settings(max_examples=60)
@given(st.lists(specs, max_size=6), policies)
def test_the_size_without_the_policy_is_that_with_one_that_takes_nothing(rows: list[RowSpec], policy: Policy) -> None:
    """Whatever the policy does meanwhile; files that several rows name come once."""
    nothing = [(day.items, day.bytes) for day in _forecast(Policy("nothing"), rows, 4).days]
    assert [(day.items_without, day.bytes_without) for day in _forecast(policy, rows, 4).days] == nothing


@pytest.mark.parametrize("days", [0, 1, 9, 10, 11, 30])
def test_where_nothing_is_added_the_days_together_are_a_plan_as_of_the_last(days: int) -> None:
    """As `run-once --dry-run --as-of` shows it: of a cache in which nothing is younger than 30 days."""
    policy = Policy("test", rules=(Rule("stale", MaxAge(40 * DAY)), Rule("gone", InState("missing"))), limits=UNLIMITED)
    rows = [row(age=(30 + age) * DAY) for age in range(20)] + [row(age=None, state=ItemState.MISSING)]
    taken = [day.taken for day in _forecast(policy, rows, days).days]
    plan = plan_evictions(inventory(rows), policy, NOW + days * DAY)
    for number, rule in enumerate(policy.rules):
        expected = int((plan.rows.rule == number).sum())
        assert sum(day.get(rule.name, (0, 0))[0] for day in taken) == expected
    assert sum(size for day in taken for _, size in day.values()) == int(plan.rows.bytes.sum())


def test_the_growth_is_that_of_the_days_that_the_items_tell_of() -> None:
    """Three items in two days; the size with and without a policy that keeps a day of them."""
    policy = Policy("test", rules=(Rule("stale", MaxAge(1.75 * DAY)),), limits=UNLIMITED)
    coming = _forecast(policy, [row(age=age * DAY) for age in (0.5, 1.0, 1.5)], 4)
    assert (coming.window, coming.items_per_day, coming.bytes_per_day) == (2 * DAY, 1.5, 1500.0)
    assert [day.added for day in coming.days] == [0, 2, 1, 2, 1]
    assert [day.items_without for day in coming.days] == [3, 5, 6, 8, 9]
    assert [day.items for day in coming.days] == [3, 3, 3, 3, 3]
    assert [day.bytes_without for day in coming.days] == [1100 * count for count in (3, 5, 6, 8, 9)]


def test_the_day_on_which_a_limit_is_reached_is_told() -> None:
    """Of the budget's marks, and of the limits that refuse a run."""
    budget = Policy("test", budget=Budget(items=Marks(4, 3)), limits=UNLIMITED)
    assert _forecast(budget, [row(age=0.5 * DAY), row(age=0.6 * DAY)], 3).reached() == {"budget:items": NOW + 2 * DAY}
    strict = Policy("test", rules=(Rule("stale", MaxAge(2.7 * DAY)),), limits=Limits(1, None))
    coming = _forecast(strict, [row(age=0.5 * DAY), row(age=0.6 * DAY)], 3)
    assert coming.reached() == {"max_items": NOW + 3 * DAY}
    assert [day.taken for day in coming.days] == [{}, {}, {}, {}]


def test_the_disk_fills_with_what_is_added() -> None:
    """A thousand bytes a day, of which 2,500 are free above the mark."""
    policy = Policy("test", budget=Budget(disk=DiskMarks(1000, 2000)), limits=UNLIMITED)
    around = Surroundings(disks=(Disk(1, free=3500, size=20000),))
    coming = _forecast(policy, [row(age=0.5 * DAY)], 5, around)
    assert coming.reached() == {"budget:disk": NOW + 3 * DAY}


def test_files_without_a_row_go_on_their_day_and_once() -> None:
    """None is added: they are accidents."""
    policy = Policy("test", rules=(Rule("orphans", InState("orphan"), min_age=2 * DAY),), limits=UNLIMITED)
    strays = [StraySpec(age=1.5 * DAY), stray(StrayKind.LEFTOVER, age=9 * DAY)]
    coming = forecast(inventory([], strays), policy, NOW, 3)
    assert [day.taken for day in coming.days] == [{}, {"orphans": (1, 1000)}, {}, {}]


def test_an_empty_cache_stays_empty() -> None:
    """Nothing tells how it would grow."""
    coming = _forecast(Policy("test"), [], 2)
    assert [(day.added, day.items, day.bytes) for day in coming.days] == [(0, 0, 0)] * 3
