"""`status`: each cache against its marks, what the service did and will do, and what is wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import click

from audio_cache_daemon.cli.options import Choice, cache_options
from audio_cache_daemon.cli.screens import output, print_json, wants_json
from audio_cache_daemon.cli.target import choose_targets
from audio_cache_daemon.daemon.first_run import policy_hash
from audio_cache_daemon.daemon.look import Look, look_at
from audio_cache_daemon.daemon.notes import Pause, Standing, load_accepted, load_pause, load_standing
from audio_cache_daemon.daemon.presence import is_kept
from audio_cache_daemon.daemon.timetable import next_time
from audio_cache_daemon.daemon.words import AGAIN_AND_AGAIN
from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.recovery import interrupted_run
from audio_cache_daemon.reporting.terminal import Screen, Symbol
from audio_cache_daemon.request import Target
from audio_cache_daemon.units import format_duration, format_size, format_time


@dataclass(frozen=True, slots=True)
class _Overview:
    """What is known of one cache. `look` is None when it can't be seen; `problems` say why."""

    target: Target
    look: Look | None
    standing: Standing | None
    pause: Pause
    is_kept: bool
    next_run: float | None
    problems: tuple[str, ...]


@click.command()
@cache_options
def status(choice: Choice) -> None:
    """Show each cache against its marks, the last and the next run, and what is wrong; with a service or without."""
    now = time.time()
    overviews = [_oversee(target, now) for target in choose_targets(choice)]
    if wants_json(choice):
        print_json({"caches": [_as_json(overview, now) for overview in overviews]})
        return
    for overview in overviews:
        _print(output(), overview, now)


def _oversee(target: Target, now: float) -> _Overview:
    location, schedule = target.settings.location, target.settings.policy.schedule
    problems: list[str] = []
    look, standing, pause = None, None, Pause()
    try:
        standing, pause = load_standing(location), load_pause(location)
        look = look_at(target, now)
        problems += look.problems
        interrupted = interrupted_run(location)
        if interrupted is not None:
            problems.append(f"run {interrupted} was interrupted; the next run puts that right first")
    except (MaintenanceError, OSError) as error:
        problems.append(str(error))
    problems += _standing_problems(target, standing)
    due = next_time(schedule, now) if schedule is not None else None
    if due is not None and pause.paused and pause.holds(due) and schedule is not None:
        due = next_time(schedule, pause.until) if pause.until is not None else None
    return _Overview(target, look, standing, pause, is_kept(location), due, tuple(problems))


def _standing_problems(target: Target, standing: Standing | None) -> Iterator[str]:
    if standing is None:
        return
    awaiting = standing.awaiting
    if awaiting is not None and awaiting.hash == policy_hash(target) and not _is_accepted(target, awaiting.hash):
        yield f"its policy is new, would evict {awaiting.words}, and waits for accept-policy {awaiting.hash}"
    if standing.vanishings >= AGAIN_AND_AGAIN:
        looks = standing.vanishings
        yield f"{standing.vanished:,} files vanished without the service, in {looks} looks: who else cleans?"
    if standing.last_run is not None and standing.last_run.result in ("failed", "refused"):
        yield f"the last run ended with: {standing.last_run.words}"


def _is_accepted(target: Target, policy: str) -> bool:
    try:
        return policy in load_accepted(target.settings.location)
    except MaintenanceError:
        return False


def _as_json(overview: _Overview, now: float) -> dict[str, object]:
    target, look, standing = overview.target, overview.look, overview.standing
    settings, pause = target.settings, overview.pause
    figures = look.statistics if look is not None else None
    last = standing.last_run if standing is not None else None
    return {
        "cache": settings.location.name,
        "path": settings.location.path,
        "policy": settings.policy.name,
        "policy_hash": policy_hash(target),
        "mode": settings.policy.mode,
        "service": overview.is_kept,
        "paused": pause.holds(now),
        "paused_until": _moment(pause.until if pause.holds(now) else None),
        "items": figures.items if figures else None,
        "bytes": figures.audio_bytes if figures else None,
        "marks": {mark.name: {"value": mark.value, "limit": mark.limit, "goal": mark.goal, "crossed": mark.is_crossed}
                  for mark in look.marks} if look else None,
        "missing": figures.missing if figures else None,
        "retired": figures.retired if figures else None,
        "pending": {"items": figures.pending, "bytes": figures.pending_bytes} if figures else None,
        "trash": {"items": look.trash_items, "bytes": look.trash_bytes} if look else None,
        "last_run": {"run": last.run, "trigger": last.trigger, "time": _moment(last.time), "result": last.result,
                     "words": last.words} if last else None,
        "last_success": _moment(standing.last_success if standing is not None else None),
        "next_run": _moment(overview.next_run),
        "awaiting": standing.awaiting.hash if standing is not None and standing.awaiting is not None else None,
        "vanished": standing.vanished if standing is not None else 0,
        "problems": overview.problems,
    }  # fmt: skip


def _print(screen: Screen, overview: _Overview, now: float) -> None:
    settings, look = overview.target.settings, overview.look
    screen.fields(settings.location.name, _pairs(overview, now), Symbol.DIRECTORY)
    for mark in look.marks if look is not None else ():
        if mark.is_crossed:
            screen.line(f"above its mark: {mark}", Symbol.WARNING)
    for problem in overview.problems:
        screen.line(problem, Symbol.WARNING)


def _pairs(overview: _Overview, now: float) -> Iterator[tuple[str, str]]:
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


def _moment(timestamp: float | None) -> str | None:
    return None if timestamp is None else format_time(timestamp)
