"""The rules for Prometheus: what promtool says of them, and that runbook and program have what they name."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import pytest
import yaml
from monitoring_files import PROMETHEUS, RULE_FILES, RULE_TESTS, alerts, recordings

from audio_cache_daemon.cli.app import app
from tools import needs

RUNBOOK = (PROMETHEUS / "RUNBOOK.md").read_text()
RUNBOOK_SECTIONS = re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE)
RUNBOOK_COMMANDS = sorted(
    set(re.findall(r"^ *(audio-cache-daemon .+)$|`(audio-cache-daemon [^`]+)`", RUNBOOK, re.MULTILINE))
)
ALERT_NAMES = list(dict.fromkeys(alert["alert"] for alert in alerts()))


def promtool(*words: str | Path) -> str:
    """What promtool says; it must succeed."""
    command = [needs("promtool", "prometheus"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_has_nothing_to_say_of_the_example_configuration() -> None:
    """It looks at the rules that the example names, too."""
    said = promtool("check", "config", "--lint=all", "--lint-fatal", PROMETHEUS / "prometheus.yml")
    assert said.count("rules found") == len(RULE_FILES) == 2


@pytest.mark.slow
@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_rules_do_as_their_tests_state(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # in memory: it makes a database for each of the tests
    promtool("test", "rules", path)


def test_each_alert_is_tested_firing_and_silent_and_each_recording_rule_is() -> None:
    tests = [test for path in RULE_TESTS for test in yaml.safe_load(path.read_text())["tests"]]
    checks = [check for test in tests for check in test.get("alert_rule_test", ())]
    firing = {
        (check["alertname"], alert["exp_labels"]["severity"]) for check in checks for alert in check["exp_alerts"]
    }
    silent = {check["alertname"] for check in checks if not check["exp_alerts"]}
    assert firing == {(alert["alert"], alert["labels"]["severity"]) for alert in alerts()}
    assert silent == set(ALERT_NAMES)
    recorded = {check["expr"] for test in tests for check in test.get("promql_expr_test", ())}
    assert recorded == {rule["record"] for rule in recordings()}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: f"{alert['alert']}-{alert['labels']['severity']}")
def test_an_alert_says_how_urgent_it_is_what_is_wrong_and_where_to_read_on(alert: dict[str, dict[str, str]]) -> None:
    assert alert["labels"]["severity"] in ("info", "warning", "critical")
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"].endswith(f"RUNBOOK.md#{str(alert['alert']).lower()}")


def test_the_runbook_has_a_section_of_each_alert_in_their_order() -> None:
    assert RUNBOOK_SECTIONS == ALERT_NAMES


@pytest.mark.parametrize("section", RUNBOOK.split("\n## ")[1:], ids=lambda section: section.partition("\n")[0])
def test_a_section_tells_what_it_means_what_to_look_at_and_what_to_do(section: str) -> None:
    positions = [section.find(f"\n**{what}**") for what in ("Means", "Look at", "Do")]
    assert positions == sorted(positions)
    assert -1 not in positions
    assert "```bash\n" in section[positions[1] :]


def test_the_other_programs_of_the_runbook_are_on_any_debian() -> None:
    blocks = re.findall(r"```bash\n(.*?)```", RUNBOOK, re.DOTALL)
    programs = {line.split()[0] for block in blocks for line in block.splitlines() if line.strip()}
    assert programs == {"audio-cache-daemon", "systemctl", "journalctl", "df", "sysctl"}


@pytest.mark.parametrize("command", [first or second for first, second in RUNBOOK_COMMANDS])
def test_a_command_of_the_runbook_exists(command: str, parsed_only: Callable[[list[str]], None]) -> None:
    """With these options and arguments."""
    parsed_only(shlex.split(command)[1:])


@pytest.mark.parametrize("words", [["stauts"], ["status", "--verbose"], ["trash", "undo"], ["accept-policy"]])
def test_a_command_that_does_not_exist_would_be_noticed(
    words: list[str], parsed_only: Callable[[list[str]], None]
) -> None:
    with pytest.raises(click.UsageError):
        parsed_only(words)


@pytest.fixture
def parsed_only(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], None]:
    """Parses a command line to its end, and runs nothing of it."""
    monkeypatch.setattr(click.Command, "invoke", lambda _command, _context: None)
    return lambda words: app.main(words, standalone_mode=False)
