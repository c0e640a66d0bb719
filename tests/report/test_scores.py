"""Scores of predictions as a figure and as a page: every number, safely, the same bytes each time."""

import math
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from synaug.evaluation.predictions import evaluate_predictions
from synaug.report.score_pages.score_figures import write_score_figure
from synaug.report.score_pages.score_page import score_page
from synaug.report.score_pages.score_panels import MOST_ROWS, score_panels


def scores(num_classes=4, *, names="abcd", attribute=True):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, num_classes, 400)
    wrong = rng.random(400) < 0.3
    predictions = np.where(wrong, rng.integers(0, num_classes, 400), labels)
    called = [str(names[label]) for label in range(num_classes)]
    table = pd.DataFrame(
        {
            "label": [called[i] for i in labels],
            "prediction": [called[i] for i in predictions],
            "sex": rng.choice(["f", "m"], 400),
        }
    )
    return evaluate_predictions(table, attributes=["sex"] if attribute else [])


def test_every_class_group_and_difference_is_in_a_panel():
    content = scores()
    panels = {panel.title: {row.name: row.value for row in panel.rows} for panel in score_panels(content)}
    assert panels["Recall of each class"] == content["per_class"]
    assert panels["Accuracy by sex"] == content["fairness"]["sex"]["accuracy"]
    assert panels["All images"]["accuracy"] == content["accuracy"]
    differences = next(rows for title, rows in panels.items() if title.startswith("Differences"))
    assert "equalized odds, worst class" in differences
    assert all(row.low <= row.value <= row.high for panel in score_panels(content)[:2] for row in panel.rows)


def test_of_many_classes_the_lowest_are_shown_and_the_number_of_the_others():
    content = scores(200, names=[f"class {i}" for i in range(200)], attribute=False)
    panel = score_panels(content)[1]
    assert (len(panel.rows), panel.num_hidden) == (MOST_ROWS, len(content["per_class"]) - MOST_ROWS)
    assert max(row.value for row in panel.rows) <= sorted(content["per_class"].values())[MOST_ROWS]


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".pdf", b"%PDF"), (".png", b"\x89PNG")])
def test_a_figure_has_the_same_bytes_each_time(tmp_path, suffix, start):
    for name in ("one", "two"):
        write_score_figure(scores(), tmp_path / f"{name}{suffix}")
    first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
    assert first == second
    assert first.startswith(start)


HOSTILE = ["<script>alert(1)</script>", "$x^2$", "a & b", "\x1b[31mred"]


def test_names_are_shown_as_they_are_and_never_run(tmp_path):
    content = scores(names=HOSTILE)
    page = score_page(content, source="<b>x</b>.csv")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "\x1b" not in page
    write_score_figure(content, tmp_path / "scores.svg")
    assert b"<script" not in (tmp_path / "scores.svg").read_bytes()


def test_the_command_writes_both_beside_its_table(synaug, tmp_path):
    table = tmp_path / "predictions.csv"
    table.write_text("label,prediction,sex\n" + "cat,cat,f\ndog,cat,m\ndog,dog,f\ncat,cat,m\n" * 5)
    figure, page = tmp_path / "scores.svg", tmp_path / "scores.html"
    done = synaug("evaluate", table, "--attribute", "sex", "--figure", figure, "--html", page)
    assert (done.code, "cat" in done.out) == (0, True)
    assert f"{figure}: written." in done.out.replace("\n", "")
    assert f"{page}: written." in done.out.replace("\n", "")
    assert figure.read_bytes().startswith(b"<?xml")
    assert "predictions.csv" in page.read_text()


@pytest.mark.parametrize(
    "words", [["--figure", "scores.jpg"], ["--figure", "."], ["--html", "scores.txt"], ["--html", "x.svg"]]
)
def test_another_suffix_is_refused_before_anything_is_read(synaug, tmp_path, words):
    assert synaug("evaluate", tmp_path / "missing.csv", *words).code == 2


def test_an_undefined_score_is_not_drawn(tmp_path):
    content = scores()
    content["fairness"]["sex"]["accuracy"]["f"] = math.nan
    write_score_figure(content, tmp_path / "scores.svg")
    assert "n/a" in score_page(content, source="x")


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs the chromium browser")
def test_a_browser_shows_the_page_and_complains_of_nothing(tmp_path):
    (tmp_path / "scores.html").write_text(score_page(scores(), source="predictions.csv"))
    command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom",
               f"--user-data-dir={tmp_path / 'profile'}", str(tmp_path / "scores.html")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert len(re.findall("<circle", done.stdout)) >= 10
    assert "CONSOLE" not in done.stderr
