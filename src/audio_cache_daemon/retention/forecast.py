"""What comes: a policy applied once a day to a cache that goes on growing as it did.

The items of the last days come again, at the same times of the day, with new prompts: what was added then says best how
many takes, tests and weak sounds will be added. Everything else stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from audio_cache_daemon.model import (
    Bools,
    Floats,
    Forecast,
    ForecastDay,
    Ints,
    Inventory,
    Plan,
    Rows,
    Sounds,
    Strays,
)
from audio_cache_daemon.retention.budget import total_bytes
from audio_cache_daemon.retention.judgement import rank_in_groups, row_age, unmeasured
from audio_cache_daemon.retention.plan import plan_evictions
from audio_cache_daemon.retention.policy import Policy

DAY = 86400.0

LONGEST_WINDOW = 30 * DAY
"""So far back the growth is looked at: long enough for weekends, short enough to be about the present."""

_Parts: TypeAlias = tuple[Bools, Bools]
"""Which of the rows, and which of the strays."""


def forecast(inventory: Inventory, policy: Policy, now: float, days: int) -> Forecast:
    """What a run takes now, and one on each of so many days, with the sizes that the cache has then."""
    inventory = _without_identity(inventory)
    rows = inventory.rows
    window = _window(rows, now)
    again = np.flatnonzero(rows.present() & (row_age(rows, now) < window))
    growth = _Growth(inventory, again, window, int(np.ceil(days * DAY / window)))
    return Forecast(
        window=window,
        items_per_day=len(again) * DAY / window,
        bytes_per_day=rows.audio_bytes(_mask(len(rows), again)) * DAY / window,
        days=tuple(_simulate(_missing_since(inventory, now), growth, policy, now, days)),
    )


def _without_identity(inventory: Inventory) -> Inventory:
    """The inventory without what tells files apart: it decides nothing, and of a million rows it takes 16 MB."""
    nothing = np.broadcast_to(np.int64(0), len(inventory.rows))
    return replace(inventory, rows=replace(inventory.rows, inode=nothing, mtime_ns=nothing))


def _window(rows: Rows, now: float) -> float:
    """How far back the growth is looked at: to the oldest item, in whole days."""
    age = row_age(rows, now)[rows.present()]
    known = age[~np.isnan(age)]
    return float(np.clip(np.ceil(known.max(initial=0.0) / DAY) * DAY, DAY, LONGEST_WINDOW))


def _mask(count: int, numbers: Ints) -> Bools:
    mask = np.zeros(count, np.bool_)
    mask[numbers] = True
    return mask


def _missing_since(inventory: Inventory, now: float) -> Inventory:
    """The inventory as the run that comes now remembers it: each missing file has been so at least since then."""
    rows = inventory.rows
    since = np.where(rows.missing() & np.isnan(rows.missing_since), now, rows.missing_since)
    return replace(inventory, rows=replace(rows, missing_since=since))


class _Growth:
    """What is added: the rows `again`, once in each `window` (seconds) to come, for so many `cycles`.

    An added row has a number behind those that there are: first all of the first cycle, then all of the next one.
    `time` is when each is added, `bytes` how much larger the cache is by it.
    """

    def __init__(self, inventory: Inventory, again: Ints, window: float, cycles: int) -> None:
        rows = inventory.rows
        self._count, self._again, self._window = len(rows), again, window
        ahead = np.arange(1, cycles + 1)[:, None] * window
        self.time: Floats = (rows.timestamp[again] + ahead).reshape(-1)
        self.bytes: Ints = np.tile(_bytes_added(inventory, again), cycles)

    def between(self, before: float, moment: float) -> Ints:
        """The numbers of the rows that are added after `before`, up to `moment`."""
        return np.flatnonzero((self.time > before) & (self.time <= moment)) + self._count

    def select(self, rows: Rows, numbers: Ints) -> Rows:
        """The rows of these ascending numbers, those that there are from `rows`."""
        if np.array_equal(numbers, np.arange(self._count)):
            return rows
        first_new = int(np.searchsorted(numbers, self._count))
        cycle, place = np.divmod(numbers[first_new:] - self._count, max(1, len(self._again)))
        order = np.concatenate([numbers[:first_new], self._again[place]]).astype(np.int32)
        ahead = np.concatenate([np.zeros(first_new, np.int32), cycle + 1], dtype=np.int32)
        sounds, nothing = rows.sounds, np.broadcast_to(np.int64(0), len(order))
        return replace(
            rows,
            offset=np.concatenate([[0], np.cumsum(np.diff(rows.offset)[order])]),
            readable=rows.readable[order],
            timestamp=_shifted(rows.timestamp[order], first_new, (cycle + 1) * self._window),
            duration=rows.duration[order],
            quality=rows.quality[order],
            prompt=_renumbered(rows.prompt, order, ahead),
            state=rows.state[order],
            file=_renumbered(rows.file, order, ahead),
            size=rows.size[order],
            inode=nothing,
            mtime_ns=nothing,
            root=rows.root[order],
            missing_since=rows.missing_since[order],
            held_until=_only_first(rows.held_until, order, first_new),
            pinned_until=_only_first(rows.pinned_until, order, first_new),
            used_elsewhere=rows.used_elsewhere[order] & (ahead == 0),
            content=_renumbered(rows.content, order, ahead),
            matches={pattern: truth[order] for pattern, truth in rows.matches.items()},
            sounds=Sounds(sounds.place[order], sounds.vectors, sounds.fault) if sounds is not None else None,
            decoded=rows.decoded.select(order) if rows.decoded is not None else None,
        )


def _shifted(times: Floats, first_new: int, ahead: Floats) -> Floats:
    """The times, with those from `first_new` on so much later."""
    times[first_new:] += ahead
    return times


def _only_first(until: Floats, order: NDArray[np.int32], first_new: int) -> Floats:
    """What holds rows until some moment, of which those from `first_new` on know nothing."""
    if np.isnan(until).all():
        return unmeasured(len(order))
    until = until[order]
    until[first_new:] = np.nan
    return until


def _renumbered(numbers: NDArray[np.int32], order: NDArray[np.int32], ahead: NDArray[np.int32]) -> NDArray[np.int32]:
    """Groups of their own for what comes again, alike among themselves as they were."""
    groups = int(numbers.max(initial=-1)) + 1
    return np.where(numbers[order] >= 0, numbers[order] + ahead * groups, -1).astype(np.int32)


def _bytes_added(inventory: Inventory, again: Ints) -> Ints:
    """What the cache grows by with each of these rows: a file that several name comes with the first of them."""
    rows = inventory.rows
    turn = rank_in_groups(rows.file[again], np.ones(len(again), np.bool_), [rows.timestamp[again]])
    lines = rows.offset[again + 1] - rows.offset[again]
    files: Ints = np.where(turn == 1, rows.size[again], 0)
    return files + lines + inventory.index.vector_bytes


def _simulate(inventory: Inventory, growth: _Growth, policy: Policy, now: float, days: int) -> Iterator[ForecastDay]:
    first = inventory.rows
    on_disk = _bytes_on_disks(inventory)
    items_without, bytes_without = int(first.items().sum()), _size(inventory, _everything(inventory))
    there, strays, before = np.arange(len(first)), inventory.strays, now
    for day in range(days + 1):
        moment = now + day * DAY
        added = growth.between(before, moment)
        there = np.sort(np.concatenate([there, added]))
        items_without += len(added)
        bytes_without += int(growth.bytes[added - len(first)].sum())
        then = replace(inventory, rows=growth.select(first, there), strays=strays)
        coming = ForecastDay(moment, len(added), {}, 0, 0, items_without, bytes_without)
        coming, stay = _run(_with_free_disk(then, on_disk), policy, coming)
        # Before the next one is made: of a million rows it takes 70 MB.
        del then
        yield coming
        there, strays, before = there[stay[0]], _only(strays, stay[1]), moment


def _run(then: Inventory, policy: Policy, coming: ForecastDay) -> tuple[ForecastDay, _Parts]:
    """The day that is coming with what a run takes then, and what that leaves."""
    plan = plan_evictions(then, policy, coming.time)
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


def _only(strays: Strays, left: Bools) -> Strays:
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
