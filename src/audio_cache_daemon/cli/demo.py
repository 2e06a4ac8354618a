"""`demo`: a cache to try everything on."""

from __future__ import annotations

import time
from pathlib import Path

import click

from audio_cache_daemon.cli.options import Choice, cache_options
from audio_cache_daemon.cli.screens import messages, output, print_json, wants_json
from audio_cache_daemon.demo.generate import make_demo_cache
from audio_cache_daemon.reporting.terminal import Symbol


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@cache_options
def demo(choice: Choice, directory: Path) -> None:
    """Make a small cache of real sounds, with every fault of real caches and a configuration, in DIRECTORY."""
    messages().line("making sounds...", Symbol.AUDIO)
    made = make_demo_cache(directory, time.time())
    if wants_json(choice):
        print_json({"config": made.config, "caches": {"exhibit": made.exhibit.path, "damaged": made.damaged.path}})
        return
    output().line(f"a demo cache is in {directory}; try:", Symbol.SUCCESS)
    for command in ("stats", "run-once --cache exhibit --dry-run", "run-once --cache exhibit", "audit --limit 10"):
        output().line(f"  audio-cache-daemon --config {made.config} {command}")
