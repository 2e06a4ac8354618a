"""Another cleaner works on the same tree and deletes the oldest files of any kind, our own state among them."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from commands import Ran, Run
from trashed_cache import configure

from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.eviction.execute import execute_plan
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.lock import cache_lock
from audio_cache_daemon.location import META_NAME, STATE_DIRECTORY, CacheLocation
from audio_cache_daemon.maintenance import preview_maintenance, run_maintenance
from audio_cache_daemon.model import Plan, RunResult
from audio_cache_daemon.request import Listener, RunRequest, Target
from audio_cache_daemon.retention.policy import Limits, MaxAge, Policy, Rule
from builders import DAY, NOW, CacheBuilder

RULES = {
    "rules": [{"name": "old", "max_age": "30d"}, {"name": "left", "state": "leftover"}],
    "limits": {"max_percent": "none"},
}
OLD = Policy("old", rules=(Rule("old", MaxAge(30 * DAY)),), limits=Limits(None, None))


@pytest.fixture
def builder(tmp_path: Path) -> CacheBuilder:
    builder = CacheBuilder(tmp_path / "world", now=time.time())
    for number in range(20):
        builder.add(f"rain {number}", age=40 if number % 2 else 1)
    builder.add_stray("temp_rain_1700000000000.wav")
    builder.write()
    return builder


def our_files(builder: CacheBuilder) -> list[Path]:
    """All that lies in our directories."""
    return sorted(path for path in builder.output.rglob("*") if STATE_DIRECTORY in path.parts and path.is_file())


def assert_survivors(builder: CacheBuilder, ran: Ran) -> None:
    """The ten young items are whole, and nobody got a traceback."""
    assert "Traceback" not in ran.err
    rows = [json.loads(line) for line in (builder.location.path / META_NAME).read_bytes().splitlines()]
    young = [row for row in rows if row["timestamp"] > builder.now - 30 * DAY]
    assert len(young) == 10
    assert all(Path(row["path"]).read_bytes() for row in young)


COMMANDS: list[list[Any]] = [
    ["trash", "list"],
    ["audit"],
    ["audit", "verify"],
    ["verify"],
    ["run-once", "--dry-run"],
    ["run-once"],
    ["trash", "empty", "--confirm"],
    ["run-once"],
]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("writer", ["stopped", "live"])
def test_state_that_was_deleted_between_runs_costs_no_item(
    tmp_path: Path, builder: CacheBuilder, run: Run, seed: int, writer: str
) -> None:
    """Any of our files, of memory, manifest, saved rows, log and trash: commands go on, or say what is wrong."""
    modes = {"stopped": {"mode": "stopped"}, "live": {"mode": "live", "max_wait": "1s"}}
    config = configure(tmp_path / "config.yaml", builder, RULES, writer=modes[writer])
    choose = random.Random(seed)
    assert run("--config", config, "run-once").status in {0, 4}
    (listed,) = run("--config", config, "trash", "list", "--format", "json").json["caches"]
    name = listed["runs"][0]["run"]
    for arguments in [["trash", "restore", name], *COMMANDS]:
        files = our_files(builder)
        for path in choose.sample(files, min(len(files), choose.randint(1, 3))):
            path.unlink()
        ran = run("--config", config, *arguments)
        assert ran.status in {0, 1, 2, 3, 4, 6}, ran
        assert_survivors(builder, ran)


def test_all_our_state_deleted_is_a_new_beginning(tmp_path: Path, builder: CacheBuilder, run: Run) -> None:
    """The next run finds a cache as it was never seen, and maintains it."""
    config = configure(tmp_path / "config.yaml", builder, RULES)
    assert run("--config", config, "run-once").status == 0
    for path in our_files(builder):
        path.unlink()
    ran = run("--config", config, "run-once", "--format", "json")
    assert (ran.status, ran.json["caches"][0]["result"]) == (0, "noop")
    assert_survivors(builder, ran)


def make(tmp_path: Path) -> tuple[CacheBuilder, Target]:
    builder = CacheBuilder(tmp_path / "world")
    for number in range(12):
        builder.add(f"rain {number}", age=40 if number % 3 == 0 else 1)
    location = builder.write()
    settings = CacheSettings(location, OLD, WriterSettings(mode="stopped"))
    return builder, Target(settings, location.state_directory / "audit.jsonl")


def delete(location: CacheLocation, pattern: str) -> None:
    for root in {location.path, *location.audio_roots}:
        for path in (root / STATE_DIRECTORY).glob(pattern):
            if path.is_file():
                path.unlink()


def whole_items(location: CacheLocation) -> list[str]:
    rows = [json.loads(line) for line in (location.path / META_NAME).read_bytes().splitlines()]
    return [row["prompt"] for row in rows if Path(row["path"]).exists()]


@pytest.mark.parametrize("pattern", ["lock", "audit.jsonl", "state.json", "**/*"])
def test_state_that_is_deleted_between_plan_and_action_costs_no_item(tmp_path: Path, pattern: str) -> None:
    """The lock's name, the open log: the run ends as planned or fails, and the next one is sound."""
    builder, target = make(tmp_path)
    location = builder.location

    def clean(_: Plan) -> None:
        delete(location, pattern)

    report = run_maintenance(target, RunRequest(NOW, "run-1"), lambda: NOW, Listener(planned=clean))
    assert report.result in {RunResult.SUCCESS, RunResult.FAILED}, report.error
    assert {f"rain {number}" for number in range(12) if number % 3} <= set(whole_items(location))
    report = run_maintenance(target, RunRequest(NOW + 1, "run-2"), lambda: NOW + 1)
    assert report.result in {RunResult.SUCCESS, RunResult.NOOP}, report.error
    assert len(whole_items(location)) == 8


