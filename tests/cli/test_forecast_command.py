"""`forecast`: what goes on each of the next days, and how large the cache is then."""

from __future__ import annotations

import time
from pathlib import Path

from commands import Run
from configured import write_config

from builders import DAY, CacheBuilder


def test_a_forecast_is_a_table_and_an_object(run: Run, tmp_path: Path) -> None:
    """An item a day, of which ten days stay; a dry run as of a day agrees on what is there now."""
    builder = CacheBuilder(tmp_path, now=time.time())
    for age in range(20):
        builder.add(f"sound {age}", age=age + 0.5)
    policy = {"rules": [{"name": "stale", "max_age": "10d"}], "limits": {"max_items": 20, "max_percent": "none"}}
    config = write_config(builder, policy)

    (coming,) = run("--config", config, "forecast", "--days", "5", "--format", "json").json["caches"]
    assert coming["growth"]["items_per_day"] == 1
    assert [day["taken"].get("stale", {}).get("items") for day in coming["days"]] == [10, 1, 1, 1, 1, 1]
    assert [day["items"] for day in coming["days"]] == [10] * 6
    assert [day["items_without_policy"] for day in coming["days"]] == [20, 21, 22, 23, 24, 25]
    day = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 5 * DAY))
    (report,) = run("--config", config, "run-once", "--dry-run", "--as-of", day, "--format", "json").json["caches"]
    assert report["plan"]["items"] == sum(each["taken"]["stale"]["items"] for each in coming["days"])

    told = run("--config", config, "forecast", "--days", "2").out
    assert "grows by 1.0 items" in told
    assert "10 by stale" in told
    assert "without the policy" in told


def test_a_forecast_says_when_a_mark_is_reached(run: Run, tmp_path: Path) -> None:
    builder = CacheBuilder(tmp_path, now=time.time())
    for age in range(10):
        builder.add(age=age + 0.5)
    config = write_config(builder, {"budget": {"items": {"high": 12, "low": 11}}})
    (coming,) = run("--config", config, "forecast", "--days", "5", "--format", "json").json["caches"]
    assert coming["reached"] == {"budget:items": coming["days"][3]["time"]}
    assert "budget:items takes items from" in run("--config", config, "forecast", "--days", "5").out


def test_without_a_configuration_there_is_no_policy_to_forecast(run: Run, tmp_path: Path) -> None:
    ran = run("--cache-dir", CacheBuilder(tmp_path).write().path, "forecast")
    assert ran.status == 2
    assert "--config" in ran.err


def test_what_is_remembered_of_missing_files_counts_in_a_forecast(run: Run, tmp_path: Path) -> None:
    """Since the run before they are missing, so they go when that was long enough ago."""
    builder = CacheBuilder(tmp_path, now=time.time())
    for age in range(9):
        builder.add(f"sound {age}", age=age + 0.5)
    for name in ("gone", "lost"):
        builder.add(name, age=3, audio=None)
    policy = {"rules": [{"name": "gone", "state": "missing", "min_age": "36h"}]}
    config = write_config(builder, policy)
    assert run("--config", config, "run-once", "--writer-stopped").status == 0
    (coming,) = run("--config", config, "forecast", "--days", "3", "--format", "json").json["caches"]
    assert [day["taken"].get("gone", {}).get("items", 0) for day in coming["days"]] == [0, 0, 2, 0]
