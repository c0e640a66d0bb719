import math

import pytest

from synaug.report import sections
from synaug.report.results_table import TITLES, compared_methods, percent, recalls, results_table, shown_columns
from synaug.report.summary import summary


def keep(content, *methods):
    content["results"] = [result for result in content["results"] if result["method"] in methods]


def swap(content):
    """Make the report say that everything got worse."""
    names = {"cross_entropy": "synaug", "synaug": "cross_entropy"}
    for result in content["results"]:
        result["method"] = names.get(result["method"], result["method"])
        result["uses_synthetic"] = result["method"].startswith("synaug")


def test_the_whole_summary_as_text(content):
    assert summary(content) == [
        "Your rarest class, ankle boot, had 10 training images; its recall rose from 56 % to 88 %.",
        "On 2,000 real test images, accuracy rose from 69.5 % with cross-entropy to 80.7 % with SYNAuG. "
        "On classes with fewer than 20 training images, accuracy rose from 48.5 % to 86.5 %.",
        "Without synthetic images, oversampling reached 75.8 %, 4.9 points less than SYNAuG.",
        "3 of 10 classes lost recall; the most, t-shirt, fell from 89 % to 80 %.",
        "3,599 synthetic images were added. 212 of 3,811 images were rejected, most of them off-class.",
        "1 file could not be used and was left out.",
    ]


def test_a_loss_is_called_a_loss(content):
    swap(content)
    text = " ".join(summary(content))
    assert "its recall fell from 88 % to 56 %" in text
    assert "accuracy fell from 80.7 % with cross-entropy to 69.5 % with SYNAuG" in text
    assert "oversampling reached 75.8 %, 6.3 points more than SYNAuG: on these data it is the better choice" in text


def test_no_change_is_called_no_change(content):
    keep(content, "cross_entropy", "synaug")
    content["results"][1] = content["results"][0] | {"method": "synaug", "uses_synthetic": True}
    said = summary(content)
    assert said[0].endswith("its recall stayed at 56 %.")
    assert "accuracy stayed at 69.5 % with cross-entropy and with SYNAuG. A difference this small" in said[1]
    assert not any("lost" in sentence for sentence in said)


def test_a_difference_within_chance_is_reported_as_such(content):
    content["data"]["num_test_images"] = 40
    assert "can be chance with so few test images" in summary(content)[1]


def test_an_empty_synthesis_is_reported(content):
    content["synthesis"] = {"requested": 0, "accepted": 0, "rejected": {}, "missing": 0}
    assert "No synthetic images were requested." in summary(content)


def test_a_synthesis_without_any_image_is_reported(content):
    content["synthesis"] = {"requested": 50, "accepted": 0, "rejected": {}, "missing": 50}
    assert "None of the 50 planned images was generated." in summary(content)


def test_missing_images_are_reported(content):
    content["synthesis"] |= {"accepted": 3590, "missing": 9, "rejected": {"copy": 4}}
    assert (
        "3,590 synthetic images were added. 4 of 3,594 images were rejected, all of them copies of training images. "
        "9 of the 3,599 planned images are missing."
    ) in summary(content)


def test_one_method_alone_is_reported_without_a_comparison(content):
    keep(content, "oversampling")
    said = summary(content)
    assert said[0].endswith("its recall is 79 %.")
    assert said[1] == "On 2,000 real test images, accuracy is 75.8 % with oversampling."


def test_no_results_at_all(content):
    content["results"] = []
    said = summary(content)
    assert said[0].endswith("its recall was not measured.")
    assert said[1] == "Nothing was trained, so there are no results."


def test_null_is_read_as_undefined(content):
    for result in content["results"]:
        result["few"] = result["accuracy"] = None
        result["per_class"]["ankle boot"] = None
    assert summary(content)[0].endswith("its recall was not measured.")
    assert {row.text("few") for row in results_table(content["results"])} == {"n/a"}
    assert all("few" not in row.best for row in results_table(content["results"]))


def test_balanced_data_had_nothing_to_balance(content):
    content["data"]["class_counts"] = dict.fromkeys(content["data"]["class_names"], 7)
    assert summary(content)[0] == "All 10 classes have 7 images: there was nothing to balance."


def test_ties_for_the_rarest_class_are_named_as_such(content):
    content["data"]["class_counts"]["bag"] = 10
    assert summary(content)[0].startswith("One of your rarest classes, bag, had 10 training images;")


