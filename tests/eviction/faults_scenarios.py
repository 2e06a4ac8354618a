"""What changes a cache: each step that is interrupted, what was before it, and what is done about it afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import TypeAlias

import msgspec
from cache_runs import FOR_GOOD, audio_files
from faults_world import NOTHING, POLICY, STRAY, Fate, World
from msgspec.structs import replace

from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.errors import ConfigError, MaintenanceError
from audio_cache_daemon.eviction.trash import list_trash
from audio_cache_daemon.findings import RepairChoice
from audio_cache_daemon.location import META_NAME, STATE_DIRECTORY
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.manifest import TRASH
from audio_cache_daemon.repairing import repair_cache
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.retention.policy import Policy
from audio_cache_daemon.undo import empty_trash, restore_from_trash
from builders import DAY, NOW

Step: TypeAlias = Callable[[World], str | None]
"""Something done to a cache; in words why it couldn't be done, or None."""

STOPPED = WriterSettings(mode="stopped")
FAILED = "some evictions failed"
"""What a run says, in numbers, of files that it couldn't take away: their rows are gone all the same."""


class Scenario(msgspec.Struct, frozen=True):
    """A step that is interrupted, and the steps that are done then, of which the first is the next run.

    In the end all that was to go has this `fate`, and its files are in their places if they are `pending`. Until then
    what went can be brought back if it is `saved`. On a file system `without_exchange` names can't be exchanged.
    Of an index that `begins_broken` nothing holds until it is repaired. While the generator `is_stopped_for_it` alone
    the index may be another than it has in memory.
    """

    step: Step
    then: tuple[Step, ...]
    fate: Fate
    before: tuple[Step, ...] = ()
    pending: bool = False
    saved: bool = True
    without_exchange: bool = False
    begins_broken: bool = False
    is_stopped_for_it: bool = False

    def check_end(self, world: World, found: list[Fate], said: str | None = None) -> None:
        """What was to be achieved is achieved, but for files that the step `said` it couldn't take away."""
        assert {found[row] for row in world.drops} == {self.fate}
        own = {world.paths[row] for row in world.drops} - {
            world.paths[row] for row in range(len(found)) if row not in world.drops
        }
        left = own & set(audio_files(world.location))
        if self.pending or self.fate == Fate.WHOLE:
            assert left == own, "a file is not in its place"
        elif said != FAILED:
            assert not left, "a file is still in its place"
            assert not (world.location.audio_roots[0] / STRAY).exists(), "a leftover is still there"


def live(world: World, *, commands: Collection[str] = ()) -> WriterSettings:
    """The settings for a generator that tells when it was started, and for some of its commands."""
    generator, meta = world.generator, world.location.path / META_NAME
    known: dict[str, tuple[str, ...]] = {
        "stop": ("rm", "-f", f"{generator}/running"),
        "start": ("sh", "-c", f"cp {meta} {generator}/loaded && touch {generator}/started {generator}/running"),
        "reload": ("cp", str(meta), f"{generator}/loaded"),
    }
    stop, start, reload = (command if name in commands else () for name, command in known.items())
    return WriterSettings(mode="live", started_file=generator / "started", stop=stop, start=start, reload=reload)


def run(name: str, *, commands: Collection[str] | None = (), policy: Policy = POLICY, now: float = NOW) -> Step:
    """A run under a generator with some commands, or (None) one that is stopped."""

    def step(world: World) -> str | None:
        writer = STOPPED if commands is None else live(world, commands=commands)
        report = run_maintenance(_target(world, writer, policy), RunRequest(now, name), lambda: now)
        assert report.error is None or isinstance(report.error, MaintenanceError)
        if report.error is None:
            return FAILED if report.outcome is not None and report.outcome.failed else None
        return str(report.error)

    return step


def stopped(name: str, policy: Policy = POLICY, now: float = NOW) -> Step:
    return run(name, commands=None, policy=policy, now=now)


def start_generator(world: World) -> str | None:
    """What an operator does."""
    (world.generator / "started").touch()
    os.utime(world.generator / "started", (200, 200))
    (world.generator / "loaded").write_bytes((world.location.path / META_NAME).read_bytes())
    return None


def restore(name: str, *, is_live: bool, wanted: Collection[int] = ()) -> Step:
    """Bring a run's items back, or some of them; that it left the trash before is as good."""

    def step(world: World) -> str | None:
        target = _target(world, live(world) if is_live else STOPPED, POLICY)
        paths = [str(world.paths[row]) for row in wanted]
        try:
            restored = restore_from_trash(target, RunRequest(NOW, f"{name}-back"), name, paths, lambda: NOW)
        except ConfigError:
            return None
        except (MaintenanceError, OSError) as error:
            return str(error)
        return "; ".join(problem for _, problem in restored.problems) or None

    return step


def empty(world: World) -> str | None:
    """Remove all that is in the trash, for good."""
    target = _target(world, STOPPED, POLICY)
    try:
        return "; ".join(empty_trash(target, RunRequest(NOW, "empty"), list_trash(world.location), lambda: NOW)) or None
    except (MaintenanceError, OSError) as error:
        return str(error)


