"""Which directories are to be watched for a cache, and which can't be.

Watched are those that hold the index and the audio; our own trees beside them aren't.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec

from audio_cache_daemon.location import STATE_DIRECTORY, CacheLocation
from audio_cache_daemon.paths import inode_of

MAX_DIRECTORIES = 4096
"""After an overflow watchdog makes all watches below a tree anew. The end of each old one is an event, and the kernel
holds 16,384: with many more directories the repair overflows the queue again, for ever."""

_MAX_TREES = 64
"""watchdog has a thread for each tree; a root of more directories is one tree, our own in it included."""

_REMOTE_KINDS = frozenset(
    ("9p", "afs", "ceph", "cifs", "glusterfs", "lustre", "nfs", "nfs4", "ocfs2", "smb3", "smbfs", "vboxsf", "virtiofs")
)
"""File systems that others write to without the kernel here hearing of it."""

Identity: TypeAlias = tuple[str, int, int]
"""Where a directory really is, its device and its inode."""


class Tree(msgspec.Struct, frozen=True):
    """A directory to be watched, with all below it or alone."""

    path: str
    is_recursive: bool


class WatchPlan(msgspec.Struct, frozen=True):
    """What is to be watched: the trees, how many directories they have, and why something can't be watched."""

    trees: tuple[Tree, ...] = ()
    directories: int = 0
    problems: tuple[str, ...] = ()


def identify_places(location: CacheLocation) -> tuple[Identity | None, ...]:
    """What the cache's directory and its audio roots are just now; None for one that isn't there."""
    return tuple(_identify(path) for path in (location.path, *location.audio_roots))


def _identify(path: Path) -> Identity | None:
    real = os.path.realpath(path)
    try:
        status = path.stat()
    except OSError:
        return None
    return real, status.st_dev, inode_of(status)


def plan_watches(location: CacheLocation) -> WatchPlan:
    """Look which directories there are to be watched."""
    roots = _outermost({os.path.realpath(root) for root in location.audio_roots})
    cache = os.path.realpath(location.path)
    places = [(root, True) for root in roots]
    if not any(_lies_in(cache, root) for root in roots):
        places.append((cache, False))
    trees: list[Tree] = []
    problems: list[str] = []
    directories = 0
    for place, holds_audio in places:
        try:
            _check_kind(place)
            found, count = _plan_root(place) if holds_audio else _plan_index(place)
        except OSError as error:
            problems.append(f"{place} can't be watched: {error.strerror}")
            continue
        trees += found
        directories += count
        if directories > MAX_DIRECTORIES:
            return WatchPlan((), 0, (f"there are more than {MAX_DIRECTORIES:,} directories",))
    return WatchPlan(tuple(trees), directories, tuple(problems))


def is_ours(path: str) -> bool:
    """Whether a path is one of our own state or trash, where changes are our own doing."""
    return STATE_DIRECTORY in path.split("/")


def _outermost(paths: set[str]) -> list[str]:
    outer: list[str] = []
    for path in sorted(paths, key=len):
        if not any(_lies_in(path, other) for other in outer):
            outer.append(path)
    return outer


def _lies_in(inner: str, outer: str) -> bool:
    return f"{inner}/".startswith(f"{outer.rstrip('/')}/")


def _check_kind(directory: str) -> None:
    kind = file_system_kind(directory, _mount_table())
    if is_remote(kind):
        raise OSError(errno.EREMOTE, f"on a network or user file system ({kind}), others' changes make no events")


def _plan_root(root: str) -> tuple[list[Tree], int]:
    """The trees of an audio root, and how many directories they have."""
    inner = [path for path in _inner(root) if not is_ours(path)]
    if len(inner) >= _MAX_TREES:
        return [Tree(root, is_recursive=True)], _count([root])
    return [Tree(root, is_recursive=False), *(Tree(path, is_recursive=True) for path in sorted(inner))], 1 + _count(
        inner
    )


def _plan_index(cache: str) -> tuple[list[Tree], int]:
    """The tree of a cache's directory that is in no audio root. OSError when it can't be read, as for a root."""
    _inner(cache)
    return [Tree(cache, is_recursive=False)], 1


def _count(directories: list[str]) -> int:
    """How many directories these are, with all below them that can be listed; no further than to the limit."""
    pending, count = [*directories], 0
    while pending and count <= MAX_DIRECTORIES:
        try:
            pending += _inner(pending.pop())
        except OSError:
            # One below a root that can't be read is told of by the scan; one that went away is an event.
            continue
        count += 1
    return count


def _inner(directory: str) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]


def is_remote(kind: str) -> bool:
    """Whether changes on a file system of this kind may go unheard of."""
    return kind in _REMOTE_KINDS or kind.partition(".")[0] in ("fuse", "fuseblk")


def file_system_kind(path: str, mounts: str) -> str:
    """The kind of file system that a real path is on, by the text of /proc/self/mountinfo; "" if that isn't known."""
    best, kind = "", ""
    for point, candidate in _mounts(mounts):
        # Of several at one place the last one lies on top.
        if len(point) >= len(best) and _lies_in(path, point):
            best, kind = point, candidate
    return kind


def _mounts(table: str) -> Iterator[tuple[str, str]]:
    for line in table.splitlines():
        fields, _, rest = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda escape: chr(int(escape[1], 8)), fields.split(" ")[4])
        yield point, rest.partition(" ")[0]


def _mount_table() -> str:
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
