import html.parser
import re

import numpy as np
import pytest
from PIL import Image

from synaug.errors import DataError
from synaug.evaluation.gap.domain_gap import gap_report, gap_section
from synaug.report.html import ReportImages, checked_report, make_report, read_report
from synaug.report.svg import confused_pairs
from synaug.runtime import storage


class Balance(html.parser.HTMLParser):
    """Collects the page's tags and fails if a closed tag is not the last opened one."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.images = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(page):
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_the_page_holds_the_key_texts(content, images):
    page = make_report(content, images=images)
    for text in ("Your rarest class, ankle boot", "80.7", "Rejected images", "a photo of a worn coat", "make demo",
                 "in-domain generator", "0017.png", "Cross-entropy with retrained last layer"):  # fmt: skip
        assert text in page


def test_the_page_is_well_formed_and_needs_nothing_from_outside(content, images):
    page = make_report(content, images=images)
    parser = parsed(page)
    assert "script" not in parser.tags
    assert "link" not in parser.tags
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page
    assert not re.search(r"(src|href)=\"(?!data:image/|#)", page)
    assert "url(" not in page


def test_every_picture_has_a_description(content, images):
    page = make_report(content, images=images)
    assert all(image["alt"] for image in parsed(page).images)
    assert page.count("<svg") == page.count('role="img" aria-label=')


def test_every_table_header_has_a_scope(content, images):
    page = make_report(content, images=images)
    assert page.count("<th ") + page.count("<th>") == page.count('<th scope="')


def test_class_names_prompts_and_files_are_escaped(content, images):
    evil = '<img src=x onerror="alert(1)">'
    text = storage.without_nan(content)
    text["data"]["class_names"][0] = evil
    text["data"]["class_counts"] = {evil: 500} | text["data"]["class_counts"]
    text["data"]["quarantined"] = [[evil, evil]]
    text["plan"]["prompts"] = {evil: [evil]}
    text["synthesis"]["rejected"][evil] = 3
    text["name"] = text["command"] = evil
    text["warnings"] = text["repeat"] = [evil]
    text["results"][0]["method"] = evil
    text["confusions"][evil] = {"matrix": np.eye(10, dtype=int).tolist(), "pairs": [[evil, evil, 1, 0.5]]}
    examples = ReportImages(
        synthetic={evil: [Image.new("L", (4, 4))]},
        prompts={evil: [evil]},
        rejected={evil: [(Image.new("L", (4, 4)), evil)]},
    )
    page = make_report(text, images=examples)
    assert "<img src=x" not in page
    assert 'onerror="' not in page
    parsed(page)


def test_undefined_numbers_are_not_available(content):
    for result in content["results"]:
        result["few"] = float("nan")
        result["per_class"]["bag"] = None
    page = make_report(content)
    assert "n/a" in page
    assert "nan" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL).lower()


def test_a_report_without_images_or_results_can_be_made(content):
    content |= {"results": [], "warnings": [], "repeat": [], "training": {}, "plan": {}, "synthesis": {}}
    page = make_report(content)
    assert "Nothing was trained" in page
    parsed(page)


def test_the_smallest_allowed_report_can_be_made():
    parsed(make_report({"schema_version": 1, "data": {"class_names": [], "class_counts": {}}, "plan": {},
                        "synthesis": {}, "training": {}, "results": []}))  # fmt: skip


def test_counts_by_group_are_summed_by_class(content):
    content["plan"] |= {"by": "group", "num_to_generate": {"bag | red": 30, "bag | blue": 12}}
    page = make_report(content)
    assert "15 real and 42 synthetic images" in page


def test_many_classes_show_a_list_of_mistakes_and_no_matrix(content):
    names = [f"class {number}" for number in range(80)]
    content["data"] |= {"class_names": names, "class_counts": dict.fromkeys(names, 9)}
    matrix = 5 * np.eye(80, dtype=int)
    matrix[3, 4] = 2
    examples = {name: [Image.new("L", (4, 4))] for name in names}
    pairs = [list(pair) for pair in confused_pairs(matrix, names)]
    content["confusions"] = {"synaug": {"matrix": None, "pairs": pairs}}
    page = make_report(content, images=ReportImages(real=examples))
    assert "class 3 taken for class 4: 2 images, 29\N{NO-BREAK SPACE}%" in page
    assert "Confusion matrix of" not in page
    assert "20 more classes are not shown here" in page


def test_a_matrix_of_another_size_is_refused(content):
    with pytest.raises(DataError, match=r"matrix.*synaug.*\(2, 2\);.*\(10, 10\)"):
        make_report(content | {"confusions": {"synaug": {"matrix": [[1, 0], [0, 1]], "pairs": []}}})


def test_a_written_report_is_read_back(content, tmp_path):
    storage.write_json(tmp_path / "report.json", content)
    assert read_report(tmp_path / "report.json") == content


def test_another_schema_version_is_refused(content, tmp_path):
    storage.write_json(tmp_path / "report.json", content | {"schema_version": 2})
    with pytest.raises(DataError, match=r"schema version 2;.*synaug.*version 1"):
        read_report(tmp_path / "report.json")


def test_missing_sections_are_named(content):
    del content["plan"], content["results"]
    with pytest.raises(DataError, match="lacks the sections plan, results"):
        checked_report(content)


def test_missing_class_names_are_named(content):
    del content["data"]["class_names"]
    with pytest.raises(DataError, match=r"lacks data\.class_names"):
        checked_report(content)


def test_other_content_is_not_a_report():
    with pytest.raises(DataError, match="must hold a report, not list"):
        checked_report([])


def test_making_a_report_changes_nothing_in_it(content, images):
    before = storage.without_nan(content)
    make_report(content, images=images)
    assert content == before


def test_groups_and_the_measures_between_them_are_shown_with_their_intervals(content):
    content["results"][0] |= {
        "per_group": {"bag x red": 0.25, "bag x blue": None},
        "equalized_odds_difference_worst": 0.125,
        "intervals": {"per_group": {"bag x red": [0.2, 0.3]}, "equalized_odds_difference_worst": [0.1, 0.2]},
    }
    text = make_report(content).replace("\N{NO-BREAK SPACE}", " ")
    assert "bag x red</span></th><td>25.0 %<small>20\N{EN DASH}30 %</small></td>" in text
    assert "equalized odds difference, worst class</span></th><td>12.5 %<small>10\N{EN DASH}20 %</small></td>" in text
    assert "bag x blue</span></th><td>n/a</td>" in text
    parsed(text)


def test_groups_of_several_seeds_are_means_with_their_deviation_beside_the_interval(content_of_three_seeds):
    for number, result in enumerate(content_of_three_seeds["results"][:3]):
        result |= {
            "per_group": {"bag x red": 0.2 + 0.1 * number},
            "equalized_odds_difference": 0.1 * number,
            "intervals": {"per_group": {"bag x red": [0.1, 0.3 + 0.1 * number]}, "equalized_odds_difference": [0, 0.2]},
        }
    text = make_report(content_of_three_seeds).replace("\N{NO-BREAK SPACE}", " ")
    assert "bag x red</span></th><td>30.0 % ± 10.0<small>10\N{EN DASH}40 %</small></td>" in text
    assert "equalized odds difference</span></th><td>10.0 % ± 10.0<small>0\N{EN DASH}20 %</small></td>" in text
    assert "Mean ± standard deviation over the seeds; an interval is of one training" in text


def test_a_rejected_image_is_shown_beside_its_class_with_the_reason(content, images):
    page = make_report(content, images=images)
    row = page[page.index("<h3>coat<small>") :]
    assert 'alt="Rejected coat, example 1: off-class"' in row[: row.index("</div>\n</div>")]


def test_cost_versions_and_license_are_there(content):
    page = make_report(content)
    for text in ("<dd>15.2 MB</dd>", "<dd>1 min 28 s</dd>", "<dt>torch</dt><dd>2.10.0</dd>", "<dd>Apache-2.0</dd>"):
        assert text in page


def test_the_model_is_named_once_unless_images_came_from_another(content):
    content["plan"]["model"] = "embedded"
    content["synthesis"]["model"] = {"model": "embedded", "negative_prompt": ""}
    page = make_report(content)
    assert page.count("<dt>Model</dt>") == 1
    assert "Negative prompt" not in page
    content["synthesis"]["model"] = {"model": "fitted-model"}
    assert make_report(content).count("<dt>Model</dt>") == 2


def test_the_gap_is_shown_if_it_was_measured(content):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 9], 60)
    found = gap_report(
        real=rng.normal(size=(120, 3)), synthetic=rng.normal(size=(120, 3)),
        real_labels=labels, synthetic_labels=labels, class_names=content["data"]["class_names"],
    )  # fmt: skip
    page = make_report(content | {"gap": gap_section(found, content["data"]["class_names"])})
    assert "Gap between real and synthetic images" in page
    assert page.count("<td>n/a</td>") == 0
    parsed(page)


@pytest.mark.parametrize(
    ("detail", "is_matched", "sentences"),
    [
        (0.36, True, ["less fine detail than the real ones: 0.36 times", "Training reduces the difference"]),
        (0.36, False, ["Training leaves it; train.match_spectrum would reduce it"]),
        (1.5, True, ["more fine detail than the real ones: 1.5 times"]),
        (1234.5, True, ["more fine detail than the real ones: 1,234 times"]),
        (0.95, True, ["as much fine detail as the real ones"]),
        (None, True, []),
    ],
)
def test_fine_detail_is_compared_in_words(content, detail, is_matched, sentences):
    content["training"]["options"] = {"match_spectrum": is_matched}
    rng = np.random.default_rng(0)
    labels, features = np.repeat([0, 9], 60), rng.normal(size=(120, 3))
    names = content["data"]["class_names"]
    found = gap_report(
        real=features, synthetic=features, real_labels=labels, synthetic_labels=labels, class_names=names
    )
    page = make_report(content | {"gap": {"fine_detail": detail} | gap_section(found, names)})
    assert all(sentence in page for sentence in sentences)
    assert ("fine detail" in page) == bool(sentences)


def test_all_options_are_listed(content):
    content["training"]["options"] = {"stage1": {"mixing": "mixup", "steps": None}}
    page = make_report(content)
    assert "<dt>options.stage1.mixing</dt><dd>mixup</dd>" in page
    assert "<dt>options.stage1.steps</dt><dd>default</dd>" in page


def test_a_run_without_synthetic_images_names_no_model(content):
    assert "<h3>Synthetic images</h3>" in make_report(content)
    content["synthesis"] |= {"requested": 0, "accepted": 0, "rejected": {}, "missing": 0}
    assert "<h3>Synthetic images</h3>" not in make_report(content)
