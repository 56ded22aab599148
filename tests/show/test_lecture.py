"""The lecture on the page: six questions, by keyboard, pointer and touch, in a browser."""

import numpy as np
import pytest
from browser import canvas, checked_by_axe, until

from shared.show.page.texts import read_texts

pytest_plugins = ["page_fixtures"]
pytestmark = pytest.mark.browser

CALM = {"reduced_motion": "reduce"}  # scrolls at once


@pytest.fixture
def lecture(visit, results):
    page = visit(results / "index.html", viewport={"width": 1440, "height": 900}, **CALM)
    page.locator("#lecture-start").focus()
    page.keyboard.press("Enter")
    return page


def question(page):
    return page.locator("#lecture-question").inner_text()


def marked(page):
    return page.evaluate("Array.from(document.querySelectorAll('.lecture-at'), (each) => each.id)")


def test_arrow_keys_turn_the_questions_and_escape_ends_them(lecture):
    texts = read_texts()
    wanted = ["latents", "train", "heat", "graph", "latents", "train"]
    for number, part in enumerate(wanted, start=1):
        assert question(lecture) == texts[f"lecture-question-{number}"][0]
        assert f"Question {number} of 6" in lecture.locator("#lecture-number").inner_text()
        assert lecture.evaluate("document.activeElement.id") == "lecture-question"
        assert marked(lecture) == [part]
        lecture.keyboard.press("ArrowRight" if number % 2 else "PageDown")
    assert lecture.locator("#lecture-next").is_disabled()  # the last question stays
    lecture.keyboard.press("ArrowLeft")
    lecture.keyboard.press("PageUp")
    assert question(lecture) == texts["lecture-question-4"][0]
    lecture.keyboard.press("Escape")
    assert not lecture.locator("#lecture").is_visible() and marked(lecture) == []
    assert lecture.evaluate("document.activeElement.id") == "lecture-start"
    lecture.keyboard.press("ArrowRight")
    assert not lecture.locator("#lecture").is_visible()


def test_each_question_sets_what_it_asks_about(lecture):
    state = "[vae.tests.find(({ x }) => x === vae.state.x)?.name, vae.state.epoch.epoch]"
    name, epoch = lecture.evaluate(state)
    assert (name, epoch) == ("4", 2)
    mean = lecture.evaluate("Array.from(vae.state.q.zMean)")
    np.testing.assert_allclose(lecture.evaluate("vae.state.z"), mean, rtol=0, atol=1e-12)
    lecture.keyboard.press("ArrowRight")
    until(lecture, "window.training?.state.picture")
    assert lecture.evaluate("training.state.runs.at(-1).settings.beta") == 0
    lecture.keyboard.press("ArrowRight")
    assert lecture.evaluate(state) == ["5", 2]
    lecture.keyboard.press("ArrowRight")
    assert lecture.evaluate(state) == ["7", 2]
    assert lecture.evaluate("vae.state.given") == "epsilon"
    lecture.keyboard.press("ArrowRight")
    assert lecture.evaluate(state) == ["2", 1]  # the run has no epoch 5: its first one
    lecture.keyboard.press("ArrowRight")
    assert lecture.evaluate("training.state.runs.at(-1).settings.beta") == 30


def test_what_is_asked_about_is_above_the_question(lecture):
    for _ in range(6):
        until(
            lecture,
            """(() => {
              const part = document.querySelector(".lecture-at").getBoundingClientRect();
              const bar = document.getElementById("lecture").getBoundingClientRect();
              return part.top < 40 && Math.min(part.bottom, bar.top) - Math.max(part.top, 0) > 350;
            })()""",
        )
        lecture.keyboard.press("ArrowRight")


def test_the_answer_opens_and_shows_the_rows_between_4_and_9(lecture):
    assert not lecture.locator("#lecture-answer").is_visible()
    lecture.keyboard.press("Tab")
    assert lecture.evaluate("document.activeElement.localName") == "summary"
    lecture.keyboard.press("Enter")
    until(lecture, "document.querySelector('.lecture-at').id === 'between'")
    assert lecture.locator("#lecture-answer").is_visible()
    chosen = "['from', 'to'].map((n) => vae.tests[element(`closer-${n}`).value].name)"
    assert lecture.evaluate(chosen) == ["4", "9"]
    lecture.keyboard.press("ArrowRight")
    assert not lecture.locator("#lecture-answer").is_visible()


def test_arrow_keys_in_the_plane_and_on_the_slider_do_not_turn(lecture):
    first = question(lecture)
    lecture.locator("#plane").focus()
    before = lecture.evaluate("vae.state.z")
    lecture.keyboard.press("ArrowRight")
    assert question(lecture) == first and lecture.evaluate("vae.state.z") != before
    lecture.locator("#epoch").focus()
    lecture.keyboard.press("ArrowLeft")
    assert question(lecture) == first and lecture.evaluate("vae.state.epoch.epoch") == 1
    lecture.keyboard.press("PageDown")
    assert question(lecture) != first  # the key of a presenter's remote control


def test_full_screen_and_back(lecture):
    lecture.locator("#lecture-screen").click()
    until(lecture, "document.fullscreenElement")
    lecture.locator("#lecture-leave").click()
    until(lecture, "!document.fullscreenElement")
    assert not lecture.locator("#lecture").is_visible()


def test_the_lecture_speaks_both_languages_and_begins_with_a_url(chromium, results):
    texts = read_texts()
    with chromium.new_context(**CALM) as context:
        page = context.new_page()
        page.goto((results / "index.html").as_uri() + "?lang=zh&lecture=3")
        until(page, "window.vae")
        assert question(page) == texts["lecture-question-3"][1]
        assert "3" in page.locator("#lecture-number").inner_text()
        page.locator("#language").evaluate("(button) => button.click()")
        assert question(page) == texts["lecture-question-3"][0]
        assert page.locator("#lecture-number").inner_text() == "Question 3 of 6"


def test_on_a_phone_the_buttons_turn_and_the_page_can_be_used(visit, results):
    page = visit(
        results / "index.html",
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
        **CALM,
    )
    page.locator("#lecture-start").tap()
    first, box = question(page), page.locator("#lecture").bounding_box()
    assert box["height"] < 0.5 * 844 and box["width"] == 390
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    plane = page.locator("#plane").bounding_box()
    assert plane["y"] >= 0 and plane["y"] + plane["height"] <= box["y"]
    before = canvas(page, "digit")
    page.touchscreen.tap(plane["x"] + 40, plane["y"] + 40)
    assert (canvas(page, "digit") != before).any()
    page.locator("#lecture-next").tap()
    assert question(page) != first
    page.locator("#lecture-leave").tap()
    assert not page.locator("#lecture").is_visible()


def test_data_without_digits_have_no_lecture(visit, odd_results):
    page = visit(odd_results[1])
    assert not page.locator("#lecture-start").is_visible()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_in_a_lecture(visit, results, scheme, language):
    page = visit(results / "index.html", color_scheme=scheme, locale=language, **CALM)
    page.locator("#lecture-start").click()
    page.evaluate("document.getElementById('lecture-solution').open = true")
    violations, passes = checked_by_axe(page)
    assert violations == []
    assert len(passes) > 20
