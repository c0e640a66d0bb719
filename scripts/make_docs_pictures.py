"""Make the pictures of docs/quality.md and docs/method.md: the paper's four variants, the gap report, rejected images.

Everything is made by the embedded pipeline on the demo's data, in run directorys that the same command goes on with.

    python scripts/make_docs_pictures.py --runs runs/pictures
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from synaug.data.codec import read_file
from synaug.data.manifest import read_image, read_manifest
from synaug.evaluation.domain_gap import gap_report
from synaug.pipeline import generate as generate_stage
from synaug.pipeline import plan as plan_stage
from synaug.recipes import read_recipe, with_overrides
from synaug.report.summary import reason_text
from synaug.runtime.embedded import demo_data, demo_recipe
from synaug.synthesis.execution.provenance import accepted_records, synthetic_manifest
from synaug.synthesis.execution.worker import rejected_files
from synaug.synthesis.planning.plan_file import read_plan
from synaug.synthesis.quality.gates import QualityOptions, References

IMAGES = Path(__file__).parents[1] / "docs" / "images"
VARIANTS = {
    "text": {},
    "intra": {},
    "inter": {"generate.strength": 0.8, "generate.guidance": 2.0, "quality.max_missing": 1.0},
    "fitted": {},
}
CLASSES = ("dress", "sandal", "bag", "ankle boot")
SHOWN, REJECTED = 4, 8
GATES = ("broken", "off_class", "copy", "leak", "collapse")


def made(variant, runs):
    """Return the run directory of a variant, its images made."""
    out = runs / variant
    changes = {"plan.variant": variant, "plan.cap": 40, "quality.gates": GATES, **VARIANTS[variant]}
    recipe = with_overrides(read_recipe(demo_recipe()), changes)
    manifest = plan_stage.load_data(demo_data(), recipe)
    plan_stage.write_run(manifest, plan_stage.drafted_plan(manifest, recipe), out, recipe, source="demo")
    generate_stage.generate(out)
    return out


def examples(out, class_name):
    """Yield some accepted images of a class, each with the real image it starts from, or None."""
    plan, real = read_plan(out / "plan.json"), read_manifest(out / "data.parquet")
    rows = {name: row for row, name in enumerate(real.frame["id"])}
    label = plan.class_names.index(class_name)
    for record in [each for each in accepted_records(plan, out) if each["label"] == label][:SHOWN]:
        start = record.get("guide")
        yield read_file(out / record["path"]), None if start is None else read_image(real, rows[start])


def shown(axis, image, edge="none"):
    axis.imshow(np.asarray(image), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set(edgecolor=edge, linewidth=2, visible=edge != "none")


def draw_variants(folders):
    """Draw a row a class and a block a variant; framed above an image is the real one that it starts from."""
    figure = plt.figure(figsize=(13, 7.6), layout="constrained")
    blocks = figure.subfigures(1, len(folders), wspace=0.03)
    for block, (variant, out) in zip(blocks, folders.items(), strict=True):
        block.suptitle(variant, fontsize=15, fontweight="bold")
        axes = block.subplots(2 * len(CLASSES), SHOWN, squeeze=False)
        for axis in axes.flat:
            axis.axis("off")
        for row, name in enumerate(CLASSES):
            for column, (image, start) in enumerate(examples(out, name)):
                above, below = axes[2 * row, column], axes[2 * row + 1, column]
                below.axis("on")
                shown(below, image)
                if start is not None:
                    above.axis("on")
                    shown(above, start, edge="tab:orange")
            axes[2 * row + 1, 0].axis("on")
            axes[2 * row + 1, 0].set(xticks=[], yticks=[])
            axes[2 * row + 1, 0].set_ylabel(name, fontsize=11)
    figure.savefig(IMAGES / "variants.png", dpi=110)


def draw_rejected(folders):
    """Draw what each gate rejected, over all variants, a row a reason."""
    found = {}
    for out in folders.values():
        for reason, paths in rejected_files(out).items():
            found.setdefault(reason, []).extend(paths[::4])
    figure, axes = plt.subplots(len(found), REJECTED, figsize=(10, 1.35 * len(found)), squeeze=False)
    for line, (reason, paths) in zip(axes, sorted(found.items()), strict=True):
        for axis in line:
            axis.axis("off")
        for axis, path in zip(line, paths, strict=False):
            shown(axis, read_file(path))
            axis.axis("on")
            axis.set_xlabel(path.name.rsplit("-", 3)[0], fontsize=8)
        line[0].set_ylabel(reason_text(reason), rotation=0, ha="right", va="center", fontsize=10, labelpad=12)
    figure.tight_layout()
    figure.savefig(IMAGES / "rejected.png", dpi=110)


def draw_gap(out):
    """Draw the gap between real and synthetic images, per class, on the thumbnails that the gates compare."""
    real, synthetic = read_manifest(out / "data.parquet"), synthetic_manifest(read_plan(out / "plan.json"), out)
    references, test = References(real, QualityOptions()), real.split("test")
    pixels = [references.pixels(each, "").astype(np.float32) / 255 for each in (test, synthetic)]
    names = real.class_names
    labels = {"real_labels": test.labels, "synthetic_labels": synthetic.labels}
    found = gap_report(real=pixels[0], synthetic=pixels[1], class_names=names, **labels)
    kept = [k for k, each in enumerate(found.per_class) if each.num_synthetic]
    gaps = [found.per_class[k] for k in kept]
    panels = {
        "probe accuracy (0.5: cannot be told apart)": [each.probe_accuracy for each in gaps],
        "KID (0: same distribution)": [each.kid.mean for each in gaps],
    } | {
        name: [getattr(each.manifold, name) for each in gaps] for name in ("precision", "recall", "density", "coverage")
    }
    figure, axes = plt.subplots(2, 3, figsize=(12, 6.4), sharey=True)
    for axis, (title, values) in zip(axes.flat, panels.items(), strict=True):
        bars = axis.barh([names[k] for k in kept], values, color="tab:blue", height=0.6)
        axis.bar_label(bars, fmt="%.3f" if "KID" in title else "%.2f", padding=3, fontsize=9)
        axis.set_title(title, fontsize=11)
        axis.set_xlim(min(0, *values) * 1.2, max(1.15, max(values) * 1.2) if "KID" not in title else max(values) * 1.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].axvline(0.5, color="gray", linestyle=":")
    axes[0, 0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(IMAGES / "gap.png", dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/pictures"))
    given = parser.parse_args()
    made_by = {variant: made(variant, given.runs) for variant in VARIANTS}
    draw_variants(made_by)
    draw_rejected(made_by)
    draw_gap(made_by["text"])