def test_several_seeds_give_mean_and_deviation(content_of_three_seeds):
    row = results_table(content_of_three_seeds["results"])[0]
    assert (row.num_seeds, row.text("accuracy")) == (3, "69.5 ± 1.0")
    assert (
        "All numbers are means of 3 seeds; the standard deviation of accuracy over them is 1.0 points with "
        "cross-entropy and 1.0 with SYNAuG." in " ".join(summary(content_of_three_seeds))
    )
    assert recalls(content_of_three_seeds, "synaug")["ankle boot"] == pytest.approx(0.88)


def test_the_best_is_marked_and_the_upper_bound_is_not_a_rival(content):
    content["results"].append(content["results"][0] | {"method": "filled", "is_bound": True, "accuracy": 0.99})
    best = [row.method for row in results_table(content["results"]) if "accuracy" in row.best]
    assert best == ["synaug"]
    assert not any("filled" in sentence for sentence in summary(content))


def test_results_and_not_names_determine_what_used_synthetic_images(content):
    keep(content, "cross_entropy", "synaug")
    content["results"][1] |= {"method": "mine"}
    assert compared_methods(content) == ("cross_entropy", "mine")
    content["results"][1] |= {"uses_synthetic": False}
    assert compared_methods(content) == ("cross_entropy", None)


def test_if_all_are_equal_none_is_marked_as_best(content):
    for result in content["results"]:
        result["accuracy"] = 0.5
    assert all("accuracy" not in row.best for row in results_table(content["results"]))


def test_unknown_methods_are_shown_as_they_are(content):
    content["results"][0]["method"] = "My_method"
    assert results_table(content["results"])[0].title == "My_method"
    assert compared_methods(content) == ("My_method", "synaug")


def test_percent_of_nothing_is_not_available():
    assert percent(None) == percent(math.nan) == "n/a"


def test_a_recall_measured_on_few_images_is_given_with_their_number(content):
    content["data"]["test_class_counts"] = {"ankle boot": 12}
    assert summary(content)[0].endswith("rose from 56 % to 88 %, on only 12 test images.")
    content["data"]["test_class_counts"] = {"ankle boot": 30}
    assert summary(content)[0].endswith("rose from 56 % to 88 %.")


def test_the_summary_reports_that_it_did_not_help(content):
    for result in content["results"]:
        if result["method"] == "synaug":
            result["accuracy"] = 0.4
    assert "Overall, the synthetic images did not help here." in summary(content)[1]


def test_the_group_recognized_worst_is_named(content):
    for result in content["results"]:
        result["per_group"] = {"bag x red": 0.3 if result["method"] == "cross_entropy" else 0.6, "bag x blue": 0.9}
    assert "Accuracy on the group recognized worst, bag x red, rose from 30 % to 60 %." in summary(content)


def test_a_column_without_any_number_is_not_shown(content):
    for result in content["results"]:
        result["medium"] = None
    content["results"][0]["few"] = None
    assert list(shown_columns(results_table(content["results"]))) == ["accuracy", "many", "few", "worst_class"]


def test_with_unusable_images_the_report_is_about_the_classifier_that_the_run_hands_over(content):
    content["audit"] = {"usable": False, "sentence": "The synthetic images are unusable: they are noise."}
    content["classifier"] = "oversampling"
    assert compared_methods(content) == ("oversampling", None)
    assert any(sentence.endswith("% with oversampling.") for sentence in summary(content))
    assert "--by group" not in summary(content)[0]

    content["plan"]["by"], content["data"]["group_counts"] = "class", {"bag x red": 5}
    assert "plan with --by group" in summary(content)[0]


def test_the_only_size_of_classes_is_not_a_column(content):
    for result in content["results"]:
        result |= {"many": None, "medium": None}
    assert list(shown_columns(results_table(content["results"]))) == ["accuracy", "worst_class"]


def test_the_worst_group_is_a_column_and_a_large_number_if_groups_are_known(content):
    for result in content["results"]:
        result["worst_group_accuracy"] = 0.25 if result["method"] == "synaug" else 0.1
    before, after = compared_methods(content)
    content["data"]["test_group_counts"] = {"bag x red": 40, "bag x blue": 0}
    assert "worst_group_accuracy" in shown_columns(results_table(content["results"]))
    shown = {fact["label"]: (fact["value"], fact["was"]) for fact in sections.facts(content, before, after)}
    assert shown["accuracy of the worst group"] == ("25.0 %", "10.0 % with cross-entropy")

    content["data"]["test_group_counts"]["bag x blue"] = 4
    assert "accuracy of the worst group" not in {fact["label"] for fact in sections.facts(content, before, after)}


