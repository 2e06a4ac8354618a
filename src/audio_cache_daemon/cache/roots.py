"""Which directories should be audio roots: few, and holding little else than audio."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

_MANY = 4
"""From so many audio directories in one directory on, that one is the root, and holds those still to come."""


def choose_roots(directories: Counter[Path]) -> dict[Path, int]:
    """The fewest directories that hold these and little else, and how many rows each is for; the most first."""
    chosen = _outermost(directories)
    while len(folded := _outermost(_fold(chosen))) < len(chosen):
        chosen = folded
    rows = {root: sum(directories[below] for below in directories if _contains(root, below)) for root in chosen}
    return dict(sorted(rows.items(), key=lambda item: (-item[1], item[0])))


def _fold(directories: Iterable[Path]) -> set[Path]:
    """The directories, or instead of many in one parent that parent, unless that holds much else, as /srv may."""
    directories = set(directories)
    for parent, count in Counter(directory.parent for directory in directories).items():
        if count >= _MANY and describe_reach(parent) is None and len(parent.parts) > 2:
            directories = {directory for directory in directories if directory.parent != parent} | {parent}
    return directories


def _outermost(directories: Iterable[Path]) -> set[Path]:
    """Without those that another one contains."""
    outermost: list[Path] = []
    # A link before what it leads to: as a root it stands for both spellings.
    for directory in sorted(directories, key=lambda path: (os.path.realpath(path) == str(path), path)):
        if not any(_contains(outer, directory) for outer in outermost):
            outermost = [other for other in outermost if not _contains(directory, other)] + [directory]
    return set(outermost)


def _contains(outer: Path, inner: Path) -> bool:
    """Whether `inner` lies in `outer`, under one of its spellings, or is the same directory.

    One that is a link in `outer` does too. As a root of its own its files could be removed, which nobody asked for.
    """
    real = os.path.realpath(outer)
    return inner.is_relative_to(outer) or inner.is_relative_to(real) or os.path.realpath(inner) == real


def describe_reach(directory: Path) -> str | None:
    """Why a directory is wider than an audio root should be, in words; None if it isn't."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home raises for a user without one
    if os.path.ismount(directory):
        return "this is the root of a file system; better name the directory in it that holds the audio"
    if directory in (home, Path("/root"), Path("/home")) or directory.parent == Path("/home"):
        return "this is a home directory; better let the generator write into a directory of its own"
    if directory.stat().st_mode & stat.S_IWOTH:
        return "everyone can write here, so anyone can put files here to be removed; better a directory of its own"
    return None
