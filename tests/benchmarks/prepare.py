"""Makes what the benchmarks run on, in a process of its own: `run.py` must stay small (see there).

DIRECTORY/work is the cache, DIRECTORY/copies one of which every twentieth file is a copy of another. DIRECTORY/kept
holds an index of the size that `clean --days 30` leaves, DIRECTORY/most one without every tenth row. Prints nothing;
does nothing when they are there and fresh.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from table import MADE

from audio_cache_daemon.demo.bulk import BulkOptions, make_cache
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME

MAX_AGE = 86400.0
"""Seconds for which a cache is used again; the shares older than 30 days move with time."""

KEEP_AGE = 30 * 86400.0

_BYTES = (100, 4000)

CACHE = """version: 1
caches:
  bench:
    path: {work}/audio/audio_cache
    audio_roots: ["{work}/audio"]
    policy: standard
    writer: {{mode: stopped}}
policies:
  standard:
"""

STANDARD_POLICY = r"""    protect:
      - {name: too-young, age: "< 1h"}
      - {name: brand, pattern: '^(brand|showreel):'}
      - {name: best-take, keep_best: 1}
    rules:
      - {name: stale, max_age: 30d}
      - {name: tests, pattern: '\b(test|debug|temp)\b'}
      - {name: takes, dedupe: {by: prompt, keep: 5, prefer: [quality, newest]}}
      - {name: gone, state: missing, min_age: 24h}
      - {name: orphans, state: orphan, min_age: 48h}
      - {name: leftovers, state: leftover, min_age: 6h}
    budget:
      size: {high: 20GiB, low: 16GiB}
      items: {high: 50000, low: 45000}
      evict: oldest
    limits: {max_items: 5000, max_percent: 50}
    trash: {keep: 7d, max_size: 2GiB}
"""
"""The interface's `standard` policy without the rules that read audio, and without marks for the disk it runs on."""

FOR_GOOD = """    rules:
      - {name: stale, max_age: 30d}
    trash: {keep: 0}
"""

COPIES = """    rules:
      - {name: same, dedupe: {by: content, keep: 1}}
"""

SHARE_OF_COPIES = 0.05


def main() -> None:
    """Prepare a directory for a number of rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("rows", type=int)
    arguments = parser.parse_args()
    now = time.time()
    if not _is_fresh(arguments.directory, arguments.rows, now):
        _prepare(arguments.directory, arguments.rows, now)


def _is_fresh(directory: Path, rows: int, now: float) -> bool:
    made = directory / MADE
    if not made.exists():
        return False
    stamp = json.loads(made.read_bytes())
    return bool(stamp["rows"] == rows and now - stamp["now"] < MAX_AGE)


def _prepare(directory: Path, rows: int, now: float) -> None:
    shutil.rmtree(directory)
    work, copies = directory / "work", directory / "copies"
    cache = make_cache(work, rows, BulkOptions(now, audio_bytes=_BYTES))
    make_cache(copies, rows, BulkOptions(now, audio_bytes=_BYTES, copies=SHARE_OF_COPIES, vectors=False))
    write_part(cache.path, directory / "kept", lambda _, line: _stays(line, now))
    write_part(cache.path, directory / "most", lambda number, _: number % 10 != 0)
    for name, of, policy in (
        ("config", work, STANDARD_POLICY),
        ("for-good", work, FOR_GOOD),
        ("copies", copies, COPIES),
    ):
        (directory / f"{name}.yaml").write_text(CACHE.format(work=of) + policy)
    (directory / MADE).write_text(json.dumps({"rows": rows, "now": now}))


def write_part(cache: Path, part: Path, stays: Callable[[int, bytes], bool]) -> None:
    """An index of the rows that stay, told of their numbers and lines, with their vectors."""
    part.mkdir()
    with (cache / META_NAME).open("rb") as meta, (part / META_NAME).open("wb") as new:
        rows = [number for number, line in enumerate(meta) if stays(number, line) and new.write(line)]
    for name in ARRAY_NAMES:
        np.save(part / name, np.load(cache / name, mmap_mode="r")[rows])


def _stays(line: bytes, now: float) -> bool:
    created = json.loads(line)["timestamp"]
    return bool(created == 0 or now - created <= KEEP_AGE)


if __name__ == "__main__":
    main()
