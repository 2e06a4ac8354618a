"""`init` proposes a configuration that can be used at once, and changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from audio_cache_daemon.cli import run
from audio_cache_daemon.cli.status import ExitStatus
from audio_cache_daemon.config.load import load_settings
from audio_cache_daemon.config.settings import CacheSettings
from audio_cache_daemon.demo.generate import make_demo_cache
from builders import CacheBuilder

Output = pytest.CaptureFixture[str]


@pytest.fixture
def builder(tmp_path: Path) -> CacheBuilder:
    """A cache of three items, written just now."""
    builder = CacheBuilder(tmp_path, time.time())
    for prompt in ("rain", "wind", "sea"):
        builder.add(prompt)
    builder.write()
    return builder


def _init(capsys: Output, *arguments: object) -> tuple[str, str]:
    """What `init` prints: its result, and its messages."""
    assert run(["init", *map(str, arguments)]) == ExitStatus.DONE
    printed = capsys.readouterr()
    return printed.out, printed.err


def _use(text: str, directory: Path, capsys: Output) -> CacheSettings:
    """The only cache of a configuration, after `check-config` found no error in it."""
    path = directory / "proposed.yaml"
    path.write_text(text, encoding="utf-8")
    assert run(["check-config", str(path)]) == ExitStatus.DONE
    capsys.readouterr()
    (cache,) = load_settings(path, {}).caches.values()
    return cache


def _let_rest(cache: Path, days: float) -> None:
    for path in cache.iterdir():
        os.utime(path, (time.time() - days * 86400,) * 2)


def _snapshot(directory: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in [directory, *directory.rglob("*")]}


def test_the_proposal_for_the_demo_can_be_used(tmp_path: Path, capsys: Output) -> None:
    demo = make_demo_cache(tmp_path / "demo", time.time())
    text, messages = _init(capsys, demo.exhibit.path)
    cache = _use(text, tmp_path, capsys)
    assert cache.location.audio_roots == demo.exhibit.audio_roots
    assert cache.location.path_base == tmp_path / "demo"
    assert "can't be decided" in messages


def test_the_proposal_for_a_damaged_index_can_be_used_and_its_damage_is_told(tmp_path: Path, capsys: Output) -> None:
    demo = make_demo_cache(tmp_path / "demo", time.time())
    text, messages = _init(capsys, demo.damaged.path)
    assert _use(text, tmp_path, capsys).location.audio_roots == demo.damaged.audio_roots
    assert "line" in messages


def test_the_proposal_for_a_container_maps_its_paths(tmp_path: Path, capsys: Output) -> None:
    builder = CacheBuilder(tmp_path, time.time())
    for number in range(4):
        name = builder.add_stray(f"rain_{1700000000000 + number}.wav").name
        builder.add(path=f"/writer/audio/{name}")
    text, messages = _init(capsys, builder.write().path)
    assert _use(text, tmp_path, capsys).location.path_map == (("/writer/audio", str(builder.output)),)
    assert messages == ""


def test_an_empty_index_has_a_proposal_too(tmp_path: Path, capsys: Output) -> None:
    location = CacheBuilder(tmp_path).write()
    text, _ = _init(capsys, location.path)
    assert _use(text, tmp_path, capsys).location.audio_roots == (location.path,)


def test_hostile_paths_are_told_and_the_proposal_can_be_used(
    builder: CacheBuilder, tmp_path: Path, capsys: Output
) -> None:
    for path in ("/a/\nversion: 2\n/rain.wav", '/a"b/rain.wav', "/a/\x1b[31m/rain.wav", "/${HOME}/rain.wav"):
        builder.add(path=path)
    builder.add_line(b'{"path": "/\\udcff/rain.wav", "prompt": "rain"}\n')
    text, messages = _init(capsys, builder.write().path)
    assert _use(text, tmp_path, capsys).location.audio_roots == (builder.output,)
    assert messages.count("(rows: 1)") == 5
    assert "\x1b" not in messages


def test_a_busy_generator_is_taken_to_be_live(builder: CacheBuilder, tmp_path: Path, capsys: Output) -> None:
    writer = _use(_init(capsys, builder.location.path)[0], tmp_path, capsys).writer
    assert writer.mode == "live"
    assert writer.started_file == builder.location.state_directory / "writer-started"


def test_a_generator_that_was_quiet_for_a_day_is_taken_to_be_stopped(
    builder: CacheBuilder, tmp_path: Path, capsys: Output
) -> None:
    _let_rest(builder.location.path, 1.1)
    assert _use(_init(capsys, builder.location.path)[0], tmp_path, capsys).writer.mode == "stopped"


@pytest.mark.parametrize(("option", "mode"), [("--writer-stopped", "stopped"), ("--live", "live")])
def test_the_operator_knows_better_whether_the_generator_runs(
    builder: CacheBuilder, tmp_path: Path, capsys: Output, option: str, mode: str
) -> None:
    _let_rest(builder.location.path, 0.9 if mode == "stopped" else 2)
    assert _use(_init(capsys, builder.location.path, option)[0], tmp_path, capsys).writer.mode == mode


def test_it_looks_at_the_cache_in_the_current_directory(
    builder: CacheBuilder, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(builder.output)
    assert f'path: "{builder.location.path}"' in _init(capsys)[0]


@pytest.mark.parametrize("option", ["--audio-root", "--path-base"])
def test_it_looks_for_audio_from_directories_that_are_named(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    builder = CacheBuilder(tmp_path)
    path = "out/rain.wav" if option == "--path-base" else "/writer/out/rain.wav"
    (tmp_path / "far/away/out").mkdir(parents=True)
    (tmp_path / "far/away/out/rain.wav").write_bytes(b"sound")
    builder.add(path=path)
    monkeypatch.chdir(tmp_path)
    text, messages = _init(capsys, builder.write().path, option, "far/away")
    assert _use(text, tmp_path, capsys).location.audio_roots == (tmp_path / "far/away/out",)
    assert messages == ""


def test_a_directory_without_an_index_is_no_cache(tmp_path: Path, capsys: Output) -> None:
    assert run(["init", str(tmp_path)]) == ExitStatus.FAILED
    assert f"is {tmp_path} the cache directory?" in capsys.readouterr().err


def test_nothing_is_written(builder: CacheBuilder, tmp_path: Path, capsys: Output) -> None:
    before = _snapshot(tmp_path)
    _init(capsys, builder.location.path)
    _init(capsys, builder.location.path, "--format", "json")
    assert _snapshot(tmp_path) == before


def test_it_writes_a_new_file_only(builder: CacheBuilder, tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "config.yaml"
    told, _ = _init(capsys, builder.location.path, "--output", file)
    assert str(file) in told
    text = file.read_text(encoding="utf-8")
    assert _use(text, tmp_path, capsys).location.path == builder.location.path
    assert run(["init", str(builder.location.path), "--output", str(file)]) == ExitStatus.USAGE
    assert "exists already" in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == text


def test_a_file_that_cannot_be_written_is_told(builder: CacheBuilder, tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "absent/config.yaml"
    assert run(["init", str(builder.location.path), "--output", str(file)]) == ExitStatus.USAGE
    assert "No such file or directory" in capsys.readouterr().err


def test_as_json_it_is_the_survey(builder: CacheBuilder, capsys: Output) -> None:
    builder.add(path="/writer/audio/rain.wav")
    printed: dict[str, Any] = json.loads(_init(capsys, builder.write().path, "--format", "json")[0])
    assert printed["path"] == str(builder.location.path)
    assert printed["audio_roots"] == [str(builder.output)]
    assert (printed["path_base"], printed["path_map"], printed["writer"]) == (None, {}, "live")
    assert (printed["items"], printed["missing"], printed["undecidable"]) == (4, 0, 1)
    assert [(one["where"], one["count"]) for one in printed["not_understood"]] == [("/writer/audio/", 1)]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_what_a_process_prints_can_be_used(tmp_path: Path, capsys: Output, encoding: str) -> None:
    """Whatever its output can say: what ASCII can't is an escape, which YAML reads as the same character."""
    builder = CacheBuilder(tmp_path / "zoë-字-😀", time.time())
    builder.add()
    done = subprocess.run(
        [sys.executable, "-m", "audio_cache_daemon", "init", builder.write().path],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    location = _use(done.stdout.decode(encoding), tmp_path, capsys).location
    assert (location.path, location.audio_roots) == (builder.location.path, (builder.output,))
