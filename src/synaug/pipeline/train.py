"""Train and test each method of a run, and measure how far its synthetic images are from the real ones."""

from __future__ import annotations

import functools
import itertools
import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from synaug.config import Recipe
from synaug.errors import DataError, EnvironmentFault
from synaug.methods import (
    DEFAULT_METHODS,
    check_methods,
    check_networks,
    images_digest,
    is_finished,
    load_sets,
    method_named,
    network_digests,
    read_result,
    train_method,
    uses_autoencoder,
)
from synaug.pipeline.choosing import uses_synthetic
from synaug.pipeline.measure_gap import is_measured, write_gap
from synaug.pipeline.part_names import training_part
from synaug.pipeline.review import check_applied, check_present
from synaug.recipes import with_overrides
from synaug.run_directory import Run, RunPaths, write_networks
from synaug.runtime import Progress, enter, is_out_of_memory, of_seed, signals, silent, storage
from synaug.runtime.security import shell_word
from synaug.schemas import Result
from synaug.synthesis.execution import is_settled, synthesis_summary, synthetic_manifest
from synaug.synthesis.generators import autoencode

if TYPE_CHECKING:
    from synaug.training import Team

SMALLER = "Use a smaller train.stage1.batch_size or train.image_size in the recipe."


def train(
    run: Run,
    *,
    methods: Sequence[str] = DEFAULT_METHODS,
    retrain: bool = True,
    seed: int | None = None,
    seeds: Sequence[int] | None = None,
    progress: Progress = silent,
) -> list[Result]:
    """Train, retrain and test each method and seed without a current result; return all results, ordered by seed.

    The images are read once for all of them. Processes started by one launcher train together; only the first tests and
    writes.

    Args:
        run: a run with its synthetic images, unless only methods of real images are trained.
        methods: names of ``METHODS``.
        retrain: False skips the methods that only retrain another method's classifier.
        seed: training seed, which does not affect the images; default: the run's.
        seeds: several seeds, instead of ``seed``.
        progress: called with the progress so far.
    """
    from synaug.training import joined_team

    locked = run.recipe
    recipes = [with_overrides(locked, {"seed": each}) for each in ([seed] if seeds is None else seeds)]
    check_methods(methods, locked)
    wanted = [name for name in methods if retrain or method_named(name, locked).starts_from is None]
    plan = run.plan
    check_applied(run)
    check_trainable(run, locked, wanted)
    check_networks(wanted, locked, plan)
    synthetic = synthetic_manifest(plan, run.path)
    check_present(synthetic, run)
    learned_from = images_digest(synthetic)
    team, _ = joined_team(locked.train.device)
    shown = progress if team.is_first else silent
    missing = _without_result(itertools.product(recipes, wanted), run, learned_from, team)
    autoencoded = uses_autoencoder([name for _, name in missing], locked)
    sets = functools.cache(lambda: load_sets(run, locked.train, autoencoded=autoencoded, progress=shown))
    if autoencoded:
        if team.is_first:
            real = run.manifest.split("train")
            autoencode(plan, real, run.path, device=locked.generate.device, progress=shown)
        # Only the first process writes the autoencoded images; the others must not load them before they are complete.
        team.wait()
    if missing:
        check_methods(wanted, locked, data=run.manifest)
        if team.is_first:
            write_networks(run, network_digests(wanted, locked))
    for recipe, name in missing:
        enter(shown, training_part(name, recipe.seed))
        of_this = of_seed(shown, recipe.seed) if len(recipes) > 1 else shown
        try:
            train_method(name, sets(), run, recipe, synthetic=learned_from, progress=of_this)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise EnvironmentFault(f"Out of memory while training {name}. {SMALLER}") from error
        signals.stop_here()
    # Only the first process writes results. The others wait here, or they would read missing results below.
    team.wait()
    # Only the first process writes the gap. The others wait for it, so that none returns (and exits) in the meantime.
    rejected = synthesis_summary(plan, run.path)["rejected"]
    if team.is_first and not is_measured(run, learned_from, rejected):
        real = run.manifest.split("train")
        write_gap(run, locked, real=real, synthetic=synthetic, digest=learned_from, rejected=rejected, progress=shown)
    team.wait()
    return [read_result(run, name, recipe.seed) for recipe in recipes for name in wanted]


def _without_result(
    wanted: Iterable[tuple[Recipe, str]], run: RunPaths, learned_from: str, team: Team
) -> list[tuple[Recipe, str]]:
    """Return the recipes and methods without a current result, the same in all processes.

    ``is_finished`` removes outdated results, so the first process calls it before the others do.
    """
    if team.is_first:
        # Deleting is the first process's job; the others wait until it has also checked all results.
        storage.remove_temporary(run.path)
    else:
        team.wait()
    missing = [(recipe, name) for recipe, name in wanted if not is_finished(run, name, recipe, learned_from)]
    if team.is_first:
        team.wait()
    # No process may start training, which writes results, before all have their list. With different lists, one process
    # would wait forever in a training that the others skip.
    team.wait()
    return missing


def check_trainable(run: Run, recipe: Recipe, methods: Sequence[str], settings: Sequence[str] = ()) -> None:
    """Raise an error if a method needs synthetic images that have not been generated yet.

    Args:
        run: planned run.
        recipe: its options, with changes that are not recorded yet.
        methods: names of the methods to train.
        settings: those changes, as of ``--set``, for the command in the message.

    Raises:
        DataError: images are missing; the message names the command that generates them, and the one that trains the
            methods that need none.
    """
    waiting = [name for name in methods if uses_synthetic(name, recipe)]
    if not waiting or is_settled(run.plan, folder=run.path, quality=recipe.quality):
        return
    message = (
        f"Some images of {run.path} have not been generated yet, and {waiting[0]} is trained on them. Generate them "
        f"with: synaug generate {shell_word(run.path)}"
    )
    if ready := [name for name in methods if name not in waiting]:
        options = ["--methods", ",".join(ready), *(f"--set={setting}" for setting in settings)]
        message += f". Or train without them: {shlex.join(['synaug', 'train', str(run.path), *options])}"
    raise DataError(message)
