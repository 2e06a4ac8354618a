"""The lint finds what can't work, or is likely not meant, in settings that are valid; and nothing else."""

from __future__ import annotations

import pytest
from config_files import MINIMAL, SHIPPED, Load

from audio_cache_daemon.config.lint import LintFinding, lint
from audio_cache_daemon.config.load import load_settings

STOPPED = MINIMAL.replace("policy: standard", "policy: standard, writer: {mode: stopped}")
RULE = "{name: stale, max_age: 30d}"


def _lint(load: Load, text: str) -> list[LintFinding]:
    return lint(load(text))


def _lint_policy(load: Load, body: str) -> list[tuple[str, str]]:
    """Level and message of what is found in a policy whose cache is all right."""
    findings = _lint(load, STOPPED.replace("standard: {}", f"standard: {{{body}}}"))
    return [(finding.level, finding.message) for finding in findings]


def _lint_cache(load: Load, body: str, rules: str = RULE, mode: str = "enforce") -> list[tuple[str, str, str]]:
    text = MINIMAL.replace("policy: standard", f"policy: standard, {body}")
    findings = _lint(load, text.replace("standard: {}", f"standard: {{mode: {mode}, rules: [{rules}]}}"))
    return [(finding.level, finding.key.removeprefix("caches.exhibit."), finding.message) for finding in findings]


def test_a_sensible_policy_has_no_findings(load: Load) -> None:
    assert _lint_policy(load, f"rules: [{RULE}], budget: {{size: {{high: 10GiB, low: 8GiB}}}}") == []


def test_only_what_an_example_is_about_is_pointed_out() -> None:
    findings = {path.stem: [finding.key for finding in lint(load_settings(path, {}))] for path in SHIPPED}
    assert {name: keys for name, keys in findings.items() if keys} == {
        "container": ["http.listen"],
        "shared-root": ["caches.garden.audio_roots"],
    }


@pytest.mark.parametrize(
    ("body", "level", "message"),
    [
        ("", "warning", "nothing ever goes"),
        ("budget: {size: {high: 8GiB, low: 10GiB}}", "error", "low is above high"),
        ("budget: {items: {high: 800, low: 1000}}", "error", "low is above high"),
        ("budget: {disk: {min_free: 10%, resume_free: 5%}}", "error", "resume_free is below min_free"),
        ("budget: {disk: {min_free: 2GiB, resume_free: 1GiB}}", "error", "resume_free is below min_free"),
        ("budget: {items: {high: 50000, low: 40000}}", "warning", "high to low is 10000 items"),
        ("budget: {size: {high: 10GiB, low: 3GiB}}", "warning", "high to low is 70%"),
        ("rules: [{name: a, pattern: 'x*'}]", "error", "matches the empty string"),
        ("rules: [{name: a, pattern: ''}]", "error", "matches the empty string"),
        ("rules: [{name: a, max_age: 1d, pattern: '.'}]", "error", "matches every prompt"),
        (f"rules: [{RULE}], protect: [{{name: a, pattern: '\\w'}}]", "error", "matches every prompt"),
        ("rules: [{name: a, pattern: '(rain+)+$'}]", "warning", "repeats a group that repeats"),
        ("rules: [{name: a, state: orphan, pattern: rain}]", "error", "no row names an orphan"),
        ("rules: [{name: a, state: leftover, pattern: rain}]", "error", "no row names a leftover"),
        (f"rules: [{RULE}, {{name: b, max_age: 30d}}]", "warning", "the rule stale before it"),
        (
            f"rules: [{RULE}, {{name: b, max_age: 9w, pattern: x, min_age: 1d}}]",
            "warning",
            "the rule stale before it",
        ),
        ("rules: [{name: a, dedupe: {by: prompt, keep: 3, prefer: [diverse, newest]}}]", "error", "stands alone"),
        ("rules: [{name: a, dedupe: {by: sound, keep: 2}}], protect: [{name: b, keep_best: 3}]", "error", "only be 1"),
        (
            "rules: [{name: a, dedupe: {by: sound, similarity: 0.5}}], protect: [{name: b, keep_best: 3}]",
            "error",
            "no likeness to go by",
        ),
        ("rules: [{name: a, dedupe: {by: sound}}]", "warning", "generates others again"),
        ("rules: [{name: a, dedupe: {by: content, prefer: [diverse]}}]", "error", "the takes of a prompt"),
        ("rules: [{name: a, duration: '< 0'}]", "error", "can never match: no duration is < 0"),
        ("rules: [{name: a, duration: '>= 0'}]", "error", "matches every item whose duration is known"),
        ("rules: [{name: a, quality: '> 1'}]", "error", "can never match: no quality is > 1"),
        ("rules: [{name: a, quality: '<= 1'}]", "error", "matches every item whose quality is known"),
        ("rules: [{name: a, pattern: rain}], protect: [{name: p, pattern: rain}]", "warning", "p protects all"),
    ],
)
def test_what_cannot_work_is_found(load: Load, body: str, level: str, message: str) -> None:
    ((found_level, found_message),) = _lint_policy(load, body)
    assert found_level == level
    assert message in found_message


