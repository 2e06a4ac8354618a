"""Whatever changes a cache may be killed, or refused, at each call that changes the disk: no item is half there then.

Each item is whole or evicted, what was evicted can be brought back, what was to stay has its row, its vectors and its
file, a generator could start, and the next run goes on from there. See Scenario for what is interrupted.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from child_run import environment
from faults_calls import Call, HeldThread
from faults_scenarios import SCENARIOS
from faults_sweep import Sweep, Tally, both_errors, one_error, sweep_errors, sweep_kills, sweep_recoveries
from faults_table import CALLS, HARMLESS, OPENAT
from strace import trace_all

from endurance import SOAKING, directory_in_memory

pytestmark = pytest.mark.slow

SHOWN = 10
"""So many violations are told in full."""

RECOVERED = SCENARIOS if SOAKING else ("retire", "compact in a stopped run")
"""Whose recovery is killed as well: of the others, too, by `make soak`."""

REFUSED = (
    SCENARIOS
    if SOAKING
    else (*RECOVERED, "release", "restore released", "restore dropped", "empty the trash", "stopped run", "repair")
)
"""Whose calls are refused: the others make the same ones in another order, and are left to `make soak`."""


@contextmanager
def sweeping(name: str) -> Iterator[tuple[Sweep, Tally]]:
    """A sweep of a scenario, which must not find anything."""
    tally = Tally()
    with directory_in_memory() as directory, HeldThread(directory / "world") as thread:
        yield Sweep(SCENARIOS[name], directory, thread), tally
    print(f"{name}: {tally.points} calls, {tally.moments} states, {len(tally.violations)} violations")  # noqa: T201 -- how much was tried is part of the result
    assert tally.points > 0
    assert not tally.violations, "\n".join([f"{len(tally.violations)} violations:", *tally.violations[:SHOWN]])


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_run_that_is_killed_anywhere_is_completed_or_undone_by_the_next(name: str) -> None:
    """At each call that changes the disk. What was evicted comes back then, byte by byte."""
    with sweeping(name) as (sweep, tally):
        sweep_kills(sweep, tally)


@pytest.mark.parametrize("name", RECOVERED)
def test_a_recovery_that_is_killed_anywhere_is_recovered(name: str) -> None:
    """A run is killed at each call, then the next one at each of its calls: the one after that does."""
    with sweeping(name) as (sweep, tally):
        sweep_recoveries(sweep, sweep.kills(sweep.scenario.step, tally), tally)


@pytest.mark.parametrize("name", REFUSED)
def test_a_call_that_is_refused_loses_nothing(name: str) -> None:
    """At each call the disk is full, or broken: nothing is lost right then, and the next run goes on."""
    with sweeping(name) as (sweep, tally):
        sweep_errors(sweep, both_errors if SOAKING else one_error, tally)


def test_what_the_sweeps_take_for_killed_is_what_a_killed_process_leaves() -> None:
    """At each call of a run a process is killed in earnest, and the disk compared with what was kept there."""
    with directory_in_memory() as directory:
        with HeldThread(directory / "world") as thread:
            sweep = Sweep(SCENARIOS["release"], directory, thread)
            kept = sweep.kills(sweep.scenario.step, Tally())
            calls = sweep.calls()
        for call in calls:
            sweep.disk.bring_back(sweep.begin)
            kill_at(sweep, call, directory)
            expected = [state.moment for state in kept if state.call.number <= call.number][-1]
            assert sweep.disk.keep().digest() == expected.digest(), call


def kill_at(sweep: Sweep, call: Call, directory: Path) -> None:
    """Let a process enter a call and die."""

    def watch(entered: Call) -> int:
        if entered == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    with warnings.catch_warnings():
        # Newer Pythons warn of forks beside threads: those of numpy's library, which nothing here waits for.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if process == 0:
        try:
            with HeldThread(directory / "world") as thread:
                thread.run(lambda: sweep.scenario.step(sweep.world), watch)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("name", ["stop and start the generator", "restore dropped"])
def test_strace_sees_no_call_that_changes_the_disk_and_is_not_held(name: str, tmp_path: Path) -> None:
    """As many of each kind; and none that no table of calls knows, since it might change the disk."""
    trace = tmp_path / "trace"
    command = [sys.executable, str(Path(__file__).with_name("faults_traced.py")), name, str(tmp_path)]
    held = msgspec.json.decode(trace_all(trace, command, environment()), type=dict[str, int])
    lines = re.findall(r"^(\d+) +((\w+)\(.*)$", trace.read_text(errors="replace"), re.MULTILINE)
    others = [(line, call) for process, line, call in lines if process != lines[0][0]]
    seen = Counter(call for line, call in others if f"{tmp_path}/world" in line and changes_disk(line, call))
    assert seen == held
    assert {call for _, call in others} <= CALLS.keys() | HARMLESS


def changes_disk(line: str, call: str) -> bool:
    return call in CALLS and (call != OPENAT or re.search("O_CREAT|O_TRUNC", line) is not None)
