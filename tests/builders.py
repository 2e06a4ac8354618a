"""Small real caches for tests, made item by item."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import EllipsisType
from typing import TypeAlias

import numpy as np

from audio_cache_daemon.demo.index import (
    Item,
    JsonValue,
    encode_row,
    file_name,
    make_row,
    make_vectors,
    write_index,
)
from audio_cache_daemon.location import META_NAME, CacheLocation

NOW = 2_100_000_000.0
"""The time of tests: later than any real ctime, so that a stray's age is what its mtime says."""

DAY = 86400.0
WIDTHS = (8, 8, 6)
OWN_BYTES = b"each its own"

RawValue: TypeAlias = JsonValue | bool | list[int] | EllipsisType


class CacheBuilder:
    """Collects items and writes them as a cache under a directory: audio in `audio`, index in `audio/audio_cache`.

    Audio and strays are written at once, the index by `write`, which may be called again after more additions.
    """

    def __init__(self, directory: Path, now: float = NOW, name: str = "test") -> None:
        self.now = now
        self.output = directory / "audio"
        self.location = CacheLocation(name, self.output / "audio_cache", (self.output,))
        self._items: list[Item] = []
        self._raw: list[Mapping[str, RawValue]] = []
        self._lines: dict[int, bytes] = {}
        self._prompts: dict[str, int] = {}
        self.location.path.mkdir(parents=True)

    def add(
        self,
        prompt: str = "rain",
        *,
        age: float = 1.0,
        quality: float | None = 0.5,
        audio: bytes | None = OWN_BYTES,
        **raw: RawValue,
    ) -> Path:
        """Add an item `age` days old; the path that its audio file has, or would have.

        The product of its vectors is `quality`, to 1e-6 (0.5 when the row says None or NaN). `audio` is the content
        of its file, None for a missing one. `raw` replaces values of the row, and adds keys; `...`
        leaves a key out. With a raw `path` no file is written.
        """
        number, created = len(self._items), round(self.now - age * DAY, 3)
        path = self.output / file_name(prompt, created + number / 1000)
        if audio is not None and "path" not in raw:
            self._write_audio(path, f"sound {number}".encode() if audio == OWN_BYTES else audio, created)
        row = make_row(str(path), prompt, created, 2.0)
        row["clap_similarity"] = quality
        prompt_number = self._prompts.setdefault(str(row["prompt_norm"]), len(self._prompts))
        self._items.append(Item(row, prompt_number, 0.5 if quality is None or math.isnan(quality) else quality))
        self._raw.append(raw)
        return path

    def add_line(self, line: bytes) -> None:
        """Add a line as it is, newline included; it has vectors like any row."""
        self._lines[len(self._items)] = line
        self.add(audio=None)

    def repeat(self, row: int) -> None:
        """Add row `row` again, to the letter."""
        self._items.append(self._items[row])
        self._raw.append(self._raw[row])

    def add_stray(self, name: str, *, age: float = 10.0, content: bytes = b"stray") -> Path:
        """Write a file that no row names into the output directory, modified `age` days ago."""
        path = self.output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._write_audio(path, content, self.now - age * DAY)
        return path

    def write(self) -> CacheLocation:
        """Write the four index files; where the cache is."""
        vectors = make_vectors(self._items, WIDTHS)
        write_index(self.location.path, map(self._line, range(len(self._items))), vectors)
        return self.location

    def append_to_meta(self, data: bytes) -> None:
        """Append bytes to the written `meta.jsonl`: a torn line, or a row whose vectors are still to come."""
        with (self.location.path / META_NAME).open("ab") as file:
            file.write(data)

    def drop_array_rows(self, name: str, count: int = 1) -> None:
        """Shorten a written array by its last rows, as a crash or a pause of BGE leaves it."""
        path = self.location.path / name
        array = np.load(path)
        np.save(path, array[: len(array) - count])

    def _line(self, number: int) -> bytes:
        values = {**self._items[number].row, **self._raw[number]}
        row = {key: value for key, value in values.items() if not isinstance(value, EllipsisType)}
        return self._lines.get(number, encode_row(row))

    @staticmethod
    def _write_audio(path: Path, content: bytes, modified: float) -> None:
        path.write_bytes(content)
        os.utime(path, (modified, modified))
