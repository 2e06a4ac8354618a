"""Under a generator that runs on: no lookup leads to a file that is gone, none of a kept prompt to a wrong sound.

It is a process of its own, and adds ten items, a step at a time, while runs before, between and beside its steps evict
half of the cache.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.index_times import last_index_change
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.model import RunReport, RunResult, ScanNeeds
from audio_cache_daemon.request import Listener, RunRequest, Target
from audio_cache_daemon.retention.policy import Limits, Pattern, Policy, Rule
from endurance import SOAKING, directory_in_memory
from live_generator import KINDS, fill_cache, sound
from live_generator_process import GeneratorProcess

ITEMS = 600
ADDED = tuple(f"added number {number}" for number in range(10))
BATCHES = 10
"""The half that goes, goes in this many parts: each is let go by runs from another moment on."""

Pace = tuple[tuple[int, int], ...]
"""How many steps the generator does before a run, and between its look at the index and its work; over and over."""

RESTS_IN_RUNS: Pace = ((15, 0),)
"""An addition has 15 steps: here each run falls between two."""

LOADS_IN_RUNS: Pace = ((0, 7), (8, 0))
"""Retirement falls between the loading of clap_audio.npy and its saving, which brings the vectors back."""

SAVES_IN_RUNS: Pace = ((10, 0), (5, 0))
"""Every other run sees clap_audio.npy longer, and the generator hasn't loaded it."""

DRIFTS: Pace = ((5, 3),)


def random_paces(count: int) -> list[Pace]:
    """Runs anywhere; always the same ones."""
    source = random.Random(5)
    return [tuple((source.randint(0, 14), source.randint(0, 9)) for _ in range(12)) for _ in range(count)]


SOAK_PACES = [((1, 0),), *random_paces(20)] if SOAKING else []


@dataclass
class World:
    """A cache, the generator that runs over it, and the files of its items; `steps` are what the generator does."""

    location: CacheLocation
    writer: WriterSettings
    generator: GeneratorProcess
    files: dict[str, Path]
    runs: int = 0
    added: list[str] = field(default_factory=list)
    is_through: bool = False

    def __post_init__(self) -> None:
        self.steps = self._steps()

    @property
    def kept(self) -> list[str]:
        return [prompt for prompt in self.files if prompt.startswith("keep")]

    def _steps(self) -> Iterator[str]:
        for prompt in ADDED:
            self.generator.begin(prompt)
            self.added.append(prompt)
            while (step := self.generator.step()) is not None:
                yield step
        self.is_through = True

    def advance(self, steps: int) -> None:
        """Let the generator do some of its steps."""
        for step in itertools.islice(self.steps, steps):
            if step == "reload":
                self.check_lookups()

    def run(self, batches: int, beside: int = 0) -> RunReport:
        """A run that lets the first batches go, right after the generator last wrote, and `beside` steps of it."""
        self.runs += 1
        now = (last_index_change(self.location.path) or 0.0) + 0.5
        policy = Policy(
            "drop",
            rules=(Rule("drop", Pattern(rf"^drop [0-{batches - 1}]\b")),),
            limits=Limits(max_items=None, max_percent=None),
        )
        target = Target(
            CacheSettings(self.location, policy, self.writer), self.location.state_directory / "audit.jsonl"
        )
        return run_maintenance(
            target,
            RunRequest(now, f"run-{self.runs:03}"),
            lambda: now,
            Listener(planned=lambda _: self.advance(beside)),
        )

    def check_lookups(self) -> None:
        """Whatever is asked for, its file is there; and what is kept sounds as it should."""
        asked, there = [*self.files, *self.added], {entry.path for entry in os.scandir(self.location.audio_roots[0])}
        for kind in KINDS:
            found = dict(zip(asked, self.generator.lookup(asked, kind), strict=True))
            assert {path for path in found.values() if path is not None} <= there, kind
            assert [found[prompt] for prompt in self.kept] == [str(self.files[prompt]) for prompt in self.kept], kind

    def left(self) -> set[Path]:
        """The files that the cache had in the beginning, and that are there."""
        return {path for path in self.files.values() if path.exists()}


@contextmanager
def live_world(release_on: Literal["restart", "addition"], *, grows: bool) -> Iterator[World]:
    with directory_in_memory() as directory:
        yield from _make_world(directory, release_on, grows=grows)


def _make_world(directory: Path, release_on: Literal["restart", "addition"], *, grows: bool) -> Iterator[World]:
    output = directory / "audio"
    location = CacheLocation("test", output / "audio_cache", (output,))
    location.path.mkdir(parents=True)
    prompts = [f"{'drop' if number % 2 else 'keep'} {number // 2 % BATCHES} of {number}" for number in range(ITEMS)]
    files = dict(zip(prompts, fill_cache(location.path, output, prompts), strict=True))
    started = directory / "started"
    writer = WriterSettings(release_on=release_on, started_file=started)
    with GeneratorProcess(location.path, output, grows=grows, started_file=started) as generator:
        yield World(location, writer, generator, files)


def add_beside_runs(world: World, pace: Iterable[tuple[int, int]]) -> None:
    """Ten additions and runs beside them; a look after whatever changes files or the generator's memory."""
    for before, beside in itertools.cycle(pace):
        world.advance(before)
        # In the middle of an addition a run may have to leave all as it is, and says so; the next one goes on.
        world.run(min(BATCHES, 1 + world.runs), beside)
        world.check_lookups()
        if world.is_through:
            break
    assert world.run(BATCHES).error is None
    world.check_lookups()


@pytest.mark.parametrize("pace", [LOADS_IN_RUNS, DRIFTS, *SOAK_PACES])
def test_no_lookup_misses_while_files_wait_for_a_restart(pace: Pace) -> None:
    """Not of a generator either whose list grows with each addition; after its restart all that was evicted goes."""
    with live_world("restart", grows=True) as world:
        add_beside_runs(world, pace)
        assert world.left() == set(world.files.values())
        assert scan_cache(world.location, ScanNeeds()).retired.pending.sum() == ITEMS // 2

        world.generator.restart()
        world.check_lookups()
        report = world.run(BATCHES)

        assert report.result == RunResult.SUCCESS
        check_end(world)


@pytest.mark.parametrize("pace", [RESTS_IN_RUNS, SAVES_IN_RUNS, LOADS_IN_RUNS, *SOAK_PACES])
def test_no_lookup_misses_while_additions_release_files(pace: Pace) -> None:
    """Of a generator whose list is as the index: what it loaded as zeros goes while it runs."""
    with live_world("addition", grows=False) as world:
        add_beside_runs(world, pace)
        assert world.left() < set(world.files.values())
        world.generator.restart()
        assert world.run(BATCHES).error is None
        check_end(world)


def check_end(world: World) -> None:
    """What was evicted is gone, and all else, what was added too, is found and sounds as it should."""
    assert world.left() == {world.files[prompt] for prompt in world.kept}
    world.check_lookups()
    for prompt, found in zip(world.added, world.generator.lookup(world.added), strict=True):
        assert found is not None
        assert Path(found).read_bytes() == sound(prompt, 0)
