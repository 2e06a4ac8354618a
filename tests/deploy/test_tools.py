"""What is in deploy/ under the tools of those who run it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from dockerfile import DOCKERFILE, IMAGE
from manifests import (
    KUBERNETES,
    ROOT,
    TREES,
    Document,
    containers_of,
    deploy_tool,
    is_ours,
    pod_of,
    render,
    rendered,
)

from audio_cache_daemon import __version__

README = ROOT / "README.md"
DEFINED_ELSEWHERE = {"PodMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator, which the schemas of Kubernetes don't know."""

FORBIDDEN_BY_BASELINE = {"hostPath", "hostNetwork", "hostPID", "hostIPC"}


@pytest.fixture(scope="module", params=TREES)
def tree(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def pods(tree: str | Path) -> list[Document]:
    return [pod for document in rendered(tree) if (pod := pod_of(document)) is not None]


def check(*words: str) -> None:
    """Run a tool that must be content."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_kubernetes_accepts_it(tree: str, tmp_path: Path) -> None:
    known = [document for document in rendered(tree) if document["kind"] not in DEFINED_ELSEWHERE]
    assert known
    file = tmp_path / "rendered.yaml"
    file.write_text(yaml.safe_dump_all(known))
    check(deploy_tool("kubernetes-validate"), "--strict", str(file))


@pytest.mark.slow
def test_checkov_accepts_all(tmp_path: Path) -> None:
    for tree in TREES:
        (tmp_path / f"{tree.replace('/', '-')}.yaml").write_text(render(tree))
    config = Path(__file__).with_name("checkov.yaml")
    check(deploy_tool("checkov"), "--config-file", str(config), "--directory", str(tmp_path))


def test_hadolint_accepts_the_dockerfile() -> None:
    check(deploy_tool("hadolint"), "--failure-threshold", "style", str(DOCKERFILE))


def test_docker_compose_accepts_the_compose_file() -> None:
    check(deploy_tool("docker-compose"), "--file", str(IMAGE / "compose.yaml"), "config", "--quiet")


def test_all_pods_are_restricted() -> None:
    """As Pod Security `restricted` asks; only a directory of the node can't be had under it."""
    for tree in TREES:
        for pod in pods(tree):
            assert pod["automountServiceAccountToken"] is False
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
            for container in containers_of(pod):
                context = container["securityContext"]
                assert context["allowPrivilegeEscalation"] is False
                assert context["readOnlyRootFilesystem"] is True
                assert context["capabilities"] == {"drop": ["ALL"]}
            used = {key for part in (pod, *pod["volumes"]) for key in part} & FORBIDDEN_BY_BASELINE
            assert used == ({"hostPath"} if tree == "overlays/daemonset" else set())


def test_there_is_one_kind_of_daemon_in_each_tree() -> None:
    kinds = {tree: [document["kind"] for document in rendered(tree) if pod_of(document)] for tree in TREES}
    assert kinds == {
        "base": ["Deployment"],
        "overlays/cronjob": ["CronJob"],
        "overlays/daemonset": ["DaemonSet"],
        "overlays/monitoring": [],
        "overlays/sidecar": ["Deployment"],
    }


def test_two_pods_of_a_deployment_never_meet() -> None:
    """The old generator would still serve what the new one's start lets go."""
    for tree in ("base", "overlays/sidecar"):
        (deployment,) = [document for document in rendered(tree) if document["kind"] == "Deployment"]
        assert deployment["spec"]["replicas"] == 1
        assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_passes_of_a_cronjob_never_overlap_and_are_not_repeated_at_once() -> None:
    (job,) = [document["spec"] for document in rendered("overlays/cronjob") if document["kind"] == "CronJob"]
    assert job["concurrencyPolicy"] == "Forbid"
    assert job["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert job["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_the_sidecar_knows_when_the_generator_was_started() -> None:
    (pod,) = pods("overlays/sidecar")
    assert [container["name"] for container in pod["initContainers"]] == ["touch-started"]
    assert {container["name"] for container in pod["containers"]} == {"daemon", "generator"}
    assert not [document for document in rendered("overlays/sidecar") if document["kind"] == "NetworkPolicy"]


def test_the_kustomization_of_the_readme_works(tmp_path: Path) -> None:
    """With a clone beside it. The claim, the image and the configuration are the operator's, all else is the base."""
    (text,) = [
        block for block in re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL) if "Kustomization" in block
    ]
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "kustomization.yaml").write_text(text)
    (tmp_path / "own" / "config.yaml").write_text("version: 1\n")
    (tmp_path / "audio-cache-daemon").symlink_to(ROOT)
    documents = {document["kind"]: document for document in rendered(tmp_path / "own")}
    assert documents["ConfigMap"]["data"] == {"config.yaml": "version: 1\n"}
    assert documents["ConfigMap"]["metadata"]["name"] == "audio-cache-daemon"
    pod = pod_of(documents["Deployment"])
    assert pod is not None
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert claims == {"data": "sounds", "state": "audio-cache-daemon"}
    images = [container["image"] for container in containers_of(pod)]
    assert images == [f"registry.example.org/audio-cache-daemon:{__version__}"]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_generator_of_any_kind_gets_the_init_container(kind: str, tmp_path: Path) -> None:
    """From the label alone, as the README says; another workload beside it is left as it was."""
    labelled = {"name": "sounds", "labels": {"audio-cache-generator": "true"}}
    spec = {"template": {"spec": {"containers": [{"name": "main", "image": "sounds:2"}]}}}
    documents = [
        {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}
        for metadata in (labelled, {"name": "other"})
    ]
    (tmp_path / "workloads.yaml").write_text(yaml.safe_dump_all(documents))
    component = Path("../" * len(tmp_path.parts)) / str(KUBERNETES / "generator").lstrip("/")
    (tmp_path / "kustomization.yaml").write_text(f"resources: [workloads.yaml]\ncomponents: [{component}]\n")
    found = {document["metadata"]["name"]: pod_of(document) for document in rendered(tmp_path)}
    assert {name: "initContainers" in (pod or {}) for name, pod in found.items()} == {"sounds": True, "other": False}
    sounds = found["sounds"]
    assert sounds is not None
    assert [is_ours(container) for container in containers_of(sounds)] == [True, False]
