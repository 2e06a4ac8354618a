"""What makes a watch deaf, and that it is noticed: each of these leaves watchdog running and silent."""

from __future__ import annotations

import ctypes
import logging
import shutil
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from watchdog.utils import BaseThread
from watching import Watched, watching, write_sound

from audio_cache_daemon.daemon import watch_trees
from audio_cache_daemon.daemon.watch import WatchMode
from audio_cache_daemon.location import CacheLocation
from builders import CacheBuilder


@pytest.fixture
def location(tmp_path: Path) -> CacheLocation:
    builder = CacheBuilder(tmp_path)
    builder.add()
    return builder.write()


@pytest.fixture
def root(location: CacheLocation) -> Path:
    return location.audio_roots[0]


def assert_hears(watched: Watched, directory: Path) -> None:
    """All is watched, and a new sound is heard."""
    assert (watched.watch.mode, watched.watch.reason) == (WatchMode.EVENTS, None)
    watched.forget()
    write_sound(directory / "heard.wav")
    watched.wait_until_touched(directory)


def drop_watch(directory: Path) -> None:
    """Let the kernel drop this process's watch of a directory, as it does when a file system is unmounted."""
    wanted = f" ino:{directory.stat().st_ino:x} "
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if descriptor.readlink().name == "anon_inode:inotify":
                lines = Path("/proc/self/fdinfo", descriptor.name).read_text().splitlines()
                [number] = [line.split()[1].removeprefix("wd:") for line in lines if wanted in line]
                assert ctypes.CDLL(None).inotify_rm_watch(int(descriptor.name), int(number, 16)) == 0


def test_nothing_is_made_anew_without_need(location: CacheLocation, root: Path) -> None:
    """Whatever happens to files: what is heard of them needs no new watch."""
    with watching(location) as watched:
        write_sound(root / "x.wav").unlink()
        watched.wait_until_touched(root)
        for _ in range(5):
            watched.check_after(5)
        assert watched.watch.figures.rearmed_total == 0
        assert not watched.everything


def test_a_root_that_was_removed_and_made_anew_is_watched_again(location: CacheLocation, root: Path) -> None:
    """And all of it is looked at: what happened before wasn't heard."""
    with watching(location) as watched:
        shutil.rmtree(root)
        location.path.mkdir(parents=True)
        watched.check_after(5)
        assert watched.everything
        assert watched.watch.figures.rearmed_total == 1
        assert_hears(watched, root)


