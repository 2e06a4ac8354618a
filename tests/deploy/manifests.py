"""What is in deploy/kubernetes: as it is written, and as kustomize renders it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from tools import give_up, needs

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())
TREES = ("base", *(f"overlays/{name}" for name in OVERLAYS))
IMAGE = "audio-cache-daemon"

Document: TypeAlias = Mapping[str, Any]


def deploy_tool(name: str) -> str:
    """The path of a tool that `make deploy-tools` installs; the test is skipped without, and fails there in CI."""
    path = ROOT / ".venv-deploy" / "bin" / name
    if not path.exists():
        give_up(f"this test needs {name}: make deploy-tools")
    return str(path)


def render(tree: str | Path) -> str:
    """A directory as kustomize renders it."""
    directory = KUBERNETES / tree
    done = subprocess.run(
        [needs("kubectl", "kubernetes-client"), "kustomize", str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def rendered(tree: str | Path) -> list[Document]:
    return list(yaml.safe_load_all(render(tree)))


def written() -> dict[str, Document]:
    """All manifests and patches as they are written, by their path."""
    paths = [path for path in KUBERNETES.rglob("*.yaml") if path.name not in ("kustomization.yaml", "config.yaml")]
    return {str(path.relative_to(KUBERNETES)): yaml.safe_load(path.read_text()) for path in sorted(paths)}


def configurations() -> list[Path]:
    """The configurations that are shipped with the manifests and with the compose file."""
    return sorted((ROOT / "deploy").rglob("config.yaml"))


def pod_of(document: Document) -> Document | None:
    """The specification of the pods that a document makes; None if it makes none."""
    spec = document.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    pod: Document | None = spec.get("template", {}).get("spec")
    return pod


def containers_of(pod: Document) -> Iterator[Document]:
    yield from pod.get("initContainers", [])
    yield from pod.get("containers", [])


def is_ours(container: Document) -> bool:
    return str(container.get("image", "")).partition(":")[0] == IMAGE
