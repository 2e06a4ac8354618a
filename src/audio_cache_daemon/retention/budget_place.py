"""Where an item stands in the order in which a budget takes items, and how full the cache must be to take it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from audio_cache_daemon.model import Ints, Inventory
from audio_cache_daemon.retention.budget import Remaining, candidates, eviction_order, total_bytes, whose_file_goes
from audio_cache_daemon.retention.bytes_freed import freed_bytes
from audio_cache_daemon.retention.policy import Budget


class BudgetPlace(msgspec.Struct, frozen=True):
    """The `place` (from 1) of an item in the order of a mark, which reads `value` now; over `limit` it takes the item.

    That is if nothing that is added goes before it. Bytes for the size, else items.
    """

    mark: str
    place: int
    value: int
    limit: int


def budget_places(
    inventory: Inventory, budget: Budget, remaining: Remaining, now: float, row: int
) -> Iterator[BudgetPlace]:
    """The places of a row for the marks of size and of items, after the rules; none for a mark that can't take it."""
    order = eviction_order(inventory.rows, remaining, budget.evict, now)
    if budget.size is not None:
        rows = whose_file_goes(inventory.rows, order, remaining, inventory.rows.present())
        for place in _find(rows, row):
            ahead = int(freed_bytes(inventory, rows, remaining.rows)[:place].sum())
            total = total_bytes(inventory, remaining.rows, remaining.strays)
            yield BudgetPlace("budget:size", place + 1, total, max(budget.size.high, budget.size.low + ahead))
    if budget.items is not None:
        rows = candidates(order, remaining, inventory.rows.decided())
        for place in _find(rows, row):
            count = int((inventory.rows.items() & remaining.rows).sum())
            yield BudgetPlace("budget:items", place + 1, count, max(budget.items.high, budget.items.low + place))


def _find(rows: Ints, row: int) -> list[int]:
    return np.flatnonzero(rows == row).tolist()
