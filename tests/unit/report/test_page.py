"""The page as text: what it lets run, and what becomes of hostile text."""

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest

from tests.fakes.nights import make_material, named
from tuner.report.material import Weights
from tuner.report.page import render
from tuner.report.page_model import Fact, Page, Verdict
from tuner.report.story import study_page

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!--"
SMALL = 1_000_000
"""Bytes that any mail server takes."""


class Tags(HTMLParser):
    """Every element of a page with its attributes, and the text of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag in {"script", "style"}:
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.scripts and self.cdata_elem:
            self.scripts[-1] += data


def page_of(**changes: Any) -> str:
    return render(Page("night", "made", (study_page(make_material(**changes)),)))


def data_of(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_it_is_small_enough_to_mail():
    assert len(page_of().encode()) < SMALL


def test_it_names_no_address_to_load_from():
    tags = Tags(page_of())
    loading = {"src", "href", "action", "data", "srcset", "poster"}
    assert not [
        value for _, attributes in tags.found for name, value in attributes.items()
        if name in loading and not (value or "").startswith("#")
    ]  # fmt: skip
    assert not {"link", "iframe", "object", "embed", "img", "base", "form"} & {tag for tag, _ in tags.found}


def test_its_policy_allows_its_own_texts_by_hash_and_nothing_else():
    page = page_of()
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert found is not None
    policy = dict(part.strip().split(" ", 1) for part in html.unescape(found[1]).split(";"))
    assert policy["default-src"] == "'none'"
    assert not re.search(r"unsafe|https?:|\*", " ".join(policy.values()))
    style, data, library, script = Tags(page).scripts
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in (style, library, script)
    ]
    assert policy["style-src"] == hashes[0]
    assert policy["script-src"] == " ".join(hashes[1:])
    assert json.loads(data)


def test_no_element_has_a_style_or_a_handler_of_its_own():
    attributes = {name for _, found in Tags(page_of()).found for name in found}
    assert not {name for name in attributes if name == "style" or name.startswith("on")}


def test_hostile_text_adds_no_element_and_arrives_whole():
    material = make_material()
    hostile = replace(
        material,
        label=HOSTILE,
        study=named(material.study, model=HOSTILE),
        verdict=Verdict(HOSTILE, HOSTILE, HOSTILE, (Fact(HOSTILE, HOSTILE, HOSTILE),), (HOSTILE,)),
        weights=Weights(notes=(HOSTILE,)),
    )
    calm = replace(
        material, label="a", study=named(material.study, model="b"), weights=Weights(notes=("e",)),
        verdict=Verdict("a", "b", "c", (Fact("a", "b", "c"),), ("d",)),
    )  # fmt: skip
    pages = [render(Page(label, label, (study_page(made),))) for label, made in ((HOSTILE, hostile), ("a", calm))]
    tags = [[tag for tag, _ in Tags(page).found] for page in pages]
    assert tags[0] == tags[1]
    assert HOSTILE in data_of(pages[0])["trials"]["s0-0"]["command"]


def test_what_can_not_be_seen_is_shown_as_a_picture():
    steering = "\x1b]0;owned\x07 \u202egnp.exe"
    page = page_of(verdict=Verdict(steering, "", ""))
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "␛]0;owned␇ �gnp.exe" in page


def test_every_text_is_cleaned():
    page = render(
        Page("night", "made", (study_page(make_material()),)), clean=lambda text: text.replace("torch", "*****")
    )
    assert "*****.OutOfMemoryError" in page
    assert "torch.OutOfMemoryError" not in page


def test_the_scripts_data_leave_out_what_is_empty_and_keep_zeros():
    sheet = data_of(page_of())["trials"]["s0-0"]
    assert sheet["number"] == 0
    assert "reasons" not in sheet


@pytest.mark.parametrize("name", ["d3.min.js", "report.js", "report.css"])
def test_a_static_file_can_stand_in_a_page(name: str):
    text = files("tuner.report").joinpath("static", name).read_text(encoding="utf-8")
    assert not re.search(r"</script|</style|<!--", text, re.IGNORECASE)
    assert "\r" not in text


def test_the_library_is_the_one_that_was_published():
    text = files("tuner.report").joinpath("static", "d3.min.js").read_bytes()
    assert hashlib.sha256(text).hexdigest() == "912111098ea99503a6f4967361d2bbdc9dbf58cf9c678c8e27e5b02d1a07f0c1"
    assert "Copyright 2010-2026 Mike Bostock" in files("tuner.report").joinpath("static", "d3.LICENSE").read_text()
