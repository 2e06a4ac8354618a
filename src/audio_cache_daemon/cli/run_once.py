"""`run-once`: one pass of the policies."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TypedDict, Unpack

import click
import msgspec

from audio_cache_daemon.cli.options import Choice, Moment, cache_options
from audio_cache_daemon.cli.screens import Watcher, messages, output, print_json, wants_json
from audio_cache_daemon.cli.status import ExitStatus, worst_status
from audio_cache_daemon.cli.target import check_settings, choose_targets, new_request, with_policy
from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.maintenance import RunRequest, Target, preview_maintenance, run_maintenance
from audio_cache_daemon.model import RunReport
from audio_cache_daemon.reporting.run_summary import run_as_json
from audio_cache_daemon.reporting.run_text import print_outcome, print_plan, print_refusals
from audio_cache_daemon.retention.policy import Budget

_SHOWN = 20


class _Said(TypedDict):
    """The options that allow and narrow."""

    dry_run: bool
    as_of: float | None
    detailed_exitcode: bool
    override_limits: bool
    accept_index: bool
    accept_root: bool
    accept_clock: bool


@click.command()
@click.option("--rule", metavar="NAME", help="Apply this rule of the policy alone; its protections hold.")
@click.option("--dry-run", is_flag=True, help="Show what would go, and why; remove nothing.")
@click.option("--as-of", type=Moment(), help="With --dry-run: show what would go at that time.")
@click.option("--detailed-exitcode", is_flag=True, help="With --dry-run: status 10 when something would go.")
@click.option("--override-limits", is_flag=True, help="Evict more than the limits allow, this once.")
@click.option("--accept-index", is_flag=True, help="Accept that the index shrank.")
@click.option("--accept-root", is_flag=True, help="Accept that an audio root is gone, replaced or empty.")
@click.option("--accept-clock", is_flag=True, help="Accept that the clock stands before the last run.")
@click.option("--limit", type=click.IntRange(min=0), default=_SHOWN, show_default=True, help="How many items to list.")
@cache_options
def run_once(choice: Choice, rule: str | None, limit: int, **said: Unpack[_Said]) -> int:
    """Apply the policy of each cache once."""
    if said["as_of"] is not None and not said["dry_run"]:
        raise ConfigError("--as-of is for --dry-run: at another time than now nothing can be removed")
    check_settings(choice)
    targets = [_only_rule(target, rule) for target in choose_targets(choice)]
    if not all(target.config for target in targets):
        raise ConfigError("run-once applies the policies of a configuration; give --config, or begin one with init")
    request = replace(new_request(choice, said["as_of"]), limits=not said["override_limits"], accepted=_accepted(said))
    reports, encoded = _run_all(targets, request, dry_run=said["dry_run"], encode=wants_json(choice))
    if wants_json(choice):
        print_json({"caches": [run_as_json(*ran) for ran in zip(reports, encoded, strict=True)]})
    else:
        _print_reports(targets, reports, limit)
    pending = any(report.plan and len(report.plan.rows) + len(report.plan.strays) for report in reports)
    if said["dry_run"] and said["detailed_exitcode"] and pending:
        return max(ExitStatus.CHANGES_PENDING, worst_status(reports))
    return worst_status(reports)


def _accepted(said: _Said) -> frozenset[str]:
    answers = {"index": said["accept_index"], "root": said["accept_root"], "clock": said["accept_clock"]}
    return frozenset(name for name, accepted in answers.items() if accepted)


def _run_all(
    targets: list[Target], request: RunRequest, *, dry_run: bool, encode: bool
) -> tuple[list[RunReport], list[msgspec.Raw]]:
    """The reports of all caches, and, to `encode` them, their planned evictions as JSON."""
    reports, encoded = [], []
    for target in targets:
        with Watcher(encode=encode) as watcher:
            if dry_run:
                reports.append(preview_maintenance(target, request, watcher.listener))
            else:
                reports.append(run_maintenance(target, request, time.time, watcher.listener))
        encoded.append(watcher.evictions)
    return reports, encoded


def _only_rule(target: Target, name: str | None) -> Target:
    if name is None:
        return target
    policy = target.settings.policy
    rules = tuple(rule for rule in policy.rules if rule.name == name)
    if not rules:
        names = ", ".join(rule.name for rule in policy.rules) or "none"
        raise ConfigError(f"policy {policy.name} has no rule {name}; it has: {names}")
    return with_policy(target, replace(policy, rules=rules, budget=Budget()))


def _print_reports(targets: list[Target], reports: list[RunReport], limit: int) -> None:
    for target, report in zip(targets, reports, strict=True):
        if report.outcome is None:
            print_plan(output(), report, limit)
        if report.error is None:
            print_refusals(messages(), report)
        print_outcome(messages() if report.error else output(), report, target.settings.policy.trash.keep)
