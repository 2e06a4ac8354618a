"""What is remembered of files between runs, as long as it is asked for."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Values by key: `known` from before, and those that were asked for or noted since, which alone are kept."""

    def __init__(self, known: Mapping[K, V] | None = None) -> None:
        self._known = dict(known or {})
        self._asked: dict[K, V] = {}

    def find(self, key: K) -> V | None:
        """The value of a key; None if it has to be found out."""
        value = self._asked.get(key, self._known.get(key))
        if value is not None:
            self._asked[key] = value
        return value

    def note(self, key: K, value: V) -> None:
        self._asked[key] = value

    def forget(self, keys: Collection[K]) -> None:
        """Keep all that is known but the values of these keys."""
        self._asked = {key: value for key, value in (self._known | self._asked).items() if key not in keys}

    @property
    def is_changed(self) -> bool:
        """Whether what is to be kept differs from what was known; where nothing was asked for all is kept."""
        return bool(self._asked) and self._asked != self._known

    def entries(self) -> list[tuple[K, V]]:
        """What is to be kept."""
        return list(self._asked.items())
