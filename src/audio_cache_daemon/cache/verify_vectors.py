"""The vectors of an index compared: with each other, and with the scores of the rows; block by block."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.cache.vectors import SCORE_TOLERANCE
from audio_cache_daemon.errors import InconsistentIndexError
from audio_cache_daemon.formats import identify
from audio_cache_daemon.location import CLAP_AUDIO_NAME, CLAP_TEXT_NAME
from audio_cache_daemon.model import ArrayInfo, Bools, Floats, Inventory
from audio_cache_daemon.paths import open_regular

_BLOCK_BYTES = 2**22


class Vectors:
    """The sound arrays of an inventory, open for reading. A context manager.

    InconsistentIndexError when one changed since it was scanned, or does while it is read.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._path = inventory.location.path
        self.arrays: Mapping[str, ArrayInfo] = inventory.index.arrays
        self._descriptors: dict[str, int] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for name, info in self.arrays.items():
                path = self._path / name
                try:
                    descriptor = open_regular(path)
                except OSError as error:
                    raise InconsistentIndexError(
                        f"{path} can't be read any more: {error.strerror}; try again"
                    ) from None
                stack.callback(os.close, descriptor)
                self._descriptors[name] = descriptor
                if identify(os.fstat(descriptor)) != info.identity:
                    raise InconsistentIndexError(f"{path} changed while it was looked at; try again")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def rows(self) -> tuple[int, int]:
        """How many rows the two CLAP arrays have; none if one isn't there."""
        text, audio = (self.arrays.get(name) for name in (CLAP_TEXT_NAME, CLAP_AUDIO_NAME))
        return text.rows if text is not None else 0, audio.rows if audio is not None else 0

    @property
    def fit(self) -> bool:
        """Whether the rows of the two CLAP arrays are alike, as far as both are there."""
        found = [self.arrays[name] for name in (CLAP_TEXT_NAME, CLAP_AUDIO_NAME) if name in self.arrays]
        return len({(info.width, info.dtype) for info in found}) < 2

    def products(self, first_text: int, first_audio: int, count: int) -> Floats:
        """The products of `count` rows, from these on: NaN where a vector is zero, infinite where it is no number.

        A zero vector is the writer's mark for what it could not read: it belongs to any score.
        """
        result = np.empty(count, np.float64)
        if not count:
            return result
        step = max(1, _BLOCK_BYTES // self.arrays[CLAP_TEXT_NAME].row_bytes)
        for start in range(0, count, step):
            number = min(step, count - start)
            text = self._read(CLAP_TEXT_NAME, first_text + start, number)
            audio = self._read(CLAP_AUDIO_NAME, first_audio + start, number)
            scores = np.einsum("ij,ij->i", text, audio, dtype=np.float64)
            scores[~np.isfinite(scores)] = np.inf
            scores[~(text.any(axis=1) & audio.any(axis=1))] = np.nan
            result[start : start + number] = scores
        return result

    def are_equal(self, name: str, row: int, other: int) -> bool:
        """Whether two rows of an array are the same, byte for byte."""
        return self._read_bytes(name, row, 1) == self._read_bytes(name, other, 1)

    def _read(self, name: str, first: int, count: int) -> NDArray[np.floating]:
        info = self.arrays[name]
        return np.frombuffer(self._read_bytes(name, first, count), info.dtype).reshape(count, info.width)

    def _read_bytes(self, name: str, first: int, count: int) -> bytes:
        info = self.arrays[name]
        size = count * info.row_bytes
        # Never mapped: the writer may truncate the file under us.
        content = os.pread(self._descriptors[name], size, info.data_offset + first * info.row_bytes)
        if len(content) < size:
            raise InconsistentIndexError(f"{self._path / name} became shorter while it was read; try again")
        return content


def agree(scores: Floats, products: Floats) -> Bools:
    """Which rows don't contradict their scores; one without a score, or with a zero vector, never does."""
    return np.isnan(scores) | np.isnan(products) | (np.abs(products - scores) <= SCORE_TOLERANCE)


def are_known(scores: Floats, products: Floats) -> Bools:
    """Which rows have both, so that there is something to compare."""
    return ~np.isnan(scores) & ~np.isnan(products)
