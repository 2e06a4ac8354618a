"""What the manifests, the Dockerfile and the compose file name exists in the program, and in each other."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
import yaml
from dockerfile import IMAGE, context_paths, read_stages
from manifests import KUBERNETES, ROOT, Document, configurations, containers_of, is_ours, pod_of, written

from audio_cache_daemon import __version__
from audio_cache_daemon.cli.app import app
from audio_cache_daemon.config.lint import lint
from audio_cache_daemon.config.load import load_settings
from audio_cache_daemon.config.place import CONFIG_VARIABLE, SYSTEM_CONFIG
from audio_cache_daemon.config.settings import HttpSettings, Settings
from audio_cache_daemon.daemon.site import Site

COMPOSE = yaml.safe_load((IMAGE / "compose.yaml").read_text())
DAEMON = COMPOSE["services"]["daemon"]
PORT = HttpSettings().port
PODS = {path: pod for path, document in written().items() if (pod := pod_of(document)) is not None}
OURS = {path: [each for each in containers_of(pod) if is_ours(each)] for path, pod in PODS.items()}
SERVICES = {path: each for path, ours in OURS.items() for each in ours if "args" in each}
UNUSED_BY_US = {"PATH", "PYTHONDONTWRITEBYTECODE"}


def paths_in(settings: Settings) -> list[Path]:
    """All paths that the program is told to use."""
    caches = settings.caches.values()
    own = [path for cache in caches for path in (cache.location.path, *cache.location.audio_roots)]
    started = [cache.writer.started_file for cache in caches if cache.writer.started_file is not None]
    return [*own, *started, *([settings.audit.directory] if settings.audit.directory is not None else [])]


def mounts_of(container: Document) -> list[str]:
    return [mount["mountPath"] for mount in container["volumeMounts"] if "$patch" not in mount]


def test_there_is_something_to_check() -> None:
    assert set(SERVICES) == {"base/deployment.yaml", "overlays/cronjob/cronjob.yaml"}
    assert len(configurations()) == 3


@pytest.mark.parametrize(
    "arguments",
    [read_stages()[-1].argv("CMD"), *(each["args"] for each in SERVICES.values())],
    ids=["Dockerfile", *SERVICES],
)
def test_arguments_are_understood(arguments: list[str]) -> None:
    name, *rest = arguments
    context = click.Context(app)
    command = app.get_command(context, name)
    assert command is not None
    command.make_context(name, rest, parent=context).close()


def test_an_argument_that_does_not_exist_is_found() -> None:
    with pytest.raises(click.UsageError):
        test_arguments_are_understood(["run-once", "--no-such-option"])


def test_environment_variables_are_read_by_the_program() -> None:
    """By the program itself, or by the configuration, which gives a default for those that nobody sets."""
    given = {each["name"] for ours in OURS.values() for container in ours for each in container.get("env", [])}
    given |= set(DAEMON.get("environment", {})) | set(read_stages()[-1].environment)
    referred = {match for path in configurations() for match in re.findall(r"\$\{(\w+)", path.read_text())}
    assert given <= UNUSED_BY_US | {CONFIG_VARIABLE} | referred
    needed = {match for path in configurations() for match in re.findall(r"\$\{(\w+)\}", path.read_text())}
    assert needed <= given


def test_all_speak_of_one_port() -> None:
    stage = read_stages()[-1]
    assert int(stage.one("EXPOSE")) == PORT
    assert f", {PORT}," in stage.argv("HEALTHCHECK")[-1]
    assert DAEMON["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    scrape = yaml.safe_load((IMAGE / "prometheus.yml").read_text())["scrape_configs"]
    assert [each["static_configs"] for each in scrape] == [[{"targets": [f"daemon:{PORT}"]}]]
    policy = written()["base/networkpolicy.yaml"]
    assert [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]] == [PORT]
    ports = {each["name"]: each["containerPort"] for each in SERVICES["base/deployment.yaml"]["ports"]}
    assert set(ports.values()) == {PORT}
    probes = [SERVICES["base/deployment.yaml"][f"{kind}Probe"]["httpGet"]["port"] for kind in ("liveness", "readiness")]
    endpoints = written()["overlays/monitoring/podmonitor.yaml"]["spec"]["podMetricsEndpoints"]
    assert {*probes, *(endpoint["port"] for endpoint in endpoints)} == set(ports)


def test_probes_and_scrapes_ask_for_pages_that_there_are() -> None:
    daemon = SERVICES["base/deployment.yaml"]
    probed = [daemon[f"{kind}Probe"]["httpGet"]["path"] for kind in ("liveness", "readiness")]
    endpoints = written()["overlays/monitoring/podmonitor.yaml"]["spec"]["podMetricsEndpoints"]
    healthy = re.findall(r"'GET', '(.+?)'", read_stages()[-1].argv("HEALTHCHECK")[-1])
    site = Site(tuple)
    for page in (*probed, *healthy, *(endpoint["path"] for endpoint in endpoints)):
        assert site.respond(page) is not None, page
    assert (probed, healthy) == (["/healthz", "/readyz"], ["/healthz"])


@pytest.mark.parametrize("path", configurations(), ids=lambda path: str(path.relative_to(ROOT)))
def test_shipped_configurations_fit(path: Path) -> None:
    """They can be used, are heard outside the container at the port, and at first remove nothing."""
    settings = load_settings(path, {})
    assert [finding for finding in lint(settings) if finding.level == "error"] == []
    assert settings.http is not None
    assert (settings.http.host, settings.http.port) == ("0.0.0.0", PORT)
    assert {policy.mode for policy in settings.policies.values()} == {"audit"}


@pytest.mark.parametrize(
    ("path", "mounts"),
    [
        (KUBERNETES / "base/config.yaml", mounts_of(SERVICES["base/deployment.yaml"])),
        (KUBERNETES / "base/config.yaml", mounts_of(SERVICES["overlays/cronjob/cronjob.yaml"])),
        (KUBERNETES / "overlays/daemonset/config.yaml", ["/data", str(SYSTEM_CONFIG.parent)]),
        (IMAGE / "config/config.yaml", [volume.rsplit(":/", 1)[1] for volume in DAEMON["volumes"]]),
    ],
    ids=["deployment", "cronjob", "daemonset", "compose"],
)
def test_paths_lie_on_volumes(path: Path, mounts: list[str]) -> None:
    """The configuration where the program looks for it, as a directory; all that is written on something writable."""
    places = [Path("/", mount.removesuffix(":ro")) for mount in mounts]
    assert SYSTEM_CONFIG.parent in places
    for used in paths_in(load_settings(path, {})):
        assert any(used.is_relative_to(place) for place in places), used


def test_nothing_is_mounted_by_subpath() -> None:
    """A file that is mounted so never changes, and a reload would never come."""
    assert not [path for path in KUBERNETES.rglob("*.yaml") if "subPath:" in path.read_text()]


def test_the_file_that_tells_of_a_start_is_the_one_that_the_configurations_name() -> None:
    (touch,) = OURS["generator/touch-started.yaml"]
    for path in configurations():
        (cache,) = load_settings(path, {}).caches.values()
        assert f"'{cache.writer.started_file}'" in touch["command"][-1]
    assert touch["volumeMounts"] == [{"name": "data", "mountPath": "/data"}]


def test_volumes_of_the_image_belong_to_its_user() -> None:
    """A named volume takes the owner of the directory that it covers."""
    stage = read_stages()[-1]
    user, group = stage.one("USER").split(":")
    (made,) = [step.text for step in stage.steps if step.instruction == "RUN"]
    assert f"--owner={user} --group={group}" in made
    mounts = [volume.rsplit(":/", 1)[1] for volume in DAEMON["volumes"] if not volume.endswith(":ro")]
    assert {f"/{mount}" for mount in mounts} == {word for word in made.split() if word.startswith("/")}
    assert f":-{user}:{group}}}" in DAEMON["user"]
    for pod in PODS.values():
        if "runAsUser" in pod.get("securityContext", {}):
            context = pod["securityContext"]
            assert {context["runAsUser"], context["runAsGroup"], context["fsGroup"]} == {int(user), int(group)}


def test_the_build_is_given_what_it_copies() -> None:
    given = context_paths()
    for name in given:
        assert (ROOT / name).exists(), name
    steps = [step for stage in read_stages() for step in stage.steps if step.instruction == "COPY"]
    copied = [word for step in steps if "--from=" not in step.text for word in step.words[:-1]]
    assert sorted(copied) == sorted(given)


def test_the_compose_file_mounts_what_is_there() -> None:
    for name, service in COMPOSE["services"].items():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or "${" in source or (IMAGE / source).exists(), (name, source)


def test_all_speak_of_one_version() -> None:
    tags = re.findall(r"(?:audio-cache-daemon:|newTag: )(\d\S+)", "".join(_texts()))
    assert len(tags) >= 4
    assert set(tags) == {__version__}


def _texts() -> list[str]:
    return [path.read_text() for path in (IMAGE / "compose.yaml", *KUBERNETES.rglob("kustomization.yaml"))]


def test_images_of_others_are_pinned_by_digest() -> None:
    bases = [stage.base for stage in read_stages()]
    others = [service["image"] for name, service in COMPOSE["services"].items() if name != "daemon"]
    assert len(set(bases)) == 1
    for image in (*bases, *others):
        assert re.fullmatch(r"[\w/]+:v?\d[\w.-]+@sha256:[0-9a-f]{64}", image), image
