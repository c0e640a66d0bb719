"""Generate a few images per class, judged by eye and by a traffic light, before the cost of hundreds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from synaug.config import Recipe
from synaug.data import Manifest, class_counts, read_image
from synaug.data.images.thumbnails import thumbnails
from synaug.errors import OptionError
from synaug.pipeline.prepare import check_counts, drafted_plan
from synaug.recipes import with_overrides
from synaug.runtime import Progress, signals, silent, storage
from synaug.schemas.output import Trial, TriedClass
from synaug.synthesis.planning import Slot, image_seed, safe_names
from synaug.synthesis.planning.slots import slots

if TYPE_CHECKING:
    from PIL import Image

    from synaug.synthesis.generators import Generator

PER_CLASS = 4
REAL_SHOWN = 12
FEWEST_REAL = 10  # images; the judge cannot know a class with fewer
MOST_REAL = 2000  # images for fitting the judge
RELIABLE = 0.5  # out-of-fold recall that a class needs for a reliable judgment
BATCH = 16


def try_model(
    source: Path, recipe: Recipe, out: Path, *, generator: Generator | None = None, progress: Progress = silent
) -> Trial:
    """Generate ``PER_CLASS`` images per class, write a page with real ones beside them, and return a light per class.

    Args:
        source: images; see ``data.readers``.
        recipe: the options; the model is ``plan.model``.
        out: folder for the pages; it must be new or empty.
        generator: replaces the model.
        progress: called with the progress so far.

    Returns:
        ``classes`` (per class: ``light``, ``recognized``, ``of``, ``best_prompt``), ``page`` and ``model``.

    Raises:
        OptionError: the folder is not empty.
        DataError: a class has no training image.
    """
    from synaug.data import read_data

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OptionError(f"{out} exists and is not empty. Choose another folder with --out.")
    manifest = read_data(source, recipe.data, progress=progress)
    check_counts(manifest, "train")
    training = manifest.split("train")
    real = training.rows(~training.is_synthetic)
    counts = class_counts(real.labels, manifest.num_classes)
    wanted = {name: int(count) + PER_CLASS for name, count in zip(manifest.class_names, counts, strict=True)}
    recipe = with_overrides(recipe, {"plan.target": wanted, "plan.by": "class", "plan.variant": "text"})
    plan = drafted_plan(manifest, recipe)
    chosen = list(slots(plan))
    if generator is None:
        from synaug.synthesis.generators import load_generator

        progress("loading the generator", 0, 1, recipe.plan.model)
        generator = load_generator(recipe.plan.model, recipe.generate, negative_prompt=recipe.plan.negative_prompt)
        progress("loading the generator", 1, 1, recipe.plan.model)
    images = _made(generator, chosen, progress)
    probabilities, recalls = _judged(real, images, recipe.seed)
    classes: dict[str, TriedClass] = {}
    folder = storage.make_folder(out)
    names = safe_names(manifest.class_names)
    index = []
    for label, name in enumerate(manifest.class_names):
        rows = [row for row, slot in enumerate(chosen) if slot.cell.label == label]
        own = probabilities[rows, label]
        recognized = int((probabilities[rows].argmax(1) == label).sum())
        light = traffic_light(recognized, len(rows), num_real=int(counts[label]), recall=float(recalls[label]))
        best = chosen[rows[int(np.argmax(own))]].prompt if rows else None
        classes[name] = {"light": light, "recognized": recognized, "of": len(rows), "best_prompt": best}
        file = f"class-{names[label]}.html"
        storage.write_text(folder / file, _sheet(name, real, label, [(chosen[row], images[row]) for row in rows], own))
        index.append((name, file, len(rows), 0))
    from synaug.report import make_index

    storage.write_text(folder / "index.html", make_index(f"{recipe.plan.model}: a few images per class", index))
    return {"model": recipe.plan.model, "classes": classes, "page": str(folder / "index.html")}


def traffic_light(recognized: int, of: int, *, num_real: int, recall: float) -> str:
    """Return ``green``, ``yellow``, ``red``, or ``unknown`` if the judge cannot know the class.

    >>> traffic_light(4, 4, num_real=40, recall=0.9), traffic_light(0, 4, num_real=3, recall=0.9)
    ('green', 'unknown')
    """
    if num_real < FEWEST_REAL or not recall >= RELIABLE:
        return "unknown"
    share = recognized / max(of, 1)
    return "green" if share >= 0.75 else "yellow" if share >= 0.5 else "red"


def _made(generator: Generator, chosen: Sequence[Slot], progress: Progress) -> list[Image.Image]:
    images: list[Image.Image] = []
    for start in range(0, len(chosen), BATCH):
        part = chosen[start : start + BATCH]
        progress("making images", start, len(chosen), "")
        found = generator([slot.prompt for slot in part], seeds=[image_seed(slot.id, 0) for slot in part])
        images += [cast("Image.Image", getattr(each, "image", each)) for each in cast("Iterable[object]", found)]
        signals.stop_here()
    progress("making images", len(chosen), len(chosen), "")
    return images


def _judged(real: Manifest, images: Sequence[Image.Image], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities of the generated images ``(N, C)``, and the recall per class on held-out real images."""
    from synaug.synthesis.quality import fit_pixel_scorer

    rows = np.random.default_rng([seed, 12]).permutation(len(real))[:MOST_REAL]
    pixels = thumbnails([read_image(real, int(row)) for row in rows], mode="RGB")
    labels = real.labels[rows]
    judge = fit_pixel_scorer(pixels, labels, num_classes=real.num_classes, mode="RGB", seed=seed)
    right = judge.out_of_fold.argmax(1) == labels
    recalls = [
        right[labels == label].mean() if (labels == label).any() else np.nan for label in range(real.num_classes)
    ]
    return judge.scorer(images), np.array(recalls)


def _sheet(
    name: str, real: Manifest, label: int, made: Sequence[tuple[Slot, Image.Image]], probabilities: np.ndarray
) -> str:
    from synaug.report import Shot, make_sheet

    shots = [
        Shot(name=slot.id, image=image, cell=name, prompt=slot.prompt, scores={"fits its class": float(own)})
        for (slot, image), own in zip(made, probabilities, strict=True)
    ]
    examples = [read_image(real, int(row)) for row in np.flatnonzero(real.labels == label)[:REAL_SHOWN]]
    return make_sheet(name, real=examples, accepted=shots, rejected=[], num_accepted=len(shots), num_rejected=0)
