"""Our own directories, and files in them that survive a crash whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.location import STATE_DIRECTORY
from audio_cache_daemon.own_files import lacks_mode, own_like, sync_directory


def make_state_directory(parent: Path, *below: str) -> Path:
    """`parent/.audio-cache-daemon/below...`, made with the owner, group and mode of `parent` where it isn't there.

    So that what root did by hand doesn't lock out the service, nor the service a colleague of its group.
    """
    path = parent
    try:
        model = parent.stat()
        for part in (STATE_DIRECTORY, *below):
            path = path / part
            _make_directory(path, model)
    except OSError as error:
        raise MaintenanceError(f"{path} can't be made: {error.strerror}; nothing was changed") from None
    return path


def _make_directory(path: Path, model: os.stat_result) -> None:
    mode = model.st_mode & 0o7777
    try:
        path.mkdir(mode & 0o777)
    except FileExistsError:
        if path.is_symlink() or not path.is_dir():
            raise MaintenanceError(f"{path} is in the way: it is no directory of ours; move it elsewhere") from None
        if not lacks_mode(path.lstat(), mode):
            return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        own_like(descriptor, model, mode)
    finally:
        os.close(descriptor)
    sync_directory(path.parent)


def open_state_directory(parent: Path, *below: str) -> int:
    """A descriptor of `parent/.audio-cache-daemon/below...`; OSError when it isn't there, or a link is on the way."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    descriptor = os.open(parent, flags)
    for part in (STATE_DIRECTORY, *below):
        try:
            inner = os.open(part, flags | os.O_NOFOLLOW, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def create_file(path: Path) -> BinaryIO:
    """A new file of ours, open for writing: who may read and write its directory may do so with the file."""
    file = path.open("xb")
    try:
        model = path.parent.stat()
        own_like(file.fileno(), model, model.st_mode & 0o666)
    except OSError:
        file.close()
        raise
    return file


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file of ours at once: from now on it has the new content, whatever happens."""
    write_whole(path, content)
    sync_directory(path.parent)


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file of ours at once: after a crash it has its old content or the new, or isn't there, never a part.

    For what is only believed if it is there and fits: it saves a flush.
    """
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with create_file(temporary) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
