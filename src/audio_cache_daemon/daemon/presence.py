"""Whether a daemon looks after a cache: it holds a lock on a file of ours for as long as it lives."""

from __future__ import annotations

import fcntl
import os

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.directories import make_state_directory
from audio_cache_daemon.location import META_NAME, CacheLocation
from audio_cache_daemon.own_files import own_like

_NAME = "daemon.lock"


def claim(location: CacheLocation) -> int | None:
    """Hold the lock: a descriptor that is to stay open. None when there is no cache, or another daemon holds it."""
    if not (location.path / META_NAME).exists():
        return None
    try:
        path = make_state_directory(location.path) / _NAME
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o660)
    except (MaintenanceError, OSError):
        return None
    model = location.path.stat()
    own_like(descriptor, model, model.st_mode & 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_kept(location: CacheLocation) -> bool:
    """Whether a daemon holds the lock."""
    try:
        descriptor = os.open(location.state_directory / _NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def release(descriptor: int) -> None:
    """Let go of the lock."""
    os.close(descriptor)
