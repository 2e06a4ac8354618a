"""Two names on one file system exchanged in one step."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2


def exchange(ours: Path, theirs: Path) -> None:
    """Let two existing files change names; after a crash either none has, or both have.

    Where the file system can't do that, `ours` is renamed over `theirs`, which got a second name before, so that
    there is always one or the other; what a crash leaves of that, `settle` puts right.
    """
    library = ctypes.CDLL(None, use_errno=True)
    renameat2 = getattr(library, "renameat2", None)
    if renameat2 is not None:
        arguments = (_AT_FDCWD, os.fsencode(ours), _AT_FDCWD, os.fsencode(theirs), _RENAME_EXCHANGE)
        if renameat2(*arguments) == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.ENOSYS, errno.EINVAL, errno.ENOTTY):
            raise OSError(code, os.strerror(code), str(theirs))
    os.link(theirs, _aside(ours), follow_symlinks=False)
    try:
        ours.rename(theirs)
    finally:
        settle(ours)


def settle(ours: Path) -> None:
    """Complete an exchange by renames, if it had come further than the second name; else take that away."""
    aside = _aside(ours)
    if not aside.exists():
        return
    if ours.exists():
        aside.unlink()
    else:
        aside.rename(ours)


def _aside(ours: Path) -> Path:
    return ours.with_name(ours.name + ".old")


def rename_to_free_name(source: tuple[int, str], target: tuple[int, str]) -> None:
    """Rename a file, of an open directory each; FileExistsError, and nothing done, when the new name is taken."""
    library = ctypes.CDLL(None, use_errno=True)
    renameat2 = getattr(library, "renameat2", None)
    if renameat2 is not None:
        names = (source[0], os.fsencode(source[1]), target[0], os.fsencode(target[1]))
        if renameat2(*names, _RENAME_NOREPLACE) == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.ENOSYS, errno.EINVAL, errno.ENOTTY):
            raise OSError(code, os.strerror(code), target[1])
    os.link(source[1], target[1], src_dir_fd=source[0], dst_dir_fd=target[0], follow_symlinks=False)
    os.unlink(source[1], dir_fd=source[0])
