"""Looks that read only what is new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace
from watching import Watched, watching

from audio_cache_daemon.config.settings import CacheSettings
from audio_cache_daemon.daemon.look import look_at
from audio_cache_daemon.daemon.view import View
from audio_cache_daemon.location import META_NAME
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.retention.policy import Limits, Pattern, Policy, Rule
from builders import NOW, CacheBuilder


@dataclass
class Place:
    """A cache that is watched, and the view of it."""

    builder: CacheBuilder
    target: Target
    watched: Watched
    view: View

    def remove_one(self) -> None:
        max(self.builder.output.glob("*.wav")).unlink()

    def wait(self) -> None:
        """Wait until all that happened so far was heard of, and nothing more comes."""
        heard = self._heard()
        (self.builder.output / f"made after {heard} events").mkdir()
        self.watched.wait_for(lambda: self._heard() > heard)
        heard = self._heard()
        # What was heard may be what happened before.
        while self.watched.comes_true(partial(self._hears_more_than, heard), 0.3):
            heard = self._heard()

    def _hears_more_than(self, heard: int) -> bool:
        return self._heard() > heard

    def _heard(self) -> int:
        return self.watched.watch.figures.events_total


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    builder = CacheBuilder(tmp_path)
    for number in range(20):
        builder.add(f"prompt {number}")
    location = builder.write()
    target = Target(CacheSettings(location, Policy("none")), location.state_directory / "audit.jsonl")
    with watching(location) as watched:
        view = View(location)
        view.watch = watched.watch
        yield Place(builder, target, watched, view)
        view.foresight.close()


def bytes_read() -> int:
    """What this process read so far, from files and whatever else."""
    return int(Path("/proc/self/io").read_text().split()[1])


def test_a_second_look_reads_the_new_rows_alone(place: Place) -> None:
    """It finds what a look at everything finds."""
    for number in range(1500):
        place.builder.add(f"more {number % 50}")
    place.builder.write()
    place.wait()
    place.view.look(place.target)
    index = place.builder.location.path / META_NAME
    place.builder.append_to_meta(index.read_bytes().splitlines(keepends=True)[0])
    place.remove_one()
    place.wait()
    before = bytes_read()
    look = place.view.look(place.target)
    assert bytes_read() - before < index.stat().st_size / 4
    assert look.statistics == look_at(place.target, look.time).statistics
    assert (look.statistics.items, look.statistics.missing) == (1521, 1)


def test_an_announced_change_is_no_drift(place: Place) -> None:
    place.view.look(place.target)
    place.remove_one()
    place.wait()
    assert place.view.look_at_everything(place.target).statistics.missing == 1
    assert place.view.drift_total == 0


def test_what_no_event_announced_is_found_by_a_look_at_everything_and_counted(place: Place) -> None:
    """A look in between doesn't see it: it goes by what it is told."""
    place.view.look(place.target)
    place.remove_one()
    place.wait()
    place.watched.watch.take_touched()  # the event is lost
    assert place.view.look(place.target).statistics.missing == 0
    assert place.view.look_at_everything(place.target).statistics.missing == 1
    assert place.view.drift_total == 1


def test_without_a_watch_each_look_is_at_everything(place: Place) -> None:
    place.view.watch = None
    place.view.look(place.target)
    place.remove_one()
    assert place.view.look(place.target).statistics.missing == 1
    assert place.view.drift_total == 0


def test_with_a_watch_of_a_part_each_look_is_at_everything(place: Place) -> None:
    """What can't be heard of may be anywhere."""
    place.view.look(place.target)
    place.watched.watch.stop()
    place.remove_one()
    assert place.view.look(place.target).statistics.missing == 1


def test_what_another_process_retires_is_seen_as_pending(place: Place) -> None:
    """By what tells its files apart, which a view holds only as long as it needs it."""
    place.view.look(place.target)
    rule = Rule("drop", Pattern("prompt 7"))
    policy = Policy("drop", rules=(rule,), limits=Limits(None, None))
    by_hand = replace(place.target, settings=replace(place.target.settings, policy=policy))
    report = run_maintenance(by_hand, RunRequest(NOW, "20361231T000000Z-abcdef"), lambda: NOW)
    assert report.evicted["drop"].items == 1
    place.wait()
    for _ in range(2):
        look = place.view.look(place.target)
        assert (look.statistics.retired, look.statistics.pending) == (1, 1)
        assert look.statistics == look_at(place.target, look.time).statistics
