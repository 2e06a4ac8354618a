"""What decoding tells of real audio files, whole and spoilt, and what it costs when one of them is hostile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from audio_cache_daemon.cache.scan import Surroundings, scan_cache
from audio_cache_daemon.decoder import Decoder
from audio_cache_daemon.decodings import UNDECODABLE, UNKNOWN, Decoding
from audio_cache_daemon.eviction.memory import save_readings
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import DecodingState, Flaw, Rows, ScanNeeds, Truth
from audio_cache_daemon.readings import Readings, load_readings
from audio_cache_daemon.retention.broken import broken
from audio_cache_daemon.retention.policy import Broken
from builders import CacheBuilder
from tools import needs

RATE = 44_100
LENGTH = 2.0
"""Seconds, which rows of the builder's caches tell."""

Decode: TypeAlias = Callable[[Path], Decoding | None]


def noise(level: float = 0.1, seconds: float = LENGTH) -> NDArray[np.float32]:
    """Noise in two channels, as much of it as given, with peaks around four times its level."""
    return (np.random.default_rng(1).normal(size=(int(RATE * seconds), 2)) * level).astype(np.float32)


def encode(path: Path, samples: NDArray[np.float32]) -> bytes:
    """The bytes of a file with these samples, in the format of its suffix."""
    soundfile.write(path, samples, RATE)
    content = path.read_bytes()
    path.unlink()
    return content


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as running:
        yield running


@pytest.fixture
def decode(decoder: Decoder) -> Callable[[Path], Decoding | None]:
    """What decoding a file tells."""

    def decode(path: Path) -> Decoding | None:
        with path.open("rb") as file:
            return decoder.decode(file.fileno(), path.suffix)

    return decode


def children() -> list[int]:
    """The processes that this one has begun, the last one last."""
    return list(map(int, Path("/proc/thread-self/children").read_text().split()))


@pytest.mark.parametrize("suffix", [".wav", ".mp3"])
def test_a_sound_tells_its_length_and_its_peak(tmp_path: Path, decode: Decode, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    samples = noise()
    soundfile.write(path, samples, RATE)
    found = decode(path)
    assert found is not None
    assert found.state is DecodingState.DECODED
    assert found.seconds == pytest.approx(LENGTH, abs=0.06)
    assert found.peak == pytest.approx(float(np.abs(samples).max()), rel=0.2)
    assert found.clipped == 0


@pytest.mark.parametrize("suffix", [".wav", ".mp3"])
@pytest.mark.parametrize("tenths", range(1, 10))
def test_a_file_that_is_cut_tells_how_much_is_left(tmp_path: Path, decode: Decode, suffix: str, tenths: int) -> None:
    """Whatever its header says: that of a wav tells its whole length, and mp3 has frames that stand alone."""
    path = tmp_path / f"a{suffix}"
    content = encode(path, noise())
    path.write_bytes(content[: len(content) * tenths // 10])
    found = decode(path)
    assert found is not None
    assert found.state is DecodingState.DECODED
    assert found.seconds == pytest.approx(LENGTH * tenths / 10, abs=0.2)


@pytest.mark.parametrize("suffix", [".wav", ".mp3"])
@pytest.mark.parametrize("length", [1, 4, 12, 30])
def test_a_beginning_of_a_header_cannot_be_decoded(tmp_path: Path, decode: Decode, suffix: str, length: int) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(encode(path, noise())[:length])
    assert decode(path) == UNDECODABLE


@pytest.mark.parametrize(
    ("content", "found"),
    {
        "a text": (b"no sound at all\n" * 100, UNDECODABLE),
        "zeros": (bytes(5000), UNDECODABLE),
        "mp4 under a wrong name": (b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(500), UNKNOWN),
        "aac under a wrong name": (b"\xff\xf1\x50\x80" + bytes(500), UNKNOWN),
        "webm under a wrong name": (b"\x1aE\xdf\xa3" + bytes(500), UNKNOWN),
    }.values(),
)
@pytest.mark.parametrize("suffix", [".wav", ".MP3"])
def test_what_is_no_such_sound(tmp_path: Path, decode: Decode, suffix: str, content: bytes, found: Decoding) -> None:
    """What may play elsewhere is not called broken."""
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    assert decode(path) == found


def test_a_format_under_the_name_of_another_is_decoded(tmp_path: Path, decode: Decode) -> None:
    """The library goes by the content."""
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(), RATE, format="OGG")
    found = decode(path)
    assert found is not None
    assert found.seconds == pytest.approx(LENGTH)


def test_a_suffix_of_no_format_that_is_known_says_nothing(tmp_path: Path, decode: Decode) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"no sound")
    assert decode(path) is None


def test_samples_that_are_no_numbers_say_nothing(tmp_path: Path, decode: Decode) -> None:
    path = tmp_path / "a.wav"
    samples = noise()
    samples[100] = np.nan
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    assert decode(path) == UNKNOWN


def test_a_file_that_hangs_or_kills_the_library_costs_itself_alone(tmp_path: Path) -> None:
    """The process is stopped, then killed, in place of what a hostile file would do to it; then it is begun anew."""
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(), RATE)
    with Decoder(patience=2.0) as decoder, path.open("rb") as file:
        whole = decoder.decode(file.fileno(), ".wav")
        for number in (signal.SIGSTOP, signal.SIGKILL):
            os.kill(children()[-1], number)
            assert decoder.decode(file.fileno(), ".wav") == UNKNOWN
            assert decoder.decode(file.fileno(), ".wav") == whole
        assert decoder.fault is None


