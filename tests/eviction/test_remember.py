"""What one run remembers for the next."""

from __future__ import annotations

from pathlib import Path

from cache_runs import DROP, plan_policy, run_policy, target_of
from msgspec.structs import replace

from audio_cache_daemon.eviction.memory import remember, save_memory
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.model import Plan, RunResult
from audio_cache_daemon.request import Listener, RunRequest
from audio_cache_daemon.retention.policy import InState, Limits, Rule
from audio_cache_daemon.state import load_memory
from builders import DAY, NOW, CacheBuilder

MISSING = replace(DROP, rules=(Rule("missing", InState("missing"), min_age=DAY),))


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    """Time, rows, roots and missing files come back as they were."""
    cache = CacheBuilder(tmp_path)
    cache.add("rain", audio=None)
    cache.add("keep")
    location = cache.write()
    memory = remember(plan_policy(location), None, dropped=0)
    save_memory(location, memory)
    assert load_memory(location) == memory
    assert list(memory.missing_since.values()) == [NOW]
    assert list(memory.roots) == [str(cache.output)]


def test_a_missing_file_counts_from_when_it_was_first_seen_missing(tmp_path: Path) -> None:
    """A run sees it, one exactly min_age later keeps it, one after that evicts its row."""
    cache = CacheBuilder(tmp_path)
    cache.add("rain", age=100, audio=None)
    cache.add("keep")
    location = cache.write()
    results = [run_policy(location, MISSING, f"run-{n}", NOW + n).result for n in (0, 100, DAY)]
    assert results == [RunResult.NOOP] * 3
    report = run_policy(location, MISSING, "run-last", NOW + DAY + 1)
    assert report.result == RunResult.SUCCESS
    assert report.outcome is not None
    assert report.outcome.evicted == 1


def test_a_file_that_came_back_in_between_is_missing_anew(tmp_path: Path) -> None:
    """Only the last time counts."""
    cache = CacheBuilder(tmp_path)
    path = cache.add("rain", age=100, audio=None)
    cache.add("keep")
    location = cache.write()
    run_policy(location, MISSING, "run-1", NOW)
    path.write_bytes(b"back")
    run_policy(location, MISSING, "run-2", NOW + DAY)
    path.unlink()
    for number, moment in enumerate((NOW + 2 * DAY, NOW + 3 * DAY)):
        assert run_policy(location, MISSING, f"run-{3 + number}", moment).result == RunResult.NOOP


def test_an_audit_run_remembers_the_missing_files_that_it_would_evict(tmp_path: Path) -> None:
    """It removes nothing, so each later one finds the same to evict; what it forgot it would count anew."""
    cache = CacheBuilder(tmp_path)
    cache.add("rain", age=100, audio=None)
    cache.add("keep")
    location = cache.write()
    policy = replace(MISSING, mode="audit")
    planned = []
    for day in range(4):
        report = run_policy(location, policy, f"run-{day}", NOW + day * DAY + day)
        assert report.plan is not None
        planned.append(len(report.plan.rows))
    assert planned == [0, 1, 1, 1]


def test_the_rows_that_are_left_are_those_that_really_are(tmp_path: Path) -> None:
    """A row whose file changed meanwhile stayed, and is counted: the next run measures the index against this."""
    cache = CacheBuilder(tmp_path)
    changed = cache.add("drop 1")
    cache.add("drop 2")
    cache.add("keep")
    location = cache.write()
    assert remember(plan_policy(location), None, dropped=2).rows == 1

    def meddle(_: Plan) -> None:
        changed.write_bytes(b"another sound")

    run_maintenance(target_of(location), RunRequest(NOW, "run-1"), lambda: NOW, Listener(planned=meddle))
    memory = load_memory(location)
    assert memory is not None
    assert memory.rows == 2


def test_a_refused_run_remembers_nothing(tmp_path: Path) -> None:
    """What it saw may be the fault that it was refused for."""
    cache = CacheBuilder(tmp_path)
    for number in range(30):
        cache.add(f"drop {number}")
    location = cache.write()
    report = run_policy(location, replace(DROP, limits=Limits(max_items=5)))
    assert report.result == RunResult.REFUSED
    assert load_memory(location) is None
