"""A configuration file to `Settings`, or all that is wrong with it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from msgspec.structs import replace

from audio_cache_daemon.config.document import DOCUMENT, CacheEntry, Document
from audio_cache_daemon.config.nodes import UnreadableYamlError, compose
from audio_cache_daemon.config.problems import ConfigProblem, InvalidConfigError
from audio_cache_daemon.config.reader import DocumentReader, TooManyValuesError
from audio_cache_daemon.config.settings import CacheSettings, Settings
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.retention.policy import Policy

_LARGEST_FILE = 2**20
_DIGEST_LENGTH = 16


def load_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read a configuration file; InvalidConfigError, with every problem in it, if it can't be used."""
    text = _read_text(path)
    reader = DocumentReader(environ)
    document = _read_document(path, text, reader)
    reader.problems.extend(_contradictions(reader))
    if reader.problems or not isinstance(document, Document):
        raise InvalidConfigError(path, reader.problems)
    policies = {name: replace(policy, name=name) for name, policy in document.policies.items()}
    return Settings(
        caches={name: _cache(name, entry, policies) for name, entry in document.caches.items()},
        policies=policies,
        audit=document.audit,
        http=document.http,
        log=document.log,
        first_run=document.first_run,
        source=path,
        digest=_digest(text, reader.environment),
    )


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _unusable(path, f"a file that can't be read ({reason})", "a readable file") from None
    if len(content) > _LARGEST_FILE:
        raise _unusable(path, "more than 1 MiB", "a configuration file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unusable(path, f"the byte 0x{content[error.start]:02x}", "text in UTF-8", line) from None


def _read_document(path: Path, text: str, reader: DocumentReader) -> object:
    try:
        root = compose(text)
        if root is None:
            raise _unusable(path, "an empty file", "the keys version, caches and policies")
        return reader.read(root, DOCUMENT)
    except UnreadableYamlError as error:
        raise InvalidConfigError(path, [error.problem]) from None
    except TooManyValuesError:
        raise _unusable(path, "aliases that unfold without end", "fewer aliases of aliases") from None


def _unusable(path: Path, found: str, expected: str, line: int | None = None) -> InvalidConfigError:
    return InvalidConfigError(path, [ConfigProblem(line, "", found, expected)])


def _contradictions(reader: DocumentReader) -> Iterator[ConfigProblem]:
    """Problems between values that are each right by themselves."""
    yield from _repetitions(reader, r"(caches)\.[^.]+\.path", "a path of its own for each cache")
    yield from _repetitions(
        reader,
        r"(policies\.[^.]+)\.(?:protect|rules)\[[0-9]+\]\.name",
        "a name of its own for each rule and protection of a policy",
    )
    policies = [key.removeprefix("policies.") for key in reader.lines if re.fullmatch(r"policies\.[^.]+", key)]
    for key, value in reader.scalars.items():
        if re.fullmatch(r"caches\.[^.]+\.policy", key) and value not in policies:
            close = get_close_matches(str(value), policies, 1) or policies
            yield ConfigProblem(reader.lines[key], key, f"the unknown policy {value}", " or ".join(close))
    for key in [key for key in reader.lines if re.fullmatch(r"caches\.[^.]+\.writer", key)]:
        given = [command for command in ("stop", "start", "reload") if f"{key}.{command}" in reader.lines]
        if given not in ([], ["stop", "start"], ["reload"]):
            yield ConfigProblem(reader.lines[key], key, " and ".join(given), "stop and start, or reload alone")


def _repetitions(reader: DocumentReader, keys: str, expected: str) -> Iterator[ConfigProblem]:
    """Values that stand a second time under one of the keys of a pattern, whose group says in what they are unique."""
    first: dict[tuple[str, object], str] = {}
    for key, value in reader.scalars.items():
        if match := re.fullmatch(keys, key):
            owner = first.setdefault((match[1], value), key)
            if owner != key:
                found = f"{value} again (first in line {reader.lines[owner]})"
                yield ConfigProblem(reader.lines[key], key, found, expected)


def _cache(name: str, entry: CacheEntry, policies: Mapping[str, Policy]) -> CacheSettings:
    location = CacheLocation(
        name=name,
        path=entry.path,
        audio_roots=entry.audio_roots or (entry.path,),
        path_base=entry.path_base,
        path_map=tuple(entry.path_map.items()),
    )
    return CacheSettings(location, policies[entry.policy], entry.writer)


def _digest(text: str, environment: Mapping[str, str]) -> str:
    """Identifies what was read: the text, and the values that the environment put into it."""
    used = "".join(f"\0{name}={value}" for name, value in sorted(environment.items()))
    return hashlib.sha256((text + used).encode("utf-8", "surrogateescape")).hexdigest()[:_DIGEST_LENGTH]
