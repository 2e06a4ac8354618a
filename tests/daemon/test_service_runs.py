"""When the service runs a policy: on schedule, under pressure, for what was missed, when the generator restarted."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from services import DROP, EVERY_MINUTE, Serve, make_dozen, write_config

from audio_cache_daemon.daemon.notes import Standing, save_standing
from audio_cache_daemon.eviction.lock import cache_lock
from audio_cache_daemon.location import ARRAY_NAMES


def audio_names(directory: Path) -> set[str]:
    return {path.name for path in (directory / "audio").glob("*.wav")}


def test_a_policy_runs_on_its_schedule_and_the_audit_log_says_so(tmp_path: Path, serve: Serve) -> None:
    location = make_dozen(tmp_path).location
    service = serve(write_config(tmp_path / "config.yaml", location, {**DROP, **EVERY_MINUTE}))
    line = service.wait_for("schedule: evicted 4 items")
    assert (line["cache"], line["trigger"], line["evicted"], line["result"]) == ("test", "schedule", 4, "success")
    assert len(audio_names(tmp_path)) == 8
    service.wait_for("schedule: nothing to remove")
    records = [json.loads(text) for text in (location.state_directory / "audit.jsonl").read_text().splitlines()]
    finished = next(record for record in records if record["event"] == "run_finished")
    assert (finished["run"], finished["trigger"], finished["actor"]) == (line["run"], "schedule", "daemon")


def test_a_run_that_finds_the_cache_locked_is_tried_again(tmp_path: Path, serve: Serve) -> None:
    """Never two runs on one cache, and none is lost in silence."""
    location = make_dozen(tmp_path).location
    with cache_lock(location):
        service = serve(write_config(tmp_path / "config.yaml", location, {**DROP, **EVERY_MINUTE}))
        service.wait_for("maintained by another process", "tried again")
        service.wait_for("maintained by another process", "tried again")
        assert len(audio_names(tmp_path)) == 12
    service.wait_for("schedule: evicted 4 items")


def test_a_run_that_meets_an_addition_is_tried_again(tmp_path: Path, serve: Serve) -> None:
    """While lines and vectors don't match nothing goes; soon after they do."""
    cache = make_dozen(tmp_path)
    (tmp_path / "started").touch()
    before = {name: (cache.location.path / name).read_bytes() for name in ARRAY_NAMES}
    cache.add("one more")
    cache.write()
    after = {name: (cache.location.path / name).read_bytes() for name in ARRAY_NAMES}
    for name, content in before.items():
        (cache.location.path / name).write_bytes(content)
    writer = {"mode": "live", "started_file": str(tmp_path / "started")}
    service = serve(write_config(tmp_path / "config.yaml", cache.location, {**DROP, **EVERY_MINUTE}, writer))
    service.wait_for("12 rows for 13 lines", "tried again")
    for name, content in after.items():
        (cache.location.path / name).write_bytes(content)
    service.wait_for("schedule: evicted 4 items")


def test_pressure_starts_a_run_within_five_seconds(tmp_path: Path, serve: Serve) -> None:
    """Of an addition above a mark; and none for what that run has made pending already."""
    cache = make_dozen(tmp_path)
    (tmp_path / "started").touch()
    policy = {"budget": {"items": {"high": 15, "low": 10}}, "limits": {"max_percent": "none"}}
    writer = {"mode": "live", "started_file": str(tmp_path / "started")}
    service = serve(write_config(tmp_path / "config.yaml", cache.location, policy, writer), scan=300.0)
    service.wait_for("12 items")
    for number in range(5):
        cache.add(f"more {number}")
    cache.write()
    added = time.monotonic()
    service.wait_for("above its marks: 17 items of 15")
    line = service.wait_for("pressure: evicted 7 items")
    assert time.monotonic() - added < 5
    assert (line["trigger"], line["pending"]) == ("pressure", 7)
    cache.add_stray("noise_1761234567890.wav")
    service.wait_for("10 items", "looked")
    assert not service.said("pressure", "nothing to remove")


def test_a_missed_run_is_made_up_for_at_the_start(tmp_path: Path, serve: Serve) -> None:
    location = make_dozen(tmp_path).location
    now = time.time()
    save_standing(location, Standing(since=now - 90_000, last_success=now - 7_300))
    policy = {**DROP, "schedule": {"cron": "@hourly", "catch_up": "24h"}}
    service = serve(write_config(tmp_path / "config.yaml", location, policy))
    service.wait_for("a run was missed")
    line = service.wait_for("catch_up: evicted 4 items")
    assert line["trigger"] == "catch_up"
    assert service.end() == 0

    again = serve(write_config(tmp_path / "config.yaml", location, policy))
    again.wait_for("looked")
    assert not again.said("a run was missed") or time.time() % 3600 < 60


@pytest.mark.parametrize("schedule", [{"cron": "@hourly"}, {"cron": "@hourly", "catch_up": "1m"}])
def test_a_missed_run_is_not_made_up_for_unless_that_is_wanted(
    tmp_path: Path, serve: Serve, schedule: dict[str, str]
) -> None:
    """Without `catch_up`, or when it is further back."""
    location = make_dozen(tmp_path).location
    save_standing(location, Standing(since=0.0, last_success=time.time() - 90_000))
    service = serve(write_config(tmp_path / "config.yaml", location, {**DROP, "schedule": schedule}))
    service.wait_for("looked")
    assert not service.said("a run was missed") or time.time() % 3600 < 120


def test_files_go_soon_after_the_generator_was_started_again(tmp_path: Path, serve: Serve) -> None:
    location = make_dozen(tmp_path).location
    started = tmp_path / "started"
    started.touch()
    writer = {"mode": "live", "started_file": str(started)}
    policy = {**DROP, "budget": {"items": {"high": 10, "low": 10}}}
    service = serve(write_config(tmp_path / "config.yaml", location, policy, writer))
    service.wait_for("pressure: evicted 4 items", "4 files")
    assert len(audio_names(tmp_path)) == 12
    moment = time.time() + 1
    os.utime(started, (moment, moment))
    service.wait_for("the generator was started again")
    service.wait_for("release: ", "4 files of items retired before went")
    assert len(audio_names(tmp_path)) == 8


def test_a_second_cleaner_is_noticed_and_named(tmp_path: Path, serve: Serve) -> None:
    """Files that vanish without us, again and again."""
    cache = make_dozen(tmp_path)
    service = serve(write_config(tmp_path / "config.yaml", cache.location, DROP))
    for name in sorted(audio_names(tmp_path))[:3]:
        service.wait_for("looked")
        (cache.output / name).unlink()
        service.wait_for("1 files of items vanished, and it wasn't this service")
    assert service.said("3 in 3 looks: is another cleaner at work")


def test_a_volume_that_is_not_mounted_is_left_alone(tmp_path: Path, serve: Serve) -> None:
    """An empty directory instead of the cache: nothing is made in it, and all goes on when it is back."""
    location = make_dozen(tmp_path).location
    service = serve(write_config(tmp_path / "config.yaml", location, {**DROP, **EVERY_MINUTE}))
    service.wait_for("schedule: evicted 4")
    volume = location.path.rename(tmp_path / "volume")
    location.path.mkdir()
    service.wait_for("schedule: failed", "doesn't exist")
    service.wait_for("schedule: failed", "doesn't exist")
    assert list(location.path.iterdir()) == []
    location.path.rmdir()
    volume.rename(location.path)
    service.wait_for("all is well again")
    service.wait_for("schedule: nothing to remove")
