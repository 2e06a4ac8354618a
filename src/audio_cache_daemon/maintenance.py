"""The four steps, in order: observe, decide, act, report. A preview is the same plan, not executed."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec.structs import replace

from audio_cache_daemon.cache.listing import Listing
from audio_cache_daemon.cache.scan import open_index
from audio_cache_daemon.cache.vectors import index_fault
from audio_cache_daemon.enforcement import add_released, compact_if_due, enforce, tidy
from audio_cache_daemon.errors import (
    CacheLockedError,
    DeferredError,
    MaintenanceError,
    StoppedError,
    UnsafePlanError,
    about,
)
from audio_cache_daemon.eviction.generator import start_again
from audio_cache_daemon.eviction.lock import cache_lock
from audio_cache_daemon.eviction.memory import remember, save_audit_head, save_likenesses, save_memory, save_readings
from audio_cache_daemon.eviction.recovery import interrupted_run, recover
from audio_cache_daemon.eviction.space import space_in_reserve
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import (
    Plan,
    Refusal,
    RunReport,
    RunResult,
)
from audio_cache_daemon.planning import decide, observe, retires
from audio_cache_daemon.readings import Readings, load_readings
from audio_cache_daemon.reporting.audit import AuditContext, AuditLog
from audio_cache_daemon.reporting.run_audit import (
    record_end,
    record_recovery,
    record_start,
)
from audio_cache_daemon.request import SILENT, Listener, RunRequest, Target
from audio_cache_daemon.retention.settled import settle
from audio_cache_daemon.state import load_memory
from audio_cache_daemon.upkeep import (
    describe_waiting,
    generator_of,
    start_before_look,
)


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
        plan, refusals = decide(target, request, inventory, memory)
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
        if retires(target, plan):
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
        with cache_lock(location, request.wait), space_in_reserve(location.state_directory, target.audit_path.parent):
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
        report = replace(report, messages=_recovered(target, log))
        listener.progress("scanning", 0, None)
        started = start_before_look(target)
        report = _planned(target, request, report)
        if report.refusals or policy.mode == "audit":
            return _only_told(target, report, listener)
        if listener.should_stop():
            raise StoppedError(f"{location.path}: told to stop, the run ended before it changed anything")
        tidied = tidy(target, request, log, report, started)
        report = replace(report, messages=(*report.messages, *tidied.messages))
        if tidied.dropped:
            # The rows that stay have other numbers now. A million rows are 100 MB with their plan: not both at once.
            report = replace(report, plan=None)
            report = replace(report, plan=_planned(tidied.target, request, report).plan)
        report = add_released(enforce(tidied.target, request, log, report, listener), tidied.released)
        return report if listener.should_stop() else compact_if_due(tidied.target, request, log, report)
    except DeferredError as error:
        return replace(report, result=RunResult.DEFERRED, error=error)
    except (MaintenanceError, OSError) as error:
        return replace(report, result=RunResult.FAILED, error=_in_words(error, location))


def _recovered(target: Target, log: AuditLog) -> tuple[str, ...]:
    """Put right what a run that was interrupted left, and say so."""
    try:
        recovery = recover(target.settings.location)
    finally:
        start_again(target.settings.location, generator_of(target.settings.writer))
    if recovery is None:
        return ()
    record_recovery(log, recovery.message, recovery.kept)
    return (recovery.message,)


def _planned(target: Target, request: RunRequest, report: RunReport) -> RunReport:
    """The report with what the policy decides about the cache as it is now."""
    location = target.settings.location
    memory, readings = load_memory(location), load_readings(location)
    inventory = observe(target, memory, readings=readings, decode_for=request.decode_for)
    save_readings(location, readings)
    plan, refusals = decide(target, request, inventory, memory)
    _remember_likenesses(target, request, plan, readings)
    return replace(report, plan=plan, refusals=refusals, messages=(*report.messages, *plan.notes))


def _only_told(target: Target, report: RunReport, listener: Listener) -> RunReport:
    """The report of a plan that isn't carried out: it is refused, or its policy only watches."""
    location, plan = target.settings.location, report.plan
    assert plan is not None
    listener.planned(plan)
    if report.refusals:
        message = "; ".join(refusal.message for refusal in report.refusals)
        return replace(report, result=RunResult.REFUSED, error=UnsafePlanError(f"{location.path}: {message}"))
    save_memory(location, remember(plan, load_memory(location), dropped=0))
    return replace(report, result=RunResult.SUCCESS)


def _in_words(error: MaintenanceError | OSError, location: CacheLocation) -> MaintenanceError:
    if isinstance(error, MaintenanceError):
        return error
    return MaintenanceError(
        f"{about(error, location.path)}: {error.strerror or error}; mend that and run again: it goes on from there"
    )


def _remember_likenesses(target: Target, request: RunRequest, plan: Plan, readings: Readings) -> None:
    """Keep what the plan found of sounds; of one that was reviewed only a part is left."""
    sounds = plan.inventory.rows.sounds
    settled = settle(plan, target.settings.policy) if not request.reviewed else None
    if settled is not None and sounds is not None:
        save_likenesses(target.settings.location, sounds, settled, readings.likenesses)


def _report(target: Target, request: RunRequest, mode: str) -> RunReport:
    return RunReport(target.settings.location.name, mode, request.run, RunResult.FAILED)
