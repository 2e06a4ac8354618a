"""Our own directories, and files in them that survive a crash whole."""

from __future__ import annotations

import os
from pathlib import Path

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.model import STATE_DIRECTORY


def make_state_directory(parent: Path, *below: str) -> Path:
    """`parent/.audio-cache-daemon/below...`, made with the owner, group and mode of `parent` where it isn't there.

    So that what root did by hand doesn't lock out the service, nor the service a colleague of its group.
    """
    model = parent.stat()
    path = parent
    for part in (STATE_DIRECTORY, *below):
        path = path / part
        try:
            path.mkdir()
        except FileExistsError:
            if path.is_symlink() or not path.is_dir():
                raise MaintenanceError(f"{path} is in the way: it is no directory of ours; move it elsewhere") from None
            continue
        except OSError as error:
            raise MaintenanceError(f"{path} can't be made: {error.strerror}; nothing was changed") from None
        own_like(path, model)
        path.chmod(model.st_mode & 0o7777)
    return path


def own_like(path: Path, model: os.stat_result) -> None:
    """Give a new file or directory of ours the owner and group of a model, as far as we may."""
    for owner in (model.st_uid, -1):
        try:
            os.chown(path, owner, model.st_gid, follow_symlinks=False)
        except PermissionError:
            continue
        return


def sync_directory(path: Path) -> None:
    """Make names that were added, exchanged or removed survive a crash."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file of ours at once: after a crash it has its old content or the new, never a part."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    own_like(temporary, path.parent.stat())
    temporary.replace(path)
    sync_directory(path.parent)
