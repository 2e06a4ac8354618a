"""Small environmental sounds, made from noise and sines: each kind its own, each seed another take.

A sound is a column of float samples at SAMPLE_RATE, of any loudness; `make_sound` levels it.
"""

from __future__ import annotations

import wave
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from audio_cache_daemon.model import Floats

SAMPLE_RATE = 16_000
"""Samples a second."""

_PEAK = 0.7 * 32767
_FADE_SAMPLES = SAMPLE_RATE // 50

Maker: TypeAlias = Callable[[Generator, Floats], Floats]
"""Makes a sound, given the times of its samples in seconds."""


def make_sound(kind: str, seconds: float, seed: int) -> NDArray[np.int16]:
    """Samples of one take of a kind of SOUND_KINDS; the same for the same arguments."""
    rng = np.random.default_rng((seed, zlib.crc32(kind.encode())))
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sound = _MAKERS[kind](rng, times)
    ramp = np.minimum(1.0, np.arange(len(sound)) / _FADE_SAMPLES)
    sound *= ramp * ramp[::-1]
    return np.asarray(sound * (_PEAK / np.abs(sound).max()), dtype=np.int16)


def write_wav(path: Path, samples: NDArray[np.int16]) -> None:
    """Write samples as a mono WAV file of 16 bit."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.astype("<i2").tobytes())


def _transform_length(count: int) -> int:
    """The next power of two: transforms of other lengths take up to ten times as long."""
    return 1 << (count - 1).bit_length()


def _noise(rng: Generator, count: int, low: float, high: float, slope: float = 0.0) -> Floats:
    """Noise between two frequencies in Hz, falling with frequency to the power of `slope`; standard deviation 1."""
    length = _transform_length(count)
    frequency = np.fft.rfftfreq(length, 1 / SAMPLE_RATE)[1:]
    band = np.exp(-np.square(np.square(low / frequency)) - np.square(np.square(frequency / high))) / frequency**slope
    spectrum = np.append(0, band * rng.standard_normal(2 * len(band)).view(np.complex128))
    sound = np.fft.irfft(spectrum, length)[:count]
    return np.asarray(sound / sound.std())


def _swell(rng: Generator, times: Floats, rate: float) -> Floats:
    """A loudness from 0 to 1 that comes and goes `rate` times a second, from a random phase."""
    return np.asarray(np.sin(np.pi * (rate * times + rng.random())) ** 2)


def _strikes(times: Floats, starts: Floats, decay: float) -> Floats:
    """A loudness that jumps to 1 at each start and dies away with the time constant `decay` in seconds."""
    since = times - starts[:, None]
    return np.asarray(np.where(since >= 0, np.exp(-np.maximum(since, 0) / decay), 0.0).sum(axis=0))


def _clicks(rng: Generator, count: int, rate: float) -> Floats:
    """Single samples of random loudness, `rate` of them a second."""
    return np.asarray((rng.random(count) < rate / SAMPLE_RATE) * rng.exponential(size=count))


def _ring(clicks: Floats, ringing: Floats) -> Floats:
    """Each click followed by `ringing`."""
    length = _transform_length(len(clicks) + len(ringing))
    sound = np.fft.irfft(np.fft.rfft(clicks, length) * np.fft.rfft(ringing, length), length)
    return np.asarray(sound[: len(clicks)])


def _blip(frequency: float, decay: float) -> Floats:
    """A short decaying tone."""
    times = np.arange(int(6 * decay * SAMPLE_RATE)) / SAMPLE_RATE
    return np.asarray(np.sin(2 * np.pi * frequency * times) * np.exp(-times / decay))


def _rain(rng: Generator, times: Floats) -> Floats:
    drops = _ring(_clicks(rng, len(times), rng.uniform(40, 200)), _blip(rng.uniform(1500, 3000), 0.003))
    return _noise(rng, len(times), 800, 7000, 0.3) + 4 * drops


def _waves(rng: Generator, times: Floats) -> Floats:
    swell = _swell(rng, times, rng.uniform(0.25, 0.5))
    return _noise(rng, len(times), 60, 900, 0.8) * (0.2 + swell) + 0.4 * _noise(rng, len(times), 900, 6000) * swell**3


def _wind(rng: Generator, times: Floats) -> Floats:
    gusts = 0.3 + _swell(rng, times, rng.uniform(0.3, 0.7)) * _swell(rng, times, rng.uniform(0.8, 1.5))
    whistle = rng.uniform(350, 700)
    return gusts * (_noise(rng, len(times), 80, 500, 1.0) + gusts * _noise(rng, len(times), whistle, whistle * 1.1))


def _birds(rng: Generator, times: Floats) -> Floats:
    sound = 0.02 * _noise(rng, len(times), 200, 3000, 0.5)
    call = np.arange(SAMPLE_RATE // 5) / SAMPLE_RATE
    for start in rng.integers(0, len(times) - len(call), int(4 + 4 * times[-1])):
        pitch, sweep, trill = rng.uniform(2200, 4500), rng.uniform(-6000, 6000), rng.uniform(15, 40)
        loudness = np.exp(-np.square((call - 0.08) / 0.03)) * rng.uniform(0.3, 1)
        phase = 2 * np.pi * (pitch * call + sweep * call**2 / 2) + 3 * np.sin(trill * 6 * call)
        sound[start : start + len(call)] += loudness * np.sin(phase)
    return sound


def _crickets(rng: Generator, times: Floats) -> Floats:
    sound = 0.02 * _noise(rng, len(times), 300, 2000, 0.5)
    for pitch in rng.uniform(3900, 4900, 3):
        chirp = _swell(rng, times, rng.uniform(1.8, 3.0)) > 0.5
        pulse = _swell(rng, times, rng.uniform(25, 35))
        sound += chirp * pulse * np.sin(2 * np.pi * pitch * times) * rng.uniform(0.2, 1)
    return sound


def _bells(rng: Generator, times: Floats) -> Floats:
    pitch = rng.uniform(180, 700)
    starts = np.append(0.02, rng.uniform(0.2, 1, 2) * times[-1])
    partials = zip((0.5, 1.0, 1.19, 2.0, 2.74), (0.5, 1.0, 0.7, 0.6, 0.3), strict=True)
    sound = np.zeros_like(times)
    for ratio, loudness in partials:
        sound += loudness * np.sin(2 * np.pi * pitch * ratio * times) * _strikes(times, starts, 1.2 / (1 + ratio))
    return sound


def _train(rng: Generator, times: Floats) -> Floats:
    joint = rng.uniform(0.45, 0.75)
    starts = np.arange(-joint, times[-1], joint)
    wheels = np.concatenate([starts, starts + 0.14])
    rumble = _noise(rng, len(times), 40, 250, 0.7)
    return 0.6 * rumble + 2 * _noise(rng, len(times), 150, 1800, 0.5) * _strikes(times, wheels, 0.04)


def _thunder(rng: Generator, times: Floats) -> Floats:
    rolls = rng.uniform(0.05, 0.8, 4) * times[-1]
    crack = _noise(rng, len(times), 300, 4000) * _strikes(times, rolls[:1], 0.08)
    return _noise(rng, len(times), 25, 160, 1.0) * _strikes(times, rolls, 0.7) + rng.uniform(0.1, 0.6) * crack


def _stream(rng: Generator, times: Floats) -> Floats:
    sound = 0.3 * _noise(rng, len(times), 400, 4000, 0.5)
    for pitch in rng.uniform(400, 1400, 5):
        sound += _ring(_clicks(rng, len(times), rng.uniform(4, 14)), _blip(pitch, 0.02))
    return sound


def _fire(rng: Generator, times: Floats) -> Floats:
    crackle = _clicks(rng, len(times), rng.uniform(8, 25))
    crackle *= rng.exponential(size=len(times))
    return 0.2 * _noise(rng, len(times), 50, 400, 0.8) + _ring(crackle, _blip(rng.uniform(900, 2500), 0.002))


def _traffic(rng: Generator, times: Floats) -> Floats:
    sound = 0.5 * _noise(rng, len(times), 50, 300, 0.8)
    for start in rng.uniform(0, times[-1], 3):
        sound += _noise(rng, len(times), 120, 1600, 0.7) * np.exp(-(((times - start) / 0.35) ** 2))
    return sound


def _market(rng: Generator, times: Floats) -> Floats:
    sound = 0.2 * _noise(rng, len(times), 200, 2500, 0.8)
    for vowel in rng.uniform(300, 1100, 6):
        sound += _noise(rng, len(times), vowel, vowel * 1.25) * _swell(rng, times, rng.uniform(2, 4)) ** 3
    return sound


def _horn(rng: Generator, times: Floats) -> Floats:
    pitch = rng.uniform(90, 220)
    blast = np.clip(4 * _swell(rng, times, rng.uniform(0.3, 0.6)) - 0.5, 0, 1)
    tones = np.sin(2 * np.pi * pitch * np.arange(1, 8)[:, None] * times) / np.arange(1, 8)[:, None]
    return np.asarray(blast * tones.sum(axis=0) + 0.02 * _noise(rng, len(times), 100, 2000, 0.5))


_MAKERS: dict[str, Maker] = {
    "rain": _rain,
    "waves": _waves,
    "wind": _wind,
    "birds": _birds,
    "crickets": _crickets,
    "bells": _bells,
    "train": _train,
    "thunder": _thunder,
    "stream": _stream,
    "fire": _fire,
    "traffic": _traffic,
    "market": _market,
    "horn": _horn,
}
SOUND_KINDS = tuple(_MAKERS)
