"""Define the commands for synthetic images: plan, generate, check, review."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synaug.cli.printing import print_facts, print_json, show_plan
from synaug.cli.session import named_code, options_of, run_folder, session
from synaug.cli.shared_options import (
    SYNTHETIC_IMAGES,
    Address,
    Aliases,
    Attribute,
    By,
    Data,
    DryRun,
    Endpoint,
    Engine,
    Generator,
    GroupColumn,
    ImageSize,
    Json,
    Label,
    Layout,
    Model,
    Network,
    NewRun,
    OtherModel,
    PathColumn,
    Prompts,
    RecipeFile,
    RunDirectory,
    Seed,
    Settings,
    SplitColumn,
    Splits,
    Target,
    TestFraction,
    Trust,
    Workers,
)
from synaug.errors import OptionError


def plan(
    data: Data,
    out: NewRun = None,
    by: By = None,
    target: Target = None,
    cap: Annotated[
        int | None,
        typer.Option(
            min=0, help="Maximum number of synthetic images per class or group.", rich_help_panel=SYNTHETIC_IMAGES
        ),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(
            help="Source of each image: text; a real image of the same class (intra) or of a large class (inter); "
            "text, by the model fitted to your images (fitted); reference images; inpaint.",
            show_default="text",
            rich_help_panel=SYNTHETIC_IMAGES,
        ),
    ] = None,
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
    image_size: ImageSize = None,
    network: Network = None,
    trust: Trust = None,
    seed: Seed = None,
    test_fraction: TestFraction = None,
    settings: Settings = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Load the model, time it, and estimate the total time.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Plan the missing images of each class or group; show prompts.

    Also shows disk space and time, before anything is generated. Only training images are counted; if the data have no
    test split, a share of each class is held out first.

    Example:  synaug plan photos/

    Example:  synaug plan photos/ --target 100 --cap 50 --model DIR --measure
    """
    from synaug.pipeline import prepare as plan_stage
    from synaug.pipeline.preview import check_measurable, measured_pace, plan_summary, preview_plan
    from synaug.runtime import check_free, claim, storage

    options = options_of(
        recipe, aliases=aliases, prompts=prompts, label=label, attribute=attribute, split_column=split_column,
        path=path, group_column=group_column, layout=layout, splits=splits, by=by, target=target, cap=cap,
        variant=variant, model=model, generator=generator, endpoint=endpoint, image_size=image_size, network=network,
        seed=seed, test_fraction=test_fraction, settings=settings,
    )  # fmt: skip
    if dry_run:
        with session(trust=named_code(trust, network, generator, endpoint=endpoint)) as progress:
            show_plan(preview_plan(data, options, progress=progress), None, as_json=as_json)
        return
    out = run_folder(out, str(data))
    check_free(out, "run")
    with session(trust=named_code(trust, network, generator, endpoint=endpoint)) as progress:
        plan_stage.check_recipe(options)
        if measure:
            check_measurable(options)
        manifest = plan_stage.load_data(data, options, progress=progress)
        drafted = plan_stage.drafted_plan(manifest, options)
        with storage.lock(claim(out, "run")):
            opened = plan_stage.write_run(manifest, drafted, out, options, source=str(data))
        pace = measured_pace(opened, progress=progress) if measure else None
    summary = plan_summary(drafted, manifest, options, pace=pace)
    show_plan(summary, out, as_json=as_json)


