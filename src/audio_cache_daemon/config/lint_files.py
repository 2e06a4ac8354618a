"""Whether the disk allows what the settings ask for, seen by the user who runs this."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import combinations, islice
from pathlib import Path

from audio_cache_daemon.config.lint import Level, LintFinding
from audio_cache_daemon.config.settings import CacheSettings, Settings
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, STATE_DIRECTORY
from audio_cache_daemon.manifest import RETIRED, TRASH
from audio_cache_daemon.own_files import UNKNOWN_GROUP

_INDEX_FILES = (META_NAME, *ARRAY_NAMES)

_OWN_DIRECTORIES = (TRASH, RETIRED, "rewrite")

_MOST_DIRECTORIES = 2000
"""Directories below a root that are looked at: a tree by date has 365 a year, and a check shouldn't take longer."""


def lint_files(settings: Settings) -> list[LintFinding]:
    """What of the settings doesn't fit the disk; to be called as the service's user."""
    return [
        *(finding for cache in settings.caches.values() for finding in _lint_cache(cache)),
        *_lint_same_directory(settings),
        *_lint_audit(settings.audit.directory),
    ]


def _lint_cache(cache: CacheSettings) -> Iterator[LintFinding]:
    key, location = f"caches.{cache.location.name}", cache.location
    # A policy that only audits gets by without writing, so what would stop the other is a warning for it.
    needed: Level = "error" if cache.policy.mode == "enforce" else "warning"
    yield from _lint_directory(f"{key}.path", location.path, needed)
    yield from _lint_index(f"{key}.path", location.path, needed)
    yield from _lint_state(f"{key}.path", location.path, needed)
    yield from _lint_sharing(f"{key}.path", location.path)
    for number, root in enumerate(location.audio_roots):
        yield from _lint_root(f"{key}.audio_roots[{number}]", root, location.path, needed)
    started_file = cache.writer.started_file
    if started_file is not None and not os.path.lexists(started_file):
        message = f"{started_file} isn't there; nothing is released before a start of the generator has made it"
        yield LintFinding("warning", f"{key}.writer.started_file", message)


def _lint_root(key: str, root: Path, cache: Path, needed: Level) -> Iterator[LintFinding]:
    yield from _lint_directory(key, root, needed)
    yield from _lint_exposure(key, root)
    if os.access(root, os.R_OK | os.W_OK | os.X_OK):
        yield from _lint_below(key, root)
    if root != cache:
        yield from _lint_state(key, root, needed)
        yield from _lint_sharing(key, root)


def _lint_directory(key: str, directory: Path, needed: Level) -> Iterator[LintFinding]:
    if not os.path.isdir(directory):  # noqa: PTH112 - Path.is_dir raises where it may not look
        yield LintFinding("warning", key, f"{directory} isn't there, is no directory, or is hidden from {_user()}")
    elif not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        yield LintFinding(needed, key, f"{directory} can't be written by {_user()}, so nothing in it can be removed")


def _lint_index(key: str, directory: Path, needed: Level) -> Iterator[LintFinding]:
    for name in _INDEX_FILES:
        file = directory / name
        try:
            status = file.stat()
        except FileNotFoundError:
            if name == META_NAME and os.access(directory, os.X_OK):
                yield LintFinding("warning", key, f"{file} isn't there; a cache without an index is left alone")
            continue
        except OSError:
            continue  # the directory's own finding says it
        if not os.access(file, os.R_OK | os.W_OK):
            yield LintFinding(needed, key, f"{file} can't be read and written by {_user()}; retiring an item does both")
        elif _is_held(directory, status):
            message = (
                f"{file} is another user's in a directory with mode +t, so {_user()} can't put a new one in its place"
            )
            yield LintFinding(needed, key, message)
        elif not _can_be_given_back(status):
            message = (
                f"{file} is another user's, and of no group of {_user()} that may write it: after a compaction "
                "the generator couldn't write it; run as its user, or share a group and set UMask=0002 on both sides"
            )
            yield LintFinding(needed, key, message)


def _is_held(directory: Path, file: os.stat_result) -> bool:
    """Whether a sticky directory lets only others rename a file."""
    status = directory.stat()
    return bool(status.st_mode & stat.S_ISVTX) and os.geteuid() not in (0, file.st_uid, status.st_uid)


def _can_be_given_back(status: os.stat_result) -> bool:
    """Whether a new file of ours can replace this one without its writer losing access."""
    if os.geteuid() in (0, status.st_uid):
        return True
    groups = {os.getegid(), *(group for group in os.getgroups() if group != UNKNOWN_GROUP)}
    return status.st_gid in groups and bool(status.st_mode & stat.S_IWGRP)


