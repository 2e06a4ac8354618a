"""Big caches for tests and measurements, up to a million items, in memory for a few columns only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.random import Generator

from audio_cache_daemon.demo.index import WIDTHS, Embedder, products, slug
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, CacheLocation
from audio_cache_daemon.model import Bools, Floats, Ints

_DAYS = 90
_CHUNK_ROWS = 4096
"""Rows made and written at once: 24 MB of vectors."""

_MISSING = 0.01
_UNSCORED = 0.005
_TIMELESS = 0.002
_TESTS = 0.03
"""Shares of the rows: file missing, quality null or NaN, timestamp 0; and share of the prompts that are tests."""

# fmt: off
_WORDS = (
    "birds", "rain", "forest", "gentle", "wind", "city", "traffic", "waves", "distant", "thunder",
    "night", "crickets", "market", "voices", "bells", "train", "river", "stream", "temple", "harbour",
)
# fmt: on
_PROMPT_WORDS = 6
_MIX = 7_919_333
"""Has no divisor in common with the number of possible prompts, so that multiplying by it shuffles them."""


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """What to make. Times count back from `now`; `audio_bytes` are the least and most bytes of a file.

    `copies` is the share of files that have the bytes of another one; from 8 bytes on no others do. Without `audio`
    all files are missing, without `vectors` there are no arrays and the quality is a plain number.
    """

    now: float
    seed: int = 1
    audio: bool = True
    audio_bytes: tuple[int, int] = (100, 4000)
    copies: float = 0.0
    vectors: bool = True


@dataclass(frozen=True, slots=True)
class _Columns:
    """One entry a row. `content` numbers the bytes of its file, -1 where it is missing."""

    prompt: Ints
    milliseconds: Ints
    cosine: Floats
    seconds: Floats
    unscored: Bools
    timeless: Bools
    content: Ints

    def __len__(self) -> int:
        return len(self.prompt)


def make_cache(directory: Path, rows: int, options: BulkOptions) -> CacheLocation:
    """Make a cache of `rows` items over the last 90 days in `directory`, which is made if need be.

    Files are modified at the time of their item. The same arguments make the same bytes. 1 to 6 takes of a prompt,
    most of them neighbours; about 1 % of the files missing, 0.5 % of the rows without quality, 0.2 % without time.
    """
    output = directory / "audio"
    location = CacheLocation("bulk", output / "audio_cache", (output,))
    location.path.mkdir(parents=True)
    columns = _draw_columns(rows, options)
    tests = np.random.default_rng((options.seed, 1)).random(int(columns.prompt.max(initial=0)) + 1) < _TESTS
    _write_index(location, columns, tests, options)
    if options.audio:
        _write_audio(output, columns, tests, options)
    return location


def _draw_columns(rows: int, options: BulkOptions) -> _Columns:
    rng = np.random.default_rng(options.seed)
    content = np.arange(rows)
    copied = np.flatnonzero(rng.random(rows) < options.copies)
    content[copied] = rng.integers(0, np.maximum(copied, 1))
    content[rng.random(rows) < _MISSING] = -1
    return _Columns(
        prompt=_draw_prompts(rng, rows),
        milliseconds=_draw_times(rng, rows, options.now),
        cosine=rng.uniform(0.1, 0.7, rows),
        seconds=np.round(rng.uniform(5, 30, rows), 2),
        unscored=rng.random(rows) < _UNSCORED,
        timeless=rng.random(rows) < _TIMELESS,
        content=content,
    )


def _draw_prompts(rng: Generator, rows: int) -> Ints:
    """A prompt number for each row: runs of 1 to 6, a tenth of the rows moved elsewhere."""
    takes = rng.integers(1, 6, max(rows, 1), endpoint=True)
    prompts = np.repeat(np.arange(len(takes)), takes)[:rows]
    moved = rng.choice(rows, rows // 10, replace=False)
    prompts[moved] = prompts[rng.permutation(moved)]
    return prompts


def _draw_times(rng: Generator, rows: int, now: float) -> Ints:
    """Times in milliseconds, ascending, none twice, the last one before `now`."""
    span = _DAYS * 86_400_000
    start = int(now * 1000) - span
    return np.asarray(start + np.sort(rng.integers(0, span - rows, rows)) + np.arange(rows))


def _prompt_text(number: int, tests: Bools) -> str:
    """A text of a few words for a prompt number, another one for each number below 20 to the power of 6."""
    rest = (number + 1) * _MIX % len(_WORDS) ** _PROMPT_WORDS
    words = ["Test"] if tests[number] else []
    for _ in range(_PROMPT_WORDS):
        rest, word = divmod(rest, len(_WORDS))
        words.append(_WORDS[word])
    return " ".join(words).capitalize()


def _file_name(prompt: str, milliseconds: int) -> str:
    return f"{slug(prompt)}_{milliseconds}.wav"


def _write_index(location: CacheLocation, columns: _Columns, tests: Bools, options: BulkOptions) -> None:
    embedders = [Embedder(width, options.seed) for width in (WIDTHS[0], WIDTHS[2])]
    with ExitStack() as files:
        meta = files.enter_context((location.path / META_NAME).open("wb"))
        arrays = [files.enter_context((location.path / name).open("wb")) for name in ARRAY_NAMES * options.vectors]
        for array, width in zip(arrays, WIDTHS, strict=False):
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(columns), width)}
            np.lib.format.write_array_header_1_0(array, header)
        for start in range(0, len(columns), _CHUNK_ROWS):
            rows = np.arange(start, min(start + _CHUNK_ROWS, len(columns)))
            scores = _write_vectors(arrays, embedders, columns, rows) if arrays else columns.cosine[rows]
            meta.writelines(_lines(location, columns, tests, zip(rows.tolist(), scores.tolist(), strict=True)))


def _write_vectors(arrays: Sequence[BinaryIO], embedders: list[Embedder], columns: _Columns, rows: Ints) -> Floats:
    """Append the vectors of some rows to the arrays; the products of the CLAP ones."""
    clap, bge = embedders
    texts = clap.texts(columns.prompt[rows])
    audios = clap.audios(texts, rows, columns.cosine[rows])
    for file, vectors in zip(arrays, (texts, audios, bge.texts(columns.prompt[rows])), strict=True):
        file.write(vectors.data)
    return products(texts, audios)


def _lines(
    location: CacheLocation, columns: _Columns, tests: Bools, scored: Iterator[tuple[int, float]]
) -> Iterator[bytes]:
    output = location.audio_roots[0]
    for row, score in scored:
        prompt = _prompt_text(int(columns.prompt[row]), tests)
        path = output / _file_name(prompt, int(columns.milliseconds[row]))
        unscored = "NaN" if row % 2 else "null"
        yield (
            f'{{"path": {json.dumps(str(path))}, "prompt": "{prompt}", '
            f'"prompt_norm": "{prompt.lower()}", "duration_s": {columns.seconds[row]}, '
            f'"clap_similarity": {unscored if columns.unscored[row] else score}, '
            f'"timestamp": {0.0 if columns.timeless[row] else columns.milliseconds[row] / 1000}}}\n'
        ).encode()


def _write_audio(output: Path, columns: _Columns, tests: Bools, options: BulkOptions) -> None:
    """Files of random bytes (no audio: nothing here plays them), each begun by the number of its content."""
    least, most = options.audio_bytes
    rng = np.random.default_rng((options.seed, 2))
    noise = rng.bytes(most)
    sizes = rng.integers(least, most, len(columns), endpoint=True).tolist()
    for row in np.flatnonzero(columns.content >= 0).tolist():
        content = int(columns.content[row])
        prompt, milliseconds = _prompt_text(int(columns.prompt[row]), tests), int(columns.milliseconds[row])
        with (output / _file_name(prompt, milliseconds)).open("wb") as file:
            file.write((content.to_bytes(8, "little") + noise)[: sizes[content]])
            file.flush()
            os.utime(file.fileno(), ns=(milliseconds * 1_000_000, milliseconds * 1_000_000))
