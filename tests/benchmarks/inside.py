"""Measures a part of what our program does, and prints its seconds and the most megabytes held in them.

`inside.py PART CONFIG`, of the first cache in the configuration. The rest of a process, such as the first look at
everything, isn't counted. `retire` and `look` change the cache. `likeness`, `likeness_again` and `faiss_range` compare
sounds of their own; the first two find copies, the last one all pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.cache.tail import Tail
from audio_cache_daemon.compaction import for_rewrite
from audio_cache_daemon.config.load import load_settings
from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.daemon.look import look_at
from audio_cache_daemon.eviction.compact import compact_retired
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.heap import give_back_large_memory_at_once
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, CacheLocation
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.model import ItemState, KnownSounds, Plan, RunResult, ScanNeeds, Sounds
from audio_cache_daemon.request import Listener, RunRequest, Target, new_run_id
from audio_cache_daemon.retention.likeness import find_copies
from audio_cache_daemon.retention.policy import Budget, Limits, Marks, Policy

ITEMS = 100
"""So many are retired, or added."""

SOUNDS, SIMILARITY = 100_000, 0.985
"""So many are compared, and how alike those are that count as the same."""

SCRAPES = 20
PORT = 19_417


class Stretch:
    """What is measured: its seconds, and the most memory that a process held in it."""

    seconds = 0.0
    megabytes = 0.0


@contextmanager
def stretch() -> Iterator[Stretch]:
    """Measure what is done in the context."""
    measured = Stretch()
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    begin = time.perf_counter()
    yield measured
    measured.seconds = time.perf_counter() - begin
    measured.megabytes = high_water("self")


def high_water(process: int | str) -> float:
    """The most memory that a process held, in megabytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def retire(settings: CacheSettings) -> Stretch:
    """A hundred items retired beside a generator that may run, from the plan on."""
    location = settings.location
    items = int(scan_cache(location, ScanNeeds()).rows.items().sum()) - ITEMS
    policy = Policy("bench", budget=Budget(items=Marks(items, items)), limits=Limits(None, None))
    writer = WriterSettings("live", started_file=location.path / "started")
    target = Target(CacheSettings(location, policy, writer), location.state_directory / "audit.jsonl")
    begun: list[float] = []

    def planned(plan: Plan) -> None:
        assert len(plan.rows) == ITEMS
        begun.append(time.perf_counter())

    report = run_maintenance(
        target, RunRequest(time.time(), new_run_id(time.time())), time.time, Listener(planned=planned)
    )
    measured = Stretch()
    measured.seconds = time.perf_counter() - begun[0]
    assert report.result == RunResult.SUCCESS, report
    return measured


def compact(settings: CacheSettings) -> Stretch:
    """Every tenth row dropped from an index; then the new one is removed, as what is measured against removes its own.

    Its old files are links, which stay: a copy before each run would take the memory that the other side has.
    """
    links = settings.location.path.with_name("compacted")
    links.mkdir()
    try:
        for name in (META_NAME, *ARRAY_NAMES):
            os.link(settings.location.path / name, links / name)
        inventory = for_rewrite(scan_cache(replace(settings.location, path=links), ScanNeeds()))
        state = inventory.rows.state.copy()
        state[::10] = ItemState.RETIRED
        inventory = replace(inventory, rows=replace(inventory.rows, state=state))
        with stretch() as measured:
            compact_retired(inventory, Execution("bench", to_trash=False))
            shutil.rmtree(links)
    finally:
        shutil.rmtree(links, ignore_errors=True)
    return measured


def look(settings: CacheSettings) -> Stretch:
    """The look after one at everything, a hundred items having been added meanwhile."""
    target, tail = Target(settings, settings.location.state_directory / "audit.jsonl"), Tail(settings.location)
    outlook = look_at(target, time.time(), tail, None).outlook
    tail.touch(add_items(settings.location), ())
    with stretch() as measured:
        found = look_at(target, time.time(), tail, outlook)
    assert found.is_whole
    return measured


def add_items(location: CacheLocation) -> list[str]:
    """Add items like the last one; the paths of their files."""
    root = Path(os.path.realpath(location.audio_roots[0]))
    meta = location.path / META_NAME
    with meta.open("rb") as lines:
        lines.seek(-4096, os.SEEK_END)
        row = json.loads(lines.read().splitlines()[-1])
    now = time.time()
    paths = [str(root / f"added_{int(now * 1000) + number}.wav") for number in range(ITEMS)]
    with meta.open("a") as lines:
        for path in paths:
            Path(path).write_bytes(b"sound")
            lines.write(json.dumps({**row, "path": path, "timestamp": now}) + "\n")
    for name in ARRAY_NAMES:
        extend(location.path / name)
    return paths


