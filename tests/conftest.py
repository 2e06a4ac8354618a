"""What all tests share: their temporary directories lie in memory, where there is room for that."""

from __future__ import annotations

import os

from endurance import IN_MEMORY

if IN_MEMORY is not None:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", IN_MEMORY)
