"""Define the commands for classifiers: train, retrain, methods."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from synaug.cli.printing import print_facts, print_json
from synaug.cli.session import names_of, seeds_from, session
from synaug.cli.shared_options import DryRun, Json, Methods, RunDirectory, Seeds, Settings, Trust


def train(
    run: RunDirectory,
    methods: Methods = None,
    seeds: Seeds = None,
    settings: Settings = None,
    trust: Trust = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train classifiers on the real images and on the balanced set.

    This is stage 1, for methods without a result. Methods named with --methods are trained completely, including their
    last layer. To train with several processes, start 'accelerate launch -m synaug train RUN'.

    Example:  synaug train runs/photos

    --set changes training options on the same images; a method is then retrained when it is next requested, and the
    report leaves it out until then.

    Example:  synaug train runs/photos --methods focal,synaug_focal --seeds 3

    Example:  synaug train runs/photos --set train.stage1.learning_rate=0.01
    """
    _train(run, methods, seeds, settings, trust, retrain=False, dry_run=dry_run, as_json=as_json)


def retrain(
    run: RunDirectory,
    methods: Methods = None,
    seeds: Seeds = None,
    settings: Settings = None,
    trust: Trust = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Retrain the last layers of trained classifiers (stage 2).

    Stage 1 is trained first if it is missing.

    Example:  synaug retrain runs/photos
    """
    _train(run, methods, seeds, settings, trust, retrain=True, dry_run=dry_run, as_json=as_json)


def _train(
    run: Path,
    methods: str | None,
    num_seeds: int | None,
    settings: list[str] | None,
    trust: list[str] | None,
    *,
    retrain: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    from synaug.cli.printing import result_lines
    from synaug.pipeline import check_recipe, check_trainable, usual_methods
    from synaug.pipeline import train as train_stage
    from synaug.pipeline.preview import preview_training
    from synaug.recipes import with_settings
    from synaug.report import usage_lines
    from synaug.run_directory import Run, change_training
    from synaug.runtime import storage
    from synaug.training import is_first_process, joined_team

    opened = Run.open(run)
    recipe = with_settings(opened.recipe, settings or [])
    names = usual_methods(names_of(methods), recipe, opened.manifest)
    if settings:  # Before they are recorded, so that a command that fails changes nothing.
        check_recipe(recipe)
        check_trainable(opened, recipe, names, settings)
    seeds = seeds_from(recipe, num_seeds)
    chosen: dict[str, Any] = {"methods": names, "retrain": retrain or bool(methods), "seeds": seeds}
    if dry_run:
        print_facts(preview_training(opened, **chosen, recipe=recipe), as_json=as_json)
        return
    first = is_first_process()
    with session(trust=trust) as progress, storage.lock(run) if first else contextlib.nullcontext():
        if settings:
            if first:
                change_training(opened, recipe)
            # The other processes read the recipe that the first one changes, so they wait until it is written.
            joined_team(recipe.train.device)[0].wait()
        results = train_stage.train(opened, **chosen, progress=progress)
    if not first:
        return
    if as_json:
        print_json(results)
    else:
        result_lines.show_results(results)
        if results:
            result_lines.show_usage(usage_lines(run))


def list_methods(as_json: Json = False) -> None:
    """List the methods that --methods accepts, with a description.

    Example:  synaug methods
    """
    from synaug.methods import DEFAULT_METHODS, METHODS

    descriptions = {name: method.description for name, method in METHODS.items()}
    if as_json:
        print_json(descriptions)
    else:
        from synaug.cli.printing import console

        console.show_methods(descriptions, usual=DEFAULT_METHODS)
