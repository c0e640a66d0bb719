"""Plant faults of known kinds among real images, and print precision and recall of every quality gate.

The real images to compare with are the demo's. Sound candidates are other real images of Fashion-MNIST, of the right
class; they represent good synthetic ones. A fault is found if its own gate, or any gate, rejects it. With ``--speed``:
the CPU time of each gate, and the images per second that are checked, encoded, written and journaled with and without
it.

    python benchmarks/gates.py --seeds 3
    python benchmarks/gates.py --seeds 3 --scorer clip
    python benchmarks/gates.py --speed
"""

import argparse
import io
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from synaug.config import GenerateOptions, PlanOptions, QualityOptions
from synaug.data import read_data, read_image
from synaug.data.benchmarks.fashion_mnist import archive_folder, read_archive, split_positions
from synaug.data.images import Encoding
from synaug.recipes import read_recipe
from synaug.runtime import demo_data, demo_recipe, machine
from synaug.synthesis.execution import synthesize
from synaug.synthesis.planning import make_plan
from synaug.synthesis.quality import Candidate, chosen_scorer, judged, make_gates

LEFT_OUT = 200  # images of each class
GATES = ("broken", "noise", "off_class", "copy", "leak", "collapse")


def recompressed(image, rng):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(50, 90)))
    return Image.open(buffer).convert(image.mode)


def shifted(image, rng):
    across, down = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-2, 0), (2, 0))[rng.integers(7)]
    return image.transform(image.size, Image.Transform.AFFINE, (1, 0, across, 0, 1, down))


def flipped(image, _rng):
    return ImageOps.mirror(image)


def brighter(image, rng):
    return ImageEnhance.Brightness(image).enhance(float(rng.choice([0.75, 0.85, 1.15, 1.25])))


def same(image, _rng):
    return image


ALTERATIONS = {
    "exact": same,
    "recompressed": recompressed,
    "shifted": shifted,
    "flipped": flipped,
    "brighter": brighter,
}


def flat(size, mode, rng):
    """Return a nearly black image, or one of constant brightness with a little noise."""
    level = 0 if rng.random() < 0.5 else int(rng.integers(1, 250))
    return Image.fromarray(np.uint8(np.clip(level + rng.integers(-1, 2, size), 0, 255))).convert(mode)


