"""Redraw the pictures of docs/results from the committed result lines beside the pages.

python scripts/result_pictures.py
"""

from pathlib import Path

from result_tables import content_of
from synaug.bench import pictures, read_experiment

PICTURES = Path(__file__).parents[1] / "docs" / "images" / "results"
STUDIES = {
    "studies": {"amount": "amount", "alpha": "alpha", "retraining": "retraining", "gates": "gates"},
    "replacement": {"fraction": "fraction", "whole_classes": "classes"},
}


def draw_long_tail() -> None:
    content = content_of("fashion-lt")
    if not content["table"]:  # not run yet
        return
    pictures.save(pictures.bars(content["table"], "accuracy"), PICTURES / "fashion-lt.png")
    pictures.save(pictures.classes(content["results"], content["table"]), PICTURES / "fashion-lt-classes.png")


def draw_groups() -> None:
    fair, spurious = content_of("fashion-fair"), content_of("fashion-spurious")
    if fair["table"]:
        pictures.save(pictures.scatter(fair["table"], fair["columns"][0]), PICTURES / "fashion-fair-groups.png")
    pictures.save(pictures.bars(spurious["table"], spurious["columns"][0]), PICTURES / "fashion-spurious.png")


def draw_demo() -> None:
    pictures.save(pictures.bars(content_of("demo")["table"], "accuracy"), PICTURES / "demo.png")


def draw_methods() -> None:
    pictures.save(pictures.bars(content_of("methods")["table"], "accuracy"), PICTURES / "methods.png")


def draw_studies() -> None:
    for name, curves in STUDIES.items():
        content, options = content_of(name), read_experiment(name).bench.curves
        for curve, called in curves.items():
            if (figure := pictures.study(content["table"], options[curve])) is not None:  # None while rows are missing
                pictures.save(figure, PICTURES / f"{name}-{called}.png")


if __name__ == "__main__":
    for draw in (draw_demo, draw_long_tail, draw_groups, draw_methods, draw_studies):
        draw()
