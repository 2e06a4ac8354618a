"""A stand-in for the generator with its sounds: it adds items in the steps of the real one, and serves from its memory.

It takes no lock and flushes nothing, loads all at its start and after each addition, and never looks whether a file
is there. As a process of its own (`live_generator_process`) it takes commands on its standard input.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from audio_cache_daemon.demo.index import JsonValue, Vectors, encode_row, file_name, make_row, write_index
from audio_cache_daemon.location import ARRAY_NAMES, BGE_TEXT_NAME, CLAP_AUDIO_NAME, CLAP_TEXT_NAME, META_NAME

Kind: TypeAlias = Literal["exact", "semantic", "all"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Lookups: among the rows of the same prompt, of prompts that are near it, and of all; the best one is played."""

WIDTHS = dict(zip(ARRAY_NAMES, (128, 128, 96), strict=True))
"""Wide enough that no prompt of some hundreds is as near to another's sound as to its own."""

THRESHOLD = 0.2
NEAR = 0.5
"""From which product two prompts count as near each other."""

LOWEST_SCORE, HIGHEST_SCORE = 0.6, 0.9
OLD = 1_600_000_000.0
"""When the items that `fill_cache` makes were created."""

_KEYS = {"path", "prompt", "prompt_norm", "duration_s", "clap_similarity", "timestamp", "ts", "dur"}
_moments = itertools.count(time.time_ns() // 1_000_000)


class StartError(Exception):
    """The generator can't load its files."""


def norm(prompt: str) -> str:
    """The prompt as prompts are compared."""
    return " ".join(prompt.lower().split())


def sound(prompt: str, take: int) -> bytes:
    """The content of an audio file."""
    return f"{norm(prompt)}, take {take}".encode()


def score_of(prompt: str, take: int) -> float:
    """The product of the two CLAP vectors of a prompt's take: far over all thresholds."""
    return LOWEST_SCORE + (HIGHEST_SCORE - LOWEST_SCORE) * float(_random(norm(prompt), take, "score").random())


@functools.cache
def embed(prompt: str, take: int = 0) -> dict[str, Vectors]:
    """The vectors of a prompt's take, by array: always the same ones, of length 1."""
    text, bge = (_unit(_random(norm(prompt), 0, name), WIDTHS[name]) for name in (CLAP_TEXT_NAME, BGE_TEXT_NAME))
    other = _unit(_random(norm(prompt), take, CLAP_AUDIO_NAME), len(text))
    across = other - (other @ text) * text
    score = score_of(prompt, take)
    audio = score * text + np.sqrt(1 - score**2) * across / np.linalg.norm(across)
    found = {CLAP_TEXT_NAME: text, CLAP_AUDIO_NAME: audio, BGE_TEXT_NAME: bge}
    return {name: found[name].astype(np.float32) for name in ARRAY_NAMES}


def fill_cache(cache: Path, output: Path, prompts: Sequence[str], *, bge: bool = True) -> list[Path]:
    """Make a cache as additions of these prompts leave it; the audio files, in order."""
    takes: dict[str, int] = {}
    rows, vectors, paths = [], [], []
    for number, prompt in enumerate(prompts):
        take = takes[norm(prompt)] = takes.get(norm(prompt), -1) + 1
        created = OLD + number
        paths.append(output / file_name(prompt, created))
        paths[-1].write_bytes(sound(prompt, take))
        os.utime(paths[-1], (created, created))
        vectors.append(embed(prompt, take))
        rows.append(_row(paths[-1], prompt, created, vectors[-1]))
    names = ARRAY_NAMES if bge else (CLAP_TEXT_NAME, CLAP_AUDIO_NAME)
    arrays = {name: np.array([each[name] for each in vectors]).reshape(-1, WIDTHS[name]) for name in names}
    write_index(cache, map(encode_row, rows), arrays)
    return paths


class Generator:
    """What the generator holds in memory, and what it does to the files. `rows` is its list, `arrays` its vectors.

    `grows`: after an addition it appends all rows to its list, instead of replacing it; so the file of an item added
    later is that of another row, until it is started again. `started_file` is touched by each start.
    """

    def __init__(
        self, cache: Path, output: Path, *, bge: bool = True, grows: bool = True, started_file: Path | None = None
    ) -> None:
        self._cache = cache
        self._output = output
        self._names = ARRAY_NAMES if bge else (CLAP_TEXT_NAME, CLAP_AUDIO_NAME)
        self._grows = grows
        self._started_file = started_file
        self._remember([], {})

    def start(self) -> None:
        """Forget everything and load the files; StartError when they aren't as the generator wants them."""
        if self._started_file is not None:
            _touch_later(self._started_file)
        self._remember(self._read_rows(), self._read_arrays())

    def add_steps(self, prompt: str, take: int | None = None) -> Iterator[str]:
        """Add an item, a step at a time: each is done when its name is yielded. A killed generator stops in between."""
        if take is None:
            take = sum(row["prompt_norm"] == norm(prompt) for row in self._read_rows())
        created = next(_moments) / 1000
        path, vectors = self._output / file_name(prompt, created), embed(prompt, take)
        path.write_bytes(sound(prompt, take))
        yield "audio"
        row = _row(path, prompt, created, vectors)
        with (self._cache / META_NAME).open("ab") as meta:
            meta.write(encode_row(row))
        yield META_NAME
        for name in self._names:
            for step in _save_steps(self._cache / name, vectors[name]):
                yield f"{step} {name}"
        loaded = self._read_rows()
        self._remember([*self.rows, row, *loaded] if self._grows else loaded, self._read_arrays())
        yield "reload"

    def add(self, prompt: str, take: int | None = None) -> None:
        """Add an item, all steps at once."""
        for _ in self.add_steps(prompt, take):
            pass

    def lookup(self, prompt: str, kind: Kind = "exact") -> str | None:
        """The file that is played for a prompt, or None. It may be gone: the generator doesn't look."""
        audio = self.arrays.get(CLAP_AUDIO_NAME, np.empty((0, WIDTHS[CLAP_AUDIO_NAME]), np.float32))
        query = embed(prompt)
        scores = audio @ query[CLAP_TEXT_NAME]
        candidates = self._candidates(norm(prompt), query, kind)
        candidates = candidates[candidates < min(len(scores), len(self.rows))]
        if not len(candidates):
            return None
        best = int(candidates[np.argmax(scores[candidates])])
        return None if scores[best] < THRESHOLD else str(self.rows[best]["path"])

    def _candidates(self, prompt: str, query: Mapping[str, Vectors], kind: Kind) -> np.ndarray:
        if kind == "exact":
            return np.array(self._places.get(prompt, []), np.int64)
        if kind == "all":
            return np.arange(len(self.rows))
        name = BGE_TEXT_NAME if BGE_TEXT_NAME in self.arrays else CLAP_TEXT_NAME
        texts = self.arrays.get(name, np.empty((0, WIDTHS[name]), np.float32))
        return np.flatnonzero(texts @ query[name] >= NEAR)

    def _remember(self, rows: list[dict[str, Any]], arrays: dict[str, Vectors]) -> None:
        self.rows, self.arrays = rows, arrays
        self._places: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            self._places.setdefault(row["prompt_norm"], []).append(place)

    def _read_rows(self) -> list[dict[str, Any]]:
        rows = []
        for number, line in enumerate((self._cache / META_NAME).read_bytes().splitlines(), start=1):
            try:
                row = json.loads(line.decode())
            except ValueError as error:
                raise StartError(f"line {number}: {error}") from None
            if not isinstance(row, dict) or not set(row) <= _KEYS:
                raise StartError(f"line {number}: it has other keys than rows have")
            rows.append(row)
        return rows

    def _read_arrays(self) -> dict[str, Vectors]:
        try:
            return {name: np.load(self._cache / name) for name in self._names if (self._cache / name).exists()}
        except (ValueError, EOFError) as error:
            raise StartError(str(error)) from None


def _save_steps(path: Path, vector: Vectors) -> Iterator[str]:
    """Load an array, append a vector, and save it over the same path, which empties the file first."""
    loaded = np.load(path) if path.exists() else np.empty((0, len(vector)), np.float32)
    yield "load"
    buffer = io.BytesIO()
    np.save(buffer, np.concatenate([loaded, vector[None]]))
    content = buffer.getvalue()
    with path.open("wb", buffering=0) as file:
        yield "truncate"
        file.write(content[: len(content) // 2])
        yield "half"
        file.write(content[len(content) // 2 :])
    yield "save"


def _touch_later(path: Path) -> None:
    """Touch a file so that its time changes, however short ago that was done before."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.touch()
    os.utime(path, ns=(before + 10**9, before + 10**9))


def _row(path: Path, prompt: str, created: float, vectors: Mapping[str, Vectors]) -> dict[str, JsonValue]:
    row = make_row(str(path), prompt, created, 24.0)
    row["clap_similarity"] = float(vectors[CLAP_TEXT_NAME] @ vectors[CLAP_AUDIO_NAME])
    return row


def _random(*parts: object) -> np.random.Generator:
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(digest))


def _unit(random: np.random.Generator, width: int) -> np.ndarray:
    vector = random.standard_normal(width)
    return vector / float(np.linalg.norm(vector))


def _serve(generator: Generator) -> Iterator[object]:
    """Start, then carry out the commands of the standard input; the answer to each."""
    generator.start()
    yield True
    steps: Iterator[str] = iter(())
    for line in sys.stdin:
        command = json.loads(line)
        match command["do"]:
            case "add":
                for prompt in command["prompts"]:
                    generator.add(prompt)
                yield True
            case "begin":
                steps = generator.add_steps(command["prompt"])
                yield True
            case "step":
                yield next(steps, None)
            case "lookup":
                yield [generator.lookup(prompt, command["kind"]) for prompt in command["prompts"]]
            case "restart":
                steps = iter(())
                generator.start()
                yield True
            case _:
                yield True
                return


def main() -> None:
    """Be a generator: a JSON line in for each command, a JSON line out for what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("cache", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--no-bge", action="store_true")
    parser.add_argument("--sound-list", action="store_true")
    parser.add_argument("--started-file", type=Path)
    asked = parser.parse_args()
    generator = Generator(
        asked.cache, asked.output, bge=not asked.no_bge, grows=not asked.sound_list, started_file=asked.started_file
    )
    try:
        for answer in _serve(generator):
            print(json.dumps({"done": answer}), flush=True)  # noqa: T201 -- how it answers
    except StartError as error:
        print(json.dumps({"error": str(error)}), flush=True)  # noqa: T201 -- the same


if __name__ == "__main__":
    main()
