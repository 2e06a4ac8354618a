"""How a plan is carried out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Execution:
    """Under which run id, and whether what goes can be brought back."""

    run: str
    to_trash: bool = True
