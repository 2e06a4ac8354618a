"""A plan carried out, after what is still to be done for what earlier runs retired."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator
from functools import partial

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from audio_cache_daemon.cache.vectors import check_alignment, check_rows, index_fault
from audio_cache_daemon.compaction import compact_cache
from audio_cache_daemon.eviction.execute import execute_plan
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.generator import last_start
from audio_cache_daemon.eviction.memory import forget_decodings, remember, save_memory
from audio_cache_daemon.eviction.retire import clear_unfinished, forget_finished, retire_items
from audio_cache_daemon.eviction.space import has_room
from audio_cache_daemon.model import (
    Bools,
    Evictions,
    Outcome,
    OutcomeCounts,
    OutcomeKind,
    Plan,
    RuleCount,
    RunReport,
    RunResult,
)
from audio_cache_daemon.planning import retires
from audio_cache_daemon.reporting.audit import AuditLog
from audio_cache_daemon.reporting.run_audit import record_outcome, record_plan
from audio_cache_daemon.request import Listener, RunRequest, Target
from audio_cache_daemon.retention.limits import planned_bytes
from audio_cache_daemon.state import load_memory
from audio_cache_daemon.upkeep import (
    Dropped,
    Released,
    compact,
    count_zeroed,
    describe_upkeep,
    describe_waiting,
    describe_zeroed,
    generator_of,
    is_compaction_due,
    make_room_in_trash,
    release_pending,
    release_rule,
    relieve_disk,
    retire_again,
)

_ROW_GOES = frozenset({OutcomeKind.EVICTED, OutcomeKind.GONE})


class _Done:
    """What becomes of a plan, in numbers.

    Of its `planned` evictions `dropped` are rows that went, `denied` failed for a missing permission, `left` were not
    come to. `changed` are rows that stay since their files aren't as they were.
    """

    def __init__(self, plan: Plan) -> None:
        self._rules = tuple(rule.name for rule in plan.rules)
        self._row_rules = _by_subject(plan.rows, len(plan.inventory.rows))
        self._stray_rules = _by_subject(plan.strays, len(plan.inventory.strays))
        self._kinds: Counter[OutcomeKind] = Counter()
        self._freed = self._pending = self._pending_bytes = 0
        self._items, self._bytes = ([0] * len(plan.rules) for _ in range(2))
        self.changed: list[int] = []
        self.planned = len(plan.rows) + len(plan.strays)
        self.dropped = self.denied = self.left = 0

    def take(self, outcome: Outcome) -> None:
        """Count one outcome."""
        self._kinds[outcome.kind] += 1
        self._freed += outcome.bytes_freed
        self._pending += outcome.pending_bytes is not None
        self._pending_bytes += outcome.pending_bytes or 0
        self.dropped += outcome.row is not None and outcome.kind in _ROW_GOES
        self.denied += outcome.denied
        if outcome.kind == OutcomeKind.CHANGED and outcome.row is not None:
            self.changed.append(outcome.row)
        if outcome.kind == OutcomeKind.EVICTED:
            rule = self._rule(outcome)
            self._items[rule] += 1
            self._bytes[rule] += outcome.bytes_freed + (outcome.pending_bytes or 0)

    def _rule(self, outcome: Outcome) -> int:
        if outcome.row is not None:
            return int(self._row_rules[outcome.row])
        return int(self._stray_rules[outcome.stray or 0])

    @property
    def counts(self) -> OutcomeCounts:
        kinds = {kind.value: count for kind, count in self._kinds.items()}
        return OutcomeCounts(
            **kinds, bytes_freed=self._freed, pending_items=self._pending, pending_bytes=self._pending_bytes
        )

    @property
    def by_rule(self) -> dict[str, RuleCount]:
        """What was evicted, by the rules that evicted something."""
        totals = zip(self._rules, self._items, self._bytes, strict=True)
        return {name: RuleCount(items, size) for name, items, size in totals if items}


def _by_subject(evictions: Evictions, count: int) -> NDArray[np.int16]:
    """The rule that takes each of `count` subjects, in the place of its number; -1: none does."""
    rules = np.full(count, -1, np.int16)
    rules[evictions.subject] = evictions.rule
    return rules


class Tidied(msgspec.Struct, frozen=True):
    """What was done for items that were retired before: files `released`, rows `dropped`, and both in words.

    `target` is what the plan is to be carried out on: without its trash, if the disk has no room for one.
    """

    target: Target
    released: Released
    dropped: int
    messages: tuple[str, ...]


def tidy(target: Target, request: RunRequest, log: AuditLog, report: RunReport, started: str | None) -> Tidied:
    """Do what is still to be done for items that were retired before the run of this report.

    `started` names the generator's last start before the run looked at the cache.
    """
    assert report.plan is not None
    inventory = report.plan.inventory
    clear_unfinished(target.settings.location)
    target = relieve_disk(target, inventory, log)
    is_stopped = target.settings.writer.mode == "stopped"
    dropped = compact(inventory, target, request, log) if is_stopped else Dropped()
    again = 0 if is_stopped else retire_again(inventory, target, log, started)
    rule = release_rule(inventory, target.settings.writer, request.now, started, is_stopped=is_stopped)
    released = release_pending(inventory, target, request, log, rule)
    if index_fault(inventory) is None:
        forget_finished(inventory)
    return Tidied(target, released, dropped.rows, tuple(describe_upkeep(released, dropped, again)))


def enforce(target: Target, request: RunRequest, log: AuditLog, report: RunReport, listener: Listener) -> RunReport:
    """Carry out the plan of a report, of which afterwards only that is left which is still told."""
    assert report.plan is not None
    listener.planned(report.plan)
    report = _act(target, request, log, report, listener)
    return replace(report, plan=_as_told(report.plan)) if report.plan is not None else report


def _as_told(plan: Plan) -> Plan:
    """A plan that was carried out, without what tells its items apart: of a million 80 MB, beside what follows."""
    count, evicted = len(plan.inventory.rows), len(plan.rows)
    unknown, nothing = np.broadcast_to(np.nan, count), np.broadcast_to(np.int64(0), count)
    rows = replace(
        plan.inventory.rows,
        offset=np.broadcast_to(np.int64(0), count + 1),
        prompt=np.broadcast_to(np.int32(-1), count),
        timestamp=unknown,
        duration=unknown,
        quality=unknown,
        inode=nothing,
        mtime_ns=nothing,
        missing_since=unknown,
        matches={},
        sounds=None,
        decoded=None,
        missing_keys=None,
    )
    evictions = replace(
        plan.rows,
        value=np.broadcast_to(np.nan, evicted),
        threshold=np.broadcast_to(np.nan, evicted),
        keeper=np.broadcast_to(np.int32(-1), evicted),
    )
    return replace(plan, inventory=replace(plan.inventory, rows=rows), rows=evictions)


def compact_if_due(target: Target, request: RunRequest, log: AuditLog, report: RunReport) -> RunReport:
    """Drop retired rows when they are many and the generator can be told; else they stay, and harm nobody."""
    assert report.plan is not None
    generator = generator_of(target.settings.writer)
    due = is_compaction_due(report.plan) and (generator.can_stop or generator.reload)
    if target.settings.writer.mode == "stopped" or not due:
        return report
    compacted = compact_cache(target, request, log)
    messages = (*report.messages, *describe_upkeep(compacted.released, compacted.dropped, 0))
    return add_released(replace(report, messages=messages), compacted.released)


def add_released(report: RunReport, released: Released) -> RunReport:
    """What went of earlier retirements counts as freed, but for the trash not as evicted once more."""
    if report.outcome is None or not released.files + released.failed:
        return report
    counts = replace(
        report.outcome,
        bytes_freed=report.outcome.bytes_freed + released.bytes,
        failed=report.outcome.failed + released.failed,
    )
    result = RunResult.SUCCESS if report.result == RunResult.NOOP and released.files else report.result
    result = RunResult.PARTIAL if released.failed else result
    return replace(report, outcome=counts, result=result, denied=report.denied + released.denied)


def _act(target: Target, request: RunRequest, log: AuditLog, report: RunReport, listener: Listener) -> RunReport:
    """Carry out the plan of a report, announced in the audit log before."""
    plan, location = report.plan, target.settings.location
    assert plan is not None
    is_live = target.settings.writer.mode == "live"
    if retires(target, plan):
        check_rows(plan.inventory, plan.rows.subject)
        report = replace(report, messages=(*report.messages, describe_waiting(target.settings.writer)))
    elif len(plan.rows):
        check_alignment(plan.inventory)
    # Also when nothing goes: what is too old leaves the trash all the same.
    make_room_in_trash(target, planned_bytes(plan), plan.now, log)
    done, saved = _Done(plan), None
    memory = remember(plan, load_memory(location), dropped=0 if is_live else len(plan.rows))
    if len(plan.rows) + len(plan.strays):
        record_plan(log, plan, retires=is_live)
        # A run that is killed has changed the index too: the next one must not take that for a loss.
        save_memory(location, saved := memory)
        _carry_out(done, _outcomes(target, request, plan), log, listener, is_live=is_live)
    if done.changed and plan.inventory.rows.decoded is not None:
        forget_decodings(plan.inventory, done.changed)
    if done.dropped and not is_live:
        report = replace(report, messages=(*report.messages, *_zeroed(plan)))
    report = replace(report, outcome=done.counts, evicted=done.by_rule, denied=done.denied)
    if done.left:
        rest = f"told to stop, the run left {done.left:,} of its evictions to the next one, which begins with them"
        return replace(report, result=RunResult.PARTIAL, messages=(*report.messages, rest))
    memory = replace(memory, rows=len(plan.inventory.rows) - (0 if is_live else done.dropped))
    if memory != saved:
        save_memory(location, memory)
    return replace(report, result=_result(plan, done.counts))


def _zeroed(plan: Plan) -> Iterator[str]:
    """What the rewrite makes of an array that lacks rows, in words."""
    zeroed = count_zeroed(plan.inventory, _staying(plan))
    if zeroed:
        yield describe_zeroed(zeroed)


def _staying(plan: Plan) -> Bools:
    """The rows that the plan leaves."""
    staying = np.ones(len(plan.inventory.rows), np.bool_)
    staying[plan.rows.subject] = False
    return staying


def _outcomes(target: Target, request: RunRequest, plan: Plan) -> Generator[Outcome, None, None]:
    """Carry the plan out: all at once, or, where rows can't be dropped, files without rows first."""
    execution = Execution(request.run, to_trash=target.settings.policy.trash.keep > 0)
    if not retires(target, plan) and (not len(plan.rows) or has_room(plan.inventory, _staying(plan))):
        yield from execute_plan(plan, execution)
        return
    if len(plan.strays):
        # Under a name of their own: the items get their place in the trash when they are released.
        strays = replace(plan, rows=plan.rows.none())
        yield from execute_plan(strays, replace(execution, run=f"{request.run}-files"))
    items = replace(plan, strays=plan.strays.none())
    if retires(target, plan):
        yield from retire_items(items, execution, partial(last_start, generator_of(target.settings.writer)))
    else:
        yield from execute_plan(items, execution)


def _carry_out(
    done: _Done, outcomes: Generator[Outcome, None, None], log: AuditLog, listener: Listener, *, is_live: bool
) -> None:
    """Record and count what becomes of a plan, item by item; told to stop, end between two of them."""
    total = done.planned
    for number, outcome in enumerate(outcomes, start=1):
        record_outcome(log, outcome)
        done.take(outcome)
        listener.progress("evicting", number, total)
        # A retirement is done as a whole, and only told item by item.
        if number < total and listener.should_stop() and not (is_live and outcome.row is not None):
            # What was begun is complete in the journal: the next run goes on from there, as after a crash.
            outcomes.close()
            done.left = total - number
            return


def _result(plan: Plan, counts: OutcomeCounts) -> RunResult:
    if counts.failed or counts.changed or plan.capped:
        return RunResult.PARTIAL
    return RunResult.SUCCESS if counts.evicted or counts.gone else RunResult.NOOP
