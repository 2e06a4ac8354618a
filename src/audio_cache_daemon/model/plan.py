"""What is to go and why, what stays, and what is to come."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.model.inventory import Inventory
from audio_cache_daemon.model.kinds import Bools, Floats, Ints


class Evictions(msgspec.Struct, frozen=True):
    """What one kind of subject (rows or strays) loses: parallel columns, in ascending order of `subject`.

    `rule` indexes `Plan.rules`; `value` and `threshold` are the measured number and the limit it crossed (NaN
    where the reason is no number); `keeper` is the row whose copy stays, or -1; `bytes` are those of its file, if
    that goes with this eviction: a file that several rows name goes with the last of them.
    """

    subject: Ints
    rule: NDArray[np.int16]
    value: Floats
    threshold: Floats
    keeper: NDArray[np.int32]
    bytes: Ints

    def __len__(self) -> int:
        return len(self.subject)

    def only(self, chosen: Bools) -> Evictions:
        """Those that are chosen."""
        return Evictions(
            self.subject[chosen],
            self.rule[chosen],
            self.value[chosen],
            self.threshold[chosen],
            self.keeper[chosen],
            self.bytes[chosen],
        )

    def none(self) -> Evictions:
        """The same columns without an eviction."""
        return Evictions(
            self.subject[:0], self.rule[:0], self.value[:0], self.threshold[:0], self.keeper[:0], self.bytes[:0]
        )


class PlanRule(msgspec.Struct, frozen=True):
    """A rule as the plan and its reports know it: its name, its criterion, and the text it compares with, if any."""

    name: str
    criterion: str
    text: str | None = None


class Refusal(msgspec.Struct, frozen=True):
    """A limit or sentinel that stops a plan: its name (a bounded set), what it saw, how to go on."""

    limit: str
    message: str


class Plan(msgspec.Struct, frozen=True):
    """What goes and why; the executor's only input.

    `protected` says for each row which protection holds it (index into `protections`, -1: none).
    `undecidable` counts the items for which a condition that the policy asks for could not be decided.
    `capped` names the limits that cut the budget short, by `cut` evictions; `held` counts what rules select and a
    protection keeps. `refusals` says in words why the plan must not be executed (empty: it may).
    """

    inventory: Inventory
    now: float
    rules: tuple[PlanRule, ...]
    protections: tuple[str, ...]
    rows: Evictions
    strays: Evictions
    protected: NDArray[np.int16]
    undecidable: int = 0
    capped: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
    held: int = 0
    cut: int = 0


class Kept(msgspec.Struct, frozen=True):
    """What a plan leaves of one kind of subject (rows or strays): parallel columns, in ascending order of `subject`.

    `which` indexes the plan's protections (of what is protected) or its rules (of what is undecidable); else -1.
    """

    subject: Ints
    reason: NDArray[np.uint8]
    which: Ints


class ForecastDay(msgspec.Struct, frozen=True):
    """A day to come: at which moment a run begins, how many items were added since the one before, what the run takes.

    `taken` has items and bytes by rule; `refused` names the limits that refuse the run. `items` and `bytes` are what
    the cache holds after it, and what it would hold if no run had taken anything.
    """

    time: float
    added: int
    taken: Mapping[str, tuple[int, int]]
    items: int
    bytes: int
    items_without: int
    bytes_without: int
    refused: tuple[str, ...] = ()


class Forecast(msgspec.Struct, frozen=True):
    """What comes, from the growth of the last `window` seconds; the first of the `days` is now."""

    window: float
    items_per_day: float
    bytes_per_day: float
    days: tuple[ForecastDay, ...]

    def reached(self) -> dict[str, float]:
        """When each mark of the budget first takes something, and when each limit first refuses a run."""
        first: dict[str, float] = {}
        for day in self.days:
            for name in [*(name for name in day.taken if name.startswith("budget:")), *day.refused]:
                first.setdefault(name, day.time)
        return first
