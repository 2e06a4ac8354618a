"""Takes that are good and unlike each other, chosen one at a time from those that are left."""

from __future__ import annotations

import math

from reference_world import Item, newest_first

from audio_cache_daemon.model import ItemState


def ranked_by_ear(members: list[Item], protected: set[int], keep: int, diversity: float) -> list[Item]:
    """The takes of a prompt in their order: protected ones, then the best of what is left, again and again."""
    held = [item for item in members if item.number in protected]
    chosen = sorted(held, key=lambda item: (item.state is ItemState.MISSING, _worst_last(item), *newest_first(item)))
    left = [item for item in members if item.number not in protected]
    heard = list(chosen)
    while left:
        best = min(left, key=lambda item: _place(item, heard, diversity))
        left.remove(best)
        chosen.append(best)
        if len(chosen) <= keep:
            heard.append(best)
    return chosen


def _place(item: Item, heard: list[Item], diversity: float) -> tuple[bool, float, float, int]:
    """Smaller is better."""
    likeness = [_cosine(item, other) for other in heard if other.sound is not None]
    quality = item.quality or 0.0
    worth = (1 - diversity) * quality - diversity * max(likeness) if likeness else quality
    return (item.state is ItemState.MISSING, -worth, *newest_first(item))


def _worst_last(item: Item) -> float:
    return math.inf if item.quality is None else -item.quality


def _cosine(one: Item, other: Item) -> float:
    assert one.sound is not None
    assert other.sound is not None
    return sum(a * b for a, b in zip(one.sound, other.sound, strict=True))
