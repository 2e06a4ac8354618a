"""What the watcher hears of a real cache, and what it doesn't."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from watching import watching, write_sound

from audio_cache_daemon.daemon import watch_events
from audio_cache_daemon.daemon.watch import WatchMode
from audio_cache_daemon.daemon.watch_events import Touched
from audio_cache_daemon.location import META_NAME, STATE_DIRECTORY, CacheLocation
from builders import CacheBuilder


@pytest.fixture
def location(tmp_path: Path) -> CacheLocation:
    builder = CacheBuilder(tmp_path)
    builder.add()
    builder.add("thunder")
    return builder.write()


def _root(location: CacheLocation) -> Path:
    return location.audio_roots[0]


def _replace_index(location: CacheLocation) -> None:
    new = location.path / "meta.jsonl.tmp"
    new.write_bytes((location.path / META_NAME).read_bytes())
    new.replace(location.path / META_NAME)


CHANGES: dict[str, Callable[[CacheLocation], object]] = {
    "an added sound": lambda location: write_sound(_root(location) / "new.wav"),
    "a sound written in place": lambda location: write_sound(next(_root(location).glob("rain*"))),
    "a removed sound": lambda location: next(_root(location).glob("rain*")).unlink(),
    "a renamed sound": lambda location: next(_root(location).glob("rain*")).rename(_root(location) / "x.wav"),
    "a sound moved away": lambda location: next(_root(location).glob("rain*")).rename(_root(location) / "../x.wav"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_of_audio_is_heard(location: CacheLocation, change: Callable[[CacheLocation], object]) -> None:
    """With the directory in which it happened."""
    with watching(location) as watched:
        assert (watched.watch.mode, watched.watch.reason) == (WatchMode.EVENTS, None)
        change(location)
        watched.wait_until_touched(_root(location))
        assert watched.directories == {str(_root(location))}
        assert not watched.everything


def test_appended_rows_are_heard_and_a_replaced_index_too(location: CacheLocation) -> None:
    """Both ways in which the writer changes the index."""
    with watching(location) as watched:
        with (location.path / META_NAME).open("ab") as file:
            file.write(b"{}\n")
        watched.wait_until_touched(location.path)
        watched.forget()
        watched.directories.clear()
        _replace_index(location)
        watched.wait_until_touched(location.path)


def test_an_index_outside_the_audio_roots_is_watched_alone(tmp_path: Path, location: CacheLocation) -> None:
    """What lies beside it, and what lies below, is none of the cache's."""
    index = tmp_path / "index"
    location.path.rename(index)
    with watching(CacheLocation("test", index, location.audio_roots)) as watched:
        write_sound(index / "below" / "x.wav")
        with (index / META_NAME).open("ab") as file:
            file.write(b"{}\n")
        watched.wait_for(lambda: watched.watch.figures.events_total == 2)
        assert watched.finish(_root(location)) == {str(index), str(index / "below")}
        assert watched.watch.figures.events_total == 3


def test_reading_wakes_nobody(location: CacheLocation) -> None:
    """Our own scans would keep us awake."""
    with watching(location) as watched:
        for path in (*_root(location).iterdir(), *location.path.iterdir()):
            if path.is_file():
                path.read_bytes()
        assert list(os.walk(_root(location)))
        assert watched.finish(location.path) == set()
        assert watched.finish(_root(location)) == {str(location.path / "the end")}
        assert watched.watch.figures.events_total == 2


def test_our_own_trees_and_foreign_files_wake_nobody(location: CacheLocation) -> None:
    """Neither state nor trash, in the cache and in the root, nor a configuration or a log that lie beside the audio."""
    with watching(location) as watched:
        for own in (location.state_directory, _root(location) / STATE_DIRECTORY):
            write_sound(own / "trash" / "run" / "x.wav")
            (own / "trash" / "run" / "x.wav").rename(own / "trash" / "y.wav")
        for place in (location.path, _root(location)):
            (place / "config.yaml.new").write_text("caches: []")
            (place / "config.yaml.new").replace(place / "config.yaml")
            (place / "generator.log").write_text("made a sound")
        assert watched.finish(location.path) == set()
        assert watched.finish(_root(location)) == {str(location.path / "the end")}
        assert watched.watch.figures.events_total == 2


def test_a_link_as_root_is_followed(tmp_path: Path, location: CacheLocation) -> None:
    """A watch on the link itself would hear nothing; where the link leads is what is touched."""
    link = tmp_path / "link"
    link.symlink_to(_root(location))
    with watching(CacheLocation("test", link / "audio_cache", (link,))) as watched:
        write_sound(link / "x.wav")
        watched.wait_until_touched(_root(location))


def test_a_root_in_another_root_is_watched_once(location: CacheLocation) -> None:
    """So is one that is given twice: each change makes its events once."""
    inner = _root(location) / "inner"
    inner.mkdir()
    with watching(CacheLocation("test", location.path, (inner, _root(location), _root(location)))) as watched:
        write_sound(inner / "x.wav")
        assert watched.finish(inner) == {str(inner)}
        assert watched.watch.figures.events_total == 3


