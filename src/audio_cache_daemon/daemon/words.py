"""A run of the daemon in one line, in words and in numbers."""

from __future__ import annotations

from audio_cache_daemon.daemon.notes import Standing
from audio_cache_daemon.model import RunReport, RunResult
from audio_cache_daemon.retention.limits import planned_bytes
from audio_cache_daemon.units import format_size

AGAIN_AND_AGAIN = 3
"""Looks that found files gone, from which it is no accident."""


def describe_vanished(now: int, standing: Standing) -> str:
    """That files went without us: so many now, and so many in all."""
    words = f"{now:,} files of items vanished, and it wasn't this service"
    if standing.vanishings < AGAIN_AND_AGAIN:
        return words
    return f"{words}; {standing.vanished:,} in {standing.vanishings} looks: is another cleaner at work on these files?"


def describe_run(report: RunReport) -> str:
    """What a run did, or why it did nothing."""
    parts = [_describe_end(report), *report.messages]
    if report.plan is not None and report.outcome is not None and report.plan.capped:
        parts.append(f"cut short by {' and '.join(report.plan.capped)}; the next run goes on")
    return "; ".join(parts)


def _describe_end(report: RunReport) -> str:
    if report.error is not None:
        return f"{report.result.value}: {report.error}"
    if report.outcome is None:
        if report.plan is None:
            return report.result.value
        count = len(report.plan.rows) + len(report.plan.strays)
        return f"would evict {count:,} items and files, {format_size(planned_bytes(report.plan))} (mode: audit)"
    counts = report.outcome
    if report.result == RunResult.NOOP:
        return "nothing to remove"
    text = f"evicted {counts.evicted:,} items and files, {format_size(counts.bytes_freed)} freed"
    if counts.pending_items:
        text += f", {counts.pending_items:,} files ({format_size(counts.pending_bytes)}) still to go"
    exceptions = ((counts.gone, "already gone"), (counts.changed, "changed meanwhile"), (counts.failed, "failed"))
    return text + "".join(f", {number:,} {what}" for number, what in exceptions if number)


def run_numbers(report: RunReport) -> dict[str, object]:
    """The numbers of a run, for a log that is read by programs."""
    numbers: dict[str, object] = {"result": report.result.value, "seconds": round(report.duration_seconds, 3)}
    if report.plan is not None:
        numbers["items"] = int(report.plan.inventory.rows.items().sum())
        numbers["planned"] = len(report.plan.rows) + len(report.plan.strays)
    if report.outcome is not None:
        counts = report.outcome
        numbers |= {"evicted": counts.evicted, "gone": counts.gone, "changed": counts.changed}
        numbers |= {"failed": counts.failed, "bytes_freed": counts.bytes_freed, "pending": counts.pending_items}
    return numbers
