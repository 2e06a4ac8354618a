"""What the sweeps over faults found once, as rules of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from faults_scenarios import empty, live, restore, run, start_generator, stopped
from faults_world import NOTHING, POLICY, Fate, World, bring_all_back, fates, make_world
from msgspec.structs import replace

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.generator import generator_reloaded
from audio_cache_daemon.eviction.trash import list_pending, list_trash
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME
from audio_cache_daemon.retention.policy import Pattern, Rule
from audio_cache_daemon.upkeep import generator_of

SHARED = replace(POLICY, rules=(Rule("shared", Pattern("shared")),))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def test_an_item_without_a_file_of_its_own_comes_back_after_its_row_was_dropped(world: World) -> None:
    """Its file is another item's and stays, so nothing is ever released of it: it is in the trash all the same."""
    meta, line = world.location.path / META_NAME, world.items[4].line.replace(b"drop", b"shared")
    meta.write_bytes(meta.read_bytes().replace(world.items[4].line, line))
    world = replace(world, items=(*world.items[:4], replace(world.items[4], line=line), *world.items[5:]))
    run("one", policy=SHARED)(world)
    stopped("two", SHARED)(world)
    assert fates(world)[4] == Fate.GONE
    bring_all_back(world)


def test_items_stay_in_the_trash_with_the_file_that_they_share(world: World) -> None:
    """Another file has its place now: neither of the two comes back as a row that names it."""
    stopped("one")(world)
    world.paths[0].write_bytes(b"another sound")
    said = restore("one", is_live=False)(world)
    assert said is not None
    assert [fates(world)[row] for row in (0, 2, 4, 5)] == [Fate.GONE, Fate.WHOLE, Fate.WHOLE, Fate.GONE]
    world.paths[0].unlink()
    assert restore("one", is_live=False)(world) is None
    assert set(fates(world)) == {Fate.WHOLE}


def test_a_generator_that_was_not_told_of_another_index_is_told_by_the_next_run(world: World) -> None:
    """Its reload failed, or we were killed before: a run that has nothing to do makes up for it, once."""
    broken = replace(live(world), reload=("false",))
    with (
        pytest.raises(MaintenanceError, match="could not be reloaded"),
        generator_reloaded(world.location, generator_of(broken)),
    ):
        (world.generator / "loaded").unlink()
    run("one", commands=("reload",), policy=NOTHING)(world)
    assert world.is_loaded
    (world.generator / "loaded").unlink()
    run("two", commands=("reload",), policy=NOTHING)(world)
    assert not (world.generator / "loaded").exists()


def test_what_is_left_of_a_run_that_was_being_removed_is_no_run_and_goes(world: World) -> None:
    """It is neither listed nor in the way of anything."""
    run("one")(world)
    start_generator(world)
    run("two")(world)
    for directory in ("retired", "trash"):
        unfinished = world.location.state_directory / directory / "zero.new"
        unfinished.mkdir()
        (unfinished / "manifest.jsonl").write_bytes(b"")
    listed = {found.run for found in (*list_trash(world.location), *list_pending(world.location))}
    assert listed == {"one", "one-files"}
    run("three")(world)
    assert not list(world.location.state_directory.glob("*/*.new"))


def test_a_released_run_that_was_removed_for_good_does_not_return(world: World) -> None:
    """Not when its rows are dropped either: its files are gone."""
    run("one")(world)
    start_generator(world)
    run("two")(world)
    empty(world)
    stopped("three")(world)
    assert list_trash(world.location) == []
    kept = [row for row in range(len(world.items)) if row not in world.drops]
    assert [row for row, fate in enumerate(fates(world)) if fate == Fate.WHOLE] == kept
    assert {len(np.load(world.location.path / name)) for name in ARRAY_NAMES} == {len(kept)}
