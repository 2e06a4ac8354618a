"""`pin`, `unpin`, `pins`: items that a person protects, whatever the policy says."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from audio_cache_daemon.cli.options import Choice, Moment, cache_options
from audio_cache_daemon.cli.screens import output, print_json, wants_json
from audio_cache_daemon.cli.target import choose_target, choose_targets, new_request
from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.pinning import PinnedItem, list_pins, pin_items, unpin_items
from audio_cache_daemon.reporting.terminal import Column, Symbol
from audio_cache_daemon.units import format_time


@click.command()
@click.argument("item")
@click.option("--reason", required=True, help="Why; shown wherever the item is.")
@click.option("--until", type=Moment(), help="Only until this time.")
@cache_options
def pin(choice: Choice, item: str, reason: str, until: float | None) -> None:
    """Protect ITEM, whatever the policy says: a row number, an id, a path, a file name or a prompt (all its takes)."""
    now = time.time()
    if until is not None and until <= now:
        raise ConfigError(f"--until {format_time(until)} is past already")
    target = choose_target(choice)
    pinned = pin_items(target, new_request(choice, now), item, (reason, until), time.time)
    _show(choice, "pinned", target.settings.location.name, pinned)


@click.command()
@click.argument("item")
@cache_options
def unpin(choice: Choice, item: str) -> None:
    """Let the policy decide on ITEM again: a row number, an id, a path, a file name or a prompt."""
    target = choose_target(choice)
    unpinned = unpin_items(target, new_request(choice), item, time.time)
    _show(choice, "unpinned", target.settings.location.name, unpinned)


@click.command()
@cache_options
def pins(choice: Choice) -> None:
    """List what is pinned, why, by whom and until when."""
    now = time.time()
    listed = [(target.settings.location.name, list_pins(target, now)) for target in choose_targets(choice)]
    if wants_json(choice):
        print_json({"caches": [{"cache": name, "pins": list(map(_as_json, items))} for name, items in listed]})
        return
    for name, items in listed:
        output().heading(f"{name}: {len(items)} pinned", Symbol.AUDIO)
        columns = (
            Column("id", style="dim"),
            Column("since", style="cyan"),
            Column("until"),
            Column("by"),
            Column("reason"),
            Column("item", overflow="ellipsis"),
        )
        output().table(columns, map(_cells, items))


def _show(choice: Choice, done: str, cache: str, items: Sequence[PinnedItem]) -> None:
    if wants_json(choice):
        print_json({"cache": cache, done: list(map(_as_json, items))})
        return
    for item in items:
        output().line(f"{done} {_name(item)}", Symbol.SUCCESS)


def _name(item: PinnedItem) -> str:
    return (item.row.prompt or item.row.path) if item.row is not None else f"{item.id} (no row of the index)"


def _cells(item: PinnedItem) -> tuple[str, ...]:
    until = "-" if item.pin.until is None else format_time(item.pin.until)
    return item.id, format_time(item.pin.since), until, item.pin.by, item.pin.reason, _name(item)


def _as_json(item: PinnedItem) -> dict[str, object]:
    read, one = item.row, item.pin
    return {
        "id": item.id,
        "row": read.number if read is not None else None,
        "path": read.path if read is not None else None,
        "prompt": read.prompt if read is not None else None,
        "reason": one.reason,
        "by": one.by,
        "since": format_time(one.since),
        "until": None if one.until is None else format_time(one.until),
    }
