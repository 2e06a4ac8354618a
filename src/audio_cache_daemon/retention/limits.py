"""`limits`: how much one run may evict. Rules that want more are refused, the budget is cut short."""

from __future__ import annotations

import numpy as np

from audio_cache_daemon.model import Bools, Ints, Inventory, Plan, Refusal
from audio_cache_daemon.retention.bytes_freed import count_namings, freed_file_bytes
from audio_cache_daemon.retention.policy import Limits, TrashLimits
from audio_cache_daemon.units import format_size

PERCENT_FROM = 20
"""Below so many rows, or files, a percentage says nothing: of three items one is a third."""

_HOW_TO_GO_ON = "look at the plan with run-once --dry-run; if it is right, run-once --override-limits executes it once"


class RunLimits:
    """The limits of a policy, in the numbers of one inventory of which rules take rows and strays."""

    def __init__(self, inventory: Inventory, limits: Limits, taken_rows: Bools, taken_strays: Bools) -> None:
        self._inventory = inventory
        self._taken = taken_rows
        self._taken_count, self._taken_strays = int(taken_rows.sum()), int(taken_strays.sum())
        everything = np.ones(len(taken_rows), np.bool_)
        self._taken_bytes = int(freed_file_bytes(inventory.rows, np.flatnonzero(taken_rows), everything).sum())
        rows = inventory.rows
        self._max_items = np.inf if limits.max_items is None else limits.max_items
        self._percent = limits.max_percent
        self._rows = int(rows.readable.sum())
        self._bytes = rows.audio_bytes(rows.readable)
        self._files = int(np.count_nonzero(count_namings(rows, rows.readable))) + len(inventory.strays)

    def refuse_rules(self) -> tuple[Refusal, ...]:
        """What is implausible about what the rules take."""
        count, strays, size = self._taken_count, self._taken_strays, self._taken_bytes
        refusals = []
        if max(count, strays) > self._max_items:
            what = f"{max(count, strays)} items" if count >= strays else f"{strays} files that no row names"
            refusals.append(Refusal("max_items", f"the rules select {what}, more than {self._max_items}"))
        if count > self._share(self._rows, self._rows):
            share = f"{count} of {self._rows} items"
            refusals.append(Refusal("max_percent", f"the rules select {share}, more than {self._percent:g} %"))
        elif size > self._share(self._bytes, self._rows):
            share = f"{format_size(size)} of {format_size(self._bytes)} of audio"
            refusals.append(Refusal("max_percent", f"the rules select {share}, more than {self._percent:g} %"))
        elif strays > self._share(self._files, self._files):
            share = f"{strays} of {self._files} files, that no row names"
            refusals.append(Refusal("max_percent", f"the rules select {share}, more than {self._percent:g} %"))
        return tuple(Refusal(refusal.limit, f"{refusal.message}; {_HOW_TO_GO_ON}") for refusal in refusals)

    def cap_rows(self, order: Ints) -> tuple[Ints, str | None]:
        """As much of a budget's `order` as fits beside what the rules take, and the limit that cut it short."""
        count = self._taken_count + np.arange(1, len(order) + 1)
        size = self._taken_bytes + np.cumsum(freed_file_bytes(self._inventory.rows, order, ~self._taken))
        over_percent = (count > self._share(self._rows, self._rows)) | (size > self._share(self._bytes, self._rows))
        return _cut(order, count > self._max_items, over_percent)

    def cap_strays(self, order: Ints) -> tuple[Ints, str | None]:
        """The same for files that no row names, on their own count."""
        count = self._taken_strays + np.arange(1, len(order) + 1)
        return _cut(order, count > self._max_items, count > self._share(self._files, self._files))

    def _share(self, whole: int, counted: int) -> float:
        if self._percent is None or counted < PERCENT_FROM:
            return np.inf
        return whole * self._percent / 100


def planned_bytes(plan: Plan) -> int:
    """Bytes of the files that a plan takes."""
    return int(plan.rows.bytes.sum() + plan.strays.bytes.sum())


def refuse_what_trash_cannot_hold(plan: Plan, trash: TrashLimits) -> tuple[Refusal, ...]:
    """A run larger than the whole trash could not be undone, and is not destroyed in silence."""
    size = planned_bytes(plan)
    if not trash.keep or trash.max_size is None or size <= trash.max_size:
        return ()
    message = (
        f"the plan takes {format_size(size)}, more than the {format_size(trash.max_size)} that the trash may hold; "
        "raise trash.max_size, or set trash.keep: 0 to remove for good"
    )
    return (Refusal("trash_size", message),)


def _cut(order: Ints, over_items: Bools, over_percent: Bools) -> tuple[Ints, str | None]:
    over = over_items | over_percent
    if not over.any():
        return order, None
    first = int(np.argmax(over))
    return order[:first], "max_items" if over_items[first] else "max_percent"
