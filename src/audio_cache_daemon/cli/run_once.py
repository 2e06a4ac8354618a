"""`run-once`: one pass of the policies."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TypedDict, Unpack

import click
from msgspec.structs import replace

from audio_cache_daemon.cache.listing import listing_ahead
from audio_cache_daemon.cli.options import Choice, Moment, accept_options, cache_options
from audio_cache_daemon.cli.status import ExitStatus, worst_status
from audio_cache_daemon.cli.target import choose_targets, new_request, only_rule
from audio_cache_daemon.errors import ConfigError

_SHOWN = 20


class _Said(TypedDict):
    """The options that allow and narrow."""

    dry_run: bool
    as_of: float | None
    kept: bool
    detailed_exitcode: bool
    override_limits: bool
    textfile: Path | None


@click.command()
@click.option("--rule", metavar="NAME", help="Apply this rule of the policy alone; its protections hold.")
@click.option("--dry-run", is_flag=True, help="Show what would go, and why; remove nothing.")
@click.option("--as-of", type=Moment(), help="With --dry-run: show what would go at that time.")
@click.option("--kept", is_flag=True, help="With --dry-run: show also what would stay, and why.")
@click.option("--detailed-exitcode", is_flag=True, help="With --dry-run: status 10 when something would go.")
@click.option("--override-limits", is_flag=True, help="Evict more than the limits allow, this once.")
@click.option(
    "--textfile", type=click.Path(path_type=Path), metavar="FILE", help="Write metrics for the node exporter to FILE."
)
@click.option("--limit", type=click.IntRange(min=0), default=_SHOWN, show_default=True, help="How many items to list.")
@accept_options
@cache_options
def run_once(choice: Choice, rule: str | None, limit: int, **said: Unpack[_Said]) -> int:
    """Apply the policy of each cache once."""
    if said["as_of"] is not None and not said["dry_run"]:
        raise ConfigError("--as-of is for --dry-run: at another time than now nothing can be removed")
    if said["textfile"] is not None and said["dry_run"]:
        raise ConfigError("--textfile tells what a run did, and --dry-run does nothing")
    if said["kept"] and not said["dry_run"]:
        raise ConfigError("--kept is for --dry-run: a run reports what it removed")
    targets = [only_rule(target, rule) for target in choose_targets(choice, check=True)]
    if not all(target.config for target in targets):
        raise ConfigError("run-once applies the policies of a configuration; give --config, or begin one with init")
    request = replace(new_request(choice, said["as_of"]), limits=not said["override_limits"])
    with listing_ahead(targets[0].settings.location) if said["dry_run"] else nullcontext() as listing:
        from audio_cache_daemon.cli.passes import Shown, preview_all, run_all  # noqa: PLC0415 -- loaded beside the listing

        shown = Shown(limit, said["kept"])
        reports = (
            preview_all(targets, request, choice, shown, listing)
            if listing
            else run_all(targets, request, choice, shown, said["textfile"])
        )
    pending = any(report.plan and len(report.plan.rows) + len(report.plan.strays) for report in reports)
    if said["dry_run"] and said["detailed_exitcode"] and pending:
        return max(ExitStatus.CHANGES_PENDING, worst_status(reports))
    return worst_status(reports)
