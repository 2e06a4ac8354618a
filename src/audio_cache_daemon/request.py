"""What a run is asked to do: to which cache, when, for whom, and who wants to hear of it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from audio_cache_daemon.config.settings import CacheSettings, Settings
from audio_cache_daemon.location import CacheLocation

if TYPE_CHECKING:  # the model imports numpy, and a request is known before anything is read
    from audio_cache_daemon.model import Plan
    from audio_cache_daemon.reviewed import Reviewed

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Told of each step: what is done, how many of it, of how many (None: not known)."""


class Listener(msgspec.Struct, frozen=True):
    """Who wants to hear of a run while it goes on: of its steps, and of its plan before anything is changed.

    Once `should_stop` says so the run ends: before it changes anything, or between two items.
    """

    progress: Progress = lambda _step, _done, _total: None
    planned: Callable[[Plan], None] = lambda _plan: None
    should_stop: Callable[[], bool] = lambda: False


SILENT = Listener()


class Target(msgspec.Struct, frozen=True):
    """A cache to maintain, and what is to be known for it beyond its own settings.

    `neighbours` are the other configured caches, `audit_path` is its audit log, `config` the configuration's hash.
    """

    settings: CacheSettings
    audit_path: Path
    neighbours: tuple[CacheLocation, ...] = ()
    prompts: Literal["full", "omit"] = "full"
    config: str = ""


class RunRequest(msgspec.Struct, frozen=True):
    """One run: at which moment (`now`, seconds since the epoch), under which id, for whom, with what allowed.

    `accepted` are the sentinels' findings that the operator accepts; without `limits` the policy's limits don't
    hold; `wait` is how many seconds to wait for the lock, `decode_for` how many to decode what isn't known. Of a cache
    with a plan that was `reviewed` nothing else may go.
    """

    now: float
    run: str
    trigger: str = "command"
    actor: str = ""
    limits: bool = True
    accepted: frozenset[str] = frozenset()
    wait: float = 0.0
    decode_for: float = math.inf
    reviewed: tuple[Reviewed, ...] = ()


def configured_target(settings: Settings, name: str) -> Target:
    """A cache of a configuration as a target; the others are its neighbours."""
    cache = settings.caches[name]
    neighbours = tuple(other.location for other_name, other in settings.caches.items() if other_name != name)
    return Target(cache, audit_path(settings, cache.location), neighbours, settings.audit.prompts, settings.digest)


def audit_path(settings: Settings | None, location: CacheLocation) -> Path:
    """Where the audit log of a cache is: in the configured directory, or beside the cache's state."""
    if settings is not None and settings.audit.directory is not None:
        return settings.audit.directory / f"{location.name}.jsonl"
    return location.state_directory / "audit.jsonl"


def new_run_id(now: float) -> str:
    """A name for a run that begins now: sorts by time, and no two are alike."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)) + "-" + os.urandom(3).hex()
