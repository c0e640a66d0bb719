"""Choose the demo's settings on a validation set separate from its training and test sets.

    python scripts/tune_demo.py --work build/tune weight_decay
    python scripts/tune_demo.py --work build/tune guidance
    python scripts/tune_demo.py --work build/tune mixing
    python scripts/tune_demo.py --work build/tune retraining
    python scripts/tune_demo.py --work build/tune real_only

Validation images: 300 per class from the half of the Fashion-MNIST training archive that the embedded generator never
saw, except the demo's training images. Every line is printed with its seeds and kept in ``results.jsonl``; existing
lines are not measured again.
"""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from synaug import methods
from synaug.config import Recipe
from synaug.data import Manifest, joined, read_image, readers
from synaug.data.benchmarks import fashion_mnist
from synaug.data.benchmarks.fashion_mirrors import filled_with_fashion
from synaug.data.manifest import from_arrays
from synaug.evaluation.longtail import longtail_report
from synaug.pipeline import generate as generate_stage
from synaug.pipeline import prepare as plan_stage
from synaug.recipes import read_recipe, with_overrides
from synaug.run_directory import Run, RunPaths
from synaug.runtime import ConsoleProgress, demo_data, demo_recipe, storage
from synaug.training import predict
from synaug.training.last_layer import retrain_classifier

VALIDATION_PER_CLASS = 300


def data_with_validation() -> Manifest:
    """Return the demo's training images with validation images instead of its test images."""
    manifest = readers.read_data(demo_data(), read_recipe(demo_recipe()).data).split("train")
    train, test = fashion_mnist.read_archive("train"), fashion_mnist.read_archive("test")
    known = {np.asarray(read_image(manifest, row)).tobytes() for row in range(len(manifest))}
    held_out = fashion_mnist.split_positions(train, test).held_out[::-1]
    chosen: list[int] = []
    for label in range(manifest.num_classes):
        mine = [i for i in held_out[train.labels[held_out] == label] if train.images[i].tobytes() not in known]
        chosen += mine[:VALIDATION_PER_CLASS]
    others = from_arrays(train.images[chosen], train.labels[chosen], class_names=manifest.class_names, split="test")
    return joined(manifest, replace(others, frame=others.frame.assign(id=[f"validation-{i:05d}" for i in chosen])))


class Trial:
    """One folder of runs on the validation set; a run is named after its options."""

    def __init__(self, work: Path) -> None:
        self.work, self.data, self.progress = work, data_with_validation(), ConsoleProgress()
        self.results = work / "results.jsonl"
        self.known = {str(record["name"]): record for record in storage.read_records(self.results)}

    def folder(self, recipe: Recipe, *, filled: bool = False) -> Run:
        """Return a run directory with the images of the recipe's plan and generator."""
        generate = recipe.generate
        kind = (
            "filled"
            if filled
            else f"guidance{generate.guidance}-steps{generate.steps}-gates{len(recipe.quality.gates)}"
        )
        out = self.work / kind
        plain = with_overrides(Recipe(), {"plan": recipe.plan.model_dump(), "generate": generate.model_dump(),
                                          "quality": recipe.quality.model_dump()})  # fmt: skip
        data = filled_with_fashion(self.data) if filled else self.data
        run = plan_stage.write_run(data, plan_stage.drafted_plan(data, plain), out, plain, source="validation")
        generate_stage.generate(run, progress=self.progress)
        return run

    def measure(self, name: str, method: str, recipe: Recipe, *, filled: bool = False, seeds: tuple[int, ...] = (0, 1)):
        """Print the mean accuracy of a method over seeds."""
        if name in self.known:
            print(self.known[name], flush=True)
            return
        accuracies, began = [], time.monotonic()
        for seed in seeds:
            sets, model = self.trained(method, recipe, seed, filled=filled)
            accuracies.append(self.accuracy(model, sets))
        record = {"name": name, "accuracy": float(np.mean(accuracies)), "seeds": accuracies,
                  "seconds": time.monotonic() - began}  # fmt: skip
        storage.append_records(self.results, [record])
        print(record, flush=True)

    def trained(self, method: str, recipe: Recipe, seed: int, *, filled: bool = False) -> tuple[methods.Sets, Any]:
        folder = self.folder(recipe, filled=filled)
        sets = methods.load_sets(folder, recipe.train, progress=self.progress)
        stage = methods.stage_options(method, recipe, sets.num_counted)
        inside = RunPaths(
            self.work / "models" / folder.path.name / storage.digest(stage.model_dump_json().encode())[:12]
        )
        seeded = with_overrides(recipe, {"seed": seed})
        return sets, methods.trained_model(method, sets, inside, seeded, progress=self.progress)[0]

    def accuracy(self, model: Any, sets: methods.Sets) -> float:
        logits = predict(model, sets.test)
        return longtail_report(
            labels=sets.test.labels.numpy(),
            predictions=logits.argmax(1).numpy(),
            num_classes=sets.test.num_classes,
            class_counts=sets.real.class_counts.numpy(),
        ).accuracy


