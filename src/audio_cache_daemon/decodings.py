"""What is remembered of how audio files decode, so that each is decoded once: measures, in a file of our own."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import DecodingState
from audio_cache_daemon.own_files import Number, decode_own, encode_own
from audio_cache_daemon.remembered import Remembered

_NAME = "decodings.json"


class FileKey(NamedTuple):
    """A file as it was when it was decoded, without its device, whose number changes when a volume is mounted again."""

    inode: Number
    size: Number
    mtime_ns: Number


class Decoding(msgspec.Struct, frozen=True, array_like=True):
    """What decoding a file told: `seconds` of sound, the `peak` of its samples, and the share that is `clipped`.

    Full scale is 1; a peak beyond it is what a lossy format makes of a loud sound.
    """

    state: DecodingState
    seconds: float = 0.0
    peak: float = 0.0
    clipped: float = 0.0


UNKNOWN = Decoding(DecodingState.UNKNOWN)
UNDECODABLE = Decoding(DecodingState.UNDECODABLE)


class _DecodingsFile(msgspec.Struct, frozen=True):
    version: Literal[2]
    decodings: list[tuple[FileKey, Decoding]]


class Decodings(Remembered[FileKey, Decoding]):
    """Decodings of files. One that is wrong costs nobody a file: it is decoded again before it goes."""

    def encode(self) -> bytes:
        """The content of the file."""
        return encode_own(_DecodingsFile(2, self.entries()))


def decodings_path(location: CacheLocation) -> Path:
    """Where the decodings of a cache are kept."""
    return location.state_directory / _NAME


def load_decodings(location: CacheLocation) -> Decodings:
    """What is remembered; where that can't be read it is as if nothing were: all is decoded anew."""
    with suppress(ValueError, OSError):
        return Decodings(dict(decode_own(decodings_path(location).read_bytes(), _DecodingsFile).decodings))
    return Decodings()
