"""The commands about data sets: count, export, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synaug.cli.arguments import Attribute, Data, Json, Label, RecipeFile, Run, SplitColumn
from synaug.cli.output import print_json
from synaug.cli.session import options_of, session
from synaug.errors import DataError, OptionError


def count(
    data: Data,
    label: Label = None,
    attribute: Attribute = None,
    split: Annotated[str | None, typer.Option(help="Count this split only. [default: train]")] = None,
    split_column: SplitColumn = None,
    recipe: RecipeFile = None,
    as_json: Json = False,
) -> None:
    """Count images per class and group, and say how imbalanced the set is.

    Example:  synaug count photos/
    """
    from synaug.data import groups, readers

    options = options_of(recipe, {"data.label": label, "data.attribute": attribute, "data.split": split_column})
    with session() as progress:
        manifest = readers.read_data(data, options.data, progress=progress)
    if split and split not in set(manifest.frame["split"]):
        raise OptionError(f"No split {split!r} in {data}; there are {', '.join(sorted(set(manifest.frame['split'])))}.")
    summary = groups.summary(manifest.split(split or "train"))
    if as_json:
        print_json(summary)
    else:
        from synaug import console

        console.show_counts(summary, quarantined=manifest.quarantined)


def export(
    run: Run,
    out: Annotated[Path, typer.Option("--out", help="New folder for the data set.")],
) -> None:
    """Write the evened-out set as a tree that torchvision's ImageFolder and datasets.load_dataset load alike.

    Example:  synaug export runs/photos --out photos-evened-out
    """
    from synaug import experiment

    with session() as progress:
        experiment.export(run, out, progress=progress)
    print(f"{out}: written. Check it any time with: synaug verify {out}")


def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that 'synaug export' wrote.")],
    as_json: Json = False,
) -> None:
    """Recompute the digests of an exported set, load it with both libraries, and name what is wrong.

    Example:  synaug verify photos-evened-out
    """
    from synaug.data.verification import verify_dataset

    with session() as progress:
        problems = verify_dataset(folder, progress=progress)
    if as_json:
        print_json({"problems": problems})
    else:
        print("\n".join(problems) or f"{folder}: nothing is wrong.")
    if problems:
        raise DataError(f"{folder}: {len(problems)} problems found.")
