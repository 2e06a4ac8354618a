"""A generator in a process of its own adds items while the index is compacted, at moments that nobody chose.

`RACES` in the environment is how many races are run (a thousand by `make soak`), `RACES_SEED` the first seed; each is a
test that has its seed in its name. How its steps fall is up to the machine, so that a seed says what is tried, not
what happens.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from exchanges import (
    RUN,
    Case,
    changes_to_drop,
    expected_content,
    leave_open,
    make_cache,
    prepare,
    read_content,
)

from audio_cache_daemon.errors import DeferredError, InconsistentIndexError
from audio_cache_daemon.eviction.reconcile import reconcile, rewrite_index
from audio_cache_daemon.eviction.recovery import recover
from audio_cache_daemon.eviction.rewrite import exchange_index
from audio_cache_daemon.location import CacheLocation
from endurance import SOAKING, directory_in_memory
from generator import Command, GeneratorProcess, NewItem

RACES = int(os.environ.get("RACES", "1000" if SOAKING else "40"))
FIRST = int(os.environ.get("RACES_SEED", "1"))

CASES = (
    Case(items=6, bge=6, dropped=frozenset({1, 4})),
    Case(items=6, bge=6, dropped=frozenset({5})),
    Case(items=6, bge=6, dropped=frozenset({4, 5}), is_zeroed=True, qualities=(None, 0.5, 0.4)),
    Case(items=6, bge=6, dropped=frozenset({5}), twin=5),
    Case(items=6, bge=6, dropped=frozenset(range(6))),
    Case(items=6, bge=3, dropped=frozenset({0})),
)

STEP_SECONDS = 0.0003
"""About what a step of an addition takes without a pause."""


@dataclass(frozen=True)
class Race:
    """What is tried: so many additions with a pause after each step, and when our part begins after theirs.

    `is_prepared`: the additions begin between the preparation and the exchange; else the whole compaction may fall
    anywhere.
    """

    case: Case
    additions: int
    pause: float
    delay: float
    is_prepared: bool

    @classmethod
    def of(cls, seed: int) -> Race:
        chance = random.Random(seed)
        additions, pause = chance.randint(1, 3), chance.choice([0.0, 0.0002, 0.001])
        length = additions * 11 * (pause + STEP_SECONDS)
        return cls(chance.choice(CASES), additions, pause, chance.uniform(0, length), chance.random() < 0.8)

    def items(self) -> tuple[NewItem, ...]:
        return tuple(self.case.new(number) for number in range(self.additions))


@dataclass(frozen=True)
class Track:
    """A generator in its own process, and the directory that each race makes its cache in anew."""

    directory: Path
    generator: GeneratorProcess


@pytest.fixture(scope="module")
def track() -> Iterator[Track]:
    with make_track() as made:
        yield made


@contextmanager
def make_track() -> Iterator[Track]:
    with directory_in_memory() as directory:
        location = make_cache(directory / "race", CASES[0])
        with GeneratorProcess(location.path) as generator:
            yield Track(directory / "race", generator)


def run_race(race: Race, track: Track) -> CacheLocation:
    """Let it happen, up to the end of the additions and of the compaction."""
    shutil.rmtree(track.directory)
    location = make_cache(track.directory, race.case)
    track.generator.ask(Command("restart"))
    addition = Command("add", race.items(), pause=race.pause, acknowledge=True)
    if race.is_prepared:
        journal = prepare(location, race.case)
        begin(track, addition, race.delay)
        exchange_index(location, journal)
        with suppress(DeferredError):
            reconcile(location, lambda: None)
    else:
        changes = list(changes_to_drop(location, race.case))
        begin(track, addition, race.delay)
        # Where an addition came in between there is nothing to reconcile.
        with suppress(DeferredError, InconsistentIndexError):
            rewrite_index(location, changes, RUN, lambda: None)
    assert track.generator.answer() == "added"
    return location


def begin(track: Track, addition: Command, delay: float) -> None:
    """Return so long after the additions began."""
    track.generator.send(addition)
    assert track.generator.answer() == "begins"
    until = time.perf_counter() + delay
    while time.perf_counter() < until:
        pass


@pytest.mark.parametrize("seed", range(FIRST, FIRST + RACES))
def test_a_compaction_under_a_generator_that_adds_items_loses_nothing(track: Track, seed: int) -> None:
    """Reconciled in quiet: no line lost, their order kept, each with its own vectors; and so what is served."""
    race = Race.of(seed)
    location = run_race(race, track)
    recovery = recover(location, lambda: None)
    assert not leave_open(location)
    was_undone = recovery is not None and "undone" in recovery.message
    everything = Case(race.case.items, bge=race.case.bge, twin=race.case.twin, qualities=race.case.qualities)
    found, dropped = read_content(location.path), expected_content(race.case, race.items())
    if race.is_prepared or (found.lines == dropped.lines and not was_undone):
        assert found == dropped
    else:
        assert found.lines == tuple(item.line() for item in (*everything.old(), *race.items()))
    check_served(race, track)


def check_served(race: Race, track: Track) -> None:
    """After its next start the generator serves for each added prompt that prompt's sound."""
    track.generator.ask(Command("restart"))
    for item in race.items():
        if item.quality is not None:
            served = track.generator.ask(Command("find", prompt=item.prompt))
            assert served in {other.path() for other in race.items() if other.prompt == item.prompt} or (
                race.case.twin is not None
            )
