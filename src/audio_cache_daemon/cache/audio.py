"""The audio files of rows opened, found again by the path in their line."""

from __future__ import annotations

import os
from collections.abc import Iterator

from audio_cache_daemon.formats import decode_row, read_lines
from audio_cache_daemon.model import Ints, Rows
from audio_cache_daemon.paths import Folders, PathResolver


class AudioFiles:
    """The files of rows of the index at the descriptor `meta`."""

    def __init__(self, meta: int, resolver: PathResolver, folders: Folders) -> None:
        self._meta = meta
        self._resolver = resolver
        self._folders = folders

    def open_each(self, rows: Rows, subset: Ints) -> Iterator[tuple[int, str] | None]:
        """For each of these rows (ascending) a descriptor, to be closed by the caller, and the file's name.

        None where it can't be opened.
        """
        yield from map(self._open, read_lines(self._meta, rows.offset, subset))

    def _open(self, line: bytes) -> tuple[int, str] | None:
        row, _ = decode_row(line)
        if row is None or row.path is None:
            return None
        folder, name = self._resolver.split(row.path)
        if folder.problem:
            return None
        try:
            directory = self._folders.descriptor(folder.root, folder.parts)
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            return os.open(name, flags, dir_fd=directory), name
        except (OSError, ValueError):
            return None
