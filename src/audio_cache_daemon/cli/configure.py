"""`check-config`, `schema`, `init`: the configuration."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from audio_cache_daemon.cli.options import Choice, cache_options
from audio_cache_daemon.cli.screens import messages, output, print_json, wants_json
from audio_cache_daemon.cli.status import ExitStatus
from audio_cache_daemon.config.lint import LintFinding, lint
from audio_cache_daemon.config.lint_files import lint_files
from audio_cache_daemon.config.load import load_settings
from audio_cache_daemon.config.place import find_config
from audio_cache_daemon.config.problems import InvalidConfigError
from audio_cache_daemon.config.schema import json_schema
from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.reporting.terminal import Symbol


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@cache_options
def check_config(choice: Choice, file: Path | None) -> int:
    """Check the configuration in FILE, or the one in force, and what can't work in it."""
    path = find_config(file or choice.config, os.environ)
    if path is None:
        raise ConfigError("there is no configuration to check; name its file, or begin one with init")
    try:
        settings = load_settings(path, os.environ)
    except InvalidConfigError as error:
        if wants_json(choice):
            print_json({"file": path, "valid": False, "problems": error.problems, "findings": []})
            return ExitStatus.USAGE
        raise
    findings = [*lint(settings), *lint_files(settings)]
    valid = not any(finding.level == "error" for finding in findings)
    if wants_json(choice):
        print_json({"file": path, "valid": valid, "problems": [], "findings": findings})
    else:
        _print_findings(path, findings, valid=valid)
    return ExitStatus.DONE if valid else ExitStatus.USAGE


@click.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))


def _print_findings(path: Path, findings: list[LintFinding], *, valid: bool) -> None:
    for finding in findings:
        symbol = Symbol.ERROR if finding.level == "error" else Symbol.WARNING
        messages().line(f"{finding.key}: {finding.message}", symbol)
    if valid:
        output().line(f"{path} can be used", Symbol.SUCCESS)