def test_a_new_directory_is_heard_and_what_is_written_into_it_at_once(location: CacheLocation) -> None:
    """In the root, in a directory of it, and several levels at once."""
    deep = _root(location) / "2033" / "05"
    deep.mkdir(parents=True)
    with watching(location) as watched:
        write_sound(deep / "06" / "07" / "x.wav")
        watched.wait_until_touched(deep / "06" / "07")
        (_root(location) / "2034").mkdir()
        watched.wait_until_touched(_root(location) / "2034")
        # One in the root is watched from the next check on, and what happened before is looked for everywhere.
        write_sound(_root(location) / "2034" / "x.wav")
        watched.check_after(60)
        assert watched.everything
        watched.forget()
        write_sound(_root(location) / "2034" / "y.wav")
        watched.wait_until_touched(_root(location) / "2034")
        assert watched.watch.mode == WatchMode.EVENTS


def test_a_directory_that_is_moved_away_is_heard_and_no_longer_watched(tmp_path: Path, location: CacheLocation) -> None:
    """It makes one event, and none for its files; what happens to it elsewhere is none of ours."""
    away = tmp_path / "away"
    for name in ("a", "b/c"):
        write_sound(_root(location) / name / "x.wav")
    with watching(location) as watched:
        (_root(location) / "b" / "c").rename(away)
        watched.wait_until_touched(_root(location) / "b" / "c")
        watched.check_after(60)
        assert watched.everything
        watched.forget()
        write_sound(away / "y.wav")
        assert watched.finish(_root(location) / "b") == set()


def test_many_directories_in_a_root_are_one_tree(location: CacheLocation) -> None:
    """They would take a thread each; our own tree in it is passed over all the same."""
    for number in range(100):
        write_sound(_root(location) / f"{number:02}" / "x.wav")
    before = threading.active_count()
    with watching(location) as watched:
        assert threading.active_count() - before < 10
        write_sound(_root(location) / STATE_DIRECTORY / "trash" / "x.wav")
        write_sound(_root(location) / "42" / "y.wav")
        assert watched.finish(_root(location) / "42") == {str(_root(location) / "42")}
        watched.check_after(5)
        assert watched.watch.figures.is_up


def test_a_hint_that_fails_ends_nothing(location: CacheLocation, caplog: pytest.LogCaptureFixture) -> None:
    """An exception in a handler would end the observer's thread in silence."""

    def fail() -> None:
        raise RuntimeError("no ear for hints")

    with caplog.at_level(logging.ERROR), watching(location, fail) as watched:
        write_sound(_root(location) / "x.wav")
        watched.wait_for(lambda: watched.watch.figures.events_total >= 2)
        write_sound(_root(location) / "y.wav")
        watched.wait_for(lambda: watched.watch.figures.events_total >= 4)
        watched.check_after(5)
        assert watched.watch.figures.rearmed_total == 0
    assert "no ear for hints" in caplog.text


def test_what_was_touched_is_named(location: CacheLocation) -> None:
    """Files of the cache and directories that came or went, by their real paths; until they are taken."""
    files: set[str] = set()
    directories: set[str] = set()
    with watching(location) as watched:

        def is_complete() -> bool:
            touched = watched.watch.take_touched()
            files.update(touched.files)
            directories.update(touched.directories)
            return bool(directories)

        write_sound(_root(location) / "x.wav")
        (_root(location) / "2033").mkdir()
        watched.wait_for(is_complete)
        assert files == {str(_root(location) / "x.wav")}
        assert directories == {str(_root(location) / "2033")}
        assert watched.watch.take_touched() == Touched()


def test_more_than_is_remembered_means_everything(location: CacheLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is collected between two looks has a bound."""
    monkeypatch.setattr(watch_events, "_MAX_TOUCHED", 20)
    with watching(location) as watched:
        for number in range(30):
            write_sound(_root(location) / f"{number}.wav")
        watched.wait_for(lambda: watched.watch.figures.events_total == 60)
        assert watched.watch.take_touched() == Touched(everything=True)
        assert watched.watch.take_touched() == Touched()


def test_after_the_end_nothing_is_left(location: CacheLocation) -> None:
    """No thread, no descriptor, no handler of the log; and it can begin again."""
    descriptors, handlers = set(Path("/proc/self/fd").iterdir()), logging.getLogger("watchdog").handlers[:]
    for _ in range(2):
        with watching(location) as watched:
            write_sound(_root(location) / "x.wav")
            watched.wait_until_touched(_root(location))
        assert set(Path("/proc/self/fd").iterdir()) == descriptors
        assert logging.getLogger("watchdog").handlers == handlers


def test_a_watch_that_nobody_checks_is_stale(location: CacheLocation) -> None:
    """The loop that should do it hangs, which the service manager is to hear of."""
    with watching(location) as watched:
        assert watched.watch.is_fresh()
        watched.clock.ahead += 31
        assert not watched.watch.is_fresh()
        watched.watch.check()
        assert watched.watch.is_fresh()
