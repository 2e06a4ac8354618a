"""What a run remembers of a cache for the next one."""

from __future__ import annotations

import os
from contextlib import suppress

import msgspec
import numpy as np

from audio_cache_daemon.digests import Digests, digests_path
from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.directories import make_state_directory, write_durably
from audio_cache_daemon.formats import read_ids
from audio_cache_daemon.location import META_NAME, CacheLocation
from audio_cache_daemon.model import Memory, Plan
from audio_cache_daemon.state import AUDIT_HEAD_NAME, encode_memory, memory_path


def remember(plan: Plan, previous: Memory | None) -> Memory:
    """The memory of a run that carries out this plan; to be called while the index is as it was scanned.

    It holds all missing files, those of rows that go too: should one stay, it is still known since when.
    """
    inventory = plan.inventory
    subset = np.flatnonzero(inventory.rows.missing())
    descriptor = os.open(inventory.location.path / META_NAME, os.O_RDONLY | os.O_CLOEXEC)
    try:
        ids = read_ids(descriptor, inventory.rows.offset, subset)
    finally:
        os.close(descriptor)
    since = np.where(np.isnan(inventory.rows.missing_since), plan.now, inventory.rows.missing_since)[subset]
    roots = {
        str(root.path): (root.device, root.inode)
        for root in inventory.roots
        if root.device is not None and root.inode is not None
    }
    rows = len(inventory.rows) - len(plan.rows)
    held = previous.restored.items() if previous is not None else ()
    restored = {row: (until, timestamp) for row, (until, timestamp) in held if until > plan.now}
    return Memory(plan.now, rows, roots, dict(zip(ids, since.tolist(), strict=True)), restored)


def save_memory(location: CacheLocation, memory: Memory) -> None:
    """Keep the memory for the next run; MaintenanceError when it can't be written."""
    make_state_directory(location.path)
    path = memory_path(location)
    try:
        write_durably(path, encode_memory(memory))
    except OSError as error:
        raise MaintenanceError(f"{path} can't be written: {error.strerror}; the next run will know less") from None


def save_digests(location: CacheLocation, digests: Digests) -> None:
    """Keep the digests for the next run, if there is anything new; where that can't be it reads the files again."""
    if digests.is_changed:
        make_state_directory(location.path)
        with suppress(OSError):
            write_durably(digests_path(location), digests.encode())


def save_audit_head(location: CacheLocation, seq: int, last_hash: str) -> None:
    """Publish where the audit log ends, beside it but apart, so that a cut tail is found."""
    content = msgspec.json.encode({"seq": seq, "hash": last_hash})
    try:
        write_durably(location.state_directory / AUDIT_HEAD_NAME, content)
    except OSError as error:
        raise MaintenanceError(f"{location.state_directory} can't be written: {error.strerror}") from None
