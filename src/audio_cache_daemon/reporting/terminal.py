"""The rules for everything that people see: harmless on a terminal, plain and whole in a pipe.

Importing this is cheap: `rich`, which draws on a terminal, is imported when something is drawn there.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, islice
from typing import TYPE_CHECKING, Literal, NamedTuple, TextIO, TypeAlias

if TYPE_CHECKING:
    from rich.console import Console

UNSAFE_CHARACTERS = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: escape sequences begin with these
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks and overrides that reorder what is shown
    "\u2028\u2029\ufeff\ufff9-\ufffb"  # line separators, byte order mark, interlinear notes
    "\U000e0000-\U000e007f"  # tags: invisible
    "\ud800-\udfff]"  # lone surrogates: bytes of a file name that is no UTF-8
)

Style: TypeAlias = Literal["bold", "dim", "red", "green", "yellow", "cyan"]

_ANSI_CODES: Mapping[Style, int] = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}

_MAX_PADDING = 120
"""Plain columns are aligned up to this width, so that one endless prompt doesn't blow up every line."""

_ROWS_AT_ONCE = 2000
"""Rows of a table that are aligned together: of a million all at once would take gigabytes."""


class Symbol(StrEnum):
    """What stands before a message on a terminal."""

    DIRECTORY = "📁"
    AUDIO = "🎵"
    SUCCESS = "✅"
    WARNING = "⚠️"
    ERROR = "❌"
    ANALYSIS = "🔍"
    REMOVAL = "🗑️"


_SYMBOL_STYLES: Mapping[Symbol | None, Style] = {
    Symbol.SUCCESS: "green",
    Symbol.WARNING: "yellow",
    Symbol.ERROR: "red",
}
_SYMBOL_WORDS: Mapping[Symbol | None, str] = {Symbol.WARNING: "warning: ", Symbol.ERROR: "error: "}
"""What a pipe gets instead of the symbols that carry a meaning of their own."""


class Column(NamedTuple):
    """A column of a table. On a narrow terminal long cells are folded, or cut with an ellipsis.

    What is aligned to the right, numbers, is never folded.
    """

    heading: str
    align: Literal["left", "right"] = "left"
    overflow: Literal["fold", "ellipsis"] = "fold"
    style: Style | None = None


class ProgressBar(NamedTuple):
    """Work under way: `advance(n)` says that n more units are done."""

    advance: Callable[[int], None]


def clean(text: str) -> str:
    r"""`text` with each character that could steer or fool a terminal spelled out, such as `\x1b`."""
    return UNSAFE_CHARACTERS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


