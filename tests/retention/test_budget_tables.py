"""What budgets take and limits stop, a line for each boundary; read each as "... holds"."""

from __future__ import annotations

import pytest
from inventories import NOW, Disk, RowSpec, StraySpec, Surroundings, inventory, row, stray
from msgspec.structs import replace
from plans import plan_for

from audio_cache_daemon.model import ItemState, StrayKind, Truth
from audio_cache_daemon.retention.plan import plan_evictions
from audio_cache_daemon.retention.policy import (
    Budget,
    DiskMarks,
    InState,
    Limits,
    Marks,
    MaxAge,
    Pattern,
    Policy,
    Protection,
    Rule,
    Share,
)

MISSING, RETIRED, UNDECIDABLE = ItemState.MISSING, ItemState.RETIRED, ItemState.UNDECIDABLE
LEFTOVER, ORPHAN = StrayKind.LEFTOVER, StrayKind.ORPHAN
UNLIMITED = Limits(None, None)
OLD, OLDER, OLDEST = 1e4, 2e4, 3e4


def light(size: int, **values: object) -> RowSpec:
    """A row whose line takes nothing, so that sizes are round."""
    return replace(row(size=size, line=0), **values)


def to_size(high: int, low: int) -> Budget:
    return Budget(size=Marks(high, low))


def to_items(high: int, low: int) -> Budget:
    return Budget(items=Marks(high, low))


three = [light(100, age=OLD), light(100, age=OLDEST), light(100, age=OLDER)]
one_file = [light(100, age=age, file="shared") for age in (OLDEST, OLDER)]

BUDGETS = {
    "size: exactly at high nothing goes": (to_size(300, 0), three, []),
    "size: above high the oldest go until exactly low": (to_size(299, 100), three, [1, 2]),
    "size: lines of the index count": (to_size(300, 300), [*three, light(0, line=1, age=0)], [1]),
    "size: a file that two rows name counts once": (to_size(100, 0), one_file, []),
    "size: a shared file is freed with its last row": (to_size(199, 100), [*one_file, light(100, age=OLD)], [0, 1]),
    "size: a row whose file another cache names stays, since its going would free nothing": (
        to_size(299, 200),
        [*three, light(0, age=1), light(100, age=4e4, used_elsewhere=True)],
        [1, 2],
    ),
    "size: a retired row's file doesn't count": (to_size(300, 0), [*three, light(100, state=RETIRED)], []),
    "size: a retired row holds no file back": (
        to_size(199, 100),
        [light(100, age=OLDEST, file="f"), light(100, state=RETIRED, file="f"), light(100, age=OLD)],
        [0],
    ),
    "size: a row without its file is no candidate": (to_size(99, 0), [light(0, state=MISSING), light(100)], [1]),
    "size: a row that can't be placed stays": (to_size(99, 0), [light(100, age=None), light(100, age=-1)], []),
    "items: exactly at high nothing goes": (to_items(3, 0), three, []),
    "items: above high the oldest go until exactly low": (to_items(2, 1), three, [1, 2]),
    "items: a retired row is no item": (to_items(3, 0), [*three, row(state=RETIRED)], []),
    "items: an unreadable line is no item": (to_items(3, 0), [*three, row(readable=False, state=UNDECIDABLE)], []),
    "items: a row without its file is a candidate": (to_items(1, 1), [row(age=OLDER, state=MISSING), row()], [1]),
    "items: a row whose file can't be decided counts and stays": (
        to_items(1, 1),
        [row(age=1e9, state=UNDECIDABLE), row()],
        [1],
    ),
    "lowest_quality: the worst go first": (
        Budget(items=Marks(2, 2), evict="lowest_quality"),
        [row(quality=0.9), row(quality=0.1), row(quality=0.5)],
        [1],
    ),
    "lowest_quality: no quality stays": (
        Budget(items=Marks(0, 0), evict="lowest_quality"),
        [row(quality=None), row(quality=0.9)],
        [1],
    ),
    "lowest_quality: of equal ones the older goes, one of unknown age last": (
        Budget(items=Marks(1, 1), evict="lowest_quality"),
        [row(age=None), row(age=OLD), row(age=OLDER)],
        [1, 2],
    ),
    "largest: the largest go first": (
        Budget(items=Marks(2, 2), evict="largest"),
        [row(size=1), row(size=3), row(size=2)],
        [1],
    ),
    "largest: a row without its file has no size to place it by": (
        Budget(items=Marks(0, 0), evict="largest"),
        [row(state=MISSING), row()],
        [1],
    ),
    "of equally old ones the first row goes": (to_items(1, 1), [row(), row()], [0]),
}


