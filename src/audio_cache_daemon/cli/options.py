"""Options that the commands share. Each may stand before the command or behind it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import click

from audio_cache_daemon.units import parse_duration

Format: TypeAlias = Literal["table", "json"]
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Choice:
    """Which cache is meant, how results are shown, and what of it is accepted as it is; None: not said."""

    config: Path | None = None
    cache: str | None = None
    cache_dir: Path | None = None
    audio_root: tuple[Path, ...] | None = None
    path_base: Path | None = None
    writer_stopped: bool | None = None
    wait: float | None = None
    format: Format | None = None
    accepted: frozenset[str] | None = None

    def over(self, other: Choice) -> Choice:
        """What is said here, or else there."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(other, **{name: value for name, value in said.items() if value is not None})


class Duration(click.ParamType[float]):
    """Seconds, from a number and a unit such as 30s or 5m."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 -- click's signature
        """The seconds of a text."""
        if isinstance(value, float):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Moment(click.ParamType[float]):
    """Seconds since the epoch, from a date or a time in ISO 8601; UTC unless it says otherwise."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 -- click's signature
        """The moment that a text means."""
        if isinstance(value, float):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"not a time: {value!r}; expected one such as 2026-12-24 or 2026-12-24T03:15:00Z", param, ctx)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


_DIRECTORY = click.Path(file_okay=False, path_type=Path)

_OPTIONS = (
    click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="The configuration file."),
    click.option("--cache", metavar="NAME", help="A cache of the configuration."),
    click.option("--cache-dir", type=_DIRECTORY, help="A cache directory, without a configuration."),
    click.option(
        "--audio-root",
        type=_DIRECTORY,
        multiple=True,
        callback=lambda _context, _option, value: value or None,
        help="With --cache-dir: a tree in which files may be removed. Default: the cache and its parent.",
    ),
    click.option("--path-base", type=_DIRECTORY, help="With --cache-dir: where relative paths in rows begin."),
    click.option("--writer-stopped/--live", default=None, help="Whether the generator is stopped, or may be running."),
    click.option("--wait", type=Duration(), help="How long to wait for another maintainer of the cache."),
    click.option("--format", type=click.Choice(["table", "json"]), help="How to print the result."),
)

_ACCEPTED = {
    "index": "Accept that the index shrank.",
    "root": "Accept that an audio root is gone, replaced or empty.",
    "clock": "Accept that the clock stands before the last run.",
}
"""What refuses a run until a person has looked at it, by the names that the sentinels have for it."""


def cache_options(command: Command) -> Command:
    """Give a command the shared options, as one argument `choice`."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- passes on what click gives
        own = Choice(**{field.name: kwargs.pop(field.name, None) for field in fields(Choice)})
        before = click.get_current_context().obj
        return command(*args, choice=own.over(before) if isinstance(before, Choice) else own, **kwargs)

    decorated: Any = wrapped
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    result: Command = decorated
    return result


def accept_options(command: Command) -> Command:
    """Give a command with the shared options those by which a person says that what a sentinel saw is right."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- passes on what click gives
        accepted = frozenset(name for name in _ACCEPTED if kwargs.pop(f"accept_{name}"))
        return command(*args, accepted=accepted, **kwargs)

    decorated: Any = wrapped
    for name, help_ in reversed(_ACCEPTED.items()):
        decorated = click.option(f"--accept-{name}", is_flag=True, help=help_)(decorated)
    result: Command = decorated
    return result