def test_a_root_that_went_away_is_told_of_until_it_is_back(
    location: CacheLocation, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, in words, and not again with each check."""
    with caplog.at_level(logging.INFO), watching(location) as watched:
        shutil.rmtree(root)
        for _ in range(30):
            watched.check_after(5)
        assert watched.watch.mode == WatchMode.PERIODIC
        assert str(watched.watch.reason) == f"{root} can't be watched: No such file or directory"
        assert not watched.watch.figures.is_up
        root.mkdir()
        watched.check_after(5)
        assert_hears(watched, root)
    messages = [record.getMessage() for record in caplog.records if record.name.startswith("audio_cache_daemon")]
    assert messages[0].endswith(f"the periodic scan: {root} can't be watched: No such file or directory")
    assert messages[1:] == ["cache test: all of it is watched"]


def test_a_root_that_was_renamed_and_replaced_is_watched_again(location: CacheLocation, root: Path) -> None:
    """The old watch follows the directory under its new name, and tells of it under the old one."""
    with watching(location) as watched:
        old = root.rename(root.with_name("old"))
        location.path.mkdir(parents=True)
        watched.check_after(5)
        assert watched.watch.figures.rearmed_total == 1
        watched.forget()
        write_sound(old / "x.wav")
        assert watched.finish(root) == set()
        assert_hears(watched, root)


def test_a_link_that_leads_elsewhere_is_followed_anew(tmp_path: Path, location: CacheLocation, root: Path) -> None:
    """The root is the directory that the link leads to now."""
    link, other = tmp_path / "link", tmp_path / "other"
    other.mkdir()
    link.symlink_to(root)
    with watching(CacheLocation("test", location.path, (link,))) as watched:
        link.unlink()
        link.symlink_to(other)
        watched.check_after(5)
        assert_hears(watched, other)


def test_one_of_two_roots_that_is_missing_leaves_the_other_watched(
    tmp_path: Path, location: CacheLocation, root: Path
) -> None:
    """As far as it goes; and when it comes, it is watched too."""
    late = tmp_path / "late"
    with watching(CacheLocation("test", location.path, (root, late))) as watched:
        assert watched.watch.mode == WatchMode.PARTIAL
        assert not watched.watch.figures.is_up
        write_sound(root / "x.wav")
        watched.wait_until_touched(root)
        for _ in range(30):
            watched.check_after(5)
        assert watched.watch.figures.rearmed_total == 0
        late.mkdir()
        watched.check_after(5)
        assert_hears(watched, late)


def test_a_thread_that_died_is_noticed(location: CacheLocation, root: Path) -> None:
    """Whichever of them: each alone makes the watch deaf."""
    for number in range(3):
        before = set(threading.enumerate())
        with watching(location) as watched:
            threads = [thread for thread in threading.enumerate() if isinstance(thread, BaseThread)]
            victim = sorted(set(threads) - before, key=lambda thread: type(thread).__name__)[number]
            victim.stop()
            write_sound(root / "x.wav")
            victim.join(10)
            assert not victim.is_alive()
            watched.check_after(5)
            assert watched.watch.figures.rearmed_total == 1
            assert_hears(watched, root)


def test_a_watch_that_the_kernel_dropped_is_noticed(location: CacheLocation, root: Path) -> None:
    """All threads live, and one directory is deaf, as after an unmount below the root."""
    inner = root / "inner"
    inner.mkdir()
    with watching(location) as watched:
        drop_watch(inner)
        watched.check_after(5)
        assert watched.watch.figures.rearmed_total == 1
        assert_hears(watched, inner)


def test_too_many_directories_are_not_watched(
    location: CacheLocation, root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """None of them, since a repair of all after an overflow would overflow again; until there are fewer."""
    monkeypatch.setattr(watch_trees, "MAX_DIRECTORIES", 40)
    for number in range(40):
        (root / "a" / f"{number:02}").mkdir(parents=True)
    with caplog.at_level(logging.INFO), watching(location) as watched:
        assert (watched.watch.mode, watched.watch.reason) == (
            WatchMode.PERIODIC,
            "there are more than 40 directories",
        )
        assert not watched.watch.figures.is_up
        for _ in range(30):
            watched.check_after(5)
        assert len(caplog.records) == 1
        shutil.rmtree(root / "a")
        watched.check_after(600)
        assert watched.everything
        assert_hears(watched, root)


def test_directories_that_become_too_many_end_the_watch(
    location: CacheLocation, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound holds while the daemon runs, not at its start only."""
    monkeypatch.setattr(watch_trees, "MAX_DIRECTORIES", 40)
    with watching(location) as watched:
        for number in range(40):
            (root / "a" / f"{number:02}").mkdir(parents=True)
        watched.wait_until_touched(root / "a")
        watched.check_after(60)
        assert watched.watch.mode == WatchMode.PERIODIC


def test_a_generator_that_makes_many_directories_doesnt_keep_us_walking(location: CacheLocation, root: Path) -> None:
    """New watches are made at a pace that follows what they cost, and none is forgotten."""
    with watching(location) as watched:
        for number in range(20):
            (root / f"{number:02}").mkdir()
            watched.wait_until_touched(root / f"{number:02}")
            watched.check_after(0)
        assert watched.watch.figures.rearmed_total <= 2
        watched.check_after(60)
        assert_hears(watched, root / "19")
