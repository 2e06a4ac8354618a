"""The kernel's side of a run: strace tells its system calls, lets them fail, or kills the process on entering one.

A killed process never comes to execute the call, so a kill at the n-th call is a crash between two calls.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools import needs

WRITING_CALLS = (
    "pwrite64",
    "write",
    "rename",
    "renameat",
    "renameat2",
    "linkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "fsync",
    "fdatasync",
    "mkdir",
    "ftruncate",
    "fchown",
    "fchmod",
)
"""What a run changes a disk with."""


def trace_all(output: Path, command: Sequence[str], environment: dict[str, str]) -> bytes:
    """Run a command, with all that it starts, under strace: each call, its descriptors as paths; what it prints."""
    traced = [needs("strace", "strace"), "-f", "-qqq", "-y", "-s", "4096", "-o", str(output), *command]
    return _run(traced, environment)


def run_traced(options: Sequence[str], command: Sequence[str], environment: dict[str, str]) -> bytes:
    """Run a command under strace; what it prints."""
    # A signal that is to be injected never arrives with --seccomp-bpf; all else is much faster with it.
    fast = [] if any("signal=" in option for option in options) else ["--seccomp-bpf"]
    return _run([needs("strace", "strace"), "-f", *fast, "-qqq", *options, *command], environment)


def _run(traced: Sequence[str], environment: dict[str, str]) -> bytes:
    done = subprocess.run(traced, env=environment, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, f"strace, or the process under it, failed: {done.stderr.decode()[-2000:]}"
    return done.stdout
