"""Builds the image without an engine, and runs it as one would: `make prove-image`. As root; takes a few minutes.

The base of the image is Debian 13 from debootstrap, kept in the work directory for the next time.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from containers import ROOT, Container, build_image, init_of, kill_all, make_base
from dockerfile import read_stages

WORK = Path(sys.argv[1] if len(sys.argv) > 1 else "/var/tmp/audio-cache-image")
GENERATOR = ROOT / "deploy" / "kubernetes" / "generator" / "touch-started.yaml"
HOLD_LOCK = """
import fcntl, time
lock = open("/data/audio/audio_cache/.audio-cache-daemon/lock", "r+")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""
CONFIG = ROOT / "deploy" / "docker" / "config" / "config.yaml"


def main() -> None:
    base, work = WORK / "base", WORK / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    if not base.exists():
        say("debootstrap")
        make_base(base)
    say("build")
    root = build_image(base, work)
    size = subprocess.run(["du", "-sm", str(root / "opt")], capture_output=True, text=True, check=True)
    say(f"the image adds {size.stdout.split()[0]} MB to its base")
    try:
        prove_all(root, work)
    finally:
        kill_all()
    say("all of it holds")


def prove_all(root: Path, work: Path) -> None:
    container = Container(root, make_mounts(work / "first", "10001:10001"))
    prove_confinement(container)
    prove_once(container)
    prove_service(container)
    prove_restart(container)
    prove_one_is_active(container)
    other = "4711:4712"
    prove_once(Container(root, make_mounts(work / "second", other), user=other))


def say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {words}", flush=True)  # noqa: T201 -- a log for a person


def make_mounts(place: Path, user: str) -> dict[str, Path]:
    """The volumes of compose.yaml, empty, as an engine makes them."""
    mounts = {"/data": place / "data", "/var/log/audio-cache-daemon": place / "log"}
    for path in mounts.values():
        path.mkdir(parents=True)
        shutil.chown(path, *map(int, user.split(":")))
    shutil.copytree(CONFIG.parent, place / "config")
    return {**mounts, "/etc/audio-cache-daemon": place / "config"}


def enforce(container: Container) -> None:
    """Let the policy remove what it names."""
    path = container.mounts["/etc/audio-cache-daemon"] / "config.yaml"
    document = yaml.safe_load(path.read_text())
    document["policies"]["standard"]["mode"] = "enforce"
    path.write_text(yaml.safe_dump(document))


def prove_confinement(container: Container) -> None:
    """An ordinary user without capabilities, on a root that can't be written."""
    code = "import os; print(os.getuid(), open('/proc/self/status').read()); open('/written', 'w')"
    result = container.run("-c", code, entrypoint=["python"])
    assert result.returncode == 1, result
    assert "Read-only file system" in result.stderr, result.stderr
    assert "CapEff:\t0000000000000000" in result.stdout, result.stdout
    assert result.stdout.startswith(container.user.partition(":")[0]), result.stdout
    for place in container.mounts:
        written = container.run("-c", f"open('{place}/written', 'w')", entrypoint=["python"]).returncode == 0
        assert written == (place not in container.read_only), place
        (container.mounts[place] / "written").unlink(missing_ok=True)
    say(f"user {container.user}: no capabilities, root and configuration are read-only")


def prove_once(container: Container) -> None:
    """A demo cache, what the policy would do, and that it does so."""
    done(container.run("demo", "/data"))
    preview = json.loads(done(container.run("run-once", "--dry-run", "--format", "json")).stdout)["caches"][0]
    assert preview["plan"]["items"] > 0, preview
    enforce(container)
    result = json.loads(done(container.run("run-once", "--format", "json")).stdout)["caches"][0]
    assert result["outcome"]["evicted"] == preview["plan"]["items"], result["outcome"]
    assert any(container.mounts["/var/log/audio-cache-daemon"].iterdir()), "no audit log"
    say(f"user {container.user}: run-once --dry-run, run-once: {result['outcome']}")


def prove_service(container: Container) -> None:
    """`run`: healthy by the health check of the Dockerfile, scraped, reloaded, stopped."""
    process = container.start("run")
    began = time.monotonic()
    health = read_stages()[-1].argv("HEALTHCHECK")
    wait_until(lambda: container.execute(process, *health).returncode == 0)
    say(f"run: healthy after {time.monotonic() - began:.1f} s")
    wait_until(lambda: ask(container, process, "/readyz").startswith("200"))
    metrics = ask(container, process, "/metrics")
    assert 'audio_cache_items{cache="exhibit",state="ok"}' in metrics, metrics[:2000]
    resident = (line for line in metrics.splitlines() if line.startswith("process_resident_memory_bytes"))
    say(f"run: ready, scraped ({len(metrics.splitlines())} lines), {float(next(resident).split()[1]) / 2**20:.0f} MiB")
    done(container.execute(process, "audio-cache-daemon", "status"))
    began = time.monotonic()
    error = stop(process)
    say(f"run: stopped by SIGTERM after {time.monotonic() - began:.1f} s; it said:\n{error}")


def prove_restart(container: Container) -> None:
    """Files that wait go after the init container of the generator's pod has run."""
    waiting = json.loads(done(container.run("status", "--format", "json")).stdout)["caches"][0]["pending"]
    assert waiting["items"] > 0, waiting
    init = yaml.safe_load(GENERATOR.read_text())["spec"]["template"]["spec"]["initContainers"][0]
    done(container.run("run-once"))
    same = json.loads(done(container.run("status", "--format", "json")).stdout)["caches"][0]["pending"]
    assert same["items"] >= waiting["items"], "released without a start of the generator"
    done(container.run(entrypoint=init["command"]))
    done(container.run("run-once"))
    left = json.loads(done(container.run("status", "--format", "json")).stdout)["caches"][0]["pending"]
    assert left["items"] == 0, left
    say(f"after the init container's touch: {waiting['items']} pending files released")


def prove_one_is_active(container: Container) -> None:
    """Two pods on one volume: while one holds the lock, the other waits for it."""
    first = container.start("run")
    wait_until(lambda: ask(container, first, "/readyz").startswith("200"))
    second = container.start("run")
    wait_until(lambda: ask(container, second, "/readyz").startswith("200"))
    holder = container.start("-c", HOLD_LOCK, entrypoint=["python"])
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    refused = container.run("run-once", "--format", "json")
    assert refused.returncode == 5, refused
    send(signal.SIGKILL, holder)
    holder.wait()
    done(container.run("run-once", "--wait", "1m"))
    for process in (first, second):
        stop(process)
    say("two pods on one volume: one maintainer at a time")


def ask(container: Container, process: subprocess.Popen[str], path: str) -> str:
    """Status and body of a page, asked for inside."""
    code = (
        "import http.client as h; c = h.HTTPConnection('127.0.0.1', 9843, timeout=4); "
        f"c.request('GET', '{path}'); r = c.getresponse(); print(r.status, r.read().decode())"
    )
    return container.execute(process, "python", "-c", code).stdout


def stop(process: subprocess.Popen[str]) -> str:
    """Stop it as an engine does; what it said."""
    send(signal.SIGTERM, process)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 0, (process.returncode, error)
    return error


def send(number: signal.Signals, process: subprocess.Popen[str]) -> None:
    os.kill(init_of(process), number)


def done(result: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert result.returncode == 0, result
    return result


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.2)


if __name__ == "__main__":
    main()
