"""The metrics that dashboards and alerts rely on: their names, what is counted, and how they are written."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.reporting.metric_table import METRICS, RUN_SECONDS
from audio_cache_daemon.reporting.metrics import (
    Samples,
    add_counts,
    build_samples,
    no_observations,
    observe,
    render_metrics,
)
from audio_cache_daemon.reporting.metrics_file import continue_samples, read_metrics_file, write_metrics_file
from audio_cache_daemon.reporting.run_counts import zero_counts
from tools import needs

PROMISED = """
audio_cache_items gauge cache state
audio_cache_files gauge cache state
audio_cache_size_bytes gauge cache kind
audio_cache_limit gauge cache kind
audio_cache_disk_free_bytes gauge cache
audio_cache_disk_size_bytes gauge cache
audio_cache_unique_prompts gauge cache
audio_cache_duplicate_items gauge cache
audio_cache_quality_average gauge cache
audio_cache_duration_seconds_average gauge cache
audio_cache_oldest_item_timestamp_seconds gauge cache
audio_cache_newest_item_timestamp_seconds gauge cache
audio_cache_evictable_items gauge cache rule
audio_cache_evictable_bytes gauge cache rule
audio_cache_runs_total counter cache trigger result
audio_cache_run_duration_seconds histogram cache
audio_cache_scan_duration_seconds histogram cache
audio_cache_last_run_timestamp_seconds gauge cache
audio_cache_last_success_timestamp_seconds gauge cache
audio_cache_next_run_timestamp_seconds gauge cache
audio_cache_policy_interval_seconds gauge cache
audio_cache_policy_loaded_timestamp_seconds gauge cache
audio_cache_paused gauge cache
audio_cache_evicted_items_total counter cache rule
audio_cache_evicted_bytes_total counter cache rule
audio_cache_restored_items_total counter cache
audio_cache_skipped_items_total counter cache reason
audio_cache_removal_failures_total counter cache reason
audio_cache_limit_trips_total counter cache limit
audio_cache_pending_oldest_timestamp_seconds gauge cache
audio_cache_retired_ratio gauge cache
audio_cache_index_consistent gauge cache
audio_cache_inventory_timestamp_seconds gauge cache
audio_cache_watch_up gauge cache
audio_cache_watch_events_total counter cache
audio_cache_watch_overflows_total counter cache
audio_cache_scan_drift_items_total counter cache
audio_cache_foreign_removals_total counter cache
audio_cache_audit_records_total counter cache
audio_cache_audit_write_failures_total counter cache
audio_cache_audit_sequence gauge cache
audio_cache_clock_jumps_total counter
audio_cache_config_last_reload_successful gauge
audio_cache_config_last_reload_timestamp_seconds gauge
audio_cache_build_info gauge version python
"""


def lines(samples: Samples) -> list[str]:
    return [line for line in render_metrics(samples).decode().splitlines() if not line.startswith("#")]


def test_the_metrics_are_those_that_were_promised() -> None:
    """Names, types and labels, to the letter."""
    assert [" ".join((metric.name, metric.type, *metric.labels)) for metric in METRICS] == PROMISED.split("\n")[1:-1]


def test_each_metric_says_in_a_sentence_what_it_is() -> None:
    for metric in METRICS:
        assert metric.help.endswith("."), metric.name
        assert len(metric.help) < 120, metric.name


def test_what_never_happened_is_there_at_zero() -> None:
    found = lines(zero_counts("exhibit", ["stale"]))
    assert 'audio_cache_evicted_items_total{cache="exhibit",rule="stale"} 0.0' in found
    assert 'audio_cache_runs_total{cache="exhibit",result="refused",trigger="catch_up"} 0.0' in found
    assert 'audio_cache_limit_trips_total{cache="exhibit",limit="root_gone"} 0.0' in found
    assert 'audio_cache_run_duration_seconds_count{cache="exhibit"} 0.0' in found
    assert all(line.endswith(" 0.0") for line in found)


def test_a_bucket_holds_what_is_in_those_below() -> None:
    """Exactly at a bound is within it."""
    counts = no_observations(RUN_SECONDS, "exhibit")
    for seconds in (0.5, 1.0, 5.0, 100_000.0):
        counts = add_counts(counts, observe(RUN_SECONDS, "exhibit", seconds))
    values = [line.split() for line in lines(counts)]
    assert [float(value) for name, value in values if "_bucket" in name] == [2, 3, 3, 3, 4]
    assert values[-2:] == [
        ['audio_cache_run_duration_seconds_count{cache="exhibit"}', "4.0"],
        ['audio_cache_run_duration_seconds_sum{cache="exhibit"}', "100006.5"],
    ]


def test_a_name_with_quotes_and_lines_breaks_nothing() -> None:
    (line,) = lines({("audio_cache_items", ('a"b\n\\c', "ok")): 1.0})
    assert line == 'audio_cache_items{cache="a\\"b\\n\\\\c",state="ok"} 1.0'


def test_no_series_tells_when_it_was_made_or_measured() -> None:
    """The node exporter refuses a file with timestamps, and `_created` would double the counters."""
    found = lines({**zero_counts("exhibit", ["stale"]), **build_samples()})
    assert not [line for line in found if "_created" in line]
    assert all(len(line.rpartition("} ")[2].split()) == 1 for line in found)


def test_a_file_goes_on_counting_from_what_it_says(tmp_path: Path) -> None:
    """Counts add up, gauges are those of now, and what a run can't say anew stays."""
    path = tmp_path / "audio_cache.prom"
    zeros = zero_counts("exhibit", ["stale"])
    evicted, success = ("audio_cache_evicted_items_total", ("exhibit", "stale")), "audio_cache_last_success"
    first = add_counts(zeros, {evicted: 4.0, ("audio_cache_paused", ("exhibit",)): 1.0})
    first = {
        **add_counts(first, observe(RUN_SECONDS, "exhibit", 5.0)),
        (f"{success}_timestamp_seconds", ("exhibit",)): 9.0,
    }
    write_metrics_file(path, first)
    second = add_counts(add_counts(zeros, {evicted: 3.0}), observe(RUN_SECONDS, "exhibit", 0.5))
    write_metrics_file(path, continue_samples(read_metrics_file(path), second))
    found = path.read_text().splitlines()
    assert 'audio_cache_evicted_items_total{cache="exhibit",rule="stale"} 7.0' in found
    assert 'audio_cache_run_duration_seconds_bucket{cache="exhibit",le="1.0"} 1.0' in found
    assert 'audio_cache_run_duration_seconds_bucket{cache="exhibit",le="10.0"} 2.0' in found
    assert 'audio_cache_run_duration_seconds_sum{cache="exhibit"} 5.5' in found
    assert 'audio_cache_last_success_timestamp_seconds{cache="exhibit"} 9.0' in found
    assert not [line for line in found if line.startswith("audio_cache_paused")]


