"""So many files that several are taken away at once: the same as one by one, and nothing beyond."""

from __future__ import annotations

import gc
import threading
from collections import Counter
from pathlib import Path

import pytest
from cache_runs import DROP, audio_files, execute, kinds, open_trash, plan_policy

from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.eviction.execute import execute_plan
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.recovery import recover
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.undo import restore_from_trash
from builders import NOW, CacheBuilder

GOING, STAYING = 1500, 300


@pytest.fixture
def location(tmp_path: Path) -> CacheLocation:
    """Of six items five are to be dropped."""
    cache = CacheBuilder(tmp_path)
    for number in range(GOING + STAYING):
        cache.add("keep" if number % 6 == 0 else "drop")
    return cache.write()


@pytest.mark.parametrize("to_trash", [True, False])
def test_all_go_and_are_told_of_in_order(location: CacheLocation, *, to_trash: bool) -> None:
    """To the trash byte by byte, or for good; what stays is as it was; no thread is left."""
    threads = threading.active_count()
    before = {path: path.read_bytes() for path in audio_files(location)}
    outcomes = execute(plan_policy(location), Execution("run-1", to_trash=to_trash))
    assert [outcome.row for outcome in outcomes] == [row for row in range(GOING + STAYING) if row % 6]
    assert Counter(kinds(outcomes).values()) == {"evicted": GOING}
    after = {path: path.read_bytes() for path in audio_files(location)}
    assert after == {path: content for path, content in before.items() if "keep" in path.name}
    if to_trash:
        trash = open_trash(location)
        kept = {location.audio_roots[0] / entry.file: trash.file(entry).read_bytes() for entry in trash.entries}
        assert kept == {path: content for path, content in before.items() if "drop" in path.name}
    assert threading.active_count() == threads


@pytest.mark.parametrize("to_trash", [True, False])
def test_one_that_changes_on_the_way_stays(location: CacheLocation, *, to_trash: bool) -> None:
    """Each is compared right before it goes, also when others go at the same time."""
    last = max(path for path in audio_files(location) if "drop" in path.name)
    outcomes = execute_plan(plan_policy(location), Execution("run-1", to_trash=to_trash))
    told = [next(outcomes)]
    last.write_bytes(b"another sound")
    told += list(outcomes)
    assert Counter(kinds(told).values()) == {"evicted": GOING - 1, "changed": 1}
    assert last.read_bytes() == b"another sound"


@pytest.mark.parametrize("to_trash", [True, False])
def test_what_is_left_when_it_ends_early_goes_with_the_recovery(location: CacheLocation, *, to_trash: bool) -> None:
    """Told to stop after one, only those go that had been begun; the next run completes the rest, and no more."""
    outcomes = execute_plan(plan_policy(location), Execution("run-1", to_trash=to_trash))
    next(outcomes)
    outcomes.close()
    assert len(list(audio_files(location))) > STAYING + GOING / 2
    recovery = recover(location)
    assert recovery is not None
    assert recovery.kept == ()
    assert {path.name.partition("_")[0] for path in audio_files(location)} == {"keep"}
    if to_trash:
        trash = open_trash(location)
        assert all(trash.file(entry).exists() for entry in trash.entries)


def test_nothing_a_file_waits_for_the_garbage_collector(location: CacheLocation) -> None:
    """It is switched off in a command: of a million files that go, and come back, each would leave its part."""
    target = Target(
        CacheSettings(location, DROP, WriterSettings(mode="stopped")), location.state_directory / "audit.jsonl"
    )
    gc.collect()
    gc.disable()
    try:
        report = run_maintenance(target, RunRequest(NOW, "run-1"), lambda: NOW)
        assert report.outcome is not None
        assert report.outcome.evicted == GOING
        assert gc.collect() < GOING
        restored = restore_from_trash(target, RunRequest(NOW, "run-2"), "run-1", (), lambda: NOW)
        assert int(restored.back.sum()) == GOING
        assert gc.collect() < GOING
    finally:
        gc.enable()
