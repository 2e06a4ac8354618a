"""A tree full of traps, and every command that acts: outside the audio roots nothing changes, not a byte."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from commands import Run
from trashed_cache import configure, fingerprint

from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, STATE_DIRECTORY
from builders import CacheBuilder
from tools import with_mounts

COMMAND = [sys.executable, "-m", "audio_cache_daemon"]
STAMP = "_1700000000000.wav"
NO_LIMITS: dict[str, Any] = {"max_items": "none", "max_percent": "none"}
EVERYTHING: dict[str, Any] = {
    "rules": [
        {"name": "all", "max_age": "1s"},
        {"name": "gone", "state": "missing"},
        {"name": "orphans", "state": "orphan"},
        {"name": "leftovers", "state": "leftover"},
    ],
    "limits": NO_LIMITS,
}


def make_precious(directory: Path) -> Path:
    """What is outside, under names that the generator gives too."""
    for name in ("a.wav", f"rain{STAMP}", f"temp_rain{STAMP}", f"below/b{STAMP}", "meta.jsonl", "0.wav"):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"precious " + name.encode())
        os.utime(path, (1.6e9, 1.6e9))
    return directory


def set_traps(root: Path, outside: Path) -> list[str]:
    """Fill a root with what isn't a plain file; the paths by which rows name it and what lies outside."""
    (root / "link.wav").symlink_to(outside / "a.wav")
    (root / f"orphan{STAMP}").symlink_to(outside / f"rain{STAMP}")
    (root / f"temp_link{STAMP}").symlink_to(outside / f"temp_rain{STAMP}")
    (root / "linked").symlink_to(outside)
    (root / "up").symlink_to("..")
    (root / "loop").symlink_to("loop")
    (root / f"temp_folder{STAMP}").mkdir()
    os.mkfifo(root / f"temp_fifo{STAMP}")
    os.mkfifo(root / "fifo.wav")
    with socket.socket(socket.AF_UNIX) as server:
        previous = Path.cwd()
        os.chdir(root)  # the name of a socket has room for 100 characters
        server.bind("socket.wav")
        os.chdir(previous)
    below = outside.relative_to(root.parent)
    return [
        *(str(outside / name) for name in ("a.wav", f"rain{STAMP}", f"below/b{STAMP}")),
        *(f"{root}/{name}" for name in ("link.wav", "fifo.wav", "socket.wav", "loop/a.wav", f"temp_folder{STAMP}")),
        *(f"{root}/{name}" for name in ("linked/a.wav", f"linked/below/b{STAMP}", f"up/{below}/a.wav")),
        *(f"{root}/{name}" for name in (f"../{below}/a.wav", f"x/../../{below}/a.wav", f"./../{below}/rain{STAMP}")),
        f"../{below}/a.wav",
        "/dev/null.wav",
        "/proc/self/cwd/a.wav",
        "",
    ]


def test_no_command_changes_anything_outside_the_roots(tmp_path: Path, run: Run) -> None:
    """Rules that take everything, under a running generator and a stopped one, the seed's commands, the trash."""
    outside = make_precious(tmp_path / "world" / "outside")
    builder = CacheBuilder(tmp_path / "world", now=time.time())
    for number in range(40):
        builder.add(f"rain {number % 3}", age=40)
    for path in set_traps(builder.output, outside):
        builder.add("trap", age=40, path=path)
    for name in (f"temp_left{STAMP}", f"lost{STAMP}"):
        builder.add_stray(name)
    config = configure(tmp_path / "config.yaml", builder, EVERYTHING, path_base=str(builder.output))
    builder.write()
    before = fingerprint(outside)
    device = Path("/dev/null").stat()

    for command in (
        ["--live", "run-once"],
        ["run-once"],
        ["run-once", "--override-limits"],
        ["duplicates", "--remove-duplicates", "--confirm"],
        ["remove-pattern", "rain|trap", "--confirm"],
        ["clean", "--days", "1", "--confirm"],
        ["clear", "--confirm"],
        ["verify"],
        ["repair", "--confirm"],
    ):
        ran = run("--config", config, *command)
        assert ran.status in {0, 1, 4, 6}, ran
        assert fingerprint(outside) == before, command
    (listed,) = run("--config", config, "trash", "list", "--format", "json").json["caches"]
    for trashed in listed["runs"]:
        run("--config", config, "trash", "restore", trashed["run"])
    run("--config", config, "run-once")
    assert run("--config", config, "trash", "empty", "--confirm").status == 0
    assert fingerprint(outside) == before
    assert Path("/dev/null").stat().st_rdev == device.st_rdev
    assert sum(b'"trap"' in line for line in (builder.location.path / META_NAME).read_bytes().splitlines()) == 18
    assert {path.name for path in builder.output.iterdir()} >= {"link.wav", "linked", "up", "loop", "fifo.wav"}


