"""What comes: a policy applied once a day to a cache that goes on growing as it did.

The items of the last days come again, at the same times of the day, with new prompts: what was added then says best how
many takes, tests and weak sounds will be added. Everything else stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.model import (
    Bools,
    Forecast,
    ForecastDay,
    Ints,
    Inventory,
    Plan,
    Rows,
)
from audio_cache_daemon.retention.budget import total_bytes
from audio_cache_daemon.retention.growth import DAY, GrowingCache
from audio_cache_daemon.retention.judgement import row_age, unmeasured
from audio_cache_daemon.retention.needs import measures_needed
from audio_cache_daemon.retention.plan import plan_evictions
from audio_cache_daemon.retention.policy import Policy

_MOST_DAYS = 30
"""So far back the growth is looked at: long enough for weekends, short enough to be about the present."""

_Parts: TypeAlias = tuple[Bools, Bools]
"""Which of the rows, and which of the strays."""


def forecast(inventory: Inventory, policy: Policy, now: float, days: int) -> Forecast:
    """What a run takes now, and one on each of so many days, with the sizes that the cache has then."""
    rows = inventory.rows
    window_days = _window_days(rows, now)
    window = window_days * DAY
    again = np.flatnonzero(rows.present() & (row_age(rows, now) < window))
    bytes_per_day = rows.audio_bytes(_mask(len(rows), again)) * DAY / window
    cache = GrowingCache(_reduce(inventory, policy, now), again, now, window_days)
    # A million rows are 60 MB, and the cache has what it needs of them.
    del inventory, rows
    return Forecast(window, len(again) * DAY / window, bytes_per_day, tuple(_simulate(cache, policy, now, days)))


def _window_days(rows: Rows, now: float) -> int:
    """How many days back the growth is looked at: to the oldest item."""
    age = row_age(rows, now)[rows.present()]
    known = age[~np.isnan(age)]
    return int(np.clip(np.ceil(known.max(initial=0.0) / DAY), 1, _MOST_DAYS))


def _mask(count: int, numbers: Ints) -> Bools:
    mask = np.zeros(count, np.bool_)
    mask[numbers] = True
    return mask


def _reduce(inventory: Inventory, policy: Policy, now: float) -> Inventory:
    """The inventory as the run that comes now remembers it, without measures that decide nothing.

    Each missing file has been so at least since now. Of a million rows a measure takes 8 MB.
    """
    rows = inventory.rows
    since = np.where(rows.missing() & np.isnan(rows.missing_since), now, rows.missing_since)
    needed = measures_needed(policy)
    quality = rows.quality if "quality" in needed else unmeasured(len(rows))
    duration = rows.duration if "duration" in needed else unmeasured(len(rows))
    rows = replace(rows, missing_since=since, missing_keys=None, quality=quality, duration=duration)
    return replace(inventory, rows=rows)


def _simulate(cache: GrowingCache, policy: Policy, now: float, days: int) -> Iterator[ForecastDay]:
    first = cache.inventory()
    on_disk = _bytes_on_disks(first)
    items_without, bytes_without = int(first.rows.items().sum()), _size(first, _everything(first))
    del first
    for day in range(days + 1):
        added, size = cache.grow(day) if day else (0, 0)
        items_without += added
        bytes_without += size
        coming = ForecastDay(now + day * DAY, added, {}, 0, 0, items_without, bytes_without)
        coming, stay = _run(_with_free_disk(cache.inventory(), on_disk), policy, coming)
        cache.keep(*stay)
        yield coming


def _run(then: Inventory, policy: Policy, coming: ForecastDay) -> tuple[ForecastDay, _Parts]:
    """The day that is coming with what a run takes then, and what that leaves."""
    plan = plan_evictions(then, policy, coming.time, reasons=False)
    stay = _everything(then) if plan.refusals else _left_by(plan)
    taken, refused = _by_rule(plan), tuple(refusal.limit for refusal in plan.refusals)
    # Before the sums are made: of a million rows it holds 25 MB.
    del plan
    items, size = int((then.rows.items() & stay[0]).sum()), _size(then, stay)
    return replace(coming, taken={} if refused else taken, items=items, bytes=size, refused=refused), stay


def _everything(inventory: Inventory) -> _Parts:
    return np.ones(len(inventory.rows), np.bool_), np.ones(len(inventory.strays), np.bool_)


def _left_by(plan: Plan) -> _Parts:
    rows, strays = _everything(plan.inventory)
    rows[plan.rows.subject] = False
    strays[plan.strays.subject] = False
    return rows, strays


def _size(inventory: Inventory, parts: _Parts) -> int:
    return total_bytes(inventory, *parts)


def _bytes_on_disks(inventory: Inventory) -> tuple[int, ...]:
    """For each root, the bytes of the audio on its disk."""
    return tuple(
        _bytes_in(inventory, [n for n, other in enumerate(inventory.roots) if other.device == root.device])
        for root in inventory.roots
    )


def _bytes_in(inventory: Inventory, roots: list[int]) -> int:
    strays = inventory.strays.size[np.isin(inventory.strays.root, roots)].sum()
    return inventory.rows.audio_bytes(np.isin(inventory.rows.root, roots)) + int(strays)


def _with_free_disk(then: Inventory, at_first: tuple[int, ...]) -> Inventory:
    """The same with as much free disk as what came and went leaves of it, the disks having held `at_first` bytes."""
    used = zip(then.roots, _bytes_on_disks(then), at_first, strict=True)
    return replace(
        then, roots=tuple(replace(root, disk_free=max(0, root.disk_free - now + first)) for root, now, first in used)
    )


def _by_rule(plan: Plan) -> dict[str, tuple[int, int]]:
    taken = {}
    for number, rule in enumerate(plan.rules):
        rows, strays = plan.rows.rule == number, plan.strays.rule == number
        if rows.any() or strays.any():
            size = int(plan.rows.bytes[rows].sum() + plan.strays.bytes[strays].sum())
            taken[rule.name] = (int(rows.sum() + strays.sum()), size)
    return taken
