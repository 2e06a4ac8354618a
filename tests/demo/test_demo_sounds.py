"""Sounds are playable, differ by kind and seed, and come out the same each time."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from audio_cache_daemon.demo.prompts import PROMPTS
from audio_cache_daemon.demo.sounds import SAMPLE_RATE, SOUND_KINDS, make_sound, write_wav


@pytest.mark.parametrize("kind", SOUND_KINDS)
def test_a_sound_is_audible_and_starts_and_ends_in_silence(kind: str) -> None:
    """Half a second of samples, loud enough to hear, without a click at either end."""
    sound = make_sound(kind, 0.5, seed=1)
    assert len(sound) == SAMPLE_RATE // 2
    assert 20_000 < np.abs(sound.astype(int)).max() < 32_767
    assert sound[0] == sound[-1] == 0


@pytest.mark.parametrize("kind", SOUND_KINDS)
def test_a_seed_makes_one_take(kind: str) -> None:
    """The same seed makes the same samples, another seed makes others."""
    sound = make_sound(kind, 0.5, seed=1)
    assert np.array_equal(sound, make_sound(kind, 0.5, seed=1))
    assert not np.array_equal(sound, make_sound(kind, 0.5, seed=2))


def test_kinds_differ_in_pitch() -> None:
    """Thunder is low, crickets are high: the middle of the spectrum says so for every take."""

    def middle(kind: str, seed: int) -> float:
        spectrum = np.abs(np.fft.rfft(make_sound(kind, 0.5, seed).astype(float))) ** 2
        half_power = np.searchsorted(np.cumsum(spectrum), spectrum.sum() / 2)
        return float(half_power) / 0.5

    assert all(middle("thunder", seed) < 300 for seed in range(3))
    assert all(3_500 < middle("crickets", seed) < 5_500 for seed in range(3))


def test_a_written_file_opens_as_wav(tmp_path: Path) -> None:
    """The standard library reads back what was written."""
    sound = make_sound("rain", 0.5, seed=1)
    write_wav(tmp_path / "rain.wav", sound)
    with wave.open(str(tmp_path / "rain.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SAMPLE_RATE)
        assert np.array_equal(np.frombuffer(file.readframes(file.getnframes()), "<i2"), sound)


def test_each_prompt_has_a_kind_of_sound() -> None:
    """No prompt asks for a kind that can't be made, and no kind is asked for by nobody."""
    assert {prompt.kind for prompt in PROMPTS} == set(SOUND_KINDS)
