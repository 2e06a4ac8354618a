"""The commands by name; each is imported when it is called."""

from __future__ import annotations

import importlib

import click

from audio_cache_daemon import __version__
from audio_cache_daemon.cli.options import Choice, cache_options
from audio_cache_daemon.heap import give_back_large_memory_at_once

_COMMANDS = {
    "init": ("init", "look at a real cache and propose a configuration for it"),
    "check-config": ("configure", "check a configuration, and what can't work in it"),
    "schema": ("configure", "print the JSON Schema of the configuration"),
    "run-once": ("run_once", "apply the policies once; with --dry-run show what they would do"),
    "forecast": ("forecast", "show what will go on each of the next days, and how large the cache will be"),
    "plan": ("reviewing", "write what would go to a file, for review"),
    "apply": ("reviewing", "carry out what was reviewed, and nothing else"),
    "run": ("service", "look after the caches of a configuration, as a service"),
    "status": ("overview", "show each cache against its marks, its runs, and what is wrong"),
    "pause": ("service", "let the service leave caches alone"),
    "resume": ("service", "end a pause"),
    "accept-policy": ("service", "let a new policy evict what it wants to in its first run"),
    "explain": ("explain", "tell why an item goes or stays, and when, or what became of it"),
    "pin": ("pins", "protect an item, whatever the policy says"),
    "unpin": ("pins", "let the policy decide on it again"),
    "pins": ("pins", "list what is pinned, and why"),
    "compact": ("compact", "drop the rows of retired items, while the generator is stopped"),
    "trash": ("trash", "list what can be brought back, bring it back, or remove it for good"),
    "audit": ("audit", "read the audit log, or verify its chain"),
    "stats": ("stats", "show what is in a cache"),
    "list": ("inspect", "list items, the newest first"),
    "grouped": ("inspect", "list items by prompt"),
    "duplicates": ("remove", "find items of the same prompt, and remove all but the newest"),
    "clean": ("remove", "remove items older than so many days"),
    "remove-pattern": ("remove", "remove items whose prompt matches a pattern"),
    "clear": ("remove", "remove all items"),
    "verify": ("verify", "find faults of the index and of its files"),
    "repair": ("verify", "mend faults of the index, as far as nothing has to be guessed"),
    "demo": ("demo", "make a small cache of real sounds to try everything on"),
}


class _Commands(click.Group):
    """A group whose commands are found by name, so that `--help` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"audio_cache_daemon.cli.{_COMMANDS[cmd_name][0]}")
        # `list` would hide the built-in in its module.
        command: click.Command = getattr(module, {"list": "list_items"}.get(cmd_name, cmd_name.replace("-", "_")))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="audio-cache-daemon")
@cache_options
@click.pass_context
def app(context: click.Context, choice: Choice) -> None:
    """Keep the cache of an audio generator within what its operator allows.

    Nothing is removed that no policy names. Try a policy with `run-once --dry-run` before you trust it.
    """
    context.obj = choice
    give_back_large_memory_at_once()
