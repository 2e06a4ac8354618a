"""`plan -o FILE` and `apply FILE`: what was reviewed goes, and nothing else."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from commands import Run
from configured import write_config
from test_seed_guide import read_rows

from builders import CacheBuilder

POLICY: dict[str, Any] = {
    "rules": [{"name": "stale", "max_age": "30d"}, {"name": "tests", "pattern": r"\btest\b"}],
    "limits": {"max_items": 10, "max_percent": "none"},
}


@pytest.fixture
def builder(tmp_path: Path) -> CacheBuilder:
    """Two old items, a test, and two that stay."""
    builder = CacheBuilder(tmp_path, now=time.time())
    for prompt, age in (("rain", 40), ("wind", 50), ("a test", 1), ("waves", 3), ("bells", 4)):
        builder.add(prompt, age=age)
    return builder


@pytest.fixture
def config(builder: CacheBuilder) -> Path:
    return write_config(builder, POLICY)


@pytest.fixture
def file(run: Run, config: Path, tmp_path: Path) -> Path:
    """A plan, just made."""
    file = tmp_path / "plan.json"
    assert run("--config", config, "plan", "-o", file).status == 0
    return file


def _prompts(builder: CacheBuilder) -> list[str]:
    return [str(row["prompt"]) for row in read_rows(builder.location.path)]


def _refused(run: Run, config: Path, file: Path, words: str) -> None:
    ran = run("--config", config, "apply", file)
    assert ran.status == 3
    assert words in ran.err
    assert "new plan" in ran.err or "each day" in ran.err


def test_a_plan_can_be_read_and_is_then_carried_out(run: Run, config: Path, file: Path, builder: CacheBuilder) -> None:
    """It says of each item what it is, which rule takes it and why; making it removes nothing."""
    (plan,) = json.loads(file.read_text())["plans"]
    assert [(item["prompt"], item["rule"]) for item in plan["items"]] == [
        *(("rain", "stale"), ("wind", "stale"), ("a test", "tests")),
    ]
    assert len(_prompts(builder)) == 5
    assert run("--config", config, "apply", file).status == 0
    assert _prompts(builder) == ["waves", "bells"]
    started = run("--config", config, "audit", "--event", "run_started", "--format", "json").json["records"]
    assert [record["trigger"] for record in started] == ["apply"]


def test_what_was_added_since_stays_even_if_the_policy_would_take_it(
    run: Run, config: Path, file: Path, builder: CacheBuilder
) -> None:
    """Nobody reviewed it."""
    builder.add("another test", age=0.1)
    builder.write()
    ran = run("--config", config, "apply", file, "--format", "json")
    assert ran.status == 0
    assert ran.json["caches"][0]["outcome"]["evicted"] == 3
    assert _prompts(builder) == ["waves", "bells", "another test"]


def test_an_item_that_was_pinned_since_refuses_the_plan(
    run: Run, config: Path, file: Path, builder: CacheBuilder
) -> None:
    run("--config", config, "pin", "wind", "--reason", "the opening")
    _refused(run, config, file, "1 of the 3 reviewed items are not as they were: wind is protected by pinned now")
    assert len(_prompts(builder)) == 5


def test_an_item_that_is_gone_refuses_the_plan(run: Run, config: Path, file: Path, builder: CacheBuilder) -> None:
    run("--config", config, "run-once", "--rule", "tests")
    _refused(run, config, file, "a test is gone")
    assert len(_prompts(builder)) == 4


def test_a_file_that_was_replaced_refuses_the_plan(run: Run, config: Path, file: Path, builder: CacheBuilder) -> None:
    """It is another sound than was listened to."""
    (path,) = builder.output.glob("wind_*.wav")
    path.write_bytes(b"another sound")
    _refused(run, config, file, "wind has another file now")
    assert len(_prompts(builder)) == 5


def test_of_many_changed_items_the_first_are_told(run: Run, config: Path, builder: CacheBuilder) -> None:
    """In the order of the plan, and the rest are counted."""
    for number in range(7):
        builder.add(f"old {number}", age=60)
    builder.write()
    file = config.parent / "plan.json"
    assert run("--config", config, "plan", "-o", file).status == 0
    for number in range(7):
        run("--config", config, "pin", f"old {number}", "--reason", "wanted")
    words = "7 of the 10 reviewed items are not as they were: old 0 is protected by pinned now; old 1 is protected"
    _refused(run, config, file, words)
    _refused(run, config, file, "old 4 is protected by pinned now; and 2 more; make a new plan")


def test_an_item_that_goes_by_another_rule_refuses_the_plan(
    run: Run, config: Path, file: Path, builder: CacheBuilder
) -> None:
    """It was reviewed for another reason."""
    content = json.loads(file.read_text())
    content["plans"][0]["items"][2]["rule"] = "stale"
    file.write_text(json.dumps(content))
    _refused(run, config, file, "a test goes by tests now")
    assert len(_prompts(builder)) == 5


def test_an_item_that_stands_there_twice_is_compared_twice(
    run: Run, config: Path, file: Path, builder: CacheBuilder
) -> None:
    """Once more changes nothing, but once with another rule wasn't meant as it stands."""
    content = json.loads(file.read_text())
    items = content["plans"][0]["items"]
    file.write_text(
        json.dumps({**content, "plans": [{**content["plans"][0], "items": [*items, {**items[2], "rule": "stale"}]}]})
    )
    _refused(run, config, file, "1 of the 4 reviewed items are not as they were: a test goes by tests now")
    file.write_text(json.dumps({**content, "plans": [{**content["plans"][0], "items": [*items, items[2]]}]}))
    assert run("--config", config, "apply", file).status == 0
    assert _prompts(builder) == ["waves", "bells"]


