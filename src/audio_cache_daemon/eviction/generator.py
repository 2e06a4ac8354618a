"""The generator from outside: when it was last started, and how it is stopped and started around a compaction."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.eviction.directories import make_state_directory, write_durably
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.own_files import sync_directory

COMMAND_SECONDS = 90.0
"""How long a stop or start may take: systemd's own limit for either."""

_ASK_SECONDS = 10.0
_STOPPED_NAME = "generator-stopped"
_OUTDATED_NAME = "generator-outdated"
_DONE = {"start": "started", "reload": "reloaded"}


class Generator(msgspec.Struct, frozen=True):
    """How the generator is known and commanded: its systemd unit, a file that its start touches, and commands."""

    unit: str | None = None
    started_file: Path | None = None
    stop: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    reload: tuple[str, ...] = ()

    @property
    def can_stop(self) -> bool:
        return bool(self.stop and self.start)


def last_start(generator: Generator) -> str | None:
    """What names the generator's last start, and is another after the next one; None when that can't be known."""
    names = []
    if generator.started_file is not None:
        try:
            names.append(f"file {generator.started_file.stat().st_mtime_ns}")
        except OSError:
            names.append("file missing")
    if generator.unit is not None:
        invocation = _invocation(generator.unit)
        if invocation is None:
            return None
        names.append(f"unit {invocation}")
    return ", ".join(names) or None


def _invocation(unit: str) -> str | None:
    """Systemd's id of a unit's last start; None when it was never started, or systemd can't be asked."""
    command = ["systemctl", "show", "--property=InvocationID", "--value", "--", unit]
    try:
        asked = subprocess.run(  # noqa: S603 -- fixed words, and the unit that the operator named
            command, capture_output=True, text=True, timeout=_ASK_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return asked.stdout.strip() or None


@contextmanager
def generator_stopped(location: CacheLocation, generator: Generator) -> Iterator[None]:
    """Stop the generator, and start it at the end, whatever happens; after a crash of ours the next run starts it.

    MaintenanceError when it can't be stopped (it is started all the same) or started.
    """
    note = make_state_directory(location.path) / _STOPPED_NAME
    write_durably(note, b"stopped by audio-cache-daemon; the next run starts it\n")
    try:
        _run(generator.stop, "stopped")
        yield
    finally:
        start_again(location, generator)


@contextmanager
def generator_reloaded(location: CacheLocation, generator: Generator) -> Iterator[None]:
    """Let the generator load the index at the end, whatever happens; after a crash of ours the next run does.

    It has the rows of before in memory until then. MaintenanceError when it can't be told.
    """
    write_durably(
        make_state_directory(location.path) / _OUTDATED_NAME,
        b"the index was changed by audio-cache-daemon; the next run lets the generator load it\n",
    )
    try:
        yield
    finally:
        start_again(location, generator)


def is_left_out_of_step(location: CacheLocation) -> bool:
    """Whether the generator is still to be started, or to load the index, after a process of ours that was cut off."""
    return any((location.state_directory / name).exists() for name in (_STOPPED_NAME, _OUTDATED_NAME))


def start_again(location: CacheLocation, generator: Generator) -> bool:
    """Start the generator if we stopped it and didn't start it since; whether that was so.

    And let it load the index, if we changed that and didn't tell it since.
    """
    stopped = _make_up_for(location, _STOPPED_NAME, "start", generator.start)
    _make_up_for(location, _OUTDATED_NAME, "reload", generator.reload)
    return stopped


def _make_up_for(location: CacheLocation, name: str, which: str, command: Sequence[str]) -> bool:
    """Run a command that a note says is still to be run; whether there was one."""
    note = location.state_directory / name
    if not note.exists():
        return False
    if not command:
        raise MaintenanceError(
            f"{note} says that the generator is still to be {_DONE[which]}, and writer.{which} is no longer "
            "configured; do it by hand and remove that file"
        )
    _run(command, _DONE[which])
    note.unlink()
    sync_directory(note.parent)
    return True


def _run(command: Sequence[str], done: str) -> None:
    try:
        subprocess.run(  # noqa: S603 -- the operator's own command, without a shell
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True
        )
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or "").strip().rpartition("\n")[2] or f"exit status {error.returncode}"
    except subprocess.TimeoutExpired:
        reason = f"no answer within {COMMAND_SECONDS:g} s"
    except OSError as error:
        reason = error.strerror or str(error)
    else:
        return
    raise MaintenanceError(f"the generator could not be {done} with {' '.join(command)}: {reason}")
