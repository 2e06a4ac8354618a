"""What the tests of the service share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from services import Serve, ServiceProcess, quick_command


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts quick services; none outlives its test, and none may have failed in a way that nobody thought of."""
    started: list[ServiceProcess] = []

    def start(config: Path, *, environ: Mapping[str, str] | None = None, **pace: float) -> ServiceProcess:
        service = ServiceProcess(quick_command(config, pace), environ or {})
        started.append(service)
        return service

    yield start
    for service in started:
        service.clean_up()
    assert not [line for service in started for line in service.lines if "nobody thought of" in line]
