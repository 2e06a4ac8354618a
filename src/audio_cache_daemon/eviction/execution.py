"""How a plan is carried out."""

from __future__ import annotations

from dataclasses import dataclass

TRASH = "trash"
"""The directory of evicted files, in a state directory."""


@dataclass(frozen=True, slots=True)
class Execution:
    """Under which run id, and whether what goes can be brought back."""

    run: str
    to_trash: bool = True
