"""The four steps, in order: observe, decide, act, report. A preview is the same plan, not executed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

from audio_cache_daemon.cache.listing import Listing
from audio_cache_daemon.cache.scan import Surroundings, open_index, scan_cache
from audio_cache_daemon.cache.vectors import check_alignment, check_rows, index_fault
from audio_cache_daemon.compaction import compact_cache
from audio_cache_daemon.errors import (
    CacheLockedError,
    DeferredError,
    MaintenanceError,
    UnsafePlanError,
)
from audio_cache_daemon.eviction.execute import execute_plan
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.generator import last_start, start_again
from audio_cache_daemon.eviction.lock import cache_lock
from audio_cache_daemon.eviction.memory import remember, save_audit_head, save_memory
from audio_cache_daemon.eviction.recovery import interrupted_run, recover
from audio_cache_daemon.eviction.retire import forget_finished, retire_items
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import (
    Inventory,
    Memory,
    Outcome,
    OutcomeCounts,
    OutcomeKind,
    Plan,
    Refusal,
    RunReport,
    RunResult,
)
from audio_cache_daemon.reporting.audit import AuditContext, AuditLog
from audio_cache_daemon.reporting.run_audit import (
    record_end,
    record_outcome,
    record_plan,
    record_recovery,
    record_start,
)
from audio_cache_daemon.request import SILENT, Listener, RunRequest, Target
from audio_cache_daemon.retention.limits import planned_bytes, refuse_what_trash_cannot_hold
from audio_cache_daemon.retention.needs import columns_needed
from audio_cache_daemon.retention.plan import plan_evictions
from audio_cache_daemon.retention.sentinels import check_sentinels
from audio_cache_daemon.state import load_memory
from audio_cache_daemon.upkeep import (
    Released,
    compact,
    describe_upkeep,
    describe_waiting,
    generator_of,
    is_compaction_due,
    make_room_in_trash,
    release_pending,
    retire_again,
)

_ROW_GOES = frozenset({OutcomeKind.EVICTED, OutcomeKind.GONE})


def observe(target: Target, memory: Memory | None, listing: Callable[[], Listing] | None = None) -> Inventory:
    """The inventory that the target's policy needs; `listing` is that of its files, if begun ahead."""
    needs = columns_needed(target.settings.policy)
    return scan_cache(target.settings.location, needs, Surroundings(target.neighbours, memory, listing))


def preview_maintenance(
    target: Target, request: RunRequest, listener: Listener = SILENT, listing: Callable[[], Listing] | None = None
) -> RunReport:
    """What a run would do: the same plan, not executed. Takes no lock and writes nothing."""
    started = time.perf_counter()
    report = _report(target, request, "dry-run")
    try:
        listener.progress("scanning", 0, None)
        memory = load_memory(target.settings.location)
        inventory = observe(target, memory, listing)
        plan, refusals = _decide(target, request, inventory, memory)
        listener.planned(plan)
        fault = index_fault(inventory) if len(plan.rows) else None
        if fault is not None:
            refusals = (
                *refusals,
                Refusal("inconsistent_index", f"{fault}; no row can be dropped until it is repaired"),
            )
        interrupted = interrupted_run(target.settings.location)
        messages: tuple[str, ...] = (
            (f"run {interrupted} was interrupted; the next run puts that right first",) if interrupted else ()
        )
        if _retires(target, plan):
            messages = (*messages, describe_waiting(target.settings.writer))
        result = RunResult.SUCCESS if len(plan.rows) + len(plan.strays) else RunResult.NOOP
        report = replace(report, result=result, plan=plan, refusals=refusals, messages=(*messages, *plan.notes))
    except (MaintenanceError, OSError) as error:
        report = replace(report, error=_in_words(error, target.settings.location))
    return replace(report, duration_seconds=time.perf_counter() - started)


