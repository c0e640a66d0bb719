"""Judge planted images of rare groups, with and without knowledge of the groups.

In the mirror ``fashion-spurious``, 95 % of the dresses are on land and 95 % of the coats on water, and a plan by group
asks for what is rare: dresses on water and coats on land. The candidates are real validation images of these two
groups, used instead of generated ones: once with their own class (``good``), once with the other (``wrong class``). The
gate ``off_class`` and the audit judge them, once without and once with the attribute.

    python benchmarks/spurious.py [--json]
"""

import argparse
import json
from dataclasses import replace

import numpy as np

from synaug.config import Recipe
from synaug.data import read_image
from synaug.data.benchmarks.fashion_mirrors import make_mirror
from synaug.pipeline.measure_gap import measured_gap
from synaug.synthesis.quality import Candidate, judged, make_gates


def without_attribute(manifest):
    return replace(manifest, frame=manifest.frame.assign(attribute=-1), attribute_names=())


def with_labels(manifest, labels):
    return replace(manifest, frame=manifest.frame.assign(label=labels))


def judge(real, candidates, recipe):
    """Return the share that ``off_class`` accepts per group, and what the audit finds."""
    train = real.split("train")
    gates = make_gates(real, recipe.quality.model_copy(update={"gates": ("off_class",)}))
    images = [
        Candidate(read_image(candidates, row), f"c-{row}", int(label), int(attribute))
        for row, (label, attribute) in enumerate(zip(candidates.labels, candidates.attributes, strict=True))
    ]
    passed = np.array([verdict.ok for verdict in judged(gates, images)])
    found = measured_gap(train, candidates, recipe)
    overall, light = found["gap"]["overall"], found["audit"]["overall"]
    return {
        "accepted": [float(passed[candidates.labels == label].mean()) for label in range(real.num_classes)],
        "probe_accuracy": overall["probe_accuracy"],
        "coverage": overall["manifold"]["coverage"],
        "recognized": light["recognized"],
        "light": light["color"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    mirror = make_mirror("fashion_spurious", validation=True)
    real = mirror.data
    held_out = real.split("test")  # the validation images, see make_mirror
    dresses, coats = (real.class_names.index(name) for name in ("dress", "coat"))
    land, water = (real.attribute_names.index(name) for name in ("land", "water"))
    is_rare = ((held_out.labels == dresses) & (held_out.attributes == water)) | (
        (held_out.labels == coats) & (held_out.attributes == land)
    )
    good = held_out.rows(is_rare)
    wrong = with_labels(good, 1 - good.labels)
    if not options.json:
        head = [
            "set",
            "groups",
            "accepted as dress",
            "accepted as coat",
            "real vs. synthetic",
            "coverage",
            "recognized",
        ]
        print(f"| {' | '.join([*head, 'light'])} |")
        print("|---|---|---:|---:|---:|---:|---:|---|")
    for name, images in (("good", good), ("wrong class", wrong)):
        for groups in ("unknown", "known"):
            hide = without_attribute if groups == "unknown" else (lambda same: same)
            found = judge(hide(real), hide(images), Recipe())
            if options.json:
                print(json.dumps({"set": name, "groups": groups} | found), flush=True)
                continue
            shares = [found["accepted"][dresses], found["accepted"][coats]]
            shares += [found[key] for key in ("probe_accuracy", "coverage", "recognized")]
            cells = [name, groups, *(f"{100 * share:.0f}" for share in shares), found["light"]]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
