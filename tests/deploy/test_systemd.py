"""The unit files are what systemd understands, are hardened, and name only what is there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TypeAlias

import click
import pytest

from audio_cache_daemon.cli.app import app
from audio_cache_daemon.cli.status import ExitStatus
from audio_cache_daemon.config.load import load_settings
from audio_cache_daemon.config.place import SYSTEM_CONFIG
from audio_cache_daemon.config.settings import AuditSettings, HttpSettings, Settings
from audio_cache_daemon.daemon.pace import Pace
from audio_cache_daemon.eviction.generator import COMMAND_SECONDS
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.reporting.audit_record import log_files
from audio_cache_daemon.request import audit_path
from audio_cache_daemon.units import parse_duration
from tools import needs

PROJECT = Path(__file__).parents[2]
UNITS = PROJECT / "deploy" / "systemd"
EXAMPLES = UNITS / "examples"
SERVICE, ONCE, TIMER = (UNITS / f"audio-cache-daemon{rest}" for rest in (".service", "-once.service", "-once.timer"))
INSTALLED = "/opt/audio-cache-daemon/bin/audio-cache-daemon"
USER = "audio-cache-daemon"
GENERATOR = "image-server.service"

WORST_SCORE = {SERVICE: 1.0, ONCE: 0.3}
"""Of `systemd-analyze security`, from 0 to 10: sockets and a network cost the service the difference."""


Options: TypeAlias = dict[str, list[str]]
"""A section of a unit file: all values of each key."""


def read_unit(path: Path) -> dict[str, Options]:
    """The sections of a unit file."""
    sections: dict[str, Options] = {}
    for line in path.read_text().splitlines():
        if line.startswith("["):
            options = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            options.setdefault(key, []).append(value)
    return sections


def settle(directory: Path, *drop_ins: str) -> list[Path]:
    """The units as they are on a machine where the program is installed: here, it is that of these tests."""
    program = Path(sys.executable).with_name("audio-cache-daemon")
    units = []
    for unit in (SERVICE, ONCE, TIMER):
        units.append(directory / unit.name)
        units[-1].write_text(unit.read_text().replace(INSTALLED, str(program)))
    for name in drop_ins:
        below = directory / ("audio-cache-daemon.service.d" if "remote" in name else "audio-cache-.service.d")
        below.mkdir(exist_ok=True)
        shutil.copy(EXAMPLES / name, below)
    return units


@pytest.mark.parametrize("drop_ins", [(), ("caches.conf", "remote-prometheus.conf"), ("generator-user.conf",)])
def test_systemd_has_nothing_to_say_of_the_units(tmp_path: Path, drop_ins: tuple[str, ...]) -> None:
    """Its status is 0 for an unknown key too, but it says so."""
    verify = [needs("systemd-analyze", "systemd"), "verify", "--man=no"]
    units = settle(tmp_path, *drop_ins)
    done = subprocess.run([*verify, *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    units[0].write_text(units[0].read_text().replace("WatchdogSec=", "WatchdogSeconds="))
    done = subprocess.run([*verify, units[0]], capture_output=True, text=True, check=False)
    assert "WatchdogSeconds" in done.stderr


@pytest.mark.parametrize("unit", WORST_SCORE, ids=lambda unit: unit.name)
def test_the_services_are_hardened(unit: Path) -> None:
    """As far as systemd can tell from outside."""
    ask = [needs("systemd-analyze", "systemd"), "security", "--offline=true", "--no-pager", str(unit)]
    said = subprocess.run(ask, capture_output=True, text=True, check=False).stdout
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert score is not None, said
    assert float(score[1]) <= WORST_SCORE[unit], said


def test_both_services_are_hardened_alike() -> None:
    """But for the network, which the one-shot hasn't, and what it says of all processes."""
    of_process = {"UMask", "User", "Group", "Nice", "IOSchedulingPriority", "LimitCORE"}
    own = {
        "Type",
        "WatchdogSec",
        "Environment",
        "IPAddressAllow",
        "RestrictAddressFamilies",
        "PrivateNetwork",
        "ProcSubset",
    }
    own |= {"RestartPreventExitStatus", "RestartSec", "Restart"}
    own |= {
        key for unit in (SERVICE, ONCE) for key in read_unit(unit)["Service"] if key.startswith(("Exec", "Timeout"))
    }
    service, once = (
        {key: value for key, value in read_unit(unit)["Service"].items() if key not in own} for unit in (SERVICE, ONCE)
    )
    assert service == once
    assert of_process <= set(service)


def commands() -> list[tuple[str, list[str]]]:
    """All commands of the units, by key."""
    return [
        (key, shlex.split(value))
        for unit in (SERVICE, ONCE)
        for key, values in read_unit(unit)["Service"].items()
        if key.startswith("Exec")
        for value in values
    ]


