"""Where a command's result goes, and everything else that it says."""

from __future__ import annotations

import os
import sys

from audio_cache_daemon.cli.options import Choice
from audio_cache_daemon.reporting.terminal import Screen, screen_for, write_json


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