def weight_decay(trial: Trial, recipe: Recipe) -> None:
    rows = ("cross_entropy", "cross_entropy_mixup", "oversampling", "synaug_stage1")
    for method, decay in itertools.product(rows, (5e-4, 2e-3, 5e-3)):
        changed = with_overrides(recipe, {"methods": {method: {"stage1": {"weight_decay": decay}}}})
        trial.measure(f"{method} weight_decay {decay}", method, changed)
    for decay in (5e-4, 2e-3, 5e-3):
        changed = with_overrides(recipe, {"methods": {"upper_bound": {"stage1": {"weight_decay": decay}}}})
        trial.measure(f"upper_bound weight_decay {decay}", "upper_bound", changed, filled=True)


def guidance(trial: Trial, recipe: Recipe) -> None:
    for strength, steps in ((1.0, 10), (2.0, 10), (1.0, 16)):
        changed = with_overrides(recipe, {"generate.guidance": strength, "generate.steps": steps})
        for method in ("synaug_stage1", "synaug"):
            trial.measure(f"{method} guidance {strength} steps {steps}", method, changed)


def mixing(trial: Trial, recipe: Recipe) -> None:
    for kind, alpha in (("none", 0.2), ("mixup", 0.2), ("mixup", 1.0), ("domain_mixup", 0.2), ("domain_mixup", 1.0)):
        stage = {"train.stage1.mixing": kind, "train.stage1.mixup_alpha": alpha}
        for method in ("synaug_stage1", "synaug"):
            trial.measure(f"{method} {kind} {alpha}", method, with_overrides(recipe, stage))


def retraining(trial: Trial, recipe: Recipe) -> None:
    for method, kind in (("synaug_stage1", "mixup"), ("synaug_stage1", "domain_mixup"), ("cross_entropy", "none")):
        mixed = with_overrides(recipe, {"train.stage1.mixing": kind})
        models = [trial.trained(method, mixed, seed) for seed in (0, 1)]
        for data, way, strength in itertools.product(
            ("balanced_real", "all_real", "evened_out"), ("logistic", "warm_logistic"), (0.001, 0.01, 0.1, 1.0)
        ):
            name = f"{method} {kind} retrained on {data} by {way} {strength}"
            if name in trial.known:
                print(trial.known[name], flush=True)
                continue
            accuracies = [
                trial.accuracy(
                    retrain_classifier(
                        model,
                        methods.retraining_set(sets, data, seed=seed),
                        method=way,
                        regularization=strength,
                        seed=seed,
                    ),
                    sets,
                )
                for seed, (sets, model) in enumerate(models)
            ]
            record = {"name": name, "accuracy": float(np.mean(accuracies)), "seeds": accuracies}
            storage.append_records(trial.results, [record])
            print(record, flush=True)


def real_only(trial: Trial, recipe: Recipe) -> None:
    """Compare remedies without synthetic images: how to draw images and how to mix them, with either last layer."""
    own = {"mixing": "none", "sampler": "class_balanced"}
    trials = {"oversampling": own}
    for alpha in (0.2, 1.0):
        trials[f"oversampling mixup {alpha}"] = own | {"mixing": "mixup", "mixup_alpha": alpha}
        trials[f"domain_mixup {alpha}"] = {"mixing": "domain_mixup", "mixup_alpha": alpha}
    for name, stage in trials.items():
        changed = with_overrides(recipe, {"methods": {"cross_entropy": {"stage1": stage}}})
        trial.measure(name, "cross_entropy", changed, seeds=(0, 1, 2))
        trial.measure(f"{name} retrained", "cross_entropy_retrained", changed, seeds=(0, 1, 2))


QUESTIONS = {
    "weight_decay": weight_decay,
    "guidance": guidance,
    "mixing": mixing,
    "retraining": retraining,
    "real_only": real_only,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", choices=QUESTIONS)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    storage.make_folder(options.work)
    QUESTIONS[options.question](Trial(options.work), read_recipe(demo_recipe()))


if __name__ == "__main__":
    main()
