"""A run in the audit log: what it is about to remove, before it does, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from audio_cache_daemon.model import Outcome, OutcomeKind, Plan, RunReport
from audio_cache_daemon.reporting.audit import AuditLog
from audio_cache_daemon.reporting.audit_record import AuditItem
from audio_cache_daemon.reporting.evictions import iter_evictions
from audio_cache_daemon.reporting.run_summary import summarize_plan

_EVENTS = {OutcomeKind.CHANGED: "skipped", OutcomeKind.GONE: "skipped", OutcomeKind.FAILED: "failed"}


def record_start(log: AuditLog, detail: Mapping[str, object]) -> None:
    """Say that a run begins, and what it was told beyond its policy; AuditError if it can't be said."""
    log.append("run_started", detail=detail)
    log.flush()


def record_recovery(log: AuditLog, message: str, kept: Iterable[Outcome]) -> None:
    """Say how an interrupted run was put right, and which of the removals that it announced didn't happen."""
    log.append("recovered", detail={"message": message})
    for outcome in kept:
        record_outcome(log, outcome)
    log.flush()


def record_plan(log: AuditLog, plan: Plan, *, retires: bool = False) -> None:
    """Announce each removal, of rows perhaps as a retirement; when this returns, the disk has it.

    AuditError: nothing may be removed.
    """
    log.append("plan", detail=summarize_plan(plan))
    for eviction in iter_evictions(plan):
        event = "retired" if retires and eviction.item.row is not None else "removed"
        log.append(event, rule=eviction.rule, reason=eviction.reason, item=eviction.item)
        log.flush_if_long()
    log.flush()


def record_outcome(log: AuditLog, outcome: Outcome) -> None:
    """Say what became of an announced removal, unless it is what was announced."""
    if outcome.kind != OutcomeKind.EVICTED:
        item = AuditItem(id=outcome.id, row=outcome.row)
        log.append(_EVENTS[outcome.kind], item=item, error=outcome.error or outcome.kind.value)


def record_end(log: AuditLog, report: RunReport) -> None:
    """Say how the run ended."""
    for refusal in report.refusals:
        log.append("refused", error=refusal.message, detail={"limit": refusal.limit})
    detail: dict[str, object] = {"result": report.result.value}
    if report.outcome is not None:
        counts = report.outcome
        detail |= {"evicted": counts.evicted, "gone": counts.gone, "changed": counts.changed, "failed": counts.failed}
        detail |= {"bytes_freed": counts.bytes_freed, "pending": counts.pending_items}
    log.append("run_finished", error=str(report.error) if report.error is not None else None, detail=detail)
    log.flush()
