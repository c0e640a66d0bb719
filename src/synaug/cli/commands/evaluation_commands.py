"""Define the command that scores predictions from any source: evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synaug.cli.printing import print_json, print_text
from synaug.cli.shared_options import Json


def evaluate(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDICTIONS", help="CSV, TSV, Parquet or JSONL table with one row per image.")
    ],
    label: Annotated[
        str | None, typer.Option(help="Column of true classes.", show_default="label, y_true, true, target, ...")
    ] = None,
    prediction: Annotated[
        str | None, typer.Option(help="Column of predicted classes.", show_default="prediction, y_pred, pred, ...")
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(help="Attribute column; repeatable. 'sex,age' compares by each and by their intersection."),
    ] = None,
    min_cell: Annotated[
        int, typer.Option(min=1, help="Images that a group needs to count in differences between groups.")
    ] = 10,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also draw the scores: .svg, .pdf or .png.", show_default="none")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the scores as a page: .html.", show_default="none")
    ] = None,
    as_json: Json = False,
) -> None:
    """Score predictions from any source: accuracy, recalls, fairness.

    The table has one row per image: its true class, its predicted class and, for fairness, columns such as sex.

    Example:  synaug evaluate predictions.csv --attribute gender --attribute age

    Example:  synaug evaluate predictions.csv --figure scores.svg --html scores.html
    """
    from synaug.evaluation import evaluate_predictions, read_predictions
    from synaug.report.score_pages import check_figure, check_page, write_score_figure, write_score_page

    if figure is not None:
        check_figure(figure)
    if html is not None:
        check_page(html)
    table = read_predictions(predictions)
    scores = evaluate_predictions(
        table, attributes=attribute or [], label=label, prediction=prediction, min_cell=min_cell
    )
    if figure is not None:
        write_score_figure(scores, figure)
    if html is not None:
        write_score_page(scores, html, source=predictions.name)
    if as_json:
        print_json(scores)
    else:
        from synaug.cli.printing import evaluation_tables

        evaluation_tables.show_scores(scores)
        for path in filter(None, (figure, html)):
            print_text(f"{path}: written.")