def _lint_state(key: str, directory: Path, needed: Level) -> Iterator[LintFinding]:
    """Whether our own directories, as far as they are there, are ours, writable, and where files can be moved to."""
    try:
        device = directory.stat().st_dev
    except OSError:
        return  # the directory's own finding says it
    ours = directory / STATE_DIRECTORY
    for path in (ours, *(ours / name for name in _OWN_DIRECTORIES)):
        try:
            status = path.lstat()
        except OSError:
            continue
        if not stat.S_ISDIR(status.st_mode):
            yield LintFinding(needed, key, f"{path} is in the way: it is no directory of ours; move it elsewhere")
        elif status.st_dev != device:
            message = f"{path} is on another file system than {directory}, so nothing can be moved there; unmount it"
            yield LintFinding(needed, key, message)
        elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            message = (
                f"{path} is user {status.st_uid}'s and can't be written by {_user()}: was it made by hand, as another "
                f"user? Give it the owner, group and mode of {directory}"
            )
            yield LintFinding(needed, key, message)


def _lint_sharing(key: str, directory: Path) -> Iterator[LintFinding]:
    """Whether what one makes in a directory of a group can be written by the others of the group."""
    try:
        status = directory.stat()
    except OSError:
        return
    is_shared = status.st_uid not in (0, os.geteuid()) and bool(status.st_mode & stat.S_IWGRP)
    if is_shared and not status.st_mode & stat.S_ISGID:
        message = (
            f"{directory} is another user's and open to its group, but new files in it get the group of who makes "
            f"them: chmod g+s {directory}, and set UMask=0002 on both sides"
        )
        yield LintFinding("warning", key, message)


def _lint_below(key: str, root: Path) -> Iterator[LintFinding]:
    """Directories below a root from which some or all files can't be removed."""
    closed, sticky = [], []
    for directory in islice(_directories(root), _MOST_DIRECTORIES):
        try:
            status = directory.stat()
        except OSError:
            continue  # it went away since
        if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
            closed.append(directory)
        elif status.st_mode & stat.S_ISVTX and os.geteuid() not in (0, status.st_uid):
            sticky.append(directory)
    if closed:
        message = f"{_count(closed)} can't be written by {_user()}, so the files there stay, with their rows"
        yield LintFinding("warning", key, message)
    if sticky:
        message = f"{_count(sticky)} keeps other users' files (mode +t): {_user()} can remove only its own there"
        yield LintFinding("warning", key, message)


def _directories(root: Path) -> Iterator[Path]:
    """The root and the directories below it, those too that can't be entered."""
    pending = [root]
    while pending:
        directory = pending.pop()
        yield directory
        # Not os.walk: it would hold the names of all files, of which there may be a million.
        with suppress(OSError), os.scandir(directory) as entries:
            names = [e.name for e in entries if e.name != STATE_DIRECTORY and e.is_dir(follow_symlinks=False)]
            pending += (directory / name for name in sorted(names, reverse=True))


def _count(directories: list[Path]) -> str:
    return f"{directories[0]} and {len(directories) - 1} more" if len(directories) > 1 else str(directories[0])


def _lint_exposure(key: str, root: Path) -> Iterator[LintFinding]:
    try:
        mode = root.stat().st_mode
    except OSError:
        return
    if mode & stat.S_IWOTH:
        yield LintFinding(
            "warning", key, f"{root} can be written by everyone, so anyone can put files there to be removed"
        )
    if str(root) == os.path.expanduser("~"):  # noqa: PTH111 - Path.home raises for a user without one
        yield LintFinding("warning", key, f"{root} is a home directory; name the directory in it that holds the audio")


def _lint_same_directory(settings: Settings) -> Iterator[LintFinding]:
    for one, other in combinations([cache.location for cache in settings.caches.values()], 2):
        if os.path.realpath(one.path) == os.path.realpath(other.path):
            yield LintFinding("error", f"caches.{other.name}.path", f"is the directory of {one.name} by another name")


def _lint_audit(directory: Path | None) -> Iterator[LintFinding]:
    if directory is None:
        return
    existing = next(place for place in (directory, *directory.parents) if os.path.lexists(place))
    if not os.access(existing, os.W_OK | os.X_OK):
        message = f"{existing} can't be written by {_user()}, and without an audit log nothing is removed"
        yield LintFinding("error", "audit.dir", message)


def _user() -> str:
    return f"user {os.geteuid()}"
