"""What rules and protections mean, a line for each boundary; read each as "... holds"."""

from __future__ import annotations

import math

import pytest
from inventories import RowSpec, StraySpec, Surroundings, row, stray
from plans import plan_for

from audio_cache_daemon.model import ItemState, StrayKind, Truth
from audio_cache_daemon.retention.policy import (
    Budget,
    Compared,
    Dedupe,
    Everything,
    InState,
    KeepBest,
    KeepNewest,
    Limits,
    Marks,
    MaxAge,
    Pattern,
    Policy,
    Protection,
    Rule,
    Sign,
    YoungerThan,
)

NO, MAYBE, YES = Truth.FALSE, Truth.UNDECIDABLE, Truth.TRUE
OK, MISSING, UNDECIDABLE, RETIRED = ItemState.OK, ItemState.MISSING, ItemState.UNDECIDABLE, ItemState.RETIRED
ORPHAN, LEFTOVER = StrayKind.ORPHAN, StrayKind.LEFTOVER
UNSETTLED = Surroundings(orphans_undecidable="the index is empty")


def evicted(
    policy: Policy, rows: list[RowSpec], strays: list[StraySpec], around: Surroundings | None = None
) -> tuple[list[int], list[int]]:
    """The rows and strays that go, as the planner and the reference both say."""
    plan = plan_for(policy, rows, strays, around)
    return plan.rows.subject.tolist(), plan.strays.subject.tolist()


def unlimited(rules: list[Rule], protect: list[Protection] | None = None) -> Policy:
    return Policy("test", rules=tuple(rules), protect=tuple(protect or ()), limits=Limits(None, None))


max_age = Rule("r", MaxAge(100))
pattern = Rule("r", Pattern("p"))
gone = Rule("r", InState("missing"))
gone_a_while = Rule("r", InState("missing"), min_age=100)
everything = Rule("r", Everything())

RULES = {
    "max_age: exactly at the limit is kept": (max_age, row(age=100), False),
    "max_age: past the limit goes": (max_age, row(age=100.001), True),
    "max_age: an absent timestamp is kept": (max_age, row(age=None), False),
    "max_age: a timestamp in the future is kept": (max_age, row(age=-1e9), False),
    "max_age: a row without its file goes too": (max_age, row(age=101, state=MISSING), True),
    "max_age: a row whose file can't be decided is kept": (max_age, row(age=101, state=UNDECIDABLE), False),
    "max_age: a retired row is kept": (max_age, row(age=101, state=RETIRED), False),
    "max_age: an unreadable line is kept": (max_age, row(age=101, readable=False), False),
    "pattern: a match goes": (pattern, row(matches={"p": YES}), True),
    "pattern: no match is kept": (pattern, row(matches={"p": NO}), False),
    "pattern: a match that can't be decided is kept": (pattern, row(matches={"p": MAYBE}), False),
    "pattern: no prompt is kept": (pattern, row(prompt=None, matches={"p": YES}), False),
    "missing: a row without its file goes": (gone, row(state=MISSING), True),
    "missing: a row with its file is kept": (gone, row(), False),
    "missing: exactly as long as min_age is kept": (gone_a_while, row(state=MISSING, missing_for=100), False),
    "missing: longer than min_age goes": (gone_a_while, row(state=MISSING, missing_for=101), True),
    "missing: never seen missing before is kept": (gone_a_while, row(state=MISSING, missing_for=None), False),
    "missing: seen missing in the future is kept": (gone_a_while, row(state=MISSING, missing_for=-1), False),
    "missing: the age of the row itself doesn't matter": (
        gone_a_while,
        row(age=None, state=MISSING, missing_for=101),
        True,
    ),
    "everything: a row goes": (everything, row(), True),
    "everything: a row without its file goes": (everything, row(state=MISSING), True),
    "everything: a row whose file can't be decided is kept": (everything, row(state=UNDECIDABLE), False),
    "min_age: exactly at the limit is kept": (Rule("r", Everything(), min_age=100), row(age=100), False),
    "min_age: past the limit goes": (Rule("r", Everything(), min_age=100), row(age=101), True),
    "min_age: an absent timestamp is kept": (Rule("r", Everything(), min_age=0), row(age=None), False),
    "min_age: of a row that isn't missing by state, its timestamp counts": (
        Rule("r", Everything(), min_age=100),
        row(age=50, state=MISSING, missing_for=101),
        False,
    ),
    "narrowing pattern: a match goes": (Rule("r", Everything(), pattern="p"), row(matches={"p": YES}), True),
    "narrowing pattern: no match is kept": (Rule("r", Everything(), pattern="p"), row(matches={"p": NO}), False),
    "narrowing pattern: no prompt is kept": (Rule("r", Everything(), pattern="p"), row(prompt=None), False),
}


