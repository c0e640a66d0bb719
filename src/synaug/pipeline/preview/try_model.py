"""Generate a few images per class, judged by eye and by a traffic light, before the cost of hundreds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from synaug.config import Recipe
from synaug.data import Manifest, cells_of, class_counts, read_image, readers
from synaug.data.images.thumbnails import thumbnails
from synaug.errors import OptionError
from synaug.pipeline.generate import replaced_model
from synaug.pipeline.prepare import check_counts, check_recipe, drafted_plan
from synaug.recipes import with_overrides
from synaug.runtime import Progress, signals, silent, storage
from synaug.runtime.files import directories
from synaug.schemas.command_output import ServiceCost, Trial, TrialPreview, TriedClass
from synaug.synthesis.execution import Task, generated
from synaug.synthesis.generators import make_guides
from synaug.synthesis.generators.models import is_service, limit_at_hand
from synaug.synthesis.generators.services import PAID, ServiceGenerator
from synaug.synthesis.planning import Plan, Slot, check_prompt_length, image_seed, safe_names
from synaug.synthesis.planning.slots import slots

if TYPE_CHECKING:
    from PIL import Image

    from synaug.synthesis.generators import Generated, Generator

PER_CLASS = 4
REAL_SHOWN = 12
FEWEST_REAL = 10  # images; the judge cannot know a class with fewer
MOST_REAL = 2000  # images for fitting the judge
RELIABLE = 0.5  # out-of-fold recall that a class needs for a reliable judgment
LIGHTS = {
    "green": "fits",
    "yellow": "fits in part",
    "red": "does not fit",
    "unknown": "too few real images to judge",
    "none": "no usable image",
}
_BATCH = 16


@dataclass(frozen=True)
class PreparedTrial:
    """The images of a trial before they are generated; ``cost`` is None without a service."""

    recipe: Recipe
    manifest: Manifest
    plan: Plan
    slots: tuple[Slot, ...]
    out: Path
    cost: ServiceCost | None

    def facts(self) -> TrialPreview:
        """Return the images that would be generated."""
        return {"model": self.plan.model, "images": len(self.slots), "cost": self.cost, "out": str(self.out)}


def prepare_trial(source: Path, recipe: Recipe, out: Path, *, progress: Progress = silent) -> PreparedTrial:
    """Return a trial of ``PER_CLASS`` images per class with the recipe's generator; nothing is written or requested.

    Args:
        source: images; see ``data.readers``.
        recipe: the options; ``plan.model``, ``generate.generator`` and ``api`` select the generator. With variant
            ``fitted``, the model is tried before it is fitted.
        out: folder for the pages; it must be new or empty, or hold the paid images of an unfinished trial.
        progress: called with the progress so far.

    Raises:
        OptionError: the folder is not empty, or the generator cannot be used.
        DataError: a class has no training image.
        BudgetReached: the service would cost more than ``api.max_cost``.
    """
    directories.own(out)
    if out.exists() and (not out.is_dir() or {path.name for path in out.iterdir()} - {PAID}):
        raise OptionError(f"{out} exists and is not empty. Choose another folder with --out.")
    check_recipe(recipe)
    manifest = readers.read_data(source, recipe.data, progress=progress)
    check_counts(manifest, "train")
    counts = class_counts(_real(manifest).labels, manifest.num_classes)
    wanted = {name: int(count) + PER_CLASS for name, count in zip(manifest.class_names, counts, strict=True)}
    changes = {"plan.target": wanted, "plan.by": "class", "plan.cap": None}
    if recipe.plan.variant == "fitted":
        changes["plan.variant"] = "text"
    recipe = with_overrides(recipe, changes)
    plan = drafted_plan(manifest, recipe)
    chosen = tuple(slots(plan))
    return PreparedTrial(recipe, manifest, plan, chosen, out, _cost(recipe, plan, chosen, out))


def _real(manifest: Manifest) -> Manifest:
    training = manifest.split("train")
    return training.rows(~training.is_synthetic)


def _cost(recipe: Recipe, plan: Plan, chosen: Sequence[Slot], out: Path) -> ServiceCost | None:
    if recipe.generate.generator is not None or not is_service(recipe.plan.model):
        return None
    service = replaced_model(out if (out / PAID).is_dir() else None, recipe, plan)
    assert isinstance(service, ServiceGenerator)
    seeds = [image_seed(slot.id, 0) for slot in chosen]
    cost = service.cost([slot.prompt for slot in chosen], seeds, [slot.negative_prompt for slot in chosen])
    budget = recipe.api.max_cost
    return {
        "price": float(recipe.api.price),
        "images": float(cost),
        "spent": float(service.spent),
        "budget": None if budget is None else float(budget),
    }


def try_model(trial: PreparedTrial, *, generator: Generator | None = None, progress: Progress = silent) -> Trial:
    """Generate the images of a trial, write a page with real ones beside them, and return a light per class.

    Args:
        trial: see ``prepare_trial``.
        generator: replaces the recipe's.
        progress: called with the progress so far.
    """
    plan, real, folder = trial.plan, _real(trial.manifest), storage.make_folder(trial.out)
    generator = generator or _generator(trial, progress)
    generated = list(_made(trial, generator, progress))
    shown = [row for row, each in enumerate(generated) if each.image is not None and each.problem is None]
    images: list[Image.Image] = [image for row in shown if (image := generated[row].image) is not None]
    probabilities, recalls = _judged(real, images, trial.recipe.seed)
    counts = class_counts(real.labels, len(plan.class_names))
    names = safe_names(plan.class_names)
    classes: dict[str, TriedClass] = {}
    index = []
    for label, name in enumerate(plan.class_names):
        mine = [place for place, row in enumerate(shown) if trial.slots[row].cell.label == label]
        pairs = [(trial.slots[shown[place]], images[place]) for place in mine]
        own = probabilities[mine, label]
        recognized = int((probabilities[mine].argmax(1) == label).sum())
        light = traffic_light(recognized, len(mine), num_real=int(counts[label]), recall=float(recalls[label]))
        classes[name] = {
            "light": light,
            "recognized": recognized,
            "of": len(mine),
            "best_prompt": pairs[int(np.argmax(own))][0].prompt if mine else None,
            "rejected": _problems(trial, generated, label),
        }
        file = f"class-{names[label]}.html"
        storage.write_text(folder / file, _sheet(name, real, label, pairs, own))
        index.append((name, file, LIGHTS[light], f"{recognized} of {len(mine)}"))
    from synaug.report import make_trial_index

    storage.write_text(folder / "index.html", make_trial_index(f"{plan.model}: a few images per class", index))
    spent = None
    if isinstance(generator, ServiceGenerator):
        generator.finish()  # the pages have the images now
        spent = float(generator.spent)
    return {"model": plan.model, "classes": classes, "page": str(folder / "index.html"), "spent": spent}


def traffic_light(recognized: int, of: int, *, num_real: int, recall: float) -> str:
    """Return ``green``, ``yellow``, ``red``, ``unknown`` if the judge cannot know the class, ``none`` without images.

    >>> traffic_light(4, 4, num_real=40, recall=0.9), traffic_light(0, 4, num_real=3, recall=0.9)
    ('green', 'unknown')
    """
    if not of:
        return "none"
    if num_real < FEWEST_REAL or not recall >= RELIABLE:
        return "unknown"
    share = recognized / of
    return "green" if share >= 0.75 else "yellow" if share >= 0.5 else "red"


def _generator(trial: PreparedTrial, progress: Progress) -> Generator:
    """Return the generator of the recipe.

    Raises:
        OptionError: a prompt is so long that its class would not reach the model.
    """
    recipe = trial.recipe
    if (replacement := replaced_model(trial.out, recipe, trial.plan, keep=True)) is not None:
        return replacement
    from synaug.synthesis.generators import load_generator

    model, options = recipe.plan.model, recipe.plan
    if limit := limit_at_hand(model):
        check_prompt_length(trial.plan, limit)
    progress("loading the generator", 0, 1, model)
    with signals.at_once():
        found = load_generator(model, recipe.generate, variant=options.variant, negative_prompt=options.negative_prompt)
    progress("loading the generator", 1, 1, model)
    check_prompt_length(trial.plan, found.prompt_limit)
    return found


def _made(trial: PreparedTrial, generator: Generator, progress: Progress) -> Iterator[Generated]:
    guides = make_guides(trial.plan, trial.manifest)
    done = 0
    while done < len(trial.slots):
        progress("making images", done, len(trial.slots), getattr(generator, "note", ""))
        part = trial.slots[done : done + getattr(generator, "batch_size", _BATCH)]
        yield from generated(generator, [Task(slot, 0, guides(slot) if guides else None) for slot in part])[0]
        done += len(part)
        signals.stop_here()
    progress("making images", done, done, getattr(generator, "note", ""))


def _problems(trial: PreparedTrial, generated: Sequence[Generated], label: int) -> dict[str, int]:
    """Return how many images of a class could not be used, by reason."""
    pairs = zip(generated, trial.slots, strict=True)
    return dict(Counter(each.problem for each, slot in pairs if slot.cell.label == label and each.problem is not None))


def _judged(real: Manifest, images: Sequence[Image.Image], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities of the generated images ``(N, C)``, and the recall per class on held-out real images."""
    from synaug.synthesis.quality import fit_pixel_scorer

    rows = np.random.default_rng([seed, 12]).permutation(len(real))[:MOST_REAL]
    cells = cells_of(real.rows(rows))
    pixels = thumbnails([read_image(real, int(row)) for row in rows], mode="RGB")
    labels = real.labels[rows]
    judge = fit_pixel_scorer(pixels, labels, num_classes=real.num_classes, cells=cells, mode="RGB", seed=seed)
    right = judge.out_of_fold.argmax(1) == labels
    recalls = [
        right[labels == label].mean() if (labels == label).any() else np.nan for label in range(real.num_classes)
    ]
    probabilities = judge.scorer(images) if images else np.empty((0, real.num_classes))
    return probabilities, np.array(recalls)


def _sheet(
    name: str, real: Manifest, label: int, generated: Sequence[tuple[Slot, Image.Image]], probabilities: np.ndarray
) -> str:
    from synaug.report import Shot, make_trial_sheet

    shots = [
        Shot(name=slot.id, image=image, cell=name, prompt=slot.prompt, scores={"fits its class": float(own)})
        for (slot, image), own in zip(generated, probabilities, strict=True)
    ]
    examples = [read_image(real, int(row)) for row in np.flatnonzero(real.labels == label)[:REAL_SHOWN]]
    return make_trial_sheet(name, real=examples, shots=shots)
