"""The stand-in for the generator as a process of its own, which does a step only when a test tells it to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import live_generator
from live_generator import Kind, StartError


class GeneratorProcess:
    """A generator in a process of its own, which does a step only when it is told to. A context manager.

    It is started at once. `kill` is a SIGKILL: whatever step it was at, the next one never happens.
    """

    def __init__(
        self, cache: Path, output: Path, *, bge: bool = True, grows: bool = True, started_file: Path | None = None
    ) -> None:
        command = [sys.executable, live_generator.__file__, str(cache), str(output)]
        command += [] if bge else ["--no-bge"]
        command += [] if grows else ["--sound-list"]
        command += ["--started-file", str(started_file)] if started_file is not None else []
        paths = os.pathsep.join(filter(None, (str(Path(live_generator.__file__).parent), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        try:
            self._answer()
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def add(self, *prompts: str) -> None:
        """Add items, each with all of its steps."""
        self._ask(do="add", prompts=prompts)

    def begin(self, prompt: str) -> None:
        """Begin to add an item; the steps follow with `step`."""
        self._ask(do="begin", prompt=prompt)

    def step(self) -> str | None:
        """Do the next step of the addition that was begun: its name, or None when it is through."""
        step = self._ask(do="step")
        return None if step is None else str(step)

    def lookup(self, prompts: Sequence[str], kind: Kind = "exact") -> list[str | None]:
        """The files that would be played for these prompts."""
        found = self._ask(do="lookup", kind=kind, prompts=prompts)
        assert isinstance(found, list)
        return found

    def restart(self) -> None:
        """Start anew, with nothing in memory and no addition begun; StartError when it can't."""
        self._ask(do="restart")

    def quit(self) -> None:
        """End at a moment of rest."""
        self._ask(do="quit")
        self.kill()

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()

    def _ask(self, **command: object) -> object:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> object:
        assert self._process.stdout is not None
        answer = json.loads(self._process.stdout.readline() or '{"error": "the generator ended"}')
        if "error" in answer:
            raise StartError(answer["error"])
        return answer["done"]