@pytest.mark.parametrize(("rule", "subject", "goes"), RULES.values(), ids=RULES)
def test_a_rule_selects_what_its_criterion_and_narrowing_hold_for(rule: Rule, subject: RowSpec, goes: bool) -> None:
    """True selects; false and undecidable don't."""
    assert evicted(unlimited([rule]), [subject], []) == ([0] if goes else [], [])


QUALITIES = {
    "<": [0.2499, True, 0.25, False, 0.2501, False],
    "<=": [0.2499, True, 0.25, True, 0.2501, False],
    "==": [0.2499, False, 0.25, True, 0.2501, False],
    ">=": [0.2499, False, 0.25, True, 0.2501, True],
    ">": [0.2499, False, 0.25, False, 0.2501, True],
}


@pytest.mark.parametrize("sign", QUALITIES)
def test_exactly_at_the_limit_is_kept_unless_the_sign_names_the_limit(sign: Sign) -> None:
    """Below, at and above the limit: of a quality, and of a length a hundred times as long."""
    entries = QUALITIES[sign]
    values, goes = entries[::2], [number for number, selected in enumerate(entries[1::2]) if selected]
    by_quality = unlimited([Rule("r", Compared("quality", sign, 0.25))])
    assert evicted(by_quality, [row(quality=value) for value in values], []) == (goes, [])
    by_duration = unlimited([Rule("r", Compared("duration", sign, 0.25))])
    assert evicted(by_duration, [row(duration=value) for value in values], []) == (goes, [])


def _length(sign: Sign, limit: float) -> Rule:
    return Rule("r", Compared("duration", sign, limit))


faint = Rule("r", Compared("quality", "<", 0.25))

COMPARED = {
    "quality: no score is kept, however low the others": (faint, row(quality=None), False),
    "quality: a score of 0 is a score": (faint, row(quality=0.0), True),
    "quality: below nothing is a score too": (faint, row(quality=-0.3), True),
    "quality: a row without its file goes too": (faint, row(quality=0.1, state=MISSING), True),
    "quality: a row whose file can't be decided is kept": (faint, row(quality=0.1, state=UNDECIDABLE), False),
    "quality: a retired row is kept": (faint, row(quality=0.1, state=RETIRED), False),
    "quality: min_age narrows it": (Rule("r", faint.criterion, min_age=100), row(quality=0.1, age=100), False),
    "duration: 0 goes when 0 is asked for": (_length("==", 0), row(duration=0.0), True),
    "duration: at most 0 asks for 0": (_length("<=", 0), row(duration=0.0), True),
    "duration: 0 isn't short, but unknown": (_length("<", 5), row(duration=0.0), False),
    "duration: nor is it at most 5": (_length("<=", 5), row(duration=0.0), False),
    "duration: 0 isn't more than 0": (_length(">", 0), row(duration=0.0), False),
    "duration: an absent one is kept when 0 is asked for": (_length("==", 0), row(duration=None), False),
    "duration: an absent one is kept when long ones go": (_length(">", 5), row(duration=None), False),
    "duration: it is compared as it is written": (_length("==", 23.97), row(duration=23.97), True),
}


