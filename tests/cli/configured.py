"""A configuration for one small cache."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from builders import CacheBuilder


def write_config(builder: CacheBuilder, policy: Mapping[str, Any], **cache: object) -> Path:
    """Write the index of a cache, and a configuration beside its directory that keeps it under a policy.

    The generator is stopped, unless `cache` (further keys of the cache) says otherwise.
    """
    location = builder.write()
    entry = {
        "path": str(location.path),
        "audio_roots": [str(builder.output)],
        "policy": "p",
        "writer": {"mode": "stopped"},
        **cache,
    }
    config = builder.output.parent / "config.yaml"
    config.write_text(json.dumps({"version": 1, "caches": {"c": entry}, "policies": {"p": policy}}))
    return config
