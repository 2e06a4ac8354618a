"""What names items across rewrites of the index: a hash of a row's bytes, or of a file's path."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.formats import read_lines
from audio_cache_daemon.model import Ints

_empty_digest = hashlib.blake2b(digest_size=8)


def row_id(line: bytes, occurrence: int) -> str:
    """What names an item across rewrites: a hash of its row's bytes, and which of the identical rows it is."""
    return _digest_row(line, occurrence).hexdigest()


def row_key(line: bytes, occurrence: int) -> int:
    """The same as a number, of which many take less room."""
    return int.from_bytes(_digest_row(line, occurrence).digest())


def _digest_row(line: bytes, occurrence: int) -> hashlib.blake2b:
    digest = _empty_digest.copy()  # Half the time of a new one.
    digest.update(line.rstrip(b"\r\n") + b"\n%d" % occurrence)
    return digest


def read_keys(descriptor: int, offset: Ints, rows: Ints) -> NDArray[np.uint64]:
    """The ids, as numbers, of the rows of these ascending numbers; those that repeat others go by the first of them."""
    keys = (row_key(line, 0) for line in read_lines(descriptor, offset, rows))
    return np.fromiter(keys, np.uint64, len(rows))


def spell_keys(keys: NDArray[np.uint64]) -> list[str]:
    """The ids that numbers stand for."""
    text = keys.astype(">u8").tobytes().hex()
    return [text[first : first + 16] for first in range(0, len(text), 16)]


def stray_id(path: str) -> str:
    """What names a file without a row: a hash of its absolute path."""
    return hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
