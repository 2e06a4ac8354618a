"""Mutated files, and every command over them: no traceback, no hang, nothing touched that isn't the cache's.

`python tests/fuzz.py --seconds 600` goes on for so long, with other cases each time, and says how many it tried; the
tests run a few hundred. A case is a cache in one of several states, of which one file is changed: in its bytes, or,
where that is JSON, in one of its values.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audio_cache_daemon import cli
from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.eviction.execute import execute_plan
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.lock import cache_lock
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, STATE_DIRECTORY
from audio_cache_daemon.maintenance import preview_maintenance
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.retention.policy import Limits, MaxAge, Policy, Rule
from builders import DAY, CacheBuilder

SECONDS_A_CASE = 60
STATUSES = {0, 1, 2, 3, 4, 5, 6}
POLICY: dict[str, Any] = {
    "rules": [{"name": "old", "max_age": "30d"}, {"name": "same", "dedupe": {"by": "content"}}],
    "limits": {"max_items": "none", "max_percent": "none"},
}
YOUNG = 4
"""Items that no rule selects."""


@dataclass(frozen=True)
class World:
    """A directory with a cache and its configuration in it, and beside it what nobody may touch."""

    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "config.json"

    @property
    def outside(self) -> Path:
        return self.directory / "outside"

    @property
    def cache(self) -> Path:
        return self.directory / "inside" / "audio" / "audio_cache"

    def make(self, state: str) -> dict[Path, bytes]:
        """Make it anew, in a state; the files of the young items."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self.outside.mkdir(parents=True)
        for name in ("0.wav", "precious.wav", "run.json", "manifest.jsonl"):
            (self.outside / name).write_bytes(b"precious")
        builder = CacheBuilder(self.directory / "inside", now=time.time())
        young = [builder.add(f"new {number}", age=1) for number in range(YOUNG)]
        for number in range(4):
            builder.add(f"old {number}", age=40 + number)
        builder.write()
        roots = {"path": str(self.cache), "audio_roots": [str(builder.output)], "policy": "p"}
        caches = {"c": {**roots, "writer": {"mode": "stopped"}}}
        self.config.write_text(json.dumps({"version": 1, "caches": caches, "policies": {"p": POLICY}}))
        STATES[state](self, builder)
        return {path: path.read_bytes() for path in young}

    def run(self, *arguments: str) -> tuple[int, str]:
        """A command's status, and what it says on standard error."""
        said = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            return cli.run(["--config", str(self.config), *arguments]), said.getvalue()

    def first_run(self) -> str:
        """The run in the trash, or with the retired items."""
        for place in ("trash", "retired"):
            for path in sorted((self.cache / STATE_DIRECTORY).glob(f"{place}/*/")):
                return path.name
        return "none"


def _do_nothing(_world: World, _builder: CacheBuilder) -> None:
    pass


def _evict(world: World, builder: CacheBuilder) -> None:
    """A run in the trash, one item of it brought back."""
    assert world.run("run-once")[0] == 0
    (name,) = {path.name for path in builder.output.glob(f"{STATE_DIRECTORY}/trash/*")}
    world.run("trash", "restore", name, "--format", "json", str(next(iter(_manifest(world)))["id"]))


def _manifest(world: World) -> Iterator[dict[str, Any]]:
    for path in (world.cache / STATE_DIRECTORY).glob("trash/*/manifest.jsonl"):
        for line in path.read_bytes().splitlines():
            yield json.loads(line)


def _retire(world: World, _builder: CacheBuilder) -> None:
    """A run that retired items under a running generator."""
    assert world.run("--live", "run-once")[0] in {0, 4}


def _interrupt(world: World, builder: CacheBuilder) -> None:
    """A run that ended after its first file had gone."""
    _begin(world, builder, 1)


def _begin(world: World, builder: CacheBuilder, steps: int) -> None:
    policy = Policy("old", rules=(Rule("old", MaxAge(30 * DAY)),), limits=Limits(None, None))
    target = Target(CacheSettings(builder.location, policy, WriterSettings(mode="stopped")), world.directory / "log")
    plan = preview_maintenance(target, RunRequest(builder.now, "run-1")).plan
    assert plan is not None
    with cache_lock(builder.location):
        outcomes = execute_plan(plan, Execution("run-1"))
        for _ in range(steps):
            next(outcomes)
        outcomes.close()  # type: ignore[attr-defined]  # a generator


STATES: dict[str, Callable[[World, CacheBuilder], None]] = {
    "new": _do_nothing,
    "evicted": _evict,
    "retired": _retire,
    "interrupted": _interrupt,
}
_SAVED = [f"trash/*/{name}" for name in ("run.json", "manifest.jsonl", "rows.jsonl", "clap_audio.npy")]
_OURS = ["state.json", "audit-head.json", "audit.jsonl"]
TARGETS: dict[str, list[str]] = {
    "new": [META_NAME, META_NAME, *ARRAY_NAMES],
    "evicted": [*(f"{STATE_DIRECTORY}/{name}" for name in [*_OURS, *_SAVED, "trash/*/restored.json"])],
    "retired": [
        META_NAME,
        "clap_audio.npy",
        *(f"{STATE_DIRECTORY}/{name.replace('trash', 'retired')}" for name in _SAVED),
        *(f"{STATE_DIRECTORY}/retired/{name}" for name in ("*/writer.json", "verified.json")),
    ],
    "interrupted": [
        *(f"{STATE_DIRECTORY}/rewrite/{name}" for name in ("journal.json", "journal.json", META_NAME, "clap_text.npy")),
        *(f"{STATE_DIRECTORY}/{name}" for name in _SAVED[:2]),
        "clap_audio.npy",
    ],
}
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("stats",),
    ("trash", "list"),
    ("run-once", "--dry-run"),
    ("verify",),
    ("trash", "restore", "RUN"),
    ("--live", "run-once"),
    ("run-once",),
    ("audit", "verify"),
    ("trash", "empty", "--confirm"),
    ("repair", "--confirm"),
    ("run-once",),
)