WHAT = ["rewrite/journal.json", "**/manifest.jsonl", "**/rows.jsonl", "**/run.json", "rewrite/*", "trash/*/*", "**/*"]


@pytest.mark.parametrize("pattern", WHAT)
@pytest.mark.parametrize("is_killed", [False, True])
def test_state_that_is_deleted_while_files_go_costs_no_item(tmp_path: Path, pattern: str, *, is_killed: bool) -> None:
    """After the first file went; the run goes on, or ends there: what was to stay is whole."""
    _, target = make(tmp_path)
    location = target.settings.location
    plan = preview_maintenance(target, RunRequest(NOW, "run-1")).plan
    assert plan is not None
    with cache_lock(location):
        steps = execute_plan(plan, Execution("run-1"))
        next(steps)
        delete(location, pattern)
        if is_killed:
            steps.close()
        else:
            drain(steps)
    for number in range(3):
        later = NOW + number
        report = run_maintenance(target, RunRequest(later, f"later-{number}"), partial(float, later))
    assert report.result in {RunResult.SUCCESS, RunResult.NOOP, RunResult.FAILED}, report.error
    assert {f"rain {number}" for number in range(12) if number % 3} <= set(whole_items(location))


def drain(steps: Iterator[object]) -> None:
    """Go on to the end, which may be an error: the ground was taken away."""
    try:
        for _ in steps:
            pass
    except OSError:
        pass


def test_files_that_another_cleaner_takes_are_gone_and_nothing_more(tmp_path: Path) -> None:
    """It deletes audio between our look and our act, evicted and kept ones alike: rows of kept ones stay, missing."""
    builder, target = make(tmp_path)
    taken = sorted(builder.output.glob("*.wav"))[:6]
    planned = [path for path in taken if path.name.startswith(("rain_0", "rain_3", "rain_6", "rain_9"))]
    assert 0 < len(planned) < len(taken)

    def clean(_: Plan) -> None:
        for path in taken:
            path.unlink()

    report = run_maintenance(target, RunRequest(NOW, "run-1"), lambda: NOW, Listener(planned=clean))
    assert report.result == RunResult.SUCCESS
    assert report.outcome is not None
    assert (report.outcome.gone, report.outcome.evicted) == (len(planned), 4 - len(planned))
    assert len((builder.location.path / META_NAME).read_bytes().splitlines()) == 8
