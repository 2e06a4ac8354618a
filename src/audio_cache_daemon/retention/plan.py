"""From an inventory, a policy and a moment to a plan: what goes, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.model import BROKEN, Bools, Evictions, Floats, Ints, Inventory, ItemState, Plan, PlanRule, Truth
from audio_cache_daemon.retention.budget import BUDGET_RULES, Pressure, Remaining, eviction_key, over_budget
from audio_cache_daemon.retention.bytes_freed import freed_file_bytes
from audio_cache_daemon.retention.judgement import Judgement, unmeasured
from audio_cache_daemon.retention.limits import RunLimits
from audio_cache_daemon.retention.policy import (
    Broken,
    Compared,
    Dedupe,
    Everything,
    InState,
    Limits,
    MaxAge,
    Pattern,
    Policy,
    Rule,
)
from audio_cache_daemon.retention.protection import PINNED, RESTORED, protect_rows, protect_strays
from audio_cache_daemon.retention.rules import RuleVerdict, judge_rules

_NONE: Ints = np.empty(0, np.int64)


def plan_evictions(
    inventory: Inventory, policy: Policy, now: float, *, enforce_limits: bool = True, reasons: bool = True
) -> Plan:
    """What the policy takes from this inventory at the moment `now` (seconds since the epoch).

    The same arguments give the same plan. Without `enforce_limits` nothing is refused and nothing cut short; without
    `reasons` each eviction has its rule alone, for who counts: of a million that is 20 MB less.
    """
    protected, undecided = protect_rows(inventory.rows, policy.protect, now)
    protected_strays = protect_strays(inventory.strays, policy.protect, now) >= 0
    undecided |= (inventory.rows.state == ItemState.UNDECIDABLE) | _unplaceable(inventory, policy, now)
    rows, strays = (_Ownership(len(part), tells_why=reasons) for part in (inventory.rows, inventory.strays))
    verdicts = judge_rules(inventory, policy.rules, (protected >= 0, protected_strays), now)
    selected = _take_by_rules(verdicts, rows, strays, undecided)
    limits = RunLimits(inventory, policy.limits if enforce_limits else Limits(None, None), rows.taken, strays.taken)
    refusals = limits.refuse_rules()
    movable = inventory.rows.decided() & (protected < 0)
    remaining = Remaining(~rows.taken, ~strays.taken, movable, ~protected_strays)
    pressures = list(over_budget(inventory, policy.budget, remaining, now))
    capped, cut = _take_pressures(pressures, len(policy.rules), rows, strays, limits)
    # Before the evictions are made: of a million rows they hold 10 MB.
    del movable, remaining, pressures, limits
    everything = np.ones(len(inventory.rows), np.bool_)
    return Plan(
        inventory=inventory,
        now=now,
        rules=describe_rules(policy),
        protections=(*(protection.name for protection in policy.protect), RESTORED, PINNED),
        rows=rows.evictions(lambda subject: freed_file_bytes(inventory.rows, subject, everything)),
        strays=strays.evictions(lambda subject: inventory.strays.size[subject]),
        protected=protected,
        undecidable=int((undecided & inventory.rows.items()).sum()),
        capped=capped,
        refusals=refusals,
        notes=tuple(_notes(inventory, policy)),
        held=int((selected & (protected >= 0) & inventory.rows.decided()).sum()),
        cut=cut,
    )


def _take_by_rules(verdicts: Iterator[RuleVerdict], rows: _Ownership, strays: _Ownership, undecided: Bools) -> Bools:
    """Take what each rule takes, and note where it can't decide; which rows any of them selects, also in vain."""
    selected = np.zeros(len(undecided), np.bool_)
    for verdict in verdicts:
        rows.take(verdict.taken_rows, verdict.number, verdict.rows)
        strays.take(verdict.taken_strays, verdict.number, verdict.strays)
        undecided |= verdict.rows.truth == Truth.UNDECIDABLE
        selected |= verdict.rows.truth == Truth.TRUE
        # Before the next one is made: of a million rows it holds 16 MB.
        del verdict
    return selected


