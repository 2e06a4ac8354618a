"""What is found in real caches besides sound items: faults of rows, of audio files, and of the index itself."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.random import Generator

from audio_cache_daemon.demo.index import Item, Vectors, encode_row, file_name, make_vectors, score_items, slug
from audio_cache_daemon.demo.prompts import PROMPTS
from audio_cache_daemon.demo.sounds import make_sound, write_wav
from audio_cache_daemon.location import BGE_TEXT_NAME, CLAP_AUDIO_NAME

DAY = 86400.0

_OLD_ROWS = 20
_STRAY_AGES = (45.0, 31.0, 9.0, 0.5, 0.01)
"""Days since the modification of files that no row names; their ctime is that of the demo all the same."""

Spoil: TypeAlias = Callable[[Item], None]
Addition: TypeAlias = Callable[[Item], Item]


def spoil_items(items: Sequence[Item], rng: Generator) -> list[Item]:
    """The items with every fault that a row or its file can have, each in rows of its own; they are changed in place.

    The first rows become old-generation ones. Each item must have a path under an output directory beside which
    another directory may be made.
    """
    for item in items[:_OLD_ROWS]:
        _use_old_keys(item)
    picks = iter(rng.permutation(np.arange(_OLD_ROWS, len(items))).tolist())
    for count, spoil in _SPOILS:
        for _ in range(count):
            spoil(items[next(picks)])
    added = {}
    for count, add in _ADDITIONS:
        for _ in range(count):
            index = next(picks)
            added[index] = add(items[index])
    return [each for index, item in enumerate(items) for each in (item, added.get(index)) if each is not None]


def _use_old_keys(item: Item) -> None:
    old_names = {"timestamp": "ts", "duration_s": "dur"}
    item.row = {old_names.get(key, key): value for key, value in item.row.items()}


def _path(item: Item) -> Path:
    return Path(str(item.row["path"]))


def _lose_file(item: Item) -> None:
    _path(item).unlink()


def _forget_time(item: Item) -> None:
    item.row["timestamp"] = 0.0


def _postdate(item: Item) -> None:
    created = item.row["timestamp"]
    assert isinstance(created, float)
    item.row["timestamp"] = created + 3650 * DAY


def _leave_unscored(item: Item) -> None:
    item.row["clap_similarity"] = None


def _score_as_nan(item: Item) -> None:
    item.row["clap_similarity"] = math.nan


def _make_unreadable(item: Item) -> None:
    status = _path(item).stat()
    _path(item).write_bytes(b"not audio")
    os.utime(_path(item), ns=(status.st_atime_ns, status.st_mtime_ns))
    item.row["duration_s"] = 0.0
    item.cosine = math.nan


def _make_relative(item: Item) -> None:
    item.row["path"] = f"{_path(item).parent.name}/{_path(item).name}"


def _move_outside(item: Item) -> None:
    """To a directory beside the output directory, which is no root."""
    path = _path(item)
    outside = path.parent.parent / "elsewhere"
    outside.mkdir(exist_ok=True)
    item.row["path"] = str(path.rename(outside / path.name))


def _reach_through_link(item: Item) -> None:
    link = _path(item).parent / "linked"
    _move_outside(item)
    if not link.is_symlink():
        link.symlink_to(_path(item).parent)
    item.row["path"] = str(link / _path(item).name)


_SPOILS: tuple[tuple[int, Spoil], ...] = (
    (4, _lose_file),
    (2, _forget_time),
    (1, _postdate),
    (2, _leave_unscored),
    (2, _score_as_nan),
    (2, _make_unreadable),
    (2, _make_relative),
    (1, _move_outside),
    (1, _reach_through_link),
)
"""How many items get which fault."""


def _repeat(item: Item) -> Item:
    return item


def _share_file(item: Item) -> Item:
    """The same file under a prompt that only has a blank more."""
    return replace(item, row={**item.row, "prompt": f"{item.row['prompt']} "})


def _copy_file(item: Item) -> Item:
    """The same bytes under another name, made a second later."""
    created = item.row["timestamp"]
    assert isinstance(created, float)
    path = _path(item).with_name(file_name(str(item.row["prompt"]), created + 1))
    shutil.copy2(_path(item), path)
    return replace(item, row={**item.row, "path": str(path), "timestamp": created + 1})


_ADDITIONS: tuple[tuple[int, Addition], ...] = ((2, _repeat), (2, _share_file), (5, _copy_file))
"""How many items are followed by which kind of double."""


def add_strays(output: Path, now: float) -> None:
    """Put files that no row names into an output directory: orphans, leftovers, and ones that aren't the writer's."""
    for number, age in enumerate(_STRAY_AGES):
        prompt, modified = PROMPTS[7 * number], now - age * DAY
        _write_stray(output / file_name(prompt.text, modified), prompt.kind, modified)
    milliseconds = round((now - 2 * DAY) * 1000)
    subject = slug(PROMPTS[0].text)
    for name in (
        f"temp_{subject}_{milliseconds}.wav",
        f"temp_norm_{milliseconds}.wav",
        f"temp_fallback_norm_{milliseconds}.wav",
        f"{subject}_{milliseconds}_normalized.mp3",
        "reference tone.wav",
    ):
        _write_stray(output / name, "bells", now - 2 * DAY)
    (output / "notes.txt").write_text("Not the generator's: nothing may remove this file.\n")


def _write_stray(path: Path, kind: str, modified: float) -> None:
    write_wav(path, make_sound(kind, 0.5, round(modified)))
    os.utime(path, (modified, modified))


def damage_index(items: Sequence[Item]) -> tuple[list[bytes], dict[str, Vectors]]:
    """The lines and arrays of an index of at least 8 items that keeps the generator from starting.

    A foreign key and a mistyped value; BGE was off for three rows; the last whole row has its text vector, but the
    crash came before its audio vector; then an editor's blank line; the last item's line is torn by a second crash.
    """
    *whole, last = items
    vectors = make_vectors(whole)
    score_items(whole, vectors)
    vectors[CLAP_AUDIO_NAME] = vectors[CLAP_AUDIO_NAME][:-1]
    vectors[BGE_TEXT_NAME] = vectors[BGE_TEXT_NAME][:-3]
    whole[2].row["note"] = "lovely"
    whole[4].row["duration_s"] = "about two seconds"
    torn = encode_row(last.row).partition(b'"clap_similarity"')[0]
    return [*(encode_row(item.row) for item in whole), b"\n", torn], vectors
