"""One maintainer at a time: an advisory lock on a file of ours. The generator knows nothing of it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from audio_cache_daemon.errors import CacheLockedError, MaintenanceError
from audio_cache_daemon.eviction.directories import make_state_directory
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.own_files import own_like

_POLL_SECONDS = 0.1


@contextmanager
def cache_lock(location: CacheLocation, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock of a cache; CacheLockedError when another holds it for longer than `wait` seconds.

    The kernel lets go of it when the process ends, however it ends.
    """
    path = make_state_directory(location.path) / "lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o660)
    except OSError as error:
        raise MaintenanceError(f"{path} can't be opened: {error.strerror}; nothing was changed") from None
    try:
        model = location.path.stat()
        own_like(descriptor, model, model.st_mode & 0o666)
        _acquire(descriptor, location, wait)
        # Who holds it is only said to help: a full disk mustn't keep us from making room.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, location: CacheLocation, wait: float) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
                raise CacheLockedError(
                    f"{location.path} is being maintained by another process (pid {holder}); "
                    "try again later, or wait for it with --wait 1m"
                ) from None
            time.sleep(_POLL_SECONDS)
        else:
            return
