"""Loading a configuration: what a file means, what the environment adds, what becomes of a file that is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_files import MINIMAL, Load

from audio_cache_daemon.config.load import load_settings
from audio_cache_daemon.config.place import CONFIG_VARIABLE, find_config
from audio_cache_daemon.config.problems import ConfigProblem, InvalidConfigError
from audio_cache_daemon.config.settings import AuditSettings, CacheSettings, HttpSettings, LogSettings, WriterSettings
from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.retention.policy import (
    Dedupe,
    InState,
    KeepNewest,
    Limits,
    Marks,
    MaxAge,
    Pattern,
    Policy,
    Protection,
    Rule,
    TrashLimits,
    YoungerThan,
)


def _policy(load: Load, body: str, **environ: str) -> Policy:
    return load(MINIMAL.replace("standard: {}", f"standard: {body}"), **environ).policies["standard"]


def _problems(load: Load, text: str, **environ: str) -> list[ConfigProblem]:
    with pytest.raises(InvalidConfigError) as caught:
        load(text, **environ)
    return list(caught.value.problems)


def test_what_a_file_leaves_out_has_its_default(load: Load) -> None:
    settings = load(MINIMAL)
    location = CacheLocation("exhibit", Path("/srv/audio"), (Path("/srv/audio"),))
    assert settings.policies == {"standard": Policy("standard")}
    assert settings.caches == {"exhibit": CacheSettings(location, Policy("standard"), WriterSettings())}
    assert (settings.audit, settings.http, settings.log) == (AuditSettings(), HttpSettings(), LogSettings())
    assert settings.caches["exhibit"].writer.mode == "live"


def test_each_criterion_has_its_key_and_a_pattern_beside_one_narrows_it(load: Load) -> None:
    body = """
    protect:
      - {name: young, age: "<1h30m"}
      - {name: newest, keep_newest: 2}
    rules:
      - {name: a, max_age: 2w, pattern: rain}
      - {name: b, pattern: rain, min_age: 1d}
      - {name: c, dedupe: {by: content}}
      - {name: d, state: orphan}
    """
    policy = _policy(load, body)
    assert policy.protect == (Protection("young", YoungerThan(5400)), Protection("newest", KeepNewest(2)))
    assert policy.rules == (
        Rule("a", MaxAge(14 * 86400), pattern="rain"),
        Rule("b", Pattern("rain"), min_age=86400),
        Rule("c", Dedupe("content")),
        Rule("d", InState("orphan")),
    )


def test_none_lifts_a_limit_and_zero_switches_the_trash_off(load: Load) -> None:
    policy = _policy(load, "{limits: {max_items: none, max_percent: none}, trash: {keep: 0, max_size: none}}")
    assert policy.limits == Limits(None, None)
    assert policy.trash == TrashLimits(0, None)


def test_a_percentage_may_carry_its_sign_and_a_size_be_a_number_of_bytes(load: Load) -> None:
    policy = _policy(load, "{limits: {max_percent: 12.5%}, budget: {size: {high: 2048, low: 1KiB}}}")
    assert policy.limits.max_percent == 12.5
    assert policy.budget.size == Marks(2048, 1024)


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [("127.0.0.1:9843", "127.0.0.1", 9843), ("[::1]:80", "::1", 80), ("localhost:0", "localhost", 0)],
)
def test_an_address_is_a_host_and_a_port(load: Load, listen: str, host: str, port: int) -> None:
    assert load(MINIMAL + f'http: {{listen: "{listen}"}}').http == HttpSettings(host, port)


def test_a_value_takes_text_from_the_environment(load: Load) -> None:
    text = MINIMAL.replace("/srv/audio", '"${BASE}/${SUB:-audio}"')
    settings = load(text, BASE="/mnt")
    assert settings.caches["exhibit"].location.path == Path("/mnt/audio")


def test_a_number_from_the_environment_is_a_number_in_quotes_too(load: Load) -> None:
    policy = _policy(load, '{limits: {max_items: "${MOST}"}}', MOST="70")
    assert policy.limits.max_items == 70


def test_an_empty_variable_takes_the_default(load: Load) -> None:
    assert _policy(load, '{trash: {keep: "${KEEP:-3d}"}}', KEEP="").trash.keep == 3 * 86400


def test_text_from_the_environment_is_never_yaml(load: Load) -> None:
    (problem,) = _problems(load, MINIMAL.replace("path: /srv/audio", 'path: "${P}"'), P="[/srv/audio]")
    assert problem.found.startswith("'[/srv/audio]'")


def test_a_doubled_dollar_is_a_plain_one(load: Load) -> None:
    reload = "writer: {reload: [sh, -c, 'kill -HUP $(cat $${RUN}/pid)']}"
    settings = load(MINIMAL.replace("policy: standard", f"policy: standard, {reload}"))
    assert settings.caches["exhibit"].writer.reload[2] == "kill -HUP $(cat ${RUN}/pid)"


def test_an_alias_stands_for_what_it_names_and_a_merge_may_be_overridden(load: Load) -> None:
    body = """&base {mode: audit, rules: [{name: a, max_age: 1d}]}
  other: {<<: *base, mode: enforce}"""
    policies = load(MINIMAL.replace("standard: {}", f"standard: {body}")).policies
    assert policies["other"] == Policy("other", mode="enforce", rules=policies["standard"].rules)


def test_a_cron_line_keeps_its_text(load: Load) -> None:
    schedule = _policy(load, '{schedule: {cron: "@daily", timezone: Europe/Berlin}}').schedule
    assert schedule is not None
    assert (schedule.cron, schedule.timezone, schedule.catch_up) == ("@daily", "Europe/Berlin", None)


def test_the_digest_changes_with_the_text_and_with_what_the_environment_put_in(load: Load) -> None:
    text = MINIMAL.replace("/srv/audio", '"${BASE}/audio"')
    digest = load(text, BASE="/a").digest
    assert load(text, BASE="/a", HOME="/unused").digest == digest
    assert load(text, BASE="/b").digest != digest
    assert load(text + "#", BASE="/a").digest != digest


def test_each_problem_is_a_line_of_the_message_with_file_and_line(load: Load, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(MINIMAL.replace("policy: standard", "policy: other") + "log: {level: loud}\n")
    assert str(caught.value).splitlines() == [
        f"{tmp_path}/config.yaml:3: caches.exhibit.policy: found the unknown policy other, expected standard",
        f"{tmp_path}/config.yaml:6: log.level: found 'loud', expected debug or info or warning or error",
    ]


def test_a_missing_file_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match=r"absent\.yaml: found a file that can't be read \(No such file"):
        load_settings(tmp_path / "absent.yaml", {})


def test_a_directory_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match="Is a directory"):
        load_settings(tmp_path, {})


@pytest.mark.parametrize(
    ("content", "line", "found"),
    [
        (b"version: 1\ncaches: \xff\n", 2, "the byte 0xff"),
        (b"version: \x00", None, "control characters"),
        (b"#" * (2**20 + 1), None, "more than 1 MiB"),
        (b"", None, "an empty file"),
        (b"[" * 100_000, 1, "nested more than 30 deep"),
        (b"- " * 100_000, 1, "nested more than 30 deep"),
    ],
)
def test_what_is_no_yaml_is_a_message(tmp_path: Path, content: bytes, line: int | None, found: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidConfigError) as caught:
        load_settings(path, {})
    (problem,) = caught.value.problems
    assert problem.line == line
    assert found in problem.found.replace("special", "control")


def test_a_byte_order_mark_is_no_problem(load: Load) -> None:
    assert load("\ufeff" + MINIMAL).policies


def test_aliases_that_unfold_into_billions_are_refused_at_once(load: Load) -> None:
    rules = "[" + ", ".join(["*rule"] * 200) + "]"
    policies = "\n".join(f"  p{number}: {{rules: *rules}}" for number in range(200))
    text = MINIMAL.replace("standard: {}", f"standard: {{rules: &rules [&rule {{name: a, max_age: 1d}}, {rules[1:]}}}")
    (problem,) = _problems(load, f"{text}{policies}\n")
    assert problem.found == "aliases that unfold without end"


def test_control_characters_of_a_file_never_reach_the_message(load: Load) -> None:
    (problem,) = _problems(load, MINIMAL + '"\\e[31m": 1\n')
    assert "\x1b" not in str(problem)


def test_the_file_asked_for_comes_before_the_environments_and_that_before_the_systems(tmp_path: Path) -> None:
    environ = {CONFIG_VARIABLE: "/from/environment"}
    assert find_config(tmp_path, environ) == tmp_path
    assert find_config(None, environ) == Path("/from/environment")
    assert find_config(None, {CONFIG_VARIABLE: ""}) in (None, Path("/etc/audio-cache-daemon/config.yaml"))
