"""Read an experiment: a recipe with a section ``bench`` that names its arms and methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synaug.config import NONE, UNNAMED, ArmOptions, BenchOptions, Recipe
from synaug.data import Manifest, readers
from synaug.data.benchmarks import fashion_mirrors
from synaug.errors import OptionError, unknown
from synaug.methods import METHODS
from synaug.recipes import read_recipe, with_overrides
from synaug.runtime import ASSETS, demo_data

FOLDER = ASSETS / "bench"
PHOTOS = "photos"  # has no recipe, since it runs on frozen features; see ``bench.photographs``
ALL = "all"  # instead of methods: all general ones

QUESTIONS = {
    "demo": "what SYNAuG adds on the demo's long tail",
    "fashion-fair": "does it make a classifier fairer between the values of an attribute?",
    "fashion-lt": "how does it do on longer and shorter tails, and with how many synthetic images?",
    "fashion-spurious": "does it help if the background gives the class away?",
    "methods": "every method on the demo's data",
    "photos": "frozen pretrained features of photographs",
    "replacement": "what happens if real images are replaced by synthetic ones?",
    "studies": "what each single choice changes on the demo's data",
}
"""What each packaged experiment answers."""


@dataclass(frozen=True)
class Experiment:
    """A recipe, its arms and, without a mirror, the folder or table with its images."""

    recipe: Recipe
    arms: dict[str, ArmOptions]
    source: Path | None

    @property
    def bench(self) -> BenchOptions:
        assert self.recipe.bench is not None
        return self.recipe.bench

    @property
    def main_arm(self) -> str:
        return next(iter(self.arms))


def experiment_names() -> list[str]:
    """Return the names of the packaged experiments."""
    return sorted([PHOTOS, *(path.stem.replace("_", "-") for path in FOLDER.glob("*.yaml"))])


def read_experiment(
    name: str, *, data: Path | None = None, quick: bool = False, arms: Sequence[str] = ()
) -> Experiment:
    """Return the experiment of that name or in that file.

    Args:
        name: of ``experiment_names()``, or a recipe file with a section ``bench``.
        data: the images, if the experiment has no mirror.
        quick: the smaller grid.
        arms: only these.

    Raises:
        OptionError: the name, an arm or the smaller grid does not exist, or the required data are missing.
    """
    path = _file_named(name)
    recipe = read_recipe(path)
    bench = recipe.bench
    if bench is None or not bench.arms:
        raise OptionError(f"{path} has no section 'bench' with 'arms'. Add one to run an experiment.")
    if bench.like is not None:
        if recipe.model_copy(update={"name": UNNAMED, "bench": None, "methods": {}}) != Recipe():
            raise OptionError(
                f"{path}: 'bench.like' takes all options of {bench.like}; remove all sections except 'methods'."
            )
        other = read_recipe(_file_named(bench.like))
        changes = {"name": recipe.name, "bench": bench, "methods": other.methods | recipe.methods}
        recipe = other.model_copy(update=changes)
    source = _source(path, bench, data)
    chosen = _smaller(name, bench) if quick else bench.arms
    if any(arm.filled for arm in chosen.values()) and bench.mirror is None and source != demo_data():
        raise OptionError(f"{path}: 'filled' needs additional real images, which only mirrors and the demo have.")
    for arm in arms:
        if arm not in chosen:
            raise unknown("arm", arm, chosen)
    if quick:
        recipe = with_overrides(recipe, bench.quick_options)
    kept = {key: _with_methods(arm) for key, arm in chosen.items() if not arms or key in arms}
    return Experiment(recipe=recipe, arms=kept, source=source)


def _file_named(name: str) -> Path:
    packaged = FOLDER / f"{name.replace('-', '_')}.yaml"
    if packaged.is_file():
        return packaged
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    raise unknown("experiment", name, experiment_names())


def _source(path: Path, bench: BenchOptions, data: Path | None) -> Path | None:
    if bench.mirror is not None:
        if data is not None:
            raise OptionError(f"The experiment {path.stem} generates its own images; remove --data.")
        return None
    if data is None and path.parent != FOLDER:
        raise OptionError(f"The experiment {path} needs images: --data FOLDER or TABLE.")
    return data or demo_data()


def _smaller(name: str, bench: BenchOptions) -> dict[str, ArmOptions]:
    if not bench.quick:
        raise OptionError(f"The experiment {name} has no smaller grid; remove --quick.")
    for arm in bench.quick:
        if arm not in bench.arms:
            raise unknown("arm in bench.quick", arm, bench.arms)
    return {arm: bench.arms[arm].model_copy(update={"methods": methods}) for arm, methods in bench.quick.items()}


def _with_methods(arm: ArmOptions) -> ArmOptions:
    if arm.methods != (ALL,):
        return arm
    found = (name for name, method in METHODS.items() if method.is_general)
    return arm.model_copy(update={"methods": tuple(found)})


def data_of(experiment: Experiment, arm: ArmOptions, recipe: Recipe) -> Manifest:
    """Return the images of an arm, filled up with other real ones if the arm requires it."""
    bench = experiment.bench
    if bench.mirror is not None:
        target = recipe.plan.target
        if arm.filled and (isinstance(target, dict) or target == NONE):
            raise OptionError(f"A 'filled' arm requires plan.target to be uniform, a number or a share, not {target}.")
        mirror = fashion_mirrors.make_mirror(bench.mirror, validation=arm.validation, **arm.mirror)
        if arm.filled and not isinstance(target, dict):
            return fashion_mirrors.filled(mirror, by=recipe.plan.by, target=target)
        return mirror.data
    assert experiment.source is not None
    data = readers.read_data(experiment.source, recipe.data)
    return fashion_mirrors.filled_with_fashion(data) if arm.filled else data


def recipe_of(experiment: Experiment, arm: ArmOptions, seed: int) -> Recipe:
    """Return the options for an arm and a seed."""
    changes: dict[str, Any] = {"seed": seed, "plan.seed": 0 if arm.one_pool else seed}
    if arm.filled:
        changes["plan.cap"] = 0
    return with_overrides(experiment.recipe, changes | arm.options)
