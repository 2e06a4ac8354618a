"""What the service is told while it runs, and what it tells: pause, resume, accept-policy, status."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from services import DROP, EVERY_MINUTE, Serve, command, make_dozen, write_config

CAREFUL: dict[str, Any] = {"first_run": {"confirm_above": "10%"}}


def read_status(capsys: pytest.CaptureFixture[str], config: Path) -> dict[str, Any]:
    capsys.readouterr()
    assert command(config, "status", "--format", "json") == 0
    (cache,) = json.loads(capsys.readouterr().out)["caches"]
    assert isinstance(cache, dict)
    return cache


def count_audio(directory: Path) -> int:
    return len(list((directory / "audio").glob("*.wav")))


def test_a_pause_holds_runs_back_and_survives_a_restart(
    tmp_path: Path, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path / "config.yaml", make_dozen(tmp_path).location, {**DROP, **EVERY_MINUTE})
    assert command(config, "pause") == 0
    service = serve(config)
    service.wait_for("paused by")
    service.wait_for("schedule: not run, it is paused until `resume`")
    assert read_status(capsys, config)["paused"]
    assert count_audio(tmp_path) == 12
    assert command(config, "resume") == 0
    service.wait_for("resumed")
    service.wait_for("schedule: evicted 4")
    assert command(config, "pause", "--until", "2100-01-01") == 0
    service.wait_for("paused until 2100-01-01T00:00:00Z by")
    assert read_status(capsys, config)["next_run"] == "2100-01-01T00:01:00Z"
    assert command(config, "pause", "--until", "2001-01-01") == 2


def test_a_new_policy_that_takes_much_waits_until_it_is_accepted(
    tmp_path: Path, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once accepted it runs, and isn't asked for again; a changed one is new."""
    location, config = make_dozen(tmp_path).location, tmp_path / "config.yaml"
    service = serve(write_config(config, location, {**DROP, **EVERY_MINUTE}, **CAREFUL))
    awaited = service.wait_for("the policy standard is new, and would evict 4 of 12 items and files")["awaiting"]
    assert count_audio(tmp_path) == 12
    status = read_status(capsys, config)
    assert status["awaiting"] == status["policy_hash"] == awaited
    assert any(f"accept-policy {awaited}" in problem for problem in status["problems"])
    assert command(config, "accept-policy", "0123456789ab") == 2
    assert command(config, "accept-policy", awaited) == 0
    service.wait_for(f"policy {awaited} was accepted")
    service.wait_for("evicted 4")
    service.wait_for("schedule: nothing to remove")
    assert read_status(capsys, config)["awaiting"] is None
    write_config(config, location, {**DROP, **EVERY_MINUTE, "budget": {"items": {"high": 6, "low": 5}}}, **CAREFUL)
    service.wait_for("is new, and would evict 3 of 8")


def test_a_new_policy_that_takes_little_runs_at_once(tmp_path: Path, serve: Serve) -> None:
    """A tenth of the cache exactly is little."""
    cache = make_dozen(tmp_path)
    policy = {"rules": [{"name": "one", "pattern": "keep 11"}], **EVERY_MINUTE}
    config = write_config(tmp_path / "config.yaml", cache.location, policy, **CAREFUL)
    service = serve(config)
    service.wait_for("schedule: evicted 1 items")


def test_status_tells_the_same_with_a_service_and_without(
    tmp_path: Path, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = {**DROP, "schedule": {"cron": "@daily"}, "budget": {"items": {"high": 11, "low": 11}}}
    config = write_config(tmp_path / "config.yaml", make_dozen(tmp_path).location, policy)
    before = read_status(capsys, config)
    assert (before["service"], before["last_run"], before["items"]) == (False, None, 12)
    assert before["marks"]["items"] == {"value": 12, "limit": 11, "goal": 11, "crossed": True}
    assert before["next_run"].endswith("T00:00:00Z")
    service = serve(config)
    service.wait_for("pressure: evicted 4")
    service.wait_for("looked")
    beside = read_status(capsys, config)
    assert beside["last_run"]["trigger"] == "pressure"
    assert service.end() == 0
    after = read_status(capsys, config)
    assert (after["service"], after["trash"]["items"], after["items"]) == (False, 4, 8)
    assert {**after, "service": True, "seen": ""} == {**beside, "seen": ""}
    assert command(config, "status") == 0
    assert "pressure: evicted 4 items" in capsys.readouterr().out


def test_status_tells_that_a_service_is_there(tmp_path: Path, serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """Until it is no more, however it ended."""
    config = write_config(tmp_path / "config.yaml", make_dozen(tmp_path).location, DROP)
    service = serve(config)
    service.wait_for("looked")
    assert read_status(capsys, config)["service"]
    os.kill(service.pid, signal.SIGKILL)
    service.wait()
    assert not read_status(capsys, config)["service"]