@pytest.mark.parametrize(("budget", "rows", "gone"), BUDGETS.values(), ids=BUDGETS)
def test_a_budget_takes_what_comes_first_until_it_is_kept(budget: Budget, rows: list[RowSpec], gone: list[int]) -> None:
    """Above high, until at or below low."""
    plan = plan_for(Policy("test", budget=budget, limits=UNLIMITED), rows, [])
    assert plan.rows.subject.tolist() == gone


def test_a_budget_counts_what_the_rules_left_and_takes_nothing_protected() -> None:
    """Of four, a rule takes one and one is protected."""
    rows = [row(age=9e9), row(age=OLDEST, prompt="brand"), row(age=OLDER), row(age=OLD)]
    rows[1] = replace(rows[1], matches={"brand": Truth.TRUE})
    guard, rule = Protection("brand", Pattern("brand")), Rule("stale", MaxAge(1e9))
    for high, gone in ((3, [0]), (2, [0, 2])):
        policy = Policy("test", protect=(guard,), rules=(rule,), budget=to_items(high, 2), limits=UNLIMITED)
        assert plan_for(policy, rows, []).rows.subject.tolist() == gone


def on_disk(free: int, marks: DiskMarks) -> tuple[Surroundings, Budget]:
    return Surroundings((Disk(1, free, 1000), Disk(2, 900, 1000))), Budget(disk=marks)


LOW = DiskMarks(100, 200)
settled = stray(LEFTOVER, age=3601, size=50)

DISKS = {
    "exactly min_free is enough": (100, LOW, three, [], ([], [])),
    "below min_free the oldest go until exactly resume_free": (99, DiskMarks(100, 199), three, [], ([1], [])),
    "a share is of the disk's size": (99, DiskMarks(Share(10.0), Share(20.0)), three, [], ([1, 2], [])),
    "a file without a row goes before a row": (99, DiskMarks(100, 149), three, [settled], ([], [0])),
    "leftovers go before orphans": (
        99,
        DiskMarks(100, 149),
        [],
        [stray(ORPHAN, age=9e9, size=50), settled],
        ([], [1]),
    ),
    "the oldest leftover goes first": (99, DiskMarks(100, 149), [], [settled, replace(settled, age=9e9)], ([], [1])),
    "a leftover of exactly an hour stays": (99, LOW, [], [replace(settled, age=3600)], ([], [])),
    "a leftover changed in the future stays": (99, LOW, [], [replace(settled, age=-1)], ([], [])),
    "what lies on another file system stays": (99, LOW, [light(100, root=1)], [replace(settled, root=1)], ([], [])),
    "a row without its file is no candidate": (99, LOW, [row(state=MISSING)], [], ([], [])),
}


@pytest.mark.parametrize(("free", "marks", "rows", "strays", "gone"), DISKS.values(), ids=DISKS)
def test_a_short_disk_takes_leftovers_then_orphans_then_rows(
    free: int,
    marks: DiskMarks,
    rows: list[RowSpec],
    strays: list[StraySpec],
    gone: tuple[list[int], list[int]],
) -> None:
    """On the file system that is short, and there only."""
    around, budget = on_disk(free, marks)
    plan = plan_for(Policy("test", budget=budget, limits=UNLIMITED), rows, strays, around)
    assert (plan.rows.subject.tolist(), plan.strays.subject.tolist()) == gone
    assert set(plan.rows.value.tolist()) | set(plan.strays.value.tolist()) <= {float(free)}


def test_what_rules_take_from_a_short_disk_counts_as_coming() -> None:
    """A rule frees what brings the disk to min_free: the budget has nothing to do."""
    around, budget = on_disk(0, DiskMarks(100, 200))
    policy = Policy("test", rules=(Rule("stale", MaxAge(OLDER)),), budget=budget, limits=UNLIMITED)
    assert plan_for(policy, three, [], around).rows.subject.tolist() == [1]


