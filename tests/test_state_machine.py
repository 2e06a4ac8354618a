"""Additions, deaths, runs, restorations and rebuilds in any order: no item is lost, or played as another's sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from random import Random
from typing import Literal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.request import Listener
from dying import die_at
from endurance import SOAKING, directory_in_memory
from live_generator import Generator
from machine_world import KEEP, World

PROMPTS = [f"{kind} {thing}" for kind in ("rain", "wind", "birds", "steps") for thing in ("soft", "loud")]
Mode = Literal["live", "stopped"]

prompts = st.sampled_from(PROMPTS)
patterns = st.sampled_from(["rain", "wind", "soft", "loud", "rain|birds", "steps soft"])
steps = st.integers(1, 14)
deaths = st.integers(1, 150)
"""Before which of its changes a run dies; a small one doesn't come that far."""


class CacheMachine(RuleBasedStateMachine):
    """One cache, and all that happens to it. `world` knows what must hold."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.world = World(self._stack.enter_context(directory_in_memory()), PROMPTS)
        self.generator: Generator | None = None
        self.adding: Iterator[str] | None = None
        self.is_torn = False
        """Whether the generator died in an addition, or is in one: lines and vectors aren't equally many."""
        self.is_interrupted = False
        """Whether a run of ours died, and none went through since."""

    def teardown(self) -> None:
        try:
            self.kill_generator()
            self.mend()
            self._run_through("live")
            self.look()
        finally:
            self._stack.close()

    @invariant()
    def look(self) -> None:
        """What always holds; and, when nobody is in the middle of anything, that all is whole."""
        self.world.check_files()
        if self.generator is not None:
            self.world.check_lookups(self.generator, right=not self.grows)
        if not self.is_torn and not self.is_interrupted:
            self.world.check_items()
            self.world.check_start()

    @initialize(grows=st.booleans(), by_additions=st.booleans())
    def begin(self, *, grows: bool, by_additions: bool) -> None:
        """Only of a generator whose list doesn't grow may an addition prove anything."""
        self.grows = grows
        self.world.release_on = "addition" if by_additions and not grows else "restart"
        self.start_generator()

    @precondition(lambda self: self.generator is None and not self.is_torn and not self.is_interrupted)
    @rule()
    def start_generator(self) -> None:
        """It starts whatever we did, if its own files were whole."""
        location, started = self.world.location, self.world.started_file
        self.generator = Generator(location.path, location.audio_roots[0], grows=self.grows, started_file=started)
        self.generator.start()

    @precondition(lambda self: self.generator is not None)
    @rule()
    def kill_generator(self) -> None:
        """At whatever step it is."""
        self.generator = self.adding = None

    @precondition(lambda self: self.is_torn and self.generator is None)
    @rule()
    def mend(self) -> None:
        """A person takes the torn row away, and makes the arrays anew."""
        if self.is_torn:
            self.world.write_index([line for line in self.world.lines() if line in self.world.items])
            self.is_torn = False

    @precondition(lambda self: self.generator is not None)
    @rule(prompt=prompts, count=steps)
    def add(self, prompt: str, count: int) -> None:
        """Go on with an addition, or begin one; perhaps not to its end."""
        self._advance(prompt, count)

    @precondition(lambda self: self.generator is not None)
    @rule(prompt=prompts)
    def add_whole(self, prompt: str) -> None:
        while self.adding is not None:
            self._advance(prompt, 1)
        self._advance(prompt, 16)

    def _advance(self, prompt: str, count: int) -> None:
        if self.generator is None:
            return
        if self.adding is None:
            self.adding = self._addition(self.generator, prompt)
        for _ in range(count):
            if next(self.adding, None) is None:
                self.adding = None
                return

    def _addition(self, generator: Generator, prompt: str) -> Iterator[str]:
        take = self.world.next_take(prompt)
        for step in generator.add_steps(prompt, take):
            if step == "meta.jsonl":
                self.is_torn = True
            if step == "save bge_text.npy":
                self.is_torn = False
                self.world.learn(prompt, take, self.world.lines()[-1])
            yield step

    @rule(pattern=patterns, beside=st.integers(0, 12), prompt=prompts)
    def run_live(self, pattern: str, beside: int, prompt: str) -> None:
        """A generator that runs may go on between the run's look and its work."""
        is_sure = not self.is_torn and (not beside or self.generator is None)
        listener = Listener(planned=lambda _: self._advance(prompt, beside) if beside else None)
        report = self.world.run("live", pattern, self.world.request(), listener)
        if is_sure:
            assert report.error is None
        if report.error is None:
            self.is_interrupted = False

    @precondition(lambda self: self.generator is None)
    @rule(pattern=patterns)
    def run_stopped(self, pattern: str) -> None:
        report = self.world.run("stopped", pattern, self.world.request())
        assert self.is_torn or report.error is None
        if report.error is None:
            self.is_interrupted = False

    @precondition(lambda self: self.generator is None and not self.is_torn)
    @rule()
    def compact(self) -> None:
        self.world.compact(self.world.request())
        assert self.is_interrupted or not self.world.retired_in_index()

    @precondition(lambda self: self.world.restorable())
    @rule(mode=st.sampled_from(["live", "stopped"]), number=st.integers(0, 20))
    def restore(self, mode: Mode, number: int) -> None:
        """What is said to have come back is there, and is whole."""
        if self.generator is not None:
            mode = "live"
        try:
            lines = self.world.restore(mode, self._choose(number), self.world.request())
        except MaintenanceError:
            assert self.is_torn
            return
        assert set(lines) <= set(self.world.lines()) - self.world.retired_in_index()

    def _choose(self, number: int) -> str:
        runs = self.world.restorable()
        return runs[number % len(runs)]

    @rule()
    def let_time_pass(self) -> None:
        """The trash is emptied, and what was brought back may be taken again."""
        self.world.empty_trash(self.world.request())
        self.world.now += KEEP + 1.0

    @precondition(lambda self: self.generator is None and not self.is_torn and not self.is_interrupted)
    @rule(order=st.randoms(use_true_random=False), anew=st.booleans())
    def rebuild(self, order: Random, *, anew: bool) -> None:
        """Somebody else writes the rows in another order, perhaps as new files."""
        self.world.shuffle(order, anew=anew)

    @rule(mode=st.sampled_from(["live", "stopped"]), pattern=patterns, number=deaths)
    def die_in_run(self, mode: Mode, pattern: str, number: int) -> None:
        mode = "live" if self.generator is not None else mode
        request = self.world.request()
        self._die(number, lambda: self.world.run(mode, pattern, request))

    @precondition(lambda self: self.generator is None and not self.is_torn)
    @rule(number=deaths)
    def die_in_compaction(self, number: int) -> None:
        request = self.world.request()
        self._die(number, lambda: self.world.compact(request))

    @precondition(lambda self: self.world.restorable())
    @rule(mode=st.sampled_from(["live", "stopped"]), chosen=st.integers(0, 20), number=deaths)
    def die_in_restoration(self, mode: Mode, chosen: int, number: int) -> None:
        mode = "live" if self.generator is not None else mode
        request, run = self.world.request(), self._choose(chosen)
        self._die(number, lambda: self.world.restore(mode, run, request))

    @rule(number=deaths)
    def die_while_emptying(self, number: int) -> None:
        request = self.world.request()
        self.world.give_up_trash()
        self._die(number, lambda: self.world.empty_trash(request))

    def _die(self, number: int, work: Callable[[], object]) -> None:
        def endure() -> None:
            with suppress(MaintenanceError):
                work()

        self.is_interrupted |= die_at(number, endure)

    @precondition(lambda self: self.is_interrupted)
    @rule(mode=st.sampled_from(["live", "stopped"]))
    def run_again(self, mode: Mode) -> None:
        """After a death the next run puts all right."""
        self._run_through("live" if self.generator is not None else mode)

    def _run_through(self, mode: Mode) -> None:
        report = self.world.run(mode, "", self.world.request())
        assert self.is_torn or report.error is None
        self.is_interrupted &= report.error is not None


TestCacheMachine = CacheMachine.TestCase
TestCacheMachine.settings = settings(
    max_examples=500 if SOAKING else 12,
    stateful_step_count=60 if SOAKING else 25,
    derandomize=not SOAKING,
    database=None,
    suppress_health_check=list(HealthCheck),
)
