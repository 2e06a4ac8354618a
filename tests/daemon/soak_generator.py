"""The generator of a soak: it adds items at a pace, notes each one that is there, and is commanded as a service is.

`soak_generator.py COMMAND DIRECTORY`: start and stop, and for whoever looks after it: restart, and revive (start it if
it should run and doesn't). `serve` is the generator itself. Whoever commands holds a lock, as a service manager does;
the generator itself knows of none.
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio_cache_daemon.demo.index import encode_row
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, CacheLocation
from live_generator import KINDS, Generator, StartError, sound

RATE = 20.0
"""Items a second."""

DROPPED = 0.3
"""The share of them that a policy may name."""

ASKED = 2
"""So many prompts are looked up after each addition."""


@dataclass(frozen=True)
class Place:
    """A directory for a cache, its generator, and what both leave."""

    directory: Path

    @property
    def location(self) -> CacheLocation:
        output = self.directory / "audio"
        return CacheLocation("test", output / "audio_cache", (output,))

    @property
    def started_file(self) -> Path:
        return self.directory / "started"

    @property
    def added(self) -> Path:
        """A line for each item that was wholly added: its row."""
        return self.directory / "added.jsonl"

    @property
    def faults(self) -> Path:
        """What the generator found wrong with what it serves."""
        return self.directory / "faults.txt"

    @property
    def wanted(self) -> Path:
        """There while the generator is to run."""
        return self.directory / "wanted"

    @property
    def running(self) -> Path:
        """Locked by the generator while it runs; holds its process's number once it has started."""
        return self.directory / "running"

    def process(self) -> int | None:
        """The number of the generator's process, if it runs."""
        with self.running.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                return int(file.read() or 0) or None
        return None

    def wait_for_end(self) -> None:
        with self.running.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)


def check_index(location: CacheLocation) -> None:
    """What a careful unit does before the start; StartError when rows and vectors aren't equally many."""
    lines = (location.path / META_NAME).read_bytes().count(b"\n")
    try:
        rows = {len(np.load(location.path / name)) for name in ARRAY_NAMES}
    except (ValueError, EOFError, OSError) as error:
        raise StartError(str(error)) from None
    if rows != {lines}:
        raise StartError(f"{lines} lines, and arrays of {rows} rows")


def serve(place: Place) -> int:
    """Add items until told to end."""
    ends: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ends.append(number))
    with place.running.open("a+") as running, place.added.open("ab", buffering=0) as added:
        try:
            fcntl.flock(running, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        running.truncate(0)
        location = place.location
        generator = Generator(location.path, location.audio_roots[0], grows=False, started_file=place.started_file)
        try:
            check_index(location)
            generator.start()
        except StartError as error:
            print(error, file=sys.stderr)  # noqa: T201 -- what a service leaves in its journal
            return 1
        running.write(str(os.getpid()))
        running.flush()
        due = time.monotonic()
        for number in range(10**9):
            if ends:
                return 0
            kind = "drop" if random.random() < DROPPED else "keep"
            generator.add(f"{kind} {os.getpid()} {time.time_ns()} {number}", take=0)
            added.write(encode_row(generator.rows[-1]))
            for fault in check_lookups(generator):
                with place.faults.open("a") as faults:
                    faults.write(fault + "\n")
            due = max(due + 1 / RATE, time.monotonic() - 1.0)
            time.sleep(max(0.0, due - time.monotonic()))
    return 0


def check_lookups(generator: Generator) -> Iterator[str]:
    """Ask for some sounds: no file may be gone, and one that was asked for exactly sounds as it should."""
    for row in random.choices(generator.rows, k=ASKED):
        for kind in KINDS:
            found = generator.lookup(row["prompt"], kind)
            if found is not None:
                try:
                    content = Path(found).read_bytes()
                except FileNotFoundError:
                    yield f"{kind} lookup of {row['prompt']}: {found} is gone"
                else:
                    if kind == "exact" and content != sound(row["prompt"], 0):
                        yield f"{kind} lookup of {row['prompt']}: {found} sounds otherwise"


@contextmanager
def _commanding(place: Place) -> Iterator[None]:
    with (place.directory / "command.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _stop(place: Place) -> None:
    process = place.process()
    if process is not None:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
    place.wait_for_end()


def _start(place: Place) -> int:
    if place.process() is not None:
        return 0
    with (place.directory / "generator.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, __file__, "serve", str(place.directory)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    while place.process() != child.pid:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(0.02)
    return 0


def main(command: str, place: Place) -> int:
    """Carry out a command; its exit status."""
    if command == "serve":
        return serve(place)
    with _commanding(place):
        if command == "stop":
            place.wanted.unlink(missing_ok=True)
            _stop(place)
            return 0
        if command == "start":
            place.wanted.touch()
        if not place.wanted.exists():
            return 0
        if command == "restart":
            _stop(place)
        return _start(place)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Place(Path(sys.argv[2]))))
