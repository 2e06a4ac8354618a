"""A glance tells of items what a scan of everything tells, and of files once they are looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from observing import bare_cache, scan, sound, states, write_lines, write_paths

from audio_cache_daemon.cache.glance import glance, look_at_files
from audio_cache_daemon.held import NONE_HELD
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import Inventory


def assert_equal_items(found: Inventory, wanted: Inventory, rows: list[int]) -> None:
    """Whether the rows are alike in everything that lists show, and these rows also in what their files tell."""
    for name in ("offset", "readable", "timestamp", "duration", "quality", "prompt", "pinned_until"):
        np.testing.assert_array_equal(getattr(found.rows, name), getattr(wanted.rows, name), name)
    np.testing.assert_array_equal(found.rows.items(), wanted.rows.items())
    np.testing.assert_array_equal(found.rows.state[rows], wanted.rows.state[rows])
    np.testing.assert_array_equal(found.rows.size[rows], wanted.rows.size[rows])


def hostile_cache(directory: Path) -> CacheLocation:
    """Rows that name files in every kind of trouble."""
    location = bare_cache(directory)
    root = location.audio_roots[0]
    there, empty = sound(root / "there.wav"), sound(root / "deep" / "empty.wav", b"")
    (root / "link.wav").symlink_to(there)
    (root / "folder.wav").mkdir()
    (root / "away").symlink_to(root / "deep")
    paths = [there, root / "gone.wav", empty, root / "link.wav", root / "folder.wav", root / "away" / "empty.wav"]
    write_paths(location, *paths, "/elsewhere/x.wav", root / "no" / "where.wav", root / "note.txt", there)
    index = location.path / "meta.jsonl"
    return write_lines(location, index.read_bytes() + b"not a row\n\n{}\n")


@settings(max_examples=25)
@given(st.sets(st.integers(0, 12)))
def test_what_is_looked_at_is_as_a_scan_has_it_and_the_rest_is_undecided(
    tmp_path_factory: pytest.TempPathFactory, chosen: set[int]
) -> None:
    """Whichever rows are asked for."""
    location = hostile_cache(tmp_path_factory.mktemp("hostile"))
    rows = sorted(chosen)
    seen = look_at_files(glance(location, NONE_HELD), np.array(rows, np.int64))
    assert_equal_items(seen, scan(location), rows)
    assert {states(seen)[row] for row in range(13) if row not in chosen} <= {"undecidable"}


def test_a_glance_looks_at_no_file(tmp_path: Path) -> None:
    """Roots that hang, or are gone, keep nobody from seeing what the index says."""
    location = hostile_cache(tmp_path)
    location.audio_roots[0].rename(tmp_path / "moved")
    inventory = glance(location, NONE_HELD)
    assert set(states(inventory)) == {"undecidable"}
    assert len(inventory.strays) == 0
    assert states(look_at_files(inventory, np.array([0, 1])))[:2] == ["missing", "missing"]
