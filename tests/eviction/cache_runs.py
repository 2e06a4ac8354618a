"""Runs over small real caches, and what a cache holds before and after, byte by byte."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.eviction.execute import execute_plan
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.lock import cache_lock
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, STATE_DIRECTORY, CacheLocation
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.manifest import MANIFEST_NAME, ROWS_NAME, TRASH, ManifestEntry, read_manifest
from audio_cache_daemon.model import Outcome, Plan, RunReport, ScanNeeds
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.retention.needs import columns_needed
from audio_cache_daemon.retention.plan import plan_evictions
from audio_cache_daemon.retention.policy import InState, Limits, Pattern, Policy, Rule, TrashLimits
from builders import NOW, CacheBuilder

NO_LIMITS = Limits(max_items=None, max_percent=None)
DROP = Policy("drop", rules=(Rule("drop", Pattern("drop")),), limits=NO_LIMITS)
"""Evicts each item whose prompt says drop, and nothing else."""

SWEEP = Policy(
    "sweep",
    rules=(*DROP.rules, Rule("missing", InState("missing")), Rule("left", InState("leftover"))),
    limits=NO_LIMITS,
)
"""As DROP, and rows without a file and leftovers."""

FOR_GOOD = TrashLimits(keep=0.0)


class Item(msgspec.Struct, frozen=True):
    """All that an index holds of an item: its line and its row of each array that is there, as bytes."""

    line: bytes
    vectors: tuple[bytes, ...]


def read_items(cache: Path) -> list[Item]:
    """The items of an index, in order; it fails when lines and vectors aren't equally many."""
    lines = (cache / META_NAME).read_bytes().splitlines(keepends=True)
    arrays = [np.load(cache / name) for name in ARRAY_NAMES if (cache / name).exists()]
    columns = [[row.tobytes() for row in array] for array in arrays]
    assert [len(column) for column in columns] == [len(lines)] * len(columns)
    vectors = zip(*columns, strict=True) if columns else iter([()] * len(lines))
    return [Item(line, found) for line, found in zip(lines, vectors, strict=True)]


def make_dozen(directory: Path) -> CacheBuilder:
    """Twelve items, every third of them to be dropped; nothing is written yet."""
    cache = CacheBuilder(directory)
    for number in range(12):
        cache.add("drop this" if number % 3 == 0 else f"keep {number}", quality=0.1 + number / 20)
    return cache


def target_of(location: CacheLocation, policy: Policy = DROP) -> Target:
    settings = CacheSettings(location, policy, WriterSettings(mode="stopped"))
    return Target(settings, location.state_directory / "audit.jsonl")


def run_policy(location: CacheLocation, policy: Policy = DROP, run: str = "run-1", now: float = NOW) -> RunReport:
    """One run of a policy, as the command line does it."""
    return run_maintenance(target_of(location, policy), RunRequest(now, run), lambda: now)


def plan_policy(location: CacheLocation, policy: Policy = DROP, needs: ScanNeeds | None = None) -> Plan:
    return plan_evictions(scan_cache(location, needs or columns_needed(policy)), policy, NOW)


def execute(plan: Plan, execution: Execution | None = None) -> list[Outcome]:
    """Carry out a plan under the lock; the outcomes."""
    with cache_lock(plan.inventory.location):
        return list(execute_plan(plan, execution or Execution("run-1")))


def kinds(outcomes: list[Outcome]) -> dict[int, str]:
    """What became of the rows."""
    return {outcome.row: outcome.kind.value for outcome in outcomes if outcome.row is not None}


def snapshot(directory: Path, *, own: bool = False) -> dict[str, tuple[object, ...]]:
    """Everything in a tree: content, owner, group, mode, inode and time of each path; our own files if `own`.

    The times of directories that hold our state directory change when that is made, so without `own` they are left out.
    """
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(directory.rglob("*")):
        if STATE_DIRECTORY in path.parts and not own:
            continue
        status = path.lstat()
        content = b""
        if path.is_symlink():
            content = os.fsencode(path.readlink())
        elif path.is_file():
            content = hashlib.sha256(path.read_bytes()).digest()
        kept_time = status.st_mtime_ns if own or not path.is_dir() else 0
        found[str(path)] = (content, status.st_uid, status.st_gid, status.st_mode, status.st_ino, kept_time)
    return found


class TrashedRun(msgspec.Struct, frozen=True):
    """What the trash holds of a run."""

    directory: Path
    entries: tuple[ManifestEntry, ...]
    location: CacheLocation

    @property
    def rows(self) -> list[bytes]:
        return (self.directory / ROWS_NAME).read_bytes().splitlines(keepends=True)

    def vectors(self, name: str) -> list[bytes]:
        return [row.tobytes() for row in np.load(self.directory / name)]

    def items(self) -> list[Item]:
        columns = [self.vectors(name) for name in ARRAY_NAMES if (self.directory / name).exists()]
        return [Item(line, found) for line, found in zip(self.rows, zip(*columns, strict=True), strict=True)]

    def file(self, entry: ManifestEntry) -> Path:
        root = self.location.audio_roots[entry.root]
        return root / STATE_DIRECTORY / TRASH / self.directory.name / entry.name


def open_trash(location: CacheLocation, run: str = "run-1") -> TrashedRun:
    directory = location.state_directory / TRASH / run
    return TrashedRun(directory, tuple(read_manifest(directory / MANIFEST_NAME)), location)


def audio_files(location: CacheLocation) -> Iterator[Path]:
    """The audio files in the roots, our trash left out."""
    for root in location.audio_roots:
        for path in sorted(root.rglob("*")):
            if re.fullmatch(r"\.(wav|mp3)", path.suffix) and STATE_DIRECTORY not in path.parts:
                yield path