@pytest.mark.parametrize(("rule", "subject", "goes"), COMPARED.values(), ids=COMPARED)
def test_a_comparison_selects_by_what_is_known(rule: Rule, subject: RowSpec, goes: bool) -> None:
    """A missing value selects nothing; a length of 0 is one, unless the policy names 0."""
    assert evicted(unlimited([rule]), [subject], []) == ([0] if goes else [], [])


orphans = Rule("r", InState("orphan"))
old_orphans = Rule("r", InState("orphan"), min_age=100)
leftovers = Rule("r", InState("leftover"))

STRAYS = {
    "an orphan is selected by state orphan": (orphans, stray(ORPHAN), True),
    "an orphan isn't selected by state leftover": (leftovers, stray(ORPHAN), False),
    "a leftover is selected by state leftover": (leftovers, stray(LEFTOVER), True),
    "a leftover isn't selected by state orphan": (orphans, stray(LEFTOVER), False),
    "exactly as old as min_age is kept": (old_orphans, stray(ORPHAN, age=100), False),
    "older than min_age goes": (old_orphans, stray(ORPHAN, age=101), True),
    "changed in the future is kept by min_age": (old_orphans, stray(ORPHAN, age=-1), False),
    "changed at an unknown time is kept by min_age": (old_orphans, stray(ORPHAN, age=None), False),
    "max_age selects no file without a row": (max_age, stray(age=1e6), False),
    "pattern selects no file without a row": (pattern, stray(), False),
    "everything selects no file without a row": (everything, stray(), False),
    "a pattern can't narrow what has no prompt": (Rule("r", InState("orphan"), pattern="p"), stray(), False),
}


@pytest.mark.parametrize(("rule", "subject", "goes"), STRAYS.values(), ids=STRAYS)
def test_a_file_without_a_row_goes_by_its_state_alone(rule: Rule, subject: StraySpec, goes: bool) -> None:
    """Orphans and leftovers, each by a rule of its own."""
    assert evicted(unlimited([rule]), [row(age=0)], [subject])[1] == ([0] if goes else [])


def test_no_orphan_goes_when_the_scan_could_not_tell_orphans() -> None:
    """Orphans are undecidable then; leftovers aren't."""
    strays = [stray(ORPHAN), stray(LEFTOVER)]
    assert evicted(unlimited([orphans, Rule("s", InState("leftover"))]), [], strays, UNSETTLED) == ([], [1])


PROTECTIONS = {
    "age: exactly at the limit is protected": (YoungerThan(100), row(age=100), True),
    "age: past the limit isn't": (YoungerThan(100), row(age=100.001), False),
    "age: an absent timestamp is protected": (YoungerThan(100), row(age=None), True),
    "age: a timestamp in the future is protected": (YoungerThan(100), row(age=-1), True),
    "pattern: a match is protected": (Pattern("p"), row(matches={"p": YES}), True),
    "pattern: no match isn't": (Pattern("p"), row(matches={"p": NO}), False),
    "pattern: a match that can't be decided is protected": (Pattern("p"), row(matches={"p": MAYBE}), True),
    "pattern: no prompt is protected": (Pattern("p"), row(prompt=None), True),
    "keep_best: no quality is protected": (KeepBest(1), row(quality=None), True),
    "keep_best: no prompt is protected": (KeepBest(1), row(prompt=None), True),
    "keep_best: a row without its file isn't": (KeepBest(1), row(state=MISSING), False),
    "keep_newest: an absent timestamp is protected": (KeepNewest(1), row(age=None), True),
    "keep_newest: no prompt is protected": (KeepNewest(1), row(prompt=None), True),
    "keep_newest: a row without its file isn't": (KeepNewest(1), row(state=MISSING, age=None), False),
}


