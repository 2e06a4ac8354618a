"""Reads a Dockerfile, as far as ours goes."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

IMAGE = Path(__file__).parents[2] / "deploy" / "docker"
DOCKERFILE = IMAGE / "Dockerfile"


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction, such as RUN, and what stands behind it."""

    instruction: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)


@dataclass(slots=True)
class Stage:
    """What comes of one FROM. Its settings are those after the last step."""

    base: str
    name: str
    steps: list[Step] = field(default_factory=list)

    def one(self, instruction: str) -> str:
        """The text of an instruction that the stage has once."""
        (found,) = [step.text for step in self.steps if step.instruction == instruction]
        return found

    def argv(self, instruction: str) -> list[str]:
        """The words of ENTRYPOINT, CMD or HEALTHCHECK in the form that needs no shell."""
        words: list[str] = json.loads(self.one(instruction).partition("CMD ")[2] or self.one(instruction))
        return words

    @property
    def environment(self) -> dict[str, str]:
        pairs = [word.partition("=") for step in self.steps if step.instruction == "ENV" for word in step.words]
        return {name: value for name, _, value in pairs}


def read_stages() -> list[Stage]:
    """The stages of our Dockerfile, the last of which is the image."""
    stages: list[Stage] = []
    for step in _read_steps(DOCKERFILE.read_text()):
        if step.instruction == "FROM":
            base, _, name = step.text.partition(" AS ")
            stages.append(Stage(base, name))
        else:
            stages[-1].steps.append(step)
    return stages


def _read_steps(text: str) -> Iterator[Step]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line:
            yield Step(*line.split(" ", 1))


def context_paths() -> list[str]:
    """What the build is given: the paths that the ignore file lets through."""
    lines = (IMAGE / "Dockerfile.dockerignore").read_text().splitlines()
    assert lines[0] == "*", "nothing is sent but what is named"
    return [line[1:] for line in lines if line.startswith("!")]
