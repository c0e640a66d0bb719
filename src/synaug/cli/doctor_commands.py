"""The commands that look before anything is paid for: doctor."""

from __future__ import annotations

import math
from typing import Any

from synaug.cli.arguments import Attribute, Data, Json, Label, RecipeFile, Seed, SplitColumn
from synaug.cli.output import print_json
from synaug.cli.session import options_of, session

STYLES = {"would gain": "yellow", "good": "green", "flat": "red", "unknown": "dim"}
VERDICTS = {
    "would gain": "would gain from more images",
    "good": "recognized already",
    "flat": "more images alone hardly help",
    "unknown": "too few images to judge",
}


def doctor(
    data: Data,
    label: Label = None,
    attribute: Attribute = None,
    split_column: SplitColumn = None,
    recipe: RecipeFile = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Check a data set and show which classes would gain from more images.

    Counts, duplicates, suspicious labels, and a baseline on frozen features with a learning curve per class. No
    generator is needed and nothing is written; about two minutes.

    Example:  synaug doctor photos/

    Example:  synaug doctor photos.csv --label species --json
    """
    from synaug.pipeline.doctor import doctor as examine

    options = options_of(recipe, label=label, attribute=attribute, split_column=split_column, seed=seed)
    with session() as progress:
        content = examine(data, options, progress=progress)
    if as_json:
        print_json(content)
    else:
        show_doctor(content)


def show_doctor(content: dict[str, Any]) -> None:
    """Print one row per class, the suspicious labels, the findings and the next command."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    for title in ("images", "¼", "½", "all"):
        table.add_column(title, justify="right")
    table.add_column("")
    for name, row in content["classes"].items():
        recalls = ["n/a" if math.isnan(value) else f"{100 * value:.0f}" for value in row["recalls"]]
        verdict = f"[{STYLES[row['verdict']]}]{VERDICTS[row['verdict']]}[/]"
        table.add_row(escape(name), f"{row['images']:,}", *recalls, verdict)
    console.print(table)
    baseline = content["baseline"]
    what = (
        f"frozen features of {baseline['network']}"
        if baseline["network"]
        else "thumbnails (no pretrained weights at hand)"
    )
    console.print(
        f"[dim]Percent recognized with a quarter, half and all of the training images: a linear classifier on "
        f"{escape(what)}, judged on {baseline['num_images']:,} images that it did not learn from.[/]"
    )
    for suspect in content["label_suspects"]:
        console.print(
            f"  {escape(suspect['path'])}: labeled {escape(suspect['label'])}, looks like "
            f"{escape(suspect['likelier'])} ({100 * suspect['probability']:.0f} %)", soft_wrap=True,
        )  # fmt: skip
    for sentence in content["findings"]:
        console.print(escape(sentence))
    console.print(
        f"Filling every class to the largest takes {content['images_to_make']:,} synthetic images. "
        f"Device: {content['device']['name']}."
    )
    console.print(f"Next: [bold]{escape(content['next'])}[/]", soft_wrap=True)
