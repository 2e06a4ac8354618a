"""An index that is forged, huge or torn: each command ends soon, with a result or a message, and changes nothing."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Run
from trashed_cache import configure

from audio_cache_daemon.location import META_NAME
from builders import CacheBuilder

EVERYTHING = {
    "rules": [
        {"name": "all", "max_age": "1s"},
        {"name": "same", "dedupe": {"by": "content"}},
        {"name": "gone", "state": "missing"},
        {"name": "orphans", "state": "orphan"},
    ],
    "limits": {"max_items": "none", "max_percent": "none"},
}
COMMANDS = [
    ["stats"],
    ["list"],
    ["grouped"],
    ["verify"],
    ["run-once", "--dry-run"],
    ["run-once"],
    ["clear", "--confirm"],
]
SOON = 20.0
"""Seconds: far more than any of it takes, and far less than what grows with the square of its size."""


@pytest.fixture
def builder(tmp_path: Path) -> CacheBuilder:
    builder = CacheBuilder(tmp_path / "world", now=time.time())
    for number in range(4):
        builder.add(f"rain {number}", age=40)
    builder.write()
    return builder


@pytest.fixture
def config(tmp_path: Path, builder: CacheBuilder) -> Path:
    return configure(tmp_path / "config.yaml", builder, EVERYTHING)


def assert_blocked(builder: CacheBuilder, config: Path, run: Run) -> None:
    """Reading works or says why not; acting is refused; and all is as before."""
    before, audio = fingerprint_of_index(builder), sorted(builder.output.glob("*.wav"))
    for command in COMMANDS:
        started = time.monotonic()
        ran = run("--config", config, *command)
        assert time.monotonic() - started < SOON, command
        assert "Traceback" not in ran.err
        assert ran.status in ({6} if command[0] in {"clear", "run-once"} and "--dry-run" not in command else {0, 6}), (
            ran
        )
    assert fingerprint_of_index(builder) == before
    assert sorted(builder.output.glob("*.wav")) == audio


def fingerprint_of_index(builder: CacheBuilder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in builder.location.path.iterdir() if path.is_file()}


def header(descr: str, shape: str, order: str = "False", version: int = 1) -> bytes:
    """The beginning of an array file as it says of itself."""
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(text)) + text


HEADERS = {
    "objects": header("'|O'", "(4, 8)") + b"cos\nsystem\n(S'touch /tmp/owned'\ntR." * 9,
    "fortran": header("'<f4'", "(4, 8)", "True") + bytes(128),
    "giant": header("'<f4'", "(99999999999999, 8)") + bytes(128),
    "overflow": header("'<f4'", f"({2**62}, {2**62})") + bytes(128),
    "negative": header("'<f4'", "(-4, 8)") + bytes(128),
    "flat": header("'<f4'", "(4,)") + bytes(16),
    "no width": header("'<f4'", "(4, 0)"),
    "deep": header("'<f4'", "(4, 2, 4)") + bytes(128),
    "a call": header("__import__('os').system('touch /tmp/owned')", "(4, 8)") + bytes(128),
    "nested": header("(" * 900 + ")" * 900, "(4, 8)") + bytes(128),
    "true": header("'<f4'", "(True, 8)") + bytes(32),
    "text": header("'<U8'", "(4, 8)") + bytes(1024),
    "no end": header("'<f4'", "(4, 8)")[:30],
    "another version": header("'<f4'", "(4, 8)", version=9) + bytes(128),
    "nothing": b"",
    "a pickle": b"\x80\x04cposix\nsystem\n(S'touch /tmp/owned'\ntR.",
    "zeros": bytes(1000),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_an_array_with_a_forged_header_blocks(builder: CacheBuilder, config: Path, run: Run, kind: str) -> None:
    """Nothing of it is run or believed: not its shape, not its order, not its type."""
    (builder.location.path / "clap_audio.npy").write_bytes(HEADERS[kind])
    assert_blocked(builder, config, run)
    assert not Path("/tmp/owned").exists()


def test_blank_lines_without_end_block_and_end_soon(builder: CacheBuilder, config: Path, run: Run) -> None:
    """Each is a line without a row; what a command takes grows with their number, and no faster."""
    with (builder.location.path / META_NAME).open("ab") as meta:
        meta.write(b"\n" * 60_000)
    assert_blocked(builder, config, run)


@pytest.mark.parametrize(
    "line",
    [
        b"x" * 20_000_000,
        b'"' * 10_000_000,
        b".wav/" * 200_000,
        b"[" * 10_000_000,
        b'{"path":' * 1_000_000,
        b'{"path": "' + b"\\" * 9_999_999,
        b'{"path": "/x/' + b"\\u0041" * 1_000_000 + b'.wav"',
        b'{"timestamp": ' + b"9" * 5_000_000 + b"}",
    ],
    ids=lambda line: repr(line[:12]),
)
def test_a_giant_line_that_is_no_row_blocks_and_ends_soon(
    builder: CacheBuilder, config: Path, run: Run, line: bytes
) -> None:
    """Whatever it is made of."""
    with (builder.location.path / META_NAME).open("ab") as meta:
        meta.write(line + b"\n")
    assert_blocked(builder, config, run)


def test_rows_of_10_megabytes_are_evicted_and_restored(builder: CacheBuilder, config: Path, run: Run) -> None:
    """To the byte, as any other row."""
    for letter in "ab":
        builder.add(letter * 5_000_000, age=40)
    builder.write()
    before = fingerprint_of_index(builder)
    started = time.monotonic()
    assert run("--config", config, "run-once").status == 0
    assert (builder.location.path / META_NAME).read_bytes() == b""
    (listed,) = run("--config", config, "trash", "list", "--format", "json").json["caches"]
    assert run("--config", config, "trash", "restore", listed["runs"][0]["run"]).status == 0
    assert run("--config", config, "audit").status == 0
    assert time.monotonic() - started < SOON * 2
    assert fingerprint_of_index(builder) == before


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def shuffle(path: Path) -> None:
    np.save(path, np.load(path)[::-1])


def not_a_number(path: Path) -> None:
    array = np.load(path)
    array[1] = np.nan
    np.save(path, array)


@pytest.mark.parametrize("change", [truncate, lengthen, shuffle, not_a_number])
@pytest.mark.parametrize("name", ["clap_text.npy", "clap_audio.npy"])
def test_vectors_that_are_not_those_of_the_rows_block(
    builder: CacheBuilder, config: Path, run: Run, name: str, change: Callable[[Path], None]
) -> None:
    """One byte too few or too many, another order, no numbers."""
    change(builder.location.path / name)
    assert_blocked(builder, config, run)


VALUES: list[Any] = [0, -1, 1e300, -1e300, 2**70, True, None, "", "1700000000", [], {}, "\x00", "\U0001f40d" * 1000]


@pytest.mark.parametrize("key", ["prompt", "prompt_norm", "duration_s", "clap_similarity", "timestamp", "ts", "dur"])
def test_any_value_in_any_key_is_a_row_that_can_be_read(
    builder: CacheBuilder, config: Path, run: Run, key: str
) -> None:
    """What can't be true counts as absent, and selects nothing."""
    lines = [json.dumps({"path": f"/no/{key}.wav", key: value}).encode() for value in VALUES]
    lines += [b'{"path": "/no/x.wav", "%b": %b}' % (key.encode(), raw) for raw in (b"NaN", b"Infinity", b"1e999")]
    (builder.location.path / META_NAME).write_bytes(b"\n".join([*lines, b""]))
    for command in COMMANDS[:5]:
        ran = run("--config", config, *command, "--format", "json")
        assert ran.status in {0, 6}, ran
        assert json.loads(ran.out)
