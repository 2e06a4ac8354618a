"""When the generator last wrote its index; what we wrote into it in place is none of that."""

from __future__ import annotations

from pathlib import Path

import msgspec

from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, STATE_DIRECTORY
from audio_cache_daemon.own_files import Number, decode_own
from audio_cache_daemon.paths import inode_of

OWN_WRITES_NAME = "own-writes.json"


class OwnWrite(msgspec.Struct, frozen=True):
    """A file of the index as a write of ours left it; `before_ns` is when the generator had written it before.

    Only the owner of a file can put its time back. Who shares it through a group writes this down instead.
    """

    inode: Number
    size: Number
    mtime_ns: Number
    before_ns: Number


def load_own_writes(cache: Path) -> dict[str, OwnWrite]:
    """The last write of ours to each file of the index; none where that isn't known."""
    try:
        return decode_own((cache / STATE_DIRECTORY / OWN_WRITES_NAME).read_bytes(), dict[str, OwnWrite])
    except (OSError, ValueError):
        return {}


def generator_wrote(file: tuple[int, int, int], own: OwnWrite | None) -> int:
    """When the generator wrote a file of this inode, size and time; nanoseconds. `own` is our last write to it."""
    return own.before_ns if own is not None and file == (own.inode, own.size, own.mtime_ns) else file[2]


def last_index_change(cache: Path) -> float | None:
    """When the generator last changed an index file of a cache, in seconds since the epoch; None if there is none."""
    own, times = load_own_writes(cache), []
    for name in (META_NAME, *ARRAY_NAMES):
        try:
            status = (cache / name).stat()
        except OSError:
            continue
        file = (inode_of(status), status.st_size, status.st_mtime_ns)
        times.append(generator_wrote(file, own.get(name)) / 1e9)
    return max(times, default=None)
