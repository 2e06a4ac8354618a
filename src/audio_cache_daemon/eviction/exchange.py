"""Two names on one file system exchanged in one step."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def exchange(ours: Path, theirs: Path) -> None:
    """Let two existing files change names; after a crash either none has, or both have.

    Where the file system can't do that, `theirs` takes the place of `ours` in two renames.
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
    aside = ours.with_name(ours.name + ".old")
    theirs.rename(aside)
    ours.rename(theirs)
    aside.rename(ours)