def test_a_process_that_fails_again_and_again_is_given_up(tmp_path: Path) -> None:
    """Then nothing is known of any file, and nothing noted: it isn't the files."""
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(seconds=60.0), RATE)
    before = children()
    with Decoder(patience=0.001) as decoder, path.open("rb") as file:
        found = [decoder.decode(file.fileno(), ".wav") for _ in range(11)]
    assert found == [UNKNOWN] * 9 + [None] * 2
    assert decoder.fault is not None
    assert "10 times in a row" in decoder.fault
    assert children() == before


def test_a_service_that_may_not_set_its_priority_decodes_all_the_same(tmp_path: Path) -> None:
    """As under systemd, where the filter of system calls forbids it."""
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(), RATE)
    script = (
        "from audio_cache_daemon.decoder import Decoder\n"
        f"with Decoder() as decoder, open({str(path)!r}, 'rb') as file:\n"
        "    print(decoder.decode(file.fileno(), '.wav').seconds)"
    )
    forbid = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=setpriority", "-e", "inject=setpriority:error=EPERM"]
    command = [needs("strace", "strace"), *forbid, sys.executable, "-c", script]
    assert float(subprocess.check_output(command)) == LENGTH


def write_cache(directory: Path, sounds: Mapping[str, bytes]) -> CacheLocation:
    """A cache of a row for each of these files."""
    cache = CacheBuilder(directory)
    for name, content in sounds.items():
        path = cache.output / name
        path.write_bytes(content)
        cache.add(name, path=str(path))
    return cache.write()


def scan(location: CacheLocation, readings: Readings | None = None, seconds: float = 60.0) -> Rows:
    around = Surroundings(readings=readings or Readings(), decode_for=seconds)
    return scan_cache(location, ScanNeeds(decoded=True), around).rows


