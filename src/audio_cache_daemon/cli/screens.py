"""Where a command's result goes, and how its progress is shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from audio_cache_daemon.cli.options import Choice
from audio_cache_daemon.maintenance import Progress
from audio_cache_daemon.reporting.terminal import ProgressBar, Screen, screen_for, write_json


def output() -> Screen:
    """The screen for results."""
    return screen_for(sys.stdout, os.environ)


def messages() -> Screen:
    """The screen for everything that isn't the result."""
    return screen_for(sys.stderr, os.environ)


def wants_json(choice: Choice) -> bool:
    """Whether the result is to be one JSON object."""
    return choice.format == "json"


def print_json(value: object) -> None:
    """Print a result as one JSON object."""
    write_json(sys.stdout, value)


def is_interactive() -> bool:
    """Whether somebody is there to answer a question."""
    return sys.stdin.isatty()


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """A bar for each step of the work, on a terminal."""
    screen = messages()
    with ExitStack() as stack:
        current: tuple[str, ProgressBar] | None = None
        shown = 0

        def show(step: str, done: int, total: int | None) -> None:
            nonlocal current, shown
            if current is None or current[0] != step:
                stack.close()
                current, shown = (step, stack.enter_context(screen.progress(step, total))), 0
            # A terminal can't be read faster than this, and drawing is not free.
            if done - shown >= max(1, (total or 0) // 100):
                current[1].advance(done - shown)
                shown = done

        yield show
