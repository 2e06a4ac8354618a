"""The status page: one HTML page that needs nothing from elsewhere, and no script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from audio_cache_daemon.reporting.markup import Markup, element, join, moment
from audio_cache_daemon.reporting.page_charts import (
    MOST_RULES,
    draw_ages,
    draw_meter,
    draw_patterns,
    draw_sizes,
    draw_swatch,
    rule_number,
)
from audio_cache_daemon.reporting.page_facts import CachePage, Level, StatusPage, Trouble
from audio_cache_daemon.reporting.page_forecast import draw_coming
from audio_cache_daemon.reporting.page_style import STYLE
from audio_cache_daemon.units import format_size

_BADGES: dict[Level, str] = {"good": "✓ well", "warn": "▲ attention", "bad": "■ needs help"}
_LINKS = (
    ("/api/v1/status", "status as JSON"),
    ("/metrics", "metrics"),
    ("/healthz", "health"),
    ("/readyz", "readiness"),
)
_SHOWN_RUNS, _SHOWN_TRASH = 12, 12
"""Rows of the tables: what one looks at first, and the command line has the rest."""


def render_page(page: StatusPage, now: float) -> bytes:
    """The page as it is to be served; times in it are told from `now`."""
    head = [
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{_BADGES[page.level].split(' ', 1)[1]}: {page.sentence}"),
        # An empty one, so that none is asked for.
        element("link", rel="icon", href="data:,"),
        Markup(f"<style>{STYLE}</style>"),
    ]
    body = [
        element("a", "Skip to the caches", href="#main", class_="skip"),
        draw_patterns(),
        element("header", *_draw_header(page)),
        element("main", *(_draw_cache(cache, now) for cache in page.caches), id="main"),
        element("footer", _draw_footer(page, now)),
    ]
    document = element("html", element("head", *head), element("body", *body), lang="en")
    return f"<!doctype html>\n{document}\n".encode("utf-8", "backslashreplace")


def _draw_header(page: StatusPage) -> Iterator[Markup]:
    yield element("p", "audio-cache-daemon", class_="name")
    yield element("h1", page.sentence)
    if len(page.caches) > 1:
        links = [
            element("li", element("a", cache.name, href=f"#{_anchor(cache)}"), " ", _badge(cache.level))
            for cache in page.caches
        ]
        yield element("nav", element("ul", *links), aria_label="Caches")


def _draw_footer(page: StatusPage, now: float) -> Markup:
    links = [join([element("a", words, href=path), " · "]) for path, words in _LINKS]
    return element(
        "p", *links, f"audio-cache-daemon {page.version} · this page is of ", _draw_now(now), ", times are UTC"
    )


def _draw_now(now: float) -> Markup:
    """The time of the page itself, from which the others are told."""
    return Markup(moment(now, now).partition("</time>")[0] + "</time>")


def _badge(level: Level) -> Markup:
    return element("span", _BADGES[level], class_=f"badge {level}")


def _anchor(cache: CachePage) -> str:
    return f"cache-{cache.name}"


def _draw_cache(cache: CachePage, now: float) -> Markup:
    anchor = _anchor(cache)
    seen = join(["seen ", moment(cache.seen, now)]) if cache.seen is not None else join(["not seen yet"])
    parts = [
        element("div", element("h2", cache.name, id=anchor), _badge(cache.level), class_="top"),
        element("p", cache.sentence, class_="state"),
        element("p", element("code", cache.path), " · ", seen, class_="quiet"),
        *_draw_troubles(cache.troubles, cache.level),
        *_draw_facts(cache.facts),
    ]
    if cache.meters:
        figures = [
            element("figure", element("h3", meter.title), draw_meter(meter), element("figcaption", meter.text))
            for meter in cache.meters
        ]
        parts.append(element("div", *figures, class_="meters"))
    sizes = element("div", *_draw_sizes(cache), *draw_coming(cache), class_="column")
    parts.append(element("div", *_draw_ages(cache, now), sizes, class_="charts"))
    parts += [*_draw_runs(cache, now), *_draw_trash(cache, now)]
    return element("section", *parts, class_="cache", aria_labelledby=anchor)


def _draw_troubles(troubles: Sequence[Trouble], level: Level) -> Iterator[Markup]:
    if not troubles:
        return
    entries = [
        element(
            "li",
            element("p", trouble.what, class_="what"),
            *([element("p", trouble.advice)] if trouble.advice else []),
            *(element("pre", element("code", command)) for command in trouble.commands),
            class_=level if level != "good" else "warn",
        )
        for trouble in troubles
    ]
    yield element("ul", *entries, class_="troubles", aria_label="What is wrong, and what to do")


def _draw_facts(facts: Iterable[tuple[str, str]]) -> Iterator[Markup]:
    pairs = [element("div", element("dt", name), element("dd", value)) for name, value in facts]
    if pairs:
        yield element("dl", *pairs)


def _draw_ages(cache: CachePage, now: float) -> Iterator[Markup]:
    if not cache.ages:
        return
    taken = {rule for bar in cache.ages for rule, _ in bar.go}
    rules = [share.rule for share in cache.shares if share.rule in taken]
    legend = [element("li", draw_swatch(None), "stays")]
    legend += [element("li", draw_swatch(_fill(rules, rule)), rule) for rule in rules[: MOST_RULES - 1]]
    rest = rules[MOST_RULES - 1 :]
    if rest:
        legend.append(element("li", draw_swatch(_fill(rules, rest[0])), ", ".join(rest)))
    parts = [
        element("h3", "How old the items are, and what goes next"),
        draw_ages(cache.ages, rules),
        element("ul", *legend, class_="legend", aria_label="Legend"),
        element("p", "Each bar: the items up to that age, and above the age before it.", class_="quiet"),
        *_draw_shares(cache, now),
    ]
    yield element("figure", *parts)


def _fill(rules: Sequence[str], rule: str) -> str:
    return f"fill:url(#go-{rule_number(rules, rule)})"


def _draw_shares(cache: CachePage, now: float) -> Iterator[Markup]:
    when = join([cache.due_words, *([" ", moment(cache.due, now)] if cache.due is not None else [])])
    if not cache.shares:
        yield element("p", when, ": nothing goes.", class_="quiet")
        return
    rows = [[share.rule, share.what, f"{share.items:,}", format_size(share.bytes)] for share in cache.shares]
    yield _table(("rule", "~what it takes", "#items", "#size"), rows, caption=join([when, ": this goes"]))


def _draw_sizes(cache: CachePage) -> Iterator[Markup]:
    title = element("h3", "Size over time, and the runs")
    if len(cache.sizes) < 2:
        yield element(
            "figure", title, element("p", "There is nothing to draw yet: it begins with this start.", class_="quiet")
        )
        return
    words = "▼ a run that did its work  ◆ one that did a part  ■ one that was refused or failed"
    yield element("figure", title, draw_sizes(cache), element("figcaption", words))


def _draw_runs(cache: CachePage, now: float) -> Iterator[Markup]:
    rows: list[list[str]] = [
        [
            moment(run.time, now),
            run.cause,
            element("span", run.result, class_=f"result {run.level}"),
            f"{run.evicted:,}",
            format_size(run.freed),
            run.words,
        ]
        for run in cache.runs[::-1][:_SHOWN_RUNS]
    ]
    yield _block(
        "The last runs", ("*when", "why", "result", "#evicted", "#freed", "~what happened"), rows, "It has not run yet."
    )


def _draw_trash(cache: CachePage, now: float) -> Iterator[Markup]:
    total = sum(row.bytes for row in cache.trash)
    rows: list[list[str]] = [
        [
            element("code", row.run),
            moment(row.time, now),
            moment(row.until, now),
            f"{row.items:,}",
            format_size(row.bytes),
        ]
        for row in cache.trash[::-1][:_SHOWN_TRASH]
    ]
    of_runs = f"{len(cache.trash)} runs" if len(cache.trash) > 1 else "one run"
    title = "In the trash" + (f": {format_size(total)} of {of_runs}" if rows else "")
    yield _block(title, ("run", "*evicted", "*stays until", "#items", "#size"), rows, "The trash is empty.")


def _block(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], none: str) -> Markup:
    content = _table(columns, rows, label=title) if rows else element("p", none, class_="quiet")
    return element("div", element("h3", title), content, class_="block")


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, caption: Markup | None = None, label: str | None = None
) -> Markup:
    """A table that scrolls by itself where it is too wide. `#` before a column: a number, `*`: a time, `~`: words."""
    kinds = {"#": "number", "*": "when", "~": "words"}
    names, classes = [column.lstrip("#*~") for column in columns], [kinds.get(column[0]) for column in columns]
    heads = [
        element("th", name, scope="col", role="columnheader", class_=kind)
        for name, kind in zip(names, classes, strict=True)
    ]
    # On a narrow screen each cell is a line with its own label; the roles tell that it is a table all the same.
    body = [
        element(
            "tr",
            *(
                element("td", element("span", cell), role="cell", class_=kind, data_label=name)
                for cell, kind, name in zip(row, classes, names, strict=True)
            ),
            role="row",
        )
        for row in rows
    ]
    table = element(
        "table",
        *([element("caption", caption)] if caption is not None else []),
        element("thead", element("tr", *heads, role="row"), role="rowgroup"),
        element("tbody", *body, role="rowgroup"),
        role="table",
        aria_label=label,
    )
    return element("div", table, class_="scroll", tabindex=0, role="group", aria_label=label or "What goes next")