def test_each_command_and_option_is_the_programs() -> None:
    """They parse; nothing of them is run."""
    ours = [words[1:] for _, words in commands() if words[0] == INSTALLED]
    assert len(ours) >= 5
    for name, *rest in ours:
        command = app.get_command(click.Context(app), name)
        assert command is not None, name
        command.make_context(name, rest, resilient_parsing=False)
    assert [words for _, words in commands() if words[0] != INSTALLED] == [["/bin/sh", "-c", "kill -HUP $MAINPID"]]


def test_the_times_fit_the_daemons_own() -> None:
    """Systemd waits for longer than the daemon does, in each case."""
    service, once, pace = read_unit(SERVICE)["Service"], read_unit(ONCE)["Service"], Pace()
    assert parse_duration(service["TimeoutStopSec"][0]) > pace.stop
    assert parse_duration(service["WatchdogSec"][0]) > pace.stale
    assert parse_duration(once["TimeoutStartSec"][0]) > 2 * COMMAND_SECONDS
    assert service["RestartPreventExitStatus"] == [str(int(ExitStatus.CONFIGURATION))]


def test_the_user_is_the_same_everywhere() -> None:
    """Made by sysusers.d, and named by the units, tmpfiles.d and polkit."""
    made = re.findall(r"^u (\S+)", (UNITS / "sysusers.conf").read_text(), re.MULTILINE)
    assert made == [USER]
    for unit in (SERVICE, ONCE):
        service = read_unit(unit)["Service"]
        assert (service["User"], service["Group"]) == ([USER], [USER])
    assert f":0750 :{USER} :{USER}" in (UNITS / "tmpfiles.conf").read_text()
    assert f'subject.user == "{USER}"' in (EXAMPLES / "polkit.rules").read_text()
    assert read_unit(EXAMPLES / "generator.conf")["Service"]["SupplementaryGroups"] == [USER]
    umasks = [read_unit(path)["Service"]["UMask"] for path in (SERVICE, ONCE, EXAMPLES / "generator.conf")]
    assert umasks == [["0002"]] * 3


def test_the_logs_are_where_the_program_writes_them(tmp_path: Path) -> None:
    """The unit, tmpfiles.d, logrotate and the shipped configuration mean one directory, and files of these names."""
    logs = load_settings(PROJECT / "config" / "default.yaml", {}).audit.directory
    assert logs is not None
    for unit in (SERVICE, ONCE):
        assert [str(Path("/var/log", name)) for name in read_unit(unit)["Service"]["LogsDirectory"]] == [str(logs)]
    assert f"d {logs} " in (UNITS / "tmpfiles.conf").read_text()
    pattern = re.search(r"^(/\S+) \{", (UNITS / "logrotate.conf").read_text(), re.MULTILINE)
    assert pattern is not None
    path = audit_path(Settings({}, {}, AuditSettings(logs)), CacheLocation("exhibit", tmp_path, (tmp_path,)))
    assert path.match(pattern[1])
    assert log_files(tmp_path / path.name) == []
    assert "copytruncate" not in (UNITS / "logrotate.conf").read_text()


def test_the_examples_name_what_the_program_has() -> None:
    """The generator's unit is that of the shipped configuration, the address and port are those of `http.listen`."""
    writer = load_settings(PROJECT / "config" / "default.yaml", {}).caches["exhibit"].writer
    assert writer.unit == GENERATOR
    rules = (EXAMPLES / "polkit.rules").read_text()
    assert f'action.lookup("unit") == "{GENERATOR}"' in rules
    verbs = [command[1] for command in (writer.stop, writer.start)]
    assert sorted(verbs) == sorted(re.findall(r'"(start|stop)"', rules))
    assert f":{HttpSettings().port}" in (EXAMPLES / "remote-prometheus.conf").read_text()


def test_make_installs_each_file(tmp_path: Path) -> None:
    """Below DESTDIR, which is all that it touches then."""
    subprocess.run(["make", "-C", PROJECT, "install-systemd", f"DESTDIR={tmp_path}"], check=True, capture_output=True)
    installed = {f"/{path.relative_to(tmp_path)}" for path in tmp_path.rglob("*") if not path.is_dir()}
    library, documents = "/usr/local/lib", "/usr/local/share/doc/audio-cache-daemon/systemd"
    assert installed == {
        *(f"{library}/systemd/system/{unit.name}" for unit in (SERVICE, ONCE, TIMER)),
        f"{library}/sysusers.d/audio-cache-daemon.conf",
        f"{library}/tmpfiles.d/audio-cache-daemon.conf",
        "/etc/logrotate.d/audio-cache-daemon",
        *(f"{documents}/{path.name}" for path in EXAMPLES.iterdir()),
    }
    assert Path(f"{tmp_path}{SYSTEM_CONFIG.parent}").is_dir()


def test_the_readme_names_each_example_and_no_other() -> None:
    """By the names under which `make install-systemd` leaves them."""
    section = (PROJECT / "README.md").read_text().partition("## Under systemd\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"(?<![/\w.-])[a-z-]+\.(?:conf|rules)\b", section))
    assert named == {path.name for path in EXAMPLES.iterdir()}
