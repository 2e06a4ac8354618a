"""Waiting for what a watcher hears: on events, with a time-out, never by sleeping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from audio_cache_daemon.daemon.watch import CacheWatch
from audio_cache_daemon.daemon.watch_events import Touched
from audio_cache_daemon.location import CacheLocation

PATIENCE = 60.0


class Clock:
    """Real seconds, until a test stops them, and those that it puts on top."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._stopped: float | None = None

    def stop(self) -> None:
        """From now on only those count that are put on top, however long the machine takes."""
        self._stopped = time.monotonic()

    def __call__(self) -> float:
        return (time.monotonic() if self._stopped is None else self._stopped) + self.ahead


class Watched:
    """A started watch of a cache whose hints can be waited for; what was touched is collected."""

    def __init__(self, location: CacheLocation, on_hint: Callable[[], None] = lambda: None) -> None:
        self._on_hint = on_hint
        self._heard = threading.Condition()
        self._hints = 0
        self.clock = Clock()
        self.watch = CacheWatch(location, self._hint, self.clock)
        self.directories: set[str] = set()
        self.everything = False

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so, looking after each hint."""
        with self._heard:
            assert self._heard.wait_for(is_so, PATIENCE)

    def comes_true(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Whether something is so within so many seconds, looking after each hint."""
        with self._heard:
            return self._heard.wait_for(is_so, seconds)

    def wait_until_touched(self, directory: Path) -> None:
        """Wait until a change in a directory was heard of; anything touched before it is collected too."""
        self.wait_for(lambda: str(directory) in self.collect())

    def make_until_touched(self, directory: Path) -> None:
        """Make files in a directory until one is heard of: while the library makes its watches anew it hears none."""
        for number in range(int(PATIENCE)):
            (directory / f"heard {number}.wav").write_bytes(b"")
            with self._heard:
                if self._heard.wait_for(lambda: str(directory) in self.collect(), 1.0):
                    return
        raise AssertionError(f"nothing was heard of {directory} in {PATIENCE} s")

    def finish(self, directory: Path) -> set[str]:
        """The directories that were touched before a last one is made in this, without it."""
        sentinel = directory / "the end"
        sentinel.mkdir()
        self.wait_until_touched(sentinel)
        return self.directories - {str(sentinel)}

    def forget(self) -> None:
        """Begin anew to collect."""
        self.collect()
        self.directories = set()
        self.everything = False

    def check_after(self, seconds: float) -> None:
        """Let time pass, and check."""
        self.clock.ahead += seconds
        self.watch.check()
        self.collect()

    def collect(self) -> set[str]:
        """The directories that were touched so far."""
        touched: Touched = self.watch.take_touched()
        self.directories |= touched.directories | {path.rpartition("/")[0] for path in touched.files}
        self.everything |= touched.everything
        return self.directories

    def _hint(self) -> None:
        with self._heard:
            self._hints += 1
            self._heard.notify_all()
        self._on_hint()


@contextmanager
def watching(location: CacheLocation, on_hint: Callable[[], None] = lambda: None) -> Iterator[Watched]:
    """Watch a cache; afterwards no thread is left."""
    before = set(threading.enumerate())
    watched = Watched(location, on_hint)
    watched.watch.start()
    try:
        yield watched
    finally:
        watched.watch.stop()
        assert set(threading.enumerate()) <= before


def write_sound(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"sound")
    return path
