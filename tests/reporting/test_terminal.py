"""Rules of what people see: nothing steers their terminal, pipes get all of it, terminals get it well drawn."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Iterator
from typing import TextIO

import pexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_cache_daemon.reporting import terminal as terminal_module
from audio_cache_daemon.reporting.terminal import (
    UNSAFE_CHARACTERS,
    Column,
    Screen,
    Symbol,
    clean,
    screen_for,
    write_json,
)

COLUMNS = (Column("Prompt", overflow="ellipsis"), Column("Size", align="right"))
ROWS = [("soft rain", "1,024"), ("雨の音", "7")]


def piped(stream: TextIO) -> Screen:
    return Screen(stream, is_terminal=False, color=False, width=80)


def terminal(stream: TextIO, *, color: bool = True, width: int = 60) -> Screen:
    return Screen(stream, is_terminal=True, color=color, width=width)


@given(st.text(st.characters(exclude_categories=())))
def test_control_characters_never_reach_a_terminal_raw(text: str) -> None:
    """Whatever a text holds, what is shown has none of the characters that steer, reorder or break lines."""
    shown = clean(text)
    assert UNSAFE_CHARACTERS.search(shown) is None
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)
    shown.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x9b31m", r"\x9b31m"),
        ("abc\u202egnp.exe", r"abc\u202egnp.exe"),
        ("\u2066\u2028", r"\u2066\u2028"),
        ("caf\udce9", r"caf\udce9"),
        ("soft rain, 雨の音 👩‍🚀 é", "soft rain, 雨の音 👩‍🚀 é"),
    ],
)
def test_unsafe_characters_are_spelled_out(text: str, shown: str) -> None:
    """They stay visible, as escapes; all other text, of any script, stays as it is."""
    assert clean(text) == shown


@given(st.text(st.characters(exclude_categories=()), max_size=20))
def test_everything_printed_is_cleaned(text: str) -> None:
    """Headings, messages, names, values and cells alike, on a terminal and in a pipe."""
    for screen in (terminal(io.StringIO(), color=False), piped(io.StringIO())):
        screen.line(text, Symbol.ERROR)
        screen.fields(text, [(text, text)])
        screen.table([Column(text)], [[text]])
        assert isinstance(screen.stream, io.StringIO)
        assert UNSAFE_CHARACTERS.search(screen.stream.getvalue().replace("\n", "")) is None


def test_a_pipe_gets_words_instead_of_symbols() -> None:
    """No colour and no symbol, and a warning or an error still says that it is one."""
    stream = io.StringIO()
    screen = piped(stream)
    screen.line("done", Symbol.SUCCESS)
    screen.line("old index", Symbol.WARNING)
    screen.line("no index", Symbol.ERROR)
    screen.heading("Cache", Symbol.DIRECTORY)
    assert stream.getvalue() == "done\nwarning: old index\nerror: no index\nCache\n"


def test_a_terminal_gets_symbols_in_colour() -> None:
    """A message is coloured as its symbol means it."""
    stream = io.StringIO()
    terminal(stream).line("no index", Symbol.ERROR)
    assert stream.getvalue() == "❌ \x1b[31mno index\x1b[0m\n"


def test_no_color_keeps_the_symbols() -> None:
    """Without colour there is no escape sequence at all, and the symbols stay."""
    stream = io.StringIO()
    screen = terminal(stream, color=False)
    screen.line("done", Symbol.SUCCESS)
    screen.heading("Cache")
    screen.table([Column("Prompt", style="cyan")], [["rain"]])
    assert stream.getvalue().startswith("✅ done\nCache\n")
    assert "\x1b" not in stream.getvalue()


def test_a_piped_table_is_aligned() -> None:
    """Columns line up also under wide characters; there is no tab, no frame, no blank at a line's end."""
    stream = io.StringIO()
    piped(stream).table(COLUMNS, ROWS)
    assert stream.getvalue() == "Prompt      Size\nsoft rain  1,024\n雨の音         7\n"


