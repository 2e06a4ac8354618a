"""The status page as HTML: well formed, escaped, readable in both schemes, and in want of nothing from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from msgspec.structs import replace

from audio_cache_daemon.reporting.markup import element
from audio_cache_daemon.reporting.page import render_page
from audio_cache_daemon.reporting.page_facts import (
    AgeBar,
    CachePage,
    Coming,
    Meter,
    RunRow,
    Share,
    SizePoint,
    StatusPage,
    TrashRow,
    Trouble,
)
from audio_cache_daemon.reporting.page_style import STYLE
from builders import DAY, NOW

HOSTILE = "<script>alert(1)</script>\"'&amp;\x1b[31m\u202e"
VOID = {"meta", "link"}


def make_cache(word: str = "exhibit") -> CachePage:
    """A cache with everything that there is to show, all of its texts made of one word."""
    return CachePage(
        name=word,
        path=f"/srv/{word}",
        level="bad",
        sentence=f"It is {word}.",
        seen=NOW - 5,
        due=NOW + DAY,
        due_words="In the next run,",
        troubles=(Trouble(f"{word} is wrong.", f"Mend {word}.", (f"mend {word}",)),),
        facts=((word, word),),
        meters=(Meter(word, word, 8.0, 10.0, 9.0, word, word, 11.5, is_crossed=False),),
        ages=(AgeBar("1h", "up to 1h", 3, ()), AgeBar("30d", "up to 30d", 2, ((word, 5), ("other", 1)))),
        shares=(Share(word, word, 5, 1000), Share("other", "more", 1, 10)),
        sizes=(SizePoint(NOW - DAY, 1000), SizePoint(NOW, 2000)),
        marks=(3000, 2500),
        runs=(
            RunRow(NOW - DAY / 2, "on schedule", "success", "good", 3, 300, word),
            RunRow(NOW - DAY / 4, word, "refused", "bad", 0, 0, word),
        ),
        trash=(TrashRow(word, NOW - DAY, NOW + 6 * DAY, 5, 1000),),
        coming=Coming(
            (SizePoint(NOW, 2000), SizePoint(NOW + DAY, 2500)),
            (SizePoint(NOW, 2000), SizePoint(NOW + DAY, 4000)),
            (word,),
        ),
    )


def render(*caches: CachePage) -> str:
    return render_page(StatusPage("bad", "One needs help.", "1.2.3", caches), NOW).decode()


class Reader(HTMLParser):
    """Reads a page, and notes what opens and closes, the texts, and the attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice: {tag}"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_all_that_is_opened_is_closed() -> None:
    text = render(make_cache(), make_cache("lobby"))
    reader = Reader(text)
    assert text.startswith("<!doctype html>\n<html lang=")
    assert reader.open == []
    assert len(reader.all("h1")) == len(reader.all("main")) == 1


def test_whatever_a_name_holds_it_stays_a_text() -> None:
    """Also in attributes; and what could steer a reader's eyes is spelled out."""
    hostile, harmless = Reader(render(make_cache(HOSTILE))), Reader(render(make_cache()))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in harmless.tags]
    assert [set(attributes) for _, attributes in hostile.tags] == [set(attributes) for _, attributes in harmless.tags]
    shown = HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    assert shown in hostile.texts
    assert [attributes["id"] for attributes in hostile.all("h2")] == [f"cache-{shown}"]
    assert hostile.all("section")[0]["aria-labelledby"] == f"cache-{shown}"


def test_nothing_is_asked_for_from_elsewhere() -> None:
    text = render(make_cache())
    reader = Reader(text)
    assert "http:" not in text
    assert "https:" not in text
    assert not re.search(r"@import|url\((?!#go-\d\))", text)
    assert not reader.all("script")
    for _, attributes in reader.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "srcset", "action")]
        href = attributes.get("href")
        assert href is None or href.startswith(("/", "#", "data:,"))


def test_each_picture_says_in_words_what_it_shows() -> None:
    reader = Reader(render(make_cache()))
    pictures = [svg for svg in reader.all("svg") if svg.get("role") == "img"]
    others = [svg for svg in reader.all("svg") if svg.get("role") != "img"]
    assert len(pictures) == 4
    assert all(svg.get("aria-hidden") == "true" for svg in others)
    labels = [str(svg["aria-label"]) for svg in pictures]
    assert labels[0] == "exhibit: exhibit; exhibit, exhibit"
    assert labels[1] == "Items by age. up to 1h: 3 items; up to 30d: 8 items, 6 of them go."
    assert labels[2].startswith(
        "Size from 2036-07-17 13:20 to 2036-07-18 13:20: between 1000 B and 2.0 KiB, 2.0 KiB at"
    )
    assert labels[2].endswith("; 2 runs meanwhile.")
    assert labels[3] == (
        "Size from 2036-07-18 to 2036-07-19: 2.0 KiB at first, 2.4 KiB at the end; 3.9 KiB if nothing were removed."
    )