def test_a_hard_link_goes_alone(tmp_path: Path, run: Run) -> None:
    """A file with a name in the cache and one outside: evicted for good, its bytes stay under the other name."""
    outside = tmp_path / "outside.wav"
    outside.write_bytes(b"precious")
    builder = CacheBuilder(tmp_path / "world", now=time.time())
    inside = builder.output / f"linked{STAMP}"
    inside.hardlink_to(outside)
    builder.add("rain", age=40, path=str(inside))
    builder.add("rain", age=40)
    builder.write()
    config = configure(tmp_path / "config.yaml", builder, {**EVERYTHING, "trash": {"keep": 0}})
    assert run("--config", config, "run-once").status == 0
    assert not inside.exists()
    assert outside.read_bytes() == b"precious"
    assert outside.stat().st_nlink == 1


@pytest.mark.parametrize("linked", ["cache", "root", "both"])
def test_a_cache_that_is_configured_through_a_link_works(tmp_path: Path, run: Run, linked: str) -> None:
    """What the operator names may be a link; only below it none is followed."""
    builder = CacheBuilder(tmp_path / "world", now=time.time())
    builder.add("rain", age=40)
    builder.add("keep", age=0.5)
    builder.write()
    (tmp_path / "cache").symlink_to(builder.location.path)
    (tmp_path / "root").symlink_to(builder.output)
    said = {
        **({"path": str(tmp_path / "cache")} if linked != "root" else {}),
        **({"audio_roots": [str(tmp_path / "root")]} if linked != "cache" else {}),
    }
    policy = {"rules": [{"name": "old", "max_age": "30d"}], "limits": NO_LIMITS}
    config = configure(tmp_path / "config.yaml", builder, policy, **said)
    before = (builder.location.path / META_NAME).read_bytes()
    assert run("--config", config, "run-once").status == 0
    assert len((builder.location.path / META_NAME).read_bytes().splitlines()) == 1
    (listed,) = run("--config", config, "trash", "list", "--format", "json").json["caches"]
    assert run("--config", config, "trash", "restore", listed["runs"][0]["run"]).status == 0
    assert sorted((builder.location.path / META_NAME).read_bytes().splitlines()) == sorted(before.splitlines())
    assert len(list(builder.output.glob("*.wav"))) == 2


@pytest.mark.parametrize("name", [META_NAME, *ARRAY_NAMES, STATE_DIRECTORY, f"{STATE_DIRECTORY}/audit.jsonl"])
def test_a_link_in_place_of_a_file_of_the_cache_stops_a_run(tmp_path: Path, run: Run, name: str) -> None:
    """Neither what it leads to nor anything else is changed."""
    builder = CacheBuilder(tmp_path / "world", now=time.time())
    builder.add("rain", age=40)
    builder.add("keep")
    builder.write()
    config = configure(tmp_path / "config.yaml", builder, EVERYTHING)
    away = tmp_path / "away"
    away.mkdir()
    path = builder.location.path / name
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        path.rename(away / path.name)
    elif name == STATE_DIRECTORY:
        (away / path.name).mkdir()
    else:
        (away / path.name).write_bytes(b"")
    path.symlink_to(away / path.name)
    before, audio = fingerprint(away), fingerprint(builder.output) if name == META_NAME else ""
    for command in (["run-once"], ["clear", "--confirm"]):
        ran = run("--config", config, *command)
        assert ran.status in {1, 6}, ran
        assert "Traceback" not in ran.err
    assert fingerprint(away) == before
    assert len(list(builder.output.glob("*.wav"))) == 2
    assert not audio or fingerprint(builder.output) == audio


