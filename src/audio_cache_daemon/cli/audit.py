"""`audit`: what was removed, when, by which rule and why; `audit verify`: whether the log is whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TypedDict, Unpack

import click

from audio_cache_daemon.cli.options import Choice, Moment, cache_options
from audio_cache_daemon.cli.screens import messages, output, print_json, wants_json
from audio_cache_daemon.cli.status import ExitStatus
from audio_cache_daemon.cli.target import choose_targets
from audio_cache_daemon.model import Problem
from audio_cache_daemon.reporting.audit_reader import RecordFilter, read_records, verify_chain
from audio_cache_daemon.reporting.audit_record import Head, Record, log_files
from audio_cache_daemon.reporting.run_text import describe_reason
from audio_cache_daemon.reporting.spool import Spool
from audio_cache_daemon.reporting.terminal import Column, Symbol
from audio_cache_daemon.request import Target
from audio_cache_daemon.state import load_audit_head


class _Wanted(TypedDict):
    """The options that filter."""

    run: str | None
    rule: str | None
    item: str | None
    event: str | None
    since: float | None
    until: float | None


@click.command()
@click.argument("action", type=click.Choice(["show", "verify"]), default="show")
@click.option("--run", metavar="ID", help="Only this run.")
@click.option("--rule", metavar="NAME", help="Only what this rule removed.")
@click.option("--item", metavar="ITEM", help="Only this item: an id, a path, a file name or a prompt.")
@click.option("--event", metavar="NAME", help="Only this kind of event, such as removed or refused.")
@click.option("--since", type=Moment(), help="Only from this time on.")
@click.option("--until", type=Moment(), help="Only up to this time.")
@click.option("--limit", type=click.IntRange(min=0), help="Only so many, the first.")
@cache_options
def audit(choice: Choice, action: str, limit: int | None, **wanted: Unpack[_Wanted]) -> int:
    """Read the audit log: `audit` or `audit show` prints records, `audit verify` checks its chain."""
    targets = choose_targets(choice)
    if action == "verify":
        return _verify(choice, targets)
    asked = RecordFilter(**wanted)
    entries = chain.from_iterable(read_records(log_files(target.audit_path), asked) for target in targets)
    records = _without_faults(islice(entries, limit))
    if wants_json(choice):
        print_json({"records": Spool(records)})
    else:
        _print_records(records)
    return ExitStatus.DONE


def _without_faults(entries: Iterable[Record | Problem]) -> Iterator[Record]:
    """The records; what is none is told meanwhile."""
    for entry in entries:
        if isinstance(entry, Problem):
            messages().line(f"{entry.where}: {entry.message}", Symbol.WARNING)
        else:
            yield entry


def _verify(choice: Choice, targets: list[Target]) -> int:
    faults: list[dict[str, object]] = []
    for target in targets:
        published = load_audit_head(target.settings.location)
        found = verify_chain(log_files(target.audit_path), Head(*published) if published is not None else None)
        faults += [{"file": f.file, "line": f.line, "kind": f.kind, "message": f.message} for f in found]
    if wants_json(choice):
        print_json({"whole": not faults, "faults": faults})
    elif not faults:
        output().line(f"{len(targets)} audit logs are whole", Symbol.SUCCESS)
    for fault in faults if not wants_json(choice) else []:
        output().line(f"{Path(str(fault['file']))}:{fault['line']}: {fault['message']}", Symbol.ERROR)
    return ExitStatus.FAILED if faults else ExitStatus.DONE


def _print_records(records: Iterable[Record]) -> None:
    columns = (
        Column("time", style="cyan"),
        Column("run"),
        Column("event"),
        Column("rule"),
        Column("reason"),
        Column("item", overflow="ellipsis"),
    )
    output().table(columns, (_cells(record) for record in records))


def _cells(record: Record) -> tuple[str, ...]:
    item = record.item
    name = (item.prompt or item.path or item.id or "") if item is not None else ""
    reason = describe_reason(record.reason) if record.reason is not None else record.error or ""
    return record.time[:19] + "Z", record.run or "", record.event, record.rule or "", reason, name