def test_headings_go_down_step_by_step_and_sections_have_names() -> None:
    reader = Reader(render(make_cache(), make_cache("lobby")))
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    identities = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(set(identities)) == len(identities)
    assert [section["aria-labelledby"] for section in reader.all("section")] == ["cache-exhibit", "cache-lobby"]
    targets = [str(link["href"])[1:] for link in reader.all("a") if str(link["href"]).startswith("#")]
    assert set(targets) <= set(identities)


def test_the_first_stop_of_the_keyboard_skips_to_the_caches() -> None:
    """Then in the order of the page: nothing is put elsewhere by a number."""
    reader = Reader(render(make_cache(), make_cache("lobby")))
    assert reader.all("a")[0]["href"] == "#main"
    assert {attributes["tabindex"] for _, attributes in reader.tags if "tabindex" in attributes} == {"0"}


def test_a_table_is_one_on_a_narrow_screen_too() -> None:
    """There its cells stand below each other, each with its label."""
    reader = Reader(render(make_cache()))
    assert {attributes.get("role") for attributes in reader.all("table")} == {"table"}
    assert all(cell["role"] == "cell" and cell["data-label"] for cell in reader.all("td"))


def test_more_rules_than_colours_share_the_last() -> None:
    rules = [f"rule-{number}" for number in range(9)]
    cache = replace(
        make_cache(),
        ages=(AgeBar("1h", "up to 1h", 0, tuple((rule, 1) for rule in rules)),),
        shares=tuple(Share(rule, "", 1, 1) for rule in rules),
    )
    text = render(cache)
    assert set(re.findall(r"url\(#go-(\d)\)", text)) == {"0", "1", "2", "3", "4"}
    assert "rule-4, rule-5, rule-6, rule-7, rule-8" in text


def test_a_cache_without_anything_is_a_page_too() -> None:
    cache = CachePage("empty", "/srv/empty", "good", "It is empty.", None, None, "If it ran now")
    text = render(cache)
    assert "It has not run yet." in text
    assert "The trash is empty." in text
    assert "not seen yet" in text
    assert Reader(text).open == []


def test_why_nothing_is_foreseen_is_said() -> None:
    text = render(replace(make_cache(), coming="It is too large."))
    assert "What comes" in text
    assert "It is too large." in text
    assert "What comes" not in render(replace(make_cache(), coming=None))


def test_a_text_that_is_no_unicode_is_shown_all_the_same() -> None:
    assert b"\\udcff" in render_page(StatusPage("bad", "It is \udcff.", "1", ()), NOW)


def test_an_attribute_without_a_value_is_left_out() -> None:
    assert element("p", "a<b", class_=None, data_x="1") == '<p data-x="1">a&lt;b</p>'


def schemes() -> list[dict[str, str]]:
    """The colours by name: light, and dark, which replaces all of them."""
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in STYLE.split("@media", 1))
    assert set(dark) == set(light)
    return [light, dark]


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2: from 1 to 21."""

    def luminance(color: str) -> float:
        channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", schemes(), ids=["light", "dark"])
def test_texts_and_shapes_stand_out_from_what_they_are_on(scheme: dict[str, str]) -> None:
    """4.5 for what is read, 3 for what is looked at, as WCAG 2.1 AA wants it."""
    levels = ("good", "warn", "bad")
    read = [(text, ground) for text in ("text", "muted", "link") for ground in ("page", "card")]
    read += [(text, f"{level}-back") for level in levels for text in (level, "text")]
    read += [(level, "card") for level in levels]
    seen = [(shape, "card") for shape in ("stay", "bar", "go-0", "go-1", "go-2", "go-3", "go-4", *levels)]
    seen += [("bar", "track"), ("bad", "track")]
    found = {(one, other): contrast(scheme[one], scheme[other]) for one, other in (*read, *seen)}
    assert {pair: found[pair] for pair in read if found[pair] < 4.5} == {}
    assert {pair: found[pair] for pair in seen if found[pair] < 3} == {}