def test_orphans_that_could_not_be_told_stay_on_a_short_disk() -> None:
    """The scan says why; leftovers are no orphans."""
    around, budget = on_disk(0, LOW)
    around = replace(around, orphans_undecidable="the index is empty")
    plan = plan_for(Policy("test", budget=budget, limits=UNLIMITED), [], [stray(ORPHAN), settled], around)
    assert plan.strays.subject.tolist() == [1]


def rows_of(count: int, old: int, **values: object) -> list[RowSpec]:
    """So many rows, of which the first `old` are older than OLD."""
    return [light(100, age=OLDER if number < old else 0, **values) for number in range(count)]


stale, orphaned = Rule("stale", MaxAge(OLD)), Rule("orphans", InState("orphan"))

REFUSALS = {
    "exactly max_items passes": (Limits(3, None), rows_of(10, 3), 0, set()),
    "one more than max_items is refused": (Limits(3, None), rows_of(10, 4), 0, {"max_items"}),
    "exactly max_percent of the rows passes": (Limits(None, 10), rows_of(20, 2), 0, set()),
    "more than max_percent of the rows is refused": (Limits(None, 10), rows_of(20, 3), 0, {"max_percent"}),
    "below 20 rows no percentage is looked at": (Limits(None, 10), rows_of(19, 19), 0, set()),
    "unreadable lines are no rows": (
        Limits(None, 10),
        [*rows_of(19, 19), row(readable=False, state=UNDECIDABLE)],
        0,
        set(),
    ),
    "more than max_percent of the audio is refused": (
        Limits(None, 10),
        [light(1000, age=OLDER), *rows_of(19, 0)],
        0,
        {"max_percent"},
    ),
    "audio that another cache names doesn't go": (
        Limits(None, 10),
        [light(1000, age=OLDER, used_elsewhere=True), *rows_of(19, 0)],
        0,
        set(),
    ),
    "orphans have a count of their own": (Limits(3, None), rows_of(10, 3), 3, set()),
    "more orphans than max_items are refused": (Limits(3, None), rows_of(10, 0), 4, {"max_items"}),
    "exactly max_percent of the files may be orphans that go": (Limits(None, 10), rows_of(18, 0), 2, set()),
    "more than max_percent of the files are refused": (Limits(None, 10), rows_of(18, 0), 3, {"max_percent"}),
    "both limits can refuse": (Limits(3, 10), rows_of(20, 4), 0, {"max_items", "max_percent"}),
}


@pytest.mark.parametrize(("limits", "rows", "orphans", "refusals"), REFUSALS.values(), ids=REFUSALS)
def test_rules_that_select_more_than_a_limit_are_refused(
    limits: Limits, rows: list[RowSpec], orphans: int, refusals: set[str]
) -> None:
    """Exactly at the limit passes; the plan still shows what would go."""
    policy = Policy("test", rules=(stale, orphaned), limits=limits)
    plan = plan_for(policy, rows, [stray(ORPHAN)] * orphans)
    assert {refusal.limit for refusal in plan.refusals} == refusals
    assert len(plan.rows) == len([spec for spec in rows if spec.age == OLDER])
    found = inventory(rows, [stray(ORPHAN)] * orphans)
    assert plan_evictions(found, policy, NOW, enforce_limits=False).refusals == ()


CAPS = {
    "exactly max_items fits": (Limits(5, None), 5, ()),
    "the first above max_items is cut": (Limits(4, None), 4, ("max_items",)),
    "exactly max_percent fits": (Limits(None, 25), 5, ()),
    "the first above max_percent is cut": (Limits(None, 20), 4, ("max_percent",)),
    "what the rules take leaves no room": (Limits(1, None), 1, ("max_items",)),
}


@pytest.mark.parametrize(("limits", "gone", "capped"), CAPS.values(), ids=CAPS)
def test_a_budget_is_cut_where_rules_and_budget_together_reach_a_limit(
    limits: Limits, gone: int, capped: tuple[str, ...]
) -> None:
    """Of twenty rows a rule takes one, and the budget wants four more."""
    policy = Policy("test", rules=(stale,), budget=to_items(15, 15), limits=limits)
    plan = plan_for(policy, rows_of(20, 1), [])
    assert (len(plan.rows), plan.capped, plan.refusals) == (gone, capped, ())
