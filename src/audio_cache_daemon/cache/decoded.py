"""How the audio of rows decodes: each file once, the rest from what is remembered."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import starmap

import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.cache.audio import AudioFiles
from audio_cache_daemon.columns import iter_rows
from audio_cache_daemon.decoder import Decoder
from audio_cache_daemon.decodings import Decodings, FileKey
from audio_cache_daemon.model import Decoded, DecodingState, Rows
from audio_cache_daemon.paths import inode_of


def decode_audio(rows: Rows, audio: AudioFiles, known: Decodings, seconds: float) -> Decoded:
    """What decoding tells of each row's audio; what isn't `known` is decoded and added, for so many seconds at most."""
    there = np.flatnonzero(rows.present() & (rows.size > 0))
    # One row a file: rows that name one file share what is found.
    files = np.sort(there[np.unique(rows.file[there], return_index=True)[1]])
    keys = list(starmap(FileKey, iter_rows(rows.inode, rows.size, rows.mtime_ns, at=files)))
    unknown = [place for place, key in enumerate(keys) if known.find(key) is None]
    opened = audio.open_each(rows, files[unknown or slice(0)])
    fault = _decode(opened, [keys[place] for place in unknown], known, seconds)
    # One place more, the last, for rows whose file isn't among them.
    of_file = np.full(rows.file_count() + 1, len(files))
    of_file[rows.file[files]] = np.arange(len(files))
    return replace(_columns(keys, known).select(of_file[rows.file]), fault=fault)


def _decode(
    opened: Iterator[tuple[int, str] | None], keys: list[FileKey], known: Decodings, seconds: float
) -> str | None:
    """Decode the file of each key, and note what that tells; why some are left, in words."""
    begin = time.monotonic()
    with Decoder() as decoder:
        for number, key in enumerate(keys):
            if decoder.fault is not None:
                return decoder.fault
            if time.monotonic() - begin >= seconds:
                return f"{len(keys) - number:,} files are left for the next runs, which decode for a while each"
            file = next(opened)
            if file is not None:
                _decode_one(decoder, file, key, known)
        return decoder.fault


def _decode_one(decoder: Decoder, file: tuple[int, str], key: FileKey, known: Decodings) -> None:
    descriptor, name = file
    try:
        decoding = decoder.decode(descriptor, name[-4:])
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    # Not the one that was scanned, or changed while it was decoded: then it says nothing.
    if decoding is not None and (inode_of(status), status.st_size, status.st_mtime_ns) == key:
        known.note(key, decoding)


def _columns(keys: list[FileKey], known: Decodings) -> Decoded:
    """What is known of each file, and nothing of one more."""
    columns = Decoded.none(len(keys) + 1)
    for place, key in enumerate(keys):
        found = known.find(key)
        if found is not None:
            columns.state[place] = found.state
        if found is not None and found.state == DecodingState.DECODED:
            columns.seconds[place], columns.peak[place], columns.clipped[place] = (
                found.seconds,
                found.peak,
                found.clipped,
            )
    return columns
