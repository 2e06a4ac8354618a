"""Under a generator that runs on: no lookup leads to a file that is gone, none of a kept prompt to a wrong sound.

It is a process of its own, and adds ten items, a step at a time, while runs between its steps evict half of the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from generator import KINDS, fill_cache, sound
from generator_process import GeneratorProcess

from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.location import CacheLocation, last_index_change
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.model import RunReport, RunResult, ScanNeeds
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.retention.policy import Limits, Pattern, Policy, Rule

ITEMS = 600
ADDED = tuple(f"added number {number}" for number in range(10))
BATCHES = 10
"""The half that goes, goes in this many parts: each is let go by runs from another moment on."""


@dataclass
class World:
    """A cache, the generator that runs over it, and what the prompts of the cache are to sound like."""

    location: CacheLocation
    writer: WriterSettings
    generator: GeneratorProcess
    files: dict[str, Path]
    runs: int = 0
    added: list[str] = field(default_factory=list)

    @property
    def dropped(self) -> list[str]:
        return [prompt for prompt in self.files if prompt.startswith("drop")]

    @property
    def kept(self) -> list[str]:
        return [prompt for prompt in self.files if prompt.startswith("keep")]

    def run(self, batches: int) -> RunReport:
        """A run that lets the first batches go, a moment after the generator last wrote."""
        self.runs += 1
        now = (last_index_change(self.location.path) or 0.0) + 0.5
        rules = (Rule("drop", Pattern(rf"^drop [0-{batches - 1}]\b")),) if batches else ()
        policy = Policy("drop", rules=rules, limits=Limits(max_items=None, max_percent=None))
        target = Target(
            CacheSettings(self.location, policy, self.writer), self.location.state_directory / "audit.jsonl"
        )
        return run_maintenance(target, RunRequest(now, f"run-{self.runs:03}"), lambda: now)

    def check_lookups(self) -> None:
        """Whatever is asked for, its file is there; and what is kept sounds as it should."""
        for kind in KINDS:
            asked = [*self.files, *self.added]
            for prompt, found in zip(asked, self.generator.lookup(asked, kind), strict=True):
                assert found is None or Path(found).exists(), (kind, prompt, found)
                if prompt.startswith("keep"):
                    assert found == str(self.files[prompt]), (kind, prompt, found)

    def left(self) -> set[Path]:
        return {path for path in self.files.values() if path.exists()}


@contextmanager
def live_world(directory: Path, release_on: Literal["restart", "addition"], *, grows: bool) -> Iterator[World]:
    output = directory / "audio"
    location = CacheLocation("test", output / "audio_cache", (output,))
    location.path.mkdir(parents=True)
    prompts = [f"{'keep' if number % 2 else 'drop'} {number % BATCHES} of {number}" for number in range(ITEMS)]
    files = dict(zip(prompts, fill_cache(location.path, output, prompts), strict=True))
    started = directory / "started"
    writer = WriterSettings(release_on=release_on, started_file=started)
    with GeneratorProcess(location.path, output, grows=grows, started_file=started) as generator:
        yield World(location, writer, generator, files)


def add_between_runs(world: World, every: int) -> None:
    """Ten additions; at every so many of their steps a run, and look after whatever changes files or memory."""
    steps = 0
    for prompt in ADDED:
        world.generator.begin(prompt)
        world.added.append(prompt)
        while (step := world.generator.step()) is not None:
            steps += 1
            if steps % every == 0:
                # In the middle of a saving it may have to leave all as it is; the next one goes on.
                world.run(min(BATCHES, 1 + len(world.added)))
                world.check_lookups()
            if step == "reload":
                world.check_lookups()


@pytest.mark.parametrize("every", [4, 7, 11])
def test_no_lookup_misses_while_files_wait_for_a_restart(tmp_path: Path, every: int) -> None:
    """Not of a generator either whose list grows with each addition; after its restart all that was evicted goes."""
    with live_world(tmp_path, "restart", grows=True) as world:
        add_between_runs(world, every)
        assert world.run(BATCHES).error is None
        world.check_lookups()
        assert world.left() == set(world.files.values())
        assert scan_cache(world.location, ScanNeeds()).retired.pending.sum() == ITEMS // 2

        world.generator.restart()
        world.check_lookups()
        report = world.run(BATCHES)

        assert report.result == RunResult.SUCCESS
        assert world.left() == {world.files[prompt] for prompt in world.kept}
        world.check_lookups()
        check_additions(world)


@pytest.mark.parametrize("every", [1, 4, 7])
def test_no_lookup_misses_while_additions_release_files(tmp_path: Path, every: int) -> None:
    """Of a generator whose list is as the index: what it loaded as zeros goes while it runs."""
    with live_world(tmp_path, "addition", grows=False) as world:
        add_between_runs(world, every)
        assert world.run(BATCHES).error is None
        assert {world.files[prompt] for prompt in world.kept} < world.left() < set(world.files.values())
        world.generator.restart()
        assert world.run(BATCHES).error is None
        assert world.left() == {world.files[prompt] for prompt in world.kept}
        world.check_lookups()
        check_additions(world)


def check_additions(world: World) -> None:
    for prompt, found in zip(world.added, world.generator.lookup(world.added), strict=True):
        assert found is not None
        assert Path(found).read_bytes() == sound(prompt, 0)
