"""What is remembered of how sounds compare, so that each pair is compared once: which of them are unlike each other."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import Ints
from audio_cache_daemon.own_files import Number, decode_own

_NAME = "likenesses.json"


class Likenesses(msgspec.Struct, frozen=True):
    """Digests of the vectors that were compared with all others, and found less alike than `similarity` (a cosine).

    But for the `protected` among themselves: those weren't compared. One digest for two vectors, as likely as not once
    in five billion, would leave a copy where it is.
    """

    version: Literal[1]
    similarity: float
    unlike: list[Number]
    protected: list[Number]


def digest_vectors(vectors: NDArray[np.float32]) -> Ints:
    """A number a vector, equal for equal bytes."""
    digests = (hashlib.blake2b(vector.tobytes(), digest_size=8).digest() for vector in vectors)
    return np.frombuffer(b"".join(digests), np.int64)


def likenesses_path(location: CacheLocation) -> Path:
    """Where the likenesses of a cache are kept."""
    return location.state_directory / _NAME


def load_likenesses(location: CacheLocation) -> Likenesses | None:
    """What is remembered; None where that is nothing, or can't be read: all are compared anew."""
    with suppress(ValueError, OSError):
        return decode_own(likenesses_path(location).read_bytes(), Likenesses)
    return None
