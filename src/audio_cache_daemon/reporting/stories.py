"""What became of items that are gone: what the audit log tells of them, and whether they can be brought back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from audio_cache_daemon.model import Problem
from audio_cache_daemon.reporting.audit_reader import RecordFilter, read_records
from audio_cache_daemon.reporting.audit_record import AuditItem, Record
from audio_cache_daemon.reporting.run_text import describe_reason
from audio_cache_daemon.reporting.terminal import Screen, Symbol


class Story(msgspec.Struct):
    """An item that is gone: its records, oldest first, and the run that `trash restore` brings it back from, if any."""

    item: AuditItem
    records: list[Record] = msgspec.field(default_factory=list)
    restore_from: str | None = None


def read_stories(files: Iterable[Path], name: str, in_trash: Mapping[str, tuple[str, AuditItem]]) -> list[Story]:
    """The stories of the items with this id, path, file name or prompt, the one that ended last first.

    `in_trash` are the items of that name in the trash, by id, and the runs that they are in.
    """
    files = list(files)
    named = {record.item.id: record.item for record in _records(files, RecordFilter(item=name)) if record.item}
    found = {**{item.id: item for _, item in in_trash.values()}, **named}
    stories = {id_: Story(item) for id_, item in found.items() if id_ is not None}
    # What became of a removal is told by its id alone.
    for record in _records(files, RecordFilter()):
        story = stories.get(record.item.id or "") if record.item is not None else None
        if story is not None:
            story.records.append(record)
    for id_, (run, _) in in_trash.items():
        stories[id_].restore_from = run
    return sorted(stories.values(), key=lambda story: story.records[-1].time if story.records else "", reverse=True)


def _records(files: Iterable[Path], wanted: RecordFilter) -> list[Record]:
    found = (entry for entry in read_records(files, wanted) if not isinstance(entry, Problem))
    return [record for record in found if record.item is not None]


def story_as_json(story: Story) -> dict[str, object]:
    """A story with stable keys."""
    return {
        "item": story.item,
        "events": [
            {
                "time": record.time,
                "event": record.event,
                "run": record.run,
                "rule": record.rule,
                "reason": record.reason,
                "error": record.error,
            }
            for record in story.records
        ],
        "restore_from": story.restore_from,
    }


def print_story(screen: Screen, story: Story) -> None:
    """A story for people."""
    item = story.item
    screen.heading(f"{item.prompt or item.path or item.id} (gone)", Symbol.AUDIO)
    if item.path:
        screen.line(f"  {item.path}")
    for record in story.records:
        screen.line(f"  {record.time[:19]}Z  {_tell(record)}")
    if story.restore_from is not None:
        screen.line(f"`trash restore {story.restore_from} {item.id}` brings it back", Symbol.SUCCESS)
    else:
        screen.line("it isn't in the trash, so it can't be brought back", Symbol.WARNING)


def _tell(record: Record) -> str:
    reason = f", {describe_reason(record.reason)}" if record.reason is not None else ""
    rule = f" by {record.rule}{reason}" if record.rule is not None else ""
    error = f": {record.error}" if record.error is not None else ""
    return f"{record.event}{rule}{error} (run {record.run})"
