"""Builders of audit logs with a clock of their own and a few records."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

from audio_cache_daemon.reporting.audit import AuditContext, AuditLog, Prompts
from audio_cache_daemon.reporting.audit_reader import ChainFault, read_records
from audio_cache_daemon.reporting.audit_record import AuditItem, AuditReason, Record, log_files

START = 1_700_000_000.25
CONTEXT = AuditContext("run-1", "exhibit", "schedule", "daemon", "enforce", "c0ffee")
ITEM = AuditItem("ab12", 7, "/audio/soft_rain_1700000000000.mp3", "soft rain", 1.7e9, 0.4, 576_000)
REASON = AuditReason("max_age", 2_600_000.0, 2_592_000.0)


def ticking_clock() -> Callable[[], float]:
    """A clock that is a second later each time it is read."""
    seconds = itertools.count()
    return lambda: START + next(seconds)


def open_log(path: Path, *, prompts: Prompts = "full", max_bytes: int = 2**20) -> AuditLog:
    return AuditLog.open(path, prompts=prompts, clock=ticking_clock(), max_bytes=max_bytes)


def write_log(path: Path, count: int) -> None:
    """Append `count` records, event `retired`, rows 0 and up, to the log at `path`."""
    with open_log(path) as log:
        for row in range(count):
            log.append("retired", rule="stale", reason=REASON, item=AuditItem(row=row))
        log.flush()


def records_of(path: Path) -> list[Record]:
    """All records of a log; anything else in it fails the test."""
    found = list(read_records(log_files(path)))
    records = [record for record in found if isinstance(record, Record)]
    assert records == found
    return records


def kinds(faults: list[ChainFault]) -> list[tuple[int, str]]:
    """Where the faults are and what they are."""
    return [(fault.line, fault.kind) for fault in faults]
