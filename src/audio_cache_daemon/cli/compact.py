"""`compact`: drops the rows of retired items."""

from __future__ import annotations

import time

import click

from audio_cache_daemon.cli.options import Choice, cache_options
from audio_cache_daemon.cli.screens import output, print_json, wants_json
from audio_cache_daemon.cli.status import ExitStatus
from audio_cache_daemon.cli.target import choose_target, new_request
from audio_cache_daemon.compaction import compact_cache
from audio_cache_daemon.reporting.terminal import Symbol
from audio_cache_daemon.undo import locked_log
from audio_cache_daemon.units import format_size


@click.command()
@cache_options
def compact(choice: Choice) -> int:
    """Drop the rows of retired items from the index, while the generator is stopped.

    It is stopped and started, or reloaded, as the configuration says; else say --writer-stopped.
    """
    target, request = choose_target(choice), new_request(choice)
    with locked_log(target, request, time.time) as log:
        compacted = compact_cache(target, request, log)
    dropped, released = compacted.dropped, compacted.released
    if wants_json(choice):
        counts = {"rows": dropped.rows, "files": released.files, "bytes": released.bytes, "failed": released.failed}
        print_json({"cache": target.settings.location.name, **counts})
    else:
        text = f"dropped {dropped.rows:,} retired rows; {released.files:,} of their files went"
        output().line(f"{text}, {format_size(released.bytes)}", Symbol.SUCCESS)
        for warning in compacted.warnings():
            output().line(warning, Symbol.WARNING)
    return ExitStatus.PARTLY if released.failed else ExitStatus.DONE
