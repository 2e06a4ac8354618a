"""`verify` and `repair`: what is wrong with a cache, and what can be put right."""

from __future__ import annotations

import time

import click

from audio_cache_daemon.cli.options import Choice, cache_options
from audio_cache_daemon.cli.screens import is_interactive, messages, output, print_json, wants_json
from audio_cache_daemon.cli.status import ExitStatus
from audio_cache_daemon.cli.target import choose_target, choose_targets, new_request
from audio_cache_daemon.findings import Examination, RepairChoice, Severity
from audio_cache_daemon.repairing import Repaired, examine_cache, repair_cache
from audio_cache_daemon.reporting.findings import (
    examination_as_json,
    plan_as_json,
    print_examination,
    print_repair,
)
from audio_cache_daemon.reporting.terminal import Symbol
from audio_cache_daemon.request import Target


@click.command()
@cache_options
def verify(choice: Choice) -> int:
    """Name every fault of the index and of its files, and say what can mend it. Changes nothing.

    Status 6 when the generator couldn't start on the cache, or would serve wrong sounds.
    """
    examinations = [examine_cache(target) for target in choose_targets(choice)]
    if wants_json(choice):
        print_json({"caches": [examination_as_json(examination) for examination in examinations]})
    else:
        for examination in examinations:
            print_examination(output(), examination)
    return max(map(_status_of, examinations), default=ExitStatus.DONE)


@click.command()
@click.option("--confirm", is_flag=True, help="Mend without asking.")
@click.option("--dry-run", is_flag=True, help="Show what would be done; change nothing.")
@click.option(
    "--drop-line",
    "drop_lines",
    type=click.IntRange(min=1),
    multiple=True,
    metavar="N",
    help="Take a faulty line out too, with its vectors; numbered as verify does. Repeatable.",
)
@click.option("--drop-unmatched", is_flag=True, help="Take out more than one line or vector without its other half.")
@cache_options
def repair(choice: Choice, drop_lines: tuple[int, ...], drop_unmatched: bool, confirm: bool, dry_run: bool) -> int:
    """Put right what can be put right without guessing; the generator must be stopped.

    Whatever is taken out is saved in .audio-cache-daemon/repairs in the cache.
    """
    target = choose_target(choice)
    told = RepairChoice(frozenset(drop_lines), drop_unmatched)
    before = examine_cache(target, told)
    acts = _has_work(before) and not dry_run and (confirm or is_interactive())
    if not wants_json(choice):
        print_repair(output(), before)
    if acts and not confirm:
        acts = click.confirm("Repair it?", err=True)
    if not acts:
        return _end_without(choice, before, dry_run=dry_run)
    return _carry_out(target, choice, told)


def _has_work(examination: Examination) -> bool:
    """Whether a repair has something to do: of its own, or what an interrupted run left."""
    return bool(examination.plan.repairs) or any(finding.kind == "interrupted_run" for finding in examination.findings)


def _end_without(choice: Choice, before: Examination, *, dry_run: bool) -> int:
    if wants_json(choice):
        print_json(_as_json(Repaired(before, before)))
    if _has_work(before) and not dry_run:
        messages().line("nothing was changed; to repair, add --confirm", Symbol.WARNING)
        return ExitStatus.USAGE
    return ExitStatus.DONE if dry_run else _status_of(before)


def _carry_out(target: Target, choice: Choice, told: RepairChoice) -> int:
    repaired = repair_cache(target, new_request(choice), told, time.time)
    if wants_json(choice):
        print_json(_as_json(repaired))
        return _status_of(repaired.after)
    if repaired.saved is not None:
        output().line(f"repaired; what was taken out is in {repaired.saved}", Symbol.SUCCESS)
    print_examination(output(), repaired.after)
    return _status_of(repaired.after)


def _as_json(repaired: Repaired) -> dict[str, object]:
    return {
        **plan_as_json(repaired.before.plan),
        "applied": repaired.saved is not None,
        "saved": repaired.saved,
        "before": examination_as_json(repaired.before),
        "after": None if repaired.saved is None else examination_as_json(repaired.after),
    }


def _status_of(examination: Examination) -> int:
    return ExitStatus.INCONSISTENT if examination.count(Severity.ERROR) else ExitStatus.DONE
