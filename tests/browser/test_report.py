"""The report in a real browser, opened from a file under its own content security policy."""

from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.fakes.nights import make_material, named
from tuner.domain.failure import Failure, FailureKind
from tuner.report.comparison import comparison_figures
from tuner.report.figures.capacities import capacity_chart, capacity_table
from tuner.report.material import Material, Weights
from tuner.report.page import render
from tuner.report.page_model import Page
from tuner.report.story import study_page

PHONE = 360
SCRIPT = "<script>document.body.dataset.owned='yes'</script>"
IMAGE = "<img src=x onerror=\"document.body.dataset.owned='yes'\">"
HOSTILE = f"m</script>{SCRIPT}{IMAGE}<!--"
DARK, LIGHT = "rgb(16, 19, 23)", "rgb(246, 247, 249)"


def answered(**changes: Any) -> Material:
    material = make_material(**changes)
    verdict = replace(material.verdict, chart=capacity_chart(material), table=capacity_table(material))
    return replace(material, verdict=verdict)


def page_of(*materials: Material) -> str:
    comparison = comparison_figures(materials) if len(materials) > 1 else ()
    return render(Page("night: tuner report", "made today", tuple(map(study_page, materials)), comparison))


def test_it_opens_without_a_complaint_and_asks_for_nothing(show: Open):
    opened = show(page_of(answered()))
    assert opened.complaints == []
    assert [url for url in opened.asked_for if not url.startswith("file:")] == []
    assert len(opened.asked_for) == 1


def test_the_answer_is_the_first_thing_on_the_page(show: Open):
    page = show(page_of(answered())).page
    expect(page.get_by_role("heading", level=1)).to_have_text("Deploy trial 3")
    box = page.locator(".command code").bounding_box()
    assert box is not None
    assert box["y"] < 400


@pytest.mark.parametrize(
    ("chart", "marks"),
    [
        ("s0-capacity", 5),
        ("s0-front", 6),
        ("s0-curve-ttft-p95", 16),
        ("s0-history-capacity-rps", 7),
        ("s0-importance-capacity-rps", 2),
        ("s0-parallel", 6),
        ("s0-night", 41),
        ("s0-drift", 3),
    ],
)
def test_a_chart_has_a_mark_for_everything_in_it(show: Open, chart: str, marks: int):
    assert show(page_of(answered())).marks(chart) == marks


def test_every_chart_is_drawn_within_its_place(show: Open):
    page = show(page_of(answered())).page
    assert page.locator("[data-chart]").count() == page.locator("[data-chart] > svg").count() >= 14
    heights = "all => all.map((each) => each.getBoundingClientRect().height)"
    sizes = page.locator("[data-chart] > svg").evaluate_all(heights)
    assert min(sizes) > 100
    assert "NaN" not in page.locator("[data-chart]").evaluate_all("all => all.map((each) => each.innerHTML).join()")


def test_pointing_at_a_trial_shows_its_flags_and_clicking_it_everything(show: Open):
    page = show(page_of(answered())).page
    best = page.locator('[data-chart="s0-front"] .tone-best .mark')
    best.hover()
    expect(page.locator("#tip")).to_contain_text("max-num-seqs 24")
    best.click()
    sheet = page.get_by_role("dialog")
    expect(sheet).to_contain_text("trial 3")
    expect(sheet).to_contain_text("vllm serve m/tiny")
    expect(sheet.locator("table").first.locator("tbody tr")).to_have_count(4)
    expect(page.locator("#tip")).to_be_hidden()
    sheet.get_by_role("button", name="Close").click()
    expect(sheet).to_be_hidden()


