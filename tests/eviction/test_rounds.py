"""Evicted and brought back, again and again: rows, vectors and files are to the byte what they were."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from cache_runs import DROP, audio_files, read_items
from msgspec.structs import replace

from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, CacheLocation
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.retention.policy import InState, Pattern, Rule, TrashLimits
from audio_cache_daemon.undo import restore_from_trash
from builders import NOW, CacheBuilder
from endurance import SOAKING

ROUNDS = 200 if SOAKING else 15
ITEMS = 80
WORDS = ("rain", "wind", "birds", "steps", "Größe", "雨", "bells", "train")
KEEP = 1000.0
"""How long the trash keeps what it has, and what was brought back is protected, in seconds."""


def make_random_cache(directory: Path, source: random.Random) -> CacheBuilder:
    """Of takes, of rows that lack a file or a score, share a file, or repeat another to the letter; and leftovers."""
    cache = CacheBuilder(directory)
    paths: list[Path] = []
    for number in range(ITEMS):
        prompt = f"{source.choice(WORDS)} {source.randrange(6)}"
        quality = source.choice([None, float("nan"), *(source.uniform(0.1, 0.9) for _ in range(8))])
        kind = source.random()
        if kind < 0.1:
            cache.add(prompt, quality=quality, age=number, audio=None)
        elif kind < 0.2 and paths:
            cache.add(prompt, quality=quality, age=number, path=str(source.choice(paths)))
        elif kind < 0.3 and number:
            cache.repeat(source.randrange(number))
        else:
            content = source.randbytes(source.randrange(200)) if source.random() < 0.8 else b"the same"
            paths.append(cache.add(prompt, quality=quality, age=number, audio=content))
    for number in range(4):
        cache.add_stray(f"temp_{number}_170000000000{number}.wav", content=source.randbytes(50))
    return cache


class Held(msgspec.Struct, frozen=True):
    """What a cache holds: its items in order, and each audio file with its time, mode and inode."""

    items: tuple[object, ...]
    files: dict[Path, tuple[bytes, int, int, int]]

    @classmethod
    def of(cls, location: CacheLocation) -> Held:
        files = {}
        for path in audio_files(location):
            status = path.stat()
            files[path] = (path.read_bytes(), status.st_mtime_ns, status.st_mode, status.st_ino)
        return cls(tuple(read_items(location.path)), files)


class Rounds(msgspec.Struct):
    """A cache over which rounds are made, a moment after the other."""

    location: CacheLocation
    started: Path
    source: random.Random
    now: float = NOW
    number: int = 0

    def target(self, writer: WriterSettings) -> Target:
        chosen = self.source.sample(WORDS, self.source.randrange(1, len(WORDS)))
        rules = (Rule("some", Pattern("|".join(map(re.escape, chosen)))), Rule("left", InState("leftover")))
        policy = replace(DROP, rules=rules, trash=TrashLimits(KEEP))
        return Target(CacheSettings(self.location, policy, writer), self.location.state_directory / "audit.jsonl")

    def request(self, name: str) -> RunRequest:
        return RunRequest(self.now, name, accepted=frozenset({"index", "root", "clock"}))

    def evict(self, name: str, target: Target) -> int:
        report = run_maintenance(target, self.request(name), lambda: self.now)
        assert report.error is None
        assert report.outcome is not None
        return report.outcome.evicted

    def bring_back(self, name: str, target: Target) -> None:
        for run in (name, f"{name}-files"):
            if (self.location.state_directory / "trash" / run).is_dir() or run == name:
                restored = restore_from_trash(target, self.request(f"{run}-back"), run, (), lambda: self.now)
                assert restored.problems == ()

    def go(self) -> str:
        """A round: which way it went. All is as it was then."""
        self.number += 1
        self.now += KEEP + 1
        name, way = f"run-{self.number:03}", self.source.choice(["stopped", "pending", "released"])
        writer = WriterSettings("stopped" if way == "stopped" else "live", started_file=self.started)
        target, before = self.target(writer), Held.of(self.location)
        index = {each: (self.location.path / each).read_bytes() for each in (META_NAME, *ARRAY_NAMES)}
        if self.evict(name, target) == 0:
            return "nothing"
        assert Held.of(self.location) != before
        if way == "released":
            self.started.write_text(name)
            nothing = replace(target.settings, policy=replace(target.settings.policy, rules=()))
            self.evict(f"{name}-more", replace(target, settings=nothing))
        self.bring_back(name, target)
        after = Held.of(self.location)
        assert after.files == before.files
        assert Counter(after.items) == Counter(before.items)
        if way != "stopped":
            assert {each: (self.location.path / each).read_bytes() for each in index} == index
        return way


@pytest.mark.slow
def test_what_is_evicted_and_brought_back_again_and_again_stays_what_it_was(tmp_path: Path) -> None:
    """Dropped from the index, released, or still pending; in a live cache the index is the same to the byte."""
    source = random.Random(11)
    cache = make_random_cache(tmp_path, source)
    rounds = Rounds(cache.write(), tmp_path / "started", source)
    ways = Counter(rounds.go() for _ in range(ROUNDS))
    print(f"rounds: {dict(ways)}")  # noqa: T201 -- how much was tried is part of the result
    assert {"stopped", "pending", "released"} <= ways.keys()
