"""What is wrong with a configuration, all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from audio_cache_daemon.errors import ConfigError


class ConfigProblem(msgspec.Struct, frozen=True):
    """One thing to mend: where it is (line from 1, None: the whole file), what is there, what should be."""

    line: int | None
    key: str
    found: str
    expected: str

    def __str__(self) -> str:
        where = f"{self.key}: " if self.key else ""
        return f"{where}found {self.found}, expected {self.expected}"


class InvalidConfigError(ConfigError):
    """A configuration file can't be used; `problems` are in the order of their lines."""

    def __init__(self, path: Path, problems: Sequence[ConfigProblem]) -> None:
        self.path = path
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line or 0))
        super().__init__("\n".join(f"{path}:{_place(problem)} {problem}" for problem in self.problems))


def _place(problem: ConfigProblem) -> str:
    return "" if problem.line is None else f"{problem.line}:"
