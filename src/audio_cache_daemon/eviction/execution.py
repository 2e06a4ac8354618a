"""How a plan is carried out."""

from __future__ import annotations

import msgspec


class Execution(msgspec.Struct, frozen=True):
    """Under which run id, and whether what goes can be brought back."""

    run: str
    to_trash: bool = True
