"""`verify` and `repair`: a cache is examined, and what is provable is put right, under the lock, and audited."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.cache.scan import Surroundings, open_index, scan_cache
from audio_cache_daemon.cache.verify import examine_index
from audio_cache_daemon.errors import ConfigError, InconsistentIndexError, MaintenanceError
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.memory import save_memory
from audio_cache_daemon.eviction.recovery import interrupted_run
from audio_cache_daemon.eviction.repair import repair_index
from audio_cache_daemon.findings import Examination, Finding, Mend, RepairChoice, RepairPlan, Severity
from audio_cache_daemon.location import META_NAME
from audio_cache_daemon.model import Ints, ScanNeeds
from audio_cache_daemon.readback import RowReader
from audio_cache_daemon.reporting.audit import AuditLog
from audio_cache_daemon.reporting.audit_record import AuditItem
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.state import load_memory
from audio_cache_daemon.undo import locked_log

_LOOKS = 3
"""How often an index is looked at that changes, or in which an addition may be in flight."""

_BETWEEN_LOOKS = 2.0
"""Seconds. The generator rewrites its arrays one by one; a gigabyte takes about as long."""

_NOTHING_TOLD = RepairChoice()
_IN_FLIGHT = frozenset({"torn_tail", "short_array", "long_array", "unreadable_array", "bge_length", "unmatched"})
"""What an addition looks like while the generator makes it."""


class Repaired(msgspec.Struct, frozen=True):
    """What a repair found, and what is found afterwards; where what it took out is saved (None: nothing was done)."""

    before: Examination
    after: Examination
    saved: Path | None = None


def _wait() -> None:
    time.sleep(_BETWEEN_LOOKS)


def examine_cache(
    target: Target, choice: RepairChoice = _NOTHING_TOLD, pause: Callable[[], None] = _wait
) -> Examination:
    """What is wrong with a cache, and what a repair would do. Takes no lock and writes nothing.

    Under a running generator two looks, with a `pause` between, have to agree before a row more or less is believed.
    """
    examination = _look(target, choice)
    if target.settings.writer.mode == "live":
        for _ in range(_LOOKS - 1):
            if not any(finding.kind in _IN_FLIGHT for finding in examination.findings):
                break
            pause()
            before, examination = examination, _look(target, choice)
            if before.plan.inventory.index == examination.plan.inventory.index:
                break
    interrupted = tuple(_describe_interrupted(target))
    return replace(examination, findings=interrupted + examination.findings)


def repair_cache(target: Target, request: RunRequest, choice: RepairChoice, clock: Callable[[], float]) -> Repaired:
    """Do what a repair can do. ConfigError when the generator may be running, or the choice can't be followed.

    InconsistentIndexError when the index changes meanwhile, MaintenanceError when it can't be written: then nothing was
    changed.
    """
    location = target.settings.location
    if target.settings.writer.mode == "live":
        raise ConfigError(
            f"{location.path}: the index can't be mended under a running generator; stop it and say --writer-stopped"
        )
    # Where there is no index there is no cache, and no place for a lock and a log of ours.
    open_index(location).close()
    with locked_log(target, request, clock) as log:
        before = examine_cache(target, choice)
        if not before.plan.repairs:
            return Repaired(before, before)
        _announce(log, before.plan)
        saved = repair_index(before.plan, Execution(request.run, to_trash=False), request.now)
        memory = load_memory(location)
        if memory is not None:
            # Else the next run would take what was dropped for an index that shrank.
            save_memory(location, replace(memory, rows=int(before.plan.kept[META_NAME].sum())))
        return Repaired(before, examine_cache(target), saved)


def _look(target: Target, choice: RepairChoice) -> Examination:
    location = target.settings.location
    memory = None
    with suppress(MaintenanceError):
        # What can't be read of it only helps to tell which rows a short array has.
        memory = load_memory(location)
    around = Surroundings(target.neighbours, memory)
    for _ in range(_LOOKS - 1):
        try:
            return examine_index(scan_cache(location, ScanNeeds(), around), choice)
        except InconsistentIndexError:
            continue
    return examine_index(scan_cache(location, ScanNeeds(), around), choice)


def _describe_interrupted(target: Target) -> Iterator[Finding]:
    try:
        run = interrupted_run(target.settings.location)
    except InconsistentIndexError as error:
        yield Finding("interrupted_run", Severity.ERROR, "", str(error), mend=Mend.PERSON)
        return
    if run is not None:
        message = f"run {run} was interrupted while it changed the index; what else is wrong may come from that"
        remedy = "repair, or the next run, completes or undoes it first"
        yield Finding("interrupted_run", Severity.ERROR, "", message, mend=Mend.REPAIR, remedy=remedy)


def _announce(log: AuditLog, plan: RepairPlan) -> None:
    """Write down what the repair does, and the items that lose their rows, before it does."""
    for repair in plan.repairs:
        detail = {"kind": repair.kind, "count": repair.count, "message": repair.message}
        log.append("repaired", detail=detail)
    rows: Ints = np.flatnonzero(~plan.kept[META_NAME] & plan.inventory.rows.readable)
    with RowReader(plan.inventory) as reader:
        for number, read in enumerate(reader.read(rows), start=1):
            log.append("repaired", item=AuditItem(id=read.id, row=read.number, path=read.path, prompt=read.prompt))
            if number % 2000 == 0:
                log.flush()
    log.flush()
