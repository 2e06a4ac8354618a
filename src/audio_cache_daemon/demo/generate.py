"""The demo: two small caches with playable audio, and a configuration that has something to do with them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from audio_cache_daemon.demo.faults import DAY, add_strays, damage_index, spoil_items
from audio_cache_daemon.demo.index import Item, encode_row, file_name, make_row, make_vectors, score_items, write_index
from audio_cache_daemon.demo.prompts import PROMPTS, Prompt
from audio_cache_daemon.demo.sounds import SAMPLE_RATE, make_sound, write_wav
from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.location import CacheLocation

_OLDEST = 60 * DAY
_TAKES = (1, 2, 2, 3, 3, 4, 5, 8)
"""How many takes a prompt has, drawn from these."""

_DAMAGED_ITEMS = 13

_CONFIG = """\
# Made by `audio-cache-daemon demo`. Try, in this order:
#   audio-cache-daemon --config FILE run-once --cache exhibit --dry-run
#   audio-cache-daemon --config FILE run-once --cache exhibit
#   audio-cache-daemon --config FILE trash list --cache exhibit
#   audio-cache-daemon --config FILE verify --cache damaged
version: 1

caches:
  exhibit:
    path: {exhibit}
    audio_roots: [{exhibit_output}]
    # Two rows have relative paths. Without this line they are undecidable and stay whatever happens:
    # path_base: {directory}
    policy: demo
    writer: {{mode: stopped}}
  damaged:                       # an index after two crashes and a careless editor: for `verify` and `repair`
    path: {damaged}
    audio_roots: [{damaged_output}]
    policy: demo
    writer: {{mode: stopped}}

policies:
  demo:
    schedule: {{every: 5m}}
    protect:
      # Nobody can make a file without a row look old, because its ctime counts. So that there is something to see,
      # "young" ends after a minute here: run it again then. In earnest: 1h, and 24h, 48h and 6h below.
      - {{name: too-young, age: "< 1m"}}
      - {{name: brand, pattern: '^(brand|showreel):'}}
      - {{name: best-take, keep_best: 1}}
    rules:
      - {{name: stale, max_age: 30d}}
      - {{name: tests, pattern: '\\b(test|debug|temp)\\b'}}
      - {{name: takes, dedupe: {{by: prompt, keep: 5, prefer: [quality, newest]}}}}
      - {{name: same-bytes, dedupe: {{by: content}}}}
      - {{name: gone, state: missing, min_age: 1m}}
      - {{name: orphans, state: orphan, min_age: 1m}}
      - {{name: leftovers, state: leftover, min_age: 1m}}
    budget:                      # no `disk` marks: what they would do depends on the disk that the demo lies on
      size: {{high: 10MiB, low: 9MiB}}
      evict: oldest
    limits: {{max_items: 5000, max_percent: 50}}
    trash: {{keep: 7d}}
"""


@dataclass(frozen=True, slots=True)
class Demo:
    """What was made: the configuration file, a cache with faulty items, and one with a faulty index."""

    config: Path
    exhibit: CacheLocation
    damaged: CacheLocation


def make_demo_cache(directory: Path, now: float, seed: int = 1) -> Demo:
    """Make the demo in a directory that doesn't exist yet, or is empty; ConfigError if it is neither.

    Times count back from `now` (seconds since the epoch); the same arguments make the same bytes.
    """
    directory = directory.absolute()
    _claim(directory)
    rng = np.random.default_rng(seed)
    exhibit = _make_exhibit(directory / "audio", now, rng)
    damaged = _make_damaged(directory / "damaged", now, rng)
    config = directory / "config.yaml"
    config.write_text(_configuration(directory, exhibit, damaged), encoding="utf-8")
    return Demo(config, exhibit, damaged)


def _claim(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        empty = not any(directory.iterdir())
    except OSError as error:
        raise ConfigError(f"can't make {directory}: {error.strerror}; name another directory") from None
    if not empty:
        raise ConfigError(f"{directory} isn't empty, and a demo overwrites nothing; name a new or an empty directory")


def _configuration(directory: Path, exhibit: CacheLocation, damaged: CacheLocation) -> str:
    """The text of the file; a double-quoted string means the same in YAML as in JSON."""
    paths = {
        "directory": directory,
        "exhibit": exhibit.path,
        "exhibit_output": exhibit.audio_roots[0],
        "damaged": damaged.path,
        "damaged_output": damaged.audio_roots[0],
    }
    return _CONFIG.format(**{name: json.dumps(str(path), ensure_ascii=False) for name, path in paths.items()})


def _locate(name: str, output: Path) -> CacheLocation:
    return CacheLocation(name, output / "audio_cache", (output,))


def _make_exhibit(output: Path, now: float, rng: Generator) -> CacheLocation:
    """A few takes of each prompt, most of them of the last weeks, with every fault that an item can have."""
    output.mkdir()
    prompts = [prompt for prompt in PROMPTS for _ in range(rng.choice(_TAKES))]
    rng.shuffle(prompts)
    created = now - np.sort(_OLDEST * rng.random(len(prompts)) ** 2)[::-1]
    items = [_record(output, prompt, made, rng) for prompt, made in zip(prompts, created.tolist(), strict=True)]
    items = spoil_items(items, rng)
    add_strays(output, now)
    vectors = make_vectors(items)
    score_items(items, vectors)
    location = _locate("exhibit", output)
    write_index(location.path, (encode_row(item.row) for item in items), vectors)
    return location


def _make_damaged(output: Path, now: float, rng: Generator) -> CacheLocation:
    output.mkdir()
    prompts = PROMPTS[:: len(PROMPTS) // _DAMAGED_ITEMS][:_DAMAGED_ITEMS]
    items = [_record(output, prompt, now - (40 - 3 * number) * DAY, rng) for number, prompt in enumerate(prompts)]
    location = _locate("damaged", output)
    write_index(location.path, *damage_index(items))
    return location


def _record(output: Path, prompt: Prompt, created: float, rng: Generator) -> Item:
    """A new take of a prompt: its audio file, modified when it was created, and its row."""
    created = round(created, 3)
    samples = make_sound(prompt.kind, float(rng.uniform(0.5, 2)), int(rng.integers(2**31)))
    path = output / file_name(prompt.text, created)
    write_wav(path, samples)
    os.utime(path, (created, created))
    row = make_row(str(path), prompt.text, created, round(len(samples) / SAMPLE_RATE, 3))
    return Item(row, prompt.number, float(rng.uniform(0.1, 0.7)))
