"""One pass over each cache, or a preview of it, and what is printed of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from audio_cache_daemon.cache.listing import Listing
from audio_cache_daemon.cli.options import Choice
from audio_cache_daemon.cli.screens import messages, output, print_json, wants_json
from audio_cache_daemon.cli.watcher import Watcher
from audio_cache_daemon.maintenance import preview_maintenance, run_maintenance
from audio_cache_daemon.model import Plan, RunReport
from audio_cache_daemon.reporting.kept import print_kept, spool_kept
from audio_cache_daemon.reporting.run_summary import run_as_json
from audio_cache_daemon.reporting.run_text import print_outcome, print_plan, print_refusals
from audio_cache_daemon.reporting.spool import Spool
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.retention.kept import explain_kept

if TYPE_CHECKING:
    from audio_cache_daemon.cli.textfile import Textfile


class Shown(msgspec.Struct, frozen=True):
    """What is shown of each run: at most `limit` items in a table, and whether what is `kept` too."""

    limit: int
    kept: bool = False


def preview_all(
    targets: Sequence[Target], request: RunRequest, choice: Choice, shown: Shown, listing: Callable[[], Listing]
) -> list[RunReport]:
    """Show what a run would do to each cache; `listing` is that of the first one's files, begun ahead."""
    reports, spooled = [], []
    for number, target in enumerate(targets):
        kept = partial(_spool_kept, target) if shown.kept else None
        with Watcher(spool=wants_json(choice), kept=kept) as watcher:
            reports.append(preview_maintenance(target, request, watcher.listener, None if number else listing))
        spooled.append((watcher.evictions, watcher.kept))
    _show(targets, reports, spooled if wants_json(choice) else None, shown)
    return reports


def run_all(
    targets: Sequence[Target], request: RunRequest, choice: Choice, shown: Shown, metrics: Path | None
) -> list[RunReport]:
    """Maintain each cache, and show what was done, perhaps also as metrics in a file."""
    reports, spooled = [], []
    textfile = _begin_textfile(metrics, targets) if metrics is not None else None
    for target in targets:
        with Watcher(spool=wants_json(choice)) as watcher:
            reports.append(run_maintenance(target, request, time.time, watcher.listener))
        spooled.append((watcher.evictions, watcher.kept))
    _show(targets, reports, spooled if wants_json(choice) else None, shown)
    if textfile is not None:
        textfile.write(reports)
    return reports


def _begin_textfile(path: Path, targets: Sequence[Target]) -> Textfile:
    from audio_cache_daemon.cli.textfile import Textfile  # noqa: PLC0415 -- 50 ms for those who ask for it

    return Textfile(path, targets)


def _spool_kept(target: Target, plan: Plan) -> Spool:
    return spool_kept(plan, explain_kept(plan, target.settings.policy))


def _show(
    targets: Sequence[Target],
    reports: Sequence[RunReport],
    spooled: Sequence[tuple[Spool, Spool | None]] | None,
    shown: Shown,
) -> None:
    """Print the runs: as one JSON object when what they planned is `spooled`, else for people."""
    if spooled is not None:
        print_json({"caches": [run_as_json(ran, *plan) for ran, plan in zip(reports, spooled, strict=True)]})
        return
    for target, report in zip(targets, reports, strict=True):
        if report.outcome is None:
            print_plan(output(), report, shown.limit)
            if shown.kept and report.plan is not None:
                print_kept(output(), report.plan, explain_kept(report.plan, target.settings.policy), shown.limit)
        if report.error is None:
            print_refusals(messages(), report)
        print_outcome(messages() if report.error else output(), report, target.settings.policy.trash.keep)
