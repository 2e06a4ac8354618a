"""Proves what the README says of systemd, on a real one: `make prove-systemd`, as root. Says what it sees.

The units are installed into a small Debian with systemd as its first process, beside a generator of another user.
The root file system is kept in `$PROOF_DIR`, by default a directory of the temporary one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nested import PYTHON, DidNotHoldError, Machine, make_root, wait_for

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
PROGRAM = "/opt/audio-cache-daemon/bin/audio-cache-daemon"
SERVICE, ONCE = "audio-cache-daemon.service", "audio-cache-daemon-once.service"
GENERATOR = "image-server.service"
SOUNDS = "/srv/audio/generated"
CONFIG = "/etc/audio-cache-daemon/config.yaml"
EXAMPLES = "/usr/local/share/doc/audio-cache-daemon/systemd"
KEPT = ["rain on a roof", "wind in the reeds", "a far train", "gulls", "a brook", "bells", "crickets", "an empty hall"]
TESTS = ["test tone", "test of the left channel", "a test", "another test"]

FILL = f"""
import os, sys, pathlib
sys.path.insert(0, "/opt/image-server")
import live_generator
os.umask(0o002)
cache = pathlib.Path("{SOUNDS}/audio_cache")
cache.mkdir()
live_generator.fill_cache(cache, cache.parent, {KEPT + TESTS!r})
"""


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 -- this is what it is for


def hold(what: str, *, holds: bool) -> None:
    """Say what was seen to hold; DidNotHoldError when it doesn't."""
    if not holds:
        raise DidNotHoldError(what)
    say(f"  OK {what}")


