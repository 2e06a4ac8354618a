"""How items sound, as vectors: read for the items that a rule compares, and where they are provably theirs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from audio_cache_daemon.cache.vectors import contradicts, index_fault
from audio_cache_daemon.columns import parts
from audio_cache_daemon.formats import identify, read_vectors
from audio_cache_daemon.likenesses import Likenesses, digest_vectors
from audio_cache_daemon.location import CLAP_AUDIO_NAME, CLAP_TEXT_NAME
from audio_cache_daemon.model import ArrayInfo, Ints, Inventory, KnownSounds, Rows, Sounds
from audio_cache_daemon.paths import open_regular

_ROWS_AT_ONCE = 2048


class _UnreadableError(Exception):
    """Why the vectors can't be had now, in words."""


def with_sounds(inventory: Inventory, over: int, likenesses: Likenesses | None = None) -> Inventory:
    """The inventory with the audio vectors of the items of each prompt that has more than `over`; 0: of all items.

    One that is zero, or doesn't give its row's score, is left out. While lines and vectors don't match, all are.
    `likenesses` are those that are remembered.
    """
    rows = _asked_for(inventory.rows, over)
    fault = index_fault(inventory)
    sounds = Sounds.none(len(inventory.rows))
    if fault is None and len(rows) and inventory.index.arrays:
        try:
            sounds = _read_sounds(inventory, rows)
        except _UnreadableError as error:
            fault = str(error)
    if likenesses is not None:
        sounds = replace(sounds, known=_recognize(sounds.vectors, likenesses))
    return replace(inventory, rows=replace(inventory.rows, sounds=replace(sounds, fault=fault)))


def _recognize(vectors: NDArray[np.float32], likenesses: Likenesses) -> KnownSounds:
    """What is remembered of these vectors; of those that are there twice nothing, since one may be the other's copy."""
    digests = digest_vectors(vectors)
    _, back, counts = np.unique(digests, return_inverse=True, return_counts=True)
    once = counts[back.reshape(-1)] == 1
    unlike, protected = (
        once & np.isin(digests, np.array(known, np.int64)) for known in (likenesses.unlike, likenesses.protected)
    )
    return KnownSounds(likenesses.similarity, unlike, protected)


def _asked_for(rows: Rows, over: int) -> Ints:
    decided = rows.decided()
    if over == 0:
        return np.flatnonzero(decided)
    members = decided & (rows.prompt >= 0)
    takes = np.bincount(rows.prompt[members], minlength=int(rows.prompt.max(initial=0)) + 1)
    return np.flatnonzero(members & (takes[rows.prompt] > over))


def _read_sounds(inventory: Inventory, rows: Ints) -> Sounds:
    arrays = inventory.index.arrays
    text, audio = arrays[CLAP_TEXT_NAME], arrays[CLAP_AUDIO_NAME]
    place = np.full(len(inventory.rows), -1, np.int32)
    vectors = np.empty((len(rows), audio.width), np.float32)
    count = 0
    with ExitStack() as stack:
        texts, audios = (stack.enter_context(_opened(inventory, info)) for info in (text, audio))
        for part in parts(len(rows), _ROWS_AT_ONCE):
            some = rows[part]
            sound = _read_rows(audios, audio, some)
            wrong = contradicts(_read_rows(texts, text, some), sound, inventory.rows.quality[some])
            lengths = np.linalg.norm(sound.astype(np.float64), axis=1)
            good = ~wrong & np.isfinite(lengths) & (lengths > 0)
            kept = int(good.sum())
            vectors[count : count + kept] = sound[good] / lengths[good, None]
            place[some[good]] = np.arange(count, count + kept)
            count += kept
    return Sounds(place, vectors[:count])


@contextmanager
def _opened(inventory: Inventory, info: ArrayInfo) -> Iterator[int]:
    """An array that is, from before the first to after the last look into it, the one that was scanned."""
    path = inventory.location.path / info.name
    try:
        descriptor = open_regular(path)
    except OSError as error:
        raise _UnreadableError(f"{path} can't be read any more: {error.strerror}") from None
    try:
        yield descriptor
        if identify(os.fstat(descriptor)) != info.identity:
            raise _UnreadableError(f"{path} changed while it was looked at")
    finally:
        os.close(descriptor)


def _read_rows(descriptor: int, info: ArrayInfo, rows: Ints) -> NDArray[np.floating]:
    content = b"".join(read_vectors(descriptor, info, rows))
    if len(content) != len(rows) * info.row_bytes:
        raise _UnreadableError(f"{info.name} became shorter while it was read")
    return np.frombuffer(content, info.dtype).reshape(len(rows), info.width)
