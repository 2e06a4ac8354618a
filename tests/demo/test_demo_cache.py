"""The demo is a cache as the generator leaves it, with every fault in it and nothing else wrong."""

from __future__ import annotations

import json
import math
import wave
from collections import Counter
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
import yaml

from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.config.load import load_settings
from audio_cache_daemon.demo.generate import Demo, make_demo_cache
from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.formats import decode_row
from audio_cache_daemon.location import (
    ARRAY_NAMES,
    BGE_TEXT_NAME,
    CLAP_AUDIO_NAME,
    CLAP_TEXT_NAME,
    META_NAME,
    is_leftover_name,
    is_written_name,
)
from audio_cache_daemon.retention.needs import columns_needed
from audio_cache_daemon.retention.plan import plan_evictions
from builders import DAY, NOW

Row: TypeAlias = dict[str, object]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """A demo in a directory whose name is hard to quote."""
    return make_demo_cache(tmp_path_factory.mktemp("demo") / """it's: "{odd}" 🎵""", NOW)


@pytest.fixture(scope="module")
def rows(demo: Demo) -> list[Row]:
    return read_rows(demo.exhibit.path)


def read_rows(cache: Path) -> list[Row]:
    return [json.loads(line) for line in (cache / META_NAME).read_bytes().splitlines()]


def created(row: Row) -> object:
    return row.get("timestamp", row.get("ts"))


def own_files(demo: Demo, rows: list[Row]) -> list[Path]:
    """The files of rows that can be decided and found."""
    paths = [Path(str(row["path"])) for row in rows]
    return [path for path in paths if path.is_absolute() and path.parent == demo.exhibit.audio_roots[0]]


def test_vectors_belong_to_their_rows(demo: Demo, rows: list[Row]) -> None:
    """The product of a row's CLAP vectors is its score, wherever it has one."""
    text, audio = (np.load(demo.exhibit.path / name) for name in (CLAP_TEXT_NAME, CLAP_AUDIO_NAME))
    scores = np.array([row["clap_similarity"] for row in rows], dtype=float)
    scored = np.isfinite(scores)
    assert np.allclose(np.sum(text * audio, axis=1)[scored], scores[scored], rtol=0, atol=1e-6)
    assert set(np.round(np.linalg.norm(text, axis=1), 5)) == {1.0}


def test_arrays_have_one_row_for_each_line(demo: Demo, rows: list[Row]) -> None:
    """All arrays are as long as the index, in the shapes and type that the generator writes."""
    arrays = [np.load(demo.exhibit.path / name) for name in ARRAY_NAMES]
    assert [array.shape for array in arrays] == [(len(rows), width) for width in (512, 512, 384)]
    assert {array.dtype for array in arrays} == {np.dtype("float32")}


def test_every_line_is_a_sound_row(demo: Demo) -> None:
    """The generator would start on this index: no foreign key, no blank or torn line, no mistyped value."""
    lines = (demo.exhibit.path / META_NAME).read_bytes().splitlines()
    assert 280 <= len(lines) <= 400
    assert all(row is not None and not problems for row, problems in map(decode_row, lines))


def test_audio_plays(rows: list[Row]) -> None:
    """Each file that a row names opens as WAV and lasts as long as the row says, but for the unreadable ones."""
    for row, path in ((row, Path(str(row["path"]))) for row in rows):
        duration = row.get("duration_s", row.get("dur"))
        if duration and path.exists() and path.is_absolute():
            with wave.open(str(path)) as file:
                assert file.getnframes() / file.getframerate() == pytest.approx(duration, abs=1e-3)


def test_files_are_as_old_as_their_rows(demo: Demo, rows: list[Row]) -> None:
    """A cleaner that goes by modification times sees the ages that the rows tell."""
    ages = {path: path.stat().st_mtime for path in own_files(demo, rows) if path.exists()}
    told = {Path(str(row["path"])): created(row) for row in rows}
    differing = [path for path, modified in ages.items() if modified != pytest.approx(told[path], abs=0.01)]
    assert len(differing) == 2 + 1 + 5, "timestamp 0, in the future, and the copies of a second later"


def test_rows_have_every_fault(rows: list[Row]) -> None:
    """Each fault of a row that real caches have is there."""
    scores = [row["clap_similarity"] for row in rows]
    times = [created(row) for row in rows]
    assert scores.count(None) == 2
    assert sum(isinstance(score, float) and math.isnan(score) for score in scores) == 2
    assert times.count(0.0) == 2
    assert sum(isinstance(time, float) and time > NOW for time in times) == 1
    assert sum("ts" in row and "dur" in row and "timestamp" not in row for row in rows) == 20
    assert sum(row.get("duration_s") == 0.0 for row in rows) == 2
    assert sum(not Path(str(row["path"])).is_absolute() for row in rows) == 2


def test_rows_repeat_and_share_files(rows: list[Row]) -> None:
    """Some rows are there twice to the letter, some name the file of another one."""
    texts = Counter(json.dumps(row) for row in rows)
    assert sum(count - 1 for count in texts.values()) == 2
    names = Counter(str(json.loads(text)["path"]) for text in texts)
    assert sum(count - 1 for count in names.values()) == 2


