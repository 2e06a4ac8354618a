"""`plan`, `apply`: a plan as a file, to be looked at by a person, and then carried out as it was looked at."""

from __future__ import annotations

from pathlib import Path

import click
from msgspec.structs import replace

from audio_cache_daemon.cache.listing import listing_ahead
from audio_cache_daemon.cli.options import Choice, accept_options, cache_options
from audio_cache_daemon.cli.passes import Shown, preview_all, run_all
from audio_cache_daemon.cli.screens import messages
from audio_cache_daemon.cli.status import worst_status
from audio_cache_daemon.cli.target import choose_targets, new_request, only_rule
from audio_cache_daemon.daemon.first_run import policy_hash
from audio_cache_daemon.errors import ConfigError, UnsafePlanError
from audio_cache_daemon.model import Plan
from audio_cache_daemon.reporting.terminal import Symbol
from audio_cache_daemon.request import Target
from audio_cache_daemon.review import review_items
from audio_cache_daemon.reviewed import ReviewedPlan, read_plans, write_plans
from audio_cache_daemon.units import format_duration, format_time

VALID_SECONDS = 86400.0
"""After a day a cache is another one than was looked at."""

_CLOCK_TOLERANCE = 60.0


@click.command()
@click.option("-o", "--output", "file", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE")
@click.option("--rule", metavar="NAME", help="Apply this rule of the policy alone; its protections hold.")
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="How many items to list.")
@accept_options
@cache_options
def plan(choice: Choice, file: Path, rule: str | None, limit: int) -> int:
    """Write what the policies would evict to FILE, for review; `apply FILE` then evicts that, and nothing else."""
    targets = [only_rule(target, rule) for target in _configured(choice)]
    request = new_request(choice)
    with listing_ahead(targets[0].settings.location) as listing:
        reports = preview_all(targets, request, choice, Shown(limit), listing)
    plans = [
        (_reviewed(target, report.plan, rule), review_items(report.plan))
        for target, report in zip(targets, reports, strict=True)
        if report.plan is not None and report.error is None
    ]
    count = write_plans(file, plans)
    messages().line(f"{count:,} evictions are in {file}; within a day `apply {file}` carries them out", Symbol.SUCCESS)
    return worst_status(reports)


def _reviewed(target: Target, plan: Plan, rule: str | None) -> ReviewedPlan:
    location = target.settings.location
    return ReviewedPlan(location.name, str(location.path), policy_hash(target), plan.now, rule)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="How many items to list.")
@accept_options
@cache_options
def apply(choice: Choice, file: Path, limit: int) -> int:
    """Evict what was reviewed in FILE, and nothing else; refused (status 3) when the cache or its policy changed."""
    plans = [one for one in read_plans(file) if choice.cache in (None, one.plan.cache)]
    if not plans:
        raise ConfigError(f"{file} holds no plan for a cache that is meant")
    targets = {target.settings.location.name: target for target in _configured(choice)}
    request = replace(new_request(choice), trigger="apply", reviewed=tuple(plans))
    meant = [_target_of(one.plan, targets, file) for one in plans]
    for one, target in zip(plans, meant, strict=True):
        _check(one.plan, target, request.now, file)
    return worst_status(run_all(meant, request, choice, Shown(limit), None))


def _configured(choice: Choice) -> list[Target]:
    targets = choose_targets(choice, check=True)
    if not all(target.config for target in targets):
        raise ConfigError("only the policies of a configuration are planned and applied; give --config")
    return targets


def _target_of(reviewed: ReviewedPlan, targets: dict[str, Target], file: Path) -> Target:
    target = targets.get(reviewed.cache)
    if target is None or str(target.settings.location.path) != reviewed.directory:
        raise UnsafePlanError(
            f"{file} plans for cache {reviewed.cache} in {reviewed.directory}, which the configuration doesn't have"
        )
    target = only_rule(target, reviewed.only_rule)
    if target.settings.policy.mode == "audit":
        raise ConfigError(f"policy {target.settings.policy.name} has mode: audit, and removes nothing")
    return target


def _check(reviewed: ReviewedPlan, target: Target, now: float, file: Path) -> None:
    """UnsafePlanError, with what changed, when a plan is too old or of another policy."""
    age = now - reviewed.made
    if not -_CLOCK_TOLERANCE <= age <= VALID_SECONDS:
        how_old = f"{format_duration(age)} old" if age > 0 else "from the future"
        raise UnsafePlanError(
            f"{file} was made at {format_time(reviewed.made)} and is {how_old}; make a new one each day"
        )
    if policy_hash(target) != reviewed.policy:
        raise UnsafePlanError(
            f"{file} was made by another policy: {target.settings.policy.name}, or where its files are, was changed "
            f"since ({reviewed.policy}, now {policy_hash(target)}); make a new plan"
        )
