"""Redraw the pictures of docs/results from the committed result lines beside the pages.

python scripts/result_pictures.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from synaug.bench import pictures, read_experiment
from synaug.bench.grid import RESULTS, collect
from synaug.runtime import storage

DOCS = Path(__file__).parents[1] / "docs"
PICTURES = DOCS / "images" / "results"
SEEDS = range(3)
STUDIES = {
    "studies": {"amount": "amount", "alpha": "alpha", "retraining": "retraining", "gates": "gates"},
    "replacement": {"fraction": "fraction", "whole_classes": "classes"},
}


def content_of(name: str, arms: tuple[str, ...] = ()) -> dict:
    """Return the output of ``synaug bench NAME --table --json`` for the committed lines."""
    lines = DOCS / "results" / f"{name.replace('-', '_')}.jsonl"
    with TemporaryDirectory() as folder:
        storage.write_bytes(Path(folder) / RESULTS, lines.read_bytes())
        return collect(read_experiment(name, arms=arms), Path(folder), SEEDS)


def draw_long_tail() -> None:
    content = content_of("fashion-lt", ("text", "filled"))
    rows, results = content["table"], content["results"]
    longer = [row for row in rows if row["method"].endswith("_longer")]
    shorter = [row for row in rows if row not in longer]
    for name, chosen in (("fashion-lt", shorter), ("fashion-lt-longer", longer)):
        pictures.save(pictures.bars(chosen, "accuracy"), PICTURES / f"{name}.png")
        pictures.save(pictures.classes(results, chosen), PICTURES / f"{name}-classes.png")


def draw_groups() -> None:
    fair, spurious = content_of("fashion-fair"), content_of("fashion-spurious")
    gap = next(column for column in fair["columns"] if column.startswith("equalized_odds"))
    pictures.save(pictures.scatter(fair["table"], gap), PICTURES / "fashion-fair-groups.png")
    pictures.save(pictures.bars(spurious["table"], spurious["columns"][0]), PICTURES / "fashion-spurious.png")


def draw_methods() -> None:
    pictures.save(pictures.bars(content_of("methods")["table"], "accuracy"), PICTURES / "methods.png")


def draw_studies() -> None:
    for name, curves in STUDIES.items():
        content, options = content_of(name), read_experiment(name).bench.curves
        for curve, called in curves.items():
            pictures.save(pictures.study(content["table"], options[curve]), PICTURES / f"{name}-{called}.png")


if __name__ == "__main__":
    for draw in (draw_long_tail, draw_groups, draw_methods, draw_studies):
        draw()