def make_files(directory: Path) -> None:
    """What is brought into the machine: the wheel built here with those it needs, the units, and a generator."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--quiet", "--disable-pip-version-check"]
    wheels = directory / "wheels"
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", wheels, PROJECT], check=True)
    needed = [
        "--python-version",
        PYTHON,
        "--only-binary",
        ":all:",
        "--constraint",
        str(PROJECT / "tests/constraints.txt"),
    ]
    ours = [f"{wheel}[decode]" for wheel in wheels.iterdir()]
    subprocess.run([*pip, "download", "--dest", wheels, *needed, *ours], check=True)
    subprocess.run(["make", "-C", PROJECT, "--silent", "install-systemd", f"DESTDIR={directory}/root"], check=True)
    shutil.copytree(HERE / "image_server", directory / "image_server")
    shutil.copy(PROJECT / "tests/live_generator.py", directory / "image_server")


def install(machine: Machine) -> None:
    """Install: the wheel into its directory, the units with their user, and where it may write."""
    machine.run("python3", "-m", "venv", "/opt/audio-cache-daemon")
    pip = "/opt/audio-cache-daemon/bin/pip"
    machine.run(pip, "install", "--quiet", "--no-index", "--find-links=/mnt/wheels", "audio-cache-daemon[decode]")
    # What `make install-systemd` does without DESTDIR.
    machine.run("sh", "-c", "cp -a /mnt/root/. / && systemd-sysusers")
    machine.run("sh", "-c", "systemd-tmpfiles --create audio-cache-daemon.conf && systemctl daemon-reload")
    machine.run("ls", "-ld", "/var/log/audio-cache-daemon")
    machine.run("id", "audio-cache-daemon")
    machine.run("sh", "-c", f"install -D -m 644 {EXAMPLES}/caches.conf -t /etc/systemd/system/audio-cache-.service.d")
    machine.run("sh", "-c", "install -m 644 /mnt/image_server/config.yaml /etc/audio-cache-daemon/")
    machine.run("systemctl", "daemon-reload")
    for unit in (SERVICE, ONCE, "audio-cache-daemon-once.timer"):
        said = machine.run("systemd-analyze", "verify", "--man=no", f"/usr/local/lib/systemd/system/{unit}")
        hold(f"verify has nothing to say of {unit}", holds=said == "")


def start_generator(machine: Machine) -> None:
    """A generator of another user: its files shared as the README says, its unit with the example drop-in."""
    machine.run("useradd", "--system", "image-server")
    machine.run("install", "-d", "-o", "image-server", "-g", "image-server", SOUNDS)
    machine.run("install", "-D", "-t", "/opt/image-server", "/mnt/image_server/live_generator.py")
    made = machine.ask("/opt/audio-cache-daemon/bin/python", "-c", FILL, user="image-server")
    hold(f"image-server made a cache of {len(KEPT + TESTS)} items", holds=made.returncode == 0)
    machine.run("chgrp", "-R", "audio-cache-daemon", SOUNDS)
    machine.run("chmod", "-R", "g+rwX", SOUNDS)
    machine.run("find", SOUNDS, "-type", "d", "-exec", "chmod", "g+s", "{}", "+")
    machine.run("install", "-m", "644", f"/mnt/image_server/{GENERATOR}", "-t", "/etc/systemd/system")
    drop_in = f"/etc/systemd/system/{GENERATOR}.d/audio-cache-daemon.conf"
    machine.run("install", "-D", "-m", "644", f"{EXAMPLES}/generator.conf", drop_in)
    machine.run("sh", "-c", f"systemctl daemon-reload && systemctl start {GENERATOR}")
    machine.run("ls", "-ln", f"{SOUNDS}/audio_cache")
    hold("it knows its sounds", holds=all(lookup(machine, [*KEPT, *TESTS])))


def tell(machine: Machine, **command: object) -> Any:
    """Let the generator do something: its answer."""
    answers = "/run/image-server/answers"
    before = machine.ask("cat", answers).stdout.count("\n")
    machine.ask("sh", "-c", f"echo '{json.dumps(command)}' > /run/image-server/commands")
    wait_for("the generator answers", lambda: machine.ask("cat", answers).stdout.count("\n") > before)
    return json.loads(machine.ask("cat", answers).stdout.splitlines()[-1])["done"]


def lookup(machine: Machine, prompts: list[str]) -> list[str | None]:
    """The files that the generator would play."""
    wait_for("the generator is up", lambda: machine.ask("cat", "/run/image-server/answers").stdout != "")
    found: list[str | None] = tell(machine, do="lookup", kind="exact", prompts=prompts)
    return found


def refuse_bad_configurations(machine: Machine) -> None:
    """A configuration that can't be used: said in the journal, no restart without end; status 78 isn't tried again."""
    machine.run("sh", "-c", f"sed -i.good 's/every: 1m/every: often/' {CONFIG}")
    machine.run("systemctl", "start", SERVICE, status=1)
    wait_for("it is given up", lambda: machine.property(SERVICE, "ActiveState") == "failed")
    said = machine.journal(SERVICE)
    hold("the journal names the key: schedule.every", holds="schedule.every" in said)
    hold(f"it was given up after {said.count('schedule.every')} tries", holds=said.count("schedule.every") <= 6)
    override = f"/run/systemd/system/{SERVICE}.d/unchecked.conf"
    machine.run("sh", "-c", f"mkdir -p {Path(override).parent}; printf '[Service]\\nExecStartPre=\\n' >{override}")
    machine.run("sh", "-c", f"systemctl daemon-reload; systemctl reset-failed {SERVICE}")
    machine.run("systemctl", "start", SERVICE, status=1)
    wait_for("it has failed", lambda: machine.property(SERVICE, "ActiveState") == "failed")
    status, restarts = machine.property(SERVICE, "ExecMainStatus"), machine.property(SERVICE, "NRestarts")
    hold(f"unchecked, it ended with status {status} and {restarts} restarts", holds=(status, restarts) == ("78", "0"))
    machine.run("sh", "-c", f"rm {override}; mv {CONFIG}.good {CONFIG}; systemctl daemon-reload")
    machine.run("systemctl", "reset-failed", SERVICE)


def stop_generator_by_polkit(machine: Machine) -> None:
    """The rule lets the service's user stop and start the generator, and nothing else."""
    refused = machine.run("systemctl", "stop", GENERATOR, user="audio-cache-daemon", status=1)
    hold("without the rule it is refused", holds="authentication required" in refused)
    rules = "/etc/polkit-1/rules.d/50-audio-cache-daemon.rules"
    machine.run("install", "-m", "644", f"{EXAMPLES}/polkit.rules", rules)

    def may_start() -> bool:
        return machine.ask("systemctl", "start", GENERATOR, user="audio-cache-daemon").returncode == 0

    wait_for("polkit has read the rule", may_start)
    machine.run("systemctl", "stop", GENERATOR, user="audio-cache-daemon")
    hold("it is stopped", holds=machine.property(GENERATOR, "ActiveState") == "inactive")
    machine.run("systemctl", "start", GENERATOR, user="audio-cache-daemon")
    hold("it is started", holds=machine.property(GENERATOR, "ActiveState") == "active")
    machine.run("systemctl", "kill", GENERATOR, user="audio-cache-daemon", status=1)
    machine.run("systemctl", "stop", "systemd-journald.service", user="audio-cache-daemon", status=1)


