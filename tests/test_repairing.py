"""What an addition looks like while the generator makes it is no fault, until a second look finds it unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.findings import Severity
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.repairing import examine_cache
from audio_cache_daemon.request import Target
from audio_cache_daemon.retention.policy import Policy
from builders import CacheBuilder
from slots import Slot, read_slots, write_slots


@pytest.fixture
def slots(tmp_path: Path) -> list[Slot]:
    """The slots of a written cache."""
    cache = CacheBuilder(tmp_path)
    for row in range(6):
        cache.add(f"prompt {row}", quality=0.2 + row / 50)
    return read_slots(cache.write())


def target(tmp_path: Path, *, live: bool) -> Target:
    root = tmp_path / "audio"
    location = CacheLocation("test", root / "audio_cache", (root,))
    settings = CacheSettings(location, Policy("none"), WriterSettings(mode="live" if live else "stopped"))
    return Target(settings, location.state_directory / "audit.jsonl")


@pytest.mark.parametrize("present", [0, 1, 2])
def test_an_addition_in_flight_is_no_fault(tmp_path: Path, slots: list[Slot], present: int) -> None:
    """The second look finds it ended."""
    chosen = target(tmp_path, live=True)
    location = chosen.settings.location
    vectors = [vector if number < present else None for number, vector in enumerate(slots[-1].vectors)]
    write_slots(location, [*slots[:-1], Slot(slots[-1].line, vectors)])
    assert examine_cache(chosen, pause=lambda: write_slots(location, slots)).findings == ()


def test_what_two_looks_find_alike_is_believed(tmp_path: Path, slots: list[Slot]) -> None:
    """After one pause."""
    chosen = target(tmp_path, live=True)
    write_slots(chosen.settings.location, [*slots[:-1], Slot(slots[-1].line, [None] * 3)])
    pauses: list[None] = []
    assert examine_cache(chosen, pause=lambda: pauses.append(None)).count(Severity.ERROR) == 3
    assert len(pauses) == 1


def test_there_is_no_pause_for_what_is_no_addition_or_has_no_generator(tmp_path: Path, slots: list[Slot]) -> None:
    """A blank line under a running one; a line without vectors under a stopped one."""

    def never() -> None:
        raise AssertionError

    live, stopped = target(tmp_path, live=True), target(tmp_path, live=False)
    location = live.settings.location
    write_slots(location, [Slot(b"\n", [None] * 3), *slots])
    assert examine_cache(live, pause=never).count(Severity.ERROR) == 1
    write_slots(location, [*slots[:-1], Slot(slots[-1].line, [None] * 3)])
    assert examine_cache(stopped, pause=never).count(Severity.ERROR) == 3
