"""Rules of our JSON: one line of text, for every value that the cache can hold."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_cache_daemon.reporting.encoding import encode_json
from audio_cache_daemon.reporting.terminal import UNSAFE_CHARACTERS

any_text = st.text(st.characters(exclude_categories=()))
sound_text = st.text()  # without surrogates


@given(sound_text)
def test_every_text_survives(text: str) -> None:
    """Escapes lose nothing: a reader gets the text that was written."""
    assert json.loads(encode_json({"text": text})) == {"text": text}


@given(any_text)
def test_json_cannot_steer_a_terminal(text: str) -> None:
    """Whatever a prompt or a path holds, no control character is written raw, and it is one line."""
    assert UNSAFE_CHARACTERS.search(encode_json({text: [text]}).decode()) is None


@given(any_text)
def test_lone_surrogates_are_spelled_out(text: str) -> None:
    """A byte that is no UTF-8 becomes the text of its escape, in keys and values; the rest stays."""
    spelled = text.encode("utf-8", "backslashreplace").decode()
    assert json.loads(encode_json({text: [text]})) == {spelled: [spelled]}


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (math.nan, b"null"),
        (-math.inf, b"null"),
        (np.float64(math.nan), b"null"),
        (np.float32(0.5), b"0.5"),
        (np.int64(3), b"3"),
        (Path("/audio/a.mp3"), b'"/audio/a.mp3"'),
        (Path("/audio/\udcff"), b'"/audio/\\\\udcff"'),
        ([Path("\udcff"), np.int64(3), math.nan], b'["\\\\udcff",3,null]'),
    ],
)
def test_values_of_the_columns_are_plain_json(value: object, encoded: bytes) -> None:
    """Numbers of numpy are numbers, paths are texts, and what is no number is null."""
    assert encode_json(value) == encoded


def test_a_value_without_json_is_an_error() -> None:
    """It is a mistake in the program, and not written as something else."""
    with pytest.raises(NotImplementedError, match="no JSON for a object"):
        encode_json(object())