def test_what_a_sentinel_refuses_can_be_accepted(run: Run, config: Path, builder: CacheBuilder) -> None:
    """A root is another directory than before, and a person says that this is right."""
    file, root = config.parent / "plan.json", builder.location.audio_roots[0]
    assert run("--config", config, "run-once", "--rule", "tests").status == 0
    before = root.rename(root.with_name("before"))
    shutil.copytree(before, root)
    assert "go on with --accept-root" in run("--config", config, "plan", "-o", file).err
    assert "--accept-root" not in run("--config", config, "plan", "-o", file, "--accept-root").err
    assert "go on with --accept-root" in run("--config", config, "apply", file).err
    assert run("--config", config, "apply", file, "--accept-root").status == 0
    assert _prompts(builder) == ["waves", "bells"]


def test_another_policy_refuses_the_plan(run: Run, config: Path, file: Path, builder: CacheBuilder) -> None:
    write_config(builder, {**POLICY, "rules": [{"name": "stale", "max_age": "31d"}]})
    _refused(run, config, file, "another policy")
    assert len(_prompts(builder)) == 5


@pytest.mark.parametrize(("age", "words"), [(86400 + 60, "1d old"), (-3600, "from the future")])
def test_a_plan_is_good_for_a_day(run: Run, config: Path, file: Path, age: float, words: str) -> None:
    content = json.loads(file.read_text())
    content["plans"][0]["made"] = time.time() - age
    file.write_text(json.dumps(content))
    _refused(run, config, file, words)


def test_a_plan_of_one_rule_is_applied_by_that_rule_alone(run: Run, config: Path, builder: CacheBuilder) -> None:
    file = config.parent / "plan.json"
    assert run("--config", config, "plan", "-o", file, "--rule", "tests").status == 0
    assert run("--config", config, "apply", file).status == 0
    assert _prompts(builder) == ["rain", "wind", "waves", "bells"]


def test_an_item_that_was_struck_from_the_file_stays(run: Run, config: Path, file: Path, builder: CacheBuilder) -> None:
    """A reviewer may say no to one; what is added to the file by hand is none of the policy's, and refuses it."""
    content = json.loads(file.read_text())
    struck = content["plans"][0]["items"].pop(1)
    file.write_text(json.dumps(content))
    assert run("--config", config, "apply", file).status == 0
    assert _prompts(builder) == ["wind", "waves", "bells"]
    content["plans"][0]["items"] = [{**struck, "id": "0123456789abcdef"}]
    file.write_text(json.dumps(content))
    _refused(run, config, file, "is gone")


@pytest.mark.parametrize("content", ["", "{}", '{"version": 2, "plans": []}', "[1]"])
def test_what_is_no_plan_is_said_to_be_none(run: Run, config: Path, tmp_path: Path, content: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(content)
    ran = run("--config", config, "apply", file)
    assert ran.status == 2
    assert "is no plan" in ran.err
