"""Whoever can write our state, or names a run, leads nothing outside: nothing there is read back, moved or removed."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Run
from trashed_cache import TrashedCache, configure, fingerprint

from audio_cache_daemon.location import STATE_DIRECTORY
from builders import CacheBuilder

POLICY = {
    "rules": [{"name": "stale", "max_age": "30d"}, {"name": "leftovers", "state": "leftover"}],
    "limits": {"max_percent": "none"},
    "trash": {"keep": "7d"},
}


@pytest.fixture
def cache(tmp_path: Path, run: Run) -> Iterator[TrashedCache]:
    """What lies outside its roots is as it was, whatever a test does."""
    builder = CacheBuilder(tmp_path / "inside", now=time.time())
    for age in (40, 50, 1, 2):
        builder.add("rain", age=age)
    builder.add_stray("temp_rain_1700000000000.wav", age=9)
    builder.write()
    outside = tmp_path / "outside"
    (outside / "trash").mkdir(parents=True)
    for name in ("0.wav", "1.wav", "precious.wav", "run.json", "trash/0.wav"):
        (outside / name).write_bytes(b"precious")
    made = TrashedCache(builder, configure(tmp_path / "config.yaml", builder, POLICY), outside, run)
    assert made.ask("run-once").status == 0
    before = fingerprint(outside)
    yield made
    assert fingerprint(outside) == before


def kept(cache: TrashedCache) -> str:
    """All that a refused command must not change: the index, the audio, the trash."""
    trees = [fingerprint(cache.state / "trash"), fingerprint(cache.files)]
    others = [(path.name, path.read_bytes()) for path in sorted(cache.builder.output.glob("*.wav"))]
    return repr((trees, others, (cache.builder.location.path / "meta.jsonl").read_bytes()))


@pytest.mark.parametrize(
    "name", ["..", ".", "", "/", "../..", "{run}/", "./{run}", "../trash/{run}", "{path}", "other"]
)
def test_only_a_run_that_is_listed_can_be_named(cache: TrashedCache, name: str) -> None:
    """A name that would be a part of a path is no name of a run."""
    named = name.format(run=cache.name, path=cache.directory)
    before = kept(cache)
    for command in (["restore", named], ["empty", named, "--confirm"]):
        ran = cache.ask("trash", *command)
        assert ran.status == 2, ran
        assert "no run" in ran.err
    assert kept(cache) == before


@pytest.mark.parametrize(
    "values",
    [
        {"file": "../../outside/precious.wav"},
        {"file": "OUTSIDE/precious.wav"},
        {"file": "a/../../../outside/precious.wav"},
        {"file": "./a.wav"},
        {"file": "a//b.wav"},
        {"file": STATE_DIRECTORY + "/lock"},
        {"file": "a\0.wav"},
        {"name": "../../../../../outside/precious.wav"},
        {"name": "OUTSIDE/precious.wav"},
        {"name": ".."},
        {"name": ""},
        {"root": -1},
        {"root": 7},
        {"root": 2**80},
        {"size": "large"},
        {"size": 2**63},
        {"mtime_ns": -(2**64)},
        {"inode": 10**400},
        {"id": None},
    ],
)
def test_a_manifest_that_leads_elsewhere_is_no_manifest(cache: TrashedCache, values: dict[str, Any]) -> None:
    """Nothing is done by it, and it is said which file is wrong; the runs of others go on."""
    outside = str(cache.outside)
    values = {
        key: value.replace("OUTSIDE", outside) if isinstance(value, str) else value for key, value in values.items()
    }
    cache.edit("manifest.jsonl", **values)
    before, name = kept(cache), cache.name
    ran = cache.ask("trash", "restore", name)
    assert ran.status == 1
    assert "manifest.jsonl" in ran.err
    assert cache.ask("trash", "empty", "--confirm").status == 0
    assert cache.ask("run-once").status == 0
    assert kept(cache) == before


def test_roots_of_a_run_that_are_no_longer_configured_are_left(cache: TrashedCache) -> None:
    """What lies there isn't ours to empty; it is said, and the rest of the run goes."""
    elsewhere = cache.outside.with_name("elsewhere")
    lure = elsewhere / STATE_DIRECTORY / "trash" / cache.name
    lure.mkdir(parents=True)
    for path in cache.files.iterdir():
        (lure / path.name).write_bytes(path.read_bytes())
    before = fingerprint(elsewhere)
    cache.edit("run.json", roots=[b64encode(str(elsewhere).encode()).decode()])
    ran = cache.ask("trash", "empty", "--confirm")
    assert ran.status == 0
    assert f"3 files of run {lure.name} stay: {elsewhere} is no longer an audio root" in ran.err
    assert fingerprint(elsewhere) == before
    assert not list((cache.state / "trash").iterdir())


@pytest.mark.parametrize("below", ["", "trash", "trash/{run}"])
@pytest.mark.parametrize("place", ["cache", "root"])
def test_a_link_in_place_of_a_directory_of_ours_is_not_followed(cache: TrashedCache, below: str, place: str) -> None:
    """Neither to restore files from there, nor to empty it."""
    name = cache.name
    top = cache.state if place == "cache" else cache.builder.output / STATE_DIRECTORY
    real = top / below.format(run=name)
    away = cache.outside.parent / "away"
    real.rename(away)
    real.symlink_to(away)
    before = fingerprint(away)
    for command in (["restore", name], ["empty", name, "--confirm"]):
        assert cache.ask("trash", *command).status in {1, 2, 4}
    assert fingerprint(away) == before


@pytest.mark.parametrize("root", [-1, 99, 2**63 - 1])
def test_where_no_file_goes_no_root_is_asked_for(cache: TrashedCache, root: int) -> None:
    """An entry without a file may name any root, also one that there never was; its row comes back."""
    path = cache.directory / "manifest.jsonl"
    first, *others = path.read_text().splitlines(keepends=True)
    path.write_text(json.dumps({**json.loads(first), "file": "", "root": root}) + "\n" + "".join(others))
    assert cache.ask("trash", "restore", cache.name).status == 0
    assert len((cache.builder.location.path / "meta.jsonl").read_bytes().splitlines()) == 4


@pytest.mark.parametrize("content", [b"", b"\n", b"not a row\n", b'{"path": "/etc/passwd"', b"[" * 100_000 + b"\n"])
def test_saved_rows_that_are_no_rows_are_not_restored(cache: TrashedCache, content: bytes) -> None:
    """The generator wouldn't start on them."""
    (cache.directory / "rows.jsonl").write_bytes(content)
    before = kept(cache)
    assert cache.ask("trash", "restore", cache.name).status == 1
    assert kept(cache) == before


def test_a_time_beyond_all_measure_is_shown_and_harmless(cache: TrashedCache) -> None:
    """A number can be any number."""
    for moment in (1e300, -1e300, 0):
        cache.edit("run.json", time=moment)
        ran = cache.ask("trash", "list", "--format", "json")
        assert ran.status == 0
        assert len(json.loads(ran.out)["caches"][0]["runs"]) == 1
