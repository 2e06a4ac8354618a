"""A generated cache has the shares, ages and vectors that it promises, and comes out the same each time."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from audio_cache_daemon.demo.bulk import BulkOptions, make_cache
from audio_cache_daemon.location import ARRAY_NAMES, CLAP_AUDIO_NAME, CLAP_TEXT_NAME, META_NAME, CacheLocation

NOW = 1_750_000_000.0
DAY = 86400.0
ROWS = 2000


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> CacheLocation:
    return make_cache(tmp_path_factory.mktemp("bulk"), ROWS, BulkOptions(NOW, audio_bytes=(8, 64), copies=0.05))


def read_rows(cache: CacheLocation) -> list[dict[str, object]]:
    return [json.loads(line) for line in (cache.path / META_NAME).read_bytes().splitlines()]


def numbers(rows: list[dict[str, object]], key: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([row[key] for row in rows], dtype=float)


def test_vectors_belong_to_their_rows(cache: CacheLocation) -> None:
    """Unit vectors as the generator's, whose product is the score to a millionth."""
    text, audio, bge = (np.load(cache.path / name) for name in ARRAY_NAMES)
    scores = numbers(read_rows(cache), "clap_similarity")
    scored = np.isfinite(scores)
    assert [array.shape for array in (text, audio, bge)] == [(ROWS, 512), (ROWS, 512), (ROWS, 384)]
    assert np.allclose(np.sum(text * audio, axis=1)[scored], scores[scored], rtol=0, atol=1e-6)
    assert all(np.allclose(np.linalg.norm(array, axis=1), 1, atol=1e-5) for array in (text, audio, bge))
    assert 0.001 < 1 - scored.mean() < 0.01


def test_two_thirds_are_older_than_a_month(cache: CacheLocation) -> None:
    """Rows are in the order of their times, spread over 90 days; a few have none."""
    times = numbers(read_rows(cache), "timestamp")
    known = times[times > 0]
    assert 0 < len(times) - len(known) < 20
    assert np.all(np.diff(known) > 0)
    assert known[0] >= NOW - 90 * DAY
    assert known[-1] < NOW
    assert (NOW - known > 30 * DAY).mean() == pytest.approx(2 / 3, abs=0.05)


def test_files_are_as_old_as_their_rows(cache: CacheLocation) -> None:
    """`find -mtime` and the timestamps agree, for each file that is there; about one in a hundred isn't."""
    files = [(Path(str(row["path"])), row["timestamp"]) for row in read_rows(cache)]
    present = [(path, time) for path, time in files if path.exists()]
    assert 0.98 < len(present) / len(files) < 0.997
    assert all(path.stat().st_mtime == pytest.approx(time, abs=1e-3) for path, time in present if time)


def test_takes_are_mostly_neighbours(cache: CacheLocation) -> None:
    """A prompt has one to a few takes, most beside each other; some prompts are tests."""
    prompts = [str(row["prompt_norm"]) for row in read_rows(cache)]
    assert max(Counter(prompts).values()) <= 6
    assert 2.5 < len(prompts) / len(set(prompts)) < 4.5
    assert 0.45 < np.mean([a == b for a, b in pairwise(prompts)]) < 0.75
    assert 0.01 < np.mean(["test" in prompt.split() for prompt in prompts]) < 0.06


def test_copies_are_byte_identical(cache: CacheLocation) -> None:
    """About one file in twenty has the bytes of another one; none without `copies`."""
    contents = Counter(path.read_bytes() for path in cache.audio_roots[0].glob("*.wav"))
    assert 0.02 < sum(count - 1 for count in contents.values()) / ROWS < 0.06


def test_without_copies_no_two_files_are_alike(tmp_path: Path) -> None:
    """Each file begins with a number of its own."""
    cache = make_cache(tmp_path, 200, BulkOptions(NOW, audio_bytes=(8, 16), vectors=False))
    contents = [path.read_bytes() for path in cache.audio_roots[0].glob("*.wav")]
    assert len(contents) == len(set(contents)) > 190


def test_audio_and_vectors_can_be_left_out(tmp_path: Path) -> None:
    """The index alone, for a test of nothing else."""
    cache = make_cache(tmp_path, 50, BulkOptions(NOW, audio=False, vectors=False))
    assert [path.name for path in cache.path.iterdir()] == [META_NAME]
    assert [path.name for path in cache.audio_roots[0].iterdir()] == ["audio_cache"]
    assert len(read_rows(cache)) == 50


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_small_caches_are_whole(tmp_path: Path, rows: int) -> None:
    """An empty index has arrays of no rows but of full width, as the generator needs them."""
    cache = make_cache(tmp_path, rows, BulkOptions(NOW))
    assert np.load(cache.path / CLAP_TEXT_NAME).shape == (rows, 512)
    assert len(read_rows(cache)) == rows


def test_the_same_seed_makes_the_same_cache(tmp_path: Path) -> None:
    """Vectors and rows depend on the arguments alone, and on the seed."""
    made = [
        make_cache(tmp_path / str(number), 300, BulkOptions(NOW, seed=seed, audio=False))
        for number, seed in enumerate((1, 1, 2))
    ]
    vectors = [(cache.path / CLAP_AUDIO_NAME).read_bytes() for cache in made]
    lines = [(cache.path / META_NAME).read_bytes().replace(bytes(cache.audio_roots[0]), b"") for cache in made]
    assert (vectors[0], lines[0]) == (vectors[1], lines[1])
    assert vectors[0] != vectors[2]
    assert lines[0] != lines[2]
