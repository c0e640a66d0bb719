"""Define the commands to use before paying for a run: doctor, try."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synaug.cli.printing import money, print_facts, print_json, print_text, service_cost
from synaug.cli.session import name_of_data, named_code, options_of, session, warn
from synaug.cli.shared_options import (
    Aliases,
    Attribute,
    Data,
    DryRun,
    Endpoint,
    Generator,
    Json,
    Label,
    Layout,
    Model,
    PathColumn,
    Prompts,
    RecipeFile,
    Seed,
    Settings,
    SplitColumn,
    Splits,
    Trust,
)

if TYPE_CHECKING:
    from synaug.schemas.command_output import Examination, Trial

STYLES = {"would gain": "yellow", "good": "green", "flat": "red", "unknown": "dim"}
VERDICTS = {
    "would gain": "would gain from more images",
    "good": "recognized already",
    "flat": "more images alone hardly help",
    "unknown": "too few images to judge",
}


def doctor(
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]",
            help="Folder with one subfolder per class, or a CSV, Parquet or JSONL table; default: the machine.",
            show_default=False,
        ),
    ] = None,
    label: Label = None,
    attribute: Attribute = None,
    split_column: SplitColumn = None,
    recipe: RecipeFile = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Check a data set before generating images.

    Shows counts, duplicates, suspicious labels, and a baseline on frozen features with a learning curve per class.
    Needs no generator and writes nothing; takes about two minutes.

    Without DATA it prints versions, devices, caches, free disk and memory as a block for a bug report, without
    secrets.

    Example:  synaug doctor photos/

    Example:  synaug doctor photos.csv --label species --json

    Example:  synaug doctor
    """
    if data is None:
        from synaug.pipeline.preview import environment_block
        from synaug.pipeline.preview.environment import environment

        facts = environment()
        if as_json:
            print_json(facts)
        else:
            print_text(environment_block(facts))
        return
    from synaug.pipeline.preview.doctor import doctor as examine

    options = options_of(recipe, label=label, attribute=attribute, split_column=split_column, seed=seed)
    with session() as progress:
        content = examine(data, options, progress=progress)
    if as_json:
        print_json(content)
    else:
        show_doctor(content)


def show_doctor(content: Examination) -> None:
    """Print one row per class, the suspicious labels, the findings and the next command."""
    from synaug.cli.printing import Console, Table, escape
    from synaug.training.networks import network_title

    console = Console()
    table = Table()
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
        f"frozen features of {network_title(baseline['network'])}"
        if baseline["network"]
        else "thumbnails (no pretrained weights at hand)"
    )
    console.print(
        f"[dim]Percent recognized with a quarter, half and all of the training images: a linear classifier on "
        f"{escape(what)}, judged on {baseline['num_images']:,} held-out images.[/]"
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
    if content["images_to_make"]:
        alone = f"Without a text-to-image model, on the real images alone: [bold]{escape(content['without_model'])}[/]"
        console.print(alone, soft_wrap=True)


def try_model(
    data: Data,
    model: Model = None,
    endpoint: Endpoint = None,
    generator: Generator = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="New folder for the page.", show_default="runs/try-photos")
    ] = None,
    label: Label = None,
    split_column: SplitColumn = None,
    path: PathColumn = None,
    layout: Layout = None,
    splits: Splits = None,
    recipe: RecipeFile = None,
    aliases: Aliases = None,
    prompts: Prompts = None,
    seed: Seed = None,
    trust: Trust = None,
    settings: Settings = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Show four images per class beside real ones.

    Try a model, a service, your own generator or prompts before you pay for a run. Each class gets a traffic light and
    the prompt that fits best. Look at the page: the light judges by color and shape only.

    Example:  synaug try photos/ --model DIR

    Example:  synaug try photos/ --model openai:gpt-image-1 --set api.price=0.011 --dry-run

    Example:  synaug try photos/ --model embedded --aliases names.csv
    """
    from synaug.pipeline.preview import try_model as trial_stage

    options = options_of(
        recipe, aliases=aliases, prompts=prompts, label=label, split_column=split_column, path=path, layout=layout,
        splits=splits, model=model, endpoint=endpoint, generator=generator, seed=seed, settings=settings,
    )  # fmt: skip
    folder = out or Path("runs") / f"try-{name_of_data(data) or 'images'}"
    with session(trust=named_code(trust, generator, endpoint=endpoint)) as progress:
        trial = trial_stage.prepare_trial(data, options, folder, progress=progress)
        if dry_run:
            print_facts(trial.facts(), as_json=as_json)
            return
        if (cost := trial.cost) is not None:
            warn(service_cost(cost["images"], len(trial.slots), price=cost["price"], budget=cost["budget"]))
        content = trial_stage.try_model(trial, progress=progress)
    if as_json:
        print_json(content)
    else:
        show_trial(content)


def show_trial(content: Trial) -> None:
    """Print one row per class, the amount paid, and the location of the page."""
    from synaug.cli.printing import Console, Table, escape
    from synaug.pipeline.preview.try_model import LIGHTS

    styles = {"unknown": "dim", "none": "red"}
    table = Table()
    for title in ("class", "", "recognized", "prompt that fits best"):
        table.add_column(title)
    for name, row in content["classes"].items():
        light = f"[{styles.get(row['light'], row['light'])}]{LIGHTS[row['light']]}[/]"
        rejected = "".join(f", {number} {reason}" for reason, number in row["rejected"].items())
        recognized = f"{row['recognized']} of {row['of']}{rejected}"
        table.add_row(escape(name), light, recognized, escape(row["best_prompt"] or ""))
    console = Console()
    console.print(table)
    if content["spent"]:
        console.print(f"Spent: {money(content['spent'])}.")
    console.print(f"Look at them: [bold]{escape(content['page'])}[/]", soft_wrap=True)
