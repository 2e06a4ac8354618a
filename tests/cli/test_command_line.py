"""The command line as such: help, completion, terminal and pipe, and both ways to start it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest
from commands import Run

from audio_cache_daemon import __version__
from audio_cache_daemon.cli.app import app
from builders import CacheBuilder

COMMAND = (sys.executable, "-m", "audio_cache_daemon")


def test_help_imports_nothing_heavy() -> None:
    """A person who asks for help doesn't wait for numpy."""
    check = "import sys, audio_cache_daemon.cli; sys.exit('numpy' in sys.modules or 'yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_a_configuration_is_checked_without_anything_heavy() -> None:
    """As often as somebody saves it."""
    check = "import sys, audio_cache_daemon.cli.configure; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@pytest.mark.parametrize("name", app.list_commands(None))  # type: ignore[arg-type]
def test_each_command_of_the_help_exists_and_has_help_of_its_own(name: str, run: Run) -> None:
    """No command is a promise only."""
    ran = run(name, "--help")
    assert ran.status == 0
    assert "Usage:" in ran.out


def test_an_unknown_command_is_a_usage_error(run: Run) -> None:
    """Status 2."""
    assert run("frobnicate").status == 2


def test_version_is_told(run: Run) -> None:
    """As people expect it."""
    assert __version__ in run("--version").out


def test_the_shell_completes_commands() -> None:
    """As click does it: the shell asks the program."""
    environment = {
        **os.environ,
        "COMP_WORDS": "audio-cache-daemon cl",
        "COMP_CWORD": "1",
        "_AUDIO_CACHE_DAEMON_COMPLETE": "bash_complete",
    }
    ran = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["plain,clean", "plain,clear"]


def test_a_terminal_gets_symbols_and_colour_and_no_color_takes_the_colour(tmp_path: Path) -> None:
    """On a real pseudo-terminal."""
    builder = CacheBuilder(tmp_path, now=time.time())
    builder.add("rain \x1b[31m falls", audio=b"sound")
    cache = builder.write().path
    arguments = [*COMMAND[1:], "--cache-dir", str(cache), "list"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "140"}
    environment.pop("NO_COLOR", None)
    command = " ".join([COMMAND[0], *arguments])
    shown = str(pexpect.run(command, env=environment, encoding="utf-8"))
    plain = str(pexpect.run(command, env={**environment, "NO_COLOR": "1"}, encoding="utf-8"))
    assert "🎵" in shown
    assert "\x1b[1m" in shown
    assert "\\x1b[31m falls" in shown
    assert "🎵" in plain
    assert "\x1b[1m" not in plain


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """`list | head -1` ends without a traceback."""
    builder = CacheBuilder(tmp_path, now=time.time())
    for _ in range(400):
        builder.add("rain", audio=None)
    cache = builder.write().path
    line = f"{' '.join(COMMAND)} --cache-dir {cache} list --limit 400 | head -1"
    ran = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    assert ran.stdout


def test_demo_makes_caches_on_which_the_readme_works(tmp_path: Path, run: Run) -> None:
    """The commands that it prints, and a second demo in the same place is refused."""
    demo = tmp_path / "demo"
    assert run("demo", demo).status == 0
    config = demo / "config.yaml"
    assert run("check-config", config).status == 0
    assert run("--config", config, "stats").status == 0
    assert run("--config", config, "run-once", "--cache", "exhibit", "--dry-run", "--detailed-exitcode").status == 10
    assert run("--config", config, "run-once", "--cache", "exhibit").status == 0
    assert run("--config", config, "audit", "--limit", "10").status == 0
    assert run("demo", demo).status == 2
