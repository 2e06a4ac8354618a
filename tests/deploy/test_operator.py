"""What the Prometheus operator is given says what the files of deploy/prometheus and deploy/grafana say."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from manifests import KUBERNETES, ROOT, rendered
from monitoring_files import RULE_FILES, rules
from prometheus_server import PrometheusServer
from services import ServiceProcess, quick_command, write_config
from write_prometheus_rule import RULE, make_rule

from audio_cache_daemon.demo.bulk import BulkOptions, make_cache
from tools import needs

MONITORING = KUBERNETES / "overlays" / "monitoring"
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"


def test_the_resource_has_all_rules() -> None:
    assert RULE.read_text() == make_rule(), "make prometheus-rule"
    written = yaml.safe_load(RULE.read_text())["spec"]["groups"]
    assert len(written) == len(RULE_FILES)
    assert sorted(json.dumps(rule, sort_keys=True) for group in written for rule in group["rules"]) == sorted(
        json.dumps(rule, sort_keys=True) for rule in rules()
    )


def test_prometheus_accepts_the_rules_of_the_resource(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(yaml.safe_load(RULE.read_text())["spec"]))
    program = needs("promtool", "prometheus")
    done = subprocess.run(
        [program, "check", "rules", str(tmp_path / "rules.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboards_are_all_there_as_they_are() -> None:
    (resource,) = [document for document in rendered(MONITORING) if document["kind"] == "ConfigMap"]
    assert resource["data"] == {path.name: path.read_text() for path in DASHBOARDS.glob("*.json")}
    assert resource["metadata"]["labels"]["grafana_dashboard"] == "1"
    # Else `kubectl apply` couldn't note it down in an annotation.
    assert len(json.dumps(resource)) < 262144


@pytest.fixture
def addresses(tmp_path: Path) -> Iterator[list[str]]:
    """Of two services, each with a cache of the same name."""
    with ExitStack() as stack:
        services = []
        for node in ("north", "south"):
            config = write_config(
                tmp_path / f"{node}.yaml", make_cache(tmp_path / node, 30, BulkOptions(time.time())), {}
            )
            services.append(ServiceProcess(quick_command(config, {}), {}))
            stack.callback(services[-1].clean_up)
        said = [service.wait_for("listening on http://")["message"] for service in services]
        yield [message.split("http://")[1].rstrip("/") for message in said]


def as_scrape_config(endpoint: dict[str, Any]) -> dict[str, Any]:
    """How the operator writes an endpoint of a PodMonitor down for Prometheus."""
    names = {"sourceLabels": "source_labels", "targetLabel": "target_label"}

    def write(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{names.get(key, key): value for key, value in step.items()} for step in steps]

    return {
        "metrics_path": endpoint["path"],
        "relabel_configs": write(endpoint["relabelings"]),
        "metric_relabel_configs": write(endpoint["metricRelabelings"]),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("controller", "caches"), [("DaemonSet", ["north/test", "south/test"]), ("ReplicaSet", ["test"])]
)
def test_one_prometheus_tells_the_nodes_of_a_daemonset_apart(
    tmp_path: Path, addresses: list[str], controller: str, caches: list[str]
) -> None:
    """By the name of the cache, which is what dashboards and alerts show; that of another workload stays."""
    (endpoint,) = yaml.safe_load((MONITORING / "podmonitor.yaml").read_text())["spec"]["podMetricsEndpoints"]
    labels = {"__meta_kubernetes_pod_controller_kind": controller}
    targets = [
        {"targets": [address], "labels": {**labels, "__meta_kubernetes_pod_node_name": node}}
        for address, node in zip(addresses, ("north", "south"), strict=True)
    ]
    (tmp_path / "prometheus").mkdir()
    scrape = {**as_scrape_config(endpoint), "static_configs": targets}
    with closing(PrometheusServer(needs("prometheus", "prometheus"), tmp_path / "prometheus", scrape)) as server:
        query = "count by (cache, instance) (cache:audio_cache_items:sum)"
        deadline = time.monotonic() + 60
        while len(found := server.get("query", query=query)["result"]) < 2:
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
    assert sorted({series["metric"]["cache"] for series in found}) == caches
    instances = sorted(series["metric"]["instance"] for series in found)
    assert instances == (["north", "south"] if controller == "DaemonSet" else sorted(addresses))
