"""From a look at a cache to its metrics: how many there are, and what they mean."""

from __future__ import annotations

import time
from pathlib import Path

from msgspec.structs import replace

from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.daemon.measures import counted_rules, measure, measure_watch
from audio_cache_daemon.daemon.notes import LastRun, Loaded, Pause, Standing
from audio_cache_daemon.daemon.overview import Overview, oversee
from audio_cache_daemon.daemon.watch import WatchFigures
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.reporting.metrics import Samples, build_samples, render_metrics
from audio_cache_daemon.reporting.run_counts import zero_counts
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.retention.policy import (
    Budget,
    DiskMarks,
    Limits,
    Marks,
    MaxAge,
    Pattern,
    Policy,
    Rule,
    Schedule,
)
from builders import DAY, NOW, CacheBuilder

RULES = tuple(Rule(f"rule-{number}", MaxAge(number * DAY)) for number in range(40, 20, -1))
BUDGET = Budget(size=Marks(2**40, 2**39), items=Marks(1000, 900), disk=DiskMarks(1, 2))
FULL = Policy("full", schedule=Schedule(cron="15 3 * * *"), rules=RULES, budget=BUDGET)


def oversee_cache(cache: CacheBuilder, policy: Policy = FULL, *, live: bool = True) -> Overview:
    location = cache.write()
    settings = CacheSettings(location, policy, WriterSettings(mode="live" if live else "stopped"))
    return oversee(Target(settings, location.state_directory / "audit.jsonl"), NOW)


def values(overview: Overview) -> dict[str, float]:
    """The gauges by name and label."""
    return {" ".join((name, *labels[1:])): value for (name, labels), value in measure(overview, NOW).items()}


def all_samples(overview: Overview, name: str) -> Samples:
    location = replace(overview.target.settings.location, name=name)
    target = replace(overview.target, settings=replace(overview.target.settings, location=location))
    overview = replace(overview, target=target)
    return {
        **zero_counts(name, counted_rules(FULL)),
        **measure(overview, NOW),
        **measure_watch(name, WatchFigures(0, 0, 0, is_up=True), 0),
    }


def test_ten_caches_of_twenty_rules_have_fewer_than_two_thousand_series(tmp_path: Path) -> None:
    """With all marks, a schedule, a past, something pending: each has every series that there is, but for a few."""
    cache = CacheBuilder(tmp_path)
    for number in range(30):
        cache.add(f"rain {number % 7}", age=number)
    cache.write()
    request = RunRequest(NOW, "20361231T000000Z-abcdef")
    overview = oversee_cache(cache)
    assert run_maintenance(overview.target, request, lambda: NOW).evicted
    past = Standing(
        0.0, last_success=1.0, last_run=LastRun("r", "schedule", 1.0, "success", ""), loaded=Loaded("", 1.0)
    )
    overview = replace(oversee(overview.target, NOW), standing=past, next_run=NOW)
    samples = build_samples()
    for number in range(10):
        samples = {**samples, **all_samples(overview, f"cache-{number}")}
    text = render_metrics(samples).decode()
    series = [line for line in text.splitlines() if not line.startswith("#")]
    families = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(families) == 42, "all but those of the configuration and the clock"
    # The service's own and its process's are a dozen.
    assert 1900 < len(series) < 1988


def test_a_thousand_series_and_more_are_rendered_in_a_moment(tmp_path: Path) -> None:
    """The main loop does it, once a second at most."""
    cache = CacheBuilder(tmp_path)
    cache.add("rain")
    overview, samples = oversee_cache(cache), build_samples()
    for number in range(10):
        samples = {**samples, **all_samples(overview, f"cache-{number}")}
    begun = time.thread_time()
    render_metrics(samples)
    assert time.thread_time() - begun < 0.25


def test_states_are_disjoint(tmp_path: Path) -> None:
    """Each row is in one, each file in one, and each byte counts once."""
    cache = CacheBuilder(tmp_path)
    cache.add("rain", audio=b"12345")
    cache.add("drop", audio=b"1234567")
    cache.add("gone", audio=None)
    cache.add("relative", path="somewhere/rain_1700000000000.wav")
    cache.add_stray("noise_1700000000000.wav", content=b"123")
    cache.add_stray("temp_rain_1700000000000.wav", content=b"1")
    policy = replace(FULL, rules=(Rule("drop", Pattern("drop")),), limits=Limits(None, None), budget=Budget())
    target = oversee_cache(cache, policy).target
    run_maintenance(target, RunRequest(NOW, "20361231T000000Z-abcdef"), lambda: NOW)
    found = values(oversee(target, NOW))
    states = {name.split()[1]: value for name, value in found.items() if name.startswith("audio_cache_items ")}
    assert states == {"ok": 1, "missing": 1, "undecidable": 1, "retired": 1}
    files = {name.split()[1]: value for name, value in found.items() if name.startswith("audio_cache_files ")}
    assert files == {"orphan": 1, "leftover": 1, "pending": 1, "trash": 0}
    sizes = {name.split()[1]: value for name, value in found.items() if name.startswith("audio_cache_size_bytes ")}
    on_disk = sum(path.stat().st_size for path in cache.output.glob("*.wav"))
    assert sizes["audio"] + sizes["orphan"] + sizes["leftover"] + sizes["pending"] == on_disk == 16
    assert (sizes["audio"], sizes["pending"], sizes["trash"]) == (5, 7, 0)
    arrays = sum(path.stat().st_size for path in cache.location.path.glob("*.npy"))
    assert sizes["vectors"] == arrays
    assert sizes["index"] == (cache.location.path / "meta.jsonl").stat().st_size
    assert found["audio_cache_retired_ratio"] == 0.25
    assert found["audio_cache_pending_oldest_timestamp_seconds"] == NOW


def test_what_a_rule_would_evict_now_is_what_a_run_evicts(tmp_path: Path) -> None:
    cache = CacheBuilder(tmp_path)
    for number in range(50):
        cache.add(f"rain {number}", age=number)
    overview = oversee_cache(cache, replace(FULL, limits=Limits(None, None)), live=False)
    report = run_maintenance(overview.target, RunRequest(NOW, "run-1"), lambda: NOW)
    assert overview.look is not None
    assert overview.look.outlook.evictable == report.evicted
    assert sum(count.items for count in report.evicted.values()) == 28


def test_a_pause_ends_by_itself(tmp_path: Path) -> None:
    cache = CacheBuilder(tmp_path)
    overview = oversee_cache(cache)
    for pause, paused in ((Pause(), 0), (Pause(paused=True), 1), (Pause(paused=True, until=NOW), 0)):
        assert values(replace(overview, pause=pause))["audio_cache_paused"] == paused


def test_the_marks_of_a_disk_are_bytes_and_the_disk_is_that_of_the_audio(tmp_path: Path) -> None:
    found = values(oversee_cache(CacheBuilder(tmp_path)))
    assert found["audio_cache_limit disk_min_free_bytes"] == 1
    assert found["audio_cache_limit disk_resume_free_bytes"] == 2
    assert 0 < found["audio_cache_disk_free_bytes"] <= found["audio_cache_disk_size_bytes"]
