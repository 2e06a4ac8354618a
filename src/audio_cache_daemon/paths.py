"""From the path in a row to a file that may be touched: mapped, resolved, under a root, reached without a link.

Everything below a root is opened step by step by directory descriptor, never through a symbolic link and never
onto another mount, so that what was looked at and what is removed are the same file.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections import OrderedDict
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from audio_cache_daemon.location import STATE_DIRECTORY, CacheLocation, Root

_OPEN_DIRECTORIES = 64
"""Descriptors kept open at once; rows that follow each other mostly lie in the same directory."""

_LONGEST_PATH = 4096
"""PATH_MAX of Linux: no file has a longer one, so it is not worth remembering."""


class Folder(msgspec.Struct, frozen=True):
    """A directory that rows name: below which root it lies, as which parts; or why it can't be decided.

    `key` is equal for two spellings of one directory, in this and in other caches; `real` is the root without links.
    """

    root: int
    parts: tuple[str, ...]
    key: int
    problem: str | None = None
    real: tuple[str, ...] = ()

    def child(self, name: str) -> Folder:
        """The directory `name` in this one."""
        return _folder(self.root, self.real, (*self.parts, name))


def root_folder(path: Path, index: int) -> Folder:
    """The audio root `path`, which is number `index` of its cache, as a folder."""
    return _folder(index, path_parts(os.path.realpath(path)), ())


def _folder(root: int, real: tuple[str, ...], parts: tuple[str, ...]) -> Folder:
    return Folder(root, parts, hash(real + parts), None, real)


class _RootPath(msgspec.Struct, frozen=True):
    index: int
    spelling: tuple[str, ...]
    real: tuple[str, ...]


class PathResolver:
    """Says for the directory part of a row's path which directory below a root it means."""

    def __init__(self, location: CacheLocation) -> None:
        self._base = location.path_base
        self._map = sorted(location.path_map, key=lambda pair: len(pair[0]), reverse=True)
        self._roots: list[_RootPath] = []
        first: dict[tuple[str, ...], int] = {}
        for number, root in enumerate(location.audio_roots):
            real = path_parts(os.path.realpath(root))
            index = first.setdefault(real, number)
            # The longest spelling first: of nested roots the inner one counts.
            self._roots += [_RootPath(index, spelling, real) for spelling in {path_parts(str(root.absolute())), real}]
        self._roots.sort(key=lambda root: len(root.spelling), reverse=True)
        self._folders: dict[str, Folder] = {}

    def split(self, path: str) -> tuple[Folder, str]:
        """The folder and the name of a row's path."""
        directory, slash, name = path.rpartition("/")
        folder = self._folders.get(directory or slash)
        if folder is None:
            if len(directory) > _LONGEST_PATH:
                return _undecidable("a path that is too long for any file"), name
            folder = self._folders[directory or slash] = self._find(directory or slash)
        return folder, name

    def locate(self, path: str) -> str | None:
        """Where a row's path leads as it is written, below a root or not; None when that depends on the writer."""
        mapped = self._mapped(path)
        if mapped.startswith("/"):
            return mapped
        return f"{self._base}/{mapped}" if self._base is not None else None

    def _find(self, directory: str) -> Folder:
        mapped = self._mapped(directory)
        if not mapped.startswith("/"):
            if self._base is None:
                return _undecidable("a relative path, and no path_base is configured to read it from")
            mapped = f"{self._base}/{mapped}"
        parts = path_parts(mapped)
        if ".." in parts:
            return _undecidable("a path with '..' in it")
        if STATE_DIRECTORY in parts:
            return _undecidable("a path into our own state directory")
        for root in self._roots:
            if parts[: len(root.spelling)] == root.spelling:
                return _folder(root.index, root.real, parts[len(root.spelling) :])
        return _undecidable(f"outside the audio roots; --audio-root {mapped.rstrip('/') or '/'} would allow it")

    def _mapped(self, directory: str) -> str:
        for source, target in self._map:
            prefix = source.rstrip("/") + "/"
            if directory and f"{directory}/".startswith(prefix):
                return target.rstrip("/") + "/" + directory[len(prefix) :]
        return directory


