"""A scenario interrupted at each call that changes the disk, and what is made of it then.

A killed process leaves on the disk what is there when it enters the call. So that is kept, call by call, and then
brought back: one run gives all points. An error is given to the run itself.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from faults_calls import Call, HeldThread
from faults_disk import Disk, Moment
from faults_scenarios import Scenario, Step
from faults_table import FLUSHES, TAKES_ROOM
from faults_world import World, bring_all_back, check_items, check_settled, make_world

from audio_cache_daemon.location import ARRAY_NAMES, META_NAME

_EXCHANGE = "renameat2"


@dataclass
class Tally:
    """How many calls were interrupted, how many different things the disk held then, and what went wrong."""

    points: int = 0
    moments: int = 0
    violations: list[str] = field(default_factory=list)

    @contextmanager
    def trying(self, where: object) -> Iterator[None]:
        """Whatever fails is a violation."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 -- all that goes wrong is told, at once
            self.violations.append(f"{where}: {type(error).__name__}: {str(error)[:600]}")


@dataclass(frozen=True)
class Interrupted:
    """A run that was killed on entering a call, and what it left."""

    call: Call
    moment: Moment


class Sweep:
    """A world in which a scenario can be begun again and again."""

    def __init__(self, scenario: Scenario, directory: Path, thread: HeldThread) -> None:
        self.scenario = scenario
        self._thread = thread
        (directory / "world").mkdir()
        self.world: World = make_world(directory / "world")
        for step in scenario.before:
            assert step(self.world) is None
        self.disk = Disk(directory / "world", directory / "vault")
        self.begin = self.disk.keep()

    def kills(self, step: Step, tally: Tally) -> list[Interrupted]:
        """What a step leaves when it is killed at each of its calls, from how things are now; the same once."""
        found: list[Interrupted] = []
        is_same = False

        def watch(call: Call) -> int:
            nonlocal is_same
            tally.points += 1
            moment = found[-1].moment if is_same else self.disk.keep()
            if not found or found[-1].moment != moment:
                found.append(Interrupted(call, moment))
            is_same = call.name in FLUSHES
            return self._refusal(call)

        self._thread.run(lambda: step(self.world), watch)
        return found

    def calls(self) -> list[Call]:
        """The calls of the step, begun anew and not disturbed."""
        found: list[Call] = []

        def watch(call: Call) -> int:
            found.append(call)
            return self._refusal(call)

        self.disk.bring_back(self.begin)
        self._thread.run(lambda: self.scenario.step(self.world), watch)
        return found

    def fail(self, number: int, code: int) -> tuple[Call | None, str | None]:
        """Begin anew, and let the step's call of that number fail: which call that was, and what the step said.

        None for the call when the step makes fewer.
        """
        failed: list[Call] = []

        def watch(call: Call) -> int | None:
            if call.number == number:
                failed.append(call)
                return code
            told_enough = call.number > number and not self.scenario.without_exchange
            return None if told_enough else self._refusal(call)

        self.disk.bring_back(self.begin)
        said = self._thread.run(lambda: self.scenario.step(self.world), watch)
        return (failed[0] if failed else None), said

    def check_now(self) -> None:
        """The promise that holds right after an error: nothing was lost, and a generator could start."""
        if not self.scenario.begins_broken:
            check_items(self.world, saved=self.scenario.saved, settled=False)

    def check_after(self, *, back: bool, said: str | None = None) -> None:
        """The promise after the next run; then what was to be achieved, and, if asked for, that all comes back.

        `said` is what the step said that was disturbed.
        """
        for place, step in enumerate(self.scenario.then):
            error = step(self.world)
            assert error is None, f"step {place} afterwards failed: {error}"
            found = check_items(self.world, saved=self.scenario.saved, settled=True)
        check_settled(self.world, found)
        self.scenario.check_end(self.world, found, said)
        if back and self.scenario.saved:
            bring_all_back(self.world)

    def _refusal(self, call: Call) -> int:
        return errno.EINVAL if self.scenario.without_exchange and call.name == _EXCHANGE else 0


def sweep_kills(sweep: Sweep, tally: Tally) -> list[Interrupted]:
    """Kill the step at each call; the next run must do."""
    killed = sweep.kills(sweep.scenario.step, tally)
    for interrupted in killed:
        tally.moments += 1
        with tally.trying(f"killed at {interrupted.call}"):
            sweep.disk.bring_back(interrupted.moment)
            names = {path.name for path in sweep.world.location.path.iterdir()}
            assert names >= {META_NAME, *ARRAY_NAMES}, "an index file is missing"
            if sweep.scenario.is_stopped_for_it:
                assert sweep.world.is_loaded or not sweep.world.is_running, "the generator runs beside another index"
            sweep.check_after(back=True)
    return killed


def sweep_recoveries(sweep: Sweep, killed: Iterable[Interrupted], tally: Tally) -> None:
    """Kill the next run too, at each of its calls; the one after it must do."""
    tried: set[int] = set()
    recovered: set[int] = set()
    for first in killed:
        digest = first.moment.digest()
        if digest in recovered:
            continue
        recovered.add(digest)
        sweep.disk.bring_back(first.moment)
        for second in sweep.kills(sweep.scenario.then[0], tally):
            digest = second.moment.digest()
            if digest in tried:
                continue
            tried.add(digest)
            tally.moments += 1
            with tally.trying(f"killed at {first.call}, then at {second.call}"):
                sweep.disk.bring_back(second.moment)
                sweep.check_after(back=False)


def sweep_errors(sweep: Sweep, errors: Callable[[Call], Collection[int]], tally: Tally) -> None:
    """Let each call fail with each of its errors; the run says so, nothing is lost, and the next run must do."""
    for call in sweep.calls():
        for code in errors(call):
            tally.points += 1
            with tally.trying(f"{errno.errorcode[code]} at {call}"):
                failed, said = sweep.fail(call.number, code)
                assert failed is not None, "there was no such call"
                sweep.check_now()
                sweep.check_after(back=False, said=said)


def one_error(call: Call) -> Collection[int]:
    """The error that is the likelier: the disk is full, or it is broken."""
    return (errno.ENOSPC if call.name in TAKES_ROOM else errno.EIO,)


def both_errors(call: Call) -> Collection[int]:
    del call
    return (errno.ENOSPC, errno.EIO)