@dataclass(frozen=True)
class Change:
    """What is done to a file's bytes: `share` says where, from 0 to 1."""

    kind: str
    share: float
    length: int
    data: bytes
    value: Any

    def apply(self, content: bytes) -> bytes:
        """The bytes afterwards."""
        if self.kind == "value":
            return _change_value(content, self.share, self.value)
        at = int(self.share * len(content))
        end = min(len(content), at + self.length)
        pieces = {
            "insert": self.data,
            "replace": self.data,
            "delete": b"",
            "repeat": content[at:end] * 3,
            "flip": bytes([content[at] ^ (1 << self.length % 8)]) if at < end else b"",
        }
        if self.kind == "cut":
            return content[:at]
        start_of_rest = {"insert": at, "flip": min(at + 1, end)}.get(self.kind, end)
        return content[:at] + pieces[self.kind] + content[start_of_rest:]


def _change_value(content: bytes, share: float, value: Any) -> bytes:
    """A line of JSON with one of its values replaced, somewhere in the depth of it."""
    lines = content.splitlines(keepends=True)
    if not lines:
        return content
    number = min(len(lines) - 1, int(share * len(lines)))
    try:
        tree = json.loads(lines[number])
    except (ValueError, RecursionError):
        return content
    places = list(_places(tree))
    if places:
        holder, key = places[int(share * 7919) % len(places)]
        holder[key] = value
    lines[number] = json.dumps(tree).encode() + b"\n"
    return b"".join(lines)


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, below in list(items):
        yield tree, key
        yield from _places(below)


TOKENS = [
    b"..",
    b"/",
    b"../../../outside/precious.wav",
    b"null",
    b"-1",
    b"1e999",
    b"NaN",
    b"\\udcff",
    b"[",
    b'"',
    b"\n",
]
TOKENS += [b"{", b"}", b"\0", b"\xff", b"\r\n", b"9" * 40, b"True", b"'", b"(", b"\\", b"\x1b]0;x\x07", b"[" * 3000]
VALUES = ["..", "", "/", "a/../../../outside/precious.wav", "/etc/passwd.wav", "\x00", "\udcff", "x" * 5000, None, True]
VALUES += [
    -1,
    0,
    2**31,
    2**63,
    2**64,
    10**400,
    1e308,
    -1e308,
    0.5,
    [],
    {},
    [[]],
    ["meta.jsonl"],
    ".",
    "meta.jsonl",
    "AA==",
]


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """Any change."""
    kind = draw(st.sampled_from(["value", "value", "value", "insert", "replace", "delete", "repeat", "flip", "cut"]))
    share = draw(st.floats(0, 1, exclude_max=True))
    data = draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=12))) if kind in {"insert", "replace"} else b""
    length = draw(st.integers(1, 40)) if kind not in {"value", "insert", "cut"} else 1
    return Change(kind, share, length, data, draw(st.sampled_from(VALUES)) if kind == "value" else None)


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, str, tuple[Change, ...]]:
    """A state, a file of it, and what is done to that."""
    state = draw(st.sampled_from(sorted(STATES)))
    return state, draw(st.sampled_from(TARGETS[state])), tuple(draw(st.lists(changes(), min_size=1, max_size=3)))


def check_case(world: World, case: tuple[str, str, tuple[Change, ...]]) -> None:
    """Make the world, change the file, run all commands; AssertionError when one doesn't end as it should."""
    state, pattern, applied = case
    young = world.make(state)
    outside = snapshot(world.outside)
    run = world.first_run()
    for path in sorted(world.cache.glob(pattern)):
        content = path.read_bytes()
        for change in applied:
            content = change.apply(content)
        path.write_bytes(content)
    with time_limit(SECONDS_A_CASE):
        for command in COMMANDS:
            arguments = [run if part == "RUN" else part for part in command]
            status, said = world.run(*arguments)
            assert status in STATUSES, (arguments, status, said)
            assert status == 0 or said or command in {("verify",), ("audit", "verify"), ("repair", "--confirm")}, (
                arguments
            )
            assert "Traceback" not in said, (arguments, said)
            assert snapshot(world.outside) == outside, arguments
    if pattern != META_NAME:
        assert {path: path.read_bytes() for path in young if path.exists()} == young


def snapshot(directory: Path) -> list[tuple[str, bytes, int]]:
    return [(path.name, path.read_bytes(), path.stat().st_ctime_ns) for path in sorted(directory.iterdir())]


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """TimeoutError when the body takes longer."""

    def expire(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"a command didn't end within {seconds} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def a_world() -> Iterator[World]:
    """A place for worlds, in memory where there is some."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as directory:
        yield World(Path(directory) / "world")


def fuzz(world: World, count: int, *, is_random: bool = False) -> int:
    """Try cases; how many. The same ones each time, unless they are to be random."""
    tried = 0

    @settings(max_examples=count, deadline=None, database=None, derandomize=not is_random, print_blob=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(cases())
    def try_case(case: tuple[str, str, tuple[Change, ...]]) -> None:
        nonlocal tried
        tried += 1
        check_case(world, case)

    try_case()
    return tried


def main() -> None:
    """Try cases until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="for how long to go on")
    seconds = parser.parse_args().seconds
    started, tried = time.monotonic(), 0
    with a_world() as world:
        while time.monotonic() - started < seconds:
            tried += fuzz(world, 50, is_random=True)
            sys.stdout.write(f"{tried} cases in {time.monotonic() - started:.0f} s, all well\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
