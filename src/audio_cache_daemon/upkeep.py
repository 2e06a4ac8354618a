"""What is still to be done for items that were retired: zeros that were undone, files to release, rows to drop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import compress

import msgspec
import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.cache.vectors import check_alignment, check_rows, index_fault
from audio_cache_daemon.columns import distinct
from audio_cache_daemon.config.settings import WriterSettings
from audio_cache_daemon.eviction.compact import compact_retired
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.generator import Generator, last_start
from audio_cache_daemon.eviction.memory import find_last, note_aligned, save_memory
from audio_cache_daemon.eviction.release import open_in_trash, release_files
from audio_cache_daemon.eviction.retire import mark_retired, note_verified, save_what_was_short, zero_rows
from audio_cache_daemon.eviction.space import free_bytes
from audio_cache_daemon.eviction.trash import TrashedRun, empty_run, expired_runs, list_trash
from audio_cache_daemon.findings import counted
from audio_cache_daemon.index_times import last_index_change
from audio_cache_daemon.location import BGE_TEXT_NAME, CLAP_AUDIO_NAME, STATE_DIRECTORY, CacheLocation
from audio_cache_daemon.model import Bools, Inventory, ItemState, OutcomeKind, Plan
from audio_cache_daemon.reporting.audit import AuditLog
from audio_cache_daemon.reporting.audit_record import AuditItem
from audio_cache_daemon.reporting.run_audit import record_outcome
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.retention.budget import mark_bytes, short_roots
from audio_cache_daemon.retention.release import ReleaseRule, why_release
from audio_cache_daemon.retired import RetiredRun, WriterMark, holds_retired, load_retired, places_of
from audio_cache_daemon.state import load_memory
from audio_cache_daemon.units import format_size

_NO_MARK = WriterMark(1)

COMPACT_FROM = 0.25
"""The share of retired rows from which dropping them is worth a rewrite of the whole index."""


class Dropped(msgspec.Struct, frozen=True):
    """Retired rows that were dropped, and how many of those that stay got zeros where an array lacked rows."""

    rows: int = 0
    zeroed: int = 0


class Released(msgspec.Struct, frozen=True):
    """Files that went, of items that were retired before: how many, their bytes, how many failed, and why they went.

    `denied` of those that failed did so for a missing permission.
    """

    files: int = 0
    bytes: int = 0
    failed: int = 0
    denied: int = 0
    reasons: tuple[str, ...] = ()

    def after(self, other: Released, why: str) -> Released:
        """Both together; these went because of `why`."""
        reasons = other.reasons if why in other.reasons else (*other.reasons, why)
        return Released(
            self.files + other.files,
            self.bytes + other.bytes,
            self.failed + other.failed,
            self.denied + other.denied,
            reasons,
        )


def generator_of(writer: WriterSettings) -> Generator:
    """The generator as the configuration describes it."""
    return Generator(writer.unit, writer.started_file, writer.stop, writer.start, writer.reload)


def start_before_look(target: Target) -> str | None:
    """What names the generator's last start, to be asked for before the cache is looked at; None if it isn't known.

    What is zero after that, it has loaded as zeros: an addition that could bring vectors back died with the process
    before. After the look it may have been started with what such an addition has brought back since.
    """
    is_of_use = target.settings.writer.mode == "live" and holds_retired(target.settings.location)
    return last_start(generator_of(target.settings.writer)) if is_of_use else None


def retire_again(inventory: Inventory, target: Target, log: AuditLog, started: str | None) -> int:
    """Write zeros over what the generator brought back; how many items it were. `started` is of before the look.

    A run whose mark of the generator is missing, or says too little, gets a new one: its files wait from now on.
    """
    location, retired = target.settings.location, inventory.retired
    runs = load_retired(location)
    if not runs or index_fault(inventory) is not None:
        return 0
    undone = distinct(retired.row[retired.undone])
    if len(undone):
        check_rows(inventory, undone)
        log.append("retired", detail={"again": len(undone)})
        log.flush()
    unsure = {number for number, run in enumerate(runs) if _lacks_proof(run, started)}
    unsure |= set(retired.run[retired.undone].tolist())
    if unsure:
        save_what_was_short(inventory)
        written = zero_rows(inventory, distinct(retired.row[retired.row >= 0]))
        since = last_start(generator_of(target.settings.writer))
        mark_retired(location, [runs[number].directory for number in sorted(unsure)], written, since)
    else:
        note_verified(location, {name: info.identity for name, info in inventory.whole_arrays().items()})
    return len(undone)


def _lacks_proof(run: RetiredRun, started: str | None) -> bool:
    mark = run.mark
    return mark is None or mark.rows is None or (mark.started is None and started is not None)


def release_pending(
    inventory: Inventory, target: Target, request: RunRequest, log: AuditLog, rule: ReleaseRule
) -> Released:
    """Take away the files of retired items that, by the rule, the generator can't serve any more.

    While the index can't be matched to its vectors nothing proves that these are zero, and no file goes.
    """
    runs, retired = load_retired(target.settings.location), inventory.retired
    if not retired.pending.any() or (index_fault(inventory) is not None and not rule.is_stopped):
        return Released()
    total = Released()
    for run, mine in places_of(runs):
        proven = rule.is_stopped or not retired.undone[mine].any()
        why = why_release(run.mark or _NO_MARK, run.note.time, request.now, rule) if proven else None
        if why is not None and retired.pending[mine].any():
            total = _release_run(target, run, retired.pending[mine], request.now, log).after(total, why)
    return total


def _release_run(target: Target, run: RetiredRun, waits: Bools, now: float, log: AuditLog) -> Released:
    location, trash = target.settings.location, target.settings.policy.trash
    make_room_in_trash(target, int(run.columns["size"][waits].sum()), now, log)
    for entry in compress(run.entries(), waits):
        log.append("removed", item=AuditItem(id=entry.id, path=entry.file, bytes=entry.size), detail={"of": run.run})
        log.flush_if_long()
    log.flush()
    files = size = failed = denied = 0
    for outcome in release_files(location, run, compress(run.entries(), waits), now, to_trash=trash.keep > 0):
        record_outcome(log, outcome)
        files += outcome.kind == OutcomeKind.EVICTED
        failed += outcome.kind == OutcomeKind.FAILED
        denied += outcome.denied
        size += outcome.bytes_freed
    return Released(files, size, failed, denied)


def release_rule(
    inventory: Inventory, writer: WriterSettings, now: float, started: str | None = None, *, is_stopped: bool = False
) -> ReleaseRule:
    """What proves that files may go, given the generator's last start before the look."""
    audio = inventory.index.arrays.get(CLAP_AUDIO_NAME)
    rows, changed = audio.rows if audio is not None else None, last_index_change(inventory.location.path)
    is_quiet = changed is not None and now - changed >= writer.quiesce
    return ReleaseRule(writer.release_on, writer.max_wait, is_stopped, started, rows, is_quiet)