class Folders:
    """Descriptors of the directories below the roots of a cache. A context manager: it closes them."""

    def __init__(self, location: CacheLocation) -> None:
        self.roots = tuple(_look_at_root(path) for path in location.audio_roots)
        self._mounts = _mount_points()
        self._open: OrderedDict[tuple[int, tuple[str, ...]], int] = OrderedDict()

    def mounts_below(self) -> frozenset[str]:
        """Where other file systems are mounted below the roots."""
        roots = tuple(os.path.realpath(root.path).rstrip("/") + "/" for root in self.roots)
        return frozenset(point for point in self._mounts if point.startswith(roots))

    def descriptor(self, root: int, parts: tuple[str, ...]) -> int:
        """A descriptor of the directory `parts` below a root, valid until the next call.

        FileNotFoundError when it isn't there; NotADirectoryError when something on the way is a link, no
        directory, or another mount; another OSError as it comes.
        """
        key = (root, parts)
        descriptor = self._open.get(key)
        if descriptor is None:
            descriptor = self._open[key] = self._descend(root, parts)
            if len(self._open) > _OPEN_DIRECTORIES:
                os.close(self._open.popitem(last=False)[1])
        else:
            self._open.move_to_end(key)
        return descriptor

    def _descend(self, root: int, parts: tuple[str, ...]) -> int:
        path = os.path.realpath(self.roots[root].path)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                path = f"{path}/{part}"
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
                self._check_mount(root, path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _check_mount(self, root: int, path: str, descriptor: int) -> None:
        if path in self._mounts or os.fstat(descriptor).st_dev != self.roots[root].device:
            raise NotADirectoryError(f"{path} is on another mount than its audio root")

    def close(self) -> None:
        """Close all descriptors."""
        while self._open:
            os.close(self._open.popitem()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def file_key(folder: Folder, name: str) -> int:
    """A number that is equal for two rows that name one file, whatever their spelling; valid in this process."""
    return hash(name) ^ folder.key


def _undecidable(problem: str) -> Folder:
    return Folder(-1, (), 0, problem)


def link_target(path: str) -> str | None:
    """Where a symbolic link leads in the end; None when the path is none, or can't be looked at."""
    return os.path.realpath(path) if os.path.islink(path) else None  # noqa: PTH114 -- Path.is_link raises on a NUL


def open_regular(path: Path) -> int:
    """Open a regular file for reading; OSError for anything else: no link is followed, no FIFO waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return descriptor


def path_parts(path: str) -> tuple[str, ...]:
    """The components of a path, however many slashes and dots stand between them."""
    return tuple(part for part in path.split("/") if part not in ("", "."))


def inode_of(status: os.stat_result) -> int:
    """The inode of a file as a signed number, as columns have it.

    Network and union file systems number files with all 64 bits: half of theirs are negative here.
    """
    return status.st_ino if status.st_ino < 2**63 else status.st_ino - 2**64


def _look_at_root(path: Path) -> Root:
    try:
        status = path.stat()
        disk = os.statvfs(path)
    except OSError:
        return Root(path, None, None)
    if not stat.S_ISDIR(status.st_mode):
        return Root(path, None, None)
    # f_bavail: what an ordinary user can still write, without the file system's reserve.
    return Root(path, status.st_dev, inode_of(status), disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)


def _mount_points() -> frozenset[str]:
    """Where file systems are mounted, bind mounts included: those don't show in the device number."""
    try:
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return frozenset()
    points = (line.split(" ", 5)[4] for line in text.splitlines())
    return frozenset(re.sub(r"\\(\d{3})", lambda escape: chr(int(escape[1], 8)), point) for point in points)