def generate(
    run: RunDirectory,
    model: OtherModel = None,
    endpoint: Endpoint = None,
    generator: Generator = None,
    trust: Trust = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SECTION.OPTION=VALUE",
            help="Change an option: before the first image any of 'generate' and 'api', later api.max_cost and others.",
        ),
    ] = None,
    shard: Annotated[
        str,
        typer.Option(
            metavar="i/n", help="Generate only part i of n (1 to n); 'auto' takes both from the cluster's job."
        ),
    ] = "1/1",
    shards: Annotated[
        int | None, typer.Option(min=1, help="n for --shard auto, if the cluster does not provide it.")
    ] = None,
    engine: Engine = "local",
    workers: Workers = None,
    address: Address = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Generate the planned images, check each, and keep those that pass.

    Keeps existing images. Rerun to resume.

    Example:  synaug generate runs/photos

    Example:  synaug generate runs/photos --set api.max_cost=30

    Example:  synaug generate runs/photos --engine ray
    """
    from synaug.pipeline import generate as generate_stage
    from synaug.pipeline.preview import preview_generation
    from synaug.run_directory import Run, change_generation
    from synaug.synthesis.execution import cluster_named, shard_named

    cluster = cluster_named(engine, workers=workers, address=address)
    part = shard_named(shard, shards=shards)
    if cluster is not None and part != (0, 1):
        raise OptionError("--engine ray divides the work itself; remove --shard.")
    if dry_run:
        print_facts(preview_generation(Run.open(run)), as_json=as_json)
        return
    with session(trust=named_code(trust, generator, endpoint=endpoint)) as progress:
        opened = change_generation(
            Run.open(run),
            {"plan.model": model, "api.endpoint": endpoint, "generate.generator": generator},
            settings or (),
        )
        result = generate_stage.generate(opened, shard=part, cluster=cluster, progress=progress)
    counts = result.summary()
    content = {**counts, "rejected": generate_stage.rejections(opened, result.rejected)}
    if as_json:
        print_json(content)
    else:
        from synaug.cli.printing import console

        console.show_synthesis(content)
    generate_stage.check_complete(opened, counts)


def check(
    run: RunDirectory,
    gates: Annotated[
        str | None, typer.Option(help="Comma-separated gates to run.", show_default="those of the run")
    ] = None,
    reject: Annotated[
        bool, typer.Option("--reject", help="Remove failing images from the run; 'synaug generate' replaces them.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Re-run the quality gates on existing images.

    Counts failures, and changes nothing without --reject.

    Example:  synaug check runs/photos

    Example:  synaug check runs/photos --gates copy,leak --reject
    """
    from synaug.pipeline import generate as generate_stage
    from synaug.run_directory import Run

    names = None if gates is None else gates.split(",")
    with session() as progress:
        content = generate_stage.check(Run.open(run), gates=names, reject=reject, progress=progress)
    if as_json:
        print_json(content)
    else:
        from synaug.cli.printing import console

        console.show_check(content, run, taken_out=reject)


def review(
    run: RunDirectory,
    apply: Annotated[bool, typer.Option("--apply", help="Apply the decisions in the table.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Review in a browser, with keys, on this machine.")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page for --serve.", show_default="a free one")
    ] = 0,
    open_browser: Annotated[bool, typer.Option("--open", help="With --serve, open the page in your browser.")] = False,
    to_tool: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="TOOL", help="Write import files for label-studio, fiftyone or cvat.", show_default="none"
        ),
    ] = None,
    from_file: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FILE", help="Read decisions from an export of such a tool.", show_default="none"
        ),
    ] = None,
    per_class: Annotated[
        int | None,
        typer.Option(min=1, help="Number of accepted images to show per class.", show_default="200; with --serve all"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Review the images, and accept or reject them.

    Writes a page of images per class, and a table to fill in; --apply applies its decisions. With --serve you decide in
    a browser, and each decision is saved to the same table. 'synaug generate' replaces rejected images; accepted ones
    count even if a gate rejected them.

    Example:  synaug review runs/photos --serve

    Example:  synaug review runs/photos --apply

    Example:  synaug review runs/photos --to label-studio
    """
    from synaug.run_directory import Run

    asked = {"--serve": serve, "--apply": apply, "--to": to_tool is not None, "--from": from_file is not None}
    if len(chosen := [name for name, is_asked in asked.items() if is_asked]) > 1:
        raise OptionError(f"Choose one of {' and '.join(chosen)}.")
    if to_tool is not None or from_file is not None:
        from synaug.pipeline.review import read_review_file, write_review_files

        opened = Run.open(run)
        facts = (
            write_review_files(opened, to_tool)
            if to_tool is not None
            else read_review_file(opened, from_file or Path())
        )
        print_facts(facts, as_json=as_json)
        return
    if serve:
        from synaug.cli.review_serving import serve_review

        serve_review(run, per_class=per_class, port=port, open_browser=open_browser, as_json=as_json)
        return
    from synaug.pipeline.review import review as review_stage

    if apply:
        with session():
            applied = review_stage.apply(Run.open(run))
        if as_json:
            print_json(applied)
            return
        from synaug.cli.printing import console

        console.show_applied(applied, run)
        return
    with session() as progress:
        content = review_stage.review(Run.open(run), per_class=per_class or review_stage.PER_CLASS, progress=progress)
    if as_json:
        print_json(content)
    else:
        from synaug.cli.printing import console

        console.show_review(content, run)
