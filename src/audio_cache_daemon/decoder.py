"""Audio decoded by libsndfile, in a process of its own: a file that crashes or hangs that costs itself alone.

The process is this module as a program, with a socket as its standard input: it gets an open file, and answers with
what decoding it told.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from contextlib import suppress
from types import ModuleType, TracebackType
from typing import Self

import msgspec
import numpy as np

from audio_cache_daemon.decodings import UNDECODABLE, UNKNOWN, Decoding
from audio_cache_daemon.model import DecodingState

FULL_SCALE = 0.999
"""From here on a sample counts as clipped: 16 bits end at 0.99997, and what is resampled or lossy a little below."""

_FORMATS = {".wav": "WAV", ".mp3": "MP3"}
"""What the library calls the formats of these files; it may have been built without one."""

_SYSTEM_ERROR, _UNSUPPORTED, _UNIMPLEMENTED = 2, 4, 18
"""Of libsndfile's errors those that say nothing against the file."""

_FOREIGN = (b"\x1aE\xdf\xa3", b"OggS", b"fLaC", b"FORM", b"caff", b"#!AMR", b"0&\xb2u")
"""How files of formats begin that play elsewhere under a wrong name: Matroska, Ogg, FLAC, AIFF, CAF, AMR, ASF."""

_FRAMES = 2**16
_MESSAGE_BYTES = 1024
_PATIENCE = 60.0
"""Seconds after which a file hangs: an hour of mp3 takes ten."""

_MOST_FAILURES = 10
"""So often in a row the process may end without an answer: then it isn't the files."""


class Decoder:
    """Decodes open files. A context manager: it ends the process. `fault` says why none can be decoded."""

    def __init__(self, patience: float = _PATIENCE) -> None:
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._failures = 0
        self.fault: str | None = None
        if importlib.util.find_spec("soundfile") is None:
            self.fault = "soundfile, which decodes, is not installed: pip install 'audio-cache-daemon[decode]'"

    def decode(self, descriptor: int, suffix: str) -> Decoding | None:
        """What decoding an open file tells, whose name ends so; None when that can't be told now, whatever the file."""
        if self.fault is not None or not self._is_running():
            return None
        assert self._socket is not None
        try:
            socket.send_fds(self._socket, [suffix.lower().encode()], [descriptor])
            answer = self._socket.recv(_MESSAGE_BYTES)
        except OSError:  # a time-out is one, too
            answer = b""
        if answer:
            self._failures = 0
            return msgspec.json.decode(answer, type=Decoding | None)
        self.close()
        self._failures += 1
        if self._failures == _MOST_FAILURES:
            self.fault = f"the process that decodes failed {_MOST_FAILURES} times in a row"
            return None
        return UNKNOWN

    def _is_running(self) -> bool:
        """Whether the process is there, begun anew if need be."""
        if self._process is not None:
            return True
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(_PATIENCE)
        with theirs:
            command = [sys.executable, "-m", __name__]
            quiet = subprocess.DEVNULL
            self._process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=quiet, stderr=quiet)  # noqa: S603 -- our own
        with suppress(OSError):
            if self._socket.recv(_MESSAGE_BYTES):
                self._socket.settimeout(self._patience)
                return True
        self.close()
        self.fault = "soundfile, which decodes, can't be loaded: python -c 'import soundfile' tells why"
        return False

    def close(self) -> None:
        """End the process."""
        if self._process is not None and self._socket is not None:
            self._socket.close()
            self._process.kill()
            self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve() -> None:
    """Decode what comes by the socket, until its other end is closed."""
    import soundfile  # noqa: PLC0415 -- only this process needs it

    # Forbidden to a service that may not manage resources; it has a niceness of its own then.
    with suppress(OSError):
        os.nice(19)
    with socket.socket(fileno=0) as parent:
        parent.send(b"ready")
        while True:
            suffix, descriptors, _, _ = socket.recv_fds(parent, _MESSAGE_BYTES, 1)
            if not descriptors:
                return
            try:
                parent.send(msgspec.json.encode(_decode(soundfile, descriptors[0], suffix.decode())))
            finally:
                os.close(descriptors[0])


def _decode(library: ModuleType, descriptor: int, suffix: str) -> Decoding | None:
    if _FORMATS.get(suffix) not in library.available_formats():
        return None
    # Where somebody read before: the library takes that for the beginning.
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        with library.SoundFile(descriptor, closefd=False) as file:
            return _measure(library, file)
    except library.LibsndfileError as error:
        if error.code == _SYSTEM_ERROR:
            return None
        head = os.pread(descriptor, 16, 0)
        is_unfit = error.code in (_UNSUPPORTED, _UNIMPLEMENTED) or _is_foreign(head)
        return UNKNOWN if is_unfit else UNDECODABLE


def _measure(library: ModuleType, file: object) -> Decoding:
    """Read all of it, as far as that goes, a block at a time: how many frames there are its header needn't know."""
    frames, peak, clipped = 0, 0.0, 0
    try:
        while len(block := file.read(_FRAMES, dtype="float32", always_2d=True)):  # type: ignore[attr-defined]
            level = np.abs(block)
            frames += len(block)
            peak = float(np.maximum(peak, level.max()))
            clipped += int(np.count_nonzero(level >= FULL_SCALE))
    except library.LibsndfileError:
        if frames == 0:
            raise
    if not np.isfinite(peak):
        return UNKNOWN
    samples = max(1, frames * file.channels)  # type: ignore[attr-defined]
    return Decoding(DecodingState.DECODED, frames / file.samplerate, peak, clipped / samples)  # type: ignore[attr-defined]


def _is_foreign(head: bytes) -> bool:
    is_mp4, is_aac = head[4:8] == b"ftyp", len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0
    return head.startswith(_FOREIGN) or is_mp4 or is_aac


if __name__ == "__main__":
    serve()
