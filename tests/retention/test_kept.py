"""What a plan leaves is told with a reason, which is the one that an explanation gives."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from inventories import NOW, row, stray
from plans import plan_for
from strategies import Scene, policies, scenes

from audio_cache_daemon.model import ItemState, Kept, KeptReason, StrayKind, Truth
from audio_cache_daemon.retention.explain import Explanation, explain_row, explain_stray
from audio_cache_daemon.retention.kept import explain_kept
from audio_cache_daemon.retention.plan import plan_evictions
from audio_cache_daemon.retention.policy import (
    Everything,
    InState,
    Limits,
    MaxAge,
    Policy,
    Protection,
    Rule,
    YoungerThan,
)


def _read(kept: Kept, names: tuple[str, ...], rules: list[str]) -> dict[int, tuple[KeptReason, str | None]]:
    read = {}
    for subject, code, which in zip(kept.subject.tolist(), kept.reason.tolist(), kept.which.tolist(), strict=True):
        reason = KeptReason(code)
        of = names if reason is KeptReason.PROTECTED else tuple(rules)
        read[subject] = (reason, of[which] if which >= 0 else None)
    return read


def _expected(explanation: Explanation) -> tuple[KeptReason, str | None]:
    if explanation.protections:
        return KeptReason.PROTECTED, explanation.protections[0][0]
    if not explanation.decided:
        return KeptReason.FILE_UNKNOWN, None
    unsure = [rule.rule.name for rule in explanation.rules if rule.truth == Truth.UNDECIDABLE]
    return (KeptReason.UNDECIDABLE, unsure[0]) if unsure else (KeptReason.UNSELECTED, None)


@settings(max_examples=40)
@given(scenes(), policies())
def test_each_item_goes_or_stays_and_what_stays_has_the_reason_of_its_explanation(scene: Scene, policy: Policy) -> None:
    """Kept and evicted together are all items, and all files without a row."""
    inventory = scene.inventory()
    plan = plan_evictions(inventory, policy, NOW)
    rows, strays = explain_kept(plan, policy)
    rules = [rule.name for rule in plan.rules]
    found = _read(rows, plan.protections, rules)
    items = set(np.flatnonzero(inventory.rows.items()).tolist())
    assert set(found) == items - set(plan.rows.subject.tolist())
    assert found == {number: _expected(explain_row(inventory, policy, NOW, number)) for number in found}
    found = _read(strays, plan.protections, rules)
    assert set(found) == set(range(len(inventory.strays))) - set(plan.strays.subject.tolist())
    assert found == {number: _expected(explain_stray(inventory, policy, NOW, number)) for number in found}


def test_each_reason_is_told_apart() -> None:
    """Too young, no file to be sure of, no timestamp, nothing that selects it; an orphan that is too young."""
    rows = [row(age=5), row(age=200, state=ItemState.UNDECIDABLE), row(age=None), row(age=50), row(age=500)]
    protect = (Protection("young", YoungerThan(10)),)
    rules = (Rule("stale", MaxAge(100)), Rule("orphans", InState("orphan")))
    policy = Policy("test", rules=rules, limits=Limits(None, None))
    plan = plan_for(policy, rows, [stray(StrayKind.LEFTOVER)])
    kept, strays = explain_kept(plan, policy)
    names = [rule.name for rule in plan.rules]
    assert _read(kept, plan.protections, names) == {
        0: (KeptReason.UNSELECTED, None),
        1: (KeptReason.FILE_UNKNOWN, None),
        2: (KeptReason.UNDECIDABLE, "stale"),
        3: (KeptReason.UNSELECTED, None),
    }
    assert _read(strays, plan.protections, names) == {0: (KeptReason.UNSELECTED, None)}
    guarded = Policy("test", protect=protect, rules=(Rule("all", Everything()),), limits=Limits(None, None))
    kept, strays = explain_kept(plan_for(guarded, rows[:1], [stray(age=3)]), guarded)
    assert _read(kept, ("young",), []) == _read(strays, ("young",), []) == {0: (KeptReason.PROTECTED, "young")}