def extend(array: Path) -> None:
    """Repeat the last row of an array."""
    rows, width = np.load(array, mmap_mode="r").shape
    with array.open("r+b") as file:
        file.seek(-4 * width, os.SEEK_END)
        last = file.read()
        file.write(last * ITEMS)
        file.seek(0)
        header = {"descr": "<f4", "fortran_order": False, "shape": (rows + ITEMS, width)}
        np.lib.format.write_array_header_1_0(file, header)


def scrape(settings: CacheSettings) -> Stretch:
    """A scrape of the running service's metrics, the median of some; its memory."""
    config = settings.location.path.parent.parent / "service.json"
    cache = {"path": str(settings.location.path), "audio_roots": [str(settings.location.audio_roots[0])]}
    document = {
        "version": 1,
        "caches": {"bench": {**cache, "policy": "none", "writer": {"mode": "stopped"}}},
        "policies": {"none": {"rules": [{"name": "never", "max_age": "4000d"}]}},
        "http": {"listen": f"127.0.0.1:{PORT}"},
        "log": {"level": "debug", "format": "json"},
    }
    config.write_text(json.dumps(document))
    command = [sys.executable, "-m", "audio_cache_daemon", "--config", str(config), "run"]
    service = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert service.stderr is not None
    try:
        any("looked: " in line for line in service.stderr)
        measured = Stretch()
        measured.seconds = statistics.median(time_scrape() for _ in range(SCRAPES))
        measured.megabytes = high_water(service.pid)
    finally:
        service.kill()
        service.wait()
    return measured


def time_scrape() -> float:
    """Seconds from the request to the last byte."""
    begin = time.perf_counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics") as answer:
        answer.read()
    return time.perf_counter() - begin


def make_sounds() -> NDArray[np.float32]:
    """Random sounds, each twentieth nearly a copy of the one before, on either side of the limit."""
    random = np.random.default_rng(1)
    vectors = random.standard_normal((SOUNDS, 512), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    across = random.standard_normal((len(vectors[1::20]), 512), dtype=np.float32)
    across /= np.linalg.norm(across, axis=1)[:, None]
    vectors[1::20] = vectors[::20] + np.float32(np.tan(np.arccos(SIMILARITY))) * across
    vectors[1::20] /= np.linalg.norm(vectors[1::20], axis=1)[:, None]
    return vectors


def likeness(_: CacheSettings) -> Stretch:
    """All sounds compared, and the copies found."""
    return compare_sounds(Sounds(np.arange(SOUNDS, dtype=np.int32), make_sounds()))


def likeness_again(_: CacheSettings) -> Stretch:
    """The same when all but the last hundred are known to be unlike, as a later run has it."""
    unlike, nobody = np.arange(SOUNDS) < SOUNDS - ITEMS, np.zeros(SOUNDS, np.bool_)
    known = KnownSounds(SIMILARITY, unlike, nobody)
    return compare_sounds(Sounds(np.arange(SOUNDS, dtype=np.int32), make_sounds(), known=known))


def compare_sounds(sounds: Sounds) -> Stretch:
    """Find the copies among these sounds."""
    with stretch() as measured:
        find_copies(sounds, np.arange(SOUNDS), np.zeros(SOUNDS, np.int32), np.zeros(SOUNDS, np.bool_), SIMILARITY)
    return measured


def faiss_range(_: CacheSettings) -> Stretch:
    """The exact range search of faiss over the same sounds, by all processors."""
    import faiss  # noqa: PLC0415 -- half of the memory of what else is measured here

    vectors = make_sounds()
    with stretch() as measured:
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        index.range_search(vectors, SIMILARITY)
    return measured


def main() -> None:
    """Measure one thing."""
    give_back_large_memory_at_once()  # as every command does
    measures = (retire, compact, look, scrape, likeness, likeness_again, faiss_range)
    parts = {each.__name__: each for each in measures}
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", choices=parts)
    parser.add_argument("config", type=Path)
    arguments = parser.parse_args()
    settings = next(iter(load_settings(arguments.config, os.environ).caches.values()))
    measured = parts[arguments.part](settings)
    sys.stdout.write(f"{measured.seconds:.6f} {measured.megabytes or high_water('self'):.1f}\n")


if __name__ == "__main__":
    main()
