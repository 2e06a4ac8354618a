"""Why what a plan leaves stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.model import Bools, Evictions, Ints, Inventory, ItemState, Kept, KeptReason, Plan, Truth, Truths
from audio_cache_daemon.retention.policy import Policy
from audio_cache_daemon.retention.protection import protect_rows, protect_strays
from audio_cache_daemon.retention.rules import judge_rules


def explain_kept(plan: Plan, policy: Policy) -> tuple[Kept, Kept]:
    """The items, and the files without a row, that a plan of this policy leaves, each with the first reason why."""
    inventory, now = plan.inventory, plan.now
    protected = protect_rows(inventory.rows, policy.protect, now)[0]
    protected_strays = protect_strays(inventory.strays, policy.protect, now)
    rows, strays = _Reasons(len(inventory.rows)), _Reasons(len(inventory.strays))
    rows.note(protected >= 0, KeptReason.PROTECTED, protected)
    strays.note(protected_strays >= 0, KeptReason.PROTECTED, protected_strays)
    rows.note(inventory.rows.state == ItemState.UNDECIDABLE, KeptReason.FILE_UNKNOWN)
    for verdict in judge_rules(inventory, policy.rules, (protected >= 0, protected_strays >= 0), now):
        rows.note_open(verdict.rows.truth, verdict.number)
        strays.note_open(verdict.strays.truth, verdict.number)
    return rows.of(_left(inventory, plan)), strays.of(_others(len(inventory.strays), plan.strays))


def _left(inventory: Inventory, plan: Plan) -> Bools:
    return inventory.rows.items() & _others(len(inventory.rows), plan.rows)


def _others(count: int, evictions: Evictions) -> Bools:
    left = np.ones(count, np.bool_)
    left[evictions.subject] = False
    return left


class _Reasons:
    """The first reason of each subject, and which protection or rule it is about (-1: none)."""

    def __init__(self, count: int) -> None:
        self._reason = np.full(count, KeptReason.UNSELECTED, np.uint8)
        self._which: Ints = np.full(count, -1, np.int64)

    def note(self, holds: Bools, reason: KeptReason, which: NDArray[np.integer] | None = None) -> None:
        new = holds & (self._reason == KeptReason.UNSELECTED)
        self._reason[new] = reason
        if which is not None:
            self._which[new] = which[new]

    def note_open(self, truth: Truths, rule: int) -> None:
        self.note(truth == Truth.UNDECIDABLE, KeptReason.UNDECIDABLE, np.full(len(truth), rule))

    def of(self, subjects: Bools) -> Kept:
        numbers = np.flatnonzero(subjects)
        return Kept(numbers, self._reason[numbers], self._which[numbers])
