"""What protections hold and rules select, one item at a time."""

from __future__ import annotations

import math

from reference_likeness import copies_of
from reference_takes import ranked_by_ear
from reference_world import Item, Reason, ReferencePlan, Stray, World, newest_first

from audio_cache_daemon.model import DecodingState, Flaw, ItemState, StrayKind, Truth
from audio_cache_daemon.retention.policy import (
    Broken,
    Compared,
    Dedupe,
    Everything,
    InState,
    KeepBest,
    KeepNewest,
    MaxAge,
    Pattern,
    ProtectionCriterion,
    Rule,
    YoungerThan,
)


def apply_protections(world: World, plan: ReferencePlan) -> None:
    """The first protection that holds for a row is the one that is named, after a pin."""
    plan.protected |= {item.number: "pinned" for item in world.items if item.selectable and item.is_pinned}
    for protection in world.policy.protect:
        for item in world.items:
            if item.selectable and item.number not in plan.protected and _holds(protection.criterion, item, world):
                plan.protected[item.number] = protection.name
        for stray in world.strays:
            criterion = protection.criterion
            if isinstance(criterion, YoungerThan) and (stray.age is None or stray.age <= criterion.seconds):
                plan.protected_strays.add(stray.number)


def _holds(criterion: ProtectionCriterion, item: Item, world: World) -> bool:
    if isinstance(criterion, YoungerThan):
        return item.age is None or item.age <= criterion.seconds
    if isinstance(criterion, Pattern):
        return item.matches[criterion.expression] is not Truth.FALSE
    if item.state is not ItemState.OK:
        return False
    if item.prompt is None or _lacks_measure(criterion, item):
        return True
    takes = [
        take
        for take in world.items
        if take.selectable and take.state is ItemState.OK and take.prompt == item.prompt
        if not _lacks_measure(criterion, take)
    ]
    best_first = sorted(takes, key=newest_first)
    if isinstance(criterion, KeepBest):
        best_first = sorted(takes, key=lambda take: (-_given(take.quality), *newest_first(take)))
    return item in best_first[: criterion.count]


def _lacks_measure(criterion: KeepBest | KeepNewest, item: Item) -> bool:
    return (item.quality if isinstance(criterion, KeepBest) else item.age) is None


def _given(value: float | None) -> float:
    assert value is not None
    return value


def apply_rules(world: World, plan: ReferencePlan) -> None:
    """Rules in order: the first that selects what isn't protected owns it."""
    for rule in world.policy.rules:
        ranks = _places(rule.criterion, world, plan) if isinstance(rule.criterion, Dedupe) else {}
        for item in world.items:
            truth = min(_selects(rule, item, ranks, plan), *_narrowings(rule, item))
            if truth is Truth.UNDECIDABLE:
                plan.undecidable.add(item.number)
            if truth is Truth.TRUE and item.number not in plan.rows and item.number not in plan.protected:
                plan.rows[item.number] = _reason(rule, item, ranks)
        for stray in world.strays:
            if stray.number in plan.strays or stray.number in plan.protected_strays:
                continue
            if _selects_stray(rule, stray, world) is Truth.TRUE:
                plan.strays[stray.number] = Reason(rule.name, stray.age, rule.min_age or 0.0)


def _selects(rule: Rule, item: Item, ranks: dict[int, tuple[float, int] | None], plan: ReferencePlan) -> Truth:
    """Whether the criterion alone selects a row."""
    criterion = rule.criterion
    if not item.selectable:
        return Truth.FALSE
    if isinstance(criterion, MaxAge):
        return _older(item.age, criterion.seconds)
    if isinstance(criterion, Pattern):
        return item.matches[criterion.expression]
    if isinstance(criterion, Everything | InState):
        is_missing = item.state is ItemState.MISSING
        return _truth(isinstance(criterion, Everything) or (criterion.state == "missing" and is_missing))
    if isinstance(criterion, Compared | Broken):
        return _compares(criterion, item) if isinstance(criterion, Compared) else _is_broken(criterion, item)
    place = ranks.get(item.number, (0, -1))
    if place is not None and criterion.by == "sound":
        place = (criterion.keep + 1, place[1]) if place[1] >= 0 else (0, -1)
    return _truth(None if place is None else place[0] > criterion.keep and item.number not in plan.protected)


def _is_broken(criterion: Broken, item: Item) -> Truth:
    """By one sign or another; unknown while one can't be told and none holds."""
    signs = _signs(criterion, item) if item.state is ItemState.OK else {Flaw.EMPTY: False}
    if any(signs.values()):
        return Truth.TRUE
    return _truth(None if None in signs.values() else False)


def _signs(criterion: Broken, item: Item) -> dict[Flaw, bool | None]:
    """For each sign of broken audio whether it is there; None: that can't be told."""
    found = item.decoding
    if item.size == 0:
        return {Flaw.EMPTY: True}
    if found is None:
        return dict.fromkeys(Flaw)
    if found.state is DecodingState.UNDECODABLE:
        return {Flaw.UNDECODABLE: True}
    level = 20 * math.log10(found.peak) if found.peak > 0 else -math.inf
    return {
        Flaw.EMPTY: found.seconds == 0,
        Flaw.CUT_SHORT: found.seconds < criterion.shorter_than * item.duration if item.duration else None,
        Flaw.SILENT: level < criterion.quieter_than,
        Flaw.CLIPPED: found.clipped > criterion.clipped_over,
    }


