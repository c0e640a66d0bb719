"""Define the command that scores predictions from any source: evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synaug.cli.arguments import Json
from synaug.cli.output import print_json


def evaluate(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDICTIONS", help="CSV, TSV, Parquet or JSONL table with one row per image.")
    ],
    label: Annotated[str | None, typer.Option(help="Column of true classes.", show_default="label or y_true")] = None,
    prediction: Annotated[
        str | None, typer.Option(help="Column of predicted classes.", show_default="prediction or y_pred")
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(help="Attribute column; repeatable. 'sex,age' compares by each and by their intersection."),
    ] = None,
    min_cell: Annotated[
        int, typer.Option(min=1, help="Images that a group needs to count in differences between groups.")
    ] = 10,
    as_json: Json = False,
) -> None:
    """Score predictions from any source: accuracy, recalls, fairness.

    The table has one row per image: its true class, its predicted class and, for fairness, columns such as sex.

    Example:  synaug evaluate predictions.csv --attribute gender --attribute age
    """
    from synaug.evaluation.predictions import evaluate_predictions, read_predictions

    table = read_predictions(predictions)
    scores = evaluate_predictions(
        table, attributes=attribute or [], label=label, prediction=prediction, min_cell=min_cell
    )
    if as_json:
        print_json(scores)
    else:
        from synaug.cli import evaluation_tables

        evaluation_tables.show_scores(scores)
