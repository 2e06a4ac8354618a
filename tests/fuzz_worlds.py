"""Caches in the states that fuzzing begins with, and which files of each are worth mutating."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audio_cache_daemon import cli
from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.eviction import execute
from audio_cache_daemon.eviction.execute import execute_plan
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.lock import cache_lock
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, STATE_DIRECTORY
from audio_cache_daemon.maintenance import preview_maintenance
from audio_cache_daemon.model import Plan
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.retention.policy import Limits, MaxAge, Policy, Rule
from builders import DAY, CacheBuilder

POLICY: dict[str, Any] = {
    "rules": [{"name": "old", "max_age": "30d"}, {"name": "same", "dedupe": {"by": "content"}}],
    "limits": {"max_items": "none", "max_percent": "none"},
}
YOUNG = 4
"""Items that no rule selects."""


@dataclass(frozen=True)
class World:
    """A directory with a cache and its configuration in it, and beside it what nobody may touch."""

    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "config.json"

    @property
    def outside(self) -> Path:
        return self.directory / "outside"

    @property
    def cache(self) -> Path:
        return self.directory / "inside" / "audio" / "audio_cache"

    def make(self, state: str) -> dict[Path, bytes]:
        """Make it anew, in a state; the files of the young items."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self.outside.mkdir(parents=True)
        for name in ("0.wav", "precious.wav", "run.json", "manifest.jsonl"):
            (self.outside / name).write_bytes(b"precious")
        builder = CacheBuilder(self.directory / "inside", now=time.time())
        young = [builder.add(f"new {number}", age=1) for number in range(YOUNG)]
        for number in range(4):
            builder.add(f"old {number}", age=40 + number)
        builder.write()
        roots = {"path": str(self.cache), "audio_roots": [str(builder.output)], "policy": "p"}
        caches = {"c": {**roots, "writer": {"mode": "stopped"}}}
        self.config.write_text(json.dumps({"version": 1, "caches": caches, "policies": {"p": POLICY}}))
        STATES[state](self, builder)
        return {path: path.read_bytes() for path in young}

    def run(self, *arguments: str) -> tuple[int, str]:
        """A command's status, and what it says on standard error."""
        said = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            return cli.run(["--config", str(self.config), *arguments]), said.getvalue()

    def first_run(self) -> str:
        """The run in the trash, or with the retired items."""
        for place in ("trash", "retired"):
            for path in sorted((self.cache / STATE_DIRECTORY).glob(f"{place}/*/")):
                return path.name
        return "none"


def _do_nothing(_world: World, _builder: CacheBuilder) -> None:
    pass


def _evict(world: World, builder: CacheBuilder) -> None:
    """A run in the trash, one item of it brought back."""
    assert world.run("run-once")[0] == 0
    (name,) = {path.name for path in builder.output.glob(f"{STATE_DIRECTORY}/trash/*")}
    world.run("trash", "restore", name, "--format", "json", str(next(iter(_manifest(world)))["id"]))


def _manifest(world: World) -> Iterator[dict[str, Any]]:
    for path in (world.cache / STATE_DIRECTORY).glob("trash/*/manifest.jsonl"):
        for line in path.read_bytes().splitlines():
            yield json.loads(line)


def _retire(world: World, _builder: CacheBuilder) -> None:
    """A run that retired items under a running generator."""
    assert world.run("--live", "run-once")[0] in {0, 4}


def _interrupt(world: World, builder: CacheBuilder) -> None:
    """A run that ended after its first file had gone."""
    with cache_lock(builder.location):
        outcomes = execute_plan(_plan(world, builder), Execution("run-1"))
        next(outcomes)
        outcomes.close()


def _prepare(world: World, builder: CacheBuilder) -> None:
    """A run that ended right before it changed the index."""
    with cache_lock(builder.location):
        assert list(execute._prepare(_plan(world, builder), Execution("run-1"))) == []


def _plan(world: World, builder: CacheBuilder) -> Plan:
    policy = Policy("old", rules=(Rule("old", MaxAge(30 * DAY)),), limits=Limits(None, None))
    target = Target(CacheSettings(builder.location, policy, WriterSettings(mode="stopped")), world.directory / "log")
    plan = preview_maintenance(target, RunRequest(builder.now, "run-1")).plan
    assert plan is not None
    return plan


STATES: dict[str, Callable[[World, CacheBuilder], None]] = {
    "new": _do_nothing,
    "evicted": _evict,
    "retired": _retire,
    "interrupted": _interrupt,
    "prepared": _prepare,
}
_SAVED = [f"trash/*/{name}" for name in ("run.json", "manifest.jsonl", "rows.jsonl", "clap_audio.npy")]
_OURS = ["state.json", "audit-head.json", "audit.jsonl"]
TARGETS: dict[str, list[str]] = {
    "new": [META_NAME, META_NAME, *ARRAY_NAMES],
    "evicted": [*(f"{STATE_DIRECTORY}/{name}" for name in [*_OURS, *_SAVED, "trash/*/restored.json"])],
    "retired": [
        META_NAME,
        "clap_audio.npy",
        *(f"{STATE_DIRECTORY}/{name.replace('trash', 'retired')}" for name in _SAVED),
        *(f"{STATE_DIRECTORY}/retired/{name}" for name in ("*/writer.json", "verified.json")),
    ],
    "prepared": [
        META_NAME,
        *(f"{STATE_DIRECTORY}/rewrite/{name}" for name in ("journal.json", "journal.json", META_NAME, "bge_text.npy")),
        *(f"{STATE_DIRECTORY}/rewrite/saved/{name}" for name in ("manifest.jsonl", "run.json", "rows.jsonl")),
    ],
    "interrupted": [
        *(f"{STATE_DIRECTORY}/rewrite/{name}" for name in ("journal.json", "journal.json", META_NAME, "clap_text.npy")),
        *(f"{STATE_DIRECTORY}/{name}" for name in _SAVED[:2]),
        "clap_audio.npy",
    ],
}
