"""What can go wrong, as exceptions that a person can act on: what happened, which file, what to do."""

from __future__ import annotations

import os
from pathlib import Path


class MaintenanceError(Exception):
    """Anything that ends a run or a command with a message instead of a traceback."""


class ConfigError(MaintenanceError):
    """The configuration or the command line asks for something that can't be done."""


class CacheUnreadableError(MaintenanceError):
    """The cache directory or its index can't be read at all."""


class StateUnreadableError(MaintenanceError, ValueError):
    """A file of our own isn't what we wrote, so nothing is done by what it says."""


class CacheLockedError(MaintenanceError):
    """Another maintainer holds the lock of this cache."""


class UnsafePlanError(MaintenanceError):
    """A limit or a sentinel refuses the run: what it found is implausible."""


class InconsistentIndexError(MaintenanceError):
    """Rows and vectors can't be matched, so nothing may be dropped from the index."""


class DeferredError(MaintenanceError):
    """It can't be done now: the generator is adding an item, or there is no room. A later run does it."""


class StoppedError(DeferredError):
    """The run was told to end before it was done; what it had begun is completed by the next."""


class AuditError(MaintenanceError):
    """The audit log can't be written, so nothing may be removed."""


def about(error: OSError, otherwise: Path | str) -> str:
    """Which file an error is about; `otherwise` where it names none, or a descriptor's number, which tells nobody."""
    name = error.filename
    return os.fsdecode(otherwise if name is None or isinstance(name, int) else name)