@pytest.mark.parametrize(
    "body",
    [
        "budget: {disk: {min_free: 10%, resume_free: 1GiB}}",
        "budget: {items: {high: 50000, low: 45000}}",
        "budget: {items: {high: 50000, low: 40000}}, limits: {max_items: none}",
        "budget: {size: {high: 10GiB, low: 1GiB}}, limits: {max_percent: none}",
        "rules: [{name: a, state: missing, pattern: rain}]",
        "rules: [{name: a, max_age: 30d, pattern: rain}, {name: b, max_age: 30d}]",
        "rules: [{name: a, max_age: 30d, min_age: 40d}, {name: b, max_age: 30d}]",
        "rules: [{name: a, dedupe: {by: content}}, {name: b, dedupe: {by: content, keep: 2}}]",
        "rules: [{name: a, dedupe: {by: prompt, keep: 3, prefer: [diverse], diversity: 0}}]",
        "rules: [{name: a, dedupe: {by: sound, within: cache}}], protect: [{name: b, keep_best: 3}]",
        "rules: [{name: a, duration: '== 0'}, {name: b, duration: '<= 0'}, {name: c, quality: '>= 0.9'}]",
        "rules: [{name: a, pattern: '[a-z]{20}'}, {name: b, pattern: '(rain|snow)+'}]",
    ],
)
def test_what_can_work_is_left_alone(load: Load, body: str) -> None:
    assert _lint_policy(load, body) == []


def test_a_policy_that_no_cache_has_is_pointed_out(load: Load) -> None:
    text = STOPPED.replace("standard: {}", f"standard: {{rules: [{RULE}]}}")
    (finding,) = _lint(load, f"{text}  spare: {{rules: [{RULE}]}}\n")
    assert (finding.level, finding.key) == ("warning", "policies.spare")


@pytest.mark.parametrize(
    "writer",
    [
        "mode: stopped",
        "unit: x.service",
        "started_file: /run/x",
        "release_on: addition",
        "max_wait: 3d",
        "stop: [a], start: [b]",
    ],
)
def test_a_cache_that_can_release_is_all_right(load: Load, writer: str) -> None:
    assert _lint_cache(load, f"writer: {{{writer}}}") == []


def test_a_live_cache_without_a_way_to_release_is_an_error(load: Load) -> None:
    ((level, key, message),) = _lint_cache(load, "writer: {reload: [a]}")
    assert (level, key) == ("error", "writer")
    assert "could never go" in message


def test_a_policy_that_only_audits_needs_no_way_to_release_yet(load: Load) -> None:
    ((level, key, _),) = _lint_cache(load, "writer: {}", mode="audit")
    assert (level, key) == ("warning", "writer")


def test_keeping_fewer_takes_than_the_generator_wants_is_an_error(load: Load) -> None:
    ((level, key, message),) = _lint_cache(
        load, "writer: {mode: stopped, target_per_prompt: 4}", "{name: takes, dedupe: {by: prompt, keep: 3}}"
    )
    assert (level, key) == ("error", "writer.target_per_prompt")
    assert "wants 4 takes" in message


def test_keeping_fewer_diverse_takes_than_the_generator_wants_is_an_error_too(load: Load) -> None:
    rule = "{name: takes, dedupe: {by: prompt, keep: 2, prefer: [diverse]}}"
    ((level, key, _),) = _lint_cache(load, "writer: {mode: stopped}", rule)
    assert (level, key) == ("error", "writer.target_per_prompt")


def test_takes_that_are_protected_are_kept_too(load: Load) -> None:
    body = "rules: [{name: takes, dedupe: {by: prompt}}], protect: [{name: best, keep_best: 3}]"
    assert _lint_policy(load, body) == []


@pytest.mark.parametrize(("root", "word"), [("/", "root of the file system"), ("/home/ana", "home"), ("/root", "home")])
def test_a_root_that_holds_more_than_audio_is_pointed_out(load: Load, root: str, word: str) -> None:
    ((level, key, message),) = _lint_cache(load, f"audio_roots: [{root}], writer: {{mode: stopped}}")
    assert (level, key) == ("warning", "audio_roots[0]")
    assert word in message


def test_paths_that_lead_out_of_every_root_are_pointed_out(load: Load) -> None:
    body = "path_base: /opt/app, path_map: {/app: /srv/audio/x, /old: /srv/old}, writer: {mode: stopped}"
    assert [(level, key) for level, key, _ in _lint_cache(load, body)] == [
        ("warning", "path_map"),
        ("warning", "path_base"),
    ]


@pytest.mark.parametrize(
    ("listen", "findings"), [("localhost:1", 0), ("[::1]:1", 0), ("127.1.2.3:1", 0), ("0.0.0.0:1", 1), ("host:1", 1)]
)
def test_an_address_that_others_reach_is_pointed_out(load: Load, listen: str, findings: int) -> None:
    text = STOPPED.replace("standard: {}", f"standard: {{rules: [{RULE}]}}")
    assert len(_lint(load, f'{text}http: {{listen: "{listen}"}}')) == findings
