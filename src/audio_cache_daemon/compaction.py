"""Retired rows dropped from the index of a cache whose generator may be running: while it is stopped, or reloaded."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.cache.scan import Surroundings, scan_cache
from audio_cache_daemon.errors import ConfigError, DeferredError
from audio_cache_daemon.eviction.generator import generator_reloaded, generator_stopped
from audio_cache_daemon.index_times import last_index_change
from audio_cache_daemon.model import Inventory, ScanNeeds
from audio_cache_daemon.reporting.audit import AuditLog
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.state import load_memory
from audio_cache_daemon.units import format_duration
from audio_cache_daemon.upkeep import (
    Dropped,
    Released,
    compact,
    describe_zeroed,
    generator_of,
    release_pending,
    release_rule,
)


class Compacted(msgspec.Struct, frozen=True):
    """What retired rows were dropped, and what files could go with that."""

    dropped: Dropped
    released: Released

    def warnings(self) -> Iterator[str]:
        """What is to be known beside the numbers."""
        if self.dropped.zeroed:
            yield describe_zeroed(self.dropped.zeroed)


def compact_cache(target: Target, request: RunRequest, log: AuditLog) -> Compacted:
    """Drop the retired rows of a cache, under its lock.

    ConfigError when the generator may be running and can neither be stopped nor reloaded; DeferredError when it is
    adding items just now, or there is no room.
    """
    writer = target.settings.writer
    generator = generator_of(writer)
    if writer.mode == "stopped":
        return _compact_stopped(target, request, log)
    if not generator.can_stop and not generator.reload:
        raise ConfigError(
            f"{target.settings.location.path}: dropping rows under a running generator would make it serve wrong "
            "sounds; stop it and say --writer-stopped, or configure writer.stop and writer.start, or writer.reload"
        )
    _wait_for_quiet(target, request.now)
    if generator.can_stop:
        with generator_stopped(target.settings.location, generator):
            return _compact_stopped(target, request, log)
    with generator_reloaded(target.settings.location, generator):
        return Compacted(compact(_observe(target, files=False), target, request, log), Released())


def _compact_stopped(target: Target, request: RunRequest, log: AuditLog) -> Compacted:
    inventory = _observe(target, files=True)
    dropped = compact(inventory, target, request, log)
    rule = release_rule(inventory, target.settings.writer, request.now, is_stopped=True)
    return Compacted(dropped, release_pending(inventory, target, request, log, rule))


def _observe(target: Target, *, files: bool) -> Inventory:
    """What a rewrite needs; the `files` are only looked for where those of retired items can go with it."""
    location = target.settings.location
    around = Surroundings(target.neighbours, load_memory(location))
    return for_rewrite(scan_cache(location, ScanNeeds(files=files), around))


def for_rewrite(inventory: Inventory) -> Inventory:
    """The inventory with what a rewrite needs of the rows: where they are, their states and scores.

    The rest, of a million rows 60 MB, goes before gigabytes are copied.
    """
    rows, count = inventory.rows, len(inventory.rows)
    unknown, nothing, none = (np.broadcast_to(value, count) for value in (np.nan, np.int64(0), np.int32(-1)))
    lean = replace(
        rows, timestamp=unknown, duration=unknown, prompt=none, file=none, size=nothing, inode=nothing, mtime_ns=nothing
    )
    return replace(inventory, rows=lean)


def _wait_for_quiet(target: Target, now: float) -> None:
    changed, quiesce = last_index_change(target.settings.location.path), target.settings.writer.quiesce
    # An addition after the run began is as recent as can be, and where no quiet is asked for that is enough.
    if changed is not None and max(0.0, now - changed) < quiesce:
        raise DeferredError(
            f"{target.settings.location.path}: the generator added an item {format_duration(max(0.0, now - changed))} "
            f"ago; dropping rows waits for {format_duration(quiesce)} of quiet"
        )