def make_room_in_trash(target: Target, needed: int, now: float, log: AuditLog) -> None:
    """Empty what is too old, and the oldest of what would be too much with `needed` bytes more."""
    location, trash = target.settings.location, target.settings.policy.trash
    room = trash.max_size - needed if trash.max_size is not None else None
    for run in expired_runs(location, trash.keep, room, now):
        _empty(location, run, log)


def relieve_disk(target: Target, inventory: Inventory, log: AuditLog) -> Target:
    """Empty the trash, the oldest first, while too little is free on the disk of an audio root.

    When that isn't enough, what goes in this run goes for good: the target without its trash.
    """
    location, policy = target.settings.location, target.settings.policy
    marks = policy.budget.disk
    short = short_roots(inventory, marks) if marks is not None else ()
    if marks is None or not short:
        return target
    roots = [inventory.roots[number] for number in short]
    for run in list_trash(location):
        if all(free_bytes(root.path) >= mark_bytes(marks.resume_free, root.disk_size) for root in roots):
            return target
        _empty(location, run, log)
    if policy.trash.keep == 0 or all(
        free_bytes(root.path) >= mark_bytes(marks.min_free, root.disk_size) for root in roots
    ):
        return target
    log.append("trash_bypassed", detail={"roots": [os.fsdecode(root.path) for root in roots]})
    log.flush()
    bypassing = replace(policy, trash=replace(policy.trash, keep=0.0))
    return replace(target, settings=replace(target.settings, policy=bypassing))


