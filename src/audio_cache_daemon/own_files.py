"""Files of our own: what is written into them comes back as it was, and a colleague can go on with them."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

import msgspec

from audio_cache_daemon.location import STATE_DIRECTORY

T = TypeVar("T")

Number: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A whole number as files and columns have it: what is read back can be no larger."""

UNKNOWN_GROUP = 65534
"""What the kernel calls each group that has no number in our user namespace, a unit's with PrivateUsers= for one."""


def encode_own(value: object) -> bytes:
    """A value as JSON that `decode_own` reads back, paths whose bytes are no UTF-8 included."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        # Python's own library has an escape for the surrogate that stands for such a byte, and reads it back.
        return json.dumps(msgspec.to_builtins(value)).encode()


def decode_own(content: bytes, kind: type[T]) -> T:
    """The value in the content of a file of ours; ValueError, with the reason, when that isn't what was written."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        if b"\\u" not in content:
            raise ValueError(str(error)) from None
    try:
        return msgspec.convert(json.loads(content, parse_float=_finite, parse_constant=_finite), kind)
    except RecursionError as error:
        raise ValueError(str(error)) from None


def _finite(text: str) -> float:
    """The number, of which Python's own library takes some that are none in JSON."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number of ours")
    return number


def is_plain_name(name: str) -> bool:
    """Whether a name stays in the directory in which it is looked for."""
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def is_path_below(path: str) -> bool:
    """Whether a path of a file leads from a root to a place below it, and not into our own directories."""
    parts = path.split("/")
    return all(map(is_plain_name, parts)) and STATE_DIRECTORY not in parts


def own_subdirectories(state_directory: Path, name: str) -> list[Path]:
    """The directories in a directory of ours, by name; none when that isn't there or is a link, which we never make."""
    parent = state_directory / name
    if state_directory.is_symlink() or parent.is_symlink() or not parent.is_dir():
        return []
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.is_symlink())


def own_like(descriptor: int, model: os.stat_result, mode: int) -> None:
    """Give an open file or directory of ours the owner and group of a model, as far as we may, and a mode."""
    for owner in (model.st_uid, -1):
        if give_to(descriptor, owner, model.st_gid):
            break
    # Where the mode is right it is left alone: a sandbox may forbid to set a set-group-id bit that was inherited. What
    # another one of the group made is not ours to change.
    if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
        with suppress(PermissionError):
            os.fchmod(descriptor, mode)


def give_to(descriptor: int, owner: int, group: int) -> bool:
    """Give an open file to an owner (-1: leave it) and a group; whether it is theirs then."""
    status = os.fstat(descriptor)
    if owner in (-1, status.st_uid) and group == status.st_gid != UNKNOWN_GROUP:
        # As where a group's directory hands the group down; a sandbox may forbid even to say it again.
        return True
    try:
        os.fchown(descriptor, owner, group)
    except OSError as error:
        # EINVAL: the owner or group has no number in our user namespace, so none to give.
        if error.errno not in (errno.EPERM, errno.EINVAL):
            raise
        return False
    return True


def lacks_mode(status: os.stat_result, mode: int) -> bool:
    """Whether what we made was left without its mode: a process can be killed between the making and the giving."""
    return status.st_uid == os.geteuid() and status.st_mode & mode != mode


def sync_directory(path: Path) -> None:
    """Make names that were added, exchanged or removed survive a crash."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems, mostly of networks, can't do that with a directory, and keep names as well as they can.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)
