"""Define the commands for whole runs: demo, run, report, status."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from synaug.cli.printing import print_json, print_text, show_plan, show_report
from synaug.cli.session import (
    named_code,
    names_of,
    options_of,
    program,
    run_folder,
    say_done,
    seeds_from,
    session,
    typed_command,
    warn,
)
from synaug.cli.shared_options import (
    Address,
    Aliases,
    Attribute,
    Budget,
    By,
    Data,
    Device,
    DryRun,
    Endpoint,
    Engine,
    Epochs,
    Folds,
    Generator,
    GroupColumn,
    ImageSize,
    Json,
    Label,
    Layout,
    Methods,
    Model,
    Network,
    NewRun,
    PathColumn,
    Preset,
    Pretrained,
    Prompts,
    RecipeFile,
    RunDirectory,
    Seed,
    Seeds,
    Settings,
    SplitColumn,
    Splits,
    Target,
    TestFraction,
    Trust,
    Workers,
)

TOO_SHORT = "the quick demo trains too briefly to judge the method by its numbers"


def demo(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Run directory; an unfinished run with the same options is resumed.", show_default="runs/demo"
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Every part in a minute, with too little training to judge the method."),
    ] = False,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Try synaug on images that ship with it: no GPU, no download.

    Runs all steps in a few minutes on two cores. Open the report.html in the folder with a browser.

    Example:  synaug demo

    Example:  synaug demo --quick

    Example:  synaug demo --out runs/demo --seed 1
    """
    from synaug import experiment
    from synaug.methods import DEFAULT_METHODS
    from synaug.pipeline import check_complete
    from synaug.recipes import with_overrides
    from synaug.run_directory import Run
    from synaug.runtime import demo_data, demo_recipe

    out, began = run_folder(out, "demo-quick" if quick else "demo"), time.monotonic()
    recipe = options_of(demo_recipe(), seed=seed)
    methods: tuple[str, ...] = DEFAULT_METHODS
    if quick and recipe.bench is not None:
        methods = recipe.bench.quick["text"]
        recipe = with_overrides(recipe, recipe.bench.quick_options)
    with session() as progress:
        report = experiment.run(
            demo_data(),
            out,
            recipe,
            methods=methods,
            command=typed_command(),
            source_name=f"Fashion-MNIST, long-tailed, as it ships with synaug{f'; {TOO_SHORT}' if quick else ''}",
            notify=warn,
            progress=progress,
        )
    show_report(report, out, as_json=as_json)
    if quick and not as_json:
        print_text(f"\n{TOO_SHORT.capitalize()}. The full demo, in a few minutes: {program()} demo")
    if not as_json:
        print_text(f"\nYour own images, one folder per class: {program()} run FOLDER --dry-run")
    say_done("demo", out, began)
    check_complete(Run.open(out), report["synthesis"])


def run_all(
    data: Data,
    out: NewRun = None,
    by: By = None,
    target: Target = None,
    model: Model = None,
    endpoint: Endpoint = None,
    generator: Generator = None,
    label: Label = None,
    attribute: Attribute = None,
    split_column: SplitColumn = None,
    path: PathColumn = None,
    group_column: GroupColumn = None,
    layout: Layout = None,
    splits: Splits = None,
    recipe: RecipeFile = None,
    aliases: Aliases = None,
    prompts: Prompts = None,
    methods: Methods = None,
    image_size: ImageSize = None,
    pretrained: Pretrained = None,
    network: Network = None,
    epochs: Epochs = None,
    device: Device = None,
    preset: Preset = "good",
    budget: Budget = None,
    trust: Trust = None,
    seed: Seed = None,
    seeds: Seeds = None,
    test_fraction: TestFraction = None,
    folds: Folds = None,
    settings: Settings = None,
    engine: Engine = "local",
    workers: Workers = None,
    address: Address = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Run all steps on your images.

    Count, plan, generate, check, train, retrain, evaluate, report. Press Ctrl-C to stop; rerun the same command to
    resume.

    Example:  synaug run photos/ --dry-run

    Example:  synaug run photos/

    Example:  synaug run photos.csv --by group --attribute sex --model DIR

    Example:  synaug run photos/ --preset quick

    Example:  synaug run photos/ --seeds 3
    """
    from synaug import experiment
    from synaug.pipeline import check_complete
    from synaug.pipeline.preview import preview_run
    from synaug.run_directory import Run
    from synaug.synthesis.execution import cluster_named

    options = options_of(
        recipe, aliases=aliases, prompts=prompts, label=label, attribute=attribute, split_column=split_column,
        path=path, group_column=group_column, layout=layout, splits=splits, by=by, target=target, model=model,
        generator=generator, endpoint=endpoint, image_size=image_size, seed=seed, test_fraction=test_fraction,
        settings=settings, preset=preset, pretrained=pretrained, network=network, epochs=epochs, device=device,
        budget=budget, folds=folds,
    )  # fmt: skip
    if dry_run:
        with session(trust=named_code(trust, network, generator, endpoint=endpoint)) as progress:
            planned = preview_run(
                data, options, names_of(methods), num_seeds=seeds or 1, preset=preset, progress=progress
            )
            show_plan(planned, None, as_json=as_json)
        return
    out, began = run_folder(out, str(data)), time.monotonic()
    with session(trust=named_code(trust, network, generator, endpoint=endpoint)) as progress:
        content = experiment.run(
            data,
            out,
            options,
            cluster=cluster_named(engine, workers=workers, address=address),
            methods=names_of(methods),
            seeds=seeds_from(options, seeds),
            command=typed_command(),
            preset=preset,
            notify=warn,
            progress=progress,
        )
    show_report(content, out, as_json=as_json)
    say_done("run", out, began)
    check_complete(Run.open(out), content["synthesis"])


def report(run: RunDirectory, as_json: Json = False) -> None:
    """Write report.html and report.json from finished results.

    Example:  synaug report runs/photos
    """
    from synaug.pipeline.reporting.report import report as write_report
    from synaug.run_directory import Run

    show_report(write_report(Run.open(run)), run, as_json=as_json)


def status(
    run: RunDirectory,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh until the run is done.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between refreshes, with --watch.")] = 5.0,
    as_json: Json = False,
) -> None:
    """Show the progress of a run, even while it is running.

    Example:  synaug status runs/photos

    Example:  synaug status runs/photos --watch
    """
    from synaug.pipeline import status as status_stage
    from synaug.run_directory import Run

    if watch:
        from synaug.cli.watching import watch_status

        watch_status(run, interval=interval, as_json=as_json)
        return
    content = status_stage.status(Run.open(run))
    if as_json:
        print_json(content)
    else:
        from synaug.cli.printing import console

        console.show_status(content, run)
