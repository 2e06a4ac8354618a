"""Which items sound like a better one that stays: each is compared with all that stay so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from reference_world import Item, ReferencePlan, World

from audio_cache_daemon.model import ItemState
from audio_cache_daemon.retention.policy import Dedupe

RankKey = Callable[[Item, bool], tuple[float, ...]]


def copies_of(
    criterion: Dedupe, world: World, plan: ReferencePlan, rank_key: RankKey
) -> dict[int, tuple[float, int] | None]:
    """For each copy how alike it is to the item that stays for it, and which that is; None where it can't be told."""
    there = [item for item in world.items if item.readable and item.state is ItemState.OK]
    members = [item for item in there if item.number not in plan.rows and _group(criterion, item) is not None]
    sizes = Counter(_group(criterion, item) for item in members)
    members = [item for item in members if sizes[_group(criterion, item)] > 1]
    found: dict[int, tuple[float, int] | None] = {
        item.number: None
        for item in members
        if item.number not in plan.protected and (item.sound is None or not _has_values(criterion, item))
    }
    comparable = [item for item in members if item.number not in found and item.sound is not None]
    stays: list[Item] = []
    for item in sorted(comparable, key=lambda item: rank_key(item, item.number in plan.protected)):
        alike = [other for other in stays if _are_alike(criterion, item, other)]
        if alike and item.number not in plan.protected:
            found[item.number] = (_cosine(item, alike[0]), alike[0].number)
        else:
            stays.append(item)
    return found


def _group(criterion: Dedupe, item: Item) -> int | None:
    return item.prompt if criterion.within == "prompt" else 0


def _has_values(criterion: Dedupe, item: Item) -> bool:
    measures = {"quality": item.quality, "longest": item.duration or None, "newest": item.age, "oldest": item.age}
    return item.age is not None and all(measures[preference] is not None for preference in criterion.prefer)


def _are_alike(criterion: Dedupe, one: Item, other: Item) -> bool:
    return _group(criterion, one) == _group(criterion, other) and _cosine(one, other) >= criterion.similarity


def _cosine(one: Item, other: Item) -> float:
    assert one.sound is not None
    assert other.sound is not None
    return sum(a * b for a, b in zip(one.sound, other.sound, strict=True))