def plant(manifest, images, labels, *, seed, num):
    """Return candidates and the fault of each: ``sound``, ``off_class wrong``, ``copy shifted``, ...

    Of ``num`` candidates, 60 % are sound and 8 % each are of another class, flat, altered copies of training images,
    of test images, and of sound candidates.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(images))
    faulty, position = max(num * 8 // 100, len(ALTERATIONS)), num * 60 // 100
    found = [(Image.fromarray(images[i]), int(labels[i]), "sound") for i in order[:position]]
    sound = list(found)
    for i in order[position : position + faulty]:
        wrong = (int(labels[i]) + rng.integers(1, manifest.num_classes)) % manifest.num_classes
        found.append((Image.fromarray(images[i]), int(wrong), "off_class wrong"))
    for _ in range(faulty):
        found.append((flat(images.shape[1:], "L", rng), int(rng.integers(manifest.num_classes)), "broken flat"))
    names = [list(ALTERATIONS)[k % len(ALTERATIONS)] for k in range(faulty)]
    for kind, rows in (("copy", manifest.split("train")), ("leak", manifest.split("test"))):
        for name, row in zip(names, rng.choice(len(rows), faulty, replace=False), strict=True):
            image = ALTERATIONS[name](read_image(rows, int(row)), rng)
            found.append((image, int(rows.labels[row]), f"{kind} {name}"))
    found = [found[i] for i in rng.permutation(len(found))]
    for name, k in zip(names, rng.choice(len(sound), faulty, replace=False), strict=True):
        image, label, _ = sound[k]
        found.append((ALTERATIONS[name](image, rng), label, f"collapse {name}"))
    candidates = [Candidate(image, f"c-{i}", label) for i, (image, label, _) in enumerate(found)]
    return candidates, np.array([fault for *_, fault in found])


def verdicts_of(manifest, candidates, *, scorer="classifier", batch=64):
    quality = QualityOptions(gates=GATES, scorer=scorer, scorer_model="embedded")
    captions = [f"a photo of {'an' if name[0] in 'aeiou' else 'a'} {name}" for name in manifest.class_names]
    gates = make_gates(manifest, quality, scorer=chosen_scorer(quality, captions))
    found = []
    for start in range(0, len(candidates), batch):
        found += judged(gates, candidates[start : start + batch])
    return np.array([verdict.reason or "" for verdict in found])


def scores(faults, reasons):
    """Return precision and recall by gate, recall by alteration, and the share of sound images rejected."""
    kinds = np.array([fault.split()[0] for fault in faults])
    gates = {
        gate: {
            "precision": float((kinds[reasons == gate] == gate).mean()) if (reasons == gate).any() else float("nan"),
            "recall": float((reasons[kinds == gate] == gate).mean()),
            "recall by any gate": float((reasons[kinds == gate] != "").mean()),
        }
        for gate in GATES
        if (kinds == gate).any()
    }
    altered = {
        fault: float((reasons[faults == fault] != "").mean())
        for fault in dict.fromkeys(sorted(faults))
        if fault != "sound"
    }
    return {"gates": gates, "faults": altered, "sound rejected": float((reasons[faults == "sound"] != "").mean())}


def held_out():
    """Return images and labels of Fashion-MNIST that neither the demo nor the embedded judge was trained on.

    They are the last 200 of each class among the images of the embedded generator, which ``scripts/pretrain_clip.py``
    leaves out.
    """
    train = read_archive("train", archive_folder())
    rows = split_positions(train, read_archive("test", archive_folder())).generator
    labels = train.labels[rows]
    last = np.concatenate([rows[labels == label][-LEFT_OUT:] for label in np.unique(labels)])
    return train.images[last], train.labels[last]


def measure(seeds, num, scorer):
    manifest = read_data(demo_data(), read_recipe(demo_recipe()).data)
    images, labels = held_out()
    runs, began = [], time.perf_counter()
    for seed in range(seeds):
        candidates, faults = plant(manifest, images, labels, seed=seed, num=num)
        runs.append(scores(faults, verdicts_of(manifest, candidates, scorer=scorer)))
    return {"runs": runs, "seconds": time.perf_counter() - began, "machine": machine(), "candidates": num}


def cost(gates, images, labels, *, batch=64):
    """Return the CPU milliseconds per image that the gates take."""
    candidates = [Candidate(Image.fromarray(image), str(i), int(labels[i])) for i, image in enumerate(images)]
    began = time.process_time()
    for start in range(0, len(candidates), batch):
        judged(gates, candidates[start : start + batch])
    return 1000 * (time.process_time() - began) / len(candidates)


def speeds(manifest, images, labels, *, per_class=100):
    """Return images per second of ``synthesize`` by enabled gates, and the cost of the gates, with finished images.

    ``calibration`` holds the CPU seconds before the first verdict, which do not count.
    """
    plan = make_plan(
        manifest.split("train"),
        options=PlanOptions(model="embedded", cap=per_class),
        generate=GenerateOptions(),
        encoding=Encoding(mode="L"),
        image_size=images.shape[:0:-1],
    )

    def ready(_prompts, *, seeds):
        return [Image.fromarray(images[seed % len(images)]) for seed in seeds]

    rates, costs, calibration = {}, {}, {}
    for name, on in {"none": (), **{gate: (gate,) for gate in GATES}, "all": GATES}.items():
        quality = QualityOptions(gates=on, max_attempts=1)
        gates, began = make_gates(manifest, quality), time.process_time()
        judged(gates, [Candidate(Image.fromarray(images[0]), "first", int(labels[0]))])
        calibration[name] = time.process_time() - began
        costs[name] = cost(gates, images[1:2001], labels[1:])
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            made = synthesize(plan, ready, folder=Path(folder), gates=gates, quality=quality)
            rates[name] = made.requested / (time.perf_counter() - began)
    about = {"images": plan.num_to_generate, "machine": machine()}
    return about | {"images per second": rates, "CPU ms per image": costs, "calibration": calibration}


def speed_table(found):
    lines = ["| gates | images per second | CPU ms per image | CPU seconds before the first |", "|---|---:|---:|---:|"]
    for name, rate in found["images per second"].items():
        lines.append(
            f"| {name} | {rate:,.0f} | {found['CPU ms per image'][name]:.2f} | {found['calibration'][name]:.1f} |"
        )
    return "\n".join([*lines, "", f"{found['images']:,} images a row; {found['machine']}."])


def spread(values):
    return f"{100 * statistics.mean(values):.1f} ± {100 * statistics.pstdev(values):.1f}"


def table(found):
    lines = ["| gate | precision | recall | recall by any gate |", "|---|---|---|---|"]
    for gate in found["runs"][0]["gates"]:
        cells = [
            spread([run["gates"][gate][name] for run in found["runs"]]) for name in found["runs"][0]["gates"][gate]
        ]
        lines.append(f"| `{gate}` | {' | '.join(cells)} |")
    lines += ["", "| planted | rejected by any gate |", "|---|---|"]
    lines += [
        f"| {fault} | {spread([run['faults'][fault] for run in found['runs']])} |"
        for fault in found["runs"][0]["faults"]
    ]
    lines.append(f"| nothing (sound) | {spread([run['sound rejected'] for run in found['runs']])} |")
    return "\n".join([*lines, "", f"{found['candidates']:,} candidates a seed; {found['machine']}."])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--candidates", type=int, default=2000)
    parser.add_argument("--scorer", choices=("classifier", "clip"), default="classifier", help="clip: the embedded one")
    parser.add_argument("--speed", action="store_true", help="time the gates instead of counting what they find")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.speed:
        result = speeds(read_data(demo_data(), read_recipe(demo_recipe()).data), *held_out())
    else:
        result = measure(given.seeds, given.candidates, given.scorer)
    shown = speed_table if given.speed else table
    print(json.dumps(result, indent=2) if given.json else shown(result))
