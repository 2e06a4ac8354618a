"""A soak: the service on a real cache beside a generator that adds items, both killed and started again and again.

In the middle half of the time the service is left alive, so that what it holds of memory and descriptors can be
compared: of each life the first quarter with the last.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean

import msgspec
import soak_generator
from msgspec.structs import asdict, replace
from services import command, quick_command, write_config
from soak_generator import Place
from soak_promise import Kept, check_promise, index_is_whole, write_arrays

from audio_cache_daemon.cache.scan import scan_cache
from audio_cache_daemon.daemon.pace import Pace
from audio_cache_daemon.eviction.journal import rewrite_directory
from audio_cache_daemon.eviction.lock import cache_lock
from audio_cache_daemon.eviction.recovery import interrupted_run
from audio_cache_daemon.location import META_NAME
from audio_cache_daemon.model import ScanNeeds
from live_generator import fill_cache

TICK = 0.1
MOMENT = 0.0005
PATIENCE = 60.0
GENERATOR_TROUBLES = ("generator killed", "generator restarted", "hang-up")
TROUBLES = (*GENERATOR_TROUBLES, "service killed", "service ended", "both killed")
_TESTS = Path(soak_generator.__file__).parent.parent
_PATHS = os.pathsep.join(filter(None, (str(_TESTS), os.environ.get("PYTHONPATH"))))
_ENVIRONMENT = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": _PATHS}
LONG_LIFE = 300.0
"""A life is judged by its memory if it lasts so many seconds: before that a process still takes what it needs."""


class Tempo(msgspec.Struct, frozen=True):
    """How long it takes, and how often what happens, in seconds."""

    length: float
    run: float = 10.0
    disturbance: float = 12.0
    check: float = 120.0


class Sample(msgspec.Struct, frozen=True):
    """What a process held at a moment: resident bytes and open descriptors."""

    time: float
    resident: int
    descriptors: int


class Life(msgspec.Struct):
    """A life of the service, as a process."""

    process: subprocess.Popen[bytes]
    samples: list[Sample] = msgspec.field(default_factory=list)

    def sample(self) -> None:
        with contextlib.suppress(OSError):
            proc = Path(f"/proc/{self.process.pid}")
            pages = int((proc / "statm").read_text().split()[1])
            descriptors = len(list((proc / "fd").iterdir()))
            if pages:
                self.samples.append(Sample(time.monotonic(), pages * os.sysconf("SC_PAGESIZE"), descriptors))

    @property
    def seconds(self) -> float:
        return self.samples[-1].time - self.samples[0].time if self.samples else 0.0

    def quarters(self) -> tuple[Sequence[Sample], Sequence[Sample]]:
        """The samples of the first quarter, and of the last."""
        count = max(1, len(self.samples) // 4)
        return self.samples[:count], self.samples[-count:]

    def describe(self) -> str:
        parts = ["", ""] if not self.samples else []
        for samples in self.quarters() if self.samples else ():
            resident = mean(sample.resident for sample in samples) / 2**20
            descriptors = [sample.descriptors for sample in samples]
            parts.append(f"{resident:.1f} MiB, {min(descriptors)} to {max(descriptors)} descriptors")
        return f"a life of {self.seconds:.0f} s: first quarter {parts[0]}; last quarter {parts[1]}"


class Soak:
    """Service, generator, and who looks after both. `lives` are those of the service, `counts` what was done."""

    def __init__(self, directory: Path, tempo: Tempo, seed: int) -> None:
        self.place = Place(directory)
        self.tempo = tempo
        self.lives: list[Life] = []
        self.counts: Counter[str] = Counter()
        self._random = random.Random(seed)
        self.place.location.path.mkdir(parents=True)
        fill_cache(self.place.location.path, self.place.location.audio_roots[0], [f"keep {n}" for n in range(400)])
        policy = {
            # A sixtieth of it is what the quick service makes of this.
            "schedule": {"every": f"{round(tempo.run)}m"},
            "rules": [{"name": "drop", "pattern": "^drop"}],
            "budget": {"items": {"high": 500, "low": 400}},
            "limits": {"max_items": "none", "max_percent": "none"},
            "trash": {"keep": f"{max(10, round(tempo.length / 30))}s"},
        }
        commands = {name: [sys.executable, soak_generator.__file__, name, str(directory)] for name in ("stop", "start")}
        writer = {"mode": "live", "started_file": str(self.place.started_file), "quiesce": "0s", **commands}
        config = directory / "config.json"
        self._config = write_config(config, self.place.location, policy, writer, log={"level": "info"})

    @property
    def audit_log(self) -> Path:
        return self.place.location.state_directory / "audit.jsonl"

    @property
    def log(self) -> Path:
        """What the service says, in all its lives."""
        return self.place.directory / "service.log"

    def run(self) -> Kept:
        """Soak for as long as the tempo says; what the last check found."""
        begin = time.monotonic()
        disturb = check = begin
        self._command("start")
        try:
            while (now := time.monotonic()) < begin + self.tempo.length:
                is_calm = 0.25 <= (now - begin) / self.tempo.length < 0.75
                self._look_after_both()
                if now >= disturb:
                    self._disturb(spares_service=is_calm)
                    disturb = time.monotonic() + self._random.uniform(0.3, 1.7) * self.tempo.disturbance
                if now >= check + self.tempo.check:
                    self._tell(begin, self.check())
                    check = time.monotonic()
                time.sleep(TICK)
            return self._tell(begin, self.check())
        finally:
            if self.lives:
                # With the commands that it may have begun.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.lives[-1].process.pid, signal.SIGKILL)
                self.lives[-1].process.wait()
            self._command("stop")

    def _tell(self, begin: float, kept: Kept) -> Kept:
        passed = round(time.monotonic() - begin)
        print(f"{passed} s: {kept}, {dict(self.counts)}; {self.lives[-1].describe()}", flush=True)  # noqa: T201 -- figures are what it is for
        return kept

    def _look_after_both(self) -> None:
        """Do what a service manager does, and a person whom it calls."""
        life = self.lives[-1] if self.lives else None
        if life is None or life.process.poll() is not None:
            self._start_service()
        elif not life.samples or time.monotonic() >= life.samples[-1].time + 1.0:
            life.sample()
        if self.place.wanted.exists() and self.place.process() is None and self._command("revive") != 0:
            self._mend()

    def _start_service(self) -> None:
        pace = replace(Pace(), catch_up=2.0)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                quick_command(self._config, asdict(pace)),
                stdin=subprocess.DEVNULL,
                stderr=log,
                env=_ENVIRONMENT,
                start_new_session=True,
            )
        self.lives.append(Life(process))

    def _command(self, name: str) -> int:
        command = [sys.executable, soak_generator.__file__, name, str(self.place.directory)]
        return subprocess.run(command, env=_ENVIRONMENT, check=False).returncode

    def _mend(self) -> None:
        """Put right what the generator left when it died in the middle of an addition."""
        repaired = self._run_command("--writer-stopped", "--wait", "30s", "repair", "--confirm") == 0
        self.counts["repaired"] += repaired
        with cache_lock(self.place.location, PATIENCE):
            is_ours = interrupted_run(self.place.location) is not None
            if not is_ours and not index_is_whole(self.place):
                write_arrays(self.place)
                self.counts["arrays made anew"] += 1

    def _run_command(self, *words: str) -> int:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return command(self._config, *words)

    def _disturb(self, *, spares_service: bool) -> None:
        what = self._random.choice(GENERATOR_TROUBLES if spares_service else TROUBLES)
        self.counts[what] += 1
        service = self.lives[-1].process
        if what == "hang-up":
            service.send_signal(signal.SIGHUP)
        if what == "generator restarted" and self._command("restart") != 0:
            self._mend()
        if what in {"generator killed", "both killed"}:
            self._kill_generator()
        if what in {"service killed", "both killed"}:
            self._wait_for_run()
            service.kill()
            service.wait(PATIENCE)
        if what == "service ended":
            self._wait_for_run()
            service.terminate()
            # The signal itself ends one that has hardly begun.
            assert service.wait(PATIENCE) in {0, -signal.SIGTERM}

    def _kill_generator(self) -> None:
        generator = self.place.process()
        if generator is not None:
            meta = self.place.location.path / META_NAME
            before = _size(meta)
            self._wait_until(lambda: _size(meta) != before, 1.0, 0.004)
            with contextlib.suppress(ProcessLookupError):
                os.kill(generator, signal.SIGKILL)

    def _wait_for_run(self) -> None:
        """Return in the midst of a run: somewhere in it, or when it exchanges the index."""
        before, rewrite = _size(self.audit_log), rewrite_directory(self.place.location)
        if self._random.random() < 0.5:
            self._wait_until(lambda: _size(self.audit_log) != before, 1.5 * self.tempo.run, 0.2)
        else:
            self._wait_until(rewrite.exists, 2.5 * self.tempo.run, 0.02)

    def _wait_until(self, condition: Callable[[], bool], patience: float, after: float) -> None:
        """Return up to `after` seconds after a condition holds; at the latest when the patience is over."""
        until = time.monotonic() + patience
        while time.monotonic() < until and not condition():
            time.sleep(MOMENT)
        time.sleep(self._random.uniform(0, after))

    def check(self) -> Kept:
        """Wait until nothing is half done; then all must be as promised."""
        deadline = time.monotonic() + 2 * PATIENCE
        while True:
            self._look_after_both()
            if self.place.process() is not None:
                self._command("stop")
                try:
                    with cache_lock(self.place.location, PATIENCE):
                        if self._is_at_rest():
                            assert not self.place.faults.exists(), self.place.faults.read_text()
                            return check_promise(self.place, self.audit_log)
                finally:
                    self._command("start")
            assert time.monotonic() < deadline, "it never came to rest"
            time.sleep(TICK)

    def _is_at_rest(self) -> bool:
        """Whether neither has anything half done; the generator may have been started again meanwhile."""
        is_through = not rewrite_directory(self.place.location).exists()
        is_whole = self.place.process() is None and is_through and index_is_whole(self.place)
        # What a save of the generator brought back is retired again by the next run.
        return is_whole and not scan_cache(self.place.location, ScanNeeds()).retired.undone.any()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
