"""Which measures of an item a policy goes by."""

from __future__ import annotations

import pytest

from audio_cache_daemon.retention.needs import measures_needed
from audio_cache_daemon.retention.policy import (
    Broken,
    Budget,
    Compared,
    Criterion,
    Dedupe,
    InState,
    KeepBest,
    KeepNewest,
    Marks,
    MaxAge,
    Pattern,
    Policy,
    Protection,
    ProtectionCriterion,
    Rule,
    YoungerThan,
)


@pytest.mark.parametrize(
    ("criterion", "needed"),
    [
        (MaxAge(1), set()),
        (Pattern("rain"), set()),
        (InState("missing"), set()),
        (Compared("quality", "<", 0.1), {"quality"}),
        (Compared("duration", ">", 10), {"duration"}),
        (Broken(), {"duration"}),
        (Dedupe("prompt", prefer=("newest",)), set()),
        (Dedupe("content", prefer=("oldest", "quality")), {"quality"}),
        (Dedupe("prompt", prefer=("longest",)), {"duration"}),
        (Dedupe("prompt", prefer=("diverse",)), {"quality"}),
        (Dedupe("sound", prefer=("quality", "longest")), {"quality", "duration"}),
    ],
)
def test_a_rule_needs_what_it_measures_or_ranks_by(criterion: Criterion, needed: set[str]) -> None:
    """Beside a rule that needs nothing, too."""
    rules = (Rule("stale", MaxAge(1)), Rule("rule", criterion))
    assert measures_needed(Policy("test", rules=rules)) == needed


@pytest.mark.parametrize(
    ("criterion", "needed"),
    [(KeepBest(1), {"quality"}), (KeepNewest(1), set()), (YoungerThan(1), set()), (Pattern("rain"), set())],
)
def test_a_protection_needs_what_it_ranks_by(criterion: ProtectionCriterion, needed: set[str]) -> None:
    assert measures_needed(Policy("test", protect=(Protection("protection", criterion),))) == needed


def test_a_budget_needs_what_it_evicts_by() -> None:
    """Its order, not its marks."""
    marks = Marks(2, 1)
    assert measures_needed(Policy("test", budget=Budget(items=marks, evict="lowest_quality"))) == {"quality"}
    assert measures_needed(Policy("test", budget=Budget(items=marks, evict="largest"))) == set()
