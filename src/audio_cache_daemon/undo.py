"""The trash from a person's side: items brought back, or removed for good; under the lock, and audited."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from audio_cache_daemon.cache.vectors import check_alignment, check_rows
from audio_cache_daemon.columns import iter_rows
from audio_cache_daemon.errors import ConfigError, DeferredError, MaintenanceError
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.lock import cache_lock
from audio_cache_daemon.eviction.memory import save_audit_head, save_memory
from audio_cache_daemon.eviction.recovery import recover
from audio_cache_daemon.eviction.restore import Restored, restore_items
from audio_cache_daemon.eviction.saved import SavedRun, TrashedItem, choose_items, read_run
from audio_cache_daemon.eviction.trash import TrashedRun, empty_run
from audio_cache_daemon.formats import creation_times, decode_row
from audio_cache_daemon.held import hold_rows, unpack_held
from audio_cache_daemon.ids import row_key
from audio_cache_daemon.index_times import last_index_change
from audio_cache_daemon.location import BGE_TEXT_NAME
from audio_cache_daemon.model import Bools, Floats, Inventory, Memory
from audio_cache_daemon.planning import observe
from audio_cache_daemon.reporting.audit import AuditContext, AuditLog
from audio_cache_daemon.reporting.audit_record import AuditItem
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.state import load_memory


def restore_from_trash(
    target: Target, request: RunRequest, run: str, wanted: Collection[str], clock: Callable[[], float]
) -> Restored:
    """Bring items of a run back, all or those of the ids, paths or file names in `wanted`.

    For as long as the trash would have kept them, no policy takes them again. MaintenanceError when the index can't
    take them.
    """
    location = target.settings.location
    with locked_log(target, request, clock) as log:
        memory = load_memory(location)
        inventory = observe(target, memory)
        is_live = target.settings.writer.mode == "live"
        if is_live:
            _check_at_rest(target, inventory, request.now)
        else:
            check_alignment(inventory)
        saved = read_run(location, run)
        chosen = choose_items(saved, wanted)
        if not chosen.any():
            raise ConfigError(f"run {run} has no such items in the trash of {location.path}")
        keys, created = _announce(log, saved, chosen)
        restored = restore_items(inventory, saved, chosen, Execution(request.run, to_trash=False), is_live=is_live)
        for item, problem in restored.problems:
            log.append("failed", item=_as_audit_item(item), error=problem)
        memory = replace(memory or Memory(0.0, 0, {}, {}), rows=len(inventory.rows) + restored.added)
        # Its columns take more than all that follows.
        del inventory
        until = request.now + target.settings.policy.trash.keep
        back = restored.back & (saved.line >= 0)
        held = hold_rows(keys[back], until, created[back], unpack_held(memory.held))
        save_memory(location, replace(memory, held=held.tobytes()))
    return restored


def _announce(log: AuditLog, saved: SavedRun, chosen: Bools) -> tuple[NDArray[np.uint64], Floats]:
    """Say which items come back; the keys and timestamps of the rows that they have, in the places of all items."""
    keys, created = np.zeros(len(chosen), np.uint64), np.full(len(chosen), np.nan)
    for (place,), item in zip(iter_rows(np.flatnonzero(chosen)), saved.items(chosen), strict=True):
        log.append("restored", item=_as_audit_item(item), detail={"from": saved.run})
        row, _ = decode_row(item.line) if item.line else (None, [])
        if row is not None:
            keys[place], created[place] = row_key(item.line, 0), creation_times([row])[0]
        log.flush_if_long()
    log.flush()
    return keys, created


def _check_at_rest(target: Target, inventory: Inventory, now: float) -> None:
    """An addition in flight would save zeros over vectors that are brought back; the last array may be short for long.

    InconsistentIndexError or DeferredError when there is one, or may be.
    """
    check_rows(inventory, np.empty(0, np.int64))
    bge, changed = inventory.index.arrays.get(BGE_TEXT_NAME), last_index_change(inventory.location.path)
    is_short = bge is not None and bge.rows < len(inventory.rows)
    if is_short and changed is not None and now - changed < target.settings.writer.quiesce:
        raise DeferredError(f"{inventory.location.path}: the generator may be adding an item just now; try again")


def empty_trash(
    target: Target, request: RunRequest, runs: Sequence[TrashedRun], clock: Callable[[], float]
) -> list[str]:
    """Remove runs from the trash for good; in words, what had to stay."""
    left: list[str] = []
    with locked_log(target, request, clock) as log:
        for run in runs:
            log.append("trash_emptied", detail={"run": run.run, "items": run.items, "bytes": run.bytes})
            log.flush()
            left += empty_run(target.settings.location, run.run)
    return left


@contextmanager
def locked_log(target: Target, request: RunRequest, clock: Callable[[], float]) -> Iterator[AuditLog]:
    """The audit log of a cache, its lock held, and what an interrupted run left put right."""
    location = target.settings.location
    with cache_lock(location, request.wait):
        context = AuditContext(request.run, location.name, request.trigger, request.actor, None, target.config or None)
        with AuditLog.open(target.audit_path, prompts=target.prompts, clock=clock).bound(context) as log:
            recover(location)
            try:
                yield log
            except MaintenanceError as error:
                log.append("failed", error=str(error))
                raise
            finally:
                log.flush()
                save_audit_head(location, log.head.seq, log.head.hash)


def _as_audit_item(item: TrashedItem) -> AuditItem:
    row, _ = decode_row(item.line) if item.line else (None, [])
    prompt = row.prompt if row is not None else None
    return AuditItem(id=item.entry.id, path=item.path, prompt=prompt, bytes=item.entry.size)