def _empty(location: CacheLocation, run: TrashedRun, log: AuditLog) -> None:
    log.append("trash_emptied", detail={"run": run.run, "items": run.items, "bytes": run.bytes})
    log.flush()
    empty_run(location, run.run)


def compact(inventory: Inventory, target: Target, request: RunRequest, log: AuditLog) -> Dropped:
    """Drop the retired rows, as one rewrite of the index. Only while the generator can't add an item."""
    location, kept = inventory.location, inventory.rows.state != ItemState.RETIRED
    # Without a rewrite nothing gets zeros.
    dropped = Dropped() if kept.all() else Dropped(int((~kept).sum()), count_zeroed(inventory, kept))
    if dropped.rows:
        check_alignment(inventory)
        log.append("compacted", detail={"rows": dropped.rows, "zeroed": dropped.zeroed})
        log.flush()
        if target.settings.policy.trash.keep > 0:
            _keep_items_without_files(inventory, request.now)
        memory = load_memory(location)
        last = find_last(inventory, int(np.flatnonzero(kept)[-1])) if kept.any() else None
        if memory is not None:
            # Before: a run that is killed has changed the index too, and the next one must not take that for a loss.
            memory = replace(memory, rows=int(kept.sum()))
            save_memory(location, memory)
        save_what_was_short(inventory)
        compact_retired(inventory, Execution(request.run, to_trash=False))
        if memory is not None and last is not None:
            note_aligned(location, memory, last)
    return dropped


def count_zeroed(inventory: Inventory, kept: Bools) -> int:
    """How many of the rows that are kept get zeros when others are dropped: an array lacks rows, and not known which.

    The array as it was stays in the state directory.
    """
    lacks = len(inventory.whole_arrays()) < len(inventory.index.arrays)
    return int(kept[inventory.index.aligned :].sum()) if lacks else 0


def _keep_items_without_files(inventory: Inventory, now: float) -> None:
    """Give runs whose items have no file of their own their place in the trash.

    Others get it when their files go. These have none, and without rows nothing would hold what was saved of them.
    """
    retired = inventory.retired
    for number, run in enumerate(load_retired(inventory.location)):
        if (retired.row[retired.run == number] >= 0).any() and not run.columns["has_file"].any():
            open_in_trash(inventory.location, run, now)


def is_compaction_due(plan: Plan) -> bool:
    """Whether, with the rows of a plan, enough are retired to be worth a rewrite."""
    rows = plan.inventory.rows
    retired = int((rows.state == ItemState.RETIRED).sum()) + len(plan.rows)
    return retired > 0 and retired >= COMPACT_FROM * len(rows)


def describe_upkeep(released: Released, dropped: Dropped, again: int) -> Iterator[str]:
    """What was done for items that were retired by earlier runs, in words."""
    if released.files:
        why = "; ".join(released.reasons)
        yield f"{released.files:,} files of items retired before went, {format_size(released.bytes)}: {why}"
    if dropped.rows:
        yield f"{dropped.rows:,} retired rows were dropped from the index"
    if dropped.zeroed:
        yield describe_zeroed(dropped.zeroed)
    if again:
        yield f"the generator had written back the vectors of {again:,} retired items; they are zero again"


def describe_zeroed(rows: int) -> str:
    """What became of an array that lacked rows, in words."""
    return (
        f"{BGE_TEXT_NAME} lacked rows, as after a crash of the generator: {counted(rows, 'item')} got zeros there, "
        f"since it isn't known which vectors are theirs; the old file is kept in {STATE_DIRECTORY}"
    )


def describe_waiting(writer: WriterSettings) -> str:
    """What happens to the files of items that are retired, in words."""
    generator = generator_of(writer)
    if writer.release_on == "addition":
        until = "once the generator has added an item since"
    elif generator.unit is not None or generator.started_file is not None:
        until = "once the generator was started again"
    elif generator.can_stop:
        until = "when the generator is stopped for a compaction"
    else:
        until = "with a later run that is told --writer-stopped"
    return f"the generator may be running, so items are retired: it can't find them now, and their files go {until}"
