"""How the service lives: it reloads, ends between two items, goes with the clock, and tells systemd how it is."""

from __future__ import annotations

import re
import signal
import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from services import DROP, EVERY_MINUTE, PATIENCE, Serve, ServiceProcess, make_dozen, write_config

from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, CacheLocation
from builders import CacheBuilder
from tools import needs

NOTHING = {"rules": [{"name": "none", "pattern": "nowhere"}]}
KEEP = {"rules": [{"name": "keep-none", "pattern": "keep"}], "limits": {"max_percent": "none"}}


def assert_aligned(location: CacheLocation, rows: int) -> None:
    assert (location.path / META_NAME).read_bytes().count(b"\n") == rows
    assert [len(np.load(location.path / name)) for name in ARRAY_NAMES] == [rows] * 3


def test_a_changed_configuration_is_taken_over_and_a_bad_one_is_not(tmp_path: Path, serve: Serve) -> None:
    """Loudly, and all that is wrong with it is said; the one before stays in force."""
    location, config = make_dozen(tmp_path).location, tmp_path / "config.yaml"
    service = serve(write_config(config, location, {**DROP, **EVERY_MINUTE}))
    service.wait_for("schedule: evicted 4")
    write_config(config, location, {"rules": [{"nmae": "x"}], **EVERY_MINUTE})
    assert service.wait_for("configuration: ", "nmae")["level"] == "error"
    assert service.wait_for("stays in force")["level"] == "error"
    service.wait_for("schedule: nothing to remove")
    write_config(config, location, {"budget": {"items": {"high": 5, "low": 9}}, **EVERY_MINUTE})
    service.wait_for("configuration: ", "low is above high")
    write_config(config, location, {**KEEP, **EVERY_MINUTE})
    service.wait_for("reloaded")
    service.wait_for("schedule: evicted 8")


def test_the_swap_of_a_config_map_is_a_change(tmp_path: Path, serve: Serve) -> None:
    """Kubernetes replaces a link to a directory of links: nothing happens to the file itself."""
    location = make_dozen(tmp_path).location
    for name, policy in (("old", DROP), ("new", KEEP)):
        (tmp_path / name).mkdir()
        write_config(tmp_path / name / "config.yaml", location, {**policy, **EVERY_MINUTE})
    (tmp_path / "data").symlink_to("old")
    (tmp_path / "config.yaml").symlink_to("data/config.yaml")
    service = serve(tmp_path / "config.yaml")
    service.wait_for("schedule: evicted 4")
    (tmp_path / "next").symlink_to("new")
    (tmp_path / "next").replace(tmp_path / "data")
    service.wait_for("has changed")
    service.wait_for("schedule: evicted 8")


def test_a_storm_of_hangups_is_one_reload_or_a_few(tmp_path: Path, serve: Serve) -> None:
    location = make_dozen(tmp_path).location
    service = serve(write_config(tmp_path / "config.yaml", location, {**DROP, **EVERY_MINUTE}))
    service.wait_for("schedule: evicted 4")
    for _ in range(2000):
        service.send(signal.SIGHUP)
    service.wait_for("reloaded")
    service.wait_for("schedule: nothing to remove")
    assert sum("reloaded" in line for line in service.lines) < 200
    assert service.end() == 0


def test_told_to_end_it_stops_between_two_items_and_goes_on_at_the_next_start(tmp_path: Path, serve: Serve) -> None:
    """In the middle of a large eviction, and told twice: nothing is half done, and nothing is lost."""
    cache = CacheBuilder(tmp_path, now=time.time())
    for number in range(4000):
        cache.add("keep this" if number % 8 == 0 else "drop this")
    policy = {**DROP, "limits": {"max_items": "none", "max_percent": "none"}}
    service = serve(write_config(tmp_path / "config.yaml", cache.write(), {**policy, **EVERY_MINUTE}))
    service.wait_for("evicting 350 of 3500")
    service.send(signal.SIGTERM)
    told = time.monotonic()
    assert service.end() == 0
    assert time.monotonic() - told < 10
    assert service.said("told to stop, the run left ")
    assert_aligned(cache.location, 500)
    left = len(list(cache.output.glob("*.wav"))) - 500
    assert 0 < left < 3200

    # No run is due then: one that is could be first.
    again = serve(write_config(tmp_path / "config.yaml", cache.location, policy))
    again.wait_for("start: ", "was interrupted, and was completed")
    assert len(list(cache.output.glob("*.wav"))) == 500
    assert_aligned(cache.location, 500)


