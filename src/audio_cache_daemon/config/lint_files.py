"""Whether the disk allows what the settings ask for, seen by the user who runs this."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from audio_cache_daemon.config.lint import Level, LintFinding
from audio_cache_daemon.config.settings import CacheSettings, Settings

_INDEX_FILES = ("meta.jsonl", "clap_text.npy", "clap_audio.npy", "bge_text.npy")


def lint_files(settings: Settings) -> list[LintFinding]:
    """What of the settings doesn't fit the disk; to be called as the service's user."""
    return [
        *(finding for cache in settings.caches.values() for finding in _lint_cache(cache)),
        *_lint_same_directory(settings),
        *_lint_audit(settings.audit.directory),
    ]


def _lint_cache(cache: CacheSettings) -> Iterator[LintFinding]:
    key, location = f"caches.{cache.location.name}", cache.location
    # A policy that only audits gets by without writing, so what would stop the other is a warning for it.
    needed: Level = "error" if cache.policy.mode == "enforce" else "warning"
    yield from _lint_directory(f"{key}.path", location.path, needed)
    yield from _lint_index(f"{key}.path", location.path, needed)
    for number, root in enumerate(location.audio_roots):
        yield from _lint_directory(f"{key}.audio_roots[{number}]", root, needed)
        yield from _lint_exposure(f"{key}.audio_roots[{number}]", root)
    started_file = cache.writer.started_file
    if started_file is not None and not os.path.lexists(started_file):
        message = f"{started_file} isn't there; nothing is released before a start of the generator has made it"
        yield LintFinding("warning", f"{key}.writer.started_file", message)


def _lint_directory(key: str, directory: Path, needed: Level) -> Iterator[LintFinding]:
    if not os.path.isdir(directory):  # noqa: PTH112 - Path.is_dir raises where it may not look
        yield LintFinding("warning", key, f"{directory} isn't there, is no directory, or is hidden from {_user()}")
    elif not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        yield LintFinding(needed, key, f"{directory} can't be written by {_user()}, so nothing in it can be removed")


def _lint_index(key: str, directory: Path, needed: Level) -> Iterator[LintFinding]:
    for name in _INDEX_FILES:
        file = directory / name
        try:
            status = file.stat()
        except FileNotFoundError:
            if name == "meta.jsonl" and os.access(directory, os.X_OK):
                yield LintFinding("warning", key, f"{file} isn't there; a cache without an index is left alone")
            continue
        except OSError:
            continue  # the directory's own finding says it
        if not os.access(file, os.R_OK | os.W_OK):
            yield LintFinding(needed, key, f"{file} can't be read and written by {_user()}; retiring an item does both")
        elif not _can_be_given_back(status):
            message = (
                f"{file} is another user's, and of no group of {_user()} that may write it: after a compaction "
                "the generator couldn't write it; run as its user, or share a group and set UMask=0002 on both sides"
            )
            yield LintFinding(needed, key, message)


def _can_be_given_back(status: os.stat_result) -> bool:
    """Whether a new file of ours can replace this one without its writer losing access."""
    if os.geteuid() in (0, status.st_uid):
        return True
    groups = {os.getegid(), *os.getgroups()}
    return status.st_gid in groups and bool(status.st_mode & stat.S_IWGRP)


def _lint_exposure(key: str, root: Path) -> Iterator[LintFinding]:
    try:
        mode = root.stat().st_mode
    except OSError:
        return
    if mode & stat.S_IWOTH:
        yield LintFinding(
            "warning", key, f"{root} can be written by everyone, so anyone can put files there to be removed"
        )
    if str(root) == os.path.expanduser("~"):  # noqa: PTH111 - Path.home raises for a user without one
        yield LintFinding("warning", key, f"{root} is a home directory; name the directory in it that holds the audio")


def _lint_same_directory(settings: Settings) -> Iterator[LintFinding]:
    for one, other in combinations([cache.location for cache in settings.caches.values()], 2):
        if os.path.realpath(one.path) == os.path.realpath(other.path):
            yield LintFinding("error", f"caches.{other.name}.path", f"is the directory of {one.name} by another name")


def _lint_audit(directory: Path | None) -> Iterator[LintFinding]:
    if directory is None:
        return
    existing = next(place for place in (directory, *directory.parents) if os.path.lexists(place))
    if not os.access(existing, os.W_OK | os.X_OK):
        message = f"{existing} can't be written by {_user()}, and without an audit log nothing is removed"
        yield LintFinding("error", "audit.dir", message)


def _user() -> str:
    return f"user {os.geteuid()}"
