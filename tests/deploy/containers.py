"""Root file systems built and run as an engine would, with what Linux has: for where there is no engine. As root."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile import Stage, context_paths, read_stages

ROOT = Path(__file__).parents[2]
_started: list[subprocess.Popen[str]] = []
IGNORED = shutil.ignore_patterns("__pycache__")


def make_base(base: Path) -> None:
    """Debian 13 with Python where the official image has it; a stand-in, as no registry of images is asked."""
    packages = "python3,python3-venv,tzdata,ca-certificates,netbase"
    half = base.with_name(f"{base.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={packages}", "trixie", str(half)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    _chroot(half, ["python3", "-m", "venv", "/usr/local"], {})
    half.rename(base)


def build_image(base: Path, work: Path) -> Path:
    """Carry out the Dockerfile's steps; the root file system of the image."""
    context = work / "context"
    for name in context_paths():
        _copy(ROOT / name, context / name)
    roots: dict[str, Path] = {}
    for number, stage in enumerate(read_stages()):
        roots[stage.name] = root = work / f"stage-{number}"
        subprocess.run(["cp", "--archive", "--reflink=auto", str(base), str(root)], check=True)
        _build_stage(stage, root, {"": context, **roots})
    return root


def _build_stage(stage: Stage, root: Path, sources: Mapping[str, Path]) -> None:
    directory = "/"
    environment: dict[str, str] = {}
    for step in stage.steps:
        if step.instruction == "WORKDIR":
            directory = step.text
            (root / directory[1:]).mkdir(parents=True, exist_ok=True)
        elif step.instruction == "ENV":
            environment.update((name, value) for name, _, value in (word.partition("=") for word in step.words))
        elif step.instruction == "COPY":
            *names, target = [word for word in step.words if not word.startswith("--from=")]
            source = sources[step.words[0].removeprefix("--from=") if step.words[0].startswith("--") else ""]
            goal = root / os.path.join(directory, target).lstrip("/")  # noqa: PTH118 -- an absolute target replaces it
            for name in names:
                _copy(source / name.lstrip("/"), goal / Path(name).name if target.endswith("/") else goal)
        elif step.instruction == "RUN":
            _chroot(root, ["sh", "-c", f"cd {shlex.quote(directory)} && {step.text}"], environment)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=IGNORED if source.is_relative_to(ROOT) else None)
    else:
        shutil.copy2(source, target)


def _chroot(root: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a step of a build, with the network and the certificates of this machine."""
    certificates = "/etc/ssl/certs/ca-certificates.crt"
    mounts = [f"mount --bind {path} {root}{path}" for path in ("/etc/resolv.conf", certificates) if Path(path).exists()]
    script = "; ".join(
        ["set -e", *[f"touch {line.split()[-1]}; {line}" for line in mounts], f"mount -t proc proc {root}/proc"]
    )
    path = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PIP_CERT": certificates, **environment}
    inside = shlex.join(
        ["chroot", str(root), "env", "-i", *[f"{name}={value}" for name, value in path.items()], *command]
    )
    subprocess.run(["unshare", "--mount", "--pid", "--fork", "sh", "-c", f"{script}; exec {inside}"], check=True)


@dataclass(frozen=True)
class Container:
    """How the image is run: root read-only, no capabilities, a network of its own, the mounts of compose.yaml."""

    root: Path
    mounts: Mapping[str, Path]
    user: str = "10001:10001"
    read_only: frozenset[str] = frozenset({"/etc/audio-cache-daemon"})
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, *arguments: str, entrypoint: Sequence[str] | None = None) -> subprocess.Popen[str]:
        """Start it as an engine would; its standard output and error are pipes. The process is PID 1 in there."""
        image = read_stages()[-1]
        command = [*(image.argv("ENTRYPOINT") if entrypoint is None else entrypoint), *arguments]
        root = shlex.quote(str(self.root))
        lines = ["set -e", "mount --make-rprivate /", f"mount --bind {root} {root}", f"mount -o remount,bind,ro {root}"]
        for place, source in self.mounts.items():
            # An engine makes the mount points that an image hasn't got.
            (self.root / place[1:]).mkdir(parents=True, exist_ok=True)
            lines.append(f"mount --bind {shlex.quote(str(source))} {root}{place}")
            if place in self.read_only:
                lines.append(f"mount -o remount,bind,ro {root}{place}")
        lines += [f"mount -t proc proc {root}/proc", f"mount --bind /dev/null {root}/dev/null", "ip link set lo up"]
        lines.append(f"exec {shlex.join(['chroot', str(self.root), *self._ordinary(), *command])}")
        words = [
            "unshare",
            "--mount",
            "--pid",
            "--net",
            "--ipc",
            "--uts",
            "--fork",
            "sh",
            "-c",
            "; ".join(lines),
        ]
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        _started.append(process)
        return process

    def run(self, *arguments: str, entrypoint: Sequence[str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        process = self.start(*arguments, entrypoint=entrypoint)
        out, error = process.communicate(timeout=300)
        return subprocess.CompletedProcess(arguments, process.returncode, out, error)

    def execute(self, process: subprocess.Popen[str], *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a container that runs, as `docker exec` and its health check do."""
        inside = init_of(process)
        words = ["nsenter", "--target", str(inside), "--mount", "--net", "--pid", "--ipc", "--uts", "--root", "--wd"]
        return subprocess.run([*words, *self._ordinary(), *command], capture_output=True, text=True, check=False)

    def _ordinary(self) -> list[str]:
        user, group = self.user.split(":")
        words = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"]
        words += ["--bounding-set=-all", "--inh-caps=-all"]
        environment = {**read_stages()[-1].environment, **self.environment}
        return [*words, "env", "-i", *[f"{name}={value}" for name, value in environment.items()]]


def kill_all() -> None:
    """End what still runs."""
    for process in _started:
        if process.poll() is None:
            os.kill(init_of(process), signal.SIGKILL)
            process.wait()


def init_of(process: subprocess.Popen[str]) -> int:
    """PID 1 of a container, as seen from outside: the one child of what made its namespaces, once that has forked."""
    deadline = time.monotonic() + 10
    while not (children := Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()):
        assert time.monotonic() < deadline, "no container came up"
        time.sleep(0.01)
    return int(children[0])
