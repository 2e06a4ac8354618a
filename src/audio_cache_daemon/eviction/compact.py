"""Retired rows dropped from the index: one rewrite of all of its files."""

from __future__ import annotations

import os

import numpy as np

from audio_cache_daemon.errors import DeferredError
from audio_cache_daemon.eviction.directories import create_file, make_state_directory
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.rewrite import REWRITE, exchange_index, finish_rewrite, prepare_rewrite
from audio_cache_daemon.manifest import MANIFEST_NAME
from audio_cache_daemon.model import Bools, Inventory, ItemState
from audio_cache_daemon.units import format_size


def compact_retired(inventory: Inventory, execution: Execution) -> None:
    """Drop the retired rows. DeferredError when the new files don't fit beside the old; nothing was changed then."""
    location = inventory.location
    kept = inventory.rows.state != ItemState.RETIRED
    needed, free = _needed_bytes(inventory, kept), _free_bytes(inventory)
    if needed > free:
        raise DeferredError(
            f"{location.path}: dropping the retired rows needs {needed} bytes ({format_size(needed)}) beside the old "
            f"index, and {format_size(free)} are free; they stay until there is room"
        )
    finish_rewrite(location)
    # Recovery reads a manifest of files that go with a rewrite; with this one none does.
    create_file(make_state_directory(location.path, REWRITE, "saved") / MANIFEST_NAME).close()
    exchange_index(location, prepare_rewrite(inventory, kept, execution))
    finish_rewrite(location)


def _needed_bytes(inventory: Inventory, kept: Bools) -> int:
    lines = int(np.diff(inventory.rows.offset)[kept].sum())
    return lines + int(kept.sum()) * inventory.index.vector_bytes


def _free_bytes(inventory: Inventory) -> int:
    disk = os.statvfs(inventory.location.path)
    return disk.f_bavail * disk.f_frsize
