"""Mutated files, and every command over them: no traceback, no hang, nothing touched that isn't the cache's.

`python tests/fuzz.py --seconds 600` goes on for so long, with other cases each time, and says how many it tried; the
tests run a few hundred. A case is a cache in one of several states, of which one file is changed: in its bytes, or,
where that is JSON, in one of its values.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audio_cache_daemon.location import META_NAME
from endurance import directory_in_memory
from fuzz_worlds import STATES, TARGETS, World

SECONDS_A_CASE = 60
STATUSES = {0, 1, 2, 3, 4, 5, 6}
TELL_ON_OUTPUT = {("verify",), ("audit", "verify"), ("repair", "--confirm")}
"""Commands whose result says what is wrong."""

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
    choice: int = 0

    def apply(self, content: bytes, outside: Path) -> bytes:
        """The bytes afterwards; `outside` is what they are to lead to."""
        if self.kind == "value":
            return _change_value(content, self).replace(b"OUTSIDE", str(outside).encode())
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


def _change_value(content: bytes, change: Change) -> bytes:
    """A line of JSON with one of its values replaced, somewhere in the depth of it, mostly by another of its type."""
    lines = content.splitlines(keepends=True)
    if not lines:
        return content
    number = int(change.share * len(lines))
    try:
        tree = json.loads(lines[number])
    except (ValueError, RecursionError):
        return content
    places = list(_places(tree))
    if places:
        holder, key = places[change.length % len(places)]
        holder[key] = _replacement(holder[key], change.choice)
    lines[number] = json.dumps(tree).encode() + b"\n"
    return b"".join(lines)


def _replacement(value: Any, choice: int) -> Any:
    pool: list[Any] = OTHERS
    if choice % 4 and isinstance(value, str):
        pool = TEXTS
    elif choice % 4 and isinstance(value, int | float):
        pool = NUMBERS
    return pool[choice // 4 % len(pool)]


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
TEXTS = ["..", "", "/", ".", "a/../../../outside/precious.wav", "../../../outside/precious.wav", "/etc/passwd.wav"]
TEXTS += ["\x00", "\udcff", "x" * 5000, "meta.jsonl", "AA==", "OUTSIDE", "OUTSIDE/precious.wav"]
NUMBERS = [-1, 0, 2**31, 2**63, 2**64, 10**400, 1e308, -1e308, 0.5, True]
OTHERS: list[Any] = [None, [], {}, [[]], ["meta.jsonl"], [-1], *TEXTS, *NUMBERS]


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """Any change."""
    kind = draw(st.sampled_from(["value", "value", "value", "insert", "replace", "delete", "repeat", "flip", "cut"]))
    share = draw(st.floats(0, 1, exclude_max=True))
    data = draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=12))) if kind in {"insert", "replace"} else b""
    length = draw(st.integers(1, 40)) if kind not in {"insert", "cut"} else 1
    return Change(kind, share, length, data, draw(st.integers(0, 999)) if kind == "value" else 0)


@dataclass(frozen=True)
class Case:
    """A state, a file of it, what is done to that, and with which command to begin."""

    state: str
    target: str
    changes: tuple[Change, ...] = ()
    first: int = 0

    @property
    def commands(self) -> tuple[tuple[str, ...], ...]:
        return COMMANDS[self.first :] + COMMANDS[: self.first]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any case."""
    state = draw(st.sampled_from(sorted(STATES)))
    target = draw(st.sampled_from(TARGETS[state]))
    applied = draw(st.lists(changes(), min_size=1, max_size=3))
    return Case(state, target, tuple(applied), draw(st.integers(0, len(COMMANDS) - 1)))


def check_case(world: World, case: Case) -> None:
    """Make the world, change the file, run all commands; AssertionError when one doesn't end as it should."""
    young = world.make(case.state)
    outside = snapshot(world.outside)
    run = world.first_run()
    for path in sorted(world.cache.glob(case.target)):
        content = path.read_bytes()
        for change in case.changes:
            content = change.apply(content, world.outside)
        path.write_bytes(content)
    with time_limit(SECONDS_A_CASE):
        for command in case.commands:
            arguments = [run if part == "RUN" else part for part in command]
            status, said = world.run(*arguments)
            assert status in STATUSES, (arguments, status, said)
            assert status == 0 or said or command in TELL_ON_OUTPUT, arguments
            assert "Traceback" not in said, (arguments, said)
            assert snapshot(world.outside) == outside, arguments
    if case.target != META_NAME:
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
    """A place for worlds."""
    with directory_in_memory() as directory:
        yield World(directory / "world")


def fuzz(world: World, count: int, *, is_random: bool = False) -> int:
    """Try cases; how many. The same ones each time, unless they are to be random."""
    tried = 0

    @settings(max_examples=count, deadline=None, database=None, derandomize=not is_random, print_blob=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(cases())
    def try_case(case: Case) -> None:
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
    warnings.simplefilter("error")
    started, tried = time.monotonic(), 0
    with a_world() as world:
        while time.monotonic() - started < seconds:
            tried += fuzz(world, 50, is_random=True)
            sys.stdout.write(f"{tried} cases in {time.monotonic() - started:.0f} s, all well\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