def start_service(machine: Machine) -> None:
    """`systemctl start` comes back when it is ready; the status says in words what it does."""
    machine.run("systemctl", "start", SERVICE)
    hold("it is active", holds=machine.property(SERVICE, "ActiveState") == "active")
    wait_for("it says how it is", lambda: machine.property(SERVICE, "StatusText") != "")
    machine.run("systemctl", "status", "--no-pager", "--lines=5", SERVICE)
    hold("its STATUS names the cache", holds="exhibit: " in machine.property(SERVICE, "StatusText"))
    machine.run(PROGRAM, "status", user="audio-cache-daemon")


def scrape(machine: Machine) -> None:
    """Prometheus's question, asked on the machine itself."""
    url = "http://127.0.0.1:9843/metrics"
    get = f"import urllib.request; print(urllib.request.urlopen('{url}', timeout=5).read().decode())"
    wait_for("the metrics tell of the cache", lambda: "audio_cache_items{" in machine.ask("python3", "-c", get).stdout)
    text = machine.ask("python3", "-c", get).stdout
    for line in re.findall(r"^audio_cache_(?:items|build_info|watch_up).*|^process_resident.*", text, re.MULTILINE):
        say(f"    {line}")
    hold(f"{len(text.splitlines())} lines, its process among them", holds="process_resident_memory_bytes" in text)


def evict_and_compact(machine: Machine) -> None:
    """The scheduled run: it retires, stops the generator through polkit, drops rows, starts it, removes files."""
    start = machine.property(GENERATOR, "InvocationID")
    took = wait_for("the run's rows are dropped", lambda: count_rows(machine) == len(KEPT))
    wait_for("it is over", lambda: "last run success" in machine.property(SERVICE, "StatusText"))
    say(f"  after {took:.0f} s: {machine.property(SERVICE, 'StatusText')}")
    machine.run("journalctl", "--unit", GENERATOR, "--no-pager", "--output=short-iso")
    hold("the generator was started anew", holds=machine.property(GENERATOR, "InvocationID") != start)
    machine.run("ls", "-l", SOUNDS, f"{SOUNDS}/audio_cache", f"{SOUNDS}/audio_cache/.audio-cache-daemon")
    owners = machine.ask("stat", "--format=%U:%G %a", f"{SOUNDS}/audio_cache/meta.jsonl").stdout.strip()
    hold(f"the new index is {owners}", holds=owners == "audio-cache-daemon:audio-cache-daemon 664")
    left = machine.ask("sh", "-c", f"ls {SOUNDS}/*.wav").stdout.count("\n")
    hold(f"{left} files are left", holds=left == len(KEPT))
    hold("each kept prompt still has its own sound", holds=all(lookup(machine, KEPT)))
    decodings = machine.ask("cat", f"{SOUNDS}/audio_cache/.audio-cache-daemon/decodings.json").stdout
    hold("its audio was decoded, under the filter of system calls", holds='"decodings":[[' in decodings)
    hold("no test is served any more", holds=not any(lookup(machine, TESTS)))
    machine.run(PROGRAM, "trash", "list", user="audio-cache-daemon")