def _compares(criterion: Compared, item: Item) -> Truth:
    value = _measured(criterion, item)
    if value is None:
        return Truth.UNDECIDABLE
    below, same = value < criterion.limit, value == criterion.limit
    wanted = {"<": below, "<=": below or same, "==": same, ">=": same or not below, ">": not (below or same)}
    return _truth(wanted[criterion.sign])


def _measured(criterion: Compared, item: Item) -> float | None:
    """The value that is compared; a length of 0 is unknown to all but those who ask for 0."""
    if criterion.measure == "quality":
        return item.quality
    return item.duration if item.duration or criterion.limit == 0 else None


def _narrowings(rule: Rule, item: Item) -> list[Truth]:
    """The conditions that narrow a rule, for a row; a rule that isn't narrowed has one that is always true."""
    narrowings = [Truth.TRUE]
    if rule.min_age is not None:
        by_absence = isinstance(rule.criterion, InState) and rule.criterion.state == "missing"
        narrowings.append(_older(item.missing_for if by_absence else item.age, rule.min_age))
    if rule.pattern is not None:
        narrowings.append(item.matches[rule.pattern])
    return narrowings


def _selects_stray(rule: Rule, stray: Stray, world: World) -> Truth:
    """Whether a rule, with all that narrows it, selects a file without a row."""
    if not isinstance(rule.criterion, InState) or rule.criterion.state != stray.kind.name.lower():
        return Truth.FALSE
    if stray.kind is StrayKind.ORPHAN and world.inventory.orphans_undecidable is not None:
        return Truth.UNDECIDABLE
    if rule.pattern is not None:
        return Truth.UNDECIDABLE
    return Truth.TRUE if rule.min_age is None else _older(stray.age, rule.min_age)


def _places(criterion: Dedupe, world: World, plan: ReferencePlan) -> dict[int, tuple[float, int] | None]:
    if criterion.by == "sound":
        return copies_of(
            criterion, world, plan, lambda item, protected: _rank_key(criterion, item, protected=protected)
        )
    return dict(ranks_of(criterion, world, plan).items())


def ranks_of(criterion: Dedupe, world: World, plan: ReferencePlan) -> dict[int, tuple[int, int] | None]:
    """For each member of a group its rank and the row that is ranked first; None when it can't be ranked."""
    groups: dict[int, list[Item]] = {}
    for item in world.items:
        key = item.prompt if criterion.by == "prompt" else item.content
        there = item.state is ItemState.OK or criterion.by == "prompt"
        if item.selectable and item.number not in plan.rows and key is not None and there:
            groups.setdefault(key, []).append(item)
    ranks: dict[int, tuple[int, int] | None] = {}
    for members in groups.values():
        if "diverse" in criterion.prefer and len(members) <= criterion.keep:
            continue
        ranked = [item for item in members if item.number in plan.protected or _can_be_ranked(criterion, item)]
        if "diverse" in criterion.prefer:
            ranked = ranked_by_ear(ranked, set(plan.protected), criterion.keep, criterion.diversity)
        else:
            ranked.sort(key=lambda item: _rank_key(criterion, item, protected=item.number in plan.protected))
        ranks |= {item.number: None for item in members}
        ranks |= {item.number: (rank, ranked[0].number) for rank, item in enumerate(ranked, start=1)}
    return ranks


def _can_be_ranked(criterion: Dedupe, item: Item) -> bool:
    measures = {"quality": item.quality, "longest": item.duration or None, "newest": item.age, "oldest": item.age}
    measures["diverse"] = item.quality if item.sound is not None else None
    return item.age is not None and all(measures[preference] is not None for preference in criterion.prefer)


def _rank_key(criterion: Dedupe, item: Item, *, protected: bool) -> tuple[float, ...]:
    """Smaller is better. A missing value of a protected row stands last."""
    measures = {
        "quality": None if item.quality is None else -item.quality,
        "longest": None if not item.duration else -item.duration,
        "newest": item.age,
        "oldest": None if item.age is None else -item.age,
    }
    preferred = [measures[preference] for preference in criterion.prefer]
    values = [math.inf if value is None else value for value in preferred]
    return (not protected, item.state is ItemState.MISSING, *values, *newest_first(item))


def _reason(rule: Rule, item: Item, ranks: dict[int, tuple[float, int] | None]) -> Reason:
    criterion = rule.criterion
    if isinstance(criterion, MaxAge):
        return Reason(rule.name, item.age, criterion.seconds)
    if isinstance(criterion, InState):
        return Reason(rule.name, item.missing_for, rule.min_age or 0.0)
    if isinstance(criterion, Compared):
        return Reason(rule.name, _measured(criterion, item), criterion.limit)
    if isinstance(criterion, Broken):
        return Reason(rule.name, float(next(flaw for flaw, holds in _signs(criterion, item).items() if holds)), None)
    if isinstance(criterion, Dedupe):
        place = ranks[item.number]
        assert place is not None
        limit = criterion.similarity if criterion.by == "sound" else float(criterion.keep)
        return Reason(rule.name, float(place[0]), limit, place[1])
    return Reason(rule.name, None, None)


def _older(age: float | None, limit: float) -> Truth:
    return _truth(None if age is None else age > limit)


def _truth(condition: bool | None) -> Truth:
    if condition is None:
        return Truth.UNDECIDABLE
    return Truth.TRUE if condition else Truth.FALSE
