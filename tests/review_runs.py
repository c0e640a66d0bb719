"""Run directories with images that no generator made, to be reviewed: quick to write, also in thousands."""

import io
import json

import numpy as np
from PIL import Image

from synaug.pipeline.prepare import drafted_plan, load_data, write_run
from synaug.recipes import make_recipe
from synaug.runtime import storage
from synaug.runtime.ownership import claim
from synaug.synthesis.planning.slots import image_seed, safe_names, slots

REASON = "off_class"


def write_reviewable(out, source, *, target, rejected_every=5, size=16):
    """Plan for the source, and write an image per slot; every n-th slot has a rejected attempt before it."""
    recipe = make_recipe({"plan": {"model": "embedded", "target": target}, "quality": {"gates": ["broken"]}})
    manifest = load_data(source, recipe)
    plan = drafted_plan(manifest, recipe)
    write_run(manifest, plan, claim(out, "run"), recipe, source=str(source))
    names = safe_names(plan.class_names)
    for folder in (*(f"synthetic/{name}" for name in names), f"rejected/{REASON}", "journal"):
        (out / folder).mkdir(parents=True)
    pictures = [_picture(seed, size) for seed in range(32)]
    records = [{"kind": "run", "plan": plan.digest, "about": {}}]
    for number, slot in enumerate(slots(plan)):
        attempts = 2 if number % rejected_every == 0 else 1
        for attempt in range(attempts):
            is_accepted = attempt == attempts - 1
            path = f"synthetic/{names[slot.cell.label]}/{slot.id}.png"
            kept = f"rejected/{REASON}/{slot.id}-{attempt}.png"
            picture = pictures[(number + attempt) % len(pictures)]
            (out / (path if is_accepted else kept)).write_bytes(picture)
            records.append(
                {
                    "kind": "attempt",
                    "id": slot.id,
                    "cell": slot.cell.name,
                    "index": slot.index,
                    "attempt": attempt,
                    "seed": image_seed(slot.id, attempt),
                    "prompt": slot.prompt,
                    "modifier": slot.modifier,
                    "label": slot.cell.label,
                    "attribute": -1,
                    "verdict": "accepted" if is_accepted else "rejected",
                    "reason": None if is_accepted else REASON,
                    "path": path if is_accepted else None,
                    "scores": {"off_class": (number * 37 % 101) / 101},
                    "sha256": storage.digest(picture),
                    "seconds": 0.1,
                }
            )
    (out / "journal" / "worker-0-of-1.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return out


def _picture(seed, size):
    values = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()