def test_every_title_names_one_method():
    assert len(set(TITLES.values())) == len(TITLES)
    assert (TITLES["cmo"], TITLES["crt"], TITLES["synaug_tau_norm"]) == ("CMO", "cRT", "SYNAuG with tau-norm")


# ---------------------------------------------------------------- the paired difference, and few test images


def comparison(difference, ends, **more):
    mean = {"difference": difference, "interval": list(ends)}
    return {
        "method": "synaug", "other": "oversampling", "other_uses_synthetic": False, "num_images": 2000, "num_seeds": 1,
        "accuracy": mean, "mean_recall": mean,
    } | more  # fmt: skip


@pytest.mark.parametrize(("ends", "begin"), [((0.01, 0.1), "helped:"), ((-0.01, 0.1), "seem to help, but")])
def test_no_sentence_is_more_certain_than_the_headline(content, ends, begin):
    content["comparison"] = comparison(0.05, ends)
    candidate = {"score": 0.8, "error": 0.01, "behind": 0.0, "behind_error": 0.0}
    content["choice"] = {
        "chosen": "synaug", "best": "synaug", "metric": "mean_recall", "judged_on": "folds", "num_images": 100,
        "candidates": [
            candidate | {"method": "oversampling", "uses_synthetic": False},
            candidate | {"method": "synaug", "uses_synthetic": True},
        ],
        "rival": {"method": "oversampling", "difference": -0.05, "error": 0.01, "certainty": 0.99},
    }  # fmt: skip
    assert any(sentence.startswith(f"Synthetic images {begin}") for sentence in summary(content))


def test_before_and_after_are_the_run_s_classifier_and_its_best_rival(content):
    content["comparison"] = comparison(0.05, (0.01, 0.1))
    assert compared_methods(content) == ("oversampling", "synaug")
    content["comparison"] |= {"method": "oversampling", "other": "synaug", "other_uses_synthetic": True}
    assert compared_methods(content) == ("oversampling", "synaug")


def test_changes_name_the_method_with_synthetic_images_if_another_one_is_handed_over(content):
    content["comparison"] = comparison(0.05, (0.01, 0.1))
    assert not any("lost recall" in sentence and "with SYNAuG" in sentence for sentence in summary(content))
    content["comparison"] |= {"method": "oversampling", "other": "synaug", "other_uses_synthetic": True}
    said = summary(content)
    assert any(s.startswith("Your rarest class") and s.endswith(" % with SYNAuG.") for s in said)
    assert any("lost recall" in sentence and sentence.endswith(" % with SYNAuG.") for sentence in said)


def test_with_groups_the_first_sentence_is_about_the_worst_group(content):
    for result in content["results"]:
        result |= {"worst_group_accuracy": 0.5, "per_group": {"bag x red": 0.5, "bag x blue": 0.9}}
    content["data"]["test_group_counts"] = {"bag x red": 100, "bag x blue": 100}
    content["comparison"] = comparison(0.049, (0.031, 0.067))
    content["comparison"]["worst_group_accuracy"] = {"difference": 0.02, "interval": [-0.01, 0.05]}
    assert summary(content)[0].startswith(
        "On 2,000 real test images, SYNAuG recognizes 50.0 % of its worst group, 2.0 points more (95 % interval "
        "−1.0 to +5.0) than oversampling, the best method without synthetic images. This difference can "
        "be chance. Of all images, it recognizes 80.7 %, 4.9 points more"
    )
    del content["comparison"]["worst_group_accuracy"]  # too few images to say anything about the worst group
    assert summary(content)[0].startswith("On 2,000 real test images, SYNAuG recognizes 80.7 %, 4.9 points more")


def test_the_first_sentence_is_the_paired_difference(content):
    content["comparison"] = comparison(0.049, (0.031, 0.067))
    assert summary(content)[0] == (
        "On 2,000 real test images, SYNAuG recognizes 80.7 %, 4.9 points more (95 % interval +3.1 to +6.7) than "
        "oversampling, the best method without synthetic images."
    )


