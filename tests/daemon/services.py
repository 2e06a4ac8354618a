"""The service as a process of a test, and what it says; a test waits for what it says, and for nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from audio_cache_daemon import cli
from audio_cache_daemon.location import CacheLocation
from builders import CacheBuilder

QUICK_SERVICE = Path(__file__).with_name("quick_service.py")
PATIENCE = 60.0
"""Longer than anything takes on a busy machine; nothing waits so long unless it fails."""

DROP = {"rules": [{"name": "drop", "pattern": "drop"}], "limits": {"max_percent": "none"}}
"""A policy that evicts each item whose prompt says drop."""

EVERY_MINUTE = {"schedule": {"every": "1m"}}
"""Each second, in the quick service."""

Line: TypeAlias = dict[str, Any]


def make_dozen(directory: Path) -> CacheBuilder:
    """Twelve items, every third of them to be dropped; written."""
    cache = CacheBuilder(directory, now=time.time())
    for number in range(12):
        cache.add("drop this" if number % 3 == 0 else f"keep {number}", quality=0.1 + number / 20)
    cache.write()
    return cache


def write_config(
    path: Path,
    location: CacheLocation,
    policy: Mapping[str, object],
    writer: Mapping[str, object] | None = None,
    **more: object,
) -> Path:
    """A configuration of one cache; `more` are further keys of the file. Policies may begin at once unless it says."""
    cache = {
        "path": str(location.path),
        "audio_roots": [str(root) for root in location.audio_roots],
        "policy": "standard",
        "writer": writer or {"mode": "stopped"},
    }
    document = {
        "version": 1,
        "caches": {"test": cache},
        "policies": {"standard": policy},
        "log": {"level": "debug"},
        "first_run": {"confirm_above": "none"},
        "http": {"listen": "127.0.0.1:0"},
        **more,
    }
    # Whole at once: half a file would be a bad configuration, and be complained of.
    new = path.with_name("new-" + path.name)
    new.write_text(json.dumps(document))
    new.replace(path)
    return path


class ServiceProcess:
    """A running service. `wait_for` reads on in its log, line by line; what was read is not found again."""

    def __init__(self, command: list[str], environ: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **environ},
        )
        self.lines: list[str] = []
        self._read = 0
        self._ended = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._take_lines, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def tail(self) -> str:
        return "".join(self.lines[-30:])

    def _take_lines(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._news:
                self.lines.append(line.decode())
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_for(self, *words: str) -> Line:
        """The next line with all these words in its message."""
        deadline = time.monotonic() + PATIENCE
        with self._news:
            while True:
                while self._read < len(self.lines):
                    line = self.lines[self._read]
                    self._read += 1
                    if all(word in line for word in words):
                        found: Line = json.loads(line)
                        return found
                left = deadline - time.monotonic()
                assert left > 0, f"{words} was not said:\n{self.tail}"
                assert not self._ended, f"ended without {words}:\n{self.tail}"
                self._news.wait(left)

    def said(self, *words: str) -> bool:
        """Whether some line so far has all these words."""
        with self._news:
            return any(all(word in line for word in words) for line in self.lines)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to end; its exit status."""
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Its exit status, once it ended by itself."""
        status = self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def clean_up(self) -> None:
        """Let nothing of it live on."""
        if self._process.poll() is None:
            self._process.kill()
        self.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()


Serve: TypeAlias = Callable[..., ServiceProcess]
"""The `serve` fixture: a configuration file, and by keyword `environ` and what of its pace is other than quick."""


def quick_command(config: Path, pace: Mapping[str, float]) -> list[str]:
    return [sys.executable, str(QUICK_SERVICE), str(config), json.dumps(pace)]


def command(config: Path, *words: str) -> int:
    """Run a command beside the service; its status."""
    return cli.run(["--config", str(config), *words])