@pytest.mark.parametrize(("criterion", "subject", "protected"), PROTECTIONS.values(), ids=PROTECTIONS)
def test_a_protection_holds_unless_it_is_false(
    criterion: YoungerThan | Pattern | KeepBest | KeepNewest, subject: RowSpec, protected: bool
) -> None:
    """True and undecidable protect, against a rule that selects everything."""
    policy = unlimited([everything], [Protection("guard", criterion)])
    assert evicted(policy, [subject], []) == ([] if protected else [0], [])


PINNED = {
    "for good": (math.inf, True),
    "for a while longer": (1.0, True),
    "until now": (0.0, False),
    "until a moment ago": (-1.0, False),
    "never": (None, False),
}


@pytest.mark.parametrize(("seconds", "protected"), PINNED.values(), ids=PINNED)
def test_a_pin_protects_whatever_the_policy_says(seconds: float | None, protected: bool) -> None:
    """From rules and from the budget; a pin that is over holds nothing."""
    subject = row(pinned_for=seconds)
    assert evicted(unlimited([everything]), [subject], []) == ([] if protected else [0], [])
    full = Policy("test", budget=Budget(items=Marks(0, 0)), limits=Limits(None, None))
    assert evicted(full, [subject], []) == ([] if protected else [0], [])


TAKES_PROTECTED = {
    "keep_best: the best takes stay": (KeepBest(2), [row(quality=q) for q in (0.1, 0.9, 0.5)], [0]),
    "keep_best: of equal takes the newer stays": (KeepBest(1), [row(age=200), row(age=100)], [0]),
    "keep_best: of equally old ones the first row stays": (KeepBest(1), [row(), row()], [1]),
    "keep_best: a future timestamp counts as the oldest": (KeepBest(1), [row(age=-5), row(age=100)], [0]),
    "keep_best: what lacks quality doesn't count": (KeepBest(1), [row(quality=None), row(quality=0.1)], []),
    "keep_best: a missing take doesn't count": (KeepBest(1), [row(quality=0.9, state=MISSING), row(quality=0.1)], [0]),
    "keep_best: a retired take doesn't count": (KeepBest(1), [row(quality=0.9, state=RETIRED), row(quality=0.1)], []),
    "keep_best: each prompt has its own": (KeepBest(1), [row(prompt="a"), row(prompt="b")], []),
    "keep_newest: the newest takes stay": (KeepNewest(1), [row(age=9), row(age=5), row(age=7)], [0, 2]),
    "keep_newest: of equally old ones the first row stays": (KeepNewest(1), [row(), row()], [1]),
    "keep_newest: a future timestamp doesn't count": (KeepNewest(1), [row(age=-5), row(age=9), row(age=10)], [2]),
}


@pytest.mark.parametrize(("criterion", "rows", "gone"), TAKES_PROTECTED.values(), ids=TAKES_PROTECTED)
def test_the_best_takes_of_a_prompt_are_protected(
    criterion: KeepBest | KeepNewest, rows: list[RowSpec], gone: list[int]
) -> None:
    """Among items whose file is there and whose measure is known."""
    assert evicted(unlimited([everything], [Protection("guard", criterion)]), rows, []) == (gone, [])


STRAY_PROTECTIONS = {
    "exactly at the limit is protected": (YoungerThan(100), 100.0, True),
    "past the limit isn't": (YoungerThan(100), 101.0, False),
    "changed in the future is protected": (YoungerThan(100), -1.0, True),
    "changed at an unknown time is protected": (YoungerThan(100), None, True),
    "a pattern protects no file without a row": (Pattern("p"), 101.0, False),
    "keep_best protects no file without a row": (KeepBest(1), 101.0, False),
}