def test_each_flaw_is_found_and_no_other(tmp_path: Path) -> None:
    """By the thresholds that the rule has by itself."""
    wav, mp3 = (encode(tmp_path / f"a{suffix}", noise()) for suffix in (".wav", ".mp3"))
    sounds: dict[str, tuple[bytes, Flaw | None]] = {
        "whole.wav": (wav, None),
        "whole.mp3": (mp3, None),
        "empty.wav": (b"", Flaw.EMPTY),
        "header.wav": (wav[:44], Flaw.EMPTY),
        "text.mp3": (b"404 Not Found", Flaw.UNDECODABLE),
        "half.wav": (wav[: len(wav) // 2], Flaw.CUT_SHORT),
        "half.mp3": (mp3[: len(mp3) // 2], Flaw.CUT_SHORT),
        "zeros.wav": (encode(tmp_path / "a.wav", noise(0)), Flaw.SILENT),
        "zeros.mp3": (encode(tmp_path / "a.mp3", noise(0)), Flaw.SILENT),
        "far below.wav": (encode(tmp_path / "a.wav", noise(0.0001)), Flaw.SILENT),
        "night.wav": (encode(tmp_path / "a.wav", noise(0.002)), None),
        "loud.wav": (encode(tmp_path / "a.wav", np.clip(noise(0.5), -1, 1)), None),
        "square.wav": (encode(tmp_path / "a.wav", np.sign(noise())), Flaw.CLIPPED),
    }
    rows = scan(write_cache(tmp_path, {name: content for name, (content, _) in sounds.items()}))
    judged = broken(rows, Broken())
    found = [None if np.isnan(value) else Flaw(int(value)) for value in judged.value[:].tolist()]
    assert dict(zip(sounds, found, strict=True)) == {name: flaw for name, (_, flaw) in sounds.items()}
    assert {Truth(int(truth)) for truth in judged.truth} == {Truth.TRUE, Truth.FALSE}


def test_a_file_is_decoded_once(tmp_path: Path) -> None:
    """What is remembered needs no time; a file that changed since is decoded anew."""
    wav = encode(tmp_path / "a.wav", noise())
    location = write_cache(tmp_path, {"a.wav": wav, "b.wav": wav[:50_000], "c.wav": b"no sound"})
    first = load_readings(location)
    decoded = scan(location, first).decoded
    assert decoded is not None
    save_readings(location, first)
    again = scan(location, load_readings(location), seconds=0).decoded
    assert again is not None
    assert again.fault is None
    for name in ("state", "seconds", "peak", "clipped"):
        np.testing.assert_array_equal(getattr(again, name), getattr(decoded, name))
    (location.audio_roots[0] / "b.wav").write_bytes(wav)
    changed = scan(location, load_readings(location), seconds=0).decoded
    assert changed is not None
    assert changed.state.tolist() == [DecodingState.DECODED, DecodingState.UNKNOWN, DecodingState.UNDECODABLE]
    assert changed.fault is not None
    assert changed.fault.startswith("1 files are left")


def test_rows_that_name_one_file_share_what_it_tells(tmp_path: Path) -> None:
    """The first of them may be retired."""
    cache = CacheBuilder(tmp_path)
    path = cache.add("rain", audio=encode(tmp_path / "a.wav", noise()))
    cache.add("wind", path=str(path))
    cache.add("gone", audio=None)
    decoded = scan(cache.write()).decoded
    assert decoded is not None
    assert decoded.seconds[:2].tolist() == [LENGTH, LENGTH]
    assert decoded.state[2] == DecodingState.UNKNOWN


def test_without_the_library_only_files_of_no_bytes_are_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is said what is missing."""
    location = write_cache(tmp_path, {"a.wav": b"", "b.wav": b"no sound"})
    monkeypatch.delitem(sys.modules, "soundfile")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not Path(path, "soundfile.py").exists()])
    rows = scan(location)
    assert rows.decoded is not None
    assert rows.decoded.fault is not None
    assert "is not installed" in rows.decoded.fault
    assert broken(rows, Broken()).truth.tolist() == [Truth.TRUE, Truth.UNDECIDABLE]


def test_a_library_that_cannot_be_loaded_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "soundfile.py").write_text("raise OSError('libsndfile is missing')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    rows = scan(write_cache(tmp_path, {"a.wav": b"no sound"}))
    assert rows.decoded is not None
    assert rows.decoded.fault is not None
    assert "can't be loaded" in rows.decoded.fault
    assert broken(rows, Broken()).truth.tolist() == [Truth.UNDECIDABLE]