def run_maintenance(
    target: Target, request: RunRequest, clock: Callable[[], float], listener: Listener = SILENT
) -> RunReport:
    """Maintain a cache: one pass of its policy. Every error ends up in the report; `clock` dates audit records."""
    started = time.perf_counter()
    location = target.settings.location
    mode = target.settings.policy.mode
    report = _report(target, request, mode)
    try:
        # Where there is no index there is no cache, and no place for a lock and a log of ours.
        open_index(location).close()
        with cache_lock(location, request.wait):
            context = AuditContext(
                request.run, location.name, request.trigger, request.actor, mode, target.config or None
            )
            with AuditLog.open(target.audit_path, prompts=target.prompts, clock=clock).bound(context) as log:
                report = _run_locked(target, request, log, report, listener)
                record_end(log, replace(report, duration_seconds=time.perf_counter() - started))
                save_audit_head(location, log.head.seq, log.head.hash)
    except CacheLockedError as error:
        report = replace(report, result=RunResult.LOCKED, error=error)
    except (MaintenanceError, OSError) as error:
        report = replace(report, result=RunResult.FAILED, error=_in_words(error, location))
    return replace(report, duration_seconds=time.perf_counter() - started)


def _run_locked(target: Target, request: RunRequest, log: AuditLog, report: RunReport, listener: Listener) -> RunReport:
    """Observe, decide, act, under the lock."""
    location, policy = target.settings.location, target.settings.policy
    record_start(log, {"limits": request.limits, "accepted": sorted(request.accepted), "policy": policy.name})
    try:
        try:
            recovery = recover(location)
        finally:
            start_again(location, generator_of(target.settings.writer))
        if recovery is not None:
            record_recovery(log, recovery.message, recovery.kept)
        listener.progress("scanning", 0, None)
        memory = load_memory(location)
        plan, refusals = _decide(target, request, observe(target, memory), memory)
        messages = (recovery.message, *plan.notes) if recovery is not None else plan.notes
        report = replace(report, plan=plan, refusals=refusals, messages=messages)
        if refusals:
            listener.planned(plan)
            message = "; ".join(refusal.message for refusal in refusals)
            return replace(report, result=RunResult.REFUSED, error=UnsafePlanError(f"{location.path}: {message}"))
        if policy.mode == "audit":
            listener.planned(plan)
            save_memory(location, replace(remember(plan, memory), rows=len(plan.inventory.rows)))
            return replace(report, result=RunResult.SUCCESS)
        return _enforce(target, request, log, report, listener)
    except DeferredError as error:
        return replace(report, result=RunResult.DEFERRED, error=error)
    except (MaintenanceError, OSError) as error:
        return replace(report, result=RunResult.FAILED, error=_in_words(error, location))


def _enforce(target: Target, request: RunRequest, log: AuditLog, report: RunReport, listener: Listener) -> RunReport:
    """Do what is still to be done for items that were retired before, then carry out the plan of a report."""
    plan, location = report.plan, target.settings.location
    assert plan is not None
    forget_finished(plan.inventory)
    is_stopped = target.settings.writer.mode == "stopped"
    dropped = compact(plan.inventory, request, log) if is_stopped else 0
    again = 0 if is_stopped else retire_again(plan.inventory, target, log)
    released = release_pending(plan.inventory, target, request, log, is_stopped=is_stopped)
    messages = (*report.messages, *describe_upkeep(released, dropped, again))
    if dropped:
        # The rows that stay have other numbers now.
        memory = load_memory(location)
        memory = replace(memory, rows=len(plan.inventory.rows) - dropped) if memory is not None else None
        plan, _ = _decide(target, request, observe(target, memory), memory)
    listener.planned(plan)
    report = _act(target, request, log, replace(report, plan=plan, messages=messages), listener)
    return _compact_if_due(target, request, log, _add_released(report, released))


def _compact_if_due(target: Target, request: RunRequest, log: AuditLog, report: RunReport) -> RunReport:
    """Drop retired rows when they are many and the generator can be told; else they stay, and harm nobody."""
    assert report.plan is not None
    generator = generator_of(target.settings.writer)
    due = is_compaction_due(report.plan) and (generator.can_stop or generator.reload)
    if target.settings.writer.mode == "stopped" or not due:
        return report
    compacted = compact_cache(target, request, log)
    messages = (*report.messages, *describe_upkeep(compacted.released, compacted.rows, 0))
    return _add_released(replace(report, messages=messages), compacted.released)


def _add_released(report: RunReport, released: Released) -> RunReport:
    """What went of earlier retirements counts as freed, but for the trash not as evicted once more."""
    if report.outcome is None or not released.files + released.failed:
        return report
    counts = replace(
        report.outcome,
        bytes_freed=report.outcome.bytes_freed + released.bytes,
        failed=report.outcome.failed + released.failed,
    )
    result = RunResult.SUCCESS if report.result == RunResult.NOOP and released.files else report.result
    return replace(report, outcome=counts, result=RunResult.PARTIAL if released.failed else result)