def test_files_have_every_fault(demo: Demo, rows: list[Row]) -> None:
    """Missing files, copies, unreadable audio, and rows that lead out of the audio root."""
    own = own_files(demo, rows)
    contents = Counter(path.read_bytes() for path in set(own) if path.exists())
    unreadable = contents.pop(b"not audio")
    paths = [Path(str(row["path"])) for row in rows]
    assert sum(not path.exists() for path in own) == 4
    assert unreadable == 2
    assert sum(count - 1 for count in contents.values()) == 5
    assert sum(path.parent.name == "elsewhere" for path in paths) == 1
    assert sum(path.parent.is_symlink() for path in paths) == 1


def test_zero_vectors_mark_unreadable_audio(demo: Demo, rows: list[Row]) -> None:
    """A row of duration 0 has a zero audio vector, and no other row has one."""
    audio = np.load(demo.exhibit.path / CLAP_AUDIO_NAME)
    silent = [row.get("duration_s") == 0.0 for row in rows]
    assert np.array_equal(~audio.any(axis=1), silent)


def test_files_without_a_row(demo: Demo, rows: list[Row]) -> None:
    """Orphans of several ages, each kind of leftover, and files that aren't the generator's."""
    named = {Path(str(row["path"])).name for row in rows}
    strays = [path for path in demo.exhibit.audio_roots[0].iterdir() if path.is_file() and path.name not in named]
    leftovers = [path for path in strays if is_leftover_name(path.name)]
    orphans = [path for path in strays if is_written_name(path.name) and path not in leftovers]
    assert len(leftovers) == 4
    assert sum(NOW - path.stat().st_mtime > 30 * DAY for path in orphans) == 2
    assert sum(NOW - path.stat().st_mtime < DAY for path in orphans) == 2
    assert {path.name for path in set(strays) - set(leftovers) - set(orphans)} == {"reference tone.wav", "notes.txt"}


def test_the_damaged_index_keeps_the_generator_from_starting(demo: Demo) -> None:
    """Its lines have each fault, and its arrays have the lengths that two crashes left."""
    *lines, torn = (demo.damaged.path / META_NAME).read_bytes().split(b"\n")
    kinds = [problem.kind for line in lines for problem in decode_row(line)[1]]
    assert kinds == ["foreign_key", "mistyped_value", "blank_line"]
    assert torn
    assert decode_row(torn)[0] is None
    lengths = {name: len(np.load(demo.damaged.path / name)) for name in ARRAY_NAMES}
    whole = len(lines) - 1
    assert lengths == {CLAP_TEXT_NAME: whole, CLAP_AUDIO_NAME: whole - 1, BGE_TEXT_NAME: whole - 3}


def test_the_configuration_names_both_caches(demo: Demo) -> None:
    """Its paths are those of the caches, quotes, braces, colon and emoji included."""
    config = yaml.safe_load(demo.config.read_text(encoding="utf-8"))
    for cache in (demo.exhibit, demo.damaged):
        assert config["caches"][cache.name]["path"] == str(cache.path)
        assert config["caches"][cache.name]["audio_roots"] == [str(root) for root in cache.audio_roots]
    assert config["policies"].keys() == {"demo"}


def test_every_rule_has_something_to_do(demo: Demo) -> None:
    """The policy loads, and its plan is one that may be executed; `gone` must first have seen a file missing."""
    settings = load_settings(demo.config, {}).caches["exhibit"]
    inventory = scan_cache(settings.location, columns_needed(settings.policy))
    plan = plan_evictions(inventory, settings.policy, NOW)
    busy = {plan.rules[rule].name for rule in np.concatenate([plan.rows.rule, plan.strays.rule])}
    assert busy == {rule.name for rule in settings.policy.rules} - {"gone"} | {"budget:size"}
    assert (plan.refusals, plan.capped) == ((), ())
    protecting = {plan.protections[number] for number in np.unique(plan.protected[plan.protected >= 0])}
    assert protecting == set(plan.protections) - {"restored", "pinned"}


def test_a_seed_makes_one_demo(demo: Demo, tmp_path: Path) -> None:
    """Every byte is the same for the same time and seed, but for the paths. An empty directory is as good as none."""
    assert contents(make_demo_cache(tmp_path, NOW)) == contents(demo)


def contents(demo: Demo) -> dict[Path, bytes]:
    """The files of a demo, with the name of its directory taken out."""
    directory = demo.config.parent
    names = [str(directory).encode(), json.dumps(str(directory), ensure_ascii=False)[1:-1].encode()]
    files = {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    return {path: data.replace(names[1], b"").replace(names[0], b"") for path, data in files.items()}


def test_an_occupied_directory_is_refused(tmp_path: Path) -> None:
    """Nothing is overwritten: neither a directory with something in it, nor a file."""
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="isn't empty"):
        make_demo_cache(tmp_path, NOW)
    with pytest.raises(ConfigError, match="can't make"):
        make_demo_cache(tmp_path / "mine.txt", NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
