"""What the running service says by HTTP: metrics, health, readiness, status."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from services import DROP, EVERY_MINUTE, PATIENCE, Serve, ServiceProcess, command, make_dozen, write_config

from audio_cache_daemon.eviction.lock import cache_lock
from builders import CacheBuilder
from tools import needs

UNDER_PRESSURE = {**DROP, "budget": {"items": {"high": 11, "low": 11}}}


def address_of(service: ServiceProcess) -> str:
    """Where it listens."""
    message = service.wait_for("http: listening on ")["message"]
    return str(message).removeprefix("http: listening on ").rstrip("/")


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def read_metrics(address: str) -> dict[str, float]:
    """The series by name and labels, without the prefix and the cache's label."""
    _, text = get(f"{address}/metrics")
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            series, value = line.rsplit(" ", 1)
            series = series.removeprefix("audio_cache_").replace('cache="test",', "").replace('cache="test"', "")
            found[series.removesuffix("{}")] = float(value)
    return found


def wait_for_metric(address: str, series: str, value: float) -> dict[str, float]:
    """The metrics, once this one has that value."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = read_metrics(address)
        if found.get(series) == value:
            return found
        time.sleep(0.05)
    pytest.fail(f"{series} is {found.get(series)}, not {value}")


def wait_until_ready(address: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while get(f"{address}/readyz") != (200, "ok\n"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_metrics_tell_what_the_service_did(tmp_path: Path, serve: Serve) -> None:
    cache = make_dozen(tmp_path)
    policy = {**UNDER_PRESSURE, "schedule": {"every": "1h"}}
    service = serve(write_config(tmp_path / "config.yaml", cache.location, policy))
    address = address_of(service)
    found = wait_for_metric(address, 'evicted_items_total{rule="drop"}', 4)
    assert found['runs_total{result="success",trigger="pressure"}'] == 1
    assert found["run_duration_seconds_count"] >= 1
    found = wait_for_metric(address, 'items{state="ok"}', 8)
    assert found['files{state="trash"}'] == 4
    assert found['limit{kind="items_high"}'] == 11
    assert found['evictable_items{rule="drop"}'] == found['evictable_items{rule="budget:items"}'] == 0
    assert found["watch_up"] == found["index_consistent"] == found["config_last_reload_successful"] == 1
    assert found["policy_interval_seconds"] == 60.0, "the quick service makes minutes seconds"
    assert found["audit_sequence"] == found["audit_records_total"] > 4
    assert 'evictable_items{rule="budget:size"}' not in found
    assert 'limit{kind="size_high_bytes"}' not in found
    assert abs(found["last_success_timestamp_seconds"] - time.time()) < PATIENCE
    assert found["next_run_timestamp_seconds"] > found["policy_loaded_timestamp_seconds"]
    assert found["process_resident_memory_bytes"] > 10_000_000


def test_the_metrics_tell_what_others_did(tmp_path: Path, serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """A restore, a file that vanished, a pause, a cache that is locked."""
    cache = make_dozen(tmp_path)
    config = write_config(tmp_path / "config.yaml", cache.location, DROP)
    assert command(config, "run-once") == 0
    address = address_of(serve(config))
    wait_for_metric(address, 'items{state="ok"}', 8)
    capsys.readouterr()
    assert command(config, "trash", "list", "--format", "json") == 0
    run = json.loads(capsys.readouterr().out)["caches"][0]["runs"][0]["run"]
    assert command(config, "trash", "restore", run) == 0
    wait_for_metric(address, "restored_items_total", 4)
    next(cache.output.glob("keep*.wav")).unlink()
    wait_for_metric(address, "foreign_removals_total", 1)
    wait_for_metric(address, 'items{state="missing"}', 1)
    assert command(config, "pause") == 0
    wait_for_metric(address, "paused", 1)
    assert command(config, "resume") == 0
    wait_for_metric(address, "paused", 0)


def test_a_run_that_found_the_cache_locked_is_counted(tmp_path: Path, serve: Serve) -> None:
    cache = make_dozen(tmp_path)
    with cache_lock(cache.location):
        service = serve(write_config(tmp_path / "config.yaml", cache.location, {**DROP, **EVERY_MINUTE}))
        address = address_of(service)
        wait_for_metric(address, 'runs_total{result="locked",trigger="schedule"}', 1)
    wait_for_metric(address, 'runs_total{result="success",trigger="schedule"}', 1)


def test_what_has_no_value_has_no_series(tmp_path: Path, serve: Serve) -> None:
    """An empty cache without schedule and budget that never ran: no averages, no times, no NaN."""
    cache = CacheBuilder(tmp_path)
    service = serve(write_config(tmp_path / "config.yaml", cache.write(), DROP))
    found = wait_for_metric(address_of(service), 'items{state="ok"}', 0)
    absent = (
        "quality",
        "duration_seconds_average",
        "oldest",
        "newest",
        "last_",
        "next_run",
        "policy_interval",
        "pending",
    )
    assert not [series for series in found if series.startswith(absent)]
    assert not [series for series in found if series.startswith("limit{")]
    assert all(value == value for value in found.values())  # noqa: PLR0124 -- NaN is unlike itself
    assert found["retired_ratio"] == 0


def test_the_status_is_that_of_the_command(tmp_path: Path, serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path / "config.yaml", make_dozen(tmp_path).location, UNDER_PRESSURE)
    address = address_of(serve(config))
    wait_for_metric(address, 'items{state="ok"}', 8)
    capsys.readouterr()
    assert command(config, "status", "--format", "json") == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    served: dict[str, Any] = json.loads(get(f"{address}/api/v1/status")[1])
    for status in (said, served):
        status["caches"][0].pop("seen")
    assert served == said


def test_the_service_is_healthy_at_once_and_ready_when_it_has_looked(tmp_path: Path, serve: Serve) -> None:
    service = serve(write_config(tmp_path / "config.yaml", make_dozen(tmp_path).location, DROP))
    address = address_of(service)
    assert get(f"{address}/healthz") == (200, "ok\n")
    assert get(f"{address}/readyz")[0] in (200, 503)
    wait_until_ready(address)
    assert service.said("looked")
    assert get(f"{address}/nothing")[0] == 404


def test_the_page_tells_what_the_service_did(tmp_path: Path, serve: Serve) -> None:
    """And what a run of before a restart did."""
    config = write_config(tmp_path / "config.yaml", make_dozen(tmp_path).location, UNDER_PRESSURE)
    service = serve(config)
    address = address_of(service)
    wait_for_metric(address, 'items{state="ok"}', 8)
    page = get(f"{address}/")[1]
    for words in ("<h1>test: It is within its limits. It holds 8 items", "evicts above 11", "above a mark", "success"):
        assert words in page
    assert "evicted 4 items and files" in page
    assert "In the trash: " in page
    assert service.end() == 0
    again = address_of(serve(config))
    wait_until_ready(again)
    assert "evicted 4 items and files" in get(f"{again}/")[1]


def test_the_page_may_load_nothing_from_elsewhere(tmp_path: Path, serve: Serve) -> None:
    address = address_of(serve(write_config(tmp_path / "config.yaml", make_dozen(tmp_path).location, DROP)))
    with urllib.request.urlopen(f"{address}/", timeout=PATIENCE) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert "script" not in policy


def test_a_loop_that_hangs_is_unhealthy(tmp_path: Path, serve: Serve) -> None:
    """Here all that may be silent for no time at all."""
    service = serve(write_config(tmp_path / "config.yaml", make_dozen(tmp_path).location, DROP), stale=0.0)
    address = address_of(service)
    service.wait_for("looked")
    status, text = get(f"{address}/healthz")
    assert status == 503
    assert text.startswith("these loops hang: ")
    assert "scheduler" in text


def test_a_cache_that_can_not_be_seen_is_an_alert_and_not_a_probe(tmp_path: Path, serve: Serve) -> None:
    location = make_dozen(tmp_path).location
    config = write_config(tmp_path / "config.yaml", location, DROP)
    location.path.rename(tmp_path / "elsewhere")
    service = serve(config)
    address = address_of(service)
    wait_until_ready(address)
    assert "doesn't exist" in get(f"{address}/api/v1/status")[1]


def test_a_taken_port_ends_the_start_with_what_to_do(tmp_path: Path) -> None:
    location = make_dozen(tmp_path).location
    with socket.create_server(("127.0.0.1", 0)) as taken:
        http = {"listen": f"127.0.0.1:{taken.getsockname()[1]}"}
        config = write_config(tmp_path / "config.yaml", location, DROP, http=http)
        ended = subprocess.run(
            [sys.executable, "-m", "audio_cache_daemon", "--config", str(config), "run"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert ended.returncode == 1
    assert f"http.listen: {http['listen']} can't be used (Address already in use)" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_at_a_reload_leaves_the_old_one_in_force(tmp_path: Path, serve: Serve) -> None:
    """And the whole configuration before, loudly; a free one is taken."""
    location, config = make_dozen(tmp_path).location, tmp_path / "config.yaml"
    service = serve(write_config(config, location, DROP))
    address = address_of(service)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        write_config(config, location, DROP, http={"listen": f"127.0.0.1:{taken.getsockname()[1]}"})
        line = service.wait_for("http.listen", "can't be used")
        assert line["level"] == "error"
        service.wait_for("the one before stays in force")
        wait_for_metric(address, "config_last_reload_successful", 0)
    service.send(signal.SIGHUP)
    moved = address_of(service)
    assert moved != address
    wait_for_metric(moved, "config_last_reload_successful", 1)
    with pytest.raises(urllib.error.URLError):
        get(address)


def test_an_address_for_others_is_warned_of_and_may_take_the_place_of_ours(tmp_path: Path, serve: Serve) -> None:
    """The same port, for all of the machine's addresses: we have it ourselves."""
    location, config = make_dozen(tmp_path).location, tmp_path / "config.yaml"
    service = serve(write_config(config, location, DROP))
    port = address_of(service).rpartition(":")[2]
    write_config(config, location, DROP, http={"listen": f"0.0.0.0:{port}"})
    service.wait_for(f"http: listening on http://0.0.0.0:{port}/")
    line = service.wait_for("anyone who reaches", "without a password")
    assert line["level"] == "warning"
    assert get(f"http://127.0.0.1:{port}/healthz")[0] == 200


