"""Define the arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synaug.cli.session import with_foreign_files_named

# Headings of --help. An option without one is listed under "Options".
DATA = "Data"
SYNTHETIC_IMAGES = "Synthetic images"
TRAINING = "Training"
TESTING = "Testing"
MACHINES = "Several machines"

Data = Annotated[
    Path,
    typer.Argument(metavar="DATA", help="Folder with one subfolder per class, or a CSV, Parquet or JSONL table."),
]
RunDirectory = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="Run directory created by 'synaug plan' or 'synaug run'.", callback=with_foreign_files_named
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Run directory; an unfinished run with the same options is resumed.")]
NewRun = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Run directory; an unfinished run with the same options is resumed.",
        show_default="runs/photos for photos/",
        callback=with_foreign_files_named,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and its cost without writing anything.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Label = Annotated[
    str | None,
    typer.Option(help="Label column of a table.", show_default="label, class or the like", rich_help_panel=DATA),
]
Attribute = Annotated[
    str | None,
    typer.Option(
        help="Attribute column of a table, such as sex or background. Several, as in sex,age_band, are counted and "
        "reported each alone and combined; plans by group use the combinations.",
        rich_help_panel=DATA,
    ),
]
SplitColumn = Annotated[
    str | None,
    typer.Option("--split-column", help="Split column of a table.", show_default="split", rich_help_panel=DATA),
]
PathColumn = Annotated[
    str | None,
    typer.Option(
        "--path",
        help="Path column of a table.",
        show_default="path, image, file_name or the like",
        rich_help_panel=DATA,
    ),
]
GroupColumn = Annotated[
    str | None,
    typer.Option(
        "--group-column",
        help="Column of a table whose values stay in one split, such as patient, person or video.",
        rich_help_panel=DATA,
    ),
]
Layout = Annotated[
    str | None,
    typer.Option(
        help="Meaning of the top folders: 'classes' or 'splits'.", show_default="recognized", rich_help_panel=DATA
    ),
]
Splits = Annotated[
    list[str] | None,
    typer.Option(
        "--splits",
        metavar="NAME=SPLIT",
        help="Split of a folder, or of a value in the split column: train, validation, test or none; repeatable.",
        rich_help_panel=DATA,
    ),
]
RecipeFile = Annotated[Path | None, typer.Option("--recipe", help="YAML recipe; command-line options override it.")]
Model = Annotated[
    str | None,
    typer.Option(
        help="'embedded', a diffusers folder, a Hub id (ID@REVISION), or a service (openai:, api:, comfyui:).",
        show_default="Stable Diffusion 1.5",
        rich_help_panel=SYNTHETIC_IMAGES,
    ),
]
Generator = Annotated[
    str | None,
    typer.Option(
        help="Your own code that generates the images, run with all your rights: draw.py:draw or module:factory.",
        show_default="the model",
        rich_help_panel=SYNTHETIC_IMAGES,
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Address of the image service of --model, such as http://127.0.0.1:8000/v1.",
        show_default="the service's own",
        rich_help_panel=SYNTHETIC_IMAGES,
    ),
]
Prompts = Annotated[
    Path | None,
    typer.Option(
        help="Prompts to use instead of the template: a CSV, TSV or JSONL file with columns class and prompt.",
        show_default="a template",
        rich_help_panel=SYNTHETIC_IMAGES,
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        min=8,
        help="Side of the training images in pixels; smaller is faster.",
        show_default="the images', at most 224",
        rich_help_panel=TRAINING,
    ),
]
Pretrained = Annotated[
    bool | None,
    typer.Option(
        "--pretrained/--no-pretrained",
        help="Start from pretrained weights.",
        show_default="for images of 64 pixels and above, if weights are available",
        rich_help_panel=TRAINING,
    ),
]
Network = Annotated[
    str | None,
    typer.Option(
        help="resnet8 to resnet110, a timm name, timm/local-dir:FOLDER, or net.py:Net.",
        show_default="auto",
        rich_help_panel=TRAINING,
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        min=1, help="Passes over the balanced set.", show_default="60; 10 for fine-tuning", rich_help_panel=TRAINING
    ),
]
Device = Annotated[
    str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", show_default="auto", rich_help_panel=TRAINING)
]
Budget = Annotated[
    float | None,
    typer.Option(
        metavar="MINUTES",
        help="Time limit for choosing the classifier by cross-fitting.",
        show_default="no limit",
        rich_help_panel=TRAINING,
    ),
]
Preset = Annotated[
    str, typer.Option(help="quick (last layers on frozen features, or few epochs), good, or best (slow).")
]
OtherModel = Annotated[
    str | None,
    typer.Option(
        help="Replace the planned model, if no image has been generated yet: 'embedded', a folder, or a Hub id.",
        show_default="the plan's",
        rich_help_panel=SYNTHETIC_IMAGES,
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
        help="Share of each class held out for testing if the data have no test split.",
        show_default="0.2",
        rich_help_panel=TESTING,
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=50,
        help="Cross-validate all methods in this many folds of the real images; 0: never.",
        show_default="5, for the chosen classifier and its best rival, if a class has fewer than 30 test images",
        rich_help_panel=TESTING,
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Random seed.", show_default="0")]
By = Annotated[
    str | None,
    typer.Option(
        help="Fill up by 'class' or by 'group' (class x attribute).",
        show_default="class",
        rich_help_panel=SYNTHETIC_IMAGES,
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        help="'uniform', 'auto', 'none' (real images alone), a number of images, or a share of the largest.",
        show_default="uniform",
        rich_help_panel=SYNTHETIC_IMAGES,
    ),
]
Aliases = Annotated[
    Path | None,
    typer.Option(
        help="Names of the classes in prompts: a table with columns class and name, or YAML lines 'class: name'.",
        rich_help_panel=SYNTHETIC_IMAGES,
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        help="local: generate in this process; ray: generate with the workers of a Ray cluster.",
        rich_help_panel=MACHINES,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of Ray workers.",
        show_default="one per GPU; without GPUs, one per machine",
        rich_help_panel=MACHINES,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Address of the Ray cluster.",
        show_default="RAY_ADDRESS, or start Ray on this machine",
        rich_help_panel=MACHINES,
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of seeds to train with, counting up from the run's; the synthetic images stay the same.",
        show_default="1",
        rich_help_panel=TESTING,
    ),
]
Trust = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE|SHA256|HOST",
        help="Run the code that the recipe names from this file, module or digest; send the key of a service to this "
        "host. May be repeated.",
        show_default="none",
    ),
]
Methods = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated methods to train; see 'synaug methods'.",
        show_default="the default methods",
        rich_help_panel=TRAINING,
    ),
]