def in_a_namespace(setup: str, config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command where some file systems are mounted as `setup`, in shell, says; nobody else sees them."""
    command = [*with_mounts(setup), *COMMAND, "--config", str(config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("mount", ["--bind {outside} {inner}", "--bind {outside}/a.wav {root}/bound.wav"])
def test_nothing_on_another_mount_is_evicted(tmp_path: Path, mount: str) -> None:
    """A directory or a single file that is mounted into a root is somebody else's: it stays."""
    outside = make_precious(tmp_path / "outside")
    builder = CacheBuilder(tmp_path / "world", now=time.time())
    inner = builder.output / "inner"
    inner.mkdir()
    (builder.output / "bound.wav").write_bytes(b"below the mount")
    builder.add("rain", age=40)
    for path in (inner / "a.wav", inner / f"rain{STAMP}", inner / f"below/b{STAMP}", builder.output / "bound.wav"):
        builder.add("trap", age=40, path=str(path))
    builder.write()
    config = configure(tmp_path / "config.yaml", builder, EVERYTHING)
    before = fingerprint(outside)
    setup = "mount " + mount.format(outside=outside, inner=inner, root=builder.output)
    ran = in_a_namespace(setup, config, "run-once", "--format", "json")
    assert ran.stderr == ""
    assert fingerprint(outside) == before
    (report,) = json.loads(ran.stdout)["caches"]
    assert report["outcome"]["failed"] == (0 if "inner" in mount else 1)


def test_a_read_only_cache_is_left_with_a_message(tmp_path: Path) -> None:
    """Mounted for reading: the run fails, says where, and a look at it works all the same."""
    builder = CacheBuilder(tmp_path / "world", now=time.time())
    builder.add("rain", age=40)
    builder.write()
    config = configure(tmp_path / "config.yaml", builder, EVERYTHING)
    before = fingerprint(tmp_path / "world")
    read_only = f"mount --bind {tmp_path}/world {tmp_path}/world && mount -o remount,ro,bind {tmp_path}/world"
    for arguments, status in ((["run-once"], 1), (["clear", "--confirm"], 1), (["stats"], 0), (["verify"], 0)):
        ran = in_a_namespace(read_only, config, *arguments)
        assert ran.returncode == status, ran
        assert ("Read-only file system" in ran.stderr) == (status == 1)
        assert "Traceback" not in ran.stderr
    assert fingerprint(tmp_path / "world") == before


def test_two_runs_at_once_do_it_once(tmp_path: Path) -> None:
    """Real processes, started together: one has the lock, and the others wait for it or are turned away."""
    builder = CacheBuilder(tmp_path / "world", now=time.time())
    for number in range(200):
        builder.add(f"rain {number}", age=40)
    builder.write()
    config = configure(tmp_path / "config.yaml", builder, EVERYTHING)
    order = [*COMMAND, "--config", str(config), "run-once"]
    waits: list[list[str]] = [[], ["--wait", "60s"], []]
    children = [subprocess.Popen([*order, *wait], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for wait in waits]
    statuses = [child.wait(timeout=60) for child in children]
    errors = [child.communicate()[1] for child in children]
    assert statuses[1] == 0, errors
    assert set(statuses) <= {0, 5}
    assert not any(b"Traceback" in error for error in errors)
    assert (builder.location.path / META_NAME).read_bytes() == b""
    runs = list((builder.location.state_directory / "trash").iterdir())
    assert len(runs) == 1
