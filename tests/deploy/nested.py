"""A machine in this one: a small Debian with systemd as its first process, in a container that forgets what it did."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

SUITE, PYTHON = "bookworm", "3.11"
"""The Debian, and its Python."""

_PACKAGES = "systemd-sysv,libpam-systemd,dbus,polkitd,python3-venv,logrotate"
_PATIENCE = 180.0
"""Longer than anything takes here on a busy machine; nothing waits so long unless it fails."""


class DidNotHoldError(Exception):
    """What was to be shown isn't so."""


def make_root(root: Path) -> None:
    """Make the root file system of such a machine, of 310 MB, where it isn't there."""
    if root.exists():
        return
    unfinished = root.with_name(f"{root.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", SUITE, str(unfinished)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    unfinished.rename(root)


def wait_for(what: str, holds: Callable[[], bool], seconds: float = _PATIENCE) -> float:
    """Wait until something holds: how many seconds that took. DidNotHoldError when it doesn't come to hold."""
    start = time.monotonic()
    while not holds():
        if time.monotonic() - start > seconds:
            raise DidNotHoldError(f"within {seconds:g} s: {what}")
        time.sleep(0.2)
    return time.monotonic() - start


class Machine:
    """A running container, with the files of a directory at /mnt. A context manager; at its end nothing is left.

    `say` hears of each command that is shown, and of what it printed.
    """

    def __init__(self, root: Path, files: Path, say: Callable[[str], None]) -> None:
        self._say = say
        self._leader = ""
        # Neither registered nor given a unit: this machine's own systemd, if it has one, needn't be there. A network
        # of its own, so that no port is taken. The changes are kept in memory.
        options = ["--keep-unit", "--register=no", "--private-users=no", "--private-network", "--volatile=overlay"]
        options += ["--settings=no", "--console=pipe", f"--bind-ro={files}:/mnt", "--machine=prove-systemd"]
        self._console = root.with_name("console.log")
        with self._console.open("wb") as console:
            self._process = subprocess.Popen(
                ["systemd-nspawn", "--quiet", f"--directory={root}", *options, "--boot"],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        try:
            wait_for("the container's systemd is up", self._is_up)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def ask(self, *command: str, user: str = "root") -> subprocess.CompletedProcess[str]:
        """Run a command in the container, unshown: how it ended, and what it said on both streams."""
        enter = ["nsenter", f"--target={self._leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]
        as_user = [] if user == "root" else ["runuser", "--user", user, "--"]
        return subprocess.run(
            [*enter, *as_user, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
            timeout=300,
        )

    def run(self, *command: str, user: str = "root", status: int = 0) -> str:
        """Run a command and show it: what it said. DidNotHoldError when it ends with another status."""
        self._say(f"{'#' if user == 'root' else user + ' $'} {_as_typed(command)}")
        done = self.ask(*command, user=user)
        for line in done.stdout.splitlines():
            self._say(f"    {line}")
        if done.returncode != status:
            raise DidNotHoldError(f"{_as_typed(command)}: status {done.returncode}, not {status}")
        return done.stdout

    def property(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.ask("systemctl", "show", "--property", name, "--value", unit).stdout.strip()

    def journal(self, unit: str) -> str:
        """All that a unit has said."""
        return self.ask("journalctl", "--unit", unit, "--output=cat", "--no-pager").stdout

    def _is_up(self) -> bool:
        if self._process.poll() is not None:
            raise DidNotHoldError(f"systemd-nspawn ended: {self._console.read_text(errors='replace')[-2000:]}")
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self._leader = children[0] if children else ""
        return bool(children) and self.ask("systemctl", "is-system-running").stdout.strip() == "running"

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _as_typed(command: Sequence[str]) -> str:
    """A command as one would type it; a script alone is what is typed already."""
    return command[-1] if command[:2] == ("sh", "-c") else " ".join(command)
