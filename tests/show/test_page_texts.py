"""The texts of the page: both languages, their places in the HTML, and the switch in a browser."""

import json
import re
from pathlib import Path

import pytest
from browser import until

import shared.show.page.results as results_module
from shared.show.page.difference import BLOCKS
from shared.show.page.texts import Text, english, filled, read_texts

pytest_plugins = ["page_fixtures"]
PAGE = Path(results_module.__file__).parent
HAN = re.compile(r"[\u4e00-\u9fff]")
PLACE = re.compile(r"\{\w+\}")


def test_every_text_has_both_languages_with_the_same_placeholders():
    for key, (first, second) in read_texts().items():
        assert first.strip() == first and second.strip() == second and first and second, key
        assert sorted(PLACE.findall(first)) == sorted(PLACE.findall(second)), key
        if key != "page-other-language":  # the name of the language to switch to
            assert not HAN.search(first), key


def test_every_key_is_used_and_every_used_key_has_a_text():
    sources = [path for kind in ("html", "js", "py") for path in PAGE.glob(f"*.{kind}")]
    source = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    composed = {"results-{kind}-figure", "explorer-noscript-{kind}"}
    assert composed <= set(re.findall(r'Text\(f"([^"]+)"', source))
    patterns = [each.replace("{kind}", "[a-z]+") for each in composed]
    # Keys that scripts and templates compose, as they are in the source
    for start in ("`trainer-status-${", "`trainer-lesson-${", '"difference-about-" ~',
                  '"difference-change-" ~', '"difference-why-" ~'):  # fmt: skip
        assert start in source
        patterns.append(re.search(r"[a-z-]+-", start)[0] + "[a-z0-9-]+")
    patterns += [f"difference-{block}" for block in BLOCKS]
    for key in read_texts():
        used = f'"{key}"' in source or f"'{key}'" in source
        assert used or any(re.fullmatch(each, key) for each in patterns), key
    named = re.findall(
        r'data-text(?:-[a-z-]+)?="([\w.-]+)"|\btext\("([\w.-]+)"|\bText\("([\w.-]+)"', source
    )
    keys = {name for each in named for name in each if name} - {"key"}  # of the comments
    assert keys <= set(read_texts()) and len(keys) > 40


def test_a_key_of_two_files_or_with_one_language_is_refused(tmp_path):
    def write(name, texts):
        (tmp_path / name).write_text(json.dumps(texts), encoding="utf-8")

    write("a.json", {"one": ["a", "b"]})
    write("b.json", {"two": ["c", "d"]})
    assert read_texts(tmp_path) == {"one": ["a", "b"], "two": ["c", "d"]}
    write("b.json", {"one": ["c", "d"]})
    with pytest.raises(ValueError, match=r"b\.json has the key one of another file"):
        read_texts(tmp_path)
    write("b.json", {"two": ["c"]})
    with pytest.raises(ValueError, match=r"1 texts for two; expected 2"):
        read_texts(tmp_path)


def test_the_html_holds_the_english_text_escaped():
    texts = {"one": ["a < b & c", "x"], "two": ['say "so"', "y"]}
    html = '<p class="c" data-text="one"></p><i data-text-title="two" data-text="one">kept</i>'
    assert filled(html, texts) == (
        '<p class="c" data-text="one">a &lt; b &amp; c</p>'
        '<i data-text-title="two" title="say &#34;so&#34;" data-text="one">kept</i>'
    )
    with pytest.raises(KeyError):
        filled('<p data-text="three"></p>', texts)
    assert filled('<p data-text="{{ key }}"></p>', texts) == '<p data-text="{{ key }}"></p>'
    assert english({"k": ["{a} and {b}", ""]}, Text("k", {"a": "{b}", "b": 2})) == "{b} and 2"
    assert english({}, "as it is") == "as it is"


def shown(page):
    return page.evaluate(
        "[document.documentElement.lang, document.title, document.querySelector('h1').textContent,"
        " document.getElementById('plane').getAttribute('aria-label'),"
        " document.getElementById('net-loss').textContent]"
    )


@pytest.mark.browser
def test_the_switch_changes_every_text_and_is_remembered(chromium, results):
    texts = read_texts()
    context = chromium.new_context()
    page = context.new_page()
    page.goto((results / "index.html").as_uri())
    until(page, "window.vae")
    language, title, heading, plane, loss = before = shown(page)
    assert language == "en" and title == heading == texts["page-title"][0]
    assert plane == texts["explorer-plane"][0] and loss.endswith(" nats")
    page.locator("#language").click()
    language, title, heading, plane, loss = shown(page)
    assert language == "zh-CN" and title == heading == texts["page-title"][1]
    assert plane == texts["explorer-plane"][1] and loss.endswith(" 奈特")
    assert page.locator("#language").inner_text() == "English"
    texts_of_elements = page.evaluate(
        "Array.from(document.querySelectorAll('main [data-text]'), (each) =>"
        " [each.dataset.text, each.textContent])"
    )
    assert len(texts_of_elements) > 40
    for key, content in texts_of_elements:
        if "{" not in texts[key][1]:
            assert content == texts[key][1]
    page.reload()
    until(page, "window.vae")
    assert shown(page)[0] == "zh-CN"
    page.locator("#language").click()
    assert shown(page)[:4] == before[:4]
    context.close()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("locale", "query", "language"),
    [
        ("zh-TW", "", "zh-CN"),
        ("de-DE", "", "en"),
        ("de-DE", "?lang=zh", "zh-CN"),
        ("zh-CN", "?lang=en", "en"),
    ],
)
def test_the_language_is_that_of_the_url_or_of_the_browser(
    chromium, results, locale, query, language
):
    with chromium.new_context(locale=locale) as context:
        page = context.new_page()
        page.goto((results / "index.html").as_uri() + query)
        until(page, "window.vae")
        assert shown(page)[0] == language
        if query:
            page.locator("#language").click()  # the URL then says the same
            other = {"?lang=zh": "en", "?lang=en": "zh"}[query]
            assert f"?lang={other}" in page.url