@dataclass(frozen=True, slots=True)
class Screen:
    """Prints to a stream as it can take it: symbols, and colour if allowed, on a terminal; else plain, never cut.

    `width` is the terminal's, in cells. Everything printed is cleaned. Errors of the stream are the caller's.
    """

    stream: TextIO
    is_terminal: bool
    color: bool
    width: int

    def line(self, text: str = "", symbol: Symbol | None = None, style: Style | None = None) -> None:
        """Print one line."""
        shown = clean(text)
        if not self.is_terminal:
            self._write(_SYMBOL_WORDS.get(symbol, "") + shown)
            return
        styled = self._styled(shown, style or _SYMBOL_STYLES.get(symbol))
        self._write(f"{symbol} {styled}" if symbol else styled)

    def heading(self, text: str, symbol: Symbol | None = None) -> None:
        """Print a line that something follows."""
        self.line(text, symbol, "bold")

    def fields(self, title: str, pairs: Iterable[tuple[str, str]], symbol: Symbol | None = None) -> None:
        """Print a heading, and names with their values in two columns below it."""
        self.heading(title, symbol)
        cleaned = [(f"{clean(name)}:", clean(value)) for name, value in pairs]
        width = max((_measure(name) for name, _ in cleaned), default=0)
        for name, value in cleaned:
            self._write(f"  {self._styled(_pad(name, width), 'dim')}  {value}".rstrip())

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        """Print rows under headings, each row a cell for each column; a long table in parts, as its rows come."""
        if self.is_terminal:
            self._draw_table(columns, rows)
        else:
            self._write_table(columns, rows)

    @contextmanager
    def progress(self, description: str, total: int | None) -> Iterator[ProgressBar]:
        """Show a bar while the body works, gone when it ends; nothing at all where there is no terminal.

        `total` is in the units of `advance`; None when it isn't known. Meant for a screen on standard error.
        """
        if not self.is_terminal:
            yield ProgressBar(lambda _count: None)
            return
        from rich import progress  # noqa: PLC0415 -- costs 100 ms, wanted on a terminal only

        columns = (
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.TaskProgressColumn(),
            progress.TimeRemainingColumn(),
        )
        # Redirection would send what is printed on standard output meanwhile to this stream.
        bar = progress.Progress(
            *columns, console=self._console(), transient=True, redirect_stdout=False, redirect_stderr=False
        )
        with bar:
            task = bar.add_task(clean(description), total=total)
            yield ProgressBar(lambda count: bar.advance(task, count))

    def _draw_table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        from rich.box import SIMPLE_HEAD  # noqa: PLC0415 -- costs 100 ms, wanted on a terminal only
        from rich.table import Table  # noqa: PLC0415 -- the same
        from rich.text import Text  # noqa: PLC0415 -- the same

        console = self._console()
        for part in _in_parts(rows):
            table = Table(box=SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False)
            for column in columns:
                # What may not wrap here is not narrowed before all else is; a cut cell may be, so its text says it.
                is_number = column.align == "right"
                heading = Text(clean(column.heading))
                table.add_column(heading, justify=column.align, style=column.style, no_wrap=is_number)
            for row in part:
                cells = zip(row, columns, strict=True)
                table.add_row(
                    *(Text(clean(cell), overflow=of.overflow, no_wrap=of.overflow == "ellipsis") for cell, of in cells)
                )
            console.print(table)

    def _write_table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        headings = [column.heading for column in columns]
        widths = [0] * len(columns)
        for part in _in_parts(chain([headings], rows)):
            table = [[clean(cell) for cell in row] for row in part]
            # No narrower than before: the columns of a long table stay where they are, or move to the right.
            needed = (min(_MAX_PADDING, max(map(_measure, cells))) for cells in zip(*table, strict=True))
            widths = [max(pair) for pair in zip(widths, needed, strict=True)]
            for row in table:
                padded = (_pad(cell, width, of.align) for cell, width, of in zip(row, widths, columns, strict=True))
                self._write("  ".join(padded).rstrip())

    def _styled(self, text: str, style: Style | None) -> str:
        return f"\x1b[{_ANSI_CODES[style]}m{text}\x1b[0m" if self.color and style and text else text

    def _write(self, line: str) -> None:
        self.stream.write(line + "\n")

    def _console(self) -> Console:
        from rich.console import Console  # noqa: PLC0415 -- costs 100 ms, wanted on a terminal only

        return Console(
            file=self.stream,
            force_terminal=True,
            color_system="standard" if self.color else None,
            width=self.width,
            highlight=False,
            legacy_windows=False,
        )


def _in_parts(rows: Iterable[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    """Some rows at a time; of no rows one part with none."""
    waiting = iter(rows)
    part = list(islice(waiting, _ROWS_AT_ONCE))
    yield part
    while part := list(islice(waiting, _ROWS_AT_ONCE)):
        yield part


def screen_for(stream: TextIO, environ: Mapping[str, str]) -> Screen:
    """A screen for a stream as it is: a terminal or not, of what width, with colour unless NO_COLOR is set."""
    if isinstance(stream, io.TextIOWrapper):
        # A stream that isn't UTF-8 gets escapes for what it can't say, instead of an error in mid-report.
        stream.reconfigure(errors="backslashreplace")
    is_terminal = stream.isatty()
    color = is_terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return Screen(stream, is_terminal=is_terminal, color=color, width=_terminal_width(stream, environ))


def write_json(stream: TextIO, value: object) -> None:
    """Print `value` as one line of JSON, in UTF-8 whatever the stream's encoding is."""
    from audio_cache_daemon.reporting.spool import iter_json  # noqa: PLC0415 -- msgspec is slow to import

    buffer = getattr(stream, "buffer", None)
    if buffer is None:
        stream.write(b"".join(iter_json(value)).decode() + "\n")
        return
    stream.flush()
    buffer.writelines(iter_json(value))
    buffer.write(b"\n")
    buffer.flush()


def _terminal_width(stream: TextIO, environ: Mapping[str, str]) -> int:
    columns = environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):  # no terminal, or a stream in memory
        return 80


def _measure(text: str) -> int:
    """Cells that a text takes up: wide characters take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 -- costs 10 ms, wanted for wide characters only

    return cell_len(text)


def _pad(text: str, width: int, align: Literal["left", "right"] = "left") -> str:
    blanks = " " * (width - _measure(text))
    return blanks + text if align == "right" else text + blanks
