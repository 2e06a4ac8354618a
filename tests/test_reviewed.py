"""A plan as a file: it comes back as it was written, in whatever lines, or is refused."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.reviewed import ReviewedItem, ReviewedPlan, read_plans, write_plans

HEAD = ReviewedPlan("test", "/data/cache", "0123", 1.7e9, None)
FILES = (None, (1, 2, 3), (1, 2, 4), (-(2**63), 0, 2**63 - 1))


def item(number: int, rule: str = "stale", file: tuple[int, int, int] | None = None) -> ReviewedItem:
    """An item with this id."""
    return ReviewedItem(f"{number:016x}", f"/data/{number}.wav", "rain", 5, rule, "max_age", 9.0, 3.0, file)


ITEMS = st.lists(
    st.builds(item, st.sampled_from([0, 1, 2, 2**64 - 1]), st.sampled_from(["a", "b"]), st.sampled_from(FILES)),
    max_size=6,
)


@given(st.lists(ITEMS, max_size=3), st.sampled_from([None, 2]))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, plans: list[list[ReviewedItem]], indent: int | None
) -> None:
    """Also after another program wrote it anew."""
    file = tmp_path_factory.mktemp("plans") / "plan.json"
    assert write_plans(file, [(HEAD, items) for items in plans]) == sum(map(len, plans))
    assert [plan["cache"] for plan in json.loads(file.read_text())["plans"]] == ["test"] * len(plans)
    if indent is not None:
        file.write_text(json.dumps(json.loads(file.read_text()), indent=indent))
    found = read_plans(file)
    assert [list(each.again()) for each in found] == plans
    assert [replace(each.plan, items=()) for each in found] == [HEAD] * len(plans)


@pytest.mark.parametrize("struck", [0, 1, 2])
def test_an_item_is_struck_with_its_line(tmp_path: Path, struck: int) -> None:
    """As an editor, grep or sed do it: nobody has to mend a comma."""
    file = tmp_path / "plan.json"
    items = [item(number) for number in range(3)]
    write_plans(file, [(HEAD, items)])
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if f"/data/{struck}.wav" not in line))
    (found,) = read_plans(file)
    assert list(found.again()) == [each for each in items if each != items[struck]]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_plan_can_come_through_a_pipe(tmp_path: Path, indent: int | None) -> None:
    """As `apply <(grep -v seagulls plan.json)` has it; what is there once can be told of again."""
    file, pipe = tmp_path / "plan.json", tmp_path / "pipe"
    items = [item(number) for number in range(3)]
    write_plans(file, [(HEAD, items)])
    content = file.read_bytes() if indent is None else json.dumps(json.loads(file.read_text()), indent=indent).encode()
    os.mkfifo(pipe)
    with subprocess.Popen(["tee", pipe], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as writer:
        assert writer.stdin is not None
        writer.stdin.write(content)
        writer.stdin.close()
        (found,) = read_plans(pipe)
    assert [list(found.again()), list(found.again())] == [items, items]


def test_a_file_that_changes_while_it_is_applied_is_told(tmp_path: Path) -> None:
    """What a refusal names is read again."""
    file = tmp_path / "plan.json"
    write_plans(file, [(HEAD, [item(1)])])
    (found,) = read_plans(file)
    file.write_text("another file")
    with pytest.raises(ConfigError, match="was changed while it was applied"):
        list(found.again())


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_short_is_no_plan(tmp_path: Path, kept: float) -> None:
    """What is missing of it may be what a person struck."""
    file = tmp_path / "plan.json"
    write_plans(file, [(HEAD, [item(number) for number in range(20)])] * 2)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ConfigError, match="is no plan"):
        read_plans(file)


@given(ITEMS)
def test_items_have_one_key_if_id_rule_and_file_are_the_same(items: list[ReviewedItem]) -> None:
    """Also after their prompt, their size and the reason have got other words."""
    said_otherwise = [replace(each, prompt="other", bytes=6, value=None, criterion="pattern") for each in items]
    assert [each.key() for each in said_otherwise] == [each.key() for each in items]
    assert len({each.key() for each in items}) == len({(each.id, each.rule, each.file) for each in items})


@given(ITEMS)
def test_the_keys_of_a_plan_are_there_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, items: list[ReviewedItem]
) -> None:
    file = tmp_path_factory.mktemp("plans") / "plan.json"
    write_plans(file, [(HEAD, items)])
    (found,) = read_plans(file)
    assert found.keys.tolist() == sorted({each.key() for each in items})
