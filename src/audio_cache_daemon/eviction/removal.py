"""The one place where a file is taken away: into the trash, or for good."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import BinaryIO

from audio_cache_daemon.model import FileIdentity, OutcomeKind
from audio_cache_daemon.own_files import sync_directory
from audio_cache_daemon.paths import inode_of
from audio_cache_daemon.retired import UNFINISHED

_BLOCK_BYTES = 2**20


def look_again(directory: int, name: str, expected: FileIdentity) -> OutcomeKind | None:
    """Whether the file is still the one that the plan is about: None if so, else what became of it."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return OutcomeKind.GONE
    same = (
        stat.S_ISREG(status.st_mode)
        and inode_of(status) == expected.inode
        and status.st_size == expected.size
        and status.st_mtime_ns == expected.mtime_ns
    )
    return None if same else OutcomeKind.CHANGED


def take_away(directory: int, name: str, expected: FileIdentity, trash: tuple[int, str] | None) -> OutcomeKind:
    """Remove a file of a directory, if it is still the expected one: to a name in the trash, or for good.

    One that is in the trash already was evicted by an earlier try. OSError when the system refuses.
    """
    changed = look_again(directory, name, expected)
    if changed == OutcomeKind.GONE and trash is not None and look_again(trash[0], trash[1], expected) is None:
        return OutcomeKind.EVICTED
    if changed is not None:
        return changed
    try:
        if trash is None:
            os.unlink(name, dir_fd=directory)
        else:
            os.rename(name, trash[1], src_dir_fd=directory, dst_dir_fd=trash[0])
    except FileNotFoundError:
        return OutcomeKind.GONE
    return OutcomeKind.EVICTED


def remove_for_good(directory: int, name: str) -> bool:
    """Remove a file of ours from a directory of ours; whether it was there. OSError when the system refuses."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return False
    return True


def remove_run(directory: Path) -> None:
    """Remove what was written down of a run: the directory with its manifest. OSError when the system refuses.

    After a crash it is there whole, or under a name that counts for nothing: half of it can't be read, and half of what
    says which items are retired would stop every run.
    """
    unfinished = directory.with_name(directory.name + UNFINISHED)
    if unfinished.exists():
        shutil.rmtree(unfinished)
    directory.rename(unfinished)
    sync_directory(directory.parent)
    shutil.rmtree(unfinished)


def check_writable(directory: int) -> bool:
    """PermissionError when this user can remove no file from a directory; else whether only those of its own."""
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=directory, effective_ids=True):
        raise PermissionError("no permission to remove files from this directory")
    status = os.fstat(directory)
    return bool(status.st_mode & stat.S_ISVTX) and os.geteuid() not in {0, status.st_uid}


def check_owner(directory: int, name: str) -> None:
    """PermissionError when a file of a sticky directory is another user's."""
    if os.stat(name, dir_fd=directory, follow_symlinks=False).st_uid != os.geteuid():
        raise PermissionError("the directory is sticky, and the file another user's")


def open_file(directory: int, name: str) -> BinaryIO:
    """Open a file of a directory for reading, through no link; without waiting for the other end of a FIFO."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    return os.fdopen(descriptor, "rb", buffering=0)


def same_bytes(one: BinaryIO, other: BinaryIO) -> bool:
    """Whether two open files are equal to the last byte."""
    while True:
        left, right = one.read(_BLOCK_BYTES), other.read(_BLOCK_BYTES)
        if left != right:
            return False
        if not left:
            return True
