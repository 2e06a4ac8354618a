"""An index as the generator writes it: rows, file names, and vectors whose product is the quality score.

Vectors are mixed from the rows of an orthonormal basis (cosines with random signs), so that a million of them cost
little more than the writing: a text from two rows that its prompt names, an audio from its text and a direction of
its own.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.location import ARRAY_NAMES, CLAP_AUDIO_NAME, CLAP_TEXT_NAME, META_NAME
from audio_cache_daemon.model import Floats, Ints

Vectors: TypeAlias = NDArray[np.float32]
"""One vector a row."""

JsonValue: TypeAlias = str | float | None
WIDTHS = (512, 512, 384)
"""Widths of the arrays, in the order of ARRAY_NAMES; the two CLAP ones are equal."""

_SLUG_LENGTH = 40


@dataclass(slots=True)
class Item:
    """A row to be, the number of its prompt, and the cosine between its two CLAP vectors.

    A cosine of NaN stands for audio that the generator could not read: its audio vector is zero.
    """

    row: dict[str, JsonValue]
    prompt: int
    cosine: float


def make_row(path: str, prompt: str, created: float, seconds: float) -> dict[str, JsonValue]:
    """A row without its score, which `score_items` fills in."""
    return {
        "path": path,
        "prompt": prompt,
        "prompt_norm": " ".join(prompt.lower().split()),
        "duration_s": seconds,
        "clap_similarity": 0.0,
        "timestamp": created,
    }


def file_name(prompt: str, created: float) -> str:
    """The name that the generator gives to a sound made at a time."""
    return f"{slug(prompt)}_{round(created * 1000)}.wav"


def slug(prompt: str) -> str:
    """A prompt as part of a file name."""
    return re.sub(r"\W+", "_", prompt.lower()).strip("_")[:_SLUG_LENGTH] or "sound"


class Embedder:
    """Makes unit vectors of a width (5 or more), the same ones for the same seed."""

    def __init__(self, width: int, seed: int) -> None:
        signs = np.random.default_rng((seed, width)).choice([-1.0, 1.0], width)
        waves = np.cos(np.pi / width * np.arange(width)[:, None] * (np.arange(width) + 0.5))
        self._basis: Vectors = (signs * waves / np.linalg.norm(waves, axis=1)[:, None]).astype(np.float32)

    def texts(self, prompts: Ints) -> Vectors:
        """Vectors of prompts, by number: orthogonal to most others, the same only for numbers about width² apart."""
        choices = len(self._basis) - 2
        first = prompts % choices
        second = (first + 1 + prompts // choices % (choices - 1)) % choices
        return np.asarray(np.float32(0.8) * self._basis[first] + np.float32(0.6) * self._basis[second])

    def audios(self, texts: Vectors, numbers: Ints, cosines: Floats) -> Vectors:
        """Vectors at the given cosines to `texts`, each in the direction of its number; zero where it is NaN."""
        angles = np.column_stack([np.cos(numbers), np.sin(numbers)]).astype(np.float32)
        directions = angles @ self._basis[-2:]
        along, across = (part.astype(np.float32)[:, None] for part in (cosines, np.sqrt(1 - cosines**2)))
        return np.asarray(np.nan_to_num(along * texts + across * directions, nan=0.0))


def products(left: Vectors, right: Vectors) -> Floats:
    """The dot product of each row with its opposite."""
    return np.asarray(np.einsum("ij,ij->i", left, right), dtype=np.float64)


def make_vectors(items: Sequence[Item], widths: tuple[int, int, int] = WIDTHS) -> dict[str, Vectors]:
    """The three arrays of an index, by file name."""
    prompts = np.array([item.prompt for item in items], dtype=np.int64)
    cosines = np.array([item.cosine for item in items], dtype=np.float64)
    clap, bge = Embedder(widths[0], seed=1), Embedder(widths[2], seed=1)
    texts = clap.texts(prompts)
    audios = clap.audios(texts, np.arange(len(items)), cosines)
    return dict(zip(ARRAY_NAMES, (texts, audios, bge.texts(prompts)), strict=True))


def score_items(items: Sequence[Item], vectors: Mapping[str, Vectors]) -> None:
    """Set the quality of each row to the product of its vectors, except where it is null or NaN."""
    scores = products(vectors[CLAP_TEXT_NAME], vectors[CLAP_AUDIO_NAME])
    for item, score in zip(items, scores.tolist(), strict=True):
        known = item.row["clap_similarity"]
        if isinstance(known, float) and not math.isnan(known):
            item.row["clap_similarity"] = score


def encode_row(row: Mapping[str, object]) -> bytes:
    """A row as a line of the index, with the generator's spelling of NaN."""
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def write_index(cache: Path, lines: Iterable[bytes], vectors: Mapping[str, Vectors]) -> None:
    """Write the index files of a cache into its directory, which is made if need be."""
    cache.mkdir(parents=True, exist_ok=True)
    (cache / META_NAME).write_bytes(b"".join(lines))
    for name, array in vectors.items():
        np.save(cache / name, array)
