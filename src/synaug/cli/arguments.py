"""The arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path,
    typer.Argument(metavar="DATA", help="Folder with a folder per class, or a CSV / Parquet / JSONL table."),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, made by 'synaug plan' or 'synaug run'.")]
Out = Annotated[Path, typer.Option("--out", help="Run folder to make, or to go on with.")]
NewRun = Annotated[
    Path | None,
    typer.Option("--out", help="Run folder to make, or to go on with.", show_default="runs/NAME, as the data"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and how much; write nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Label = Annotated[str | None, typer.Option(help="Label column of a table.")]
Attribute = Annotated[str | None, typer.Option(help="Attribute column of a table.")]
SplitColumn = Annotated[str | None, typer.Option("--split-column", help="Split column of a table.")]
RecipeFile = Annotated[
    Path | None, typer.Option("--recipe", help="YAML file with options; what is given here goes first.")
]
Model = Annotated[
    str | None,
    typer.Option(
        help="'embedded', a diffusers folder, or a Hub id (ID@REVISION).", show_default="Stable Diffusion 1.5"
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Decides all that is drawn.", show_default="0")]
By = Annotated[
    str | None, typer.Option(help="Fill up by 'class' or by 'group' (class x attribute).", show_default="class")
]
Target = Annotated[
    str | None,
    typer.Option(help="'uniform', a number of images, or a share of the largest.", show_default="uniform"),
]
Aliases = Annotated[
    Path | None,
    typer.Option(help="What prompts call classes: a table with columns class and name, or YAML lines 'class: name'."),
]
Engine = Annotated[str, typer.Option(help="local: this process makes the images; ray: the workers of a Ray cluster.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Of ray.", show_default="one a GPU; without GPUs, one a machine")
]
Address = Annotated[
    str | None, typer.Option(help="Of a Ray cluster.", show_default="RAY_ADDRESS, else one is started on this machine")
]
Seeds = Annotated[
    int | None,
    typer.Option(
        min=1, help="So many seeds from the run's on, of the training alone; images are read once. [default: 1]"
    ),
]
Methods = Annotated[
    str | None,
    typer.Option(help="Comma-separated methods to train; see 'synaug methods'.", show_default="the report's five"),
]
