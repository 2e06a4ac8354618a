"""The command line: one file a family of commands. Heavy imports happen in the commands that need them."""

from __future__ import annotations

import gc
import os
import signal
import sys

import click

from audio_cache_daemon.cli.app import app
from audio_cache_daemon.cli.status import ExitStatus, status_of
from audio_cache_daemon.errors import MaintenanceError, about
from audio_cache_daemon.reporting.terminal import Symbol, screen_for


def main() -> None:
    """Run the command that the arguments ask for, and exit with its status."""
    # Else numpy starts a thread a processor for linear algebra that nothing here does: 50 ms at each start.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # A command is over before garbage in cycles could matter, and looking for it takes 5 % of a dry run.
    gc.disable()
    status = run(sys.argv[1:])
    # The same at the very end, where the interpreter would look once more.
    gc.freeze()
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """The exit status of a command; every message but a command's result goes to standard error."""
    try:
        status = app.main(arguments, prog_name="audio-cache-daemon", standalone_mode=False)
        sys.stdout.flush()
        return int(status or ExitStatus.DONE)
    except BrokenPipeError:
        # The reader had enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except click.ClickException as error:
        error.show()
        return ExitStatus.USAGE
    except (click.exceptions.Abort, KeyboardInterrupt):
        message, code = "interrupted", ExitStatus.INTERRUPTED
    except MaintenanceError as error:
        message, code = str(error), status_of(error)
    except OSError as error:
        message, code = f"{about(error, 'the system')}: {error.strerror or error}", ExitStatus.FAILED
    screen_for(sys.stderr, os.environ).line(message, Symbol.ERROR)
    return code
