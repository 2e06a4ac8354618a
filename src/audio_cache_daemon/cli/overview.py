"""`status`: each cache against its marks, what the service did and will do, and what is wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click

from audio_cache_daemon.cli.options import Choice, cache_options
from audio_cache_daemon.cli.screens import output, print_json, wants_json
from audio_cache_daemon.cli.target import choose_targets
from audio_cache_daemon.daemon.first_run import policy_hash
from audio_cache_daemon.daemon.overview import Overview, oversee, overview_as_json
from audio_cache_daemon.reporting.terminal import Screen, Symbol
from audio_cache_daemon.units import format_duration, format_size, format_time


@click.command()
@cache_options
def status(choice: Choice) -> None:
    """Show each cache against its marks, the last and the next run, and what is wrong; with a service or without."""
    now = time.time()
    overviews = [oversee(target, now) for target in choose_targets(choice)]
    if wants_json(choice):
        print_json({"caches": [overview_as_json(overview, now) for overview in overviews]})
        return
    for overview in overviews:
        _print(output(), overview, now)


def _print(screen: Screen, overview: Overview, now: float) -> None:
    settings, look = overview.target.settings, overview.look
    screen.fields(settings.location.name, _pairs(overview, now), Symbol.DIRECTORY)
    for mark in look.marks if look is not None else ():
        if mark.is_crossed:
            screen.line(f"above its mark: {mark}", Symbol.WARNING)
    for problem in overview.problems:
        screen.line(problem, Symbol.WARNING)


def _pairs(overview: Overview, now: float) -> Iterator[tuple[str, str]]:
    look, standing, pause = overview.look, overview.standing, overview.pause
    policy = overview.target.settings.policy
    yield "Policy", f"{policy.name} ({policy.mode}, {policy_hash(overview.target)})"
    until = f"until {format_time(pause.until)}" if pause.until is not None else "until `resume`"
    service = "running" if overview.is_kept else "not running"
    yield "Service", f"{service}, paused {until} by {pause.by}" if pause.holds(now) else service
    if look is not None:
        figures = look.statistics
        yield "Items", f"{figures.items:,}, {format_size(figures.audio_bytes)}"
        yield from ((f"Mark of {mark.name}", str(mark)) for mark in look.marks)
        if figures.pending:
            yield "Pending", f"{figures.pending:,} files, {format_size(figures.pending_bytes)}"
        yield "Trash", f"{look.trash_items:,} items, {format_size(look.trash_bytes)}"
    last = standing.last_run if standing is not None else None
    if last is not None:
        ago = format_duration(max(0.0, now - last.time))
        yield "Last run", f"{format_time(last.time)} ({ago} ago), {last.trigger}: {last.words}"
    if overview.next_run is not None:
        yield "Next run", f"{format_time(overview.next_run)} (in {format_duration(overview.next_run - now)})"
    else:
        yield "Next run", "when resumed" if pause.holds(now) else "none is scheduled"
