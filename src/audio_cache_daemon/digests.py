"""What is remembered of the contents of audio files, so that each is read once: digests, in a file of our own."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.own_files import Number, decode_own, encode_own
from audio_cache_daemon.remembered import Remembered

_NAME = "digests.json"


class ContentKey(NamedTuple):
    """A file as it was when it was read, and whether the whole of it was, or its beginning.

    Without its device, whose number changes when a volume is mounted again.
    """

    whole: bool
    inode: Number
    size: Number
    mtime_ns: Number


class _DigestsFile(msgspec.Struct, frozen=True):
    version: Literal[2]
    digests: list[tuple[ContentKey, Number]]


class Digests(Remembered[ContentKey, int]):
    """Digests of contents.

    One that is wrong costs nobody a file: copies are compared byte by byte before one of them goes.
    """

    def encode(self) -> bytes:
        """The content of the file."""
        return encode_own(_DigestsFile(2, self.entries()))


def digests_path(location: CacheLocation) -> Path:
    """Where the digests of a cache are kept."""
    return location.state_directory / _NAME


def load_digests(location: CacheLocation) -> Digests:
    """What is remembered; where that can't be read it is as if nothing were: all is read anew."""
    with suppress(ValueError, OSError):
        return Digests(dict(decode_own(digests_path(location).read_bytes(), _DigestsFile).digests))
    return Digests()
