"""Hashes of names, packed: as a set a million of them take a hundred megabytes."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np

from audio_cache_daemon.model import Ints


class Hashes:
    """64-bit hashes, in the order in which they came; one that came twice is there twice."""

    def __init__(self) -> None:
        self._packed = array("q")

    def add(self, hash_: int) -> None:
        """Take one in."""
        self._packed.append(hash_)

    def update(self, hashes: Iterable[int]) -> None:
        """Take others in."""
        self._packed.extend(hashes)

    def fork(self) -> Hashes:
        """The same, which can take in others."""
        other = Hashes()
        other.update(self._packed)
        return other

    def column(self) -> Ints:
        """All of them as a column."""
        return np.array(self._packed, np.int64)
