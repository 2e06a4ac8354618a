"""A cache simulated day by day: each day's items are written down anew, and the reference planner takes of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import msgspec
from inventories import NOW, RowSpec, inventory, patterns_of
from msgspec.structs import replace
from reference import reference_plan

from audio_cache_daemon.model import ItemState
from audio_cache_daemon.retention.policy import Policy

DAY = 86400.0


class Day(msgspec.Struct, frozen=True):
    """How many items came, went by which rule, and stayed; the bytes of these, their lines included."""

    added: int
    taken: dict[str, int]
    items: int
    bytes: int


class _Item(msgspec.Struct, frozen=True):
    """An item, when it was made, and since when its file is missing; None: unknown."""

    spec: RowSpec
    made: float | None
    missed: float | None

    def at(self, moment: float) -> RowSpec:
        age = None if self.made is None else moment - self.made
        return replace(self.spec, age=age, missing_for=None if self.missed is None else moment - self.missed)


def simulate(specs: Sequence[RowSpec], policy: Policy, days: int) -> list[Day]:
    """Today and so many days after it; no item is older than 30 days."""
    ages = [spec.age for spec in specs if spec.state is ItemState.OK and spec.age is not None]
    window = max(1, math.ceil(max(ages, default=0) / DAY)) * DAY
    cache = [_item(spec) for spec in specs]
    coming = [
        _again(spec, spec.age, cycle, window)
        for cycle in range(1, days + 1)
        for spec in specs
        if spec.state is ItemState.OK and spec.age is not None and spec.age < window
    ]
    simulated = []
    for day in range(days + 1):
        moment = NOW + day * DAY
        new = [item for item in coming if item.made is not None and moment - DAY < item.made <= moment]
        cache += new
        found = inventory([item.at(moment) for item in cache], now=moment, patterns=patterns_of(policy))
        plan = reference_plan(found, policy, moment)
        gone = {} if plan.refusals else plan.rows
        taken = dict(Counter(reason.rule for reason in gone.values()))
        cache = [item for number, item in enumerate(cache) if number not in gone]
        simulated.append(Day(len(new), taken, len(cache), _bytes([item.spec for item in cache])))
    return simulated


def _item(spec: RowSpec) -> _Item:
    since = NOW - (spec.missing_for or 0.0) if spec.state is ItemState.MISSING else None
    return _Item(spec, None if spec.age is None else NOW - spec.age, since)


def _again(spec: RowSpec, age: float, cycle: int, window: float) -> _Item:
    """An item of a later cycle: its prompt, its file and its bytes are its own, but for those of the same cycle."""
    prompt, file, content = (
        None if name is None else f"{name}, cycle {cycle}" for name in (spec.prompt, spec.file, spec.content)
    )
    return _Item(replace(spec, prompt=prompt, file=file, content=content), NOW - age + cycle * window, None)


def _bytes(specs: Sequence[RowSpec]) -> int:
    files = {spec.file or number: spec.size for number, spec in enumerate(specs) if spec.state is ItemState.OK}
    return sum(files.values()) + sum(spec.line for spec in specs)
