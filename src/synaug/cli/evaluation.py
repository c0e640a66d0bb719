"""The command about anyone's predictions: evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synaug.cli.arguments import Json
from synaug.cli.output import print_json


def evaluate(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDICTIONS.csv", help="Columns: label, prediction, any attributes.")
    ],
    attribute: Annotated[list[str] | None, typer.Option(help="Attribute column; may be given again.")] = None,
    as_json: Json = False,
) -> None:
    """Score anyone's predictions: accuracy, recall of each class, and fairness between attribute values.

    Example:  synaug evaluate runs/photos/predictions.csv --attribute gender
    """
    from synaug.evaluation.predictions import evaluate_predictions, read_predictions

    scores = evaluate_predictions(read_predictions(predictions), attributes=attribute or [])
    if as_json:
        print_json(scores)
    else:
        from synaug import console

        console.show_scores(scores)
