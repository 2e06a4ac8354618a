"""What all tests share: their temporary directories lie in memory, where there is room for that, and none is timed."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

from endurance import IN_MEMORY

if IN_MEMORY is not None:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", IN_MEMORY)

# Machines are shared: how long an example takes says nothing of the code. What hypothesis does on its own in CI stays.
settings.register_profile("untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
