"""What a directory holds at a moment, kept so that it can be brought back: to the byte, and to the inode."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from audio_cache_daemon.location import STATE_DIRECTORY

_NUMBER = re.compile(rb"\b[0-9]+\b")
_LARGE = 2**20
"""Of a file so large only the size is kept. The reserve is one, and holds zeros."""


@dataclass(frozen=True, slots=True)
class File:
    """An inode: its content (or only its size), mode and time."""

    content: bytes | int
    mode: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Moment:
    """What a directory held: modes of directories, inodes of names, and the inodes; paths below the directory.

    Two moments are equal when nothing that a run reads tells them apart. (None reads the time of a directory.)
    """

    directories: dict[str, int]
    names: dict[str, int]
    files: dict[int, File]

    def digest(self) -> int:
        """Equal for two moments between which a run can tell no difference that matters to it.

        They may differ in numbers of inodes, also where one is written down, in times of our own files, and in the
        audit log, of which only the end is ever read.
        """
        first = {inode: name for name, inode in sorted(self.names.items(), reverse=True)}
        seen: list[tuple[object, ...]] = sorted(self.directories.items())
        for name, inode in sorted(self.names.items()):
            path, file = Path(name), self.files[inode]
            if path.name == "lock" or path.name.startswith("audit"):
                continue
            is_own = STATE_DIRECTORY in path.parts
            content = file.content
            if is_own and path.suffix in {".json", ".jsonl", ".new"} and isinstance(content, bytes):
                content = _NUMBER.sub(lambda match: first.get(int(match[0]), "").encode() or match[0], content)
            seen.append((name, first[inode], content, file.mode, 0 if is_own else file.mtime_ns))
        return hash(tuple(seen))


class Disk:
    """A directory that can be brought back to moments that were kept. It holds all inodes that it met, in a vault.

    A vault keeps the inodes of files that were removed from being used for others, and lets them return.
    """

    def __init__(self, directory: Path, vault: Path) -> None:
        self.directory = directory
        self._vault = vault
        self._vault.mkdir()
        self._held: set[int] = set()

    def keep(self) -> Moment:
        """What it holds now."""
        directories: dict[str, int] = {}
        names: dict[str, int] = {}
        files: dict[int, File] = {}
        for entry in _walk(self.directory):
            path = os.path.relpath(entry.path, self.directory)
            status = entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                directories[path] = status.st_mode & 0o7777
                continue
            names[path] = status.st_ino
            if status.st_ino not in files:
                content = status.st_size if status.st_size >= _LARGE else Path(entry.path).read_bytes()
                files[status.st_ino] = File(content, status.st_mode & 0o7777, status.st_mtime_ns)
                self._hold(entry.path, status.st_ino)
        return Moment(directories, names, files)

    def bring_back(self, moment: Moment) -> None:
        """Make it hold what it held then."""
        now = self.keep()
        for path, inode in now.names.items():
            if moment.names.get(path) != inode:
                (self.directory / path).unlink()
        for path in sorted(now.directories.keys() - moment.directories.keys(), reverse=True):
            (self.directory / path).rmdir()
        for path, mode in sorted(moment.directories.items()):
            if path not in now.directories:
                (self.directory / path).mkdir()
            if now.directories.get(path) != mode:
                (self.directory / path).chmod(mode)
        for inode, file in moment.files.items():
            self._mend(inode, file)
        for path, inode in moment.names.items():
            if now.names.get(path) != inode:
                os.link(self._vault / str(inode), self.directory / path)

    def _hold(self, path: str, inode: int) -> None:
        if inode not in self._held:
            os.link(path, self._vault / str(inode))
            self._held.add(inode)

    def _mend(self, inode: int, file: File) -> None:
        path = self._vault / str(inode)
        status = path.stat()
        if isinstance(file.content, int):
            os.truncate(path, file.content)
        elif status.st_size != len(file.content) or path.read_bytes() != file.content:
            path.write_bytes(file.content)
        if status.st_mode & 0o7777 != file.mode:
            path.chmod(file.mode)
        if path.stat().st_mtime_ns != file.mtime_ns:
            os.utime(path, ns=(file.mtime_ns, file.mtime_ns))


def _walk(directory: Path | str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path)
