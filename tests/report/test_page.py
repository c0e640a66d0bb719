"""Test the rendered page: contrast, a browser in both themes, and numbers from report.json."""

import html
import json
import re
import shutil
import subprocess
from importlib import resources

import numpy as np
import pytest
from PIL import Image

import chromium
from synaug.report.html import ReportImages, make_report
from synaug.report.results_table import recalls
from synaug.runtime import storage

CSS = resources.files("synaug").joinpath("assets/report/report.css").read_text()
OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--enable-logging=stderr", "--dump-dom",
]  # fmt: skip


def palette(block):
    """Return the colors of a CSS block as (3,) arrays in [0, 1]."""
    colors = {}
    for name, value in re.findall(r"--([a-z]+): (#[0-9a-f]+|\d+ \d+ \d+);", block):
        if value.startswith("#"):
            digits = value[1:] if len(value) == 7 else "".join(2 * digit for digit in value[1:])
            colors[name] = np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255
        else:
            colors[name] = np.array([int(part) for part in value.split()]) / 255
    return colors


def palettes():
    light, dark, printed = re.findall(r":root \{(.*?)\}", CSS, flags=re.DOTALL)
    return {"light": palette(light), "dark": palette(dark), "print": palette(printed)}


def contrast(one, other):
    """Return the WCAG 2.2 contrast ratio, 1 to 21."""
    low, high = sorted(float(luminance(color)) for color in (one, other))
    return (high + 0.05) / (low + 0.05)


def luminance(color):
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_black_on_white_has_the_contrast_21():
    assert contrast(np.zeros(3), np.ones(3)) == pytest.approx(21)


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
@pytest.mark.parametrize("text", ["ink/paper", "soft/paper", "ink/panel", "ink/mark", "real/paper", "synthetic/paper",
                                  "bad/paper", "good/paper"])  # fmt: skip
def test_text_stands_out_from_its_background(theme, text):
    ink, paper = (palettes()[theme][name] for name in text.split("/"))
    assert contrast(ink, paper) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
@pytest.mark.parametrize("share", [0.005, 0.2, 0.4, 0.65, 0.651, 0.8, 1.0])
def test_the_numbers_of_the_matrix_stand_out(theme, share):
    colors = palettes()[theme]
    is_dark = share > 0.65
    alpha = 0.75 + 0.25 * share if is_dark else 0.6 * share
    cell = alpha * colors["heat"] + (1 - alpha) * colors["paper"]
    assert contrast(colors["paper" if is_dark else "ink"], cell) >= 4.5


def browsed(place, tmp_path, *more):
    command = ["chromium", *OPTIONS, *more, f"--user-data-dir={tmp_path / 'profile'}", str(place)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


with_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="needs the chromium browser")


@with_chromium
def test_a_browser_renders_the_page_and_complains_of_nothing(content, images, tmp_path):
    storage.write_text(tmp_path / "report.html", make_report(content, images=images))
    done = browsed(tmp_path / "report.html", tmp_path)
    assert "Your rarest class, ankle boot" in done.stdout
    assert "CONSOLE" not in done.stderr


MEASURE = """<!DOCTYPE html><meta name="color-scheme" content="light dark">
<iframe srcdoc="{}" style="width:390px;height:900px;border:0"></iframe><p id="said"></p>
<script>onload = () => {{
  const page = document.querySelector("iframe").contentDocument;
  const color = getComputedStyle(page.body).backgroundColor;
  said.textContent = "wide:" + page.documentElement.scrollWidth + " color:" + color;
}}</script>"""


@with_chromium
@pytest.mark.parametrize(("scheme", "color"), [(1, "rgb(252, 251, 248)"), (0, "rgb(21, 24, 28)")])
def test_on_a_phone_nothing_runs_off_to_the_right_in_either_theme(content, images, tmp_path, scheme, color):
    page = make_report(content, images=images)
    storage.write_text(tmp_path / "phone.html", MEASURE.format(html.escape(page)))
    done = browsed(tmp_path / "phone.html", tmp_path, f"--blink-settings=preferredColorScheme={scheme}")
    assert f"wide:390 color:{color}" in done.stdout


@with_chromium
def test_no_table_scrolls_at_1200_pixels(content, images, tmp_path):
    page = make_report(content, images=images)
    assert '<td class="best"' in page
    storage.write_text(tmp_path / "report.html", page)
    with chromium.opened(1200, 900) as browser:
        browser.open((tmp_path / "report.html").as_uri())
        browser.wait("document.readyState === 'complete'")
        widths = browser.value("[...document.querySelectorAll('.scroll')].map((e) => [e.scrollWidth, e.clientWidth])")
    assert len(widths) > 3
    assert all(content <= box for content, box in widths)


@with_chromium
def test_on_paper_several_classes_share_a_page(content, images, tmp_path):
    storage.write_text(tmp_path / "report.html", make_report(content, images=images))
    browsed(tmp_path / "report.html", tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'report.pdf'}")
    assert 4 <= len(re.findall(rb"/Type\s*/Page\b", (tmp_path / "report.pdf").read_bytes())) <= 8