@pytest.mark.parametrize(
    ("difference", "ends", "words"),
    [
        (0.01, (-0.02, 0.04), "can be chance"),
        (-0.031, (-0.05, -0.01), "3.1 points less (95 % interval −5.0 to −1.0) than oversampling"),
        (0.0, (-0.01, 0.01), "as much as"),
    ],
)
def test_a_missing_difference_or_a_loss_is_reported_as_such(content, difference, ends, words):
    content["comparison"] = comparison(difference, ends)
    assert words in summary(content)[0]


def test_fewer_than_ten_test_images_make_no_headline(content):
    names = content["data"]["class_names"]
    content["comparison"] = comparison(0.05, (0.01, 0.1), num_images=9)
    content["data"] |= {
        "num_test_images": 9,
        "test_class_counts": dict.fromkeys(names, 0) | {"bag": 4, "ankle boot": 5},
    }
    said = summary(content)
    assert said[0] == "Only 9 test images: too few to compare methods."
    assert "ankle boot, had 10 training images. On only 5 test images" in said[1]
    assert not any("points" in sentence or "accuracy" in sentence.lower() for sentence in said)
    assert [fact["label"] for fact in sections.facts(content, "cross_entropy", "synaug")] == [
        "training images",
        "images rejected",
    ]


def test_the_large_numbers_are_of_the_classifier_that_is_handed_over(content):
    """The run chose a real-only method, so neither the accuracy nor the images of the other one are its own."""
    shown = comparison(0.05, (0.01, 0.1), num_images=400) | {
        "method": "cross_entropy", "other": "synaug", "other_uses_synthetic": True
    }  # fmt: skip
    content |= {"comparison": shown, "classifier": "cross_entropy"}
    own = next(result for result in content["results"] if result["method"] == "cross_entropy")
    found = {fact["label"].split(",")[0]: fact for fact in sections.facts(content, "cross_entropy", "synaug")}
    assert found["accuracy"]["value"] == f"{100 * own['accuracy']:.1f} %"
    assert found["accuracy"]["was"].endswith("with SYNAuG")
    assert found["training images"]["value"] == f"{sum(content['data']['class_counts'].values()):,}"


def test_no_sentence_is_about_a_loss_on_a_few_test_images(content):
    names = content["data"]["class_names"]
    assert any("lost" in sentence for sentence in summary(content))
    content["data"]["test_class_counts"] = dict.fromkeys(names, 9)
    assert not any("lost" in sentence for sentence in summary(content))


def test_a_title_can_stand_in_a_sentence():
    assert not [title for title in TITLES.values() if "," in title]


def test_with_groups_the_cross_validated_sentence_is_about_the_worst_group(content):
    def score(mean):
        return {"mean": mean, "spread": 0.02, "interval": [mean - 0.1, mean + 0.1]}

    lead = {"difference": 0.2, "interval": [0.05, 0.35]}
    scores = {"accuracy": score(0.8), "mean_recall": score(0.7), "worst_group_accuracy": score(0.6), "per_class": {}}
    behind = {
        "accuracy": {"difference": -0.01, "interval": [-0.02, 0.0]},
        "mean_recall": lead,
        "worst_group_accuracy": lead,
    }
    content["cross_validation"] = {
        "folds": 5, "repeats": 1, "num_images": 200,
        "methods": {"synaug": scores, "oversampling": scores | {"behind": behind}},
    }  # fmt: skip
    assert summary(content)[0] == (
        "In 5-fold cross-validation of 200 real images, SYNAuG recognizes 60.0 % (95 % interval 50.0 to 70.0) of its "
        "worst group, 20.0 points more (95 % interval +5.0 to +35.0) than oversampling, the best method without "
        "synthetic images. Of all images, it recognizes 80.0 % (95 % interval 70.0 to 90.0), 1.0 points less "
        "(95 % interval \N{MINUS SIGN}2.0 to +0.0) than oversampling."
    )
    assert [fact["label"] for fact in sections.facts(content, None, None)][:2] == [
        "accuracy, cross-validated", "accuracy of the worst group, cross-validated",
    ]  # fmt: skip
    del scores["worst_group_accuracy"], content["cross_validation"]["methods"]["oversampling"]["worst_group_accuracy"]
    assert "worst group" not in summary(content)[0]
