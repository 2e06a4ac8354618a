"""Names and prompts are strangers' texts: on a real terminal no command prints a control character of theirs."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest
from trashed_cache import configure

from audio_cache_daemon import cli
from audio_cache_daemon.location import META_NAME, STATE_DIRECTORY
from builders import CacheBuilder

EVIL = "\x1b]0;owned\x07\x9b2J\r\n\t\x08\x00\u202etxt.\u2028\x7f"
"""A title, a cleared screen, a line that is overwritten, a text that runs backwards."""

NAME = "ra\x1b]0;owned\x07\n\x9b\u202e\udcff\udc9bin_1700000000000.wav"
OURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r\n|\r(?=\x1b|[^\n]*%)")
"""What we and the terminal itself send: colours, the bar that comes and goes, ends of lines."""

UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True)
class Evil:
    """A cache in which every text is evil, and its configuration."""

    builder: CacheBuilder
    config: Path

    def show(self, *arguments: str) -> str:
        """What a command prints on a terminal."""
        environ = {**os.environ, "TERM": "xterm-256color"}
        command = ["-m", "audio_cache_daemon", "--config", str(self.config), *arguments]
        child = pexpect.spawn(
            sys.executable,
            command,
            env=environ,
            dimensions=(50, 200),
            echo=False,
            encoding="utf-8",
            codec_errors="surrogateescape",
        )
        child.sendline("n")
        child.expect(pexpect.EOF, timeout=60)
        child.close()
        return str(child.before)


def assert_harmless(shown: str, *arguments: str) -> None:
    assert "Traceback" not in shown, shown
    assert not UNSAFE.search(OURS.sub("", shown)), (arguments, shown)


@pytest.fixture
def evil(tmp_path: Path) -> Evil:
    builder = CacheBuilder(tmp_path / "world", now=time.time())
    for age in (40, 41, 1):
        builder.add(EVIL, age=age, audio=None, prompt_norm=EVIL, path=f"{builder.output}/{age}{EVIL}.wav")
    builder.add("named", age=40)
    (builder.output / NAME).write_bytes(b"sound")
    (builder.output / f"temp_{NAME}").write_bytes(b"sound")
    builder.write()
    foreign = {
        "path": f"{builder.output}/{NAME}",
        "prompt": EVIL,
        EVIL: 1,
        "ts": time.time() - 4e6,
        "clap_similarity": EVIL,
    }
    with (builder.location.path / META_NAME).open("ab") as meta:
        meta.write(json.dumps(foreign).encode() + b"\n")
        meta.write(f"{EVIL}\x1b]0;owned\x07 no row".replace("\n", "").encode() + b"\n")
    rules = [{"name": "old", "max_age": "30d"}, {"name": "gone", "state": "missing"}]
    policy = {"rules": [*rules, {"name": "left", "state": "leftover"}], "limits": {"max_percent": "none"}}
    return Evil(builder, configure(tmp_path / "config.yaml", builder, policy))


def mend_index(evil: Evil) -> None:
    """Take the last line out, over which no run goes."""
    meta = evil.builder.location.path / META_NAME
    meta.write_bytes(b"".join(meta.read_bytes().splitlines(keepends=True)[:4]))


LOOKS = [
    ["stats"],
    ["list"],
    ["grouped"],
    ["duplicates"],
    ["verify"],
    ["repair"],
    ["check-config"],
    ["run-once", "--dry-run"],
    ["run-once"],
    ["clean", "--days", "30"],
    ["remove-pattern", "owned"],
    ["clear"],
    ["explain", "named"],
    ["explain", "0"],
    ["explain", EVIL.replace("\x00", "")],
    ["trash", "list"],
    ["trash", "restore", "\x1b]0;owned\x07"],
    ["audit", "--item", "\x1b]0;owned\x07"],
    ["\x1b]0;owned\x07"],
    ["--cache", "\x1b]0;owned\x07", "stats"],
    ["stats", "--format", "\x1b]0;owned\x07"],
    ["--cache-dir", "/no\x1b]0;owned\x07", "stats"],
    ["list", "--\x1b]0;owned\x07"],
]


@pytest.mark.slow
def test_what_looks_at_a_damaged_cache_is_harmless(evil: Evil) -> None:
    """Tables, findings, refusals, and errors about what was said."""
    for arguments in LOOKS:
        assert_harmless(evil.show(*arguments), *arguments)
    link = evil.config.with_name("wor\x1b]0;owned\x07\u202eld")
    link.symlink_to(evil.builder.output)
    for command in ("stats", "init", "verify", "clear"):
        assert_harmless(evil.show("--cache-dir", str(link / "audio_cache"), command), command)
        assert_harmless(evil.show("--cache-dir", str(link), command), command)


@pytest.mark.slow
def test_what_acts_and_tells_of_it_is_harmless(evil: Evil) -> None:
    """Evictions, the audit log, the trash, what came back and what couldn't."""
    mend_index(evil)
    (evil.builder.output / f"temp_{NAME}").rename(evil.builder.output / "temp_ra\x1b]0;owned\x07in_1700000000000.wav")
    shown = evil.show("run-once")
    assert "evicted" in shown
    assert_harmless(shown, "run-once")
    (run,) = (path.name for path in (evil.builder.location.state_directory / "trash").iterdir())
    fake = evil.builder.location.state_directory / "trash" / f"{run}\x1b]0;owned\x07\u202e"
    fake.mkdir()
    for name in ("run.json", "manifest.jsonl", "rows.jsonl"):
        (fake / name).write_bytes((fake.with_name(run) / name).read_bytes())
    (evil.builder.output / next(evil.builder.output.glob(f"{STATE_DIRECTORY}/trash/*/*.wav")).name).touch()
    for arguments in (
        ["audit"],
        ["audit", "verify"],
        ["audit", "--event", "removed", "--limit", "2"],
        ["trash", "list"],
        ["trash", "restore", run],
        ["trash", "restore", fake.name],
        ["trash", "empty"],
        ["trash", "empty", "--confirm"],
        ["verify"],
    ):
        assert_harmless(evil.show(*arguments), *arguments)
    log = evil.builder.location.state_directory / "audit.jsonl"
    log.write_bytes(log.read_bytes() + EVIL.encode() + b"\n")
    assert_harmless(evil.show("audit"), "audit")
    assert_harmless(evil.show("audit", "verify"), "audit verify")


def test_json_has_no_raw_control_character_either(evil: Evil, capsys: pytest.CaptureFixture[str]) -> None:
    """It is read on terminals as well; nothing is lost in it."""
    for arguments in (["list"], ["grouped"], ["verify"], ["run-once", "--dry-run"], ["explain", "0"], ["stats"]):
        capsys.readouterr()
        cli.run(["--config", str(evil.config), *arguments, "--format", "json"])
        shown = capsys.readouterr()
        assert not UNSAFE.search(shown.out), arguments
        assert not UNSAFE.search(shown.err), arguments
        json.loads(shown.out)
    cli.run(["--config", str(evil.config), "list", "--format", "json"])
    assert EVIL in [item["prompt"] for item in json.loads(capsys.readouterr().out)["caches"][0]["items"]]
