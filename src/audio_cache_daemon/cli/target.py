"""From what was said on the command line to the caches that are meant."""

from __future__ import annotations

import getpass
import os
import stat
import time
from pathlib import Path

from msgspec.structs import replace

from audio_cache_daemon.cli.options import Choice
from audio_cache_daemon.config.place import find_config
from audio_cache_daemon.config.settings import CacheSettings, Settings, WriterSettings
from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.index_times import last_index_change
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.request import RunRequest, Target, audit_path, configured_target, new_run_id
from audio_cache_daemon.retention.policy import Budget, Policy
from audio_cache_daemon.units import format_duration

SETTLED_SECONDS = 86400.0
"""An index in which nothing changed for a day belongs to no running generator: a busy one adds every few minutes."""

_DEFAULT_DIRECTORY = Path("audio_cache")


def choose_targets(choice: Choice, *, check: bool = False) -> list[Target]:
    """The caches that are meant: all of the configuration, unless one is named; ConfigError if there is none.

    To `check` the configuration refuses one that can't work: ConfigError with everything that must be mended.
    """
    path = find_config(choice.config, os.environ)
    settings = _load(path, check=check) if path is not None else None
    if choice.cache_dir is not None:
        return [_by_directory(choice.cache_dir, choice, settings)]
    if settings is None:
        if choice.cache is not None:
            raise ConfigError(f"there is no configuration in which {choice.cache} could be a cache; give --config")
        return [_by_directory(_DEFAULT_DIRECTORY, choice, None)]
    if choice.cache is None:
        return [_configured(settings, name, choice) for name in settings.caches]
    if choice.cache not in settings.caches:
        raise ConfigError(f"{settings.source} has no cache {choice.cache}; it has {', '.join(settings.caches)}")
    return [_configured(settings, choice.cache, choice)]


def _load(path: Path, *, check: bool) -> Settings:
    # A tenth of the start of a command that has no configuration, as it is called for one cache from a script.
    from audio_cache_daemon.config.lint import refuse_errors  # noqa: PLC0415
    from audio_cache_daemon.config.load import load_settings  # noqa: PLC0415

    settings = load_settings(path, os.environ)
    if check:
        refuse_errors(settings)
    return settings


def choose_target(choice: Choice) -> Target:
    """The one cache that is meant; ConfigError when it could be several."""
    targets = choose_targets(choice)
    if len(targets) > 1:
        names = ", ".join(target.settings.location.name for target in targets)
        raise ConfigError(f"the configuration has several caches; say which with --cache: {names}")
    return targets[0]


def new_request(choice: Choice, now: float | None = None) -> RunRequest:
    """A run asked for by the person at the terminal, at this moment."""
    moment = time.time() if now is None else now
    return RunRequest(
        now=moment,
        run=new_run_id(time.time()),
        actor=f"cli:{current_user()}",
        wait=choice.wait or 0.0,
        accepted=choice.accepted or frozenset(),
    )


def with_policy(target: Target, policy: Policy) -> Target:
    """The same cache under another policy."""
    return replace(target, settings=replace(target.settings, policy=policy))


def only_rule(target: Target, name: str | None) -> Target:
    """The same cache under one rule of its policy alone, without the budget; None: under all of it."""
    if name is None:
        return target
    policy = target.settings.policy
    rules = tuple(rule for rule in policy.rules if rule.name == name)
    if not rules:
        names = ", ".join(rule.name for rule in policy.rules) or "none"
        raise ConfigError(f"policy {policy.name} has no rule {name}; it has: {names}")
    return with_policy(target, replace(policy, rules=rules, budget=Budget()))


def current_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _configured(settings: Settings, name: str, choice: Choice) -> Target:
    target = configured_target(settings, name)
    if choice.writer_stopped is None:
        return target
    writer = replace(target.settings.writer, mode="stopped" if choice.writer_stopped else "live")
    return replace(target, settings=replace(target.settings, writer=writer))


def _by_directory(directory: Path, choice: Choice, settings: Settings | None) -> Target:
    path = directory.absolute()
    if settings is not None:
        for name, cache in settings.caches.items():
            if os.path.realpath(cache.location.path) == os.path.realpath(path):
                return _configured(settings, name, choice)
    roots = tuple(root.absolute() for root in choice.audio_root or _default_roots(path))
    base = choice.path_base.absolute() if choice.path_base is not None else None
    location = CacheLocation(path.name, path, roots, base)
    neighbours = tuple(cache.location for cache in settings.caches.values()) if settings is not None else ()
    writer = WriterSettings(mode="stopped" if _writer_is_stopped(path, choice) else "live")
    return Target(CacheSettings(location, Policy("command"), writer), audit_path(None, location), neighbours)


def _default_roots(cache: Path) -> list[Path]:
    """The cache and its parent, unless that holds much else: a file system root, a home, or open to everybody."""
    parent = Path(os.path.realpath(cache)).parent
    if os.path.ismount(parent) or parent == Path.home() or parent.parent == Path("/home"):
        return [cache]
    try:
        is_open = parent.stat().st_mode & stat.S_IWOTH
    except OSError:
        return [cache]
    return [cache] if is_open else [cache, cache.parent]


def _writer_is_stopped(cache: Path, choice: Choice) -> bool:
    if choice.writer_stopped is not None:
        return choice.writer_stopped
    changed = last_index_change(cache)
    return changed is None or time.time() - changed > SETTLED_SECONDS


def describe_writer(target: Target, now: float) -> str | None:
    """Why a bare directory's generator is taken to be running, in words; None when it isn't."""
    changed = last_index_change(target.settings.location.path)
    if target.settings.writer.mode == "stopped" or changed is None or target.config:
        return None
    age = format_duration(max(0.0, now - changed))
    return f"the index changed {age} ago, so its generator may be running; --writer-stopped says that it isn't"
