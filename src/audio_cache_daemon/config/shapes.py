"""What a YAML document may look like, as values: sections of keys, lists, maps and scalars.

`document.py` describes the configuration with these; the reader and the JSON Schema both follow that description.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import TypeAlias

import msgspec

from audio_cache_daemon.config.scalars import Scalar

_signature = cache(inspect.signature)


class ListOf(msgspec.Struct, frozen=True):
    """A list, read as a tuple."""

    item: Shape
    at_least: int = 0

    @property
    def expected(self) -> str:
        return f"a list of at least {self.at_least}" if self.at_least else "a list"


class MapOf(msgspec.Struct, frozen=True):
    """A mapping from names that the operator chooses, read as a dict; with one entry at least."""

    name: Scalar
    value: Shape

    @property
    def expected(self) -> str:
        return f"a mapping with at least one key, each {self.name.expected}"


class Key(msgspec.Struct, frozen=True):
    """A key of a section: what its value looks like, and what it is for.

    `parameter` is what `Section.make` calls it, where that isn't the key itself.
    """

    shape: Shape
    description: str
    parameter: str | None = None


class Section(msgspec.Struct, frozen=True):
    """A mapping with fixed keys, read as what `make` returns when it is called with the values that are given.

    The parameters of `make` tell which keys are required, and the defaults of the others. Of the keys
    in `exactly_one` one has to be given; those of them in `may_join` may also stand beside another. A key in
    `only_beside` means something only where another key has a certain text.
    """

    make: Callable[..., object]
    keys: Mapping[str, Key]
    exactly_one: tuple[str, ...] = ()
    may_join: tuple[str, ...] = ()
    only_beside: Mapping[str, tuple[str, str]] = msgspec.field(default_factory=dict)

    @property
    def expected(self) -> str:
        return f"a mapping with {', '.join(self.keys)}"

    def parameter(self, key: str) -> inspect.Parameter:
        """The parameter of `make` that takes the value of `key`."""
        return _signature(self.make).parameters[self.keys[key].parameter or key]

    def required(self) -> list[str]:
        return [key for key in self.keys if self.parameter(key).default is inspect.Parameter.empty]

    def default(self, key: str) -> object:
        """What stands in for `key` as one would write it in a file; None where its absence means something else."""
        shape, value = self.keys[key].shape, self.parameter(key).default
        if not isinstance(shape, Scalar) or value is inspect.Parameter.empty:
            return None
        return shape.write(value)


Shape: TypeAlias = Scalar | ListOf | MapOf | Section
