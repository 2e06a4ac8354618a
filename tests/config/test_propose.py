"""A proposed configuration says what was found, whatever it is called, and can be used as it is."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from config_files import Load
from msgspec.structs import replace

from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.config.lint import lint
from audio_cache_daemon.config.lint_files import lint_files
from audio_cache_daemon.config.propose import propose_config
from audio_cache_daemon.config.settings import CacheSettings, Settings, WriterSettings
from audio_cache_daemon.model import Inventory, ScanNeeds
from audio_cache_daemon.retention.policy import Dedupe, KeepBest
from builders import NOW, CacheBuilder

STOPPED = WriterSettings(mode="stopped")
ODD_NAMES = [
    "plain",
    "two  blanks ",
    'it\'s "quoted"',
    "back\\slash",
    "key: value # no comment",
    "{a: [b]}",
    "${HOME}",
    "$${",
    "wide-字-😀",
    "line\u2028and\x85line",
    "\u202eturned",
    "\U000e0001",
]


def _scan(builder: CacheBuilder) -> Inventory:
    return scan_cache(builder.write(), ScanNeeds())


def _propose(
    inventory: Inventory, writer: WriterSettings = STOPPED, remarks: Mapping[tuple[str, str], str] | None = None
) -> str:
    return propose_config(inventory, writer, remarks or {}, NOW - 1000, NOW)


def _only_cache(settings: Settings) -> CacheSettings:
    (cache,) = settings.caches.values()
    return cache


def _errors(settings: Settings) -> list[str]:
    return [finding.message for finding in (*lint(settings), *lint_files(settings)) if finding.level == "error"]


@pytest.fixture
def builder(tmp_path: Path) -> CacheBuilder:
    """A cache of a few items, one of them missing."""
    builder = CacheBuilder(tmp_path)
    builder.add("rain", age=100)
    builder.add("rain")
    builder.add("wind", audio=None)
    return builder


@pytest.mark.parametrize("name", ODD_NAMES)
def test_every_path_means_the_same_when_it_is_read_again(tmp_path: Path, load: Load, name: str) -> None:
    builder = CacheBuilder(tmp_path / name)
    builder.add()
    location = replace(
        builder.location, path_base=tmp_path / name, path_map=((f"/writer/{name}", str(tmp_path / name)),)
    )
    remarks = {
        ("path_base", str(tmp_path / name)): f"for {name}",
        ("path_map", f"/writer/{name}"): f"for {name}",
        ("audio_roots", str(builder.output)): f"in {name}",
        ("audio_roots", f"/not/sure/{name}"): f"in {name}",
    }
    builder.write()
    writer = WriterSettings(started_file=location.state_directory / "writer-started")
    settings = load(_propose(scan_cache(location, ScanNeeds()), writer, remarks))
    assert _only_cache(settings).location == location
    assert _only_cache(settings).writer == writer
    assert _errors(settings) == []


@pytest.mark.parametrize("line_end", ["\n", "\r", "\x85", "\u2028", "\n\n"])
def test_a_remark_never_leaves_its_comment(builder: CacheBuilder, load: Load, line_end: str) -> None:
    remarks = {("audio_roots", str(builder.output)): f"in{line_end}version: 2"}
    text = _propose(_scan(builder), STOPPED, remarks)
    assert _only_cache(load(text)).location == builder.location


def test_it_only_reports(builder: CacheBuilder, load: Load) -> None:
    assert _only_cache(load(_propose(_scan(builder)))).policy.mode == "audit"


@pytest.mark.parametrize(
    "writer",
    [
        STOPPED,
        WriterSettings(started_file=Path("/run/started")),
        WriterSettings(target_per_prompt=8, unit="a.service", started_file=Path("/run/started")),
    ],
)
def test_it_can_be_enforced_as_it_is(builder: CacheBuilder, load: Load, writer: WriterSettings) -> None:
    settings = load(_propose(_scan(builder), writer).replace("mode: audit", "mode: enforce"))
    assert _errors(settings) == []


@pytest.mark.parametrize(("target", "keep"), [(3, 5), (8, 8)])
def test_no_rule_keeps_fewer_takes_than_the_generator_wants(
    builder: CacheBuilder, load: Load, target: int, keep: int
) -> None:
    policy = _only_cache(load(_propose(_scan(builder), replace(STOPPED, target_per_prompt=target)))).policy
    assert Dedupe("prompt", keep, ("quality", "newest")) in [rule.criterion for rule in policy.rules]
    assert KeepBest(target) in [protection.criterion for protection in policy.protect]


def test_the_comments_say_what_was_counted(builder: CacheBuilder) -> None:
    for take in range(7):
        builder.add("rain", quality=take / 10)
    builder.add_stray("temp_rain_1700000000000.wav")
    text = _propose(_scan(builder))
    for sentence in (
        "Of 10 items, 9 have their file here; 1 should have it here, but it is missing.",
        "Older than 90 days: 1 of 10 items.",
        "Prompts: 2, with at most 9 takes. Beyond the best 5 of their prompt: 4 items.",
        "Items whose file is missing: 1.",
        "Audio files that no row names: 0.",
        "Temporary files that the generator left: 1.",
        "The index last changed 16.7m ago",
    ):
        assert sentence in text


def test_orphans_that_stay_are_explained(builder: CacheBuilder) -> None:
    for number in range(5):
        builder.add_stray(f"lost_{1700000000000 + number}.wav")
    assert "Audio files that no row names: 5. They stay for now: more than a fifth" in _propose(_scan(builder))


@pytest.mark.parametrize("size", [1, 2**20, 123 * 2**20, 11 * 2**30])
def test_the_budget_lies_a_little_above_the_present_size(builder: CacheBuilder, load: Load, size: int) -> None:
    inventory = _scan(builder)
    sizes = inventory.rows.size.copy()
    sizes[0] = size
    settings = load(_propose(replace(inventory, rows=replace(inventory.rows, size=sizes))))
    marks = _only_cache(settings).policy.budget.size
    assert marks is not None
    assert max(2**20, size) <= marks.high <= max(2**20, size + 10_000) * 1.4
    assert math.isclose(marks.low, marks.high * 0.8, rel_tol=1e-6)


def test_an_empty_cache_gets_no_budget(tmp_path: Path, load: Load) -> None:
    settings = load(_propose(_scan(CacheBuilder(tmp_path))))
    assert _only_cache(settings).policy.budget.size is None
    assert _errors(settings) == []


def test_a_doubtful_root_is_at_rest(builder: CacheBuilder, load: Load) -> None:
    text = _propose(_scan(builder), STOPPED, {("audio_roots", "/home/anna/music"): "rows name 1 files here"})
    assert '#- "/home/anna/music"' in text
    assert _only_cache(load(text)).location.audio_roots == (builder.output,)
    assert _only_cache(load(text.replace('#- "', '- "'))).location.audio_roots == (
        builder.output,
        Path("/home/anna/music"),
    )


def test_every_key_at_rest_can_be_taken_into_use(builder: CacheBuilder, load: Load) -> None:
    writer = WriterSettings(started_file=Path("/run/started"))
    text = _propose(_scan(builder), writer)
    settings = load(re.sub(r"^( *)#(?=[^ \n])", r"\1", text, flags=re.MULTILINE))
    assert _only_cache(settings).writer.unit == "image-server.service"
    assert _only_cache(settings).policy.budget.disk is not None
    assert [rule.name for rule in _only_cache(settings).policy.rules] == [
        "stale",
        "takes",
        "gone",
        "orphans",
        "leftovers",
    ]