def check_empty(world: World) -> str | None:
    """Say what lies in the trash still; of the sounds, for an empty directory beside them is nothing to be missed."""
    files = (world.location.audio_roots[0] / STATE_DIRECTORY / TRASH).glob("*/*")
    left = [str(path) for path in (*(world.location.state_directory / TRASH).glob("*"), *files)]
    return f"still there: {left}" if left else None


def mark_loaded(world: World) -> str | None:
    """A stopped generator is started by hand."""
    (world.generator / "loaded").write_bytes((world.location.path / META_NAME).read_bytes())
    return None


def break_index(world: World) -> str | None:
    """Leave what a generator leaves that is killed after it appended a line, before it saved an array."""
    with (world.location.path / META_NAME).open("ab") as file:
        file.write(world.items[0].line.replace(b"drop", b"more"))
    return None


def repair(name: str) -> Step:
    """Repair the index, while the generator is stopped; each time under another name, as runs have."""

    def step(world: World) -> str | None:
        target = _target(world, STOPPED, POLICY)
        before = len(list(world.location.state_directory.glob("repairs/*")))
        try:
            repaired = repair_cache(target, RunRequest(NOW, f"{name}-{before}"), RepairChoice(), lambda: NOW)
        except (MaintenanceError, OSError) as error:
            return str(error)
        return "there is more to repair" if repaired.after.plan.repairs else None

    return step


def _target(world: World, writer: WriterSettings, policy: Policy) -> Target:
    settings = CacheSettings(world.location, policy, writer)
    return Target(settings, world.location.state_directory / "audit.jsonl")


_FOR_GOOD = replace(POLICY, trash=FOR_GOOD)
_OLD = NOW + POLICY.trash.keep + DAY
_STOP = ("stop", "start")

SCENARIOS = {
    "retire": Scenario(run("one"), (run("two"),), Fate.ZERO, pending=True),
    "release": Scenario(run("two"), (run("three"),), Fate.ZERO, before=(run("one"), start_generator)),
    "release for good": Scenario(
        run("two", policy=_FOR_GOOD),
        (run("three", policy=_FOR_GOOD),),
        Fate.ZERO,
        before=(run("one", policy=_FOR_GOOD), start_generator),
        saved=False,
    ),
    "compact in a stopped run": Scenario(
        stopped("two"), (stopped("three"), mark_loaded), Fate.GONE, before=(run("one"),)
    ),
    "stop and start the generator": Scenario(run("one", commands=_STOP), (run("two", commands=_STOP),), Fate.GONE),
    "reload the generator": Scenario(
        run("two", commands=("reload",)),
        (run("three", commands=("reload",)),),
        Fate.GONE,
        before=(run("one"),),
        pending=True,
    ),
    "restore pending": Scenario(
        restore("one", is_live=True),
        (run("two", policy=NOTHING), restore("one", is_live=True)),
        Fate.WHOLE,
        before=(run("one"),),
    ),
    "restore released": Scenario(
        restore("one", is_live=True),
        (run("three", policy=NOTHING), restore("one", is_live=True)),
        Fate.WHOLE,
        before=(run("one"), start_generator, run("two")),
    ),
    "restore some, stopped": Scenario(
        restore("one", is_live=False, wanted=(2,)),
        (stopped("three", NOTHING), restore("one", is_live=False), mark_loaded),
        Fate.WHOLE,
        before=(run("one"), start_generator, run("two")),
    ),
    "restore dropped": Scenario(
        restore("one", is_live=False),
        (stopped("two", NOTHING), restore("one", is_live=False), mark_loaded),
        Fate.WHOLE,
        before=(stopped("one"),),
    ),
    "empty the trash": Scenario(
        empty,
        (stopped("two", NOTHING), empty, check_empty, mark_loaded),
        Fate.GONE,
        before=(stopped("one"),),
        saved=False,
    ),
    "empty the trash of released": Scenario(
        empty,
        (run("three", policy=NOTHING), empty, check_empty),
        Fate.ZERO,
        before=(run("one"), start_generator, run("two")),
        saved=False,
    ),
    "trash too old": Scenario(
        stopped("two", NOTHING, _OLD),
        (stopped("three", NOTHING, _OLD), check_empty, mark_loaded),
        Fate.GONE,
        before=(stopped("one"),),
        saved=False,
    ),
    "stopped run": Scenario(stopped("one"), (stopped("two"), mark_loaded), Fate.GONE),
    "stopped run without trash": Scenario(
        stopped("one", _FOR_GOOD), (stopped("two", _FOR_GOOD), mark_loaded), Fate.GONE, saved=False
    ),
    "repair": Scenario(
        repair("one"),
        (repair("two"), stopped("three", NOTHING), mark_loaded),
        Fate.WHOLE,
        before=(break_index,),
        begins_broken=True,
    ),
    "stopped run, names exchanged by renames": Scenario(
        stopped("one"), (stopped("two"), mark_loaded), Fate.GONE, without_exchange=True
    ),
}
