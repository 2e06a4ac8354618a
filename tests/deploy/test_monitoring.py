"""The real service, busy, and a real Prometheus: all that dashboards and rules ask for is there."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from monitoring_files import alerts, operands, panel_queries, recordings, without_comparison
from msgspec.structs import replace
from prometheus_server import PrometheusServer
from services import EVERY_MINUTE, ServiceProcess, quick_command, write_config

from audio_cache_daemon.demo.bulk import BulkOptions, make_cache
from audio_cache_daemon.location import CacheLocation
from live_generator import fill_cache
from live_generator_process import GeneratorProcess
from tools import needs

VARIABLES = {
    "$__rate_interval": "4s",
    "$__range": "10s",
    "$job": "audio-cache-daemon",
    "$cache": "(stopped|live)",
}
"""What Grafana fills in."""

BUDGET = {
    "size": {"high": "20MiB", "low": "10MiB"},
    "items": {"high": 400, "low": 300},
    "disk": {"min_free": "1MiB", "resume_free": "2MiB"},
}
RULES = [{"name": "stale", "max_age": "70d"}, {"name": "takes", "dedupe": {"by": "prompt", "keep": 3}}]
LIVE_BUDGET = {**BUDGET, "items": {"high": 30, "low": 20}}
LONG_ENOUGH = 90.0


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    """A service with two caches: a large one that was cleaned, and a small one beside its generator."""
    stopped = replace(make_cache(tmp_path / "stopped", 400, BulkOptions(time.time())), name="stopped")
    live = CacheLocation("live", tmp_path / "live" / "cache", (tmp_path / "live",))
    live.path.mkdir(parents=True)
    fill_cache(live.path, live.audio_roots[0], [f"prompt {number}" for number in range(25)])
    (tmp_path / "started").touch()
    writers = {"stopped": {"mode": "stopped"}, "live": {"mode": "live", "started_file": str(tmp_path / "started")}}
    caches = {
        location.name: {
            "path": str(location.path),
            "audio_roots": [str(location.audio_roots[0])],
            "policy": location.name,
            "writer": writers[location.name],
        }
        for location in (stopped, live)
    }
    policies = {"stopped": {**EVERY_MINUTE, "rules": RULES, "budget": BUDGET}, "live": {"budget": LIVE_BUDGET}}
    config = write_config(tmp_path / "config.yaml", stopped, {}, caches=caches, policies=policies)
    process = ServiceProcess(quick_command(config, {}), {})
    yield process
    process.clean_up()
    assert not process.said("nobody thought of")


@pytest.fixture
def prometheus(tmp_path: Path, service: ServiceProcess) -> Iterator[PrometheusServer]:
    """It scrapes the service."""
    program = needs("prometheus", "prometheus")
    (tmp_path / "prometheus").mkdir()
    address = service.wait_for("listening on http://")["message"].split("http://")[1].rstrip("/")
    scrape = {"static_configs": [{"targets": [address]}]}
    with closing(PrometheusServer(program, tmp_path / "prometheus", scrape)) as server:
        yield server


@pytest.mark.slow
def test_each_panel_and_each_rule_finds_data_of_a_busy_service(
    tmp_path: Path, service: ServiceProcess, prometheus: PrometheusServer
) -> None:
    """While the generator adds items, runs evict some, files wait, and the configuration is reloaded."""
    wanted = {
        **{query.name: fill_in(query.expr) for query in panel_queries()},
        **{f"rule {rule['record']} {rule.get('labels', '')}": rule["expr"] for rule in recordings()},
        **{f"series {rule['record']}": rule["record"] for rule in recordings()},
        **{
            f"alert {alert['alert']}: {operand}": without_comparison(operand)
            for alert in alerts()
            for operand in operands(alert["expr"])
        },
    }
    service.wait_for("evicted", "stopped")
    service.send(signal.SIGHUP)
    cache, output = tmp_path / "live" / "cache", tmp_path / "live"
    with GeneratorProcess(cache, output, started_file=tmp_path / "started") as generator:
        lacking = wait_for_data(prometheus, wanted, lambda: generator.add("one more", "and another"))
    assert lacking == []
    assert service.said("pressure: evicted")
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == len(recordings()) + len(alerts())
    assert [rule["lastError"] for rule in rules if rule["health"] != "ok"] == []


def wait_for_data(server: PrometheusServer, wanted: dict[str, str], work: Callable[[], None]) -> list[str]:
    """Keep the service busy until all expressions have data; the names of those that still have none."""
    deadline = time.monotonic() + LONG_ENOUGH
    lacking = list(wanted)
    while lacking and time.monotonic() < deadline:
        work()
        lacking = [name for name in lacking if not server.has_data(wanted[name])]
    return lacking


def fill_in(expr: str) -> str:
    for variable, value in VARIABLES.items():
        expr = expr.replace(variable, value)
    assert "$" not in expr
    return expr
