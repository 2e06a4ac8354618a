"""A plan as a file: what a person looks at, and what is then carried out as it was looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.own_files import Number, decode_own, encode_own


class ReviewedItem(msgspec.Struct, frozen=True):
    """One eviction: the item, the rule that takes it and why, and its file (inode, size, mtime; None if none)."""

    id: str
    path: str
    prompt: str | None
    bytes: int
    rule: str
    criterion: str
    value: float | str | None
    threshold: float | str | None
    file: tuple[Number, Number, Number] | None


class ReviewedPlan(msgspec.Struct, frozen=True):
    """What a policy takes from a cache: at which moment (seconds since the epoch), and by which policy (its hash).

    `only_rule` names the rule that was applied alone; None: all of them, and the budget.
    """

    cache: str
    directory: str
    policy: str
    made: float
    only_rule: str | None
    items: tuple[ReviewedItem, ...]


class PlanFile(msgspec.Struct, frozen=True):
    """Plans of several caches."""

    version: Literal[1]
    plans: tuple[ReviewedPlan, ...]


def write_plans(path: Path, plans: list[ReviewedPlan]) -> None:
    """Write plans to a file; ConfigError when that can't be done."""
    content = msgspec.json.format(encode_own(PlanFile(1, tuple(plans))), indent=1) + b"\n"
    try:
        path.write_bytes(content)
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}") from None


def read_plans(path: Path) -> tuple[ReviewedPlan, ...]:
    """The plans in a file; ConfigError when it holds none."""
    try:
        return decode_own(path.read_bytes(), PlanFile).plans
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path} is no plan that `plan -o` wrote: {error}") from None
