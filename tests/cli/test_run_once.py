"""`run-once`, `explain`, `audit`: what they say, in which form, and with which exit status."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import Run
from configured import write_config
from test_seed_guide import read_rows, snapshot

from builders import DAY, CacheBuilder

POLICY: dict[str, Any] = {
    "rules": [{"name": "stale", "max_age": "30d"}, {"name": "tests", "pattern": r"\btest\b"}],
    "limits": {"max_items": 5},
}

Configure = Callable[..., Path]


@pytest.fixture
def builder(tmp_path: Path) -> CacheBuilder:
    """Two old items, a test one, and three that nothing selects."""
    builder = CacheBuilder(tmp_path, now=time.time())
    for prompt, age in (("rain", 40), ("wind", 50), ("a test", 1), ("rain", 2), ("waves", 3), ("bells", 4)):
        builder.add(prompt, age=age)
    return builder


@pytest.fixture
def configure(builder: CacheBuilder) -> Configure:
    """Writes the index, and a configuration with one cache under a policy."""

    def write(policy: dict[str, Any] = POLICY) -> Path:
        return write_config(builder, policy)

    return write


def test_a_dry_run_prints_the_plan_and_changes_nothing(configure: Configure, run: Run, tmp_path: Path) -> None:
    """Each item with its rule and the reason, measured value and threshold; and not a byte moves."""
    config = configure()
    before = snapshot(tmp_path)

    report = run("--config", config, "run-once", "--dry-run", "--format", "json").json["caches"][0]

    assert report["outcome"] is None
    assert report["result"] == "success"
    assert report["would_refuse"] is False
    assert report["inventory"]["items"] == 6
    assert report["plan"]["by_rule"]["stale"]["items"] == 2
    assert [entry["row"] for entry in report["plan"]["evict"]] == [0, 1, 2]
    stale, _, tests = report["plan"]["evict"]
    assert stale["reason"]["criterion"] == "max_age"
    assert stale["reason"]["value"] == pytest.approx(40 * DAY, abs=60)
    assert stale["reason"]["threshold"] == 30 * DAY
    assert tests["reason"] == {"criterion": "pattern", "value": "a test", "threshold": r"\btest\b"}
    assert sum(entry["bytes"] for entry in report["plan"]["evict"]) == report["plan"]["bytes"]
    assert snapshot(tmp_path) == before


def test_a_run_does_what_its_dry_run_said(configure: Configure, run: Run, builder: CacheBuilder) -> None:
    """The same plan, executed; the report lists what went, as it was."""
    config = configure()
    planned = run("--config", config, "run-once", "--dry-run", "--format", "json").json["caches"][0]["plan"]

    ran = run("--config", config, "run-once", "--format", "json")

    report = ran.json["caches"][0]
    assert ran.status == 0
    assert [entry["id"] for entry in report["plan"]["evict"]] == [entry["id"] for entry in planned["evict"]]
    assert report["outcome"]["evicted"] == 3
    assert report["outcome"]["bytes_freed"] == planned["bytes"]
    assert [row["prompt"] for row in read_rows(builder.location.path)] == ["rain", "waves", "bells"]


def test_a_second_run_has_nothing_to_do(configure: Configure, run: Run) -> None:
    """And says so, with status 0."""
    config = configure()
    run("--config", config, "run-once")
    ran = run("--config", config, "run-once", "--format", "json")
    assert ran.status == 0
    assert ran.json["caches"][0]["result"] == "noop"


def test_detailed_exitcode_tells_that_something_would_go(configure: Configure, run: Run) -> None:
    """Status 10 for changes, 0 for none."""
    config = configure()
    assert run("--config", config, "run-once", "--dry-run", "--detailed-exitcode").status == 10
    run("--config", config, "run-once")
    assert run("--config", config, "run-once", "--dry-run", "--detailed-exitcode").status == 0


def test_as_of_shows_what_would_go_on_that_day(configure: Configure, run: Run) -> None:
    """In two months everything is stale; without --dry-run another time than now is refused."""
    config = configure({**POLICY, "limits": {"max_items": 10}})
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 60 * DAY))
    report = run("--config", config, "run-once", "--dry-run", "--as-of", day, "--format", "json").json["caches"][0]
    assert report["plan"]["items"] == 6
    assert run("--config", config, "run-once", "--as-of", day).status == 2


def test_one_rule_can_be_applied_alone(configure: Configure, run: Run, builder: CacheBuilder) -> None:
    """`--rule NAME`; a name that there is none of is a message with the names that there are."""
    config = configure()
    assert run("--config", config, "run-once", "--rule", "tests").status == 0
    assert len(read_rows(builder.location.path)) == 5
    wrong = run("--config", config, "run-once", "--rule", "tset")
    assert wrong.status == 2
    assert "stale, tests" in wrong.err


def test_limits_refuse_with_status_3_and_can_be_overridden_once(
    configure: Configure, run: Run, builder: CacheBuilder
) -> None:
    """A dry run says so with status 0; the override is in the audit log."""
    config = configure({**POLICY, "limits": {"max_items": 2}})
    dry = run("--config", config, "run-once", "--dry-run", "--format", "json")
    assert (dry.status, dry.json["caches"][0]["would_refuse"]) == (0, True)

    refused = run("--config", config, "run-once")
    assert refused.status == 3
    assert "--override-limits" in refused.err
    assert len(read_rows(builder.location.path)) == 6

    assert run("--config", config, "run-once", "--override-limits").status == 0
    assert len(read_rows(builder.location.path)) == 3
    started = run("--config", config, "audit", "--event", "run_started", "--format", "json").json["records"]
    assert [record["detail"]["limits"] for record in started] == [True, False]


def test_an_index_that_shrank_by_half_refuses_until_it_is_accepted(
    configure: Configure, run: Run, builder: CacheBuilder
) -> None:
    """The sentinel names the way on."""
    config = configure({"rules": []})
    assert run("--config", config, "run-once").status == 0
    meta = builder.location.path / "meta.jsonl"
    meta.write_bytes(b"".join(meta.read_bytes().splitlines(keepends=True)[:2]))

    refused = run("--config", config, "run-once")

    assert refused.status == 3
    assert "--accept-index" in refused.err
    assert run("--config", config, "run-once", "--accept-index").status == 0


def test_a_volume_that_is_not_mounted_refuses(configure: Configure, run: Run, builder: CacheBuilder) -> None:
    """Rows whose files are all missing are no reason to drop the rows."""
    config = configure({"rules": [{"name": "gone", "state": "missing"}]})
    for path in builder.output.glob("*.wav"):
        path.rename(path.with_suffix(".away"))
    refused = run("--config", config, "run-once")
    assert refused.status == 3
    assert "--accept-root" in refused.err
    assert len(read_rows(builder.location.path)) == 6


def test_an_inconsistent_index_blocks_with_status_6(configure: Configure, run: Run, builder: CacheBuilder) -> None:
    """Arrays a row short: nothing can be dropped, and a dry run foretells it."""
    config = configure()
    builder.drop_array_rows("clap_audio.npy")
    dry = run("--config", config, "run-once", "--dry-run", "--format", "json").json["caches"][0]
    assert dry["would_refuse"] is True
    ran = run("--config", config, "run-once")
    assert ran.status == 6
    assert "clap_audio.npy has 5 rows for 6 lines" in ran.err
    assert len(read_rows(builder.location.path)) == 6


def test_under_a_live_generator_items_are_retired(configure: Configure, run: Run, builder: CacheBuilder) -> None:
    """Rows and files stay until it is stopped or started again; the counts and a message tell."""
    config = configure()
    ran = run("--config", config, "--live", "run-once", "--format", "json")
    assert ran.status == 0
    (report,) = ran.json["caches"]
    assert report["outcome"]["evicted"] >= report["outcome"]["pending_items"] > 0
    assert len(read_rows(builder.location.path)) == 6
    after = run("--config", config, "--live", "run-once", "--dry-run", "--format", "json").json["caches"][0][
        "inventory"
    ]
    assert after["retired"] == 6 - after["items"]
    assert after["pending_items"] == report["outcome"]["pending_items"]
    assert after["pending_bytes"] == report["outcome"]["pending_bytes"]


def test_an_audit_mode_policy_reports_and_removes_nothing(
    configure: Configure, run: Run, builder: CacheBuilder
) -> None:
    """`mode: audit` is a dry run on schedule."""
    config = configure({**POLICY, "mode": "audit"})
    ran = run("--config", config, "run-once", "--format", "json")
    assert ran.status == 0
    assert ran.json["caches"][0]["outcome"] is None
    assert len(read_rows(builder.location.path)) == 6


def test_a_configuration_that_cannot_work_is_not_run(configure: Configure, run: Run) -> None:
    """Low above high is found before anything is touched."""
    config = configure({"budget": {"items": {"high": 2, "low": 3}}})
    ran = run("--config", config, "run-once")
    assert ran.status == 2
    assert "budget" in ran.err


def test_without_a_configuration_there_is_no_policy_to_apply(run: Run, builder: CacheBuilder) -> None:
    """`run-once` on a bare directory says what it needs."""
    ran = run("--cache-dir", builder.write().path, "run-once", "--dry-run")
    assert ran.status == 2
    assert "--config" in ran.err


def test_the_audit_log_tells_what_was_removed_by_which_rule_and_why(configure: Configure, run: Run) -> None:
    """By run, rule and item; and its chain is whole, until somebody edits it."""
    config = configure()
    report = run("--config", config, "run-once", "--format", "json").json["caches"][0]

    removed = run("--config", config, "audit", "--event", "removed", "--format", "json").json["records"]
    assert [record["item"]["id"] for record in removed] == [entry["id"] for entry in report["plan"]["evict"]]
    by_rule = run("--config", config, "audit", "--rule", "tests", "--format", "json").json["records"]
    assert [record["item"]["prompt"] for record in by_rule] == ["a test"]
    assert run("--config", config, "audit", "verify").status == 0

    (log,) = config.parent.glob("audio/audio_cache/.audio-cache-daemon/audit.jsonl")
    log.write_text(log.read_text().replace("a test", "a jest"))
    assert run("--config", config, "audit", "verify").status == 1


@pytest.mark.parametrize("options", [(), ("--format", "json")])
def test_a_line_of_the_audit_log_that_is_none_is_told_and_the_others_are_shown(
    configure: Configure, run: Run, options: tuple[str, ...]
) -> None:
    config = configure()
    run("--config", config, "run-once")
    (log,) = config.parent.glob("audio/audio_cache/.audio-cache-daemon/audit.jsonl")
    first, *others = log.read_text().splitlines(keepends=True)
    log.write_text(first + "torn\n" + "".join(others))
    ran = run("--config", config, "audit", *options)
    assert ran.status == 0
    assert f"{log}:2: not an audit record" in ran.err
    assert ran.out.count("run_started") == ran.out.count("run_finished") == 1
    assert "a test" in ran.out


def test_a_cut_tail_of_the_audit_log_is_found(configure: Configure, run: Run) -> None:
    """Where the log ended is published beside it."""
    config = configure()
    run("--config", config, "run-once")
    (log,) = config.parent.glob("audio/audio_cache/.audio-cache-daemon/audit.jsonl")
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    assert run("--config", config, "audit", "verify").status == 1


@pytest.mark.parametrize(("item", "evicted"), [("0", True), ("5", False), ("a test", True), ("waves", False)])
def test_explain_tells_what_the_plan_does(item: str, evicted: bool, configure: Configure, run: Run) -> None:
    """By row number or prompt; what a rule says of a kept item too."""
    ran = run("--config", configure(), "explain", item, "--format", "json")
    (found,) = ran.json["items"]
    assert found["evicted"] is evicted
    assert [verdict["rule"] for verdict in found["rules"]] == ["stale", "tests"]


def test_explain_of_a_retired_item_says_that_it_is_evicted(configure: Configure, run: Run) -> None:
    """And how to bring it back; what the rules would say of it is history."""
    config = configure()
    run("--config", config, "--live", "run-once")
    (row,) = {found["item"]["row"] for found in _records(run, config, "retired")[:1]}
    ran = run("--config", config, "explain", str(row))
    assert "trash list" in ran.out
    assert "selects it" not in ran.out


def test_explain_tells_when_an_item_will_go(configure: Configure, run: Run) -> None:
    """In words and as a time; here 27 days from now."""
    config = configure()
    (found,) = run("--config", config, "explain", "waves", "--format", "json").json["items"]
    assert found["next"]["rule"] == "stale"
    assert found["next"]["due"] == found["rules"][0]["due"]
    assert found["next"]["due"][:10] == time.strftime("%Y-%m-%d", time.gmtime(time.time() + 27 * DAY))
    assert f"until stale takes it after {found['next']['due']}" in run("--config", config, "explain", "waves").out


def test_explain_tells_how_full_the_cache_must_be_to_take_an_item(configure: Configure, run: Run) -> None:
    """With its place in the order, and what the cache holds now."""
    config = configure({"budget": {"items": {"high": 10, "low": 8}}})
    (found,) = run("--config", config, "explain", "bells", "--format", "json").json["items"]
    assert found["budget"] == [{"mark": "budget:items", "place": 3, "value": 6, "taken_above": 10}]
    out = run("--config", config, "explain", "bells").out
    assert "budget:items takes it above 10 items, as number 3; there are 6 items now" in out


@pytest.mark.parametrize("name", ["id", "path", "prompt"])
def test_explain_tells_the_story_of_an_item_that_is_gone(configure: Configure, run: Run, name: str) -> None:
    """Which rule took it, why, when, and how it comes back; once the trash is empty, that it can't."""
    config = configure()
    report = run("--config", config, "run-once", "--format", "json").json["caches"][0]
    gone = report["plan"]["evict"][1]
    assert gone["prompt"] == "wind"

    (story,) = run("--config", config, "explain", gone[name], "--format", "json").json["gone"]
    assert story["item"]["id"] == gone["id"]
    assert [(event["event"], event["rule"]) for event in story["events"]] == [("removed", "stale")]
    assert story["restore_from"] == report["run"]
    told = run("--config", config, "explain", gone[name]).out
    assert f"trash restore {report['run']} {gone['id']}" in told
    assert "removed by stale, 50d > 30d" in told

    run("--config", config, "trash", "empty", "--confirm")
    assert "can't be brought back" in run("--config", config, "explain", gone[name]).out