def count_rows(machine: Machine) -> int:
    return machine.ask("cat", f"{SOUNDS}/audio_cache/meta.jsonl").stdout.count("\n")


def add_after_compaction(machine: Machine) -> None:
    """The generator's user goes on with files that the service's user made."""
    hold("the generator added an item", holds=tell(machine, do="add", prompts=["a kettle"]))
    hold("the index has it", holds=count_rows(machine) == len(KEPT) + 1)
    hold("and finds it", holds=all(lookup(machine, ["a kettle"])))
    machine.run(PROGRAM, "verify", user="audio-cache-daemon")


def reload_service(machine: Machine) -> None:
    """A reload takes a new configuration over; one that can't be used fails, and the one before stays in force."""
    machine.run("sed", "-i", "s/every: 1m/every: 5m/", CONFIG)
    machine.run("systemctl", "reload", SERVICE)
    wait_for("it is reloaded", lambda: f"reloaded {CONFIG}" in machine.journal(SERVICE))
    process = machine.property(SERVICE, "MainPID")
    machine.run("sed", "-i", "s/every: 5m/every: often/", CONFIG)
    machine.run("systemctl", "reload", SERVICE, status=1)
    wait_for("it says why", lambda: "stays in force" in machine.journal(SERVICE))
    machine.run("sed", "-i", "s/every: often/every: 1h/", CONFIG)
    machine.run("systemctl", "reload", SERVICE)
    hold("it is the same process", holds=process == machine.property(SERVICE, "MainPID"))


def rotate_logs(machine: Machine) -> None:
    """Logrotate renames the log under the running service, again and again; the chain goes on, whoever goes on."""
    for number, user in enumerate(("root", "audio-cache-daemon", "audio-cache-daemon"), start=1):
        machine.run("logrotate", "--force", "/etc/logrotate.d/audio-cache-daemon")
        machine.run(PROGRAM, "run-once", user=user)
        files = machine.run("ls", "-l", "/var/log/audio-cache-daemon").count("exhibit.jsonl")
        hold(f"the log has {files} files", holds=files == number + 1)
    machine.run(PROGRAM, "audit", "verify", user="audio-cache-daemon")
    told = machine.run(PROGRAM, "audit", "--event", "removed", user="audio-cache-daemon").count("removed")
    hold(f"{told} removals are told of, from a compressed file", holds=told == len(TESTS))


def end_what_hangs(machine: Machine) -> None:
    """A process that stands still is ended by the watchdog and started anew."""
    process = machine.property(SERVICE, "MainPID")
    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", SERVICE)
    took = wait_for("another process runs", lambda: machine.property(SERVICE, "MainPID") not in ("0", process))
    wait_for("it is ready", lambda: machine.property(SERVICE, "ActiveState") == "active")
    said = machine.ask("journalctl", "--unit", SERVICE, "--no-pager", "--lines=200").stdout.splitlines()
    for line in said:
        if "systemd[1]" in line:
            say(f"    {line}")
    hold(
        f"the watchdog ended it; another was there after {took:.0f} s", holds=any("Watchdog timeout" in x for x in said)
    )


def stop_service(machine: Machine) -> None:
    """It ends by itself, within its bound."""
    start = time.monotonic()
    machine.run("systemctl", "stop", SERVICE)
    took, result = time.monotonic() - start, machine.property(SERVICE, "Result")
    hold(f"it stopped within {took:.1f} s: {result}", holds=took < 20 and result == "success")


