"""One maintainer at a time."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from cache_runs import make_dozen, run_policy, snapshot, target_of

from audio_cache_daemon.errors import CacheLockedError, MaintenanceError
from audio_cache_daemon.eviction.lock import cache_lock
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.model import RunResult
from audio_cache_daemon.request import RunRequest


def test_a_second_maintainer_is_refused_and_told_who_holds_the_lock(tmp_path: Path) -> None:
    """CacheLockedError, at once; the first one's number is in it."""
    location = make_dozen(tmp_path).write()
    with cache_lock(location), pytest.raises(CacheLockedError, match=f"pid {os.getpid()}"), cache_lock(location):
        pass


def test_a_run_over_a_locked_cache_changes_nothing(tmp_path: Path) -> None:
    """Its result says that the cache is locked."""
    location = make_dozen(tmp_path).write()
    with cache_lock(location):
        before = snapshot(tmp_path, own=True)
        report = run_policy(location)
        assert snapshot(tmp_path, own=True) == before
    assert report.result == RunResult.LOCKED
    assert isinstance(report.error, CacheLockedError)


def test_who_waits_gets_the_lock_when_the_other_lets_go(tmp_path: Path) -> None:
    """With `wait` a run goes on as soon as the first one is through."""
    location = make_dozen(tmp_path).write()
    results: list[RunResult] = []

    def wait_and_run() -> None:
        request = RunRequest(2.1e9, "run-2", wait=30.0)
        results.append(run_maintenance(target_of(location), request, lambda: 2.1e9).result)

    waiting = threading.Thread(target=wait_and_run)
    with cache_lock(location):
        waiting.start()
        assert results == []
    waiting.join(timeout=60)
    assert results == [RunResult.SUCCESS]


def test_the_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    """However the first one ends, the kernel lets go of its lock."""
    location = make_dozen(tmp_path).write()
    with pytest.raises(ZeroDivisionError), cache_lock(location):
        _ = 1 / 0
    assert run_policy(location).result == RunResult.SUCCESS


@pytest.mark.parametrize("what", ["a file", "a symbolic link"])
def test_something_of_our_name_in_the_way_is_left_alone(tmp_path: Path, what: str) -> None:
    """Our directory is a directory that we made; what else stands there is said to be in the way."""
    location = make_dozen(tmp_path).write()
    if what == "a file":
        location.state_directory.write_bytes(b"somebody's")
    else:
        (tmp_path / "elsewhere").mkdir()
        location.state_directory.symlink_to(tmp_path / "elsewhere")
    before = snapshot(tmp_path, own=True)
    with pytest.raises(MaintenanceError, match="in the way"), cache_lock(location):
        pass
    assert snapshot(tmp_path, own=True) == before
