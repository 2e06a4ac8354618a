"""How often the daemon does what: its margins in one place, each with its reason. All in seconds."""

from __future__ import annotations

import msgspec


class Pace(msgspec.Struct, frozen=True):
    """The rhythm of the daemon; tests quicken it, nobody else has a reason to."""

    tick: float = 0.5
    """Between two rounds of the main loop: a pressure run begins within 5 s of its cause."""

    patience: float = 3.0
    """A cache that is never quiet is looked at so long after the first hint..."""

    look_cost: float = 20.0
    """...or so many times as long as a look takes: they take a twentieth of a core at most..."""

    longest_patience: float = 30.0
    """...but after this at the latest."""

    scan: float = 300.0
    """Between two looks at all of a cache, hinted at or not."""

    scan_cost: float = 1000.0
    """How many times longer than such a look the rest after it is at least: they take a thousandth of a core."""

    publish: float = 5.0
    """Between two looks for figures to be rendered anew, which takes milliseconds."""

    control: float = 2.0
    """Between two looks for what the command line left: a pause, a policy accepted."""

    pressure_gap: float = 60.0
    """Between two runs under pressure: time enough for the generator to notice, and for us not to spin."""

    catch_up: float = 60.0
    """A missed run is made up for after a random part of this, so that many daemons don't start it together."""

    retry: float = 2.0
    """Until a locked cache is tried again, doubled each time..."""

    longest_retry: float = 60.0
    """...up to this."""

    generator: float = 5.0
    """Between two looks for a restart of the generator that a file tells of."""

    generator_unit: float = 30.0
    """The same for a systemd unit: asking costs a process."""

    config: float = 2.0
    """Between two looks at the configuration file."""

    clock_drift: float = 30.0
    """A clock that moved by more than this against the monotonic one was set; time servers slew by less."""

    settle: float = 1800.0
    """After the clock jumped ahead nothing goes by its age for this long: someone may set it back."""

    heartbeat: float = 5.0
    """Between two signs of life of the scheduler."""

    stale: float = 30.0
    """A loop that gave no sign of life for this long hangs."""

    stale_run: float = 1800.0
    """The same within a run: reading the contents of a large cache takes long."""

    decode: float = 300.0
    """So long a run decodes what isn't known yet: some ten thousand sounds; the next run goes on."""

    stop: float = 20.0
    """How long the end waits for a run to come to rest; then it is cut off, and the next start completes it."""
