"""A simulated generator: what writes a cache and serves from it, without the sounds. In this process, or in its own.

It does to the index what the real one does, in the same order: appends a line, then loads, extends and saves each
array over its path, then loads everything again; and its list of rows grows by each such reload. Started as a
program, with the directory of a cache, it takes one command a line from its input, as JSON, and answers each with a
line: see `Command`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Generator as PythonGenerator
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

Vectors: TypeAlias = NDArray[np.float32]

Steps: TypeAlias = PythonGenerator[str, None, None]

META = "meta.jsonl"
ARRAYS = ("clap_text.npy", "clap_audio.npy", "bge_text.npy")
"""In the order in which they are saved."""

WIDTHS = (8, 8, 6)
THRESHOLD = 0.2
EXACT_QUALITY = 0.35


class NewItem(msgspec.Struct, frozen=True):
    """What is added: `number` names its sound, and `quality` is the score, or None for audio that can't be read."""

    prompt: str
    number: int
    quality: float | None = 0.6

    def path(self) -> str:
        return f"/sounds/{self.number}.wav"

    def line(self) -> bytes:
        """Its row, as it stands in the index."""
        row = {
            "path": self.path(),
            "prompt": self.prompt,
            "prompt_norm": normalise(self.prompt),
            "duration_s": 0.0 if self.quality is None else 2.0,
            "clap_similarity": self.quality,
            "timestamp": 2_000_000_000.0 + self.number,
        }
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"

    def vectors(self, widths: tuple[int, int, int] = WIDTHS) -> tuple[Vectors, Vectors, Vectors]:
        """Its row of each array."""
        text = embed(self.prompt, widths[0])
        other = embed(f"sound {self.number}", widths[1])
        across = other - np.float32(other @ text) * text
        across /= np.linalg.norm(across)
        cosine = np.float32(self.quality or 0.0)
        audio = cosine * text + np.sqrt(1 - cosine**2) * across if self.quality is not None else np.zeros_like(text)
        return text, np.asarray(audio, np.float32), embed(self.prompt, widths[2])


def normalise(prompt: str) -> str:
    return " ".join(prompt.lower().split())


@functools.cache
def embed(prompt: str, width: int) -> Vectors:
    """A unit vector that is always the same for a text."""
    seed = int.from_bytes(hashlib.blake2b(normalise(prompt).encode(), digest_size=8).digest())
    vector = np.random.default_rng(seed).normal(size=width)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


class Generator:
    """The generator's memory, and its way with the files."""

    def __init__(self, cache: Path, *, has_bge: bool = True) -> None:
        self._cache = cache
        self._arrays = ARRAYS if has_bge else ARRAYS[:2]
        self.rows: list[dict[str, Any]] = []
        self.vectors: dict[str, Vectors] = {}
        self.start()

    def start(self) -> None:
        """Forget everything, and load the index."""
        self.rows = []
        self._load()

    def _load(self) -> None:
        """Take the index in: arrays are replaced, but the list of rows is appended to."""
        if (self._cache / META).exists():
            self.rows += [json.loads(line) for line in (self._cache / META).read_bytes().split(b"\n")[:-1]]
        self.vectors = {name: np.load(self._cache / name) for name in ARRAYS if (self._cache / name).exists()}

    def additions(self, item: NewItem) -> Steps:
        """Add an item, step by step: each step is done when its name is handed out.

        To close the generator early is to die: what was begun stays as it is.
        """
        with (self._cache / META).open("ab") as meta:
            meta.write(item.line())
        yield f"append {META}"
        for name, vector in zip(self._arrays, item.vectors(), strict=False):
            path = self._cache / name
            before = np.load(path) if path.exists() else np.empty((0, len(vector)), np.float32)
            yield f"load {name}"
            with path.open("wb") as file:
                yield f"truncate {name}"
                np.save(file, np.concatenate([before, vector[None]]))
            yield f"save {name}"
        self._load()
        yield "reload"

    def add(self, item: NewItem, pause: float = 0.0) -> None:
        """Add an item, with a pause after each step."""
        for _ in self.additions(item):
            if pause:
                time.sleep(pause)

    def find(self, prompt: str) -> str | None:
        """The sound that is served for a prompt: one of its own, else the nearest; None when there is none."""
        own = [number for number, row in enumerate(self.rows) if row["prompt_norm"] == normalise(prompt)]
        scores = self.scores(prompt)
        served = [number for number in own if number < len(scores) and scores[number] >= EXACT_QUALITY]
        return self._serve(scores, served) or self.find_near(prompt)

    def find_near(self, prompt: str) -> str | None:
        """The sound that is nearest to a prompt, whatever its own; None when none is near enough."""
        scores = self.scores(prompt)
        return self._serve(scores, np.flatnonzero(scores >= THRESHOLD).tolist())

    def scores(self, prompt: str) -> Vectors:
        """How near each row's sound is to a prompt."""
        audio = self.vectors.get(ARRAYS[1], np.empty((0, WIDTHS[1]), np.float32))
        return np.asarray(audio @ embed(prompt, audio.shape[1]))

    def _serve(self, scores: Vectors, numbers: list[int]) -> str | None:
        best = max(numbers, key=lambda number: float(scores[number]), default=None)
        return str(self.rows[best]["path"]) if best is not None else None


class Command(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a generator in a process of its own is to do.

    add: add `items`, with a `pause` in seconds after each step. step: begin the first of them, or go on with it, by
    one step; the answer is the step's name, None at the end. find, find_near: what is served for `prompt`. restart:
    forget everything and load the index again. An `acknowledge` is sent before it begins, beside the answer at the end.
    """

    do: Literal["add", "step", "find", "find_near", "restart"]
    items: tuple[NewItem, ...] = ()
    prompt: str = ""
    pause: float = 0.0
    acknowledge: bool = False


class GeneratorProcess:
    """A generator in a process of its own. A context manager: it is killed in the end, wherever it is."""

    def __init__(self, cache: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(cache)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.answer()

    def send(self, command: Command) -> None:
        """Let it begin a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(command) + b"\n")
        self._process.stdin.flush()

    def answer(self) -> str | None:
        """Wait for an answer."""
        assert self._process.stdout is not None
        return msgspec.json.decode(self._process.stdout.readline(), type=str | None)

    def ask(self, command: Command) -> str | None:
        """Let it carry out a command; its answer."""
        self.send(command)
        return self.answer()

    def kill(self) -> None:
        """Kill it, wherever it is."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()


def _answer(value: str | None) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


def _carry_out(generator: Generator, command: Command) -> str | None:
    if command.acknowledge:
        _answer("begins")
    if command.do == "add":
        for item in command.items:
            generator.add(item, command.pause)
        return "added"
    if command.do == "find":
        return generator.find(command.prompt)
    if command.do == "find_near":
        return generator.find_near(command.prompt)
    generator.start()
    return "started"


def _serve(cache: Path) -> None:
    generator = Generator(cache)
    steps: Iterator[str] = iter(())
    _answer("started")
    for line in sys.stdin.buffer:
        command = msgspec.json.decode(line, type=Command)
        if command.do == "step":
            steps = generator.additions(command.items[0]) if command.items else steps
            _answer(next(steps, None))
        else:
            _answer(_carry_out(generator, command))


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
