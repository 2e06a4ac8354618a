"""Exit status: what a script can tell from a command without reading what it says."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import TYPE_CHECKING

from audio_cache_daemon.errors import (
    CacheLockedError,
    ConfigError,
    DeferredError,
    InconsistentIndexError,
    MaintenanceError,
    UnsafePlanError,
)

if TYPE_CHECKING:  # the model imports numpy, which `--help` has no use for
    from audio_cache_daemon.model import RunReport


class ExitStatus(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    PARTLY = 4
    LOCKED = 5
    INCONSISTENT = 6
    CHANGES_PENDING = 10
    CONFIGURATION = 78
    """Of the service alone (EX_CONFIG), so that a service manager doesn't start it again and again."""
    INTERRUPTED = 130


_OF_ERRORS: tuple[tuple[type[MaintenanceError], ExitStatus], ...] = (
    (ConfigError, ExitStatus.USAGE),
    (UnsafePlanError, ExitStatus.REFUSED),
    (CacheLockedError, ExitStatus.LOCKED),
    (InconsistentIndexError, ExitStatus.INCONSISTENT),
    (DeferredError, ExitStatus.PARTLY),
)
_OF_RESULTS = {"partial": ExitStatus.PARTLY, "deferred": ExitStatus.PARTLY}


def status_of(error: MaintenanceError) -> ExitStatus:
    """The status of a command that ended with this error."""
    return next((status for kind, status in _OF_ERRORS if isinstance(error, kind)), ExitStatus.FAILED)


def worst_status(reports: Iterable[RunReport]) -> ExitStatus:
    """The status of a command that ran over several caches."""
    return max((_status_of_run(report) for report in reports), default=ExitStatus.DONE)


def _status_of_run(report: RunReport) -> ExitStatus:
    if report.error is not None:
        return status_of(report.error)
    return _OF_RESULTS.get(report.result.value, ExitStatus.DONE)
