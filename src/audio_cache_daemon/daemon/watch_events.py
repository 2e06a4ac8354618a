"""What is heard from watchdog: events of a cache's files, as hints where to look, and its own complaints."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator

import msgspec
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)

from audio_cache_daemon.daemon.watch_trees import is_ours
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, is_audio_name

logger = logging.getLogger(__name__)

EVENT_FILTER: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    FileClosedEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
]
"""Opening and closing what was only read are left out: our own scans would wake us. Reading asks for no event at all,
since the filter also makes the mask that the kernel is given."""

_INDEX_NAMES = frozenset((META_NAME, *ARRAY_NAMES))

_MAX_TOUCHED = 8192
"""What is remembered one by one; when more was touched, everything is looked at."""


class Touched(msgspec.Struct, frozen=True):
    """Where something changed, by real paths: files of the cache, and directories that came or went, with all in them.

    With `everything` anything may have changed, and nothing is named.
    """

    files: frozenset[str] = frozenset()
    directories: frozenset[str] = frozenset()
    everything: bool = False


class Ear(FileSystemEventHandler):
    """Takes in events, in a thread of watchdog's: notes where, and calls `hint`.

    Nothing that goes wrong leaves it: an exception would end the thread, and nobody would hear of it.
    """

    def __init__(self, hint: Callable[[], None]) -> None:
        self._hint = hint
        self._lock = threading.Lock()
        self._files: set[str] = set()
        self._directories: set[str] = set()
        self._everything = False
        self._directories_changed = False
        self._own_directories_changed = False
        self.events_total = 0

    def dispatch(self, event: FileSystemEvent) -> None:
        """Take in an event; overrides what would look for a method of its kind."""
        try:
            paths = set(_touched_by(event))
            if paths:
                self._note(paths, is_directory=event.is_directory)
            else:
                self._own_directories_changed |= event.is_directory
        except Exception:
            logger.exception("an event of the cache could not be taken in: %r", event)

    def doubt(self) -> None:
        """Take note that events were lost: a look at everything is needed."""
        with self._lock:
            self._forget_places()
        self._wake()

    def take_touched(self) -> Touched:
        """Where something changed since the last call. To be called before the look at it."""
        with self._lock:
            touched = Touched(frozenset(self._files), frozenset(self._directories), self._everything)
            self._forget_places()
            self._everything = False
            return touched

    @property
    def directories_changed(self) -> bool:
        """Whether directories came or went since `forget_directories`."""
        return self._directories_changed

    def forget_directories(self) -> None:
        """Begin anew to listen for changes of directories."""
        self._directories_changed = False

    def take_own_directories_changed(self) -> bool:
        """Whether directories of our own came or went since the last call, among those that are watched."""
        changed, self._own_directories_changed = self._own_directories_changed, False
        return changed

    def _note(self, paths: set[str], *, is_directory: bool) -> None:
        with self._lock:
            self.events_total += 1
            self._directories_changed |= is_directory
            if not self._everything:
                (self._directories if is_directory else self._files).update(paths)
            if len(self._files) + len(self._directories) > _MAX_TOUCHED:
                self._forget_places()
        self._wake()

    def _forget_places(self) -> None:
        self._files.clear()
        self._directories.clear()
        self._everything = True

    def _wake(self) -> None:
        try:
            self._hint()
        except Exception:
            logger.exception("a hint that the cache changed could not be passed on")


def _touched_by(event: FileSystemEvent) -> Iterator[str]:
    """The paths that an event says something of, if they are the cache's."""
    for path in map(os.fsdecode, (event.src_path, event.dest_path)):
        name = path.rpartition("/")[2]
        if path and not is_ours(path) and (event.is_directory or name in _INDEX_NAMES or is_audio_name(name)):
            yield path


class ComplaintListener(logging.Handler):
    """Hears what watchdog tells only to the log, as far as it comes from the given threads (by their idents)."""

    def __init__(self, overflowed: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._overflowed = overflowed
        self.threads: frozenset[int | None] = frozenset()

    def emit(self, record: logging.LogRecord) -> None:
        """Called by `logging`; an overflow is logged once, and once more for each tree that is made anew."""
        try:
            message = record.getMessage()
            if record.thread in self.threads and "queue overflowed" in message and "reconciling" not in message:
                self._overflowed()
        except Exception:  # noqa: BLE001 -- logging's own way: it must not end the thread that logs
            self.handleError(record)

    def attach(self) -> None:
        """Begin to listen."""
        library = logging.getLogger("watchdog")
        # Lower, it logs each event; higher, an overflow would not be heard.
        library.setLevel(logging.WARNING)
        library.addHandler(self)

    def detach(self) -> None:
        """Listen no more."""
        logging.getLogger("watchdog").removeHandler(self)
