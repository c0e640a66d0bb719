"""The commands about whole runs: demo, run, report, status."""

from __future__ import annotations

from synaug.cli.arguments import (
    Attribute,
    By,
    Data,
    Json,
    Label,
    Methods,
    Model,
    Out,
    RecipeFile,
    Run,
    Seed,
    SplitColumn,
    Target,
)
from synaug.cli.output import print_json, show_report
from synaug.cli.session import names_of, number_or_name, options_of, session, typed_command


def demo(
    out: Out,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Do everything on the embedded data with the embedded generator: a few minutes, no download.

    Example:  synaug demo --out runs/demo
    """
    from synaug import experiment
    from synaug.config import read_recipe, with_overrides
    from synaug.embedded import demo_data, demo_recipe

    recipe = with_overrides(read_recipe(demo_recipe()), {"seed": seed, "plan.seed": seed})
    with session() as progress:
        report = experiment.run(
            demo_data(),
            out,
            recipe,
            command=typed_command(),
            source_name="Fashion-MNIST, long-tailed, as it ships with synaug",
            progress=progress,
        )
    show_report(report, out, as_json=as_json)
    experiment.check_complete(out)


def run_all(
    data: Data,
    out: Out,
    by: By = None,
    target: Target = None,
    model: Model = None,
    label: Label = None,
    attribute: Attribute = None,
    split_column: SplitColumn = None,
    recipe: RecipeFile = None,
    methods: Methods = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Count, plan, generate, check, train, retrain, evaluate and report, in one folder that can be gone on with.

    Example:  synaug run photos/ --out runs/photos --model embedded
    """
    from synaug import experiment

    options = options_of(
        recipe,
        {
            "data.label": label, "data.attribute": attribute, "data.split": split_column,
            "plan.by": by, "plan.target": number_or_name(target), "plan.model": model,
            "plan.seed": seed, "seed": seed,
        },
    )  # fmt: skip
    with session() as progress:
        made = experiment.run(data, out, options, methods=names_of(methods), command=typed_command(), progress=progress)
    show_report(made, out, as_json=as_json)
    experiment.check_complete(out)


def report(run: Run, as_json: Json = False) -> None:
    """Write report.json and report.html from what the run folder holds.

    Example:  synaug report runs/photos
    """
    from synaug.reporting import report as write_report

    show_report(write_report(run), run, as_json=as_json)


def status(run: Run, as_json: Json = False) -> None:
    """Say how far a run has come, also while it is running.

    Example:  synaug status runs/photos
    """
    from synaug import experiment

    content = experiment.status(run)
    if as_json:
        print_json(content)
    else:
        from synaug import console

        console.show_status(content)
