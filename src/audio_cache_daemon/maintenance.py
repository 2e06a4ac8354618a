"""The four steps, in order: observe, decide, act, report. A preview is the same plan, not executed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from audio_cache_daemon.cache.listing import Listing
from audio_cache_daemon.cache.scan import Surroundings, open_index, scan_cache
from audio_cache_daemon.cache.vectors import check_alignment, index_fault
from audio_cache_daemon.errors import (
    CacheLockedError,
    MaintenanceError,
    UnsafePlanError,
)
from audio_cache_daemon.eviction.execute import execute_plan
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.lock import cache_lock
from audio_cache_daemon.eviction.memory import remember, save_audit_head, save_memory
from audio_cache_daemon.eviction.recovery import interrupted_run, recover
from audio_cache_daemon.eviction.trash import empty_run, expired_runs
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import Inventory, Memory, OutcomeCounts, OutcomeKind, Plan, Refusal, RunReport, RunResult
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

_STOP_THE_GENERATOR = (
    "items stay while the generator may be running: dropping rows under it would make it serve wrong sounds; stop it "
    "and set writer.mode: stopped, or say --writer-stopped"
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
        messages = (f"run {interrupted} was interrupted; the next run puts that right first",) if interrupted else ()
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
        recovery = recover(location)
        if recovery is not None:
            record_recovery(log, recovery.message, recovery.kept)
        listener.progress("scanning", 0, None)
        memory = load_memory(location)
        plan, refusals = _decide(target, request, observe(target, memory), memory)
        listener.planned(plan)
        messages = (recovery.message, *plan.notes) if recovery is not None else plan.notes
        report = replace(report, plan=plan, refusals=refusals, messages=messages)
        if refusals:
            message = "; ".join(refusal.message for refusal in refusals)
            return replace(report, result=RunResult.REFUSED, error=UnsafePlanError(f"{location.path}: {message}"))
        if policy.mode == "audit":
            save_memory(location, replace(remember(plan, memory), rows=len(plan.inventory.rows)))
            return replace(report, result=RunResult.SUCCESS)
        return _act(target, request, log, report, listener)
    except (MaintenanceError, OSError) as error:
        return replace(report, result=RunResult.FAILED, error=_in_words(error, location))


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
    deferred = len(plan.rows) > 0 and target.settings.writer.mode == "live"
    if deferred:
        report = replace(report, messages=(*report.messages, _STOP_THE_GENERATOR))
        plan = replace(plan, rows=plan.rows.none())
    if len(plan.rows):
        check_alignment(plan.inventory)
    # Also when nothing goes: what is too old leaves the trash all the same.
    _make_room_in_trash(target, plan, log)
    memory, counts, dropped = remember(plan, load_memory(location)), OutcomeCounts(), 0
    if len(plan.rows) + len(plan.strays):
        record_plan(log, plan)
        # A run that is killed has changed the index too: the next one must not take that for a loss.
        save_memory(location, memory)
        execution = Execution(request.run, to_trash=target.settings.policy.trash.keep > 0)
        counts, dropped = _carry_out(plan, execution, log, listener)
    save_memory(location, replace(memory, rows=len(plan.inventory.rows) - dropped))
    return replace(report, outcome=counts, result=_result(plan, counts, deferred=deferred))


def _make_room_in_trash(target: Target, plan: Plan, log: AuditLog) -> None:
    """Empty what is too old, and the oldest of what would be too much with this plan's files."""
    location, trash = target.settings.location, target.settings.policy.trash
    room = trash.max_size - planned_bytes(plan) if trash.max_size is not None else None
    for run in expired_runs(location, trash.keep, room, plan.now):
        log.append("trash_emptied", detail={"run": run.run, "items": run.items, "bytes": run.bytes})
        log.flush()
        empty_run(location, run.run)


def _carry_out(plan: Plan, execution: Execution, log: AuditLog, listener: Listener) -> tuple[OutcomeCounts, int]:
    """Execute a plan; what became of it, and how many rows the index lost."""
    kinds: Counter[OutcomeKind] = Counter()
    freed = dropped = 0
    total = len(plan.rows) + len(plan.strays)
    for done, outcome in enumerate(execute_plan(plan, execution), start=1):
        record_outcome(log, outcome)
        kinds[outcome.kind] += 1
        freed += outcome.bytes_freed
        dropped += outcome.row is not None and outcome.kind in _ROW_GOES
        listener.progress("evicting", done, total)
    return OutcomeCounts(**{kind.value: count for kind, count in kinds.items()}, bytes_freed=freed), dropped


def _result(plan: Plan, counts: OutcomeCounts, *, deferred: bool) -> RunResult:
    if counts.failed or counts.changed or plan.capped:
        return RunResult.PARTIAL
    if deferred:
        return RunResult.DEFERRED
    return RunResult.SUCCESS if counts.evicted or counts.gone else RunResult.NOOP


def _report(target: Target, request: RunRequest, mode: str) -> RunReport:
    return RunReport(target.settings.location.name, mode, request.run, RunResult.FAILED)
