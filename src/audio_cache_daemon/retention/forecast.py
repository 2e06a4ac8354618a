"""What comes: a policy applied once a day to a cache that goes on growing as it did.

The items of the last days come again, at the same times of the day, with new prompts: what was added then says best how
many takes, tests and weak sounds will be added. Everything else stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.model import (
    Bools,
    Forecast,
    ForecastDay,
    Ints,
    Inventory,
    ItemState,
    Plan,
    Rows,
    Sounds,
    Strays,
)
from audio_cache_daemon.retention.budget import total_bytes
from audio_cache_daemon.retention.judgement import row_age
from audio_cache_daemon.retention.plan import plan_evictions
from audio_cache_daemon.retention.policy import Policy

DAY = 86400.0

LONGEST_WINDOW = 30 * DAY
"""So far back the growth is looked at: long enough for weekends, short enough to be about the present."""


def forecast(inventory: Inventory, policy: Policy, now: float, days: int) -> Forecast:
    """What a run takes now, and one on each of so many days, with the sizes that the cache has then."""
    window = _window(inventory.rows, now)
    again = _came_within(inventory.rows, now, window)
    cycles = int(np.ceil(days * DAY / window))
    grown = replace(inventory, rows=_grow(inventory.rows, again, window, cycles, now))
    return Forecast(
        window=window,
        items_per_day=len(again) * DAY / window,
        bytes_per_day=inventory.rows.audio_bytes(_mask(len(inventory.rows), again)) * DAY / window,
        days=tuple(_simulate(grown, policy, len(inventory.rows), now, days)),
    )


def _window(rows: Rows, now: float) -> float:
    """How far back the growth is looked at: to the oldest item, in whole days."""
    age = row_age(rows, now)[rows.present()]
    known = age[~np.isnan(age)]
    return float(np.clip(np.ceil(known.max(initial=0.0) / DAY) * DAY, DAY, LONGEST_WINDOW))


def _came_within(rows: Rows, now: float, window: float) -> Ints:
    return np.flatnonzero(rows.present() & (row_age(rows, now) < window))


def _mask(count: int, numbers: Ints) -> Bools:
    mask = np.zeros(count, np.bool_)
    mask[numbers] = True
    return mask


def _grow(rows: Rows, again: Ints, window: float, cycles: int, now: float) -> Rows:
    """The rows, and behind them those that will be added."""
    count, added = len(rows), len(again) * cycles
    cycle = np.repeat(np.arange(1, cycles + 1), len(again))
    order = np.concatenate([np.arange(count), np.tile(again, cycles)])
    ahead = np.concatenate([np.zeros(count, np.int64), cycle])
    is_new = np.arange(count + added) >= count
    since = np.where(rows.missing() & np.isnan(rows.missing_since), now, rows.missing_since)
    sounds = rows.sounds
    return replace(
        rows,
        offset=np.concatenate([[0], np.cumsum(np.diff(rows.offset)[order])]),
        readable=rows.readable[order],
        timestamp=rows.timestamp[order] + ahead * window,
        duration=rows.duration[order],
        quality=rows.quality[order],
        prompt=_renumbered(rows.prompt, order, ahead),
        state=rows.state[order],
        file=_renumbered(rows.file, order, ahead),
        size=rows.size[order],
        inode=rows.inode[order],
        mtime_ns=rows.mtime_ns[order],
        root=rows.root[order],
        missing_since=since[order],
        held_until=np.where(is_new, np.nan, rows.held_until[order]),
        pinned_until=np.where(is_new, np.nan, rows.pinned_until[order]),
        used_elsewhere=rows.used_elsewhere[order] & ~is_new,
        content=_renumbered(rows.content, order, ahead),
        matches={pattern: truth[order] for pattern, truth in rows.matches.items()},
        sounds=Sounds(sounds.place[order], sounds.vectors, sounds.fault) if sounds is not None else None,
    )


def _renumbered(numbers: NDArray[np.int32], order: Ints, ahead: Ints) -> NDArray[np.int32]:
    """Groups of their own for what comes again, alike among themselves as they were."""
    groups = int(numbers.max(initial=-1)) + 1
    return np.where(numbers[order] >= 0, numbers[order] + ahead * groups, -1).astype(np.int32)


def _simulate(grown: Inventory, policy: Policy, count: int, now: float, days: int) -> Iterator[ForecastDay]:
    rows = grown.rows
    is_new = np.arange(len(rows)) >= count
    gone, strays = np.zeros(len(rows), np.bool_), grown.strays
    before, present = ~is_new, _as_of(grown, ~is_new, grown.strays)
    for day in range(days + 1):
        moment = now + day * DAY
        born = ~is_new | (rows.timestamp <= moment)
        untouched = _as_of(grown, born, grown.strays)
        plan = plan_evictions(_on_disk(_as_of(grown, born & ~gone, strays), present), policy, moment)
        if not plan.refusals:
            gone[plan.rows.subject] = True
            strays = _without(strays, plan.strays.subject)
        left = _as_of(grown, born & ~gone, strays)
        yield ForecastDay(
            time=moment,
            added=int((born & ~before).sum()),
            taken=_by_rule(plan) if not plan.refusals else {},
            items=int(left.rows.items().sum()),
            bytes=_size(left),
            items_without=int(untouched.rows.items().sum()),
            bytes_without=_size(untouched),
            refused=tuple(refusal.limit for refusal in plan.refusals),
        )
        before = born


def _as_of(grown: Inventory, alive: Bools, strays: Strays) -> Inventory:
    """The inventory when only these rows are there; the others count nowhere."""
    state = np.where(alive, grown.rows.state, ItemState.RETIRED).astype(np.uint8)
    return replace(grown, rows=replace(grown.rows, state=state, readable=grown.rows.readable & alive), strays=strays)


def _on_disk(then: Inventory, present: Inventory) -> Inventory:
    """The same with as much free disk as what came and went since leaves."""
    roots = []
    for root in then.roots:
        here = [number for number, other in enumerate(then.roots) if other.device == root.device]
        used = _bytes_in(then, here) - _bytes_in(present, here)
        roots.append(replace(root, disk_free=max(0, root.disk_free - used)))
    return replace(then, roots=tuple(roots))


def _bytes_in(inventory: Inventory, roots: list[int]) -> int:
    strays = inventory.strays.size[np.isin(inventory.strays.root, roots)].sum()
    return inventory.rows.audio_bytes(np.isin(inventory.rows.root, roots)) + int(strays)


def _without(strays: Strays, taken: Ints) -> Strays:
    left = ~_mask(len(strays), taken)
    return Strays(
        tuple(path for path, stays in zip(strays.path, left.tolist(), strict=True) if stays),
        strays.kind[left],
        strays.size[left],
        strays.changed[left],
        strays.inode[left],
        strays.mtime_ns[left],
        strays.root[left],
    )


def _by_rule(plan: Plan) -> dict[str, tuple[int, int]]:
    taken = {}
    for number, rule in enumerate(plan.rules):
        rows, strays = plan.rows.rule == number, plan.strays.rule == number
        if rows.any() or strays.any():
            size = int(plan.rows.bytes[rows].sum() + plan.strays.bytes[strays].sum())
            taken[rule.name] = (int(rows.sum() + strays.sum()), size)
    return taken


def _size(inventory: Inventory) -> int:
    rows, strays = (np.ones(len(part), np.bool_) for part in (inventory.rows, inventory.strays))
    return total_bytes(inventory, rows, strays)
