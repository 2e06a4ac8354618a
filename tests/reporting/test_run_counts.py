"""What real runs add to the counters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.location import STATE_DIRECTORY
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.model import Plan
from audio_cache_daemon.reporting.run_counts import run_counts
from audio_cache_daemon.request import Listener, RunRequest, Target
from audio_cache_daemon.retention.policy import (
    Budget,
    InState,
    KeepBest,
    Limits,
    Marks,
    MaxAge,
    Pattern,
    Policy,
    Protection,
    Rule,
)
from builders import NOW, CacheBuilder

DROP = Rule("drop", Pattern("drop"))
FREE = Limits(None, None)


def count(
    cache: CacheBuilder, policy: Policy, planned: Callable[[Plan], None] = lambda _: None, *, live: bool = False
) -> dict[str, float]:
    """What one run adds, by metric without prefix and labels without the cache's; without what stayed at zero."""
    location = cache.write()
    settings = CacheSettings(location, policy, WriterSettings(mode="live" if live else "stopped"))
    target = Target(settings, location.state_directory / "audit.jsonl")
    report = run_maintenance(target, RunRequest(NOW, "run-1"), lambda: NOW, Listener(planned=planned))
    counts = run_counts(report, "schedule")
    return {
        " ".join((name.removeprefix("audio_cache_"), *labels[1:])): value
        for (name, labels), value in counts.items()
        if value and "duration" not in name
    }


@pytest.mark.parametrize("live", [False, True])
def test_each_eviction_counts_for_the_rule_that_took_it(tmp_path: Path, live: bool) -> None:
    """With the bytes of its file, also if that goes later; a missing file has none."""
    cache = CacheBuilder(tmp_path)
    for number in range(3):
        cache.add("drop this", audio=b"12345")
        cache.add("keep this", age=10.0 if number else 40.0, audio=b"123")
    cache.add("missing", audio=None)
    cache.add_stray("temp_rain_1700000000000.wav", content=b"1234567")
    rules = (
        DROP,
        Rule("stale", MaxAge(30 * 86400.0)),
        Rule("gone", InState("missing")),
        Rule("left", InState("leftover")),
    )
    assert count(cache, Policy("test", rules=rules, limits=FREE), live=live) == {
        "runs_total schedule success": 1,
        "evicted_items_total drop": 3,
        "evicted_bytes_total drop": 15,
        "evicted_items_total stale": 1,
        "evicted_bytes_total stale": 3,
        "evicted_items_total gone": 1,
        "evicted_items_total left": 1,
        "evicted_bytes_total left": 7,
    }


def test_what_a_rule_selects_and_a_protection_keeps_is_skipped(tmp_path: Path) -> None:
    """What no rule selects isn't, though it is protected."""
    cache = CacheBuilder(tmp_path)
    for quality in (0.1, 0.9):
        cache.add("drop this", quality=quality)
        cache.add("keep this", quality=quality)
    cache.add("no time", timestamp=0)
    policy = Policy(
        "test",
        protect=(Protection("best", KeepBest(1)),),
        rules=(DROP, Rule("stale", MaxAge(30 * 86400.0))),
        limits=FREE,
    )
    counts = count(cache, policy)
    assert counts["skipped_items_total protected"] == 1
    assert counts["skipped_items_total undecidable"] == 1
    assert counts["evicted_items_total drop"] == 1


def test_what_a_limit_refuses_is_skipped(tmp_path: Path) -> None:
    cache = CacheBuilder(tmp_path)
    for _ in range(3):
        cache.add("drop this")
    assert count(cache, Policy("test", rules=(DROP,), limits=Limits(max_items=2))) == {
        "runs_total schedule refused": 1,
        "skipped_items_total limit": 3,
        "limit_trips_total max_items": 1,
    }


def test_what_a_limit_cuts_from_the_budget_is_skipped(tmp_path: Path) -> None:
    cache = CacheBuilder(tmp_path)
    for number in range(6):
        cache.add(f"rain {number}", audio=b"123")
    policy = Policy("test", budget=Budget(items=Marks(4, 1)), limits=Limits(max_items=2))
    assert count(cache, policy) == {
        "runs_total schedule partial": 1,
        "evicted_items_total budget:items": 2,
        "evicted_bytes_total budget:items": 6,
        "skipped_items_total limit": 3,
        "limit_trips_total max_items": 1,
    }


def test_a_sentinel_counts_by_its_name(tmp_path: Path) -> None:
    cache = CacheBuilder(tmp_path)
    path = cache.add("drop this")
    cache.write()
    path.unlink()
    counts = count(cache, Policy("test", rules=(DROP,), limits=FREE))
    assert counts["limit_trips_total root_empty"] == 1


def test_what_changed_meanwhile_is_skipped(tmp_path: Path) -> None:
    cache = CacheBuilder(tmp_path)
    path = cache.add("drop this")
    cache.add("drop that")

    def change(_: Plan) -> None:
        path.write_bytes(b"played again")

    counts = count(cache, Policy("test", rules=(DROP,), limits=FREE), change)
    assert counts["skipped_items_total changed"] == 1
    assert counts["runs_total schedule partial"] == 1


def test_a_missing_permission_is_a_failure_of_its_own(tmp_path: Path) -> None:
    """Here that to move a file to the trash, whose place is taken."""
    cache = CacheBuilder(tmp_path)
    cache.add("drop this")
    (cache.output / STATE_DIRECTORY).touch()
    assert count(cache, Policy("test", rules=(DROP,), limits=FREE)) == {
        "runs_total schedule partial": 1,
        "removal_failures_total permission": 1,
    }


def test_any_other_error_of_the_system_is_another_failure(tmp_path: Path) -> None:
    """Here a directory that became a link meanwhile."""
    cache = CacheBuilder(tmp_path)
    stray = cache.add_stray("later/temp_rain_1700000000000.wav")

    def replace_directory(_: Plan) -> None:
        stray.parent.rename(tmp_path / "elsewhere")
        stray.parent.symlink_to(tmp_path / "elsewhere")

    policy = Policy("test", rules=(Rule("left", InState("leftover")),), limits=FREE)
    assert count(cache, policy, replace_directory) == {
        "runs_total schedule partial": 1,
        "removal_failures_total io": 1,
    }


def test_a_run_that_could_not_write_its_audit_log_says_so(tmp_path: Path) -> None:
    cache = CacheBuilder(tmp_path)
    cache.add("drop this")
    cache.write()
    (cache.location.state_directory / "audit.jsonl").mkdir(parents=True)
    assert count(cache, Policy("test", rules=(DROP,), limits=FREE)) == {
        "runs_total schedule failed": 1,
        "audit_write_failures_total": 1,
        "removal_failures_total audit": 1,
    }
