"""`run`: the service; `pause`, `resume`, `accept-policy`: what it is told while it runs, or before."""

from __future__ import annotations

import gc
import os
import signal
import time

import click

from audio_cache_daemon.cli.options import Choice, Moment, cache_options
from audio_cache_daemon.cli.screens import messages, output, print_json, wants_json
from audio_cache_daemon.cli.status import ExitStatus
from audio_cache_daemon.cli.target import choose_targets, current_user
from audio_cache_daemon.config.place import SYSTEM_CONFIG, find_config
from audio_cache_daemon.daemon.first_run import policy_hash
from audio_cache_daemon.daemon.notes import Pause, save_pause
from audio_cache_daemon.daemon.notes import accept_policy as remember_policy
from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.reporting.terminal import Symbol
from audio_cache_daemon.request import Target
from audio_cache_daemon.units import format_time


@click.command()
@cache_options
def run(choice: Choice) -> int:
    """Look after the caches of a configuration, until SIGTERM; SIGHUP reads the configuration anew."""
    from audio_cache_daemon.daemon.service import Service  # noqa: PLC0415 -- threads and schedulers, for this alone

    # The service lives long enough for cycles to matter.
    gc.enable()
    try:
        ended_by = Service(find_config(choice.config, os.environ) or SYSTEM_CONFIG, os.environ).run()
    except ConfigError as error:
        for problem in str(error).splitlines():
            messages().line(problem, Symbol.ERROR)
        return ExitStatus.CONFIGURATION
    return ExitStatus.INTERRUPTED if ended_by == signal.SIGINT else ExitStatus.DONE


@click.command()
@click.option("--until", type=Moment(), help="When the pause ends by itself.")
@cache_options
def pause(choice: Choice, until: float | None) -> None:
    """Let the service leave caches alone: it looks, and removes nothing."""
    if until is not None and until <= time.time():
        raise ConfigError(f"{format_time(until)} is past; --until names a moment to come")
    note = Pause(paused=True, until=until, by=current_user())
    words = f"paused until {format_time(until)}" if until is not None else "paused until `resume`"
    _tell(choice, note, words)


@click.command()
@cache_options
def resume(choice: Choice) -> None:
    """End a pause. A run that was missed meanwhile is made up for as after a stop."""
    _tell(choice, Pause(by=current_user()), "resumed")


@click.command()
@click.argument("policy", metavar="HASH")
@cache_options
def accept_policy(choice: Choice, policy: str) -> None:
    """Let the new policy that the service calls HASH evict what it wants to in its first run."""
    targets = _configured(choice)
    meant = [target for target in targets if policy_hash(target) == policy]
    if not meant:
        known = ", ".join(f"{target.settings.location.name}: {policy_hash(target)}" for target in targets)
        raise ConfigError(f"no cache has a policy {policy} just now; they have {known}")
    for target in meant:
        remember_policy(target.settings.location, policy)
    names = [target.settings.location.name for target in meant]
    if wants_json(choice):
        print_json({"accepted": policy, "caches": names})
    else:
        output().line(f"{', '.join(names)}: policy {policy} is accepted", Symbol.SUCCESS)


def _tell(choice: Choice, note: Pause, words: str) -> None:
    targets = _configured(choice)
    for target in targets:
        save_pause(target.settings.location, note)
    names = [target.settings.location.name for target in targets]
    if wants_json(choice):
        until = format_time(note.until) if note.until is not None else None
        print_json({"caches": names, "paused": note.paused, "until": until})
    else:
        output().line(f"{', '.join(names)}: {words}", Symbol.SUCCESS)


def _configured(choice: Choice) -> list[Target]:
    targets = choose_targets(choice)
    if not all(target.config for target in targets):
        raise ConfigError("the service looks after the caches of a configuration; give --config")
    return targets