def test_what_a_rule_did_that_is_no_more_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "audio_cache.prom"
    write_metrics_file(path, zero_counts("exhibit", ["gone"]))
    write_metrics_file(path, continue_samples(read_metrics_file(path), zero_counts("exhibit", ["stale"])))
    assert "gone" not in path.read_text().replace("root_gone", "")


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"{", b"audio_cache_runs_total 1\n", b'audio_cache_items{x="1"} 1\n']
)
def test_a_file_that_is_none_of_ours_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "audio_cache.prom"
    path.write_bytes(content)
    assert read_metrics_file(path) == {}


def test_a_file_can_be_read_by_all_whatever_the_umask(tmp_path: Path) -> None:
    """The node exporter is another user; and nothing else is left beside it."""
    before = os.umask(0o077)
    try:
        write_metrics_file(tmp_path / "audio_cache.prom", build_samples())
        (tmp_path / "other").touch()
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "audio_cache.prom": 0o644,
        "other": 0o600,
    }


def test_a_file_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(MaintenanceError, match="can't be written: No such file"):
        write_metrics_file(tmp_path / "missing" / "audio_cache.prom", {})


def test_prometheus_has_nothing_to_say_about_the_metrics() -> None:
    """All of the table, each with a sample."""
    labels = {metric: tuple(metric.labels) for metric in METRICS if metric.type != "histogram"}
    samples = {(metric.name, values): 1.0 for metric, values in labels.items()}
    text = render_metrics({**samples, **zero_counts("exhibit", ["stale"])})
    assert text.count(b"# HELP") == len(METRICS)
    checked = subprocess.run(
        [needs("promtool", "prometheus"), "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
