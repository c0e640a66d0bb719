"""The commands about synthetic images: plan, generate, check, review."""

from __future__ import annotations

from typing import Annotated

import typer

from synaug.cli.arguments import (
    Attribute,
    By,
    Data,
    Json,
    Label,
    Model,
    Out,
    RecipeFile,
    Run,
    Seed,
    SplitColumn,
    Target,
)
from synaug.cli.output import print_json
from synaug.cli.session import number_or_name, options_of, session
from synaug.errors import OptionError


def plan(
    data: Data,
    out: Out,
    by: By = None,
    target: Target = None,
    cap: Annotated[int | None, typer.Option(min=0, help="At most so many synthetic images a class or group.")] = None,
    variant: Annotated[str | None, typer.Option(help="text, intra, inter or fitted. [default: text]")] = None,
    model: Model = None,
    label: Label = None,
    attribute: Attribute = None,
    split_column: SplitColumn = None,
    recipe: RecipeFile = None,
    seed: Seed = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Load the model, time a batch, and say how long all takes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Decide how many images each class or group lacks, and show prompts, disk and time before anything is made.

    Example:  synaug plan photos/ --out runs/photos --model embedded
    """
    from synaug import experiment, reporting, storage
    from synaug.synthesis import plan as planning

    options = options_of(
        recipe,
        {
            "data.label": label, "data.attribute": attribute, "data.split": split_column,
            "plan.by": by, "plan.target": number_or_name(target), "plan.cap": cap, "plan.variant": variant,
            "plan.model": model, "plan.seed": seed, "seed": seed,
        },
    )  # fmt: skip
    with session() as progress:
        experiment.check_recipe(options)
        manifest = experiment.load_data(data, options, progress=progress)
        made = experiment.drafted_plan(manifest, options)
        with storage.lock(out):
            experiment.write_run(manifest, made, out, options, source=str(data))
        rate = experiment.seconds_per_image(out, progress=progress) if measure else None
    summary = reporting.plan_section(made) | {"estimate": planning.estimate(made, rate)}
    if as_json:
        print_json(summary)
    else:
        from synaug import console

        console.show_plan(summary, out)


def generate(
    run: Run,
    model: Model = None,
    shard: Annotated[
        str, typer.Option(metavar="i/n", help="Make only part i of n (1 to n); 'auto': as the cluster's job says.")
    ] = "1/1",
    shards: Annotated[
        int | None, typer.Option(min=1, help="n for --shard auto, where the cluster does not tell.")
    ] = None,
    engine: Annotated[str, typer.Option(help="local.")] = "local",
    as_json: Json = False,
) -> None:
    """Make the planned images, check each, and keep what passes; repeat the command to go on.

    Example:  synaug generate runs/photos
    """
    from synaug import experiment
    from synaug.runs import change_model
    from synaug.synthesis.shards import shard_named

    if engine != "local":
        raise OptionError(f"Unknown engine {engine!r}. Known: local.")
    part = shard_named(shard, shards=shards)
    with session() as progress:
        if model is not None:
            change_model(run, model)
        result = experiment.generate(run, shard=part, progress=progress)
    content = {
        "requested": result.requested,
        "accepted": result.accepted,
        "missing": result.missing,
        "rejected": result.rejected,
        "seconds": result.seconds,
    }
    if as_json:
        print_json(content)
    else:
        from synaug import console

        console.show_synthesis(content)
    experiment.check_complete(run, result)


def check(
    run: Run,
    gates: Annotated[str | None, typer.Option(help="Comma-separated gates. [default: those of the run]")] = None,
    reject: Annotated[
        bool, typer.Option("--reject", help="Take what fails out of the run; 'synaug generate' makes it again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Ask the gates again about the images that are there, and count what fails; changes nothing by itself.

    Example:  synaug check runs/photos
    """
    from synaug import experiment

    names = None if gates is None else gates.split(",")
    with session() as progress:
        content = experiment.check(run, gates=names, reject=reject, progress=progress)
    if as_json:
        print_json(content)
    else:
        from synaug import console

        console.show_check(content)


def review(
    run: Run,
    apply: Annotated[
        bool, typer.Option("--apply", help="Follow what the table says, once you have filled it in.")
    ] = False,
    per_class: Annotated[int, typer.Option(min=1, help="Accepted images to show of each class.")] = 200,
    as_json: Json = False,
) -> None:
    """Write a contact sheet a class and a table to accept or reject images in; with --apply, follow that table.

    A rejected image is made again by 'synaug generate'; an accepted one counts whatever the checks said.

    Example:  synaug review runs/photos

    Example:  synaug review runs/photos --apply
    """
    from synaug import reviewing

    with session() as progress:
        content = reviewing.apply(run) if apply else reviewing.review(run, per_class=per_class, progress=progress)
    if as_json:
        print_json(content)
    else:
        from synaug import console

        show = console.show_applied if apply else console.show_review
        show(content, run)
