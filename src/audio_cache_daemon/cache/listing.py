"""Every audio file below the roots, looked at by directory descriptor, through no link.

Looking at each file takes the longest of all that a scan does, so this imports nothing heavy: it can begin in a child
process before numpy and the rest are loaded.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import PickleBuffer

import msgspec

from audio_cache_daemon.beside import beside
from audio_cache_daemon.location import AUDIO_SUFFIXES, STATE_DIRECTORY, CacheLocation, is_audio_name
from audio_cache_daemon.paths import Folder, Folders, inode_of, root_folder

COLUMNS = {"key": "q", "size": "q", "inode": "q", "mtime_ns": "q", "folder": "i"}
"""The columns of a listing, and which kind of number they hold, in the letters of `array` and numpy."""


class Listing(msgspec.Struct, frozen=True):
    """The audio files below the roots, the folders that were listed, and those that couldn't be.

    `columns` hold of each file its key (paths.file_key), size in bytes, inode, time of its last change in
    nanoseconds, and the number of its folder, as COLUMNS says. One that is no plain file has size -1.
    `unlisted` pairs the path of a directory with the reason.
    """

    columns: tuple[array[int] | bytearray, ...]
    folders: tuple[Folder, ...]
    unlisted: tuple[tuple[str, str], ...]

    def __reduce__(self) -> tuple[type[Listing], tuple[object, ...]]:
        """As a process hands it to another one: the columns without a copy of them."""
        return Listing, (tuple(map(PickleBuffer, self.columns)), self.folders, self.unlisted)


def is_plain_file(status: os.stat_result) -> bool:
    """Whether it is a regular file whose time fits a column: a file system can keep times 300 years from now."""
    return stat.S_ISREG(status.st_mode) and abs(status.st_mtime_ns) < 2**63


@contextmanager
def listing_ahead(location: CacheLocation) -> Iterator[Callable[[], Listing]]:
    """Begin to list the files of a cache in a child process; the call that the context gives waits for it, once.

    Only for a look that nothing is removed after: it is older than the index that is read beside it.
    """

    def work() -> Listing:
        with Folders(location) as folders:
            return list_files(folders)

    with beside(work) as finish:
        yield finish


def list_files(folders: Folders) -> Listing:
    """Look at all audio files below the roots of a cache, each root on its own mount."""
    return list_below(folders, [root_folder(path, index) for index, path in _places(folders)])


def list_below(folders: Folders, starts: Iterable[Folder]) -> Listing:
    """Look at all audio files in these folders and below them, but for roots in them that aren't named."""
    listed: list[Folder] = []
    unlisted: list[tuple[str, str]] = []
    others = {(root.device, root.inode) for root in folders.roots}
    columns = tuple(array(code) for code in COLUMNS.values())
    pending = [*starts][::-1]
    while pending:
        folder = pending.pop()
        try:
            descriptor = folders.descriptor(folder.root, folder.parts)
            # A root inside a root is walked once, as itself.
            if folder.parts and _identity(os.fstat(descriptor)) in others:
                continue
            _look_at_files(descriptor, folder, columns, pending)
            columns[-1].extend([len(listed)] * (len(columns[0]) - len(columns[-1])))
            listed.append(folder)
        except OSError as error:
            # A directory counts as a whole or not at all.
            for column in columns:
                del column[len(columns[-1]) :]
            place = "/".join((str(folders.roots[folder.root].path), *folder.parts))
            unlisted.append((place, error.strerror or str(error)))
    return Listing(columns, tuple(listed), tuple(unlisted))


def _places(folders: Folders) -> Iterator[tuple[int, Path]]:
    """The roots that are there, each once."""
    for index, root in enumerate(folders.roots):
        if root.inode is not None and not _is_repeated(folders, index):
            yield index, root.path


def _is_repeated(folders: Folders, index: int) -> bool:
    """Whether a root before this one is the same directory under another name."""
    root = folders.roots[index]
    return any((root.device, root.inode) == (other.device, other.inode) for other in folders.roots[:index])


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, inode_of(status)


def _look_at_files(descriptor: int, folder: Folder, columns: tuple[array[int], ...], pending: list[Folder]) -> None:
    """Add the audio files of one directory, but for its number; the directories below it to those `pending`."""
    # The hottest lines of a scan: about 5 µs a file, most of it in the system; so nothing is called that needn't be.
    keys, sizes, inodes, times = (column.append for column in columns[:-1])
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
                is_plain = stat.S_ISREG(status.st_mode) and -limit < mtime_ns < limit
                keys(hash(name) ^ of_folder)
                sizes(status.st_size if is_plain else -1)
                # As `inode_of` has it.
                inodes((inode if inode < limit else inode - 2 * limit) if is_plain else 0)
                times(mtime_ns if is_plain else 0)
            elif name != STATE_DIRECTORY and entry.is_dir(follow_symlinks=False):
                pending.append(folder.child(name))