def numbers_of(value):
    """Yield every number of a report, including those within texts."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from numbers_of(key)
            yield from numbers_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from numbers_of(item)
    elif isinstance(value, str):
        yield from (float(text) for text in re.findall(r"\d+(?:\.\d+)?", value))
    elif isinstance(value, int | float):
        yield float(value)


def derived(report):
    """Yield the numbers that the page derives from the report: sums, differences, shares, times."""
    accepted, rejected = report["synthesis"]["accepted"], report["synthesis"]["rejected"]
    made = accepted + sum(rejected.values())
    yield from (made, sum(rejected.values()), report["data"]["num_images"] + accepted, sum(rejected.values()) / made)
    yield from (count / made for count in rejected.values())
    before, after = recalls(report, "cross_entropy"), recalls(report, "synaug")
    yield from (abs(after[name] - before[name]) for name in before)
    yield sum(after[name] - before[name] <= -0.01 for name in before)
    yield from (one + report["synthesis"]["accepted_by_class"].get(name, 0)
                for name, one in report["data"]["class_counts"].items())  # fmt: skip
    scores = [result["accuracy"] for result in report["results"]]
    yield from (abs(one - other) for one in scores for other in scores)
    for found in report["confusions"].values():
        yield from (count / max(sum(row), 1) for row in found["matrix"] for count in row)
    for gap in [report["gap"].get("overall"), *report["gap"].get("per_class", {}).values()]:
        if gap and gap["synthetic_diversity"] is not None:
            yield gap["synthetic_diversity"] / gap["real_diversity"]


def shown_forms(value):
    """Yield the notations of a number on the page: plain, percent, minutes and seconds, kB or MB."""
    yield from (f"{value:,.0f}", f"{value:.1f}", f"{value:.3f}", f"{value:,.4g}", f"{value:g}")
    yield from (f"{100 * value:.0f}", f"{100 * value:.1f}", f"{value / 1e3:.0f}", f"{value / 1e6:.1f}")
    minutes, seconds = divmod(round(value), 60)
    yield from (str(minutes), str(seconds))


WORDS = {"0", "1", "95", "50", "100", "20"}  # in explanatory sentences: "0 to 100 %", "95 % interval", "20 to 100"


def untraceable(page, report):
    """Return the numbers in the page's text that do not come from the report."""
    values = {*numbers_of(report), *derived(report)}
    known = WORDS | {form for value in values for form in shown_forms(value)}
    text = html.unescape(re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL))
    said = re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?![\w.]*[a-z])", text)
    in_texts = json.dumps(report, ensure_ascii=False)
    return {number for number in said if number.rstrip(",") not in known and number not in in_texts}


def test_every_number_of_the_page_comes_from_the_report(finished):
    report = storage.read_json(finished / "report.json")
    page = (finished / "report.html").read_text()
    assert untraceable(page, report) == set()
    assert untraceable(page.replace("</main>", "<p>Accuracy rose by 3,141.59 points.</p></main>"), report) == {
        "3,141.59"
    }


KEYS = {"All": "accuracy", "Many": "many", "Medium": "medium", "Few": "few", "Worst class": "worst_class"}


def table_of(page, caption):
    """Return the cells of a table of the page, as text, row by row."""
    table = page[page.index(f'aria-label="{caption}"') :]
    rows = re.findall(r"<tr.*?</tr>", table[: table.index("</table>")], flags=re.DOTALL)
    cells = [re.findall(r"<t[hd]\b.*?>(.*?)</t[hd]>", row, flags=re.DOTALL) for row in rows]
    return [[html.unescape(re.sub(r"<[^>]*>", "", cell)).strip() for cell in row] for row in cells]


def wrong_cells(page, report):
    """Return (row, column, shown, expected) of each cell of the results that differs from the report of one seed."""
    header, *rows = table_of(page, "Results of all methods")
    assert len(rows) == len(report["results"])
    shown = {(i, title): cell for i, row in enumerate(rows) for title, cell in zip(header[1:], row[1:], strict=True)}
    values = {(i, title): report["results"][i].get(KEYS[title]) for i, title in shown}
    expected = {place: "n/a" if value is None else f"{100 * value:.1f}" for place, value in values.items()}
    return [(*place, cell, expected[place]) for place, cell in shown.items() if cell != expected[place]]


def test_each_cell_of_the_results_is_the_number_of_its_method_and_column(finished):
    report = storage.read_json(finished / "report.json")
    page = (finished / "report.html").read_text()
    assert wrong_cells(page, report) == []
    first, second = (f"{100 * report['results'][i]['accuracy']:.1f}" for i in (0, 1))
    assert first != second
    assert wrong_cells(page.replace(f"<span>{first}<", f"<span>{second}<"), report)


def with_data(report, **data):
    return report | {"data": report["data"] | data}


def test_skipped_files_are_listed_on_top_by_reason_and_suffix(content):
    left_out = [{"reason": "is a <b>text</b>", "suffix": ".txt", "number": 1234, "examples": ["a.txt", "b.txt"]}]
    page = make_report(with_data(content, left_out=left_out))
    assert "1,234" in page
    assert "is a &lt;b&gt;text&lt;/b&gt;" in page
    assert page.index("a.txt, b.txt") < page.index('id="results"')


def test_pairs_of_duplicates_are_shown_as_pictures_on_top(content):
    pair = {"first": "test/1.png", "second": "train/2.png", "is_equal": True}
    gone = {"first": "test/9.png", "second": "train/9.png", "is_equal": False}  # its image was dropped
    found = {"num_leaked": 2, "leaked": [pair, gone], "num_two_labels": 0, "two_labels": []}
    picture = Image.new("L", (8, 8))
    images = ReportImages(duplicates={("test/1.png", "train/2.png"): (picture, picture)})
    page = make_report(with_data(content, duplicates=found), images=images)
    section = page[page.index('id="warnings"') : page.index('id="results"')]
    assert section.count("<img") == 2
    assert "test/1.png" in section
    assert "test/9.png" not in section