class _Ownership:
    """Which rule takes each subject (-1: none) and, if it `tells_why`, what that measured, taking by taking."""

    def __init__(self, count: int, *, tells_why: bool) -> None:
        self._rule = np.full(count, -1, np.int16)
        self._tells_why = tells_why
        self._takings: list[tuple[Any, ...]] = []

    @property
    def taken(self) -> Bools:
        return self._rule >= 0

    def take(self, taken: Bools, rule: int, judgement: Judgement) -> None:
        self._rule[taken] = rule
        if self._tells_why:
            keeper = judgement.keeper[taken] if judgement.keeper is not None else -1
            self._takings.append((_numbers(taken), judgement.value[taken], judgement.threshold, keeper))

    def take_under_pressure(self, subjects: Ints, rule: int, pressure: Pressure) -> None:
        self._rule[subjects] = rule
        if self._tells_why:
            self._takings.append((subjects.astype(np.int32), pressure.value, pressure.threshold, -1))

    def evictions(self, freed: Callable[[Ints], Ints]) -> Evictions:
        subject = np.flatnonzero(self.taken)
        # First, since it needs more than all that follows.
        size = freed(subject)
        return Evictions(subject, self._rule[subject], *self._reasons(subject), size)

    def _reasons(self, subject: Ints) -> tuple[Floats, Floats, NDArray[np.int32]]:
        count = len(subject)
        if not self._takings:
            return unmeasured(count), unmeasured(count), np.broadcast_to(np.int32(-1), count)
        value, threshold, keeper = np.empty(count), np.empty(count), np.empty(count, np.int32)
        while self._takings:
            subjects, *reason = self._takings.pop()
            places = np.searchsorted(subject, subjects)
            value[places], threshold[places], keeper[places] = reason
        return value, threshold, keeper


def _numbers(taken: Bools) -> NDArray[np.int32]:
    return np.flatnonzero(taken).astype(np.int32)


def _take_pressures(
    pressures: Sequence[Pressure], first_rule: int, rows: _Ownership, strays: _Ownership, limits: RunLimits
) -> tuple[tuple[str, ...], int]:
    """Take what the budget's marks ask for, as far as the limits allow; those that didn't, and how much stays so."""
    row_order = np.concatenate([pressure.rows for pressure in pressures] or [_NONE])
    stray_order = np.concatenate([pressure.strays for pressure in pressures] or [_NONE])
    allowed_rows, row_limit = limits.cap_rows(row_order)
    allowed_strays, stray_limit = limits.cap_strays(stray_order)
    rows_left, strays_left = len(allowed_rows), len(allowed_strays)
    cut = len(row_order) - rows_left + len(stray_order) - strays_left
    for pressure in pressures:
        rule = first_rule + BUDGET_RULES.index(pressure.name)
        rows.take_under_pressure(pressure.rows[:rows_left], rule, pressure)
        strays.take_under_pressure(pressure.strays[:strays_left], rule, pressure)
        rows_left = max(0, rows_left - len(pressure.rows))
        strays_left = max(0, strays_left - len(pressure.strays))
    return tuple(dict.fromkeys(limit for limit in (row_limit, stray_limit) if limit is not None)), cut


def _unplaceable(inventory: Inventory, policy: Policy, now: float) -> Bools:
    """Items that the budget's order can't place, if there is a budget."""
    budget = policy.budget
    # A size is unknown only of a file that isn't there, and that frees nothing.
    if budget.evict == "largest" or not (budget.size or budget.items or budget.disk):
        return np.zeros(len(inventory.rows), np.bool_)
    return eviction_key(inventory.rows, budget.evict, now).unknown() & inventory.rows.decided()


def describe_rules(policy: Policy) -> tuple[PlanRule, ...]:
    """The rules of a plan: those of the policy, in order, and the marks of the budget."""
    return (*(_describe(rule) for rule in policy.rules), *(PlanRule(name, name) for name in BUDGET_RULES))


def _describe(rule: Rule) -> PlanRule:
    match rule.criterion:
        case Pattern(expression):
            return PlanRule(rule.name, "pattern", expression)
        case MaxAge():
            criterion = "max_age"
        case Dedupe(by):
            criterion = f"dedupe:{by}"
        case InState(state):
            criterion = f"state:{state}"
        case Broken():
            criterion = BROKEN
        case Compared(measure, sign):
            criterion = f"{measure}:{sign}"
        case Everything():
            criterion = "everything"
    return PlanRule(rule.name, criterion)


def _notes(inventory: Inventory, policy: Policy) -> Iterator[str]:
    """What the policy asks for and this inventory can't answer."""
    criteria = [rule.criterion for rule in policy.rules]
    if InState("orphan") in criteria and inventory.orphans_undecidable is not None:
        yield f"orphans stay: {inventory.orphans_undecidable}"
    compares = any(isinstance(criterion, Dedupe) and criterion.is_by_ear for criterion in criteria)
    sounds = inventory.rows.sounds
    if compares and sounds is not None and sounds.fault is not None:
        yield f"no item goes by how it sounds: {sounds.fault}"
    decoded = inventory.rows.decoded
    if decoded is not None and decoded.fault is not None:
        yield f"not every item is decoded: {decoded.fault}"
