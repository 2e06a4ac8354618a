"""`run-once --textfile`: the metrics of a run for the node exporter."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Run

from builders import CacheBuilder
from tools import needs

POLICY = {"rules": [{"name": "drop", "pattern": "drop"}], "limits": {"max_percent": "none"}}


@pytest.fixture
def cache(tmp_path: Path) -> CacheBuilder:
    """Twelve items, every third of them to be dropped; written."""
    cache = CacheBuilder(tmp_path, now=time.time())
    for number in range(12):
        cache.add(f"keep {number}" if number % 3 else "drop this")
    cache.write()
    return cache


@pytest.fixture
def run_once(cache: CacheBuilder, tmp_path: Path, run: Run) -> Callable[..., int]:
    """Runs the policy once, with further arguments; the status."""
    place = {"path": str(cache.location.path), "audio_roots": [str(cache.output)], "policy": "p"}
    config = tmp_path / "config.yaml"
    caches = {"test": {**place, "writer": {"mode": "stopped"}}}
    config.write_text(json.dumps({"version": 1, "caches": caches, "policies": {"p": POLICY}}))
    return lambda *more: run("--config", config, "run-once", *more).status


def series(path: Path) -> dict[str, float]:
    pairs = [line.rsplit(" ", 1) for line in path.read_text().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def test_a_run_leaves_its_metrics_in_a_file_and_the_next_goes_on_counting(
    tmp_path: Path, cache: CacheBuilder, run_once: Callable[..., int]
) -> None:
    path = tmp_path / "metrics" / "audio.prom"
    path.parent.mkdir()
    assert run_once("--textfile", path) == 0
    first = series(path)
    assert first['audio_cache_evicted_items_total{cache="test",rule="drop"}'] == 4
    assert first['audio_cache_runs_total{cache="test",result="success",trigger="schedule"}'] == 1
    assert first['audio_cache_items{cache="test",state="ok"}'] == 8
    assert first['audio_cache_audit_records_total{cache="test"}'] > 4
    assert abs(first['audio_cache_last_success_timestamp_seconds{cache="test"}'] - time.time()) < 60
    assert path.stat().st_mode & 0o777 == 0o644
    assert [file.name for file in path.parent.iterdir()] == ["audio.prom"]
    cache.add("drop that too")
    cache.write()
    assert run_once("--textfile", path) == 0
    second = series(path)
    assert second['audio_cache_evicted_items_total{cache="test",rule="drop"}'] > 4
    assert second['audio_cache_run_duration_seconds_count{cache="test"}'] == 2
    loaded = 'audio_cache_policy_loaded_timestamp_seconds{cache="test"}'
    assert first[loaded] == second[loaded]


def test_a_run_that_failed_keeps_the_time_of_the_last_success(
    tmp_path: Path, cache: CacheBuilder, run_once: Callable[..., int]
) -> None:
    path = tmp_path / "audio.prom"
    assert run_once("--textfile", path) == 0
    first = series(path)
    (cache.location.path / "meta.jsonl").rename(tmp_path / "elsewhere")
    assert run_once("--textfile", path) == 1
    second = series(path)
    assert second['audio_cache_runs_total{cache="test",result="failed",trigger="schedule"}'] == 1
    success = 'audio_cache_last_success_timestamp_seconds{cache="test"}'
    assert first[success] == second[success]


def test_prometheus_has_nothing_to_say_about_the_file(tmp_path: Path, run_once: Callable[..., int]) -> None:
    path = tmp_path / "audio.prom"
    assert run_once("--textfile", path) == 0
    promtool = needs("promtool", "prometheus")
    checked = subprocess.run([promtool, "check", "metrics"], input=path.read_bytes(), capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_a_dry_run_has_no_metrics(tmp_path: Path, run_once: Callable[..., int]) -> None:
    assert run_once("--dry-run", "--textfile", tmp_path / "audio.prom") == 2


def test_a_file_that_can_not_be_written_fails_the_command_after_its_run(
    tmp_path: Path, run_once: Callable[..., int]
) -> None:
    assert run_once("--textfile", tmp_path / "missing" / "audio.prom") == 1
    assert len(list((tmp_path / "audio").glob("*.wav"))) == 8