@pytest.mark.parametrize(("criterion", "age", "protected"), STRAY_PROTECTIONS.values(), ids=STRAY_PROTECTIONS)
def test_only_age_protects_a_file_without_a_row(
    criterion: YoungerThan | Pattern | KeepBest, age: float | None, protected: bool
) -> None:
    """There is no prompt and no quality to protect it by."""
    policy = unlimited([orphans], [Protection("guard", criterion)])
    assert evicted(policy, [], [stray(ORPHAN, age=age)]) == ([], [] if protected else [0])


def test_the_first_rule_that_selects_an_item_owns_it_and_the_first_protection_that_holds_is_named() -> None:
    """Both lists are read from the top."""
    rules = [Rule("narrow", MaxAge(100), pattern="p"), Rule("first", MaxAge(100)), Rule("second", Everything())]
    protect = [Protection("young", YoungerThan(10)), Protection("younger", YoungerThan(20))]
    policy = unlimited(rules, protect)
    plan = plan_for(policy, [row(age=101), row(age=50), row(age=5)], [])
    assert [plan.rules[rule].name for rule in plan.rows.rule] == ["first", "second"]
    assert plan.protected.tolist() == [-1, -1, 0]


best = Dedupe("prompt", 1, ("quality",))
newest = Dedupe("prompt", 1)
by_bytes = Dedupe("content")

DEDUPE = {
    "exactly keep of them all stay": (Dedupe("prompt", 2), [row(age=1), row(age=2)], []),
    "one more than keep loses the oldest": (Dedupe("prompt", 2), [row(age=3), row(age=1), row(age=2)], [0]),
    "quality is preferred to youth": (best, [row(age=9, quality=0.9), row(age=1, quality=0.1)], [1]),
    "of equal quality the newer stays": (best, [row(age=9), row(age=1)], [0]),
    "of equal everything the first row stays": (best, [row(), row()], [1]),
    "oldest is preferred when asked": (Dedupe("prompt", 1, ("oldest",)), [row(age=1), row(age=9)], [0]),
    "longest is preferred when asked": (
        Dedupe("prompt", 1, ("longest",)),
        [row(age=1, duration=20), row(age=9, duration=25)],
        [0],
    ),
    "preferences are read from left to right": (
        Dedupe("prompt", 1, ("longest", "quality")),
        [row(duration=25, quality=0.1), row(duration=20, quality=0.9), row(duration=25, quality=0.2)],
        [0, 1],
    ),
    "no quality stays and doesn't count": (best, [row(quality=None), row(quality=0.1), row(quality=0.2)], [1]),
    "no quality is no matter when it isn't asked for": (newest, [row(age=9, quality=None), row(age=1)], [0]),
    "no timestamp stays and doesn't count": (best, [row(age=None, quality=0.9), row(quality=0.1)], []),
    "a future timestamp stays and doesn't count": (newest, [row(age=-9), row(age=1)], []),
    "no prompt is in no group": (newest, [row(prompt=None, age=9), row(prompt=None, age=1)], []),
    "a present file ranks before a missing one": (best, [row(quality=0.9, state=MISSING), row(quality=0.1)], [0]),
    "a retired row is in no group": (newest, [row(age=1, state=RETIRED), row(age=9)], []),
    "a row whose file can't be decided is in no group": (newest, [row(age=1, state=UNDECIDABLE), row(age=9)], []),
    "the same bytes are kept once": (by_bytes, [row(content="x", age=9), row(content="x", age=1), row()], [0]),
    "rows without known bytes are in no group": (by_bytes, [row(), row()], []),
    "a missing file has no bytes to compare": (
        by_bytes,
        [row(content="x", state=MISSING), row(content="x"), row(content="y")],
        [],
    ),
}


@pytest.mark.parametrize(("criterion", "rows", "gone"), DEDUPE.values(), ids=DEDUPE)
def test_dedupe_keeps_the_best_of_each_group(criterion: Dedupe, rows: list[RowSpec], gone: list[int]) -> None:
    """Ranked by whether the file is there, by preference, by youth, by row number."""
    assert evicted(unlimited([Rule("takes", criterion)]), rows, []) == (gone, [])
