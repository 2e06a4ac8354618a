"""Commands run in this process, as a script sees them: status, standard output, standard error."""

from __future__ import annotations

import pytest
from commands import Ran, Run

from audio_cache_daemon import cli


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command; no configuration of this machine is in its way."""
    monkeypatch.delenv("AUDIO_CACHE_DAEMON_CONFIG", raising=False)

    def run_command(*arguments: object) -> Ran:
        capsys.readouterr()
        status = cli.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    return run_command
