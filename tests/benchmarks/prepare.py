"""Makes what the benchmarks run on, in a process of its own: `run.py` must stay small (see there).

DIRECTORY/master is the cache, with rows that name files under DIRECTORY/work; DIRECTORY/kept holds an index of the
size that `clean --days 30` leaves. Prints nothing; does nothing when they are there and fresh.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path

import numpy as np

from audio_cache_daemon.demo.bulk import BulkOptions, make_cache
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME

MAX_AGE = 86400.0
"""Seconds for which a cache is used again; the shares older than 30 days move with time."""

KEEP_AGE = 30 * 86400.0

STANDARD_POLICY = r"""version: 1
caches:
  bench:
    path: {work}/audio/audio_cache
    audio_roots: ["{work}/audio"]
    policy: standard
    writer: {{mode: stopped}}
policies:
  standard:
    protect:
      - {{name: too-young, age: "< 1h"}}
      - {{name: brand, pattern: '^(brand|showreel):'}}
      - {{name: best-take, keep_best: 1}}
    rules:
      - {{name: stale, max_age: 30d}}
      - {{name: tests, pattern: '\b(test|debug|temp)\b'}}
      - {{name: takes, dedupe: {{by: prompt, keep: 5, prefer: [quality, newest]}}}}
      - {{name: gone, state: missing, min_age: 24h}}
      - {{name: orphans, state: orphan, min_age: 48h}}
      - {{name: leftovers, state: leftover, min_age: 6h}}
    budget:
      size: {{high: 20GiB, low: 16GiB}}
      items: {{high: 50000, low: 45000}}
      evict: oldest
    limits: {{max_items: 5000, max_percent: 50}}
    trash: {{keep: 7d, max_size: 2GiB}}
"""
"""The interface's `standard` policy without the rules that read audio, and without marks for the disk it runs on."""


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
    made = directory / "made.json"
    if not made.exists():
        return False
    stamp = json.loads(made.read_bytes())
    return bool(stamp["rows"] == rows and now - stamp["now"] < MAX_AGE)


def _prepare(directory: Path, rows: int, now: float) -> None:
    work, master, kept = (directory / name for name in ("work", "master", "kept"))
    for stale in (work, master, kept):
        shutil.rmtree(stale, ignore_errors=True)
    (directory / "made.json").unlink(missing_ok=True)
    cache = make_cache(work, rows, BulkOptions(now, audio_bytes=(100, 4000)))
    _write_kept_index(cache.path, kept, now)
    work.rename(master)
    (directory / "config.yaml").write_text(STANDARD_POLICY.format(work=work))
    (directory / "made.json").write_text(json.dumps({"rows": rows, "now": now}))


def _write_kept_index(cache: Path, kept: Path, now: float) -> None:
    """The rows that are at most 30 days old, or of unknown age, with their vectors."""
    kept.mkdir()
    with (cache / META_NAME).open("rb") as meta, (kept / META_NAME).open("wb") as new:
        rows = [index for index, line in enumerate(meta) if _stays(line, now) and new.write(line)]
    for name in ARRAY_NAMES:
        np.save(kept / name, np.load(cache / name)[rows])


def _stays(line: bytes, now: float) -> bool:
    created = json.loads(line)["timestamp"]
    return bool(created == 0 or now - created <= KEEP_AGE)


if __name__ == "__main__":
    main()