def test_the_keyboard_reaches_every_trial(show: Open):
    page = show(page_of(answered())).page
    chart = page.locator('[data-chart="s0-front"]')
    assert chart.locator('[tabindex="0"]').count() == 1
    chart.locator('[tabindex="0"]').focus()
    seen = {page.evaluate("document.activeElement.getAttribute('aria-label')")}
    for _ in range(5):
        page.keyboard.press("ArrowRight")
        seen.add(page.evaluate("document.activeElement.getAttribute('aria-label')"))
    assert len(seen) == 6
    expect(page.locator("#tip")).to_be_visible()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("trial 4")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_first_tab_leads_to_the_answer(show: Open):
    page = show(page_of(answered())).page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the answer")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_a_hostile_study_runs_nothing_and_adds_nothing(show: Open):
    material = answered()
    failure = Failure(kind=FailureKind.OOM_START, evidence=HOSTILE, advice=HOSTILE)
    trials = tuple(
        trial.model_copy(update={"flags": {"max-num-seqs": HOSTILE}, **({"failure": failure} if trial.failure else {})})
        for trial in material.trials
    )
    hostile = replace(
        material,
        label=HOSTILE,
        trials=trials,
        study=named(material.study, model=HOSTILE),
        verdict=replace(material.verdict, headline=HOSTILE, command=HOSTILE),
    )
    opened = show(page_of(hostile))
    page = opened.page
    page.locator('[data-chart="s0-front"] .tone-best .mark').click()
    expect(page.get_by_role("dialog")).to_contain_text(IMAGE)
    assert page.evaluate("document.body.dataset.owned") is None
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 3
    assert opened.complaints == []
    expect(page.get_by_role("heading", level=1, include_hidden=True)).to_have_text(HOSTILE)


def test_a_script_that_got_into_the_page_would_not_run(show: Open):
    opened = show(page_of(answered()).replace("made today", f"{SCRIPT}{IMAGE}"))
    opened.page.wait_for_timeout(100)
    assert opened.page.evaluate("document.body.dataset.owned") is None
    assert any("Content Security Policy" in complaint for complaint in opened.complaints)


@pytest.mark.parametrize(("dark", "first", "then"), [(False, LIGHT, DARK), (True, DARK, LIGHT)])
def test_it_follows_the_readers_theme_and_can_be_switched(show: Open, dark: bool, first: str, then: str):
    page = show(page_of(answered()), dark=dark).page
    expect(page.locator("body")).to_have_css("background-color", first)
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("body")).to_have_css("background-color", then)


def test_a_phone_needs_no_scrolling_sideways(show: Open):
    page = show(page_of(answered()), width=PHONE).page
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
    widths = page.locator("[data-chart]:not(.wide) > svg").evaluate_all(
        "all => all.map((each) => each.getBoundingClientRect().right)"
    )
    assert max(widths) <= PHONE


def test_charts_are_drawn_anew_when_the_window_changes(show: Open):
    page = show(page_of(answered())).page
    chart = page.locator('[data-chart="s0-front"] > svg')
    before = chart.get_attribute("width")
    page.set_viewport_size({"width": 700, "height": 900})
    expect(chart).not_to_have_attribute("width", before or "")
    assert page.locator('[data-chart="s0-front"] .mark').count() == 6


def test_it_prints_light_and_without_buttons(show: Open):
    page = show(page_of(answered()), dark=True).page
    page.emulate_media(media="print")
    expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    expect(page.locator(".top")).to_be_hidden()
    expect(page.locator('[data-chart="s0-front"] > svg')).to_be_visible()
    printed = page.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    assert len(printed) > 20_000


def test_without_scripts_every_figure_is_in_the_tables(show: Open):
    page = show(page_of(answered()), scripts=False).page
    expect(page.locator("noscript").first).to_be_attached()
    expect(page.get_by_role("heading", level=1)).to_have_text("Deploy trial 3")
    assert "CUDA out of memory" in page.locator("main").inner_text()
    assert page.locator("table").count() >= 6


def test_several_studies_stand_side_by_side(show: Open):
    opened = show(page_of(answered(label="h100"), answered(label="a100", best=2)))
    assert opened.complaints == []
    assert opened.marks("all-answers") == 2
    assert opened.marks("all-fronts") == 6
    page = opened.page
    page.locator('[data-chart="s1-front"] .tone-best .mark').click()
    expect(page.get_by_role("dialog")).to_contain_text("trial 2")


def test_a_study_that_measured_nothing_is_a_page_too(show: Open):
    material = make_material(judged={}, best=None, weights=Weights(), readings=(), trials=(), intervals={})
    opened = show(page_of(material))
    assert opened.complaints == []
    assert opened.page.locator(".missing").count() >= 5


def test_the_command_can_be_copied(show: Open):
    page = show(page_of(answered())).page
    page.get_by_role("button", name="Copy").click()
    assert page.evaluate("getSelection().toString()") == "vllm serve m"