def test_a_piped_table_is_never_cut() -> None:
    """A pipe has no width; a cell is as long as it is, and doesn't stretch the lines of the others for ever."""
    stream = io.StringIO()
    piped(stream).table(COLUMNS, [("x" * 5000, "1"), ("rain", "2")])
    heading, long, short = stream.getvalue().splitlines()
    assert long == "x" * 5000 + "     1"
    assert len(heading) == len(short) < 200


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_long_table_is_printed_as_its_rows_come(is_terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In parts, so that a million rows aren't held; of no rows the headings are printed all the same."""
    monkeypatch.setattr(terminal_module, "_ROWS_AT_ONCE", 3)
    stream = io.StringIO()
    printed = []

    def rows() -> Iterator[tuple[str, str]]:
        for number in range(8):
            printed.append(stream.getvalue().count("rain"))
            yield f"rain {number}", "1"

    screen = terminal(stream) if is_terminal else piped(stream)
    screen.table(COLUMNS, rows())
    assert stream.getvalue().count("rain") == 8
    # Of what is piped the headings are the first row.
    assert printed == ([0, 0, 0, 3, 3, 3, 6, 6] if is_terminal else [0, 0, 2, 2, 2, 5, 5, 5])
    stream.truncate(0)
    screen.table(COLUMNS, [])
    assert stream.getvalue().count("Prompt") == 1


def test_the_columns_of_a_long_piped_table_only_move_to_the_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a part needs more room than those before it."""
    monkeypatch.setattr(terminal_module, "_ROWS_AT_ONCE", 2)
    stream = io.StringIO()
    piped(stream).table(COLUMNS, [("rain", "1"), ("waves and rain", "2"), ("wind", "3"), ("bells", "4")])
    assert stream.getvalue().splitlines() == [
        *("Prompt  Size", "rain       1"),
        *("waves and rain     2", "wind               3", "bells              4"),
    ]


def test_a_terminal_table_keeps_to_the_width() -> None:
    """A long cell ends in an ellipsis or is folded, as its column says; numbers stay whole."""
    stream = io.StringIO()
    columns = (*COLUMNS, Column("Path", overflow="fold"))
    terminal(stream, color=False, width=40).table(columns, [("x" * 100, "1,234,567", "/audio/" + "q" * 50)])
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 40
    assert "…" in stream.getvalue()
    assert "1,234,567" in stream.getvalue()
    assert stream.getvalue().count("q") == 50


def test_markup_in_a_cell_is_text() -> None:
    """A prompt in brackets, or with colons, is shown as it is."""
    stream = io.StringIO()
    terminal(stream, color=False).table([Column("Prompt")], [["[bold]rain[/bold] :smile:"]])
    assert "[bold]rain[/bold] :smile:" in stream.getvalue()


def test_fields_are_aligned_under_their_title() -> None:
    """Names and values are two columns."""
    stream = io.StringIO()
    piped(stream).fields("Cache", [("Items", "12"), ("Unique prompts", "3"), ("Note", "")])
    assert stream.getvalue() == "Cache\n  Items:           12\n  Unique prompts:  3\n  Note:\n"


def test_progress_says_nothing_in_a_pipe() -> None:
    """A log file doesn't fill with bars."""
    stream = io.StringIO()
    with piped(stream).progress("Scanning", 10) as bar:
        bar.advance(10)
    assert stream.getvalue() == ""


def test_json_is_one_line_of_utf8_on_any_stream() -> None:
    """Bytes are UTF-8 though the locale is not, in order with text printed before, and safe on a terminal."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="latin-1")
    stream.write("before\n")
    write_json(stream, {"prompt": "雨\x9b", "path": "\udcff"})
    assert raw.getvalue() == 'before\n{"prompt":"雨\\u009b","path":"\\\\udcff"}\n'.encode()


def test_json_goes_to_a_stream_of_text() -> None:
    """A stream without bytes below it gets the same text."""
    stream = io.StringIO()
    write_json(stream, {"items": 3})
    assert json.loads(stream.getvalue()) == {"items": 3}


def test_a_stream_that_cannot_say_a_character_gets_its_escape() -> None:
    """A report under a locale that isn't UTF-8 doesn't end in an error."""
    raw = io.BytesIO()
    screen = screen_for(io.TextIOWrapper(raw, encoding="ascii"), {})
    screen.line("雨")
    screen.stream.flush()
    assert raw.getvalue() == b"\\u96e8\n"


@pytest.mark.parametrize(
    ("environ", "color", "width"),
    [
        ({}, True, 100),
        ({"NO_COLOR": "1"}, False, 100),
        ({"NO_COLOR": ""}, True, 100),
        ({"TERM": "dumb"}, False, 100),
        ({"COLUMNS": "42"}, True, 42),
        ({"COLUMNS": "wide"}, True, 100),
    ],
)
def test_a_terminal_is_asked_for_its_width_and_the_user_for_colour(
    environ: dict[str, str], color: bool, width: int
) -> None:
    """NO_COLOR counts unless empty; COLUMNS goes before what the terminal says."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    with open(theirs, "w", encoding="utf-8") as stream:  # noqa: PTH123 -- a descriptor, not a path
        screen = screen_for(stream, environ)
    os.close(ours)
    assert (screen.is_terminal, screen.color, screen.width) == (True, color, width)


def test_a_file_is_no_terminal() -> None:
    """Even where the environment has a width."""
    screen = screen_for(io.StringIO(), {"COLUMNS": "100"})
    assert (screen.is_terminal, screen.color) == (False, False)


REPORT = """
import os, sys
from audio_cache_daemon.reporting.terminal import Column, Symbol, screen_for
screen = screen_for(sys.stdout, os.environ)
with screen_for(sys.stderr, os.environ).progress("Scanning", 100) as bar:
    bar.advance(100)
screen.heading("Cache", Symbol.DIRECTORY)
screen.table([Column("Prompt", style="cyan")], [["soft rain \\x1b[2J"]])
"""


def test_a_real_terminal_gets_colour_symbols_and_a_bar() -> None:
    """In a pseudo-terminal: the bar comes and goes, the table is drawn, and a prompt's escape is not obeyed."""
    environ = {**os.environ, "TERM": "xterm-256color"}
    environ.pop("NO_COLOR", None)
    child = pexpect.spawn(sys.executable, ["-c", REPORT], env=environ, encoding="utf-8", dimensions=(24, 80))
    child.expect(pexpect.EOF, timeout=60)
    shown = child.before or ""
    child.close()
    assert child.exitstatus == 0
    assert "Scanning" in shown
    assert "100%" in shown
    assert "📁 \x1b[1mCache\x1b[0m" in shown
    assert r"soft rain \x1b[2J" in shown
    assert "\x1b[2J" not in shown


def test_piped_output_never_loads_the_drawing_library() -> None:
    """A script that calls us a thousand times doesn't pay for what it never sees."""
    program = REPORT + "print([name for name in sys.modules if name.partition('.')[0] in ('rich', 'msgspec', 'numpy')])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "Cache\nPrompt\nsoft rain \\x1b[2J\n[]\n"
    assert result.stderr == ""