def test_a_generator_that_was_left_stopped_is_started_at_the_start(tmp_path: Path, serve: Serve) -> None:
    """An end can cut off a compaction that waits for it; nobody should have to wait for the next scheduled run."""
    location, started = make_dozen(tmp_path).location, tmp_path / "started"
    location.state_directory.mkdir()
    (location.state_directory / "generator-stopped").touch()
    writer = {"started_file": str(started), "stop": ["true"], "start": ["touch", str(started)]}
    service = serve(write_config(tmp_path / "config.yaml", location, NOTHING, writer))
    service.wait_for("start: ", "nothing to remove")
    assert started.exists()
    assert not (location.state_directory / "generator-stopped").exists()


def test_an_interrupt_is_told_by_the_exit_status(tmp_path: Path) -> None:
    """As of every command; a configuration that can't be used has a status of its own."""
    location = make_dozen(tmp_path).location
    config = write_config(tmp_path / "config.yaml", location, DROP)
    words = [sys.executable, "-m", "audio_cache_daemon", "--config", str(config), "run"]
    service = ServiceProcess(words, {})
    try:
        service.wait_for("looked")
        assert service.end(signal.SIGINT) == 130
    finally:
        service.clean_up()
    config.write_text("version: 2\n")
    bad = ServiceProcess(words, {})
    try:
        assert bad.wait() == 78
        assert "found '2', expected 1" in "".join(bad.lines)
    finally:
        bad.clean_up()


def test_systemd_is_told_how_it_is(tmp_path: Path, serve: Serve) -> None:
    """Ready, alive, what it does, that it reloads, that it stops."""
    location = make_dozen(tmp_path).location
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(PATIENCE)

        def hear(word: str) -> str:
            while word not in (message := listener.recv(4096).decode()):
                pass
            return message

        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        service = serve(write_config(tmp_path / "config.yaml", location, {**DROP, **EVERY_MINUTE}), environ=environ)
        hear("READY=1")
        assert "test: last run success at" in hear("STATUS=test: last run")
        hear("WATCHDOG=1")
        service.send(signal.SIGHUP)
        assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", hear("RELOADING=1"))
        hear("READY=1")
        service.send(signal.SIGTERM)
        hear("STOPPING=1")
        assert service.wait() == 0


@pytest.fixture
def stepped_clock(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A file that says by how much the wall clock is wrong, and the environment in which a process believes it.

    Under libfaketime a sleep that spans a step fails, or never ends. watchdog sleeps when files were moved, so what is
    tested evicts none.
    """
    needs("faketime", "faketime")
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    offset = tmp_path / "offset"
    offset.write_text("+0\n")
    environ = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    return offset, environ


def test_a_clock_set_ahead_holds_back_what_goes_by_age(
    tmp_path: Path, serve: Serve, stepped_clock: tuple[Path, dict[str, str]]
) -> None:
    """For a settle period; then, or when the clock is set back, the schedule goes on."""
    offset, environ = stepped_clock
    location = make_dozen(tmp_path).location
    policy = {"rules": [{"name": "old", "max_age": "30d"}], **EVERY_MINUTE}
    service = serve(write_config(tmp_path / "config.yaml", location, policy), environ=environ)
    service.wait_for("schedule: nothing to remove")
    _set(offset, "+1h")
    service.wait_for("the clock was set ahead by 1h")
    service.wait_for("schedule: not run, the clock jumped ahead")
    service.wait_for("schedule: nothing to remove")


def test_a_clock_set_back_does_not_stall_the_schedule(
    tmp_path: Path, serve: Serve, stepped_clock: tuple[Path, dict[str, str]]
) -> None:
    """Its runs come, and are refused as long as the clock stands before the last one."""
    offset, environ = stepped_clock
    location = make_dozen(tmp_path).location
    service = serve(write_config(tmp_path / "config.yaml", location, {**NOTHING, **EVERY_MINUTE}), environ=environ)
    service.wait_for("schedule: nothing to remove")
    _set(offset, "-1h")
    service.wait_for("the clock was set back by 1h")
    assert service.wait_for("schedule: refused")["level"] == "warning"


def _set(offset: Path, by: str) -> None:
    new = offset.with_name("offset.new")
    new.write_text(by + "\n")
    new.replace(offset)
