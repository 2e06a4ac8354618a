"""`duplicates`, `clean`, `remove-pattern`, `clear`: policies of one rule, through the same planner and executor."""

from __future__ import annotations

import time

import click
from msgspec.structs import replace

from audio_cache_daemon.cli.inspect import glance_at, view_groups
from audio_cache_daemon.cli.options import Choice, accept_options, cache_options
from audio_cache_daemon.cli.screens import (
    is_interactive,
    messages,
    output,
    print_json,
    wants_json,
)
from audio_cache_daemon.cli.status import ExitStatus, worst_status
from audio_cache_daemon.cli.target import choose_target, describe_writer, new_request, with_policy
from audio_cache_daemon.cli.watcher import Watcher
from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.maintenance import preview_maintenance, run_maintenance
from audio_cache_daemon.patterns import compile_pattern
from audio_cache_daemon.reporting.items import group_by_prompt, groups_as_json, print_groups
from audio_cache_daemon.reporting.run_summary import run_as_json
from audio_cache_daemon.reporting.run_text import print_outcome, print_plan, print_refusals
from audio_cache_daemon.reporting.spool import Spool
from audio_cache_daemon.reporting.terminal import Symbol
from audio_cache_daemon.request import Target
from audio_cache_daemon.retention.policy import (
    Budget,
    Dedupe,
    Everything,
    Limits,
    MaxAge,
    Pattern,
    Rule,
)

_SECONDS_PER_DAY = 86400.0
_SHOWN = 20

confirm_option = click.option("--confirm", is_flag=True, help="Remove without asking.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would go; remove nothing.")
limit_option = click.option(
    "--limit", type=click.IntRange(min=0), default=_SHOWN, show_default=True, help="How many items to list."
)


@click.command()
@click.option("--days", type=click.FloatRange(min=0), required=True, help="Remove items older than so many days.")
@confirm_option
@dry_run_option
@limit_option
@accept_options
@cache_options
def clean(choice: Choice, days: float, confirm: bool, dry_run: bool, limit: int) -> int:
    """Remove items older than so many days.

    Acts at once when nobody is there to be asked, as in a script; but for less than a day --confirm is needed.
    """
    rule = Rule("clean", MaxAge(days * _SECONDS_PER_DAY))
    confirmed = confirm or (days >= 1 and not is_interactive())
    return _remove(choice, rule, confirmed=confirmed, dry_run=dry_run, limit=limit)


@click.command()
@click.option("--remove-duplicates", is_flag=True, help="Remove all but the newest of each prompt.")
@confirm_option
@dry_run_option
@limit_option
@accept_options
@cache_options
def duplicates(choice: Choice, remove_duplicates: bool, confirm: bool, dry_run: bool, limit: int) -> int:
    """Find items of the same prompt, and remove all but the newest of each.

    An item whose file is there is kept before one whose file is missing.
    """
    if not remove_duplicates:
        _print_duplicates(choice, limit)
        return ExitStatus.DONE
    rule = Rule("duplicates", Dedupe("prompt", 1, ("newest",)))
    return _remove(choice, rule, confirmed=confirm, dry_run=dry_run, limit=limit)


@click.command()
@click.argument("pattern")
@confirm_option
@dry_run_option
@limit_option
@accept_options
@cache_options
def remove_pattern(choice: Choice, pattern: str, confirm: bool, dry_run: bool, limit: int) -> int:
    """Remove items whose prompt matches PATTERN, a Python regular expression, in either case."""
    try:
        matches_nothing = compile_pattern(pattern).matches("")
    except ValueError as error:
        raise ConfigError(f"{pattern!r} is {error}") from None
    if matches_nothing:
        raise ConfigError(f"{pattern!r} matches every prompt, even an empty one; to remove all items, use clear")
    return _remove(choice, Rule("remove-pattern", Pattern(pattern)), confirmed=confirm, dry_run=dry_run, limit=limit)


@click.command()
@confirm_option
@dry_run_option
@limit_option
@accept_options
@cache_options
def clear(choice: Choice, confirm: bool, dry_run: bool, limit: int) -> int:
    """Remove all items of one cache, with their files."""
    return _remove(choice, Rule("clear", Everything()), confirmed=confirm, dry_run=dry_run, limit=limit)


def _remove(choice: Choice, rule: Rule, *, confirmed: bool, dry_run: bool, limit: int) -> int:
    """Show what the rule takes; if that is confirmed, here or at the terminal, remove it."""
    target = _under_rule(choose_target(choice), rule)
    request = replace(new_request(choice), limits=False)
    with Watcher(spool=wants_json(choice)) as watcher:
        report = preview_maintenance(target, request, watcher.listener)
    plan = report.plan
    pending = plan is not None and len(plan.rows) + len(plan.strays) + len(plan.inventory.retired) > 0
    acts = pending and not dry_run and (confirmed or is_interactive())
    if not wants_json(choice):
        print_plan(output(), report, limit)
        print_refusals(messages(), report)
        _say_if_live(target, request.now, rows=pending)
    if acts and not confirmed:
        acts = click.confirm("Remove them?", err=True)
    if acts:
        # Of a million items it is 100 MB, and what is carried out is planned anew.
        del plan, report
        with Watcher(spool=wants_json(choice)) as watcher:
            report = run_maintenance(target, request, time.time, watcher.listener)
    if wants_json(choice):
        print_json({"caches": [run_as_json(report, watcher.evictions)]})
    else:
        print_outcome(messages() if report.error else output(), report, target.settings.policy.trash.keep)
    if pending and not dry_run and not acts:
        messages().line("nothing was removed; to remove this, add --confirm", Symbol.WARNING)
        return ExitStatus.USAGE
    return worst_status([report])


def _under_rule(target: Target, rule: Rule) -> Target:
    """The target under this one rule; what its own policy protects, and its trash, stay in force."""
    policy = replace(
        target.settings.policy, name=rule.name, mode="enforce", rules=(rule,), budget=Budget(), limits=Limits()
    )
    return with_policy(target, policy)


def _say_if_live(target: Target, now: float, *, rows: bool) -> None:
    reason = describe_writer(target, now)
    if rows and reason is not None:
        messages().line(reason, Symbol.WARNING)


def _print_duplicates(choice: Choice, limit: int) -> None:
    target = choose_target(choice)
    inventory = glance_at(target)
    groups = group_by_prompt(inventory, at_least=2)
    surplus = int(groups.size.sum()) - len(groups)
    if wants_json(choice):
        name, prompts = target.settings.location.name, Spool(groups_as_json(view_groups(inventory, groups)))
        print_json({"cache": name, "groups": len(groups), "duplicates": surplus, "prompts": prompts})
        return
    output().heading(f"{len(groups):,} prompts have several items; {surplus:,} are duplicates", Symbol.ANALYSIS)
    print_groups(output(), view_groups(inventory, groups, limit))
    if len(groups) > limit:
        output().line(f"and {len(groups) - limit:,} more prompts; --limit shows more")
