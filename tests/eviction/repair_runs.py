"""Repairs of small caches; and, run as a program with a directory, repairs that are killed, each at another step.

A process dies right before it opens, makes, renames or removes a file, or before the system exchanges two. For each
of these deaths there is a cache below the directory, by its number; in the last one the repair came to its end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.cache.verify import examine_index
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.lock import cache_lock
from audio_cache_daemon.eviction.repair import repair_index
from audio_cache_daemon.findings import Examination, RepairChoice
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import ScanNeeds
from builders import NOW, CacheBuilder
from slots import Slot, read_slots, write_slots

ROWS = 8
TORN = b'{"path": "/srv/audio/x.wav", "pro'

_STEPS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "ctypes.dlopen")
_STRIDE = 3
"""Of so many steps one is taken: each costs a process, and many are alike."""


def make_slots(directory: Path) -> list[Slot]:
    """The slots of a sound cache of items with files."""
    cache = CacheBuilder(directory)
    for row in range(ROWS):
        cache.add(f"prompt {row}", quality=0.2 + row / 50)
    return read_slots(cache.write())


def locate(directory: Path) -> CacheLocation:
    return CacheLocation("test", directory / "audio" / "audio_cache", (directory / "audio",))


def examine(location: CacheLocation, choice: RepairChoice | None = None) -> Examination:
    return examine_index(scan_cache(location, ScanNeeds()), choice or RepairChoice())


def repair(location: CacheLocation, choice: RepairChoice | None = None, run: str = "run-1") -> Path:
    """Repair a cache that has something to repair; where what was taken out is."""
    examination = examine(location, choice)
    assert examination.plan.repairs
    with cache_lock(location):
        return repair_index(examination.plan, Execution(run, to_trash=False), NOW)


def damage(slots: list[Slot]) -> list[Slot]:
    """The slots with a line without vectors, a shorter BGE array, and a torn last line."""
    damaged = [Slot(slot.line, [*slot.vectors[:2], None]) for slot in slots]
    damaged[3].vectors = [None] * 3
    return [*damaged, Slot(TORN, [None] * 3)]


def kill_repairs(directory: Path) -> list[CacheLocation]:
    """Kill a repair at each of its steps, or nearly, in a process of its own; the caches that are left."""
    # More threads than one would make each fork a risk.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, __file__, str(directory)]
    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return [locate(path) for path in sorted(directory.iterdir(), key=lambda path: int(path.name))]


def _kill_at_each_step(directory: Path) -> None:
    for number in count(1, _STRIDE):
        location = locate(directory / str(number))
        write_slots(location, damage(make_slots(directory / str(number))))
        process = os.fork()
        if process == 0:
            _die_at(number, location)
        status = os.waitpid(process, 0)[1]
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return


def _die_at(number: int, location: CacheLocation) -> None:
    plan = examine(location).plan
    steps = 0

    def note(event: str, _arguments: object) -> None:
        nonlocal steps
        if event not in _STEPS:
            return
        steps += 1
        if steps == number:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        with cache_lock(location):
            sys.addaudithook(note)
            repair_index(plan, Execution("run-1", to_trash=False), NOW)
    finally:
        os._exit(sys.exc_info()[0] is not None)


if __name__ == "__main__":
    _kill_at_each_step(Path(sys.argv[1]))