def run_by_timer(machine: Machine) -> None:
    """The one-shot and its timer do the same, without the service and without a network."""
    tell(machine, do="add", prompts=["a last test"])
    machine.run("systemctl", "restart", GENERATOR)
    hold("the generator added a test", holds=all(lookup(machine, ["a last test"])))
    often = "[Timer]\\nOnCalendar=\\nOnCalendar=*:*:0/5\\nRandomizedDelaySec=0\\nAccuracySec=1s\\n"
    override = "/run/systemd/system/audio-cache-daemon-once.timer.d"
    machine.run("sh", "-c", f"mkdir -p {override}; printf '{often}' >{override}/often.conf; systemctl daemon-reload")
    machine.run("systemctl", "start", "audio-cache-daemon-once.timer")
    wait_for("it ran", lambda: "evicted 1 items" in machine.journal(ONCE))
    machine.run("systemctl", "stop", "audio-cache-daemon-once.timer")
    wait_for("it is over", lambda: machine.property(ONCE, "ActiveState") == "inactive")
    machine.run("journalctl", "--unit", ONCE, "--no-pager", "--output=cat")
    hold("it succeeded", holds=machine.property(ONCE, "Result") == "success")
    hold("one of ten rows is retired, so none is dropped yet", holds=count_rows(machine) == len(KEPT) + 2)
    machine.run("systemctl", "restart", GENERATOR)
    hold("started anew, the generator doesn't find it", holds=lookup(machine, ["a last test"]) == [None])
    machine.run("systemctl", "start", ONCE)
    hold("its restart released the file", holds="a_last_test" not in machine.ask("ls", SOUNDS).stdout)


def run_as_the_generators_user(machine: Machine) -> None:
    """The other way: no group, one user."""
    drop_in = "/etc/systemd/system/audio-cache-.service.d/generator-user.conf"
    machine.run("install", "-m", "644", f"{EXAMPLES}/generator-user.conf", drop_in)
    machine.run("sh", "-c", f"systemctl daemon-reload; chown -R image-server:image-server {SOUNDS}")
    machine.run("systemctl", "start", SERVICE, ONCE)
    process = machine.property(SERVICE, "MainPID")
    user = machine.ask("stat", "--format=%U", f"/proc/{process}").stdout.strip()
    hold(f"it runs as {user}", holds=user == "image-server")
    machine.run("logrotate", "--force", "/etc/logrotate.d/audio-cache-daemon")
    machine.run("systemctl", "start", ONCE)
    machine.run("ls", "-l", "/var/log/audio-cache-daemon")
    machine.run(PROGRAM, "audit", "verify", user="image-server")


STEPS: list[Callable[[Machine], None]] = [
    install,
    start_generator,
    refuse_bad_configurations,
    stop_generator_by_polkit,
    start_service,
    scrape,
    evict_and_compact,
    add_after_compaction,
    reload_service,
    rotate_logs,
    end_what_hangs,
    stop_service,
    run_by_timer,
    run_as_the_generators_user,
]


def main() -> int:
    """All steps, one after the other, up to the first that doesn't hold."""
    if os.geteuid() != 0 or not (shutil.which("debootstrap") and shutil.which("systemd-nspawn")):
        say("this needs root, and the programs debootstrap and systemd-nspawn (package systemd-container)")
        return 2
    directory = Path(os.environ.get("PROOF_DIR") or Path(tempfile.gettempdir(), "audio-cache-daemon-proof"))
    root = directory / "root"
    say(f"the root file system is {root}")
    make_root(root)
    with tempfile.TemporaryDirectory() as name:
        files = Path(name)
        files.chmod(0o755)
        make_files(files)
        with Machine(root, files, say) as machine:
            machine.run("sh", "-c", "systemctl --version | head -1; systemctl is-system-running")
            for step in STEPS:
                say(f"\n== {step.__doc__}")
                try:
                    step(machine)
                except DidNotHoldError as error:
                    say(f"  FAILED {error}")
                    say(machine.ask("journalctl", "--no-pager", "--lines=60").stdout)
                    return 1
    say(f"\nall {len(STEPS)} steps hold")
    return 0


if __name__ == "__main__":
    sys.exit(main())
