"""Room on the disk: what a rewrite needs, and a reserve, so that a full disk can still be made less full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from audio_cache_daemon.errors import DeferredError
from audio_cache_daemon.eviction.directories import create_file
from audio_cache_daemon.model import Bools, Inventory
from audio_cache_daemon.units import format_size

RESERVE_BYTES = 2 * 2**20
"""Audit records and a manifest of a run of a few thousand items."""

_RESERVE_NAME = "reserve"


def check_room(inventory: Inventory, kept: Bools) -> None:
    """DeferredError when the index without the other rows doesn't fit beside the old one."""
    needed = int(np.diff(inventory.rows.offset)[kept].sum()) + int(kept.sum()) * inventory.index.vector_bytes
    free = free_bytes(inventory.location.path)
    if needed > free:
        raise DeferredError(
            f"{inventory.location.path}: dropping rows needs {needed} bytes ({format_size(needed)}) beside the old "
            f"index, and {format_size(free)} are free; the rows stay until there is room"
        )


def has_room(inventory: Inventory, kept: Bools) -> bool:
    """Whether the index without the other rows fits beside the old one."""
    try:
        check_room(inventory, kept)
    except DeferredError:
        return False
    return True


def free_bytes(path: Path) -> int:
    """Bytes that an ordinary user can still write where `path` is."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize


@contextmanager
def space_in_reserve(*directories: Path) -> Iterator[None]:
    """Give back what was kept in reserve in directories of ours whose disk is nearly full; keep some again afterwards.

    Else a full disk could not even take the audit record of what is about to make room.
    """
    for directory in directories:
        with suppress(OSError):
            if free_bytes(directory) < RESERVE_BYTES:
                (directory / _RESERVE_NAME).unlink(missing_ok=True)
    yield
    for device_directory in {path.stat().st_dev: path for path in directories if path.is_dir()}.values():
        # That there is no room to keep is no fault of a run.
        with suppress(OSError):
            _keep_reserve(device_directory)


def _keep_reserve(directory: Path) -> None:
    if (directory / _RESERVE_NAME).exists() or free_bytes(directory) < 10 * RESERVE_BYTES:
        return
    with create_file(directory / _RESERVE_NAME) as file:
        os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
