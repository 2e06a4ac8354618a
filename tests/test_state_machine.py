"""Additions, deaths, runs, restorations and rebuilds in any order: no item is ever lost, or played as another's sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any, Literal

import pytest
from dying import die_at
from endurance import SOAKING, directory_in_memory
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from live_generator import Generator, StartError
from machine_world import KEEP, World

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.model import RunReport
from audio_cache_daemon.request import Listener

PROMPTS = [f"{kind} {thing}" for kind in ("rain", "wind", "birds", "steps") for thing in ("soft", "loud")]
patterns = st.sampled_from(["rain", "wind", "soft", "loud", "rain|birds", "steps soft"])
modes = st.sampled_from(["live", "stopped"])
Mode = Literal["live", "stopped"]


class CacheMachine(RuleBasedStateMachine):
    """One cache. Whoever evicts under a generator has to live with all that it does; `world` knows what must hold."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.world = World(self._stack.enter_context(directory_in_memory()), PROMPTS)
        self.generator: Generator | None = None
        self.adding: Iterator[str] = iter(())
        self.is_adding = False
        self.is_torn = False
        """Whether a generator died in an addition and left an index that isn't whole."""
        self.is_interrupted = False
        """Whether a run of ours died, and none went through since."""

    def teardown(self) -> None:
        try:
            self._finish()
        finally:
            self._stack.close()

    def _finish(self) -> None:
        """Whatever happened before: one more run, and all is as it should be."""
        self.stop_generator()
        self.mend()
        self.is_interrupted = False
        assert self._run("live", "").error is None
        self.look()

    @initialize(grows=st.booleans(), by_additions=st.booleans())
    def begin(self, *, grows: bool, by_additions: bool) -> None:
        self.grows = grows
        self.release_on: Any = "addition" if by_additions and not grows else "restart"
        self.start_generator()

    def start_generator(self) -> None:
        """Harmless to the generator whatever we did: it can start if its own files were whole."""
        location = self.world.location
        self.generator = Generator(
            location.path, location.audio_roots[0], grows=self.grows, started_file=self.world.started_file
        )
        self.generator.start()

    def stop_generator(self) -> None:
        """Maybe in the middle of an addition."""
        if self.is_adding:
            self.is_adding = False
            self.is_torn = True
        self.generator = None

    def mend(self) -> None:
        """Somebody takes the last line away, and makes the arrays anew."""
        if self.is_torn:
            self.world.write_index([line for line in self.world.lines() if line in self.world.items])
            self.is_torn = False

    def _step(self, steps: int) -> None:
        for _ in range(steps if self.is_adding else 0):
            if next(self.adding, None) is None:
                self.is_adding = False

    def _begin(self, prompt: str) -> None:
        assert self.generator is not None
        self.adding, self.is_adding = self._add(self.generator, prompt), True

    def _add(self, generator: Generator, prompt: str) -> Iterator[str]:
        take, before = self.world.next_take(prompt), self.world.lines()
        for step in generator.add_steps(prompt, take):
            if step == "save bge_text.npy":
                # Complete on the disk, though not yet in memory.
                self.world.learn(prompt, take, self.world.lines()[-1])
            yield step
        del before

    def _run(self, mode: Mode, pattern: str, beside: int = 0) -> RunReport:
        ...