def test_the_trash_tells_of_an_item_whose_audit_log_is_gone(configure: Configure, run: Run) -> None:
    """Logs are rotated away; a prompt is found in the saved rows."""
    config = configure()
    report = run("--config", config, "run-once", "--format", "json").json["caches"][0]
    (log,) = config.parent.glob("audio/audio_cache/.audio-cache-daemon/audit.jsonl")
    log.unlink()
    (story,) = run("--config", config, "explain", "wind", "--format", "json").json["gone"]
    assert (story["restore_from"], story["events"]) == (report["run"], [])


def _records(run: Run, config: Path, event: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = run("--config", config, "audit", "--event", event, "--format", "json").json[
        "records"
    ]
    return records


def test_explain_of_nothing_is_a_message(configure: Configure, run: Run) -> None:
    """With the ways in which an item can be named."""
    ran = run("--config", configure(), "explain", "no such thing")
    assert ran.status == 1
    assert "row number" in ran.err


def test_an_error_is_never_a_traceback(run: Run, tmp_path: Path) -> None:
    """A configuration that is none; one line for each problem, with its place."""
    config = tmp_path / "config.yaml"
    config.write_text("version: 1\ncaches: [\n")
    ran = run("--config", config, "stats")
    assert ran.status == 2
    assert "config.yaml:" in ran.err
    assert "Traceback" not in ran.err
