"""Draw the picture at the top of the README: real, generated and rejected images of a finished run.

    synaug demo --out runs/demo
    python scripts/hero_picture.py runs/demo

Rows are the classes with the fewest real images. What is shown is what the report shows; nothing is picked by hand.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from synaug.data import class_counts
from synaug.pipeline.reporting.report_examples import report_images
from synaug.report import reason_text
from synaug.run_directory import Run

OUT = Path(__file__).parents[1] / "docs" / "images" / "hero.png"
ROWS, SIDE, GAP = 5, 56, 4
COLUMNS = {"real": 5, "generated, accepted": 8, "rejected": 4}
LABEL, BLOCK, HEAD = 150, 28, 34  # widths of the class names and between blocks; height of the titles
INK, PALE, BAD = "#1d1d1f", "#6e6e73", "#b3261e"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    run = Run.open(options.run)
    manifest = run.manifest
    shown = report_images(run)
    counts = class_counts(manifest.split("train").labels, manifest.num_classes)
    names = [manifest.class_names[label] for label in counts.argsort(kind="stable")]
    picture = hero(
        [
            (
                f"{name}, {counts[manifest.class_names.index(name)]} real",
                list(shown.real.get(name, ())),
                list(shown.synthetic.get(name, ())),
                list(shown.rejected.get(name, ())),
            )
            for name in [name for name in names if shown.synthetic.get(name)][:ROWS]
        ]
    )
    picture.quantize(256, dither=Image.Dither.NONE).save(options.out, optimize=True)


def hero(
    rows: Sequence[tuple[str, list[Image.Image], list[Image.Image], list[tuple[Image.Image, str]]]],
) -> Image.Image:
    """Return the picture; a row is a caption, real, accepted and rejected images, the latter with their reasons."""
    step = SIDE + GAP
    widths = [number * step for number in COLUMNS.values()]
    starts = [LABEL, LABEL + widths[0] + BLOCK, LABEL + sum(widths[:2]) + 2 * BLOCK]
    height = SIDE + 18  # a line of reasons below
    sheet = Image.new("RGB", (starts[-1] + widths[-1] + GAP, HEAD + len(rows) * height), "white")
    draw = ImageDraw.Draw(sheet)
    title, small = ImageFont.load_default(15), ImageFont.load_default(11)
    for start, name in zip(starts, COLUMNS, strict=True):
        draw.text((start, 8), name, fill=BAD if name == "rejected" else INK, font=title)
    for number, (caption, real, synthetic, rejected) in enumerate(rows):
        top = HEAD + number * height
        name, _, count = caption.partition(", ")
        draw.text((GAP, top + SIDE // 2 - 16), name, fill=INK, font=title)
        draw.text((GAP, top + SIDE // 2 + 4), count, fill=PALE, font=small)
        blocks = [real, synthetic, [image for image, _ in rejected]]
        for start, images, most in zip(starts, blocks, COLUMNS.values(), strict=True):
            for place, image in enumerate(images[:most]):
                side = Image.Resampling.NEAREST if max(image.size) < SIDE else Image.Resampling.LANCZOS
                sheet.paste(image.convert("RGB").resize((SIDE, SIDE), side), (start + place * step, top))
        reasons = ", ".join(dict.fromkeys(reason_text(reason) for _, reason in rejected[: COLUMNS["rejected"]]))
        draw.text((starts[2], top + SIDE + 1), reasons, fill=BAD, font=small)
    return sheet


if __name__ == "__main__":
    main()
