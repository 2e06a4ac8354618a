"""What was found out about the sounds themselves: how alike they are, and whether they can be decoded."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.model.kinds import Bools, DecodingState, Floats, Ints


class KnownSounds(msgspec.Struct, frozen=True):
    """What an earlier comparison told of each vector: those `unlike` each other and the `protected`.

    They are less alike than `similarity`, a cosine. Of the protected among themselves it told nothing.
    """

    similarity: float
    unlike: Bools
    protected: Bools


class Sounds(msgspec.Struct, frozen=True):
    """Audio vectors of length 1: that of row i is `vectors[place[i]]`; where `place` is -1 there is none to go by.

    `fault` says why there are none at all: lines and vectors don't match.
    """

    place: NDArray[np.int32]
    vectors: NDArray[np.float32]
    fault: str | None = None
    known: KnownSounds | None = None

    @classmethod
    def none(cls, rows: int) -> Sounds:
        """Of no row."""
        return cls(np.full(rows, -1, np.int32), np.empty((0, 0), np.float32))


class Decoded(msgspec.Struct, frozen=True):
    """What decoding told of the audio of each row: its state, and, where that is DECODED, the measures.

    `seconds` of sound, `peak` of the samples (full scale is 1), the share that is `clipped` (0 to 1); else NaN.
    `fault` says why some weren't decoded.
    """

    state: NDArray[np.uint8]
    seconds: Floats
    peak: Floats
    clipped: Floats
    fault: str | None = None

    @classmethod
    def none(cls, rows: int) -> Decoded:
        """Of no row."""
        seconds, peak, clipped = (np.full(rows, np.nan) for _ in range(3))
        return cls(np.full(rows, DecodingState.UNKNOWN, np.uint8), seconds, peak, clipped)

    def select(self, rows: NDArray[np.signedinteger]) -> Decoded:
        """Of these rows, in this order."""
        return Decoded(self.state[rows], self.seconds[rows], self.peak[rows], self.clipped[rows], self.fault)


class Settled(msgspec.Struct, frozen=True):
    """Rows that a rule compared with all others and left: none is so similar to another, but for protected ones."""

    similarity: float
    unlike: Ints
    protected: Ints
