"""A watchdog observer that can be asked whether it still works, and ends whole."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.utils import BaseThread

from audio_cache_daemon.daemon.watch_events import EVENT_FILTER
from audio_cache_daemon.daemon.watch_trees import Tree

_STOP_SECONDS = 10.0

_one_at_a_time = threading.Lock()
"""What an observer consists of is what there is more of afterwards, so no two may start or stop at once."""


class RunningObserver:
    """An observer of some trees, started; OSError when the kernel gives no watch for one of them."""

    def __init__(self, trees: Sequence[Tree], handler: FileSystemEventHandler) -> None:
        with _one_at_a_time:
            threads, descriptors = _library_threads(), _inotify_descriptors()
            self._observer = Observer()
            for tree in trees:
                self._observer.schedule(handler, tree.path, recursive=tree.is_recursive, event_filter=EVENT_FILTER)
            try:
                self._observer.start()
            except BaseException:
                # The thread that reads began with the observer's making.
                self._observer.stop()
                raise
            self._threads = _library_threads() - threads
            self._descriptors = _inotify_descriptors() - descriptors

    @property
    def thread_idents(self) -> frozenset[int | None]:
        """The idents of its threads, by which its log records are told from those of others."""
        return frozenset(thread.ident for thread in self._threads)

    def is_alive(self) -> bool:
        """Whether each thread lives: that of each tree, the one that reads, and the one that hands on."""
        threads = {self._observer, *self._observer.emitters, *self._threads}
        return all(thread.is_alive() for thread in threads)

    def count_watches(self) -> int:
        """How many directories the kernel watches for it; watchdog doesn't tell of those that it was refused."""
        count = 0
        for descriptor in self._descriptors:
            with suppress(OSError):
                count += Path("/proc/self/fdinfo", descriptor).read_bytes().count(b"inotify wd:")
        return count

    def stop(self) -> None:
        """End it, with all of its threads."""
        with _one_at_a_time:
            self._observer.stop()
            for thread in self._threads:
                thread.join(_STOP_SECONDS)


def _library_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if isinstance(thread, BaseThread)}


def _inotify_descriptors() -> set[str]:
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208 -- names are all that is wanted
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{descriptor}") == "anon_inode:inotify":  # noqa: PTH115 -- the same
                found.add(descriptor)
    return found
