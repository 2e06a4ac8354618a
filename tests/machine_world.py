"""A cache with its generator, and what must hold of it: each item is whole, or evicted and to be had again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from random import Random
from typing import Literal

import numpy as np

from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.compaction import compact_cache
from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.eviction.saved import read_run
from audio_cache_daemon.eviction.trash import list_pending, list_trash
from audio_cache_daemon.location import ARRAY_NAMES, CLAP_AUDIO_NAME, META_NAME, STATE_DIRECTORY, CacheLocation
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.manifest import MANIFEST_NAME, RETIRED, ROWS_NAME, TRASH, read_manifest
from audio_cache_daemon.model import ItemState, RunReport, ScanNeeds
from audio_cache_daemon.request import SILENT, Listener, RunRequest, Target
from audio_cache_daemon.retention.policy import Limits, Pattern, Policy, Rule, TrashLimits
from audio_cache_daemon.retired import load_retired, read_restored
from audio_cache_daemon.undo import empty_trash, locked_log, restore_from_trash
from live_generator import KINDS, Generator, embed, fill_cache, sound

Mode = Literal["live", "stopped"]
Vectors = tuple[bytes, ...]
_AUDIO = ARRAY_NAMES.index(CLAP_AUDIO_NAME)
KEEP = 1000.0
"""How long the trash keeps what it has, in seconds."""


@dataclass(frozen=True)
class Known:
    """An item as the generator made it."""

    prompt: str
    path: Path
    content: bytes
    vectors: Vectors


class World:
    """A cache, what is known of its items by their lines, and what was let go of for good."""

    def __init__(self, directory: Path, prompts: Sequence[str]) -> None:
        output = directory / "audio"
        self.location = CacheLocation("test", output / "audio_cache", (output,))
        self.location.path.mkdir(parents=True)
        self.started_file = directory / "started"
        self.items: dict[bytes, Known] = {}
        self._takes: dict[str, int] = {}
        self.gone: set[bytes] = set()
        self.release_on: Literal["restart", "addition"] = "restart"
        self.runs = 0
        self.now = 2_000_000_000.0
        fill_cache(self.location.path, output, prompts)
        for prompt, line in zip(prompts, self.lines(), strict=True):
            self.learn(prompt, self.next_take(prompt), line)

    def lines(self) -> list[bytes]:
        return (self.location.path / META_NAME).read_bytes().splitlines(keepends=True)

    def vectors(self) -> list[Vectors]:
        arrays = [np.load(self.location.path / name) for name in ARRAY_NAMES]
        return [tuple(vector.tobytes() for vector in row) for row in zip(*arrays, strict=True)]

    def next_take(self, prompt: str) -> int:
        """The number of the next sound for a prompt; none is used again."""
        self._takes[prompt] = self._takes.get(prompt, -1) + 1
        return self._takes[prompt]

    def learn(self, prompt: str, take: int, line: bytes) -> None:
        """Take note of an item that the generator has added."""
        vectors = embed(prompt, take)
        own = tuple(vectors[name].tobytes() for name in ARRAY_NAMES)
        self.items[line] = Known(prompt, Path(json.loads(line)["path"]), sound(prompt, take), own)

    def target(self, mode: Mode, pattern: str = "") -> Target:
        # Longer than any quiet: so that nothing is taken as proven because it was quiet.
        writer = WriterSettings(mode, self.release_on, started_file=self.started_file, quiesce=1e12)
        rules = (Rule("drop", Pattern(pattern)),) if pattern else ()
        policy = Policy("drop", rules=rules, limits=Limits(None, None), trash=TrashLimits(KEEP))
        return Target(CacheSettings(self.location, policy, writer), self.location.state_directory / "audit.jsonl")

    def request(self) -> RunRequest:
        """The next run, a second later."""
        self.runs += 1
        self.now += 1.0
        return RunRequest(self.now, f"run-{self.runs:03}", accepted=frozenset({"index", "root", "clock"}))

    def run(self, mode: Mode, pattern: str, request: RunRequest, listener: Listener = SILENT) -> RunReport:
        """A run that evicts the items whose prompts match."""
        return run_maintenance(self.target(mode, pattern), request, lambda: self.now, listener)

    def compact(self, request: RunRequest) -> None:
        target = self.target("stopped")
        with locked_log(target, request, lambda: self.now) as log:
            compact_cache(target, request, log)

    def restorable(self) -> list[str]:
        """The runs that can be brought back."""
        return sorted({run.run for run in (*list_trash(self.location), *list_pending(self.location)) if run.items})

    def restore(self, mode: Mode, run: str, request: RunRequest) -> list[bytes]:
        """Bring a run back; the lines of what is said to be there again."""
        saved = read_run(self.location, run)
        lines = [item.line for item in saved.items(np.ones_like(saved.left))]
        restored = restore_from_trash(self.target(mode), request, run, (), lambda: self.now)
        for item, problem in restored.problems:
            assert mode == "live", (item, problem)
            assert "left the index" in problem, (item, problem)
        return list(compress(lines, restored.back))

    def give_up_trash(self) -> None:
        """What is in the trash may be lost from now on."""
        for run in list_trash(self.location):
            self.gone |= self._saved(self.location.state_directory / TRASH / run.run).keys()

    def empty_trash(self, request: RunRequest) -> None:
        """Let go of all that is in the trash for good."""
        self.give_up_trash()
        empty_trash(self.target("live"), request, list_trash(self.location), lambda: self.now)

    def zeroed(self, name: str) -> set[bytes]:
        """The lines of retired items whose vectors of an array are saved, so that they are zero."""
        return {
            line + b"\n"
            for run in load_retired(self.location)
            if (run.directory / name).exists()
            for _, line in run.items()
        }

    def retired_in_index(self) -> set[bytes]:
        """The lines of retired items."""
        states = scan_cache(self.location, ScanNeeds()).rows.state.tolist()
        return {line for line, state in zip(self.lines(), states, strict=True) if state == ItemState.RETIRED}

    def shuffle(self, order: Random, *, anew: bool) -> None:
        """Somebody writes the rows in another order."""
        rows, lines = list(range(len(self.lines()))), self.lines()
        order.shuffle(rows)
        if anew:
            (self.location.path / META_NAME).rename(self.location.path / "old")
        (self.location.path / META_NAME).write_bytes(b"".join(lines[row] for row in rows))
        (self.location.path / "old").unlink(missing_ok=True)
        for name in ARRAY_NAMES:
            np.save(self.location.path / name, np.load(self.location.path / name)[rows])

    def write_index(self, lines: Sequence[bytes]) -> None:
        """What somebody makes of the index: these lines, each with its vectors, zeros where those of a retired one."""
        (self.location.path / META_NAME).write_bytes(b"".join(lines))
        for place, name in enumerate(ARRAY_NAMES):
            zeroed, width = self.zeroed(name), len(next(iter(self.items.values())).vectors[place]) // 4
            rows = [bytes(4 * width) if line in zeroed else self.items[line].vectors[place] for line in lines]
            np.save(self.location.path / name, np.frombuffer(b"".join(rows), np.float32).reshape(-1, width))

    def _saved(self, directory: Path) -> dict[bytes, tuple[Vectors, Path]]:
        """What a run wrote down, but for what was brought back: its lines with vectors and where the files are then."""
        entries = list(read_manifest(directory / MANIFEST_NAME))
        lines = (directory / ROWS_NAME).read_bytes().splitlines(keepends=True)
        # An array that was short then isn't there: its vectors stay where they are until they can be told.
        arrays = [np.load(directory / name) if (directory / name).exists() else None for name in ARRAY_NAMES]
        back = read_restored(directory)
        trash = self.location.audio_roots[0] / STATE_DIRECTORY / TRASH / directory.name
        return {
            line: (
                tuple(array[place].tobytes() if array is not None else b"" for array in arrays),
                trash / entry.name,
            )
            for place, (entry, line) in enumerate(zip(entries, lines, strict=True))
            if entry.id not in back
        }

    def _all_saved(self) -> dict[bytes, list[tuple[Vectors, Path]]]:
        found: dict[bytes, list[tuple[Vectors, Path]]] = {}
        for parent in (RETIRED, TRASH):
            directory = self.location.state_directory / parent
            names = sorted(directory.glob("run-*")) if directory.is_dir() else []
            for run in names:
                if run.is_dir() and run.suffix != ".new":
                    for line, saved in self._saved(run).items():
                        found.setdefault(line, []).append(saved)
        return found

    def check_files(self) -> None:
        """No file is lost, whatever is going on."""
        trash = self.location.audio_roots[0] / STATE_DIRECTORY / TRASH
        trashed = {path.read_bytes() for path in trash.glob("*/*.wav")}
        for line, item in self.items.items():
            if line not in self.gone:
                assert item.content in trashed or item.path.read_bytes() == item.content, line

    def check_items(self) -> None:
        """Each item is whole, or retired, or in the trash, from where it comes back as it was."""
        lines, vectors, saved = self.lines(), self.vectors(), self._all_saved()
        retired = (scan_cache(self.location, ScanNeeds()).rows.state == ItemState.RETIRED).tolist()
        assert len(set(lines)) == len(lines) == len(vectors)
        whole = set()
        for line, found, is_retired in zip(lines, vectors, retired, strict=True):
            item = self.items[line]
            for vector, own in zip(found, item.vectors, strict=True):
                assert vector == own or (is_retired and not any(vector)), line
            if not is_retired:
                whole.add(line)
            if any(found[_AUDIO]):
                assert item.path.read_bytes() == item.content, line
        there = dict(zip(lines, vectors, strict=True))
        for line in self.items.keys() - whole - self.gone:
            item = self.items[line]
            held = [*(kept for kept, _ in saved[line]), *([there[line]] if line in there else [])]
            for own, found_somewhere in zip(item.vectors, zip(*held, strict=True), strict=True):
                assert own in found_somewhere, line
            places = [item.path, *(path for _, path in saved[line])]
            assert item.content in [path.read_bytes() for path in places if path.exists()], line

    def check_lookups(self, generator: Generator, *, right: bool) -> None:
        """No lookup leads to a file that is gone; if `right`, what the generator has of a prompt is what it plays."""
        audio = generator.arrays.get(CLAP_AUDIO_NAME, np.empty((0, 0)))
        held = {row["prompt"] for row, vector in zip(generator.rows, audio, strict=False) if vector.any()}
        for prompt in {item.prompt for item in self.items.values()}:
            own = {str(item.path) for item in self.items.values() if item.prompt == prompt}
            for kind in KINDS:
                found = generator.lookup(prompt, kind)
                assert found is None or Path(found).exists(), (prompt, kind)
                if right and prompt in held:
                    assert found in own, (prompt, kind)

    def check_start(self) -> None:
        """A generator that starts now plays the right sounds."""
        generator = Generator(self.location.path, self.location.audio_roots[0])
        generator.start()
        self.check_lookups(generator, right=True)
