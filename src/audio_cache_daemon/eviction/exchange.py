"""Two names on one file system exchanged in one step."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2


def exchange(ours: Path, theirs: Path) -> None:
    """Let two existing files change names; after a crash either none has, or both have.

    Where the file system can't do that, `ours` is renamed over `theirs`, which got a second name before, so that
    there is always one or the other; what a crash leaves of that, `settle` puts right. OSError, and nothing done, where
    it can do neither, as exFAT.
    """
    if _rename((_AT_FDCWD, os.fspath(ours)), (_AT_FDCWD, os.fspath(theirs)), _RENAME_EXCHANGE):
        return
    try:
        os.link(theirs, _aside(ours), follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS, errno.ENOTSUP):
            raise
        reason = "its file system can neither exchange two files nor give one a second name"
        raise OSError(errno.ENOTSUP, reason, os.fspath(theirs)) from None
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
    if _rename(source, target, _RENAME_NOREPLACE):
        return
    os.link(source[1], target[1], src_dir_fd=source[0], dst_dir_fd=target[0], follow_symlinks=False)
    os.unlink(source[1], dir_fd=source[0])


def _rename(source: tuple[int, str], target: tuple[int, str], flag: int) -> bool:
    """Rename in one step, as the flag says; false where system or file system can't, OSError when it fails."""
    renameat2 = _find_renameat2()
    if renameat2 is None:
        return False
    if renameat2(source[0], os.fsencode(source[1]), target[0], os.fsencode(target[1]), flag) == 0:
        return True
    code = ctypes.get_errno()
    if code not in (errno.ENOSYS, errno.EINVAL, errno.ENOTTY):
        raise OSError(code, os.strerror(code), target[1])
    return False


@cache
def _find_renameat2() -> Callable[..., int] | None:
    """Once: to look for it makes classes each time, 3 kB that only the garbage collector would take away again."""
    found: Callable[..., int] | None = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return found
