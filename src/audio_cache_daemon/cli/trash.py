"""`trash`: what runs evicted and is still there."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click

from audio_cache_daemon.cli.options import Choice, cache_options
from audio_cache_daemon.cli.screens import is_interactive, messages, output, print_json, wants_json
from audio_cache_daemon.cli.status import ExitStatus
from audio_cache_daemon.cli.target import choose_target, choose_targets, new_request
from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.eviction.trash import TrashedRun, list_pending, list_trash
from audio_cache_daemon.reporting.terminal import Column, Symbol
from audio_cache_daemon.request import Target
from audio_cache_daemon.undo import empty_trash, restore_from_trash
from audio_cache_daemon.units import format_size, format_time

_PENDING = "files in place"


@click.group()
def trash() -> None:
    """List, bring back or remove for good what runs evicted: rows, vectors and files."""


@trash.command(name="list")
@cache_options
def list_runs(choice: Choice) -> None:
    """List the runs in the trash, oldest first, and until when they stay."""
    targets = choose_targets(choice)
    if wants_json(choice):
        print_json({"caches": [_as_json(target) for target in targets]})
        return
    for target in targets:
        runs = [*_list_runs(target)]
        output().heading(f"{target.settings.location.name}: {len(runs)} runs in the trash", Symbol.REMOVAL)
        columns = (
            Column("run"),
            Column("evicted", style="cyan"),
            Column("until"),
            Column("items", "right"),
            Column("size", "right"),
        )
        rows = [
            (run.run, format_time(run.time), until or _PENDING, f"{run.items:,}", format_size(run.bytes))
            for run, until in runs
        ]
        output().table(columns, rows)


def _list_runs(target: Target) -> Iterator[tuple[TrashedRun, str | None]]:
    """What can be brought back, and until when; None while its files are still in their places."""
    location, keep = target.settings.location, target.settings.policy.trash.keep
    for run in list_trash(location):
        yield run, format_time(run.time + keep)
    for run in list_pending(location):
        yield run, None


@trash.command()
@click.argument("run")
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@cache_options
def restore(choice: Choice, run: str, items: tuple[str, ...]) -> int:
    """Bring back RUN, or only its ITEMs (ids, paths or file names): rows, vectors and files."""
    target = choose_target(choice)
    restored = restore_from_trash(target, new_request(choice), run, items, time.time)
    back = int(restored.back.sum())
    if wants_json(choice):
        failed = [{"id": item.entry.id, "problem": problem} for item, problem in restored.problems]
        print_json({"cache": target.settings.location.name, "run": run, "restored": back, "failed": failed})
    else:
        output().line(f"brought {back:,} items and files back", Symbol.SUCCESS)
        for item, problem in restored.problems:
            messages().line(f"{item.path}: {problem}; it stays in the trash", Symbol.WARNING)
    return ExitStatus.PARTLY if restored.problems else ExitStatus.DONE


@trash.command()
@click.argument("run", required=False)
@click.option("--confirm", is_flag=True, help="Remove without asking.")
@cache_options
def empty(choice: Choice, run: str | None, confirm: bool) -> int:
    """Remove RUN, or everything in the trash, for good."""
    target = choose_target(choice)
    location = target.settings.location
    runs = [trashed for trashed in list_trash(location) if run in (None, trashed.run)]
    if run is not None and not runs:
        raise ConfigError(f"there is no run {run} in the trash of {location.name}")
    items, size = sum(trashed.items for trashed in runs), format_size(sum(trashed.bytes for trashed in runs))
    output().line(f"{items:,} items and files of {len(runs)} runs, {size}, can't be brought back then", Symbol.WARNING)
    if runs and not confirm and not (is_interactive() and click.confirm("Remove them for good?", err=True)):
        messages().line("nothing was removed; to remove this, add --confirm", Symbol.WARNING)
        return ExitStatus.USAGE
    for left in empty_trash(target, new_request(choice), runs, time.time):
        messages().line(left, Symbol.WARNING)
    output().line(f"removed {len(runs)} runs for good", Symbol.REMOVAL)
    return ExitStatus.DONE


def _as_json(target: Target) -> dict[str, object]:
    listed = [
        {
            "run": run.run,
            "evicted": format_time(run.time),
            "until": until,
            "pending": until is None,
            "items": run.items,
            "bytes": run.bytes,
        }
        for run, until in _list_runs(target)
    ]
    return {"cache": target.settings.location.name, "runs": listed}
