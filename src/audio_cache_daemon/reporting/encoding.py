"""JSON that is always text, always finite and harmless on a terminal: audit records and `--format json`."""

from __future__ import annotations

import numbers
import re
from collections.abc import Callable, Mapping
from pathlib import PurePath

import msgspec

from audio_cache_daemon.reporting.terminal import UNSAFE_CHARACTERS


def as_plain(value: object) -> object:
    """What msgspec doesn't know and callers have: numpy's numbers, and paths."""
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, PurePath):
        return str(value)
    raise NotImplementedError(f"no JSON for a {type(value).__name__}")


_encoder = msgspec.json.Encoder(enc_hook=as_plain)


def encode_json(value: object, hook: Callable[[object], object] = as_plain) -> bytes:
    r"""`value` as one line of UTF-8 JSON, without a newline.

    NaN and infinity become null. Characters that could steer a terminal are written as JSON escapes, which
    loses nothing. A lone surrogate (a byte of a file name that is no UTF-8) has no JSON: it becomes the six
    characters of its escape, such as `\udcff`. `hook` turns what is no plain value into one.
    """
    encoder = _encoder if hook is as_plain else msgspec.json.Encoder(enc_hook=hook)
    try:
        encoded = encoder.encode(value)
    except UnicodeEncodeError:
        encoded = encoder.encode(_without_surrogates(msgspec.to_builtins(value, enc_hook=hook)))
    if encoded.isascii() and b"\x7f" not in encoded:
        return encoded
    return UNSAFE_CHARACTERS.sub(_json_escape, encoded.decode()).encode()


def _without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_without_surrogates(key): _without_surrogates(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(entry) for entry in value]
    return value


def _json_escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
