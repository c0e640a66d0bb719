"""The arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synaug.cli.session import with_foreign_files_named

Data = Annotated[
    Path,
    typer.Argument(metavar="DATA", help="Folder with a folder per class, or a CSV / Parquet / JSONL table."),
]
Run = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="A run folder, made by 'synaug plan' or 'synaug run'.", callback=with_foreign_files_named
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Run folder to make, or to go on with.")]
NewRun = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Run folder to make, or to go on with.",
        show_default="runs/photos for photos/",
        callback=with_foreign_files_named,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and how much; write nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Label = Annotated[str | None, typer.Option(help="Label column of a table.", show_default="label, class or the like")]
Attribute = Annotated[str | None, typer.Option(help="Attribute column of a table, such as sex or background.")]
SplitColumn = Annotated[
    str | None, typer.Option("--split-column", help="Split column of a table.", show_default="split")
]
PathColumn = Annotated[
    str | None,
    typer.Option("--path", help="Path column of a table.", show_default="path, image, file_name or the like"),
]
GroupColumn = Annotated[
    str | None,
    typer.Option(
        "--group-column", help="Column of a table whose values stay in one split, such as patient, person or video."
    ),
]
Layout = Annotated[
    str | None, typer.Option(help="What the top folders are: 'classes' or 'splits'.", show_default="recognized")
]
Splits = Annotated[
    list[str] | None,
    typer.Option(
        "--splits",
        metavar="NAME=SPLIT",
        help="What a folder or split value stands for: train, validation, test, none (left out); repeatable.",
    ),
]
RecipeFile = Annotated[
    Path | None, typer.Option("--recipe", help="YAML file with options; the command line goes before it.")
]
Model = Annotated[
    str | None,
    typer.Option(
        help="'embedded', a diffusers folder, or a Hub id (ID@REVISION).", show_default="Stable Diffusion 1.5"
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        min=8, help="Side in pixels for training; smaller is faster.", show_default="the images', at most 224"
    ),
]
Pretrained = Annotated[
    bool | None,
    typer.Option(
        "--pretrained/--no-pretrained",
        help="Start from pretrained weights.",
        show_default="for images of 64 pixels and above, if weights are at hand",
    ),
]
Network = Annotated[
    str | None,
    typer.Option(help="resnet8 to resnet110, a timm name, timm/local-dir:FOLDER, or net.py:Net.", show_default="auto"),
]
Epochs = Annotated[
    int | None,
    typer.Option(min=1, help="Passes over the balanced set.", show_default="60; 10 of fine-tuning"),
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", show_default="auto")]
Budget = Annotated[
    float | None,
    typer.Option(
        metavar="MINUTES", help="Minutes for choosing the classifier by cross-fitting.", show_default="no limit"
    ),
]
Preset = Annotated[
    str, typer.Option(help="quick (last layers on frozen features, or few epochs), good, or best (slow).")
]
OtherModel = Annotated[
    str | None,
    typer.Option(
        help="Another model than planned, while no image is there: 'embedded', a folder, or a Hub id.",
        show_default="the plan's",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.OPTION=VALUE",
        help="Set any option of a recipe, such as train.stage1.epochs=30; may be repeated.",
    ),
]
TestFraction = Annotated[
    float | None,
    typer.Option(
        "--test-fraction",
        min=0.0,
        max=1.0,
        help="Share of each class held out for testing if the data have no test split.",
        show_default="0.2",
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
    int | None,
    typer.Option(
        min=1, help="How many workers, with --engine ray.", show_default="one per GPU; without GPUs, one per machine"
    ),
]
Address = Annotated[
    str | None,
    typer.Option(help="Where the Ray cluster is.", show_default="RAY_ADDRESS, else one is started on this machine"),
]
Seeds = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Train with so many seeds, counted from the run's; the synthetic images stay the same.",
        show_default="1",
    ),
]
Trust = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE|SHA256",
        help="Run the code of networks that the recipe names from this file, module or digest. May be repeated.",
        show_default="none",
    ),
]
Methods = Annotated[
    str | None,
    typer.Option(help="Comma-separated methods to train; see 'synaug methods'.", show_default="the report's five"),
]
