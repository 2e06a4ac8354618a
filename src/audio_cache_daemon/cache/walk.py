"""One walk over the audio roots: every file with an audio name, looked at by directory descriptor, through no link."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.formats import AUDIO_SUFFIXES, is_audio_name
from audio_cache_daemon.model import STATE_DIRECTORY, Ints
from audio_cache_daemon.paths import Folder, Folders, root_folder

FILE = np.dtype(
    [
        ("key", np.int64),
        ("size", np.int64),
        ("inode", np.int64),
        ("mtime_ns", np.int64),
        ("folder", np.int32),
        ("plain", np.bool_),
    ]
)
"""What is known of a file: `key` names it (paths.file_key), `folder` is the number of its directory in the walk.

One that isn't `plain` has no numbers.
"""


@dataclass(frozen=True, slots=True)
class Walk:
    """The audio files below the roots in ascending order of their keys, the folders that were listed, and those not.

    `unlisted` pairs the path of a directory that couldn't be listed with the reason.
    """

    files: NDArray[np.void]
    folders: tuple[Folder, ...]
    unlisted: tuple[tuple[str, str], ...]

    def find(self, keys: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Where the files of these keys are in `files`, and whether they are there at all."""
        places = np.searchsorted(self.files["key"], keys)
        places[places == len(self.files)] = 0
        there = self.files["key"][places] == keys if len(self.files) else np.zeros(len(keys), np.bool_)
        return places, there


def is_plain_file(status: os.stat_result) -> bool:
    """Whether it is a regular file whose numbers fit a column: a file system can keep times 300 years from now."""
    return stat.S_ISREG(status.st_mode) and abs(status.st_mtime_ns) < 2**63 and status.st_ino < 2**63


def walk_roots(folders: Folders) -> Walk:
    """Look at all audio files below the roots of a cache, each root on its own mount."""
    listed: list[Folder] = []
    unlisted: list[tuple[str, str]] = []
    others = {(root.device, root.inode) for root in folders.roots}
    parts = []
    for index, root in enumerate(folders.roots):
        if root.inode is None or _is_repeated(folders, index):
            continue
        pending = [root_folder(root.path, index)]
        while pending:
            folder = pending.pop()
            try:
                descriptor = folders.descriptor(folder.root, folder.parts)
                # A root inside a root is walked once, as itself.
                if folder.parts and _identity(os.fstat(descriptor)) in others:
                    continue
                parts.append(np.fromiter(_look_at_files(descriptor, folder, len(listed), pending), FILE))
                listed.append(folder)
            except OSError as error:
                place = "/".join((str(root.path), *folder.parts))
                unlisted.append((place, error.strerror or str(error)))
    files = np.concatenate(parts) if parts else np.empty(0, FILE)
    return Walk(files[np.argsort(files["key"], kind="stable")], tuple(listed), tuple(unlisted))


def _is_repeated(folders: Folders, index: int) -> bool:
    """Whether a root before this one is the same directory under another name."""
    root = folders.roots[index]
    return any((root.device, root.inode) == (other.device, other.inode) for other in folders.roots[:index])


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _look_at_files(
    descriptor: int, folder: Folder, number: int, pending: list[Folder]
) -> Iterator[tuple[int, int, int, int, int, bool]]:
    """The audio files of one directory; the directories below it are added to those that are `pending`."""
    # The hottest lines of a scan: about 5 µs a file, most of it in the system; so nothing is called that needn't be.
    of_folder, suffixes, limit = folder.key, AUDIO_SUFFIXES, 2**63
    with os.scandir(descriptor) as entries:
        for entry in entries:
            name = entry.name
            if name.endswith(suffixes) or is_audio_name(name):
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                inode, mtime_ns = status.st_ino, status.st_mtime_ns
                if stat.S_ISREG(status.st_mode) and -limit < mtime_ns < limit and inode < limit:
                    yield hash(name) ^ of_folder, status.st_size, inode, mtime_ns, number, True
                else:
                    yield hash(name) ^ of_folder, 0, 0, 0, number, False
            elif name != STATE_DIRECTORY and entry.is_dir(follow_symlinks=False):
                pending.append(folder.child(name))