def test_without_an_address_nothing_is_served(tmp_path: Path, serve: Serve) -> None:
    config = write_config(tmp_path / "config.yaml", make_dozen(tmp_path).location, DROP, http={"listen": "none"})
    service = serve(config)
    service.wait_for("looked")
    assert not service.said("http: listening")
    assert service.end() == 0


def test_three_hundred_silent_connections_hold_no_scrape_up(tmp_path: Path, serve: Serve) -> None:
    """Nor do clients that began a request and say no more: the next answer takes less than two seconds."""
    address = address_of(serve(write_config(tmp_path / "config.yaml", make_dozen(tmp_path).location, DROP)))
    wait_until_ready(address)
    host, port = address.removeprefix("http://").split(":")
    with ExitStack() as stack:
        for number in range(300):
            client = stack.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE))
            client.sendall(b"GET /metrics" if number % 2 else b"")
        begun = time.monotonic()
        assert get(f"{address}/metrics")[0] == 200
        assert time.monotonic() - begun < 2


def test_prometheus_has_nothing_to_say_about_a_scrape(tmp_path: Path, serve: Serve) -> None:
    service = serve(write_config(tmp_path / "config.yaml", make_dozen(tmp_path).location, UNDER_PRESSURE))
    address = address_of(service)
    wait_for_metric(address, 'items{state="ok"}', 8)
    text = get(f"{address}/metrics")[1]
    checked = subprocess.run(
        [needs("promtool", "prometheus"), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert re.search(r'^audio_cache_build_info\{python="3\..+",version=".+"\} 1\.0$', text, re.MULTILINE)
