"""Define the command that uses a finished classifier: predict."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from synaug.cli.printing import print_json
from synaug.cli.session import session
from synaug.cli.shared_options import Json
from synaug.errors import DataError
from synaug.runtime import agreeing, counted


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A run directory, or a folder from 'synaug export --classifier'.")
    ],
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGES...", help="Image files, folders of images, or tables of paths.")
    ],
    top: Annotated[int, typer.Option(min=1, help="Classes per image, the most probable first.")] = 1,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the predictions to this .csv, .tsv or .jsonl file.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="Method whose classifier is used.", show_default="the recommended one")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the classifier.", show_default="the run's")] = None,
    network: Annotated[
        str | None, typer.Option(help="Code of a custom network: path/to/net.py:Net. It is run.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    as_json: Json = False,
) -> None:
    """Predict the classes of new images.

    Images in folders named like classes count as labeled; 'synaug evaluate' can then score the file of --out.

    Example:  synaug predict runs/photos new/*.jpg

    Example:  synaug predict runs/photos new/ --top 3 --out predictions.csv
    """
    from synaug.pipeline.classifier import predict as prediction_stage

    if out is not None:
        prediction_stage.check_output(out, images)
    with session() as progress:
        classifier = prediction_stage.load_classifier(model, method=method, seed=seed, network=network, device=device)
        predictions = prediction_stage.predict_files(classifier, expanded(images), top=top, progress=progress)
    if out is not None:
        prediction_stage.write_predictions(predictions, out)
    if as_json:
        print_json(predictions.table.to_dict("records"))
    else:
        from synaug.cli.printing import result_lines

        result_lines.show_predictions(predictions.table, out=out, classifier=classifier.method)
    if predictions.unreadable:
        number = len(predictions.unreadable)
        raise DataError(
            f"{number:,} of {counted(number + len(predictions.table), 'image')} could not be read, so "
            f"{agreeing(number, 'it has', 'they have')} no prediction. "
            f"First: {predictions.unreadable[0]}"
        )


def expanded(sources: Sequence[Path]) -> list[Path]:
    """Return the sources with patterns such as ``new/*.jpg`` expanded, which some shells leave to the program."""
    found: list[Path] = []
    for source in sources:
        matches = [] if source.exists() else sorted(glob.glob(str(source), recursive=True))
        found += map(Path, matches) if matches else [source]
    return found