def _in_words(error: MaintenanceError | OSError, location: CacheLocation) -> MaintenanceError:
    if isinstance(error, MaintenanceError):
        return error
    return MaintenanceError(
        f"{error.filename or location.path}: {error.strerror or error}; mend that and run again: it goes on from there"
    )


def _decide(
    target: Target, request: RunRequest, inventory: Inventory, memory: Memory | None
) -> tuple[Plan, tuple[Refusal, ...]]:
    plan = plan_evictions(inventory, target.settings.policy, request.now, enforce_limits=request.limits)
    sentinels = check_sentinels(inventory, memory, request.now, request.accepted)
    return plan, (*sentinels, *plan.refusals, *refuse_what_trash_cannot_hold(plan, target.settings.policy.trash))


def _act(target: Target, request: RunRequest, log: AuditLog, report: RunReport, listener: Listener) -> RunReport:
    """Carry out the plan of a report, announced in the audit log before."""
    plan, location = report.plan, target.settings.location
    assert plan is not None
    is_live = target.settings.writer.mode == "live"
    if _retires(target, plan):
        check_rows(plan.inventory, plan.rows.subject)
        report = replace(report, messages=(*report.messages, describe_waiting(target.settings.writer)))
    elif len(plan.rows):
        check_alignment(plan.inventory)
    # Also when nothing goes: what is too old leaves the trash all the same.
    make_room_in_trash(target, planned_bytes(plan), plan.now, log)
    memory, counts, dropped = remember(plan, load_memory(location)), OutcomeCounts(), 0
    if len(plan.rows) + len(plan.strays):
        record_plan(log, plan, retires=is_live)
        # A run that is killed has changed the index too: the next one must not take that for a loss.
        save_memory(location, memory)
        counts, dropped = _carry_out(plan, _outcomes(target, request, plan), log, listener)
    save_memory(location, replace(memory, rows=len(plan.inventory.rows) - (0 if is_live else dropped)))
    return replace(report, outcome=counts, result=_result(plan, counts))


def _retires(target: Target, plan: Plan) -> bool:
    """Whether the generator may be running, so that no row can be dropped."""
    return target.settings.writer.mode == "live" and len(plan.rows) > 0


def _outcomes(target: Target, request: RunRequest, plan: Plan) -> Iterator[Outcome]:
    """Carry the plan out: all at once, or, under a generator that may be running, files without rows and retirement."""
    execution = Execution(request.run, to_trash=target.settings.policy.trash.keep > 0)
    if not _retires(target, plan):
        yield from execute_plan(plan, execution)
        return
    if len(plan.strays):
        # Under a name of their own: the items get their place in the trash when they are released.
        strays = replace(plan, rows=plan.rows.none())
        yield from execute_plan(strays, replace(execution, run=f"{request.run}-files"))
    items = replace(plan, strays=plan.strays.none())
    yield from retire_items(items, execution, partial(last_start, generator_of(target.settings.writer)))


def _carry_out(plan: Plan, outcomes: Iterable[Outcome], log: AuditLog, listener: Listener) -> tuple[OutcomeCounts, int]:
    """Record what becomes of a plan; the outcomes in numbers, and how many of its rows went."""
    kinds: Counter[OutcomeKind] = Counter()
    freed = dropped = pending = pending_bytes = 0
    total = len(plan.rows) + len(plan.strays)
    for done, outcome in enumerate(outcomes, start=1):
        record_outcome(log, outcome)
        kinds[outcome.kind] += 1
        freed += outcome.bytes_freed
        dropped += outcome.row is not None and outcome.kind in _ROW_GOES
        pending += outcome.pending_bytes is not None
        pending_bytes += outcome.pending_bytes or 0
        listener.progress("evicting", done, total)
    counts = {kind.value: count for kind, count in kinds.items()}
    return OutcomeCounts(**counts, bytes_freed=freed, pending_items=pending, pending_bytes=pending_bytes), dropped


def _result(plan: Plan, counts: OutcomeCounts) -> RunResult:
    if counts.failed or counts.changed or plan.capped:
        return RunResult.PARTIAL
    return RunResult.SUCCESS if counts.evicted or counts.gone else RunResult.NOOP


def _report(target: Target, request: RunRequest, mode: str) -> RunReport:
    return RunReport(target.settings.location.name, mode, request.run, RunResult.FAILED)
