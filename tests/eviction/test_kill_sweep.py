"""A run that is killed, wherever it is killed, leaves nothing half done once the next run was there."""

from __future__ import annotations

import signal
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cache_runs import FOR_GOOD
from kill_points import LAST, Death, points_for, run_points
from promises import POLICY, World, check_recovery, make_world
from strace import NAMING_CALLS, WRITING_CALLS, count_calls

from audio_cache_daemon.location import ARRAY_NAMES, META_NAME

OTHERS = 3
"""One in so many of the calls that change neither names nor contents: before and after a flush it looks the same."""

NO_EXCHANGE = "--inject=renameat2:error=EINVAL"

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Sweep:
    """Runs that are killed at each call of some kinds, `after` earlier runs died; `options` are for strace."""

    keep: float = POLICY.trash.keep
    calls: tuple[str, ...] = WRITING_CALLS
    after: tuple[Death, ...] = ()
    options: tuple[str, ...] = ()


def find_deaths(directory: Path, sweep: Sweep) -> list[Death]:
    """All the deaths of a sweep, from a run that lives."""
    trace = directory / "trace"
    points = points_for(make_world(directory / "whole"), sweep.keep, *sweep.after, Death("write", 0))
    ending = run_points(directory, points, "-o", str(trace), *sweep.options)[-1]
    counts = count_calls(trace, ending.process)
    assert max(counts.values()) < LAST
    return [
        Death(call, number)
        for call in sweep.calls
        for number in range(1, counts[call] + 1, 1 if call in NAMING_CALLS else OTHERS)
    ]


def make_killed(directory: Path, sweep: Sweep) -> list[World]:
    """For each death of a sweep a world in which a run died it."""
    deaths = find_deaths(directory, sweep)
    worlds = [make_world(directory / str(place)) for place in range(len(deaths))]
    points = [
        point
        for world, death in zip(worlds, deaths, strict=True)
        for point in points_for(world, sweep.keep, *sweep.after, death)
    ]
    endings = run_points(directory, points, *sweep.options)
    assert {ending.signal for ending in endings} == {signal.SIGKILL}
    print(f"killed at {len(deaths)} points: {dict(Counter(death.call for death in deaths))}")  # noqa: T201 -- how much was tried is part of the result
    return worlds


def test_a_run_killed_at_any_call_that_changes_the_disk_is_completed_or_undone(directory: Path) -> None:
    """Killed at such system calls of a run: every item is whole or in the trash, and the next run goes on."""
    for world in make_killed(directory, Sweep()):
        check_recovery(world, POLICY)


def test_without_a_trash_too_a_killed_run_leaves_no_item_half_there(directory: Path) -> None:
    """Nor a manifest: killed at each call that changes names or contents."""
    for world in make_killed(directory, Sweep(keep=0.0, calls=NAMING_CALLS)):
        check_recovery(world, replace(POLICY, trash=FOR_GOOD))


def test_a_file_system_that_cannot_exchange_names_is_as_safe(directory: Path) -> None:
    """Where RENAME_EXCHANGE isn't there, plain renames do, and at no moment is an index file missing."""
    for world in make_killed(directory, Sweep(calls=("rename", "linkat", "unlink"), options=(NO_EXCHANGE,))):
        assert {path.name for path in world.location.path.iterdir()} >= {META_NAME, *ARRAY_NAMES}
        check_recovery(world, POLICY)


@pytest.mark.parametrize("first", [Death("renameat2", 3), Death("renameat", 4), Death("unlinkat", 2)])
def test_a_recovery_that_is_killed_is_recovered(directory: Path, first: Death) -> None:
    """Killed between two exchanges, between two files, or tidying up; then the recovery, wherever it can be."""
    for world in make_killed(directory, Sweep(calls=NAMING_CALLS, after=(first,))):
        check_recovery(world, POLICY)
